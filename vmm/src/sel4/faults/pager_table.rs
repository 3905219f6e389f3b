// SPDX-License-Identifier: BSD-2-Clause
//! The pagers of a handler: who they are, how they are told of a request, how they are answered.

use sel4::{cap_type, MessageInfo, MessageInfoBuilder, Word};
use untyped_alloc::CPtr;

use super::Manager;
use crate::types::error::Result;
use crate::types::fault::{Access, PageRequest};
use crate::types::ids::SpaceId;

/// The most pagers of one handler.
pub const MAX_PAGERS: usize = 16;

/// The bit that pagers' badges have and threads' have not; the others are the pager's number.
pub const PAGER_BADGE: usize = 1 << 27;

/// The label of a pager's call. All answers have label 0 and, as their first word, 0 for done or 1
/// for refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum PagerCall {
    /// Words: a ticket (0: none). Answer: the next request's ticket (0: there is none), and twice
    /// the page number, one more for a write. A ticket is two words, the lower one first.
    Next = 0x520,
    /// Words: ticket, the address of a page in the pager's space, 0 to share it or 1 to give it
    /// away.
    Supply = 0x521,
    /// Word: ticket.
    Refuse = 0x522,
}

impl PagerCall {
    /// The label of the message that tells a pager of a request: the two halves of the ticket,
    /// token, and twice the page number, one more for a write.
    pub const REQUEST_LABEL: Word = 0x523;

    pub(super) fn from_label(label: Word) -> Option<PagerCall> {
        [PagerCall::Next, PagerCall::Supply, PagerCall::Refuse]
            .into_iter()
            .find(|&call| call as Word == label)
    }
}

/// A pager.
#[derive(Clone, Copy)]
pub(super) struct Pager {
    pub token: u32,
    /// Where it is told: an endpoint or a notification.
    pub endpoint: CPtr,
    /// Its space: where the pages are that it supplies.
    pub space: SpaceId,
    /// Its capability to the handler's endpoint.
    pub calls: CPtr,
    /// The badge of the faults of its thread, if that was told.
    pub thread: Option<usize>,
}

impl Pager {
    /// Deletes its capability to the handler's endpoint, and the copies of it.
    pub fn release(self, vmm: &mut Manager) -> Result {
        vmm.end_badge(self.calls)
    }
}

/// The pagers of a handler.
pub(super) struct Pagers(pub(super) [Option<Pager>; MAX_PAGERS]);

impl Pagers {
    pub fn new() -> Pagers {
        Pagers([None; MAX_PAGERS])
    }

    fn find(&self, token: u32) -> Option<&Pager> {
        self.0.iter().flatten().find(|pager| pager.token == token)
    }

    /// The badge of the faults of the thread that calls with this badge, if it is known.
    pub fn thread_of(&self, badge: usize) -> Option<usize> {
        self.0.get(badge & !PAGER_BADGE).copied().flatten()?.thread
    }

    /// Notes which thread a pager is; says whether there is such a pager.
    pub fn note_thread(&mut self, token: u32, thread: usize) -> bool {
        let pager = self.0.iter_mut().flatten().find(|pager| pager.token == token);
        pager.map(|pager| pager.thread = Some(thread)).is_some()
    }

    pub fn has(&self, token: u32) -> bool {
        self.find(token).is_some()
    }

    /// Gives all of them up.
    pub fn release(&mut self, vmm: &mut Manager) -> Result {
        self.0.iter_mut().filter_map(Option::take).try_for_each(|pager| pager.release(vmm))
    }

    /// Tells a pager of a request, without waiting for it.
    pub fn tell(&self, request: &PageRequest) {
        let Some(pager) = self.find(request.token) else { return };
        let [low, high] = words_of(request.ticket);
        put([low, high, request.token as Word, page_word(request)]);
        let info = MessageInfoBuilder::default().label(PagerCall::REQUEST_LABEL).length(4).build();
        pager.endpoint.cap::<cap_type::Endpoint>().nb_send(info);
    }
}

/// A ticket as the words of a message.
pub(super) fn words_of(ticket: u64) -> [Word; 2] {
    [ticket as u32 as Word, (ticket >> 32) as Word]
}

/// The ticket of two words, if both are halves of one.
pub(super) fn ticket_of(low: Word, high: Word) -> Option<u64> {
    let [low, high] = [u32::try_from(low).ok()?, u32::try_from(high).ok()?];
    Some(u64::from(low) | u64::from(high) << 32)
}

/// The page that a request is for, and whether the thread was about to write.
pub(super) fn page_word(request: &PageRequest) -> Word {
    (request.page as Word) << 1 | Word::from(request.fault.access == Access::Write)
}

/// Puts the words of a message into the IPC buffer.
pub(super) fn put<const N: usize>(words: [Word; N]) {
    sel4::with_ipc_buffer_mut(|buffer| buffer.msg_regs_mut()[..N].copy_from_slice(&words));
}

/// An answer to a pager's call.
pub(super) fn answer<const N: usize>(words: [Word; N]) -> MessageInfo {
    put(words);
    MessageInfoBuilder::default().length(N).build()
}
