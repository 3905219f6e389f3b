// SPDX-License-Identifier: BSD-2-Clause
//! An offer's record.

use core::cell::Cell;

use intrusive_collections::{KeyAdapter, RBTreeLink};
use vmm::RegionId;

use crate::types::ids::ClientId;

/// What is offered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Offered {
    /// The giver's memory from this address on, in the region with this serial number.
    Memory(usize, u64),
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
    pub from: Cell<u32>,
    pub ticket: Cell<u32>,
    /// Whom it is to: nobody else who has that number later.
    pub to: Cell<Option<ClientId>>,
    pub what: Cell<Offered>,
    pub pages: Cell<u32>,
    pub rights: Cell<u32>,
    /// The region that it is being accepted into, and how many pages are.
    pub into: Cell<Option<(RegionId, u32)>>,
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
    /// Giver and ticket.
    type Key = (u32, u32);
    fn get_key(&self, offer: &'a Offer<'_>) -> (u32, u32) {
        (offer.from.get(), offer.ticket.get())
    }
}

impl Offer<'_> {
    /// Whether it is an offer to page.
    pub fn is_paging(&self) -> bool {
        matches!(self.what.get(), Offered::Paging(_))
    }
}
