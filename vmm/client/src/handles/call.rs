// SPDX-License-Identifier: BSD-2-Clause
//! One request with its capabilities, one answer.

use sel4::{cap, MessageInfoBuilder, Word};

use super::error::{Error, Result};
use super::slots::{free_slot, take_slot};
use crate::objects::{answer_or_refusal, Answer, Refusal, Request, MAX_CAPABILITIES, PROGRAM_SLOT};
use crate::types::limits::MAX_WORDS;

/// The greatest number of an error of the kernel's: such a label is no answer of the service.
const MAX_KERNEL_ERROR: u64 = 15;

/// Sends any message, with the capabilities in these slots, and returns the answer's label and
/// words: for tests of the service. Words and slots beyond what a message has are left out.
pub fn send_raw(label: u32, words: &[usize], slots: &[u32]) -> (u64, usize, [usize; MAX_WORDS]) {
    let words = &words[..words.len().min(sel4::NUM_MESSAGE_REGISTERS)];
    let slots = &slots[..slots.len().min(MAX_CAPABILITIES)];
    sel4::with_ipc_buffer_mut(|buffer| {
        for (place, &word) in buffer.msg_regs_mut().iter_mut().zip(words) {
            *place = word as Word;
        }
        for (place, &slot) in buffer.caps_or_badges_mut().iter_mut().zip(slots) {
            *place = slot as Word;
        }
    });
    let info = MessageInfoBuilder::default().label(label as Word).length(words.len());
    let program = cap::Endpoint::from_bits(PROGRAM_SLOT as Word);
    let answer = program.call(info.extra_caps(slots.len()).build());
    let length = answer.length().min(MAX_WORDS);
    let mut words = [0; MAX_WORDS];
    sel4::with_ipc_buffer(|buffer| {
        for (word, &place) in words[..length].iter_mut().zip(buffer.msg_regs()) {
            *word = place as usize;
        }
    });
    (answer.label() as u64, length, words)
}

/// Sends a request with the capabilities in these slots.
pub(super) fn call(request: &Request, slots: &[u32]) -> Result<Answer> {
    let (message, name) = (request.encode(), request.name());
    let (label, length, words) = send_raw(message.label(), message.words(), slots);
    if label <= MAX_KERNEL_ERROR {
        return Err(Error::Kernel { request: name, error: label as u32 });
    }
    let answer = answer_or_refusal(label as u32, &words[..length]);
    let answer = answer.map_err(|_| Error::Answer { request: name })?;
    answer.map_err(|refusal| {
        let mut sent = [0; MAX_CAPABILITIES];
        sent.iter_mut().zip(slots).for_each(|(place, &slot)| *place = slot);
        Error::Refused { request: name, slots: sent, refusal }
    })
}

/// Sends a request that is answered with [`Answer::Done`], and again while there is more to do.
pub(super) fn finish(request: &Request, slots: &[u32]) -> Result {
    let mut again = false;
    loop {
        match call(request, slots) {
            Ok(Answer::Done {}) => return Ok(()),
            Ok(Answer::More {}) => again = true,
            Ok(_) => return Err(Error::Answer { request: request.name() }),
            // The rest was done meanwhile, and the capability went with it.
            Err(error) if again => match error.refusal() {
                Some(Refusal::NoCapability { .. } | Refusal::Gone { .. }) => return Ok(()),
                _ => return Err(error),
            },
            Err(error) => return Err(error),
        }
    }
}

/// Sends a request that puts a new capability into a slot, and returns the slot.
pub(super) fn into_slot(request: impl Fn(u32) -> Request, slots: &[u32]) -> Result<u32> {
    let slot = take_slot()?;
    let request = request(slot);
    let made = loop {
        match call(&request, slots) {
            Ok(Answer::Done {}) => break Ok(slot),
            Ok(Answer::More {}) => {}
            Ok(_) => break Err(Error::Answer { request: request.name() }),
            Err(error) => break Err(error),
        }
    };
    if made.is_err() {
        free_slot(slot);
    }
    made
}
