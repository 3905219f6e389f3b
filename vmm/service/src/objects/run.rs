// SPDX-License-Identifier: BSD-2-Clause
//! The server's loop: requests and faults come to one endpoint, told apart by their badges.
//!
//! ```text
//!   wait ──► badge of an object?  Objects::handle ─► the answer ─────────────────────────────┐
//!    ▲       badge of a thread?   faults::receive ─► answered when its page is there; or kill ─┤
//!    │       of a turnstile?      what was held of its priority is given ──────────────────────┤
//!    │                            within its turn? otherwise held ◄────────────────────────────┤
//!    └────── nothing left of what ended, or that had its turn ◄────────────────────────────────┘
//!            otherwise: a piece of that work, then look whether somebody called
//! ```
//!
//! What programs send cannot end the loop: it returns when one has ended, and when none is left.

use sel4::{cap, cap_type, AbsoluteCPtr, MessageInfo, MessageInfoBuilder, Word};
use vmm::sel4::faults::{answer_kept, keep_caller, receive, Manager, Received, ThreadFault};
use vmm::{Access, AllocatorError::NeedsClearing, CPtr, ThreadId, ThreadInfo};
use vmm_client::objects::{is_refusal, Answer, Malformed, Message, Refusal, MAX_CAPABILITIES};

use super::faults::told;
use super::server::{Served, Server};
use super::types::{
    Act, Arrived, Event, Incoming, ProgramId, Stopped, Touched, Turnstile, OBJECT_BADGE,
};
use crate::arch::{now, read_registers, write_registers};
use crate::server::exchange::{put_words, set_going, take_words, tell_fault};
use crate::server::{End, Notice, ServerError};

/// One word more than any message has: enough to be refused.
const WORDS: usize = vmm_client::protocol::MAX_WORDS + 1;

impl Server {
    /// Serves until a program ends, none is left, or it has served so many requests since it was
    /// made.
    pub(super) fn serve(&mut self, vmm: &mut Manager, most: u64) -> Result<Served, ServerError> {
        let endpoint: cap::Endpoint = self.endpoint.cap();
        let mut answer: Option<MessageInfo> = None;
        // Something may have ended since: a program that was refused.
        let mut busy = true;
        loop {
            if let Some(served) = self.served(busy, most) {
                if let Some(answer) = answer {
                    sel4::with_ipc_buffer_mut(|buffer| sel4::reply(buffer, answer));
                }
                return Ok(served);
            }
            self.tell_time(vmm);
            if let Some((pacer, _)) = &mut self.pacer {
                // Where that is refused, the server clears by itself.
                let _ = pacer.follow(vmm);
            }
            self.expect_foreign(vmm);
            let (info, badge) = match (answer.take(), busy && !self.objects.rests()) {
                (Some(answer), false) => endpoint.reply_recv(answer, ()),
                (None, false) => endpoint.recv(()),
                (answer, true) => {
                    if let Some(answer) = answer {
                        sel4::with_ipc_buffer_mut(|buffer| sel4::reply(buffer, answer));
                    }
                    busy = self.reap(vmm)?;
                    endpoint.nb_recv(())
                }
            };
            if badge != 0 {
                let was_busy = self.objects.is_busy();
                answer = self.message(vmm, &info, badge as usize)?;
                if !was_busy && answer.is_some() {
                    self.work_later();
                }
                busy |= self.objects.is_busy();
            }
        }
    }

    /// Takes one message. Returns what its sender is answered now.
    fn message(
        &mut self,
        vmm: &mut Manager,
        info: &MessageInfo,
        badge: usize,
    ) -> Result<Option<MessageInfo>, ServerError> {
        let received = now();
        self.see_time();
        if let Some(turnstile) = Turnstile::of_badge(badge) {
            self.come_round(vmm, turnstile, received)?;
            return Ok(None);
        }
        match badge & OBJECT_BADGE {
            0 => self.fault(vmm, info, (badge, received)),
            _ => self.request(vmm, info, (badge, received)),
        }
    }

