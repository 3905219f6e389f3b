// SPDX-License-Identifier: BSD-2-Clause
//! The server's loop: requests and faults come to one endpoint, told apart by their badges.
//!
//! ```text
//!   wait ──► badge of an object?  Objects::handle ─► the answer ─────────────────────────────┐
//!    ▲       badge of a thread?   faults::receive ─► answered when its page is there; or kill ─┤
//!    └────── nothing left of what ended  ◄─────────────────────────────────────────────────────┘
//!            otherwise: a piece of that work, then look whether somebody called
//! ```
//!
//! What programs send cannot end the loop: it returns when one has ended, and when none is left.

use sel4::{cap, MessageInfo, MessageInfoBuilder, Word};
use vmm::sel4::faults::{
    answer_kept, keep_caller, receive, report, Manager, Received, ThreadFault,
};
use vmm::{CPtr, Rights, ThreadId};
use vmm_client::objects::{is_refusal, Amounts, Message, MAX_CAPABILITIES};

use super::service::{Objects, MAX_BADGE};
use super::types::{Arrived, Event, Incoming, NewProgram, ProgramId, OBJECT_BADGE};
use crate::server::exchange::{put_words, set_going, take_words};
use crate::server::{Counts, End, Notice, ServerError};
use crate::types::program::Start;

/// One word more than any message has: enough to be refused.
const WORDS: usize = vmm_client::protocol::MAX_WORDS + 1;

/// How a server works.
#[derive(Clone, Copy)]
pub struct Options {
    /// Tells people something; called between a message and its answer.
    pub report: fn(&Notice<'_>),
}

impl Options {
    /// Prints all that there is to tell, for debugging.
    pub const fn printing() -> Options {
        Options { report: |notice| sel4::debug_print!("{notice}") }
    }
}

impl Default for Options {
    /// Tells nobody anything.
    fn default() -> Options {
        Options { report: |_| {} }
    }
}

/// A server of programs: the service of objects, and the loop that answers at its endpoint.
pub struct Server {
    endpoint: cap::Endpoint,
    objects: Objects<'static>,
    /// The slot that takes a capability which is not the service's.
    foreign: CPtr,
    /// Programs that were started and have not ended.
    running: usize,
    /// What ended and was not told yet.
    ended: Option<(ProgramId, End)>,
    options: Options,
    counts: Counts,
}

impl Server {
    /// A server without programs at this endpoint, whose accounts together may use `amounts`.
    ///
    /// # Errors
    /// Those of [`Objects::new`].
    pub fn new(
        vmm: &mut Manager,
        endpoint: CPtr,
        amounts: Amounts,
        options: Options,
    ) -> Result<Server, ServerError> {
        Ok(Server {
            endpoint: endpoint.cap(),
            objects: Objects::new(vmm, endpoint, amounts)?,
            foreign: vmm.alloc_slots(1)?,
            running: 0,
            ended: None,
            options,
            counts: Counts::default(),
        })
    }

    /// Makes a program, which does not run before [`Server::start`].
    ///
    /// # Errors
    /// Those of [`Objects::create_program`].
    pub fn create(
        &mut self,
        vmm: &mut Manager,
        new: &NewProgram<'_>,
    ) -> Result<(ProgramId, Start), ServerError> {
        Ok(self.objects.create_program(vmm, new)?)
    }

    /// Gives a program a capability.
    ///
    /// # Errors
    /// Those of [`Objects::give_capability`].
    pub fn give(
        &mut self,
        vmm: &mut Manager,
        program: ProgramId,
        (slot, capability): (u32, CPtr),
        rights: Rights,
    ) -> Result<(), ServerError> {
        Ok(self.objects.give_capability(vmm, program, (slot, capability), rights)?)
    }

    /// Lets a program's thread run, with this argument and a priority below the server's: so an
    /// answer is there before anybody goes on.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn start(
        &mut self,
        start: &Start,
        (priority, argument): (u8, usize),
    ) -> Result<(), ServerError> {
        set_going(start, argument, priority.into())?;
        self.running += 1;
        Ok(())
    }

    /// Serves until a program ends, and says which and how; `None` when none is left, and all is
    /// given back that they had.
    ///
    /// # Errors
    /// [`ServerError`]: what the kernel refuses of giving back.
    pub fn run(&mut self, vmm: &mut Manager) -> Result<Option<(ProgramId, End)>, ServerError> {
        let mut answer: Option<MessageInfo> = None;
        // Something may have ended since: a program that was refused.
        let mut busy = true;
        loop {
            if self.ended.is_some() || !(busy || self.running != 0) {
                if let Some(answer) = answer {
                    sel4::with_ipc_buffer_mut(|buffer| sel4::reply(buffer, answer));
                }
                return Ok(self.ended.take());
            }
            self.expect_foreign(vmm);
            let (info, badge) = match (answer.take(), busy) {
                (Some(answer), false) => self.endpoint.reply_recv(answer, ()),
                (None, false) => self.endpoint.recv(()),
                (answer, true) => {
                    if let Some(answer) = answer {
                        sel4::with_ipc_buffer_mut(|buffer| sel4::reply(buffer, answer));
                    }
                    busy = self.objects.reap_step(vmm)?;
                    self.answer_waiting(vmm);
                    self.endpoint.nb_recv(())
                }
            };
            if badge != 0 {
                answer = match badge as usize & OBJECT_BADGE {
                    0 => self.fault(vmm, &info, badge as usize)?,
                    _ => self.request(vmm, &info, badge as usize)?,
                };
                busy |= self.objects.is_busy();
            }
        }
    }

