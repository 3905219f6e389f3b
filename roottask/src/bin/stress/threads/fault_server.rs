// SPDX-License-Identifier: BSD-2-Clause
//! The server of the faults of threads: an endpoint, and the manager's handler fed from our loop.

use alloc::boxed::Box;
use alloc::rc::Rc;
use core::cell::Cell;

use roottask::{Manager, Outcome};
use sel4::{cap, Word};
use vmm::sel4::faults::{FaultHandler, Incident, ThreadFault, Verdict};
use vmm::{Blueprint, CPtr, Error, FaultClass, Object, ThreadId};

use super::message::{Answer, Message};
use crate::engine::Stress;
use crate::measure::Kind;

type Policy = Box<dyn FnMut(&mut Manager, &Incident<'_>) -> Verdict>;

/// What the handler's policy was told of a thread that was stopped.
#[derive(Clone, Copy, Debug)]
pub struct Note {
    /// The thread.
    pub thread: ThreadId,
    /// What it did.
    pub fault: ThreadFault,
    /// What the report says of a page fault.
    pub class: Option<FaultClass>,
    /// Why a fault that could be resolved was not.
    pub error: Option<Error>,
    /// Whether its pager refused.
    pub refused_by_pager: bool,
}

/// What became of a message.
pub struct Handled {
    /// What to answer to its sender.
    pub answer: Option<Answer>,
    /// What was told of a thread that was stopped: the sender, or one whose pager refused.
    pub incident: Option<Note>,
}

/// An endpoint for faults and its handler. Whoever cannot go on is stopped.
pub struct FaultServer {
    endpoint: Object,
    handler: FaultHandler<Policy>,
    note: Rc<Cell<Option<Note>>>,
}

impl FaultServer {
    /// Makes the endpoint and its handler.
    pub fn open(stress: &mut Stress) -> Outcome<Option<FaultServer>> {
        let endpoint = stress.attempt(Kind::Allocate, |vmm| vmm.allocate(Blueprint::Endpoint))?;
        let Some(endpoint) = endpoint else { return Ok(None) };
        let note = Rc::new(Cell::new(None));
        let told = note.clone();
        let policy: Policy = Box::new(move |_, incident| {
            told.set(Some(Note {
                thread: incident.id,
                fault: incident.fault,
                class: incident.report.as_ref().map(|report| report.class),
                error: incident.error,
                refused_by_pager: incident.refused_by_pager,
            }));
            Verdict::Suspend
        });
        let handler = FaultHandler::new(endpoint.slot(), policy);
        Ok(Some(FaultServer { endpoint, handler, note }))
    }

    /// What threads are registered with.
    pub fn endpoint(&self) -> CPtr {
        self.endpoint.slot()
    }

    /// The handler, for what is not a message.
    pub fn handler(&mut self) -> &mut FaultHandler<Policy> {
        &mut self.handler
    }

    /// What the policy was told since it was last asked.
    pub fn take_note(&self) -> Option<Note> {
        self.note.take()
    }

    fn receiver(&self) -> cap::Endpoint {
        self.endpoint.cap()
    }

    /// As [`Message::receive`].
    pub fn receive(&self, answer: Option<Answer>) -> Message {
        Message::receive(self.receiver(), answer)
    }

    /// As [`Message::poll`].
    pub fn poll(&self, answer: Option<Answer>) -> Option<Message> {
        Message::poll(self.receiver(), answer)
    }

    /// Has the handler look at a message: one operation.
    pub fn handle(&mut self, stress: &mut Stress, message: &Message) -> Outcome<Handled> {
        let (handler, note) = (&mut self.handler, &self.note);
        let answer = stress.attempt(message.kind(), |vmm| {
            message.set_words();
            let answer = handler.handle(vmm, &message.info, message.badge as Word);
            let answer = answer.map(Answer::take);
            match note.get().and_then(|note| note.error) {
                Some(error) => Err(error),
                None => Ok(answer),
            }
        })?;
        Ok(Handled { answer: answer.flatten(), incident: self.take_note() })
    }

    /// Gives it up, with its pagers.
    pub fn close(self, stress: &mut Stress) -> Outcome {
        let FaultServer { endpoint, handler, .. } = self;
        stress.must(Kind::RemovePager, |vmm| handler.release(vmm))?;
        stress.must(Kind::Free, |vmm| vmm.free(endpoint))
    }
}
