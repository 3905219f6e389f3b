// SPDX-License-Identifier: BSD-2-Clause
//! Who had its turn is held until the others of its priority had theirs.
//!
//! ```text
//!   message ──► served ──► charge_time ── within a slice ──► the answer
//!                               └─ above: hold ──► come_round, of its priority ──► next_answer
//! ```
//!
//! A program that waits for answers is held by its answer. One that sends without waiting is
//! suspended. Both are charged to the program whose capability a message came by; whoever passed it
//! on answers for it. A message by a capability to another object is nobody's: where those take a
//! slice, the capability by which one comes is ended, and the program held whose account pays for
//! it. The message by which a program ends is the first piece of the work that is left of it: nobody
//! is held for that, as no thread waits for its answer.
//!
//! A right to answer is kept in the slot of a thread of the program, or of another whose slot is
//! empty: no more threads wait for answers than there are threads.

use vmm::{CPtr, SpaceId, ThreadId, Violation};
use vmm_client::objects::{Message, Refusal, Rights, State};

use super::service::Objects;
use super::state::place::Queue;
use super::state::program::Program;
use super::state::thread::{Due, Held, Thread, NO_TURNSTILE};
use super::state::turn::{self, Turn};
use super::types::{ProgramId, Turnstile, OBJECT_BADGE};
use crate::types::program::Start;

impl<'p> Objects<'p> {
    /// Says how long a time slice is, in the unit of [`Objects::charge_time`]. Before that nobody
    /// is held.
    pub fn set_slice(&mut self, ticks: u64) {
        self.slice = ticks;
    }

    /// Notes that a program's thread runs from now on, with this priority.
    pub fn note_started(&mut self, start: &Start, priority: u8) {
        let Some(thread) = self.thread_with_tcb(start.tcb) else { return };
        let program = thread.program.get().filter(|_| thread.is_first());
        let object = program.and_then(|program| {
            program.priority.set(Some(priority));
            self.found_programs.set_priority(program, Some(priority));
            program.object.get()
        });
        for object in [object, thread.object.get()].into_iter().flatten() {
            object.set_state(State::Running);
        }
    }

    /// How many programs live whose threads were started with this priority.
    pub fn started_with(&self, priority: u8) -> usize {
        self.found_programs.started(priority)
    }

    /// Whether a program's thread was started.
    pub fn is_started(&self, program: ProgramId) -> bool {
        self.program(program).is_some_and(|program| program.priority.get().is_some())
    }

    /// Says that the message which is served now came from a thread in this space, as a fault: from
    /// its program's first one, where it is not said which. Or that it is nobody's.
    pub fn note_fault(&mut self, space: Option<SpaceId>, thread: Option<ThreadId>) {
        self.late = false;
        self.current = space.and_then(|space| self.program(ProgramId(space)));
        self.current_thread = self.current.and_then(|program| {
            let id = |it: &Thread<'p>| it.parts.get().and_then(|parts| parts.id());
            match thread {
                Some(thread) => self.threads_of(program).find(|it| id(it) == Some(thread)),
                None => self.first_thread(program),
            }
        });
    }

    /// Charges the message that was served last to the program whose it was: the time from
    /// `received` to `done`. Returns that program's priority, if it had its turn: then
    /// [`Objects::hold`] is to follow. `badge` is that of the message.
    pub fn charge_time(&mut self, badge: usize, received: u64, done: u64) -> Option<u8> {
        let Some(program) = self.current else {
            return self.charge_nobody(badge, received, done);
        };
        if program.dying.get() {
            // It has ended by this message, as whose thread nobody waits for an answer.
            self.work.work(received, done);
            return None;
        }
        let mut turn = program.turn.get();
        turn.serve((received, done), self.slice, &mut self.shares);
        if turn.is_over(self.slice) {
            turn.hold(done);
        }
        program.turn.set(turn);
        let priority = program.priority.get()?;
        if self.is_busy() {
            self.works_for = self.works_for.max(Some(priority));
        }
        turn.is_over(self.slice).then_some(priority)
    }

    /// Messages that are nobody's: above a slice, the capability by which the last came ends, and
    /// the program is held that pays for it.
    fn charge_nobody(&mut self, badge: usize, received: u64, done: u64) -> Option<u8> {
        self.stray.serve((received, done), self.slice, &mut self.shares);
        if !self.stray.is_over(self.slice) {
            return None;
        }
        self.stray = Turn::default();
        let number = u32::try_from(badge ^ OBJECT_BADGE).ok();
        let node = number.and_then(|number| self.tables.capability(number))?;
        self.leave(node);
        if node.rights.get().contains(Rights::ACT) {
            // Its sender may be a thread of the program that has ended: nobody waits for an answer.
            return None;
        }
        let mut payer = node.payer.get();
        while let Some(account) = payer {
            let pays = self.found_programs.with_account(account);
            self.current = pays.filter(|program| !program.dying.get());
            if let Some(program) = self.current {
                return program.priority.get();
            }
            payer = account.payer.get();
        }
        None
    }

