// SPDX-License-Identifier: BSD-2-Clause
//! Pages that one client supplies to another, which agreed to it.
//!
//! ```text
//!   pager ── OfferPaging ──► the other ── AcceptPaging ──► a region with a token of its own
//!
//!   a thread of the other's touches it ──► ask_pager: it waits in the pager's queue, and the right
//!                                          to answer it is kept in a slot
//!   pager ── NextFault ──► ticket, key, page; there being none, the pager waits, kept likewise
//!   pager ── Supply ─────► mapped; next_deferred: answer the thread
//!         ── Refuse ─────► next_deferred: unresolved
//!         ── ends ───────► next_deferred: unresolved, one by one
//! ```
//!
//! How a wait ends is the manager's to say ([`RequestEnd`]), as for any other pager. What is the
//! service's is who asks: a pager names tickets of its own queue and pages of its own space.
//!
//! Nobody is waited for: a pager that never answers stops the threads that touched the pages that
//! it was to supply, and they are its clients' by their own will.

use intrusive_collections::Bound;
use vmm::{
    Access, CPtr, Kernel, Memory, PageFault, PageRequest, RequestEnd, SpaceId, Supply, ThreadId,
    Vmm,
};
use vmm_client::protocol::{Answer, Message, PagedFault, Refusal};

use crate::answers::{narrow, refuse, Answered};
use crate::service::Service;
use crate::state::client::Client;
use crate::types::ids::CLIENT_BADGE;
use crate::types::message::{Deferred, Outcome};

/// What there is for a pager.
enum Next {
    Fault(PagedFault),
    /// The region was released while the thread waited.
    Stale(u64),
    /// Nothing yet.
    Wait,
    /// Nothing ever, as things are.
    Nothing,
}

/// The queue of faults that wait for a client. Tokens of other pagers of the same manager are to be
/// below [`CLIENT_BADGE`].
fn queue_of(client: &Client<'_>) -> u32 {
    CLIENT_BADGE as u32 | client.number()
}

/// What a pager is told of an error of its request about a ticket.
fn refuse_ticket(error: vmm::Error) -> Refusal {
    match error {
        vmm::Error::NoSuchRequest { .. } => Refusal::NoSuchFault,
        error => refuse(error),
    }
}

