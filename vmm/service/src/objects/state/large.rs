// SPDX-License-Identifier: BSD-2-Clause
//! The records of large pages: all that the service has reserved, each of which is free or a memory
//! object's. There is a record for each from the start, so none is ever wanting.

use core::cell::Cell;

use intrusive_collections::{Bound, KeyAdapter, RBTree, RBTreeLink};
use vmm::{Pool, RegionId};

/// A large page's node.
#[derive(Default)]
pub(crate) struct LargePage<'p> {
    pub next_free: Cell<Option<&'p LargePage<'p>>>,
    by_place: RBTreeLink,
    /// The region of the manager's own space that it is all of, always.
    pub region: Cell<Option<RegionId>>,
    /// The number of the memory object, and which of its large pages it is.
    pub memory: Cell<u32>,
    pub number: Cell<u32>,
    /// Of one that is given back: how many of its bytes are zero, from the first on.
    pub zeroed: Cell<usize>,
}

// A page holds 46 of them, on IA32 73.
const _: () = assert!(size_of::<LargePage<'_>>() <= if size_of::<usize>() == 4 { 56 } else { 88 });

#[allow(unsafe_code)] // what the adapter macro expands to
mod adapters {
    use super::*;
    use intrusive_collections::intrusive_adapter;

    intrusive_adapter!(
        pub(crate) ByPlace<'p> = &'p LargePage<'p>: LargePage<'p> { by_place => RBTreeLink }
    );
}

use adapters::ByPlace;

impl<'a> KeyAdapter<'a> for ByPlace<'_> {
    /// The memory object's number, and the large page's.
    type Key = (u32, u32);

    fn get_key(&self, node: &'a LargePage<'_>) -> (u32, u32) {
        (node.memory.get(), node.number.get())
    }
}

impl LargePage<'_> {
    /// Where it is mapped in the manager's own space, in bytes.
    pub fn address(&self) -> usize {
        self.region.get().map_or(0, |region| region.start().bits())
    }
}

/// All large pages.
pub(crate) struct LargePages<'p> {
    /// Those of memory objects.
    pub taken: RBTree<ByPlace<'p>>,
    /// Those of nobody, which are zero.
    pub free: Pool<'p, LargePage<'p>>,
    /// Nodes that stand for none.
    pub unused: Pool<'p, LargePage<'p>>,
}

impl<'p> LargePages<'p> {
    /// None.
    pub fn new() -> LargePages<'p> {
        LargePages {
            taken: RBTree::new(ByPlace::new()),
            free: Pool::new(|node| &node.next_free),
            unused: Pool::new(|node| &node.next_free),
        }
    }

    /// A memory object's large page with this number, if it is there.
    pub fn at(&self, memory: u32, number: u32) -> Option<&'p LargePage<'p>> {
        self.taken.find(&(memory, number)).clone_pointer()
    }

    /// The first of a memory object's that are there, from number `from` on.
    pub fn first_of(&self, memory: u32, from: u32) -> Option<&'p LargePage<'p>> {
        let first = self.taken.lower_bound(Bound::Included(&(memory, from))).clone_pointer();
        first.filter(|page| page.memory.get() == memory)
    }

    /// Makes a free one a memory object's, with this number; `None` where there is none.
    pub fn take(&mut self, memory: u32, number: u32) -> Option<&'p LargePage<'p>> {
        let page = self.free.alloc()?;
        page.memory.set(memory);
        page.number.set(number);
        page.zeroed.set(0);
        self.taken.insert(page);
        Some(page)
    }

    /// Makes one that is zero free again.
    pub fn give_back(&mut self, page: &'p LargePage<'p>) {
        self.taken.find_mut(&(page.memory.get(), page.number.get())).remove();
        self.free.free(page);
    }
}
