//! Pages that one client supplies to another, which agreed to it.
//!
//! ```text
//!   pager ── OfferPaging ──► the other ── AcceptPaging ──► a region with a token of its own
//!
//!   a thread of the other's touches it ──► ask_pager: it waits in the pager's queue, and the right
//!                                          to answer it is kept in a slot
//!   pager ── NextFault ──► ticket, key, page; there being none, the pager waits, kept likewise
//!   pager ── Supply ─────► mapped; next_due: answer the thread
//!         ── Refuse ─────► next_due: unresolved
//!         ── ends ───────► next_due: unresolved, one by one
//! ```
//!
//! Nobody is waited for: a pager that never answers stops the threads that touched what it was to
//! supply, and they are its clients' by their own will. It names tickets of its own queue and pages
//! of its own space. A page goes to where the region still is that the thread touched; when that was
//! released meanwhile, the thread is answered and meets what is there now.

use core::cell::Cell;

use intrusive_collections::{Bound, KeyAdapter, RBTreeLink};
use untyped_alloc::{CPtr, Kernel, Memory};
use vmm_client::protocol::{Answer, Message, PagedFault, Refusal};

use crate::Backing;
use crate::PageRequest;
use crate::RegionOptions;
use crate::Supply;
use crate::ThreadId;
use crate::Vmm;
use crate::{Access, PageFault};
use crate::{Error, Result};
use crate::{RegionId, SpaceId};

use super::clients::{Client, State, CLIENT_BADGE};
use super::refusal::{narrow, refuse};
use super::{no_node, Outcome, Service};

/// A region of one client's that another pages.
#[derive(Default)]
pub(crate) struct Paging<'p> {
    pub next_free: Cell<Option<&'p Paging<'p>>>,
    by_token: RBTreeLink,
    client: Cell<u32>,
    /// The region's: never used again.
    token: Cell<u32>,
    pager: Cell<u32>,
    key: Cell<u32>,
}

#[allow(unsafe_code)] // what the adapter macro expands to
mod adapters {
    use super::*;
    use intrusive_collections::intrusive_adapter;
    intrusive_adapter!(
        pub(crate) ByToken<'p> = &'p Paging<'p>: Paging<'p> { by_token => RBTreeLink }
    );
}
pub(crate) use adapters::ByToken;

impl<'a> KeyAdapter<'a> for ByToken<'_> {
    /// Client and token.
    type Key = (u32, u32);
    fn get_key(&self, paging: &'a Paging<'_>) -> (u32, u32) {
        (paging.client.get(), paging.token.get())
    }
}

/// What a server is to do for clients other than the one it answers; see [`Service::next_due`].
#[derive(Clone, Copy, Debug)]
pub enum Due {
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
        error: Option<Error>,
    },
}

/// What there is for a pager.
enum Next {
    Fault(PagedFault),
    /// The region was released while the thread waited.
    Stale(u32),
    /// Nothing yet.
    Wait,
    /// Nothing ever, as things are.
    Nothing,
}

/// The queue of faults that wait for a client. Tokens of other pagers of the same manager are to be
/// below [`CLIENT_BADGE`].
fn queue_of(client: &Client<'_>) -> u32 {
    CLIENT_BADGE as u32 | client.number.get()
}

