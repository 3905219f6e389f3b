// SPDX-License-Identifier: BSD-2-Clause
//! The service itself: what it is made of, its look-ups, and the list of pagers that are ready.

use intrusive_collections::{Bound, RBTree};
use vmm::{CPtr, Kernel, Memory, Name, Numbers, Pool, RequestEnd, SpaceId, Vmm};
use vmm_client::protocol::{Refusal, MAX_PAGES};

use crate::state::client::{ById, Client};
use crate::state::offer::{ByTicket, Offer};
use crate::state::paging::{ByToken, Paging};
use crate::types::error::{Error, NodeKind, Result};
use crate::types::ids::{ClientId, CLIENT_BADGE};

/// Who its clients are and what they have offered each other.
///
/// One endpoint serves all of them. It is a companion of a [`Vmm`], and every method is to be given
/// the same one.
pub struct Service<'p> {
    pub(crate) endpoint: CPtr,
    pub(crate) clients: RBTree<ById<'p>>,
    pub(crate) offers: RBTree<ByTicket<'p>>,
    pub(crate) pagings: RBTree<ByToken<'p>>,
    free_clients: Pool<'p, Client<'p>>,
    free_offers: Pool<'p, Offer<'p>>,
    free_pagings: Pool<'p, Paging<'p>>,
    /// The tokens of regions that clients page.
    pub(crate) tokens: Numbers,
    /// The greatest token, and the greatest ticket of an offer.
    pub(crate) most_numbers: u32,
    /// Clients that are being taken apart.
    pub(crate) dying: Option<&'p Client<'p>>,
    /// Pagers for which there may be something.
    pub(crate) ready: Option<&'p Client<'p>>,
    /// A wait for a page that a pager's request has ended, and its server has not been told of.
    pub(crate) ended: Option<RequestEnd>,
    /// The slot of the right by which the server was told to answer somebody. By the next time that
    /// the service is asked, it has.
    pub(crate) reply_sent: Option<CPtr>,
}

