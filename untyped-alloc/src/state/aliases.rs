// SPDX-License-Identifier: BSD-2-Clause
//! Aliases: second capabilities to the frames of one chunk, each mapped for good.
//!
//! ```text
//!               none ──copied──► there ──mapped──► mapped
//!                    ◄─deleted──       ◄─unmapped─
//! ```

use core::cell::Cell;

use super::object_map::Bits;
use crate::types::CPtr;

/// Where the aliases of a chunk's frames are: in consecutive slots, one for each frame.
#[derive(Default)]
pub struct Aliases<'p> {
    pub(super) next_free: Cell<Option<&'p Aliases<'p>>>,
    first: Cell<CPtr>,
    /// A set bit: there is a capability in the slot.
    there: Bits,
    /// With `there`: it is mapped.
    mapped: Bits,
}

impl Aliases<'_> {
    /// Starts over: no alias is there, and those to come go into the slots from `first` on.
    pub fn reset(&self, first: CPtr) {
        self.first.set(first);
        self.there.set_first(0);
        self.mapped.set_first(0);
    }

    /// The slot of the first frame's alias.
    pub fn first(&self) -> CPtr {
        self.first.get()
    }

    /// The slot of the alias of frame number `index`.
    pub fn slot_of(&self, index: usize) -> CPtr {
        self.first().offset(index)
    }

    /// Whether frame number `index` (below 256) has an alias.
    pub fn is_there(&self, index: usize) -> bool {
        self.there.get(index)
    }

    /// Whether the alias of frame number `index` (below 256) is mapped.
    pub fn is_mapped(&self, index: usize) -> bool {
        self.mapped.get(index)
    }

    /// Records whether frame number `index` has an alias.
    pub fn set_there(&self, index: usize, there: bool) {
        self.there.set(index, there);
    }

    /// Records whether the alias of frame number `index`, which it has, is mapped.
    pub fn set_mapped(&self, index: usize, mapped: bool) {
        self.mapped.set(index, mapped);
    }

    /// How many aliases are mapped.
    pub fn mapped_count(&self) -> usize {
        self.mapped.count()
    }
}
