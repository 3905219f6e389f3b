//! What one client offers another, once: memory of its own, or to be the pager of a region.
//!
//! An offer of memory holds nothing but the words of it, and which region they were about. What that
//! region has at these addresses when the offer is accepted is what is shared, if all of it is mapped
//! then; its giver can unmap or offer what it likes. Another region that has come to lie there was
//! not offered.
//!
//! However long it is, it is accepted in pieces: the first with a region for all of it, the others
//! into that. The offer is over with the last piece. Until then it can be accepted anew, with another
//! region.

use core::cell::Cell;

use intrusive_collections::{Bound, KeyAdapter, RBTreeLink};
use untyped_alloc::{Kernel, Memory};
use vmm_client::protocol::{self, Answer, Refusal, RegionHandle, MOST_OFFERS, MOST_PAGES};

use crate::RegionId;
use crate::RegionOptions;
use crate::Vmm;

use super::clients::Client;
use super::memory::{made, made_in_part, placed, region_of, rights, room_for_region};
use super::refusal::refuse;
use super::{no_node, Service};

/// What is offered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Offered {
    /// The giver's memory from this address on, in the region with this serial number.
    Memory(u32, u32),
    /// To page a region, which the pager calls this.
    Paging(u32),
}

impl Default for Offered {
    fn default() -> Self {
        Offered::Memory(0, 0)
    }
}

/// An offer's node.
#[derive(Default)]
pub(crate) struct Offer<'p> {
    pub next_free: Cell<Option<&'p Offer<'p>>>,
    by_ticket: RBTreeLink,
    from: Cell<u32>,
    ticket: Cell<u32>,
    to: Cell<u32>,
    what: Cell<Offered>,
    pages: Cell<u32>,
    rights: Cell<u32>,
    /// The region that it is being accepted into, and how many pages are.
    into: Cell<Option<(RegionId, u32)>>,
}

#[allow(unsafe_code)] // what the adapter macro expands to
mod adapters {
    use super::*;
    use intrusive_collections::intrusive_adapter;
    intrusive_adapter!(
        pub(crate) ByTicket<'p> = &'p Offer<'p>: Offer<'p> { by_ticket => RBTreeLink }
    );
}
pub(crate) use adapters::ByTicket;

impl<'a> KeyAdapter<'a> for ByTicket<'_> {
    type Key = (u32, u32);
    fn get_key(&self, offer: &'a Offer<'_>) -> (u32, u32) {
        (offer.from.get(), offer.ticket.get())
    }
}

