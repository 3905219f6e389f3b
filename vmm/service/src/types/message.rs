// SPDX-License-Identifier: BSD-2-Clause
//! A message of a client, and what came of it.

use vmm::{CPtr, PageFault, ThreadId};
use vmm_client::protocol::{Answer, Line, Message, Refusal};

use crate::types::ids::ClientId;
use crate::types::program::Start;

/// A message from a client, as the kernel delivered it.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    /// The badge.
    pub badge: usize,
    /// The label of its message info.
    pub label: u32,
    /// Its words.
    pub words: &'a [usize],
    /// Capabilities that came with it, unwrapped ones included.
    pub capabilities: usize,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    /// What to answer. Without it (and without `keep`) the sender is gone, or was never there: do
    /// not answer.
    pub answer: Option<Message>,
    /// What a server may want to know of.
    pub event: Option<Event>,
    /// The sender is answered later: put the right to answer it into this empty slot
    /// (`CNode_SaveCaller`). There is no answer then.
    pub keep: Option<CPtr>,
}

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A client has a line for people.
    Said(ClientId, Line),
    /// A client has ended itself, with this code.
    Exited(ClientId, u32),
    /// A client was ended by its parent.
    Killed(ClientId),
    /// A further thread of a client's has ended itself.
    ThreadEnded(ClientId),
    /// A client has a further thread, which does not run yet: write its registers and set it going.
    Thread {
        /// The client.
        client: ClientId,
        /// What its registers are to be.
        start: Start,
        /// A word for it.
        argument: usize,
    },
}

/// What a server is to do for clients other than the one it answers; see
/// [`crate::Service::next_deferred`].
// One exists at a time, and a message is most of them.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Copy, Debug)]
pub enum Deferred {
    /// Answer whom this slot keeps the right to answer: a thread that faulted, with an empty
    /// message; a pager that waited, with this one.
    Answer {
        /// The slot. The service takes it back when it is asked again.
        slot: CPtr,
        /// What to say.
        message: Option<Message>,
    },
    /// A thread's fault is not resolved: treat it as any other. It is not answered any more.
    Unresolved {
        /// The thread.
        thread: ThreadId,
        /// Its fault.
        fault: PageFault,
        /// Why, if it was not its pager that refused or ended.
        error: Option<vmm::Error>,
    },
}

impl Outcome {
    /// An answer and nothing else.
    pub(crate) fn answer(answer: Result<Answer, Refusal>) -> Outcome {
        let message = match answer {
            Ok(answer) => answer.encode(),
            Err(refusal) => refusal.encode(),
        };
        Outcome { answer: Some(message), ..Outcome::default() }
    }

    /// The same, and something that a server may want to know of.
    pub(crate) fn with(self, event: Event) -> Outcome {
        Outcome { event: Some(event), ..self }
    }
}