impl<'p> Service<'p> {
    /// Has a thread's fault wait for the client that pages the region: to be called for what is to
    /// be asked of a pager ([`crate::Resolution::AskPager`]). Returns an empty slot: put the right to
    /// answer the thread there (`CNode_SaveCaller`), then see [`Service::next_due`]. `None` when
    /// there is no such pager (any more), and the fault cannot be resolved.
    ///
    /// # Errors
    /// [`Error::NoSuchThread`]; [`Error::Allocator`] when slots are out.
    pub fn ask_pager<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        thread: ThreadId,
        fault: PageFault,
        token: u32,
        page: usize,
    ) -> Result<Option<CPtr>> {
        let space = vmm.space_of_thread(thread)?;
        let paging = self.pagings.find(&(space.0, token)).clone_pointer();
        let Some(pager) = paging.and_then(|paging| self.alive(paging.pager.get())) else {
            return Ok(None);
        };
        let reply = vmm.reply_slot(thread)?;
        vmm.begin_request_in(queue_of(pager), thread, fault, (token, page), reply)?;
        self.poke(pager);
        Ok(Some(reply))
    }

    /// What is to be done now for others than the client whose message was answered last: to be
    /// asked after every message, fault and piece of work, until there is nothing.
    ///
    /// # Errors
    /// [`Error::Kernel`] when a call was refused: ask again.
    pub fn next_due<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
    ) -> Result<Option<Due>> {
        if let Some(slot) = self.answered {
            drop_kept(vmm, slot)?;
            self.answered = None;
        }
        if let Some(slot) = self.goes_on.take() {
            return Ok(Some(self.answer_by(slot, None)));
        }
        if let Some((request, error)) = self.unresolved.take() {
            let PageRequest { thread, fault, .. } = request;
            return Ok(Some(Due::Unresolved { thread, fault, error }));
        }
        if let Some(PageRequest { thread, fault, .. }) = self.next_abandoned(vmm)? {
            return Ok(Some(Due::Unresolved { thread, fault, error: None }));
        }
        while let Some(pager) = self.poked {
            let alive = pager.state.get() == State::Alive;
            if let Some((slot, after)) = pager.waits.get().filter(|_| alive) {
                let answer = match self.next_for(vmm, pager, after) {
                    Next::Stale(ticket) => {
                        let (_, reply) = vmm.end_request(queue_of(pager), ticket)?;
                        return Ok(Some(self.answer_by(reply, None)));
                    }
                    Next::Fault(fault) => Some(Answer::Fault(fault)),
                    Next::Nothing => Some(Answer::Done),
                    Next::Wait => None,
                };
                if let Some(answer) = answer {
                    pager.waits.set(None);
                    self.unpoke(pager);
                    return Ok(Some(self.answer_by(slot, Some(answer.encode()))));
                }
            }
            self.unpoke(pager);
        }
        Ok(None)
    }

    fn answer_by(&mut self, slot: CPtr, message: Option<Message>) -> Due {
        self.answered = Some(slot);
        Due::Answer { slot, message }
    }

    /// A fault that waits for a pager which has ended, and waits no longer.
    pub(super) fn next_abandoned<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
    ) -> Result<Option<PageRequest>> {
        let request = self.dying.and_then(|pager| vmm.next_request(queue_of(pager), 0));
        if let Some(request) = request {
            vmm.forget_request_of(request.thread)?;
        }
        Ok(request)
    }

    /// [`vmm_client::protocol::Request::NextFault`].
    pub(super) fn next_fault<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        client: &'p Client<'p>,
        after: u32,
    ) -> Outcome {
        if client.waits.get().is_some() {
            return Outcome::answer(Err(Refusal::TooMuch { most: 1 }));
        }
        match self.next_for(vmm, client, after) {
            Next::Fault(fault) => Outcome::answer(Ok(Answer::Fault(fault))),
            Next::Nothing => Outcome::answer(Ok(Answer::Done)),
            Next::Wait | Next::Stale(_) => match vmm.take_slots(1) {
                Ok(slot) => {
                    client.waits.set(Some((slot, after)));
                    self.poke(client);
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
        after: u32,
    ) -> Next {
        let Some(request) = vmm.next_request(queue_of(pager), after) else {
            let more = pager.paged.get() != 0 || self.offers_paging(pager);
            return if more { Next::Wait } else { Next::Nothing };
        };
        let Some((space, key)) = self.wanted(vmm, pager, &request) else {
            return Next::Stale(request.ticket);
        };
        Next::Fault(PagedFault {
            ticket: request.ticket,
            client: space.0,
            key,
            page: narrow(request.page),
            write: request.fault.access == Access::Write,
        })
    }

    /// Whose fault it is and what its pager calls the region, if that is still there.
    fn wanted<K: Kernel + Memory<'p>>(
        &self,
        vmm: &Vmm<'p, K>,
        pager: &Client<'p>,
        request: &PageRequest,
    ) -> Option<(SpaceId, u32)> {
        let space = vmm.space_of_thread(request.thread).ok()?;
        let paging = self.pagings.find(&(space.0, request.token)).clone_pointer()?;
        let region = vmm.region_at(space, request.fault.address).ok()??;
        let same = region.backing == Backing::Pager { token: request.token }
            && paging.pager.get() == pager.number.get();
        same.then(|| (space, paging.key.get()))
    }

    /// [`vmm_client::protocol::Request::Supply`].
    pub(super) fn supply<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        client: &'p Client<'p>,
        ticket: u32,
        page: u32,
        give: bool,
    ) -> Result<Answer, Refusal> {
        let queue = queue_of(client);
        let request = vmm.request(queue, ticket).map_err(|_| Refusal::NoSuchFault)?;
        // A server that has not done what was due loses nothing by it.
        if self.goes_on.is_some() || self.unresolved.is_some() {
            return Err(Refusal::OutOfMemory);
        }
        let Some((space, _)) = self.wanted(vmm, client, &request) else {
            self.goes_on = vmm.end_request(queue, ticket).ok().map(|(_, reply)| reply);
            return Err(Refusal::NoSuchFault);
        };
        let how = if give { Supply::Transfer } else { Supply::Share };
        let (address, from) = (request.fault.address, client.space());
        let supplied = vmm.supply_page(space, address, from, page as usize, how);
        let answer = match supplied {
            Ok(()) => Ok(Answer::Done),
            // For another thread, by the answer to a fault before.
            Err(Error::AlreadyMapped { .. }) => Err(Refusal::NotTaken),
            Err(error @ Error::OutOfQuota { space: at_limit, .. }) if at_limit == space => {
                vmm.forget_request_of(request.thread).map_err(refuse)?;
                self.unresolved = Some((request, Some(error)));
                return Err(Refusal::NotTaken);
            }
            Err(error) => return Err(refuse(error)),
        };
        self.goes_on = vmm.end_request(queue, ticket).ok().map(|(_, reply)| reply);
        answer
    }

    /// [`vmm_client::protocol::Request::Refuse`].
    pub(super) fn refuse_page<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        client: &'p Client<'p>,
        ticket: u32,
    ) -> Result<Answer, Refusal> {
        let request = vmm.request(queue_of(client), ticket).map_err(|_| Refusal::NoSuchFault)?;
        if self.unresolved.is_some() {
            return Err(Refusal::OutOfMemory);
        }
        if self.wanted(vmm, client, &request).is_none() {
            self.goes_on = vmm.end_request(queue_of(client), ticket).ok().map(|(_, reply)| reply);
            return Err(Refusal::NoSuchFault);
        }
        vmm.forget_request_of(request.thread).map_err(refuse)?;
        self.unresolved = Some((request, None));
        Ok(Answer::Done)
    }

    /// Reserves a region that another client pages and calls `key`.
    pub(super) fn reserve_paged<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        client: &'p Client<'p>,
        (pager, key): (&'p Client<'p>, u32),
        options: &RegionOptions,
    ) -> Result<RegionId> {
        self.refill(vmm)?;
        let token = self.last_token.checked_add(1).ok_or_else(no_node)?;
        let node = self.free_pagings.take().ok_or_else(no_node)?;
        match vmm.reserve(client.space(), &options.backed(Backing::Pager { token })) {
            Ok(region) => {
                self.last_token = token;
                node.client.set(client.number.get());
                node.token.set(token);
                node.pager.set(pager.number.get());
                node.key.set(key);
                self.pagings.insert(node);
                pager.paged.set(pager.paged.get() + 1);
                Ok(region)
            }
            Err(error) => {
                self.free_pagings.give(node);
                Err(error)
            }
        }
    }

    /// Forgets who pages a region that is gone.
    pub(super) fn drop_paging(&mut self, client: &Client<'p>, token: u32) {
        let key = (client.number.get(), token);
        let Some(node) = self.pagings.find_mut(&key).remove() else { return };
        let pager = self.clients.find(&node.pager.get()).clone_pointer();
        self.free_pagings.give(node);
        if let Some(pager) = pager {
            pager.paged.set(pager.paged.get() - 1);
            self.poke(pager);
        }
    }

    /// Forgets who pages a client's regions: at most as many as a client has. Whoever waits for the
    /// faults of others may have nothing to wait for now.
    pub(super) fn drop_pagings_of(&mut self, client: &Client<'p>) {
        let number = client.number.get();
        loop {
            let first = self.pagings.lower_bound(Bound::Included(&(number, 0))).clone_pointer();
            match first {
                Some(paging) if paging.client.get() == number => {
                    self.drop_paging(client, paging.token.get());
                }
                _ => break,
            }
        }
        let mut cursor = self.clients.front();
        while let Some(other) = cursor.clone_pointer() {
            if other.waits.get().is_some() {
                push(&mut self.poked, other);
            }
            cursor.move_next();
        }
    }

    /// There may be something for a pager.
    pub(super) fn poke(&mut self, pager: &'p Client<'p>) {
        if pager.state.get() == State::Alive {
            push(&mut self.poked, pager);
        }
    }

    pub(super) fn poke_number(&mut self, number: u32) {
        if let Some(pager) = self.alive(number) {
            self.poke(pager);
        }
    }

    /// Takes a client out of the list of those for which there may be something.
    pub(super) fn unpoke(&mut self, client: &Client<'p>) {
        if !client.poked.replace(false) {
            return;
        }
        let is_it = |other: &Client<'p>| core::ptr::eq(other, client);
        let next = client.next_poked.take();
        match self.poked {
            Some(first) if is_it(first) => self.poked = next,
            mut at => {
                while let Some(before) = at {
                    at = before.next_poked.get();
                    if at.is_some_and(is_it) {
                        before.next_poked.set(next);
                        return;
                    }
                }
            }
        }
    }
}

fn push<'p>(poked: &mut Option<&'p Client<'p>>, pager: &'p Client<'p>) {
    if !pager.poked.replace(true) {
        pager.next_poked.set(poked.take());
        *poked = Some(pager);
    }
}

/// Gives back a slot for the right to answer somebody, used or not.
pub(super) fn drop_kept<'p, K: Kernel + Memory<'p>>(vmm: &mut Vmm<'p, K>, slot: CPtr) -> Result {
    // Deleting from a slot that is empty succeeds.
    vmm.kernel.cnode_delete(vmm.alloc.path(slot))?;
    vmm.give_slots(slot, 1)
}