    /// Lets those go on whose time has come, and has the next of them told. What comes without a
    /// badge is that.
    fn tell_time(&mut self, vmm: &mut Manager) {
        let Some(alarm) = &mut self.alarm else { return };
        let Some(now) = alarm.now() else { return };
        let due = self.objects.next_deadline().is_some_and(|deadline| deadline <= now);
        self.objects.set_time(now);
        let next = self.objects.next_deadline();
        let lost = next.is_some_and(|next| alarm.wake_at(now, next).is_err());
        if lost {
            self.objects.stop_time();
        }
        if due || lost {
            self.answer_waiting(vmm);
        }
    }

    /// Charges the message that was received with a badge at a time, and is served. Returns what
    /// its sender is answered now.
    fn charge(
        &mut self,
        vmm: &mut Manager,
        (badge, received): (usize, u64),
        answer: Option<&Message>,
    ) -> Result<Option<MessageInfo>, ServerError> {
        let held = match self.objects.charge_time(badge, received, now()) {
            Some(priority) => self.hold(vmm, (badge, priority), answer)?,
            None => false,
        };
        self.answer_waiting(vmm);
        Ok(answer.filter(|_| !held).map(|message| self.put(message)))
    }

    /// Holds the sender of a message, which had its turn: it goes on when the others had theirs.
    /// Returns whether it is held; otherwise it is to be answered at once.
    #[inline(never)]
    fn hold(
        &mut self,
        vmm: &mut Manager,
        (badge, priority): (usize, u8),
        answer: Option<&Message>,
    ) -> Result<bool, ServerError> {
        let Some(turnstile) = self.turnstiles.choose(priority) else { return Ok(false) };
        let Some(slot) = self.objects.hold(answer.unwrap_or(&Message::EMPTY), turnstile) else {
            return Ok(false);
        };
        // By way of a slot that is empty now: that cannot be moved which is not there.
        keep_caller(vmm, self.foreign)?;
        if self.path(vmm, slot).move_(&self.path(vmm, self.foreign)).is_err() {
            // Nobody waits for an answer.
            match self.objects.hold_thread(turnstile) {
                Some(tcb) => {
                    tcb.cap::<cap_type::Tcb>().tcb_suspend()?;
                    if let Ok(ThreadInfo { id, .. }) = vmm.thread_with_badge(badge) {
                        vmm.expect_fault_again(id);
                    }
                }
                None => {
                    if let Some(program) = self.objects.sender_id() {
                        self.end(program, End::Killed)?;
                    }
                }
            }
        }
        self.turnstiles.send(turnstile);
        Ok(true)
    }

    /// All others had their turn since a turnstile was sent.
    fn come_round(
        &mut self,
        vmm: &mut Manager,
        turnstile: Turnstile,
        now: u64,
    ) -> Result<(), ServerError> {
        self.turnstiles.came(vmm, turnstile)?;
        let again = self.objects.come_round(turnstile, now);
        self.answer_waiting(vmm);
        if again {
            self.turnstiles.send(turnstile);
        }
        Ok(())
    }

    /// Has the work, if a request has begun any, wait for a turn: who began it goes on first.
    fn work_later(&mut self) {
        let priority = self.objects.works_later().filter(|_| self.objects.is_busy());
        if let Some(turnstile) = priority.and_then(|priority| self.turnstiles.choose(priority)) {
            self.objects.rest(turnstile);
            self.turnstiles.send(turnstile);
        }
    }

    /// Does pieces of the work that is left of what ended, as long as they are small: to look
    /// whether somebody called costs as much as some of them. Returns whether there is more.
    fn reap(&mut self, vmm: &mut Manager) -> Result<bool, ServerError> {
        let (begun, small) = (self.worked.take().unwrap_or_else(now), self.options.small());
        let (busy, done) = loop {
            let busy = self.objects.reap_step(vmm)?;
            self.answer_waiting(vmm);
            let done = now();
            if !busy || done.saturating_sub(begun) >= small {
                break (busy, done);
            }
        };
        let over = self.objects.charge_work(begun, done);
        self.worked = (busy && over.is_none()).then_some(done);
        if let Some(turnstile) = over.and_then(|priority| self.turnstiles.choose(priority)) {
            self.objects.rest(turnstile);
            self.turnstiles.send(turnstile);
        }
        Ok(busy)
    }

