// SPDX-License-Identifier: BSD-2-Clause
//! The record of a page that a pager has supplied, and what is remembered of paged memory.

use core::cell::Cell;

use intrusive_collections::{KeyAdapter, RBTreeLink};
use vmm::CPtr;

/// A page's node. There is one for each page of paged memory that is there.
#[derive(Default)]
pub(crate) struct Supplied<'p> {
    pub next_free: Cell<Option<&'p Supplied<'p>>>,
    by_page: RBTreeLink,
    /// The number of the memory object, and the page.
    pub memory: Cell<u32>,
    pub page: Cell<u32>,
    /// Whether it may be written, and whether it was.
    pub may_write: Cell<bool>,
    pub written: Cell<bool>,
    /// Whether its pager has it too.
    pub shared: Cell<bool>,
    /// Whether it is being taken back: who touches it waits.
    pub leaves: Cell<bool>,
}

#[allow(unsafe_code)] // what the adapter macro expands to
mod adapters {
    use super::*;
    use intrusive_collections::intrusive_adapter;

    intrusive_adapter!(
        pub(crate) ByPage<'p> = &'p Supplied<'p>: Supplied<'p> { by_page => RBTreeLink }
    );
}

pub(crate) use adapters::ByPage;

impl<'a> KeyAdapter<'a> for ByPage<'_> {
    /// The memory object's number, and the page.
    type Key = (u32, u32);

    fn get_key(&self, node: &'a Supplied<'_>) -> (u32, u32) {
        (node.memory.get(), node.page.get())
    }
}

/// What a memory object has whose pages come from a pager.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Paged {
    /// How many of its pages can be there at a time.
    pub most: u32,
    /// How many threads wait for a page of it.
    pub waiting: u32,
    /// The number of the program that asked as its pager last; 0 before one has.
    pub pager: u32,
    /// The slot of the capability that is signalled when a page is waited for; the null slot before
    /// there is one.
    pub notify: CPtr,
    /// Whether it is to be signalled now.
    pub due: bool,
}

/// What becomes of a thread that touched a page which is not there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// It waits, and its pager was told of that, or not.
    Waits { told: bool },
    /// It waits for memory.
    Lacks,
    /// It goes on now.
    GoesOn,
    /// It goes on now, and the page cannot be had: it was refused, or comes too late.
    IsRefused { late: bool },
    /// It went on: if it touches the page again, that is a fault.
    WasRefused { late: bool },
}

/// The page that a thread waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PageWait {
    /// The number of the memory object, and the page of it.
    pub memory: u32,
    pub page: u32,
    /// The token of the mapping that it touched, and the number by which the manager asked.
    pub token: u32,
    pub asked: u32,
    /// Whether it is to be written.
    pub write: bool,
    /// Those with lower numbers came before.
    pub turn: u64,
    /// When it has waited for as long as it may, in milliseconds of the clock.
    pub until: Option<u64>,
    pub phase: Phase,
}

/// What a thread is looked for as, in the order in which they came.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Order {
    /// One that waits for a page of this memory object, of which its pager was not told.
    Untold(u32),
    /// One that waits for memory.
    Lacks,
    /// One that goes on now.
    GoesOn,
}

impl PageWait {
    /// When it has waited for too long.
    pub fn deadline(&self) -> Option<u64> {
        self.until.filter(|_| self.waits())
    }

    /// What it is looked for as, if it is.
    pub fn order(&self) -> Option<Order> {
        match self.phase {
            Phase::Waits { told: false } => Some(Order::Untold(self.memory)),
            Phase::Lacks => Some(Order::Lacks),
            Phase::GoesOn | Phase::IsRefused { .. } => Some(Order::GoesOn),
            Phase::Waits { told: true } | Phase::WasRefused { .. } => None,
        }
    }

    /// By what one is found that waits for a page.
    pub fn by_page(&self) -> (u32, u32, u64) {
        (self.memory, self.page, self.turn)
    }

    /// By what one is found that waits for a page of a mapping.
    pub fn by_mapping(&self) -> (u32, u32, u64) {
        (self.token, self.asked, self.turn)
    }

    /// Whether the thread is suspended, and nothing has let it go on.
    pub fn waits(&self) -> bool {
        self.is_wanted() || self.lacks()
    }

    /// Whether that is for its pager.
    pub fn is_wanted(&self) -> bool {
        matches!(self.phase, Phase::Waits { .. })
    }

    /// Whether that is for memory.
    pub fn lacks(&self) -> bool {
        self.phase == Phase::Lacks
    }
}