    /// Makes `most` the greatest badge, and the greatest number of anything else, from now on; or
    /// as many as there are: for tests that go through all of them.
    #[doc(hidden)]
    pub fn narrow_numbers(&mut self, most: Option<u32>) {
        self.objects.narrow_numbers(most.unwrap_or(MAX_BADGE));
    }

    /// What was counted.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The service.
    pub fn objects(&self) -> &Objects<'static> {
        &self.objects
    }

    /// Says where a capability goes that is not the service's. The slot's address changes when the
    /// manager's CSpace grows.
    fn expect_foreign(&self, vmm: &Manager) {
        let path = vmm.allocator().path(self.foreign);
        let root: cap::CNode = path.root.cap();
        let slot =
            root.absolute_cptr_from_bits_with_depth(path.index as Word, usize::from(path.depth));
        sel4::with_ipc_buffer_mut(|buffer| buffer.set_recv_slot(&slot));
    }

    fn request(
        &mut self,
        vmm: &mut Manager,
        info: &MessageInfo,
        badge: usize,
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
        if arrived.contains(&Arrived::Foreign) {
            // The slot is for the next one.
            let path = vmm.allocator().path(self.foreign);
            vmm.delete_cap(path)?;
        }
        let message = Incoming {
            badge,
            // It has 20 bits.
            label: info.label() as u32,
            words,
            capabilities: arrived,
        };
        let outcome = self.objects.handle(vmm, &message);
        self.counts.requests += 1;
        match outcome.event {
            Some(Event::Said(program, line)) => {
                let name = self.objects.name(program).unwrap_or_default();
                (self.options.report)(&Notice::Said { name: name.as_str(), line: &line });
            }
            Some(Event::Exited(program, name, code)) => {
                self.note_end(program, name.as_str(), End::Exited(code));
            }
            None => {}
        }
        if let Some(slot) = outcome.waits {
            keep_caller(vmm, slot)?;
        }
        self.answer_waiting(vmm);
        Ok(outcome.answer.as_ref().map(|message| self.put(message)))
    }

    /// Answers those whose requests waited for what has come back.
    fn answer_waiting(&mut self, vmm: &mut Manager) {
        while let Some((slot, message)) = self.objects.next_answer(vmm) {
            let answer = self.put(&message);
            answer_kept(slot, answer);
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
        badge: usize,
    ) -> Result<Option<MessageInfo>, ServerError> {
        let (thread, fault, error) = match receive(vmm, info, badge) {
            Received::Resolved => return Ok(Some(self.resolved())),
            // Nobody waits for an answer.
            Received::Nothing => return Ok(None),
            Received::Unresolved { thread, fault, error } => (thread, fault, error),
            Received::AskPager { thread, fault, token, page } => {
                match self.objects.touch(vmm, token, page) {
                    Ok(true) => return Ok(Some(self.resolved())),
                    Ok(false) => (thread, ThreadFault::Page(fault), None),
                    Err(error) => (thread, ThreadFault::Page(fault), Some(error)),
                }
            }
        };
        self.unresolved(vmm, thread, fault, error)?;
        Ok(None)
    }

    fn resolved(&mut self) -> MessageInfo {
        self.counts.resolved += 1;
        MessageInfoBuilder::default().build()
    }

    /// Reports a fault that cannot be resolved, and ends the program whose it is.
    fn unresolved(
        &mut self,
        vmm: &mut Manager,
        thread: ThreadId,
        fault: ThreadFault,
        error: Option<vmm::Error>,
    ) -> Result<(), ServerError> {
        let tell = self.options.report;
        let space = report(vmm, thread, (fault, error, false), |_, incident| {
            tell(&Notice::Fault(incident));
            incident.thread.space
        });
        self.counts.unresolved += 1;
        if let Some(program) = space.and_then(|space| self.objects.program_in(space)) {
            let name = self.objects.name(program).unwrap_or_default();
            self.objects.kill(program)?;
            self.note_end(program, name.as_str(), End::Fault);
        }
        Ok(())
    }

    /// Notes how a program ended, and tells of it.
    fn note_end(&mut self, program: ProgramId, name: &str, end: End) {
        (self.options.report)(&Notice::Ended { name, end });
        self.running = self.running.saturating_sub(1);
        self.ended = Some((program, end));
    }
}