impl<'p> Service<'p> {
    /// A service without clients, whose messages and faults come to `endpoint`.
    ///
    /// # Errors
    /// Those of [`Vmm::map`]: it takes three pages for its own book-keeping, for good.
    pub fn new<K: Kernel + Memory<'p>>(vmm: &mut Vmm<'p, K>, endpoint: CPtr) -> vmm::Result<Self> {
        let mut service = Service {
            endpoint,
            clients: RBTree::new(ById::new()),
            offers: RBTree::new(ByTicket::new()),
            pagings: RBTree::new(ByToken::new()),
            free_clients: Pool::new(|node| &node.next_free),
            free_offers: Pool::new(|node| &node.next_free),
            free_pagings: Pool::new(|node| &node.next_free),
            tokens: Numbers::up_to(u32::MAX),
            most_numbers: u32::MAX,
            dying: None,
            ready: None,
            ended: None,
            reply_sent: None,
        };
        service.refill(vmm)?;
        // No request is to take long, whatever it wants.
        vmm.limit_compaction(MAX_PAGES as usize);
        Ok(service)
    }

    /// Makes `most` the greatest token of a paged region, and the greatest ticket of an offer of a
    /// client that is made from now on: for tests that go through all of them.
    #[doc(hidden)]
    pub fn narrow_numbers(&mut self, most: u32) {
        self.tokens = Numbers::up_to(most);
        self.most_numbers = most;
    }

    /// Brings the pools above their reserve of one node each.
    pub(crate) fn refill<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
    ) -> vmm::Result<()> {
        if self.free_clients.available() == 0 {
            vmm.adopt_bookkeeping_page(&mut self.free_clients)?;
        }
        if self.free_offers.available() == 0 {
            vmm.adopt_bookkeeping_page(&mut self.free_offers)?;
        }
        if self.free_pagings.available() == 0 {
            vmm.adopt_bookkeeping_page(&mut self.free_pagings)?;
        }
        Ok(())
    }

    pub(crate) fn alloc_client(&mut self) -> Result<&'p Client<'p>> {
        self.free_clients.alloc().ok_or(Error::OutOfNodes(NodeKind::Client))
    }

    pub(crate) fn free_client(&mut self, node: &'p Client<'p>) {
        self.free_clients.free(node);
    }

    pub(crate) fn alloc_offer(&mut self) -> Result<&'p Offer<'p>> {
        self.free_offers.alloc().ok_or(Error::OutOfNodes(NodeKind::Offer))
    }

    pub(crate) fn free_offer(&mut self, node: &'p Offer<'p>) {
        self.free_offers.free(node);
    }

    pub(crate) fn alloc_paging(&mut self) -> Result<&'p Paging<'p>> {
        self.free_pagings.alloc().ok_or(Error::OutOfNodes(NodeKind::Paging))
    }

    pub(crate) fn free_paging(&mut self, node: &'p Paging<'p>) {
        self.free_pagings.free(node);
    }

    /// The client that a message with this badge is from, while it lives.
    pub fn client_of_badge(&self, badge: usize) -> Option<ClientId> {
        self.alive_by_badge(badge).map(Client::id)
    }

    /// The client that runs in a space, while it lives.
    pub fn client_in(&self, space: SpaceId) -> Option<ClientId> {
        self.client(ClientId(space)).ok().map(Client::id)
    }

    /// A client's name, for people.
    pub fn name(&self, client: ClientId) -> Option<Name> {
        self.clients.find(&client).get().map(|node| node.name.get())
    }

    /// The record of a client that lives.
    pub(crate) fn client(&self, client: ClientId) -> Result<&'p Client<'p>> {
        self.find(client).filter(|node| node.is_alive()).ok_or(Error::NoSuchClient(client))
    }

    pub(crate) fn alive_by_badge(&self, badge: usize) -> Option<&'p Client<'p>> {
        let number = u32::try_from(badge ^ CLIENT_BADGE).ok()?;
        (badge & CLIENT_BADGE != 0).then(|| self.alive(number)).flatten()
    }

    pub(crate) fn alive(&self, number: u32) -> Option<&'p Client<'p>> {
        let last = ClientId(SpaceId::from_parts(number, u64::MAX));
        let found = self.clients.upper_bound(Bound::Included(&last)).clone_pointer();
        found.filter(|client| client.number() == number && client.is_alive())
    }

    /// The record of a client, or the account that is left of it.
    pub(crate) fn find(&self, client: ClientId) -> Option<&'p Client<'p>> {
        self.clients.find(&client).clone_pointer()
    }

    pub(crate) fn child_of(
        &self,
        parent: &Client<'p>,
        number: u32,
    ) -> Result<&'p Client<'p>, Refusal> {
        let child = self.alive(number).ok_or(Refusal::NoSuchClient)?;
        (child.parent.get() == Some(parent.id())).then_some(child).ok_or(Refusal::NoSuchClient)
    }

    /// Puts a pager into the list of those for which there may be something, while it lives.
    pub(crate) fn mark_ready(&mut self, pager: &'p Client<'p>) {
        if pager.is_alive() {
            push_ready(&mut self.ready, pager);
        }
    }

    /// Takes a client out of the list of those for which there may be something.
    pub(crate) fn unmark_ready(&mut self, client: &Client<'p>) {
        if !client.ready.replace(false) {
            return;
        }
        let is_it = |other: &Client<'p>| core::ptr::eq(other, client);
        let next = client.next_ready.take();
        match self.ready {
            Some(first) if is_it(first) => self.ready = next,
            mut at => {
                while let Some(before) = at {
                    at = before.next_ready.get();
                    if at.is_some_and(is_it) {
                        before.next_ready.set(next);
                        return;
                    }
                }
            }
        }
    }

    /// Takes back the slot by which the server was told to answer somebody, used or not.
    pub(crate) fn remove_reply_sent<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
    ) -> vmm::Result<()> {
        if let Some(slot) = self.reply_sent {
            vmm.release_slot(slot)?;
            self.reply_sent = None;
        }
        Ok(())
    }
}

/// Puts a client into a list of pagers for which there may be something, if it is in none.
pub(crate) fn push_ready<'p>(list: &mut Option<&'p Client<'p>>, pager: &'p Client<'p>) {
    if !pager.ready.replace(true) {
        pager.next_ready.set(list.take());
        *list = Some(pager);
    }
}