    /// Says where a capability goes that is not the service's. The slot's address changes when the
    /// manager's CSpace grows.
    fn expect_foreign(&self, vmm: &Manager) {
        let slot = self.path(vmm, self.foreign);
        sel4::with_ipc_buffer_mut(|buffer| buffer.set_recv_slot(&slot));
    }

    /// A slot of the manager's CSpace.
    fn path(&self, vmm: &Manager, slot: CPtr) -> AbsoluteCPtr {
        let path = vmm.allocator().path(slot);
        let root: cap::CNode = path.root.cap();
        root.absolute_cptr_from_bits_with_depth(path.index as Word, usize::from(path.depth))
    }

    fn request(
        &mut self,
        vmm: &mut Manager,
        info: &MessageInfo,
        (badge, received): (usize, u64),
    ) -> Result<Option<MessageInfo>, ServerError> {
        let mut words = [0; WORDS];
        let words = take_words(info, &mut words);
        let came = info.extra_caps().min(MAX_CAPABILITIES);
        let mut arrived = [Arrived::Foreign; MAX_CAPABILITIES];
        sel4::with_ipc_buffer(|buffer| {
            for (index, arrived) in arrived[..came].iter_mut().enumerate() {
                if info.caps_unwrapped() & 1 << index != 0 {
                    *arrived = Arrived::Own(buffer.caps_or_badges()[index] as usize);
                }
            }
        });
        let arrived = &arrived[..came];
        let message = Incoming {
            badge,
            // It has 20 bits.
            label: info.label() as u32,
            words,
            capabilities: arrived,
            foreign: self.foreign,
        };
        let mut outcome = self.objects.handle(vmm, &message);
        self.counts.requests += 1;
        if let Some(act) = outcome.act {
            if let Some(answer) = self.act(vmm, act)? {
                outcome.answer = Some(answer);
            }
        }
        if let Some(slot) = outcome.foreign {
            self.foreign = slot;
        } else if arrived.contains(&Arrived::Foreign) {
            // The slot is for the next one.
            let path = vmm.allocator().path(self.foreign);
            vmm.delete_cap(path)?;
        }
        match outcome.event {
            Some(Event::Said(program, line)) => {
                let name = self.objects.name(program).unwrap_or_default();
                (self.options.report)(&Notice::Said { name: name.as_str(), line: &line });
            }
            Some(Event::Exited(program, name, code)) => {
                self.note_end(program, name.as_str(), End::Exited(code));
            }
            Some(Event::ChildExited(name, code)) => {
                let (name, end) = (name.as_str(), End::Exited(code));
                (self.options.report)(&Notice::Ended { name, end });
            }
            None => {}
        }
        if let Some(slot) = outcome.waits {
            // By way of a slot that is empty now, as in `hold`.
            keep_caller(vmm, self.foreign)?;
            if self.path(vmm, slot).move_(&self.path(vmm, self.foreign)).is_err() {
                self.objects.nobody_waits(slot);
            }
        }
        if outcome.waits.is_some() || outcome.ends {
            // Its right to be answered is kept already, or gone.
            let over = self.objects.charge_time(badge, received, now());
            let over = over.filter(|_| outcome.waits.is_some());
            if let Some(turnstile) = over.and_then(|priority| self.turnstiles.choose(priority)) {
                if self.objects.hold_kept(turnstile) {
                    self.turnstiles.send(turnstile);
                }
            }
            self.answer_waiting(vmm);
            return Ok(None);
        }
        self.charge(vmm, (badge, received), outcome.answer.as_ref())
    }

