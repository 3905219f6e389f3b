//! Where the faults of threads are answered: an endpoint, and the manager's handler fed from our loop.

use alloc::boxed::Box;
use alloc::rc::Rc;
use core::cell::Cell;

use roottask::{Manager, Outcome};
use sel4::{cap, sys, MessageInfo, MessageInfoBuilder, Word};
use vmm::sel4_faults::{answer_kept, FaultHandler, Incident, ThreadFault, Verdict, PAGER_BADGE};
use vmm::service::protocol::{self, MOST_WORDS};
use vmm::{Blueprint, CPtr, Error, FaultClass, Object, ThreadId};

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

/// The first words of a message, taken out of the IPC buffer: the serial line and the clock use it too.
struct Words([Word; WORDS]);

/// The longest message that is looked at, and a word more.
const WORDS: usize = 1 + MOST_WORDS;

impl Words {
    fn take() -> Words {
        let mut words = Words([0; WORDS]);
        sel4::with_ipc_buffer(|buffer| {
            let count = words.0.len();
            words.0.copy_from_slice(&buffer.msg_regs()[..count]);
        });
        words
    }

    fn put_back(&self) {
        sel4::with_ipc_buffer_mut(|buffer| {
            buffer.msg_regs_mut()[..self.0.len()].copy_from_slice(&self.0);
        });
    }
}

/// What is to be answered.
pub struct Answer(MessageInfo, Words);

impl Answer {
    /// Nothing: a thread that has faulted goes on.
    pub fn empty() -> Answer {
        Answer(MessageInfoBuilder::default().build(), Words([0; WORDS]))
    }

    /// What the service answers.
    pub fn new(message: &protocol::Message) -> Answer {
        let mut words = Words([0; WORDS]);
        words.0[..message.words().len()].copy_from_slice(message.words());
        let info = MessageInfoBuilder::default().label(message.label());
        Answer(info.length(message.words().len()).build(), words)
    }

    /// Answers whom a slot keeps the right to answer.
    pub fn send_kept(self, slot: CPtr) {
        let Answer(info, words) = self;
        words.put_back();
        answer_kept(slot, info);
    }
}

/// A message as it came.
pub struct Message {
    /// What it is.
    pub info: MessageInfo,
    /// Whose.
    pub badge: usize,
    words: Words,
}

impl Message {
    fn new((info, badge): (MessageInfo, Word)) -> Message {
        Message { info, badge: badge as usize, words: Words::take() }
    }

    /// Its words. Of one that is too long for any purpose, the first.
    pub fn words(&self) -> &[Word] {
        &self.words.0[..self.info.length().min(WORDS)]
    }

    /// Answers whoever waits for it, and waits for the next message.
    pub fn receive(endpoint: cap::Endpoint, answer: Option<Answer>) -> Message {
        Message::new(match answer {
            Some(Answer(info, words)) => {
                words.put_back();
                endpoint.reply_recv(info, ())
            }
            None => endpoint.recv(()),
        })
    }

    /// Answers whoever waits for it. Then everybody runs who has a higher priority; if that brings no
    /// message, and everybody has, nobody will send any.
    pub fn poll(endpoint: cap::Endpoint, answer: Option<Answer>) -> Option<Message> {
        if let Some(Answer(info, words)) = answer {
            words.put_back();
            sel4::with_ipc_buffer_mut(|buffer| sel4::reply(buffer, info));
        }
        let received = endpoint.nb_recv(());
        (received.1 != 0).then(|| Message::new(received))
    }

    fn kind(&self) -> Kind {
        match self.badge & PAGER_BADGE != 0 {
            true => Kind::PagerCall,
            false if self.info.label() == sys::seL4_Fault_VMFault => Kind::ThreadFault,
            false => Kind::ThreadEnd,
        }
    }
}

/// What became of a message.
pub struct Handled {
    /// What to answer to its sender.
    pub answer: Option<Answer>,
    /// What was told of a thread that was stopped: the sender, or one whose pager refused.
    pub incident: Option<Note>,
}

/// An endpoint for faults and its handler. Whoever cannot go on is stopped.
pub struct Desk {
    endpoint: Object,
    handler: FaultHandler<Policy>,
    note: Rc<Cell<Option<Note>>>,
}

impl Desk {
    /// A desk at which nothing was answered yet.
    pub fn open(stress: &mut Stress) -> Outcome<Option<Desk>> {
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
        Ok(Some(Desk { endpoint, handler, note }))
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
        cap::Endpoint::from_bits(self.endpoint.slot().bits() as Word)
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
            message.words.put_back();
            let answer = handler.handle(vmm, &message.info, message.badge as Word);
            let answer = answer.map(|info| Answer(info, Words::take()));
            match note.get().and_then(|note| note.error) {
                Some(error) => Err(error),
                None => Ok(answer),
            }
        })?;
        Ok(Handled { answer: answer.flatten(), incident: self.take_note() })
    }

    /// Gives it up, with its pagers.
    pub fn close(self, stress: &mut Stress) -> Outcome {
        let Desk { endpoint, handler, .. } = self;
        stress.must(Kind::RemovePager, |vmm| handler.release(vmm))?;
        stress.must(Kind::Free, |vmm| vmm.free(endpoint))
    }
}
