// SPDX-License-Identifier: BSD-2-Clause
//! Messages of threads, taken out of the IPC buffer, and answers to them.

use sel4::{cap, sys, MessageInfo, MessageInfoBuilder, Word};
use vmm::sel4::faults::{answer_kept, PAGER_BADGE};
use vmm::CPtr;
use vmm_service::protocol::{self, MAX_WORDS};

use crate::measure::Kind;

/// The first words of a message, taken out of the IPC buffer: the serial line and the clock use it
/// too.
struct Words([usize; WORDS]);

/// The longest message that is looked at, and a word more.
const WORDS: usize = 1 + MAX_WORDS;

impl Words {
    fn take() -> Words {
        let mut words = Words([0; WORDS]);
        sel4::with_ipc_buffer(|buffer| {
            for (word, &place) in words.0.iter_mut().zip(buffer.msg_regs()) {
                *word = place as usize;
            }
        });
        words
    }

    fn set_words(&self) {
        sel4::with_ipc_buffer_mut(|buffer| {
            for (place, &word) in buffer.msg_regs_mut().iter_mut().zip(&self.0) {
                *place = word as Word;
            }
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

    /// The answer that the handler has put into the IPC buffer.
    pub fn take(info: MessageInfo) -> Answer {
        Answer(info, Words::take())
    }

    /// What the service answers.
    pub fn new(message: &protocol::Message) -> Answer {
        let mut words = Words([0; WORDS]);
        words.0[..message.words().len()].copy_from_slice(message.words());
        let info = MessageInfoBuilder::default().label(message.label() as Word);
        Answer(info.length(message.words().len()).build(), words)
    }

    /// Answers whom a slot keeps the right to answer.
    pub fn send_kept(self, slot: CPtr) {
        let Answer(info, words) = self;
        words.set_words();
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
    pub fn words(&self) -> &[usize] {
        &self.words.0[..self.info.length().min(WORDS)]
    }

    /// Answers whoever waits for it, and waits for the next message.
    pub fn receive(endpoint: cap::Endpoint, answer: Option<Answer>) -> Message {
        Message::new(match answer {
            Some(Answer(info, words)) => {
                words.set_words();
                endpoint.reply_recv(info, ())
            }
            None => endpoint.recv(()),
        })
    }

    /// Answers whoever waits for it. Then everybody runs who has a higher priority; if that brings
    /// no message, and everybody has, nobody will send any.
    pub fn poll(endpoint: cap::Endpoint, answer: Option<Answer>) -> Option<Message> {
        if let Some(Answer(info, words)) = answer {
            words.set_words();
            sel4::with_ipc_buffer_mut(|buffer| sel4::reply(buffer, info));
        }
        let received = endpoint.nb_recv(());
        (received.1 != 0).then(|| Message::new(received))
    }

    /// Sets its words in the IPC buffer, where the handler reads them.
    pub fn set_words(&self) {
        self.words.set_words();
    }

    /// The operation that an answer to it counts as.
    pub fn kind(&self) -> Kind {
        match self.badge & PAGER_BADGE != 0 {
            true => Kind::PagerCall,
            false if self.info.label() == sys::seL4_Fault_VMFault => Kind::ThreadFault,
            false => Kind::ThreadEnd,
        }
    }
}