    /// Answers those whose requests waited for what has come back, and those that were held.
    pub(super) fn answer_waiting(&mut self, vmm: &mut Manager) {
        while let Some((slot, message)) = self.objects.next_answer(vmm) {
            let answer = self.put(&message);
            answer_kept(slot, answer);
        }
        while let Some(tcb) = self.objects.next_thread() {
            // A thread that is gone has nothing to resume.
            let _ = tcb.cap::<cap_type::Tcb>().tcb_resume();
        }
        while let Some(slot) = self.objects.next_notice() {
            // What its holder takes for a notification may be an endpoint: nobody waits for it.
            slot.cap::<cap_type::Endpoint>().nb_send(MessageInfoBuilder::default().build());
        }
    }

    /// Puts an answer into the IPC buffer, and counts it.
    fn put(&mut self, message: &Message) -> MessageInfo {
        self.counts.refused += u64::from(is_refusal(message));
        put_words(message.label(), message.words())
    }

    /// Takes a fault. A program can name its fault endpoint, so this may be a message of its own
    /// making: then it is one about its own thread.
    fn fault(
        &mut self,
        vmm: &mut Manager,
        info: &MessageInfo,
        (badge, received): (usize, u64),
    ) -> Result<Option<MessageInfo>, ServerError> {
        let thread = vmm.thread_with_badge(badge).ok();
        let (space, id) = (thread.as_ref().map(|it| it.space), thread.as_ref().map(|it| it.id));
        self.objects.note_fault(space, id);
        match self.objects.note_stopped() {
            Stopped::No => {}
            // The kernel has it wait for the answer to its fault.
            Stopped::Here => return self.not_answered(vmm, (badge, received)),
            // Who made it may flood.
            Stopped::Forged => return self.charge(vmm, (badge, received), None),
            Stopped::Repeats => return self.resolved(vmm, (badge, received)),
        }
        let (thread, fault, touched) = match receive(vmm, info, badge) {
            Received::Resolved => return self.resolved(vmm, (badge, received)),
            // Nobody waits for an answer.
            Received::Nothing => return self.charge(vmm, (badge, received), None),
            // Of a stack that is paid and not there yet: the instruction is repeated.
            Received::Unresolved {
                error: Some(vmm::Error::Allocator(NeedsClearing { bytes })),
                ..
            } if vmm.clear(bytes)? != 0 => {
                return self.resolved(vmm, (badge, received));
            }
            Received::Unresolved { thread, fault, error: Some(error) } => {
                (thread, fault, Err(error))
            }
            Received::Unresolved { thread, fault, error: None } => {
                (thread, fault, self.touch_to_write(vmm, fault))
            }
            Received::AskPager { thread, fault, token, page } => {
                let write = fault.access == Access::Write;
                let touched = self.objects.touch(vmm, (token, page), write);
                (thread, ThreadFault::Page(fault), touched)
            }
        };
        let error = match touched {
            Ok(Touched::Done) => return self.resolved(vmm, (badge, received)),
            Ok(Touched::Waits(tcb)) => {
                // It repeats its instruction when it goes on.
                tcb.cap::<cap_type::Tcb>().tcb_suspend()?;
                vmm.expect_fault_again(thread);
                return self.not_answered(vmm, (badge, received));
            }
            // Who made it may flood.
            Ok(Touched::Forged) => return self.charge(vmm, (badge, received), None),
            Ok(Touched::Fault) => None,
            Err(error) => Some(error),
        };
        if self.unresolved(vmm, thread, fault, error)? {
            return self.charge(vmm, (badge, received), None);
        }
        // It is suspended already: its holder lets it go on.
        self.not_answered(vmm, (badge, received))
    }

    /// A page of paged memory that is there may have been written to for the first time.
    fn touch_to_write(&mut self, vmm: &mut Manager, fault: ThreadFault) -> vmm::Result<Touched> {
        match fault {
            ThreadFault::Page(fault) if fault.access == Access::Write => {
                self.objects.touch_to_write(vmm, fault.address)
            }
            _ => Ok(Touched::Fault),
        }
    }

    /// Charges a message whose sender is suspended.
    fn not_answered(
        &mut self,
        vmm: &mut Manager,
        (badge, received): (usize, u64),
    ) -> Result<Option<MessageInfo>, ServerError> {
        self.objects.charge_time(badge, received, now());
        self.answer_waiting(vmm);
        Ok(None)
    }