impl<'p> Service<'p> {
    /// [`protocol::Request::Offer`].
    pub(super) fn offer<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        client: &'p Client<'p>,
        to: u32,
        (start, pages): (u32, u32),
        rights: protocol::Rights,
    ) -> Result<Answer, Refusal> {
        self.may_offer(client, to)?;
        let space = vmm.space(client.space()).map_err(refuse)?;
        let (region, range) =
            vmm.caller_range(space, start as usize, pages as usize).map_err(refuse)?;
        // The rest is looked at when it is accepted.
        let first = range.part(0, pages.min(MOST_PAGES) as usize).unwrap_or(range);
        vmm.check_shareable(space, first).map_err(refuse)?;
        let what = Offered::Memory(start, region.serial());
        self.make_offer(vmm, client, to, what, (pages, rights))
    }

    /// [`protocol::Request::OfferPaging`].
    pub(super) fn offer_paging<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        client: &'p Client<'p>,
        to: u32,
        key: u32,
        (pages, rights): (u32, protocol::Rights),
    ) -> Result<Answer, Refusal> {
        self.may_offer(client, to)?;
        self.make_offer(vmm, client, to, Offered::Paging(key), (pages, rights))
    }

    fn may_offer(&self, client: &Client<'p>, to: u32) -> Result<(), Refusal> {
        if client.open_offers.get() >= MOST_OFFERS {
            return Err(Refusal::TooMuch { most: MOST_OFFERS });
        }
        if to == client.number.get() || self.alive(to).is_none() {
            return Err(Refusal::NoSuchClient);
        }
        Ok(())
    }

    fn make_offer<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        client: &'p Client<'p>,
        to: u32,
        what: Offered,
        (pages, rights): (u32, protocol::Rights),
    ) -> Result<Answer, Refusal> {
        self.refill(vmm).map_err(refuse)?;
        let ticket = client.last_ticket.get().checked_add(1).ok_or(Refusal::Internal)?;
        let node = self.free_offers.take().ok_or_else(|| refuse(no_node()))?;
        client.last_ticket.set(ticket);
        client.open_offers.set(client.open_offers.get() + 1);
        node.from.set(client.number.get());
        node.ticket.set(ticket);
        node.to.set(to);
        node.what.set(what);
        node.pages.set(pages);
        node.rights.set(rights.bits());
        node.into.set(None);
        self.offers.insert(node);
        Ok(Answer::Ticket(ticket))
    }

    /// [`protocol::Request::Withdraw`].
    pub(super) fn withdraw(
        &mut self,
        client: &'p Client<'p>,
        ticket: u32,
    ) -> Result<Answer, Refusal> {
        let key = (client.number.get(), ticket);
        if self.offers.find(&key).is_null() {
            return Err(Refusal::NoSuchOffer);
        }
        self.drop_offer(client, key);
        Ok(Answer::Done)
    }

    /// [`protocol::Request::Accept`].
    pub(super) fn accept<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        client: &'p Client<'p>,
        (from, ticket): (u32, u32),
        address: u32,
        wanted: protocol::Rights,
    ) -> Result<Answer, Refusal> {
        let (giver, offer, options) =
            self.to_accept(vmm, client, (from, ticket), (address, wanted), false)?;
        let region = vmm.reserve(client.space(), &options.named("shared")).map_err(refuse)?;
        match self.accept_piece(vmm, (giver, offer), region, 0) {
            Ok(done) => made_in_part(vmm, region, done),
            Err(refusal) => {
                vmm.release(region).map_err(refuse)?;
                Err(refusal)
            }
        }
    }

    /// [`protocol::Request::AcceptMore`].
    pub(super) fn accept_more<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        client: &'p Client<'p>,
        from: u32,
        handle: RegionHandle,
    ) -> Result<Answer, Refusal> {
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
    /// What fails on the giver's side says nothing of its memory.
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
        let pages = (offer.pages.get() - done).min(MOST_PAGES);
        let at = start as usize + ((done as usize) << vmm.geometry.page_bits);
        let gone = |_| Refusal::NoSuchOffer;
        let space = vmm.space(giver.space()).map_err(gone)?;
        let (region, range) = vmm.caller_range(space, at, pages as usize).map_err(gone)?;
        if region.serial() != serial {
            return Err(Refusal::NoSuchOffer);
        }
        let offered = protocol::Rights::from_bits_truncate(offer.rights.get());
        if !region.spec().ceiling.contains(rights(offered)) {
            return Err(Refusal::BeyondRights);
        }
        vmm.check_shareable(space, range).map_err(gone)?;
        vmm.break_cow_in(space, range).map_err(gone)?;
        let (from, page) = (giver.space(), done as usize);
        vmm.share_into(from, at, pages as usize, into, page).map_err(refuse)?;
        let done = done + pages;
        offer.into.set(Some((into, done)));
        if done == offer.pages.get() {
            self.drop_offer(giver, (offer.from.get(), offer.ticket.get()));
        }
        Ok(done)
    }

    /// [`protocol::Request::AcceptPaging`].
    pub(super) fn accept_paging<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        client: &'p Client<'p>,
        (from, ticket): (u32, u32),
        address: u32,
        wanted: protocol::Rights,
    ) -> Result<Answer, Refusal> {
        let (pager, offer, options) =
            self.to_accept(vmm, client, (from, ticket), (address, wanted), true)?;
        let Offered::Paging(key) = offer.what.get() else { return Err(Refusal::NoSuchOffer) };
        let options = options.named("paged");
        let region = self.reserve_paged(vmm, client, (pager, key), &options).map_err(refuse)?;
        self.drop_offer(pager, (from, offer.ticket.get()));
        made(vmm, region)
    }

    /// The offer that a client may accept with these rights, who made it, and the region it asks for.
    fn to_accept<K: Kernel + Memory<'p>>(
        &self,
        vmm: &Vmm<'p, K>,
        client: &Client<'p>,
        (from, ticket): (u32, u32),
        (address, wanted): (u32, protocol::Rights),
        paging: bool,
    ) -> Result<(&'p Client<'p>, &'p Offer<'p>, RegionOptions), Refusal> {
        room_for_region(vmm, client)?;
        let giver = self.alive(from).ok_or(Refusal::NoSuchOffer)?;
        let offer = self.offer_to(client.number.get(), (from, ticket), paging)?;
        let offered = protocol::Rights::from_bits_truncate(offer.rights.get());
        if !offered.contains(wanted) {
            return Err(Refusal::BeyondRights);
        }
        let options = RegionOptions::new(offer.pages.get() as usize)
            .rights(rights(wanted))
            .ceiling(rights(offered));
        Ok((giver, offer, placed(options, address)))
    }

    /// Whether a client has offered others to page for them that live.
    pub(super) fn offers_paging(&self, client: &Client<'p>) -> bool {
        let number = client.number.get();
        let mut cursor = self.offers.lower_bound(Bound::Included(&(number, 0)));
        while let Some(offer) = cursor.get().filter(|offer| offer.from.get() == number) {
            let paging = matches!(offer.what.get(), Offered::Paging(_));
            if paging && self.alive(offer.to.get()).is_some() {
                return true;
            }
            cursor.move_next();
        }
        false
    }

    /// The offer of `from` to `to` with this ticket, or the oldest for 0: to page, or of memory.
    fn offer_to(
        &self,
        to: u32,
        (from, ticket): (u32, u32),
        paging: bool,
    ) -> Result<&'p Offer<'p>, Refusal> {
        let mut cursor = self.offers.lower_bound(Bound::Included(&(from, ticket)));
        // A client has at most MOST_OFFERS of them.
        while let Some(offer) = cursor.clone_pointer() {
            let other = ticket != 0 && offer.ticket.get() != ticket;
            if offer.from.get() != from || other {
                break;
            }
            let is_paging = matches!(offer.what.get(), Offered::Paging(_));
            if offer.to.get() == to && is_paging == paging {
                return Ok(offer);
            }
            cursor.move_next();
        }
        Err(Refusal::NoSuchOffer)
    }

    fn drop_offer(&mut self, giver: &Client<'p>, key: (u32, u32)) {
        if let Some(node) = self.offers.find_mut(&key).remove() {
            self.free_offers.give(node);
            giver.open_offers.set(giver.open_offers.get() - 1);
            // It may wait for faults of what nobody accepts any more.
            self.poke_number(key.0);
        }
    }

    /// Takes back all offers of a client.
    pub(super) fn drop_offers_of(&mut self, client: &Client<'p>) {
        let number = client.number.get();
        loop {
            let first = self.offers.lower_bound(Bound::Included(&(number, 0))).clone_pointer();
            match first {
                Some(offer) if offer.from.get() == number => {
                    self.drop_offer(client, (number, offer.ticket.get()));
                }
                _ => return,
            }
        }
    }
}