    /// Holds the answer of the message that was charged last. Returns the slot for the right to
    /// give it; `None` when there is none, and then it is to be given at once.
    pub fn hold(&mut self, answer: &Message, turnstile: Turnstile) -> Option<CPtr> {
        let whose = self.current?;
        let node = self.free_slot(whose)?;
        node.message.set(*answer);
        let (whose, answers, turnstile) = (whose.number(), true, turnstile.0);
        let (due, until, tells) = (Due::Later, None, None);
        self.set_held(node, Some(Held { whose, answers, turnstile, due, until, tells }));
        self.last_held = Some(node);
        Some(node.reply.get())
    }

    /// Says that nobody waits for the answer that was held last. Returns the thread that is to be
    /// suspended instead: which of the program's has sent is not known, so one after another of
    /// those that run. `None` when there is none: then somebody else sends by its capability, and
    /// it is to be ended.
    pub fn hold_thread(&mut self, turnstile: Turnstile) -> Option<CPtr> {
        if let Some(node) = self.last_held.take() {
            self.set_held(node, None);
        }
        let program = self.current?;
        let mut threads = self.threads_of(program);
        let runs = |thread: &Thread<'p>| thread.tcb().is_some() && !thread.is_blocked();
        let thread = threads.find(|thread| thread.has_slot() && runs(thread))?;
        let tcb = thread.tcb()?;
        let (answers, turnstile) = (false, turnstile.0);
        let (whose, due, until, tells) = (program.number(), Due::Later, None, None);
        drop(threads);
        self.set_held(thread, Some(Held { whose, answers, turnstile, due, until, tells }));
        Some(tcb)
    }

    /// The program whose message was served last, if it lives.
    pub fn sender_id(&self) -> Option<ProgramId> {
        self.current.filter(|program| !program.dying.get())?.space_id.get().map(ProgramId)
    }

    /// All others had their turn since what waits for this turnstile was held, at `now`: that is
    /// given by [`Objects::next_answer`] and [`Objects::next_thread`], unless it took several
    /// slices. Returns whether anything waits for it still.
    pub fn come_round(&mut self, turnstile: Turnstile, now: u64) -> bool {
        if self.rests_for == Some(turnstile) {
            self.work.came_round(now, self.slice, self.shares);
            self.rests_for = self.rests_for.filter(|_| self.work.is_over(self.slice));
        }
        let mut again = self.rests_for == Some(turnstile);
        let mut behind = ((Queue::Turnstile(turnstile.0), 0), (0, 0));
        while let Some(node) = self.queues.behind(behind) {
            behind.1 = node.key();
            let Some(held) = node.held.get() else { continue };
            let whose = self.programs.find(&held.whose).clone_pointer();
            let over = whose.is_some_and(|program| {
                let priority = program.counted.get();
                let count = priority.map_or(0, |priority| self.started_with(priority));
                let beside = || self.beside(program).map(|other| &other.turn);
                turn::come_round(&program.turn, beside, count, (now, self.slice), self.shares)
            });
            again |= over;
            match held.tells.filter(|_| !over) {
                // From now on it waits for what it has asked for.
                Some(tells) => {
                    self.set_held(node, Some(Held { turnstile: NO_TURNSTILE, ..held }));
                    self.tell_pager_of(tells.memory);
                }
                None => {
                    let due = if over { Due::Later } else { Due::Now };
                    self.set_held(node, Some(Held { due, ..held }));
                }
            }
        }
        again
    }

    /// The others of a program's priority.
    fn beside(&self, program: &Program<'p>) -> impl Iterator<Item = &'p Program<'p>> + use<'_, 'p> {
        let own = program.number();
        let all = program.counted.get().into_iter();
        let all = all.flat_map(|priority| self.found_programs.of_priority(priority));
        all.filter(move |other| other.number() != own)
    }

    /// Charges the piece of [`Objects::reap_step`] that was done from `begun` to `done`. The work
    /// has its turn as a program has that has the priority of those that ended. Returns this
    /// priority, if the turn is over: then [`Objects::rest`] is to follow.
    pub fn charge_work(&mut self, begun: u64, done: u64) -> Option<u8> {
        self.work.work(begun, done);
        let resting = self.rests_for.is_some();
        self.works_for.filter(|_| !resting && self.work.is_over(self.slice))
    }

    /// Has [`Objects::reap_step`] wait for this turnstile.
    pub fn rest(&mut self, turnstile: Turnstile) {
        self.rests_for = Some(turnstile);
    }

    /// The priority of the work that is left, if it can wait until others had a turn: as it is to
    /// where a request has begun it, whose sender has the answer first. Then [`Objects::rest`] is
    /// to follow.
    pub fn works_later(&self) -> Option<u8> {
        self.works_for.filter(|_| self.rests_for.is_none() && !self.is_urgent())
    }

    /// Whether [`Objects::reap_step`] is to wait until others had their turn. It never is while a
    /// thread of a program that ended may run.
    pub fn rests(&self) -> bool {
        self.rests_for.is_some() && !self.is_urgent()
    }