    fn resolved(
        &mut self,
        vmm: &mut Manager,
        from: (usize, u64),
    ) -> Result<Option<MessageInfo>, ServerError> {
        self.counts.resolved += 1;
        self.charge(vmm, from, Some(&Message::EMPTY))
    }

    /// Reports a fault that cannot be resolved, and ends the program whose it is, unless its holder
    /// is to look at it. Returns whether it ends.
    fn unresolved(
        &mut self,
        vmm: &mut Manager,
        thread: ThreadId,
        fault: ThreadFault,
        error: Option<vmm::Error>,
    ) -> Result<bool, ServerError> {
        let space = tell_fault(self.options.report, vmm, thread, (fault, error, false));
        self.counts.unresolved += 1;
        let Some(program) = space.and_then(|space| self.objects.program_in(space)) else {
            return Ok(true);
        };
        let fault = told(fault);
        let (name, is_child) = (self.objects.name(program), self.objects.is_child(program));
        let ends = self.objects.note_unresolved(program, fault);
        if ends {
            let name = name.unwrap_or_default();
            self.tell_end(program, name.as_str(), End::Fault, is_child);
        }
        Ok(ends)
    }

    /// Does with a program's thread what a request asked for. Returns what is answered instead of
    /// what the service has said: why not, or what was found.
    fn act(&mut self, vmm: &mut Manager, act: Act) -> Result<Option<Message>, ServerError> {
        match act {
            Act::Start { program, start, argument, priority } => {
                let prepared = self.prepare(vmm, priority, self.objects.started_with(priority) + 1);
                let set = prepared.and_then(|()| Ok(set_going(&start, argument, priority.into())?));
                match set {
                    Ok(()) => self.objects.note_started(&start, priority),
                    Err(_) => {
                        let refusal = self.objects.start_refused(vmm, program, &start)?;
                        return Ok(Some(refusal.encode()));
                    }
                }
            }
            Act::Resume { tcb, .. } => tcb.cap::<cap_type::Tcb>().tcb_resume()?,
            Act::Bind { tcb, notification, place } => {
                let notification = notification.cap::<cap_type::Notification>();
                let bound = tcb.cap::<cap_type::Tcb>().tcb_bind_notification(notification);
                let refusal = self.objects.note_bound(tcb, place, bound.is_ok());
                return Ok(refusal.map(|refusal| refusal.encode()));
            }
            Act::Unbind { tcb } => {
                // The kernel has undone it where the notification has ended.
                let _ = tcb.cap::<cap_type::Tcb>().tcb_unbind_notification();
            }
            Act::ReadRegisters { tcb } => {
                let answer = match read_registers(tcb)? {
                    Some(registers) => Answer::Registers { registers }.encode(),
                    None => Refusal::Malformed { what: Malformed::Number }.encode(),
                };
                return Ok(Some(answer));
            }
            Act::WriteRegisters { tcb, registers } => {
                if let Some(what) = write_registers(tcb, &registers)? {
                    return Ok(Some(Refusal::Malformed { what }.encode()));
                }
            }
        }
        Ok(None)
    }

    /// Ends a program that runs.
    fn end(&mut self, program: ProgramId, end: End) -> Result<(), ServerError> {
        let (name, is_child) = (self.objects.name(program), self.objects.is_child(program));
        self.objects.kill(program)?;
        self.tell_end(program, name.unwrap_or_default().as_str(), end, is_child);
        Ok(())
    }

    /// Tells how a program ended: whoever started it.
    fn tell_end(&mut self, program: ProgramId, name: &str, end: End, is_child: bool) {
        match is_child {
            true => (self.options.report)(&Notice::Ended { name, end }),
            false => self.note_end(program, name, end),
        }
    }

    /// Notes how a program ended, and tells of it.
    fn note_end(&mut self, program: ProgramId, name: &str, end: End) {
        (self.options.report)(&Notice::Ended { name, end });
        self.running = self.running.saturating_sub(1);
        self.ended = Some((program, end));
    }
}
