// SPDX-License-Identifier: BSD-2-Clause
//! The record of pages of a memory object that are mapped in a space.

use core::cell::Cell;

use intrusive_collections::{KeyAdapter, RBTreeLink};
use vmm::{RegionId, Source};
use vmm_client::objects::{Amounts, Rights, PAGE_BYTES};

use super::object::Object;

/// A mapping's node.
#[derive(Default)]
pub(crate) struct Mapping<'p> {
    pub next_free: Cell<Option<&'p Mapping<'p>>>,
    by_token: RBTreeLink,
    by_place: RBTreeLink,
    by_memory: RBTreeLink,
    by_through: RBTreeLink,
    by_payer: RBTreeLink,
    /// What the manager knows it by when one of its pages is touched: those that were cut from one
    /// mapping have one token.
    pub token: Cell<u32>,
    /// The number by which the manager asks for its first page.
    pub base: Cell<u32>,
    pub space: Cell<Option<&'p Object<'p>>>,
    /// The innermost reservation that it lies in.
    pub within: Cell<Option<&'p Object<'p>>>,
    pub memory: Cell<Option<&'p Object<'p>>>,
    /// The badge of the capability to the memory that it was made by: it ends with it.
    pub through: Cell<u32>,
    /// The account that pays for it.
    pub payer: Cell<Option<&'p Object<'p>>>,
    pub charge: Cell<Amounts>,
    /// Its region in the space.
    pub region: Cell<Option<RegionId>>,
    /// The address of its first page.
    pub start: Cell<usize>,
    /// The first page of the memory object, and how many.
    pub first: Cell<u32>,
    pub pages: Cell<u32>,
    /// The rights of its pages.
    pub rights: Cell<Rights>,
    /// Whether a page that is written is a copy of its own from then on.
    pub private: Cell<bool>,
}

#[allow(unsafe_code)] // what the adapter macro expands to
mod adapters {
    use super::*;
    use intrusive_collections::intrusive_adapter;

    intrusive_adapter!(
        pub(crate) ByToken<'p> = &'p Mapping<'p>: Mapping<'p> { by_token => RBTreeLink }
    );
    intrusive_adapter!(
        pub(crate) ByPlace<'p> = &'p Mapping<'p>: Mapping<'p> { by_place => RBTreeLink }
    );
    intrusive_adapter!(
        pub(crate) ByMemory<'p> = &'p Mapping<'p>: Mapping<'p> { by_memory => RBTreeLink }
    );
    intrusive_adapter!(
        pub(crate) ByThrough<'p> = &'p Mapping<'p>: Mapping<'p> { by_through => RBTreeLink }
    );
    intrusive_adapter!(
        pub(crate) ByPayer<'p> = &'p Mapping<'p>: Mapping<'p> { by_payer => RBTreeLink }
    );
}

pub(crate) use adapters::{ByMemory, ByPayer, ByPlace, ByThrough, ByToken};

/// What no other mapping has: the token, and the number of the first page.
pub(crate) type Id = (u32, u32);

impl Mapping<'_> {
    /// Whether it is one of paged memory.
    pub fn is_paged(&self) -> bool {
        self.memory.get().is_some_and(|memory| memory.paged.get().is_some())
    }

    /// Whether a page that is mapped in it is a copy of its own, which a private mapping has.
    pub fn owns(&self, page: &vmm::Mapping) -> bool {
        self.private.get() && page.source == Source::Owned
    }

    /// The region in which a page of the memory object is mapped, and its number there.
    pub fn place_of(&self, page: u32) -> Option<(RegionId, u32)> {
        let number = page.checked_sub(self.first.get()).filter(|&it| it < self.pages.get())?;
        Some((self.region.get()?, number))
    }

    /// What no other mapping has.
    pub fn id(&self) -> Id {
        (self.token.get(), self.base.get())
    }

    /// The number by which the manager would ask for the page behind its last.
    pub fn base_behind(&self) -> u32 {
        self.base.get() + self.pages.get()
    }
}

/// An object's number, 0 without one.
fn number(object: &Cell<Option<&Object<'_>>>) -> u32 {
    object.get().map_or(0, |object| object.number.get())
}

impl<'a> KeyAdapter<'a> for ByToken<'_> {
    type Key = Id;

    fn get_key(&self, mapping: &'a Mapping<'_>) -> Id {
        mapping.id()
    }
}

impl<'a> KeyAdapter<'a> for ByPlace<'_> {
    /// The space's number, and where it begins.
    type Key = (u32, usize);

    fn get_key(&self, mapping: &'a Mapping<'_>) -> (u32, usize) {
        (number(&mapping.space), mapping.start.get())
    }
}

impl<'a> KeyAdapter<'a> for ByMemory<'_> {
    /// The memory object's number, and what identifies the mapping.
    type Key = (u32, Id);

    fn get_key(&self, mapping: &'a Mapping<'_>) -> (u32, Id) {
        (number(&mapping.memory), mapping.id())
    }
}

impl<'a> KeyAdapter<'a> for ByThrough<'_> {
    /// The badge, and what identifies the mapping.
    type Key = (u32, Id);

    fn get_key(&self, mapping: &'a Mapping<'_>) -> (u32, Id) {
        (mapping.through.get(), mapping.id())
    }
}

impl<'a> KeyAdapter<'a> for ByPayer<'_> {
    /// The account's number, and what identifies the mapping.
    type Key = (u32, Id);

    fn get_key(&self, mapping: &'a Mapping<'_>) -> (u32, Id) {
        (number(&mapping.payer), mapping.id())
    }
}

/// Whether a mapping begins where another ends. A part that was moved keeps its number.
pub(crate) fn is_behind(lower: &Mapping<'_>, upper: &Mapping<'_>) -> bool {
    upper.start.get() == lower.start.get() + lower.pages.get() as usize * PAGE_BYTES
}
