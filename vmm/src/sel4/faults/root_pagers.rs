// SPDX-License-Identifier: BSD-2-Clause
//! Pagers of the root task: asked without waiting for them, and answered for when they answer.
//!
//! ```text
//!   thread ─fault─► handler ── keeps the right to answer it (CNode_SaveCaller), one slot a thread
//!                      │ nb_send: ticket, token, page, write
//!                      ▼
//!                   pager's endpoint (dropped if it does not wait) or notification (never lost)
//!
//!   pager ─call─► handler: SUPPLY ticket, its page  ──► supply_page, thread answered
//!                          REFUSE ticket            ──► the policy decides
//!                          NEXT after a ticket      ──► the oldest request it has not seen
//! ```
//!
//! How a wait ends is the manager's to say ([`RequestEnd`]), as for the service's pagers.
//!
//! The handler never blocks on a pager: it sends without waiting, and a request stays until it is
//! answered, in the thread's own node. So a pager that is slow, dead or wrong stops the threads
//! that wait for it and nobody else. One that may be busy when a fault comes is told by a
//! notification (to which it can bind its TCB), or asks with NEXT after each answer.
//!
//! The calls go through a capability to the handler's own endpoint with a badge that says which
//! pager it is, so that it can answer its own requests only, and give pages of its own space only.

use sel4::{MessageInfo, MessageInfoBuilder, Word};
use untyped_alloc::CPtr;

use super::handler::{answer_kept, FaultHandler};
use super::message::ThreadFault;
use super::pager_table::{
    answer, page_word, ticket_of, words_of, Pager, PagerCall, MAX_PAGERS, PAGER_BADGE,
};
use super::policy::{Incident, Verdict};
use super::Manager;
use crate::types::error::{Error, Result};
use crate::types::fault::Supply;
use crate::types::ids::{SpaceId, ThreadId};
use crate::types::request_end::RequestEnd;

