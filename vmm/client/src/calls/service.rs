// SPDX-License-Identifier: BSD-2-Clause
//! The service's endpoint: one request, one answer.

use sel4::{cap, MessageInfoBuilder, Word};

use super::error::{Error, Result};
use crate::protocol::{Answer, Refusal, RegionHandle, Request, MAX_WORDS, SERVICE_SLOT};

/// A region of memory that the service made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Memory {
    /// Names the region in requests.
    pub handle: RegionHandle,
    /// The address of its first page after the guard below.
    pub first: usize,
    /// Its pages, without guards.
    pub pages: u32,
}

/// A further thread of this program: the address of its IPC buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Thread(pub usize);

/// The service, which this client reaches through the endpoint in [`SERVICE_SLOT`].
#[derive(Clone, Copy, Debug)]
pub struct Service(cap::Endpoint);

impl Default for Service {
    fn default() -> Self {
        Service(cap::Endpoint::from_bits(SERVICE_SLOT as Word))
    }
}

impl Service {
    /// Sends any message and returns the answer: for tests of the service. `capabilities` are the
    /// CPtrs of up to three capabilities to send with it; more are left out, as are words beyond
    /// the message registers.
    pub fn send_raw(
        &self,
        label: u32,
        words: &[usize],
        capabilities: &[Word],
    ) -> Result<core::result::Result<Answer, Refusal>> {
        let words = &words[..words.len().min(sel4::NUM_MESSAGE_REGISTERS)];
        let capabilities = &capabilities[..capabilities.len().min(3)];
        sel4::with_ipc_buffer_mut(|buffer| {
            for (place, &word) in buffer.msg_regs_mut().iter_mut().zip(words) {
                *place = word as Word;
            }
            buffer.caps_or_badges_mut()[..capabilities.len()].copy_from_slice(capabilities);
        });
        let info = MessageInfoBuilder::default()
            .label(label as Word)
            .length(words.len())
            .extra_caps(capabilities.len());
        let answer = self.0.call(info.build());
        let length = answer.length().min(MAX_WORDS);
        let mut words = [0; MAX_WORDS];
        sel4::with_ipc_buffer(|buffer| {
            for (word, &place) in words[..length].iter_mut().zip(buffer.msg_regs()) {
                *word = place as usize;
            }
        });
        // A label has 20 bits.
        Ok(Answer::parse(answer.label() as u32, &words[..length])?)
    }

    /// Sends one request and returns the answer.
    pub fn call(&self, request: &Request) -> Result<Answer> {
        let message = request.encode();
        Ok(self.send_raw(message.label(), message.words(), &[])??)
    }

    /// Sends a request that is answered with [`Answer::Done`].
    pub(super) fn done(&self, request: &Request) -> Result {
        match self.call(request)? {
            Answer::Done => Ok(()),
            _ => Err(Error::Answer),
        }
    }

    /// Sends a request that is answered with [`Answer::Region`].
    pub(super) fn region(&self, request: &Request) -> Result<Memory> {
        match self.call(request)? {
            Answer::Region { handle, first, pages } => Ok(Memory { handle, first, pages }),
            _ => Err(Error::Answer),
        }
    }

    /// Sends a request that is answered with [`Answer::Ticket`].
    pub(super) fn ticket(&self, request: &Request) -> Result<u32> {
        match self.call(request)? {
            Answer::Ticket(ticket) => Ok(ticket),
            _ => Err(Error::Answer),
        }
    }

    /// Sends a request that is answered with [`Answer::Address`].
    pub(super) fn address(&self, request: &Request) -> Result<usize> {
        match self.call(request)? {
            Answer::Address(address) => Ok(address),
            _ => Err(Error::Answer),
        }
    }
}
