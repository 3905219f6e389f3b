// SPDX-License-Identifier: BSD-2-Clause
//! The loop.

use sel4::{MessageInfo, MessageInfoBuilder};
use vmm::sel4::faults::{answer_kept, keep_caller, receive, Manager, Received, ThreadFault};
use vmm::ThreadId;
use vmm_client::protocol::{Message, MAX_WORDS};

use crate::server::clients::Server;
use crate::server::exchange::{put_words, take_words, tell_fault};
use crate::server::report::{End, Notice, ServerError};
use crate::types::ids::CLIENT_BADGE;
use crate::types::message::{Deferred, Event, Incoming};

impl Server {
    /// Serves until every client that was started has ended, and all that is given back which
    /// clients had that ended, started or not.
    ///
    /// # Errors
    /// [`ServerError`]: what the kernel refuses of giving back, or of starting a thread.
    pub fn run(&mut self, vmm: &mut Manager) -> Result<(), ServerError> {
        let mut answer: Option<MessageInfo> = None;
        // A client may have ended since: its program was refused.
        let mut busy = true;
        while busy || self.has_running() {
            let (info, badge) = match (answer.take(), busy) {
                (Some(answer), false) => self.endpoint.reply_recv(answer, ()),
                (None, false) => self.endpoint.recv(()),
                (answer, true) => {
                    if let Some(answer) = answer {
                        sel4::with_ipc_buffer_mut(|buffer| sel4::reply(buffer, answer));
                    }
                    busy = self.service.reap_step(vmm)?;
                    self.do_deferred(vmm)?;
                    self.endpoint.nb_recv(())
                }
            };
            if badge != 0 {
                answer = self.answer(vmm, &info, badge as usize)?;
                busy |= answer.is_none() || vmm.compaction_is_due();
            }
        }
        Ok(())
    }

    /// Answers one message; `None` when its sender is not to go on, or not yet.
    fn answer(
        &mut self,
        vmm: &mut Manager,
        info: &MessageInfo,
        badge: usize,
    ) -> Result<Option<MessageInfo>, ServerError> {
        if badge & CLIENT_BADGE == 0 {
            let resolved = self.fault(vmm, info, badge)?;
            self.do_deferred(vmm)?;
            return Ok(resolved.then(|| MessageInfoBuilder::default().build()));
        }
        let mut words = [0; MAX_WORDS + 1];
        // One word too many is enough to be refused.
        let message = Incoming {
            badge,
            // It has 20 bits.
            label: info.label() as u32,
            words: take_words(info, &mut words),
            capabilities: info.extra_caps(),
        };
        let outcome = self.service.handle(vmm, &message);
        self.counts.requests += 1;
        if let Some(slot) = outcome.keep {
            keep_caller(vmm, slot)?;
        }
        match outcome.event {
            Some(Event::Said(client, line)) => {
                let name = self.service.name(client).unwrap_or_default();
                (self.options.report)(&Notice::Said { name: name.as_str(), line: &line });
            }
            Some(Event::Exited(client, code)) => self.note_end(client, End::Exited(code)),
            Some(Event::Killed(client)) => self.note_end(client, End::Killed),
            Some(Event::Thread { start, argument, .. }) => self.set_going(&start, argument)?,
            Some(Event::ThreadEnded(_)) | None => {}
        }
        self.do_deferred(vmm)?;
        Ok(outcome.answer.as_ref().map(|message| self.put(message)))
    }

    /// Does what was deferred, for others than the one whose message came.
    #[inline(always)]
    fn do_deferred(&mut self, vmm: &mut Manager) -> Result<(), ServerError> {
        match self.service.has_deferred() {
            true => self.do_all_deferred(vmm),
            false => Ok(()),
        }
    }

    #[inline(never)]
    fn do_all_deferred(&mut self, vmm: &mut Manager) -> Result<(), ServerError> {
        while let Some(deferred) = self.service.next_deferred(vmm)? {
            match deferred {
                Deferred::Answer { slot, message } => {
                    let answer = match message {
                        Some(message) => self.put(&message),
                        // A thread that waited for its page.
                        None => {
                            self.counts.resolved += 1;
                            MessageInfoBuilder::default().build()
                        }
                    };
                    answer_kept(slot, answer);
                }
                Deferred::Unresolved { thread, fault, error } => {
                    self.unresolved(vmm, thread, ThreadFault::Page(fault), error, error.is_none())?
                }
            }
        }
        Ok(())
    }

    /// Puts an answer into the IPC buffer, and counts it.
    fn put(&mut self, message: &Message) -> MessageInfo {
        self.counts.refused += u64::from(message.is_refusal());
        put_words(message.label(), message.words())
    }

    /// Takes a fault; says whether its thread is to be answered at once. A client has a capability
    /// to its fault endpoint too, so this may be a message of its own making: then it is one about
    /// its own thread at the worst.
    fn fault(
        &mut self,
        vmm: &mut Manager,
        info: &MessageInfo,
        badge: usize,
    ) -> Result<bool, ServerError> {
        let (thread, fault, error) = match receive(vmm, info, badge) {
            Received::Resolved => {
                self.counts.resolved += 1;
                return Ok(true);
            }
            // Nobody waits for an answer.
            Received::Nothing => return Ok(false),
            Received::Unresolved { thread, fault, error } => (thread, fault, error),
            Received::AskPager { thread, fault, token, page } => {
                let asked = self.service.ask_pager(vmm, thread, fault, token, page);
                match asked {
                    Ok(Some(slot)) => {
                        keep_caller(vmm, slot)?;
                        return Ok(false);
                    }
                    Ok(None) => (thread, ThreadFault::Page(fault), None),
                    Err(error) => (thread, ThreadFault::Page(fault), Some(error)),
                }
            }
        };
        self.unresolved(vmm, thread, fault, error, false)?;
        Ok(false)
    }

    /// Reports a fault that cannot be resolved, and ends the client whose it is.
    fn unresolved(
        &mut self,
        vmm: &mut Manager,
        thread: ThreadId,
        fault: ThreadFault,
        error: Option<vmm::Error>,
        refused_by_pager: bool,
    ) -> Result<(), ServerError> {
        let what = (fault, error, refused_by_pager);
        let space = tell_fault(self.options.report, vmm, thread, what);
        self.counts.unresolved += 1;
        if let Some(client) = space.and_then(|space| self.service.client_in(space)) {
            self.service.kill(client)?;
            self.note_end(client, End::Fault);
        }
        Ok(())
    }
}