impl<P: FnMut(&mut Manager, &Incident<'_>) -> Verdict> FaultHandler<P> {
    /// Makes whoever waits at `endpoint` (or is signalled by that notification) the pager of all
    /// regions with the backing [`crate::Backing::Pager`] and this token, which supplies pages of
    /// `space`. Returns the capability by which it calls: in the manager's CSpace, to be used there
    /// or copied to another.
    ///
    /// # Errors
    /// [`Error::TokenInUse`]; [`Error::TooManyPagers`] when there are [`MAX_PAGERS`];
    /// [`Error::NoSuchSpace`], [`Error::Allocator`], [`Error::Kernel`].
    pub fn add_pager(
        &mut self,
        vmm: &mut Manager,
        token: u32,
        endpoint: CPtr,
        space: SpaceId,
    ) -> Result<CPtr> {
        vmm.space(space)?;
        if self.pagers.has(token) {
            return Err(Error::TokenInUse { token });
        }
        let number = self.pagers.0.iter().position(Option::is_none);
        let number = number.ok_or(Error::TooManyPagers { most: MAX_PAGERS })?;
        let calls = vmm.mint_badge(self.endpoint, PAGER_BADGE | number)?;
        self.pagers.0[number] = Some(Pager { token, endpoint, space, calls, thread: None });
        Ok(calls)
    }

    /// Tells which registered thread of the manager's own space a pager is. If it calls while it
    /// has the manager locked, which the handler waits for then, a thread of [`super::start`] ends
    /// the program with a sentence that says so; where this was not told, both wait for ever.
    ///
    /// # Errors
    /// [`Error::NoSuchPager`]; [`Error::NoSuchThread`].
    pub fn note_pager_thread(&mut self, vmm: &Manager, token: u32, thread: ThreadId) -> Result {
        vmm.thread(thread)?;
        match self.pagers.note_thread(token, thread.badge()) {
            true => Ok(()),
            false => Err(Error::NoSuchPager { token }),
        }
    }

    /// Takes a pager away: what waits for it goes to the policy, as do later faults in its regions.
    /// Copies of its capability to the handler's endpoint are deleted.
    ///
    /// # Errors
    /// [`Error::NoSuchPager`]; [`Error::Kernel`].
    pub fn remove_pager(&mut self, vmm: &mut Manager, token: u32) -> Result {
        let number = self.pagers.0.iter().position(|p| p.is_some_and(|p| p.token == token));
        let number = number.ok_or(Error::NoSuchPager { token })?;
        let pager = self.pagers.0[number].take();
        while let Some(end) = vmm.abandon_request(token) {
            self.finish_wait(vmm, end)?;
        }
        pager.map_or(Ok(()), |pager| pager.release(vmm))
    }

    /// Gives up all pagers, when no message is answered any more. What waits for them goes with the
    /// threads, when they are unregistered.
    ///
    /// # Errors
    /// [`Error::Kernel`].
    pub fn release(mut self, vmm: &mut Manager) -> Result {
        self.pagers.release(vmm)
    }

    /// Gives a thread the page that it waits for: `page` (bytes, page-aligned) of the space `from`.
    /// The thread goes on, also when another thread's request has brought a page there before.
    ///
    /// # Errors
    /// [`Error::NoSuchRequest`], for a request too whose region is gone: its thread goes on, and
    /// meets what is there now. [`Error::OutOfQuota`] when the thread's space may have no more:
    /// what becomes of the thread is for the policy. After all others of
    /// [`crate::Vmm::supply_page`] the thread still waits.
    pub fn supply(
        &mut self,
        vmm: &mut Manager,
        token: u32,
        ticket: u64,
        from: SpaceId,
        page: usize,
        supply: Supply,
    ) -> Result {
        let end = vmm.supply_request(token, ticket, from, page, supply)?;
        let supplied = match end {
            RequestEnd::Supplied { .. } | RequestEnd::NotTaken { .. } => Ok(()),
            RequestEnd::Unresolved { error: Some(error), .. } => Err(error),
            RequestEnd::Stale { .. } | RequestEnd::Unresolved { .. } => {
                Err(Error::NoSuchRequest { ticket })
            }
        };
        self.finish_wait(vmm, end)?;
        supplied
    }

    /// Refuses the page that a thread waits for: what becomes of the thread is for the policy.
    ///
    /// # Errors
    /// [`Error::NoSuchRequest`]; [`Error::Kernel`].
    pub fn refuse(&mut self, vmm: &mut Manager, token: u32, ticket: u64) -> Result {
        let end = vmm.refuse_request(token, ticket)?;
        self.finish_wait(vmm, end)
    }

    /// Does for a thread what the end of its wait asks for: answers it, unless the policy says
    /// otherwise of one that cannot go on.
    fn finish_wait(&mut self, vmm: &mut Manager, end: RequestEnd) -> Result {
        let goes_on = match end {
            RequestEnd::Unresolved { request, error, .. } => {
                let fault = ThreadFault::Page(request.fault);
                self.unresolved(vmm, request.thread, fault, error, error.is_none()).is_some()
            }
            _ => true,
        };
        if goes_on {
            // An answer uses the right up, so that the slot is empty again.
            answer_kept(end.reply(), MessageInfoBuilder::default().build());
            return vmm.free_slots(end.reply(), 1);
        }
        vmm.release_slot(end.reply())
    }

    /// Answers a pager's call.
    pub(super) fn pager_call(
        &mut self,
        vmm: &mut Manager,
        info: &MessageInfo,
        badge: usize,
    ) -> MessageInfo {
        const DONE: Word = 0;
        const REFUSED: Word = 1;
        let pager = self.pagers.0.get(badge & !PAGER_BADGE).copied().flatten();
        let call = PagerCall::from_label(info.label());
        let (Some(pager), Some(call)) = (pager, call) else { return answer([REFUSED]) };
        let words = sel4::with_ipc_buffer(|buffer| {
            let words = buffer.msg_regs();
            [words[0], words[1], words[2], words[3]]
        });
        let [low, high, page, how] = words;
        let Some(ticket) = ticket_of(low, high) else { return answer([REFUSED]) };
        let wanted = match call {
            PagerCall::Supply => 4,
            PagerCall::Next | PagerCall::Refuse => 2,
        };
        if info.length() != wanted {
            return answer([REFUSED]);
        }
        let done = match (call, how) {
            (PagerCall::Next, _) => {
                let Some(request) = vmm.next_request(pager.token, ticket) else {
                    return answer([DONE, 0, 0, 0]);
                };
                let [low, high] = words_of(request.ticket);
                return answer([DONE, low, high, page_word(&request)]);
            }
            (PagerCall::Refuse, _) => self.refuse(vmm, pager.token, ticket).is_ok(),
            (PagerCall::Supply, 0 | 1) => {
                let supply = if how == 0 { Supply::Share } else { Supply::Transfer };
                let (token, space) = (pager.token, pager.space);
                self.supply(vmm, token, ticket, space, page as usize, supply).is_ok()
            }
            (PagerCall::Supply, _) => false,
        };
        answer([if done { DONE } else { REFUSED }])
    }
}