    /// The next thread that goes on, of those that were suspended.
    pub fn next_thread(&mut self) -> Option<CPtr> {
        if let Some(tcb) = self.next_going_on().or_else(|| self.next_resumed()) {
            return Some(tcb);
        }
        let thread = self.queues.first_due(Queue::Threads)?;
        self.set_held(thread, None);
        thread.tcb()
    }

    /// The next answer that was held and is given now, with the slot of the right to give it.
    pub(super) fn next_held(&mut self) -> Option<(CPtr, Message)> {
        let thread = self.queues.first_due(Queue::Answers)?;
        self.set_held(thread, None);
        Some((thread.reply.get(), thread.message.get()))
    }

    /// A program ends: whoever waits for an answer by its capability has it, but its own threads.
    pub(super) fn end_held(&mut self, program: &'p Program<'p>) {
        let number = program.number();
        // What is in its own slots waits for the end of its threads.
        let mut next = self.first_thread(program);
        while let Some(thread) = next {
            self.keep_till_end(thread, number, Refusal::Gone { place: 0 });
            next = self.thread_behind(thread);
        }
        self.mark_due(number);
    }

    /// A thread ends: what is in its slot waits for that, as its own right to be answered goes
    /// then. A request that waits by it waits on by an empty slot of its program's; without one it
    /// is refused so.
    pub(super) fn keep_till_end(&mut self, thread: &'p Thread<'p>, whose: u32, why: Refusal) {
        let mut held = thread.held.get();
        if thread.waiting.get().is_some() && !self.wait_elsewhere(thread) {
            self.wait_no_more(thread);
            thread.message.set(why.encode());
            let (answers, turnstile, until, tells) = (true, NO_TURNSTILE, None, None);
            held = Some(Held { whose, answers, turnstile, due: Due::AtEnd, until, tells });
        }
        let at_end = |held: Held| match held.due {
            Due::Now => Held { due: Due::AtEnd, ..held },
            Due::Later | Due::AtEnd => held,
        };
        self.set_held(thread, held.map(at_end));
    }

    /// The thread is gone. Returns whether its slot keeps somebody else's answer still, which
    /// [`Objects::next_answer`] has to give first.
    pub(super) fn give_last_held(&mut self, thread: &'p Thread<'p>) -> bool {
        let Some(held @ Held { answers: true, .. }) = thread.held.get() else {
            self.set_held(thread, None);
            return false;
        };
        // Who sleeps by this slot has not slept for as long as it said, and without a clock it
        // sleeps by no other; who waits to be told of a page was told of none.
        let later = held.due == Due::Later;
        let early = later && held.is_asked_for();
        let waits = later && (held.until.is_none() || self.time.is_some());
        if waits && self.hand_over(thread, held) {
            return false;
        }
        let why = match self.time {
            None if held.until.is_some() => Refusal::NoClock {},
            _ => Refusal::TooManyWaiting { most: self.places() },
        };
        if early {
            thread.message.set(held.in_vain(why));
        }
        self.set_held(thread, Some(Held { due: Due::Now, tells: None, ..held }));
        true
    }

    /// How many threads have a slot that can keep a right to answer.
    pub(super) fn places(&self) -> u32 {
        self.queues.places()
    }

    /// Marks what is held of a program as to be given now.
    fn mark_due(&mut self, whose: u32) {
        let mut behind = (0, 0);
        while let Some(node) = self.queues.next_of(whose, behind) {
            behind = node.key();
            // The slot of one that ends is another's to give.
            if let Some(held) = node.held.get().filter(|_| !node.is_ending()) {
                self.give_now(node, held);
            }
        }
    }

    /// I24: what is held is of a program that lives, or is given now. What is given later has a time
    /// or a turnstile, what is given at an end has that. A slot keeps one right to answer.
    pub(super) fn validate_held(&self) -> Result<(), Violation> {
        for node in self.threads.iter() {
            let Some(held) = node.held.get() else { continue };
            let at = node.program_number() as usize;
            let lives = self.programs.find(&held.whose).get().is_some_and(|it| !it.dying.get());
            if !lives && held.due == Due::Later && !node.is_ending() {
                return Err(Violation { rule: "what is held is of a program that lives", at });
            }
            if held.due == Due::AtEnd && !node.is_ending() {
                return Err(Violation { rule: "what is kept till an end has one", at });
            }
            let waits = held.is_asked_for() || held.turnstile != NO_TURNSTILE;
            if held.due == Due::Later && !waits {
                return Err(Violation { rule: "what is given later has what it waits for", at });
            }
            if node.waiting.get().is_some() {
                return Err(Violation { rule: "a slot keeps one right to answer", at });
            }
        }
        Ok(())
    }

    /// The thread with a control block: mostly one that a request has the server act upon.
    pub(super) fn thread_with_tcb(&self, tcb: CPtr) -> Option<&'p Thread<'p>> {
        let is = |thread: &Thread<'p>| thread.tcb() == Some(tcb);
        self.last_acted.filter(|thread| is(thread)).or_else(|| self.find_thread(is))
    }
}
