// SPDX-License-Identifier: BSD-2-Clause
//! What one client offers another, once: memory of its own, or to be the pager of a region.
//!
//! An offer of memory holds nothing but the words of it, and which region they were about. What
//! that region has at these addresses when the offer is accepted is what is shared, if all of it is
//! mapped then; its giver can unmap or offer what it likes. Another region that has come to lie
//! there was not offered.
//!
//! However long it is, it is accepted in pieces: the first with a region for all of it, the others
//! into that. The offer is over with the last piece. Until then it can be accepted anew, with
//! another region.

use intrusive_collections::Bound;
use vmm::{Kernel, Memory, Pages, RegionId, RegionOptions, Vmm};
use vmm_client::protocol::{self, Answer, Refusal, RegionHandle, MAX_OFFERS, MAX_PAGES};

use crate::answers::{partial_answer, refuse, region_answer, rights, with_placement, Answered};
use crate::memory::{region_of, room_for_region};
use crate::service::Service;
use crate::state::client::Client;
use crate::state::offer::{Offer, Offered};
use crate::types::error::{Error, NumberKind};
use crate::types::ids::ClientId;

impl<'p> Service<'p> {
    /// [`protocol::Request::Offer`].
    pub(crate) fn offer<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        client: &'p Client<'p>,
        to: u32,
        (start, pages): (usize, u32),
        rights: protocol::Rights,
    ) -> Answered {
        let to = self.may_offer(client, to)?;
        let (space, at) = (client.space(), Pages::at(start));
        let region = vmm.region_of_range(space, at.count(pages as usize)).map_err(refuse)?;
        // The rest is looked at when it is accepted.
        let first = at.count(pages.min(MAX_PAGES) as usize);
        vmm.check_can_share(space, first).map_err(refuse)?;
        let what = Offered::Memory(start, region.id.serial());
        self.make_offer(vmm, client, to, what, (pages, rights))
    }

    /// [`protocol::Request::OfferPaging`].
    pub(crate) fn offer_paging<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        client: &'p Client<'p>,
        to: u32,
        key: u32,
        (pages, rights): (u32, protocol::Rights),
    ) -> Answered {
        let to = self.may_offer(client, to)?;
        self.make_offer(vmm, client, to, Offered::Paging(key), (pages, rights))
    }

    fn may_offer(&self, client: &Client<'p>, to: u32) -> Result<ClientId, Refusal> {
        if client.open_offers.get() >= MAX_OFFERS {
            return Err(Refusal::TooMuch { most: MAX_OFFERS });
        }
        let to = self.alive(to).filter(|to| to.number() != client.number());
        to.map(Client::id).ok_or(Refusal::NoSuchClient)
    }

    fn make_offer<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        client: &'p Client<'p>,
        to: ClientId,
        what: Offered,
        (pages, rights): (u32, protocol::Rights),
    ) -> Answered {
        self.refill(vmm).map_err(refuse)?;
        let (number, mut tickets) = (client.number(), client.tickets.get());
        let ticket = tickets.next(|ticket| !self.offers.find(&(number, ticket)).is_null());
        let ticket =
            ticket.ok_or(Error::OutOfNumbers { kind: NumberKind::Ticket, most: self.most_numbers });
        let ticket = ticket.map_err(refuse)?;
        let node = self.alloc_offer().map_err(refuse)?;
        tickets.note(ticket);
        client.tickets.set(tickets);
        client.open_offers.set(client.open_offers.get() + 1);
        node.from.set(number);
        node.ticket.set(ticket);
        node.to.set(Some(to));
        node.what.set(what);
        node.pages.set(pages);
        node.rights.set(rights.bits());
        node.into.set(None);
        self.offers.insert(node);
        Ok(Answer::Ticket(ticket))
    }

    /// [`protocol::Request::Withdraw`].
    pub(crate) fn withdraw(&mut self, client: &'p Client<'p>, ticket: u32) -> Answered {
        let key = (client.number(), ticket);
        if self.offers.find(&key).is_null() {
            return Err(Refusal::NoSuchOffer);
        }
        self.remove_offer(client, key);
        Ok(Answer::Done)
    }

    /// [`protocol::Request::Accept`].
    pub(crate) fn accept<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        client: &'p Client<'p>,
        (from, ticket): (u32, u32),
        address: usize,
        wanted: protocol::Rights,
    ) -> Answered {
        let (giver, offer, options) =
            self.to_accept(vmm, client, (from, ticket), (address, wanted), false)?;
        let region = vmm.reserve(client.space(), &options.named("shared")).map_err(refuse)?;
        match self.accept_piece(vmm, (giver, offer), region, 0) {
            Ok(done) => partial_answer(vmm, region, done),
            Err(refusal) => {
                vmm.release(region).map_err(refuse)?;
                Err(refusal)
            }
        }
    }

    /// [`protocol::Request::AcceptMore`].
    pub(crate) fn accept_more<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        client: &'p Client<'p>,
        from: u32,
        handle: RegionHandle,
    ) -> Answered {
        let region = region_of(vmm, client, handle)?.id;
        let giver = self.alive(from).ok_or(Refusal::NoSuchOffer)?;
        let mut cursor = self.offers.lower_bound(Bound::Included(&(from, 0)));
        while let Some(offer) = cursor.clone_pointer().filter(|offer| offer.from.get() == from) {
            match offer.into.get() {
                Some((into, done)) if into == region => {
                    let now_done = self.accept_piece(vmm, (giver, offer), region, done)?;
                    return Ok(Answer::Pages(now_done - done));
                }
                _ => cursor.move_next(),
            }
        }
        Err(Refusal::NoSuchOffer)
    }

    /// Shares a piece of what was offered, `done` pages of which are; returns how many are then.
    fn accept_piece<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        (giver, offer): (&'p Client<'p>, &'p Offer<'p>),
        into: RegionId,
        done: u32,
    ) -> Result<u32, Refusal> {
        let Offered::Memory(start, serial) = offer.what.get() else {
            return Err(Refusal::NoSuchOffer);
        };
        let pages = (offer.pages.get() - done).min(MAX_PAGES);
        let at = start + done as usize * vmm.geometry().page_bytes();
        let (from, piece) = (giver.space(), Pages::at(at).count(pages as usize));
        let region = vmm.region_of_range(from, piece).map_err(gone)?;
        if region.id.serial() != serial {
            return Err(Refusal::NoSuchOffer);
        }
        let offered = protocol::Rights::from_bits_truncate(offer.rights.get());
        if !region.ceiling.contains(rights(offered)) {
            return Err(Refusal::BeyondRights);
        }
        vmm.check_can_share(from, piece).map_err(gone)?;
        vmm.break_copy_on_write(from, piece).map_err(gone)?;
        vmm.share_into(from, piece, into, done as usize).map_err(refuse)?;
        let done = done + pages;
        offer.into.set(Some((into, done)));
        if done == offer.pages.get() {
            self.remove_offer(giver, (offer.from.get(), offer.ticket.get()));
        }
        Ok(done)
    }

    /// [`protocol::Request::AcceptPaging`].
    pub(crate) fn accept_paging<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        client: &'p Client<'p>,
        (from, ticket): (u32, u32),
        address: usize,
        wanted: protocol::Rights,
    ) -> Answered {
        let (pager, offer, options) =
            self.to_accept(vmm, client, (from, ticket), (address, wanted), true)?;
        let Offered::Paging(key) = offer.what.get() else { return Err(Refusal::NoSuchOffer) };
        let options = options.named("paged");
        let region = self.reserve_paged(vmm, client, (pager, key), &options).map_err(refuse)?;
        self.remove_offer(pager, (from, offer.ticket.get()));
        region_answer(vmm, region)
    }

    /// The offer that a client may accept with these rights, who made it, and the region it asks
    /// for.
    fn to_accept<K: Kernel + Memory<'p>>(
        &self,
        vmm: &Vmm<'p, K>,
        client: &Client<'p>,
        (from, ticket): (u32, u32),
        (address, wanted): (usize, protocol::Rights),
        paging: bool,
    ) -> Result<(&'p Client<'p>, &'p Offer<'p>, RegionOptions), Refusal> {
        room_for_region(vmm, client)?;
        let giver = self.alive(from).ok_or(Refusal::NoSuchOffer)?;
        let offer = self.offer_to(client.id(), (giver, ticket), paging)?;
        let offered = protocol::Rights::from_bits_truncate(offer.rights.get());
        if !offered.contains(wanted) {
            return Err(Refusal::BeyondRights);
        }
        let options = RegionOptions::new(offer.pages.get() as usize)
            .rights(rights(wanted))
            .ceiling(rights(offered));
        Ok((giver, offer, with_placement(options, address)))
    }

    /// The offer of `giver` to `to` with this ticket, or the oldest for 0: to page, or of memory.
    fn offer_to(
        &self,
        to: ClientId,
        (giver, ticket): (&Client<'p>, u32),
        paging: bool,
    ) -> Result<&'p Offer<'p>, Refusal> {
        let (from, tickets) = (giver.number(), giver.tickets.get());
        let mut oldest: Option<&Offer<'_>> = None;
        let mut cursor = self.offers.lower_bound(Bound::Included(&(from, ticket)));
        // A client has at most MAX_OFFERS of them.
        while let Some(offer) = cursor.clone_pointer() {
            let other = ticket != 0 && offer.ticket.get() != ticket;
            if offer.from.get() != from || other {
                break;
            }
            let age = |offer: &Offer<'_>| tickets.age_key(offer.ticket.get());
            let is_it = offer.to.get() == Some(to) && offer.is_paging() == paging;
            if is_it && oldest.is_none_or(|oldest| age(offer) < age(oldest)) {
                oldest = Some(offer);
            }
            cursor.move_next();
        }
        oldest.ok_or(Refusal::NoSuchOffer)
    }

    fn remove_offer(&mut self, giver: &Client<'p>, key: (u32, u32)) {
        if let Some(node) = self.offers.find_mut(&key).remove() {
            self.free_offer(node);
            giver.open_offers.set(giver.open_offers.get() - 1);
            // It may wait for faults of what nobody accepts any more.
            if let Some(pager) = self.alive(key.0) {
                self.mark_ready(pager);
            }
        }
    }

    /// Takes back all offers of a client.
    pub(crate) fn remove_offers_of(&mut self, client: &Client<'p>) {
        let number = client.number();
        loop {
            let first = self.offers.lower_bound(Bound::Included(&(number, 0))).clone_pointer();
            match first {
                Some(offer) if offer.from.get() == number => {
                    self.remove_offer(client, (number, offer.ticket.get()));
                }
                _ => return,
            }
        }
    }
}

/// What an error on the giver's side says to the taker: nothing of the giver's memory.
fn gone(error: vmm::Error) -> Refusal {
    match error {
        vmm::Error::Allocator(_) | vmm::Error::OutOfNodes(_) => refuse(error),
        _ => Refusal::NoSuchOffer,
    }
}