impl<'p> Service<'p> {
    /// Has a thread's fault wait for the client that pages the region: to be called for a fault
    /// that a pager is to be asked for ([`vmm::Resolution::AskPager`]). Returns an empty slot: put
    /// the right to answer the thread there (`CNode_SaveCaller`), then see
    /// [`Service::next_deferred`]. `None` when there is no such pager (any more), and the fault
    /// cannot be resolved.
    ///
    /// # Errors
    /// Those of [`Vmm::wait_for_page`].
    pub fn ask_pager<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        thread: ThreadId,
        fault: PageFault,
        token: u32,
        page: usize,
    ) -> vmm::Result<Option<CPtr>> {
        let space = vmm.space_of_thread(thread)?;
        let paging = self.pagings.find(&(space.number(), token)).clone_pointer();
        let pager = paging.and_then(|paging| self.client(paging.pager.get()?).ok());
        let Some(pager) = pager else {
            return Ok(None);
        };
        let (_, reply) = vmm.wait_for_page(queue_of(pager), thread, fault, (token, page))?;
        self.mark_ready(pager);
        Ok(Some(reply))
    }

    /// Whether [`Service::next_deferred`] may have something to do: after most messages there is
    /// nothing, and this says so without a call.
    #[inline]
    pub fn has_deferred(&self) -> bool {
        self.reply_sent.is_some()
            || self.ended.is_some()
            || self.dying.is_some()
            || self.ready.is_some()
    }

    /// What is to be done now for others than the client whose message was answered last: to be
    /// asked after every message, fault and piece of work, until there is nothing.
    ///
    /// # Errors
    /// [`vmm::Error::Kernel`] when a call was refused: ask again.
    pub fn next_deferred<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
    ) -> vmm::Result<Option<Deferred>> {
        self.remove_reply_sent(vmm)?;
        if let Some(end) = self.ended.take() {
            return Ok(Some(self.thread_deferred(end)));
        }
        if let Some(end) = self.next_abandoned(vmm) {
            return Ok(Some(self.thread_deferred(end)));
        }
        while let Some(pager) = self.ready {
            if let Some((slot, after)) = pager.waits.get().filter(|_| pager.is_alive()) {
                let answer = match self.next_for(vmm, pager, after) {
                    Next::Stale(ticket) => {
                        let end = vmm.refuse_request(queue_of(pager), ticket)?;
                        return Ok(Some(self.thread_deferred(end)));
                    }
                    Next::Fault(fault) => Some(Answer::Fault(fault)),
                    Next::Nothing => Some(Answer::Done),
                    Next::Wait => None,
                };
                if let Some(answer) = answer {
                    pager.waits.set(None);
                    self.unmark_ready(pager);
                    return Ok(Some(self.answer_by(slot, Some(answer.encode()))));
                }
            }
            self.unmark_ready(pager);
        }
        Ok(None)
    }

    fn answer_by(&mut self, slot: CPtr, message: Option<Message>) -> Deferred {
        self.reply_sent = Some(slot);
        Deferred::Answer { slot, message }
    }

    /// What is to be done about a thread whose wait for a page has ended.
    fn thread_deferred(&mut self, end: RequestEnd) -> Deferred {
        let answer = self.answer_by(end.reply(), None);
        match end {
            RequestEnd::Unresolved {
                request: PageRequest { thread, fault, .. }, error, ..
            } => Deferred::Unresolved { thread, fault, error },
            _ => answer,
        }
    }

    /// Ends the wait of a thread for a pager that has ended.
    pub(crate) fn next_abandoned<K: Kernel + Memory<'p>>(
        &self,
        vmm: &mut Vmm<'p, K>,
    ) -> Option<RequestEnd> {
        self.dying.and_then(|pager| vmm.abandon_request(queue_of(pager)))
    }

    /// Serves [`vmm_client::protocol::Request::NextFault`].
    pub(crate) fn next_fault<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        client: &'p Client<'p>,
        after: u64,
    ) -> Outcome {
        if client.waits.get().is_some() {
            return Outcome::answer(Err(Refusal::TooMuch { most: 1 }));
        }
        match self.next_for(vmm, client, after) {
            Next::Fault(fault) => Outcome::answer(Ok(Answer::Fault(fault))),
            Next::Nothing => Outcome::answer(Ok(Answer::Done)),
            Next::Wait | Next::Stale(_) => match vmm.alloc_slots(1) {
                Ok(slot) => {
                    client.waits.set(Some((slot, after)));
                    self.mark_ready(client);
                    Outcome { keep: Some(slot), ..Outcome::default() }
                }
                Err(error) => Outcome::answer(Err(refuse(error))),
            },
        }
    }

    fn next_for<K: Kernel + Memory<'p>>(
        &self,
        vmm: &Vmm<'p, K>,
        pager: &Client<'p>,
        after: u64,
    ) -> Next {
        let Some(request) = vmm.next_request(queue_of(pager), after) else {
            let more = pager.paged.get() != 0 || self.offers_paging(pager);
            return if more { Next::Wait } else { Next::Nothing };
        };
        let Some((space, key)) = self.key_of(vmm, &request) else {
            return Next::Stale(request.ticket);
        };
        Next::Fault(PagedFault {
            ticket: request.ticket,
            client: space.number(),
            key,
            page: narrow(request.page),
            write: request.fault.access == Access::Write,
        })
    }

    /// Whose fault it is and what its pager calls the region, if that is still there. A token is
    /// one region's and so one pager's.
    fn key_of<K: Kernel + Memory<'p>>(
        &self,
        vmm: &Vmm<'p, K>,
        request: &PageRequest,
    ) -> Option<(SpaceId, u32)> {
        if vmm.request_is_stale(request) {
            return None;
        }
        let space = vmm.space_of_thread(request.thread).ok()?;
        let paging = self.pagings.find(&(space.number(), request.token)).get()?;
        Some((space, paging.key.get()))
    }

    /// Whether a client has offered others to page for them that live.
    fn offers_paging(&self, client: &Client<'p>) -> bool {
        let number = client.number();
        let mut cursor = self.offers.lower_bound(Bound::Included(&(number, 0)));
        while let Some(offer) = cursor.get().filter(|offer| offer.from.get() == number) {
            if offer.is_paging() && offer.to.get().is_some_and(|to| self.client(to).is_ok()) {
                return true;
            }
            cursor.move_next();
        }
        false
    }

    /// Serves [`vmm_client::protocol::Request::Supply`].
    pub(crate) fn supply<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        client: &'p Client<'p>,
        ticket: u64,
        page: usize,
        give: bool,
    ) -> Answered {
        self.check_none_ended()?;
        let how = if give { Supply::Transfer } else { Supply::Share };
        let from = client.space();
        let end = vmm.supply_request(queue_of(client), ticket, from, page, how);
        let end = end.map_err(refuse_ticket)?;
        self.ended = Some(end);
        match end {
            RequestEnd::Supplied { .. } => Ok(Answer::Done),
            RequestEnd::NotTaken { .. } | RequestEnd::Unresolved { .. } => Err(Refusal::NotTaken),
            RequestEnd::Stale { .. } => Err(Refusal::NoSuchFault),
        }
    }

    /// Serves [`vmm_client::protocol::Request::Refuse`].
    pub(crate) fn refuse_page<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        client: &'p Client<'p>,
        ticket: u64,
    ) -> Answered {
        self.check_none_ended()?;
        let end = vmm.refuse_request(queue_of(client), ticket).map_err(refuse_ticket)?;
        self.ended = Some(end);
        match end {
            RequestEnd::Stale { .. } => Err(Refusal::NoSuchFault),
            _ => Ok(Answer::Done),
        }
    }

    /// Refuses to end a wait while the server has not been told of the last one that ended: a
    /// server that does not ask for what is deferred loses nothing by it.
    fn check_none_ended(&self) -> Result<(), Refusal> {
        match self.ended {
            Some(_) => Err(Refusal::OutOfMemory),
            None => Ok(()),
        }
    }
}
