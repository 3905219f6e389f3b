// SPDX-License-Identifier: BSD-2-Clause
//! Page tables taken from the kernel with all pages in them: one call where each page would take
//! one. What is recorded stays; a touch brings the table back, and the page.
//!
//! ```text
//!   recorded      table, its pages, their new rights
//!   the kernel    no table; each frame's capability still says where it is mapped
//!   a touch       the table is mapped, empty; Page_Remap writes the page's entry into it
//! ```
//!
//! No page is mapped elsewhere meanwhile: whatever takes one out of the record unmaps it before,
//! and then its capability forgets its place (invariant I60). So it does of pages that a promotion
//! was to copy: such a page is mapped anew where it would be remapped. A call that finds no table has it
//! mapped again, and is made once more: so nobody else needs to know.

use page_tables::{PageRange, VirtAddr};
use untyped_alloc::{CPtr, CachePolicy, Kernel, KernelError, Memory, Refused, Rights};

use crate::manager::vmm::Vmm;
use crate::state::extent::Extent;
use crate::state::extent_cursor::{ExtentCursor, Visited};
use crate::state::extents::Extents;
use crate::state::space::Space;
use crate::types::error::Result;

/// A table with fewer pages to change is left where it is: to take it costs as much as some ten of
/// them, and each page that stays is brought by a fault.
pub(crate) const MIN_DETACHED: usize = 16;

/// The kernel call that finds no table.
pub(super) enum Entry {
    Map,
    Remap,
}

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// The first part of a range: what is below one of the deepest page tables.
    pub(crate) fn below_one_table(&self, range: PageRange) -> PageRange {
        let level = self.geometry.levels.len() as u8 - 1;
        let end = self.geometry.table_end(level, range.start()).min(range.end());
        let pages = (end - range.start().bits()) >> self.geometry.page_bits;
        range.part(0, pages).unwrap_or(range)
    }

    /// Detaches the page table over a range, which is below one, if all pages of that lie in it and
    /// enough of them are to be changed; and has the change recorded for each extent that `changes`
    /// says it of. Returns whether it is so: otherwise nothing is changed. One kernel call.
    ///
    /// Not in our own space, where nobody answers faults, in a store, where those are not told by
    /// their whole address, and where the kernel refuses it, or a node is wanting.
    pub(crate) fn detach_table(
        &mut self,
        space: &'p Space<'p>,
        below: PageRange,
        changes: impl Fn(&Extent) -> bool,
        change: impl Fn(&mut Extents<'p>, VirtAddr),
    ) -> bool {
        let apart = core::ptr::eq(space, self.own) || space.store.get();
        if apart || self.untold(space, below).is_some() {
            return false;
        }
        let level = self.geometry.levels.len() as u8 - 1;
        let table = space.shadow.borrow().find(&self.geometry, level, below.start());
        let worth = table.filter(|table| {
            let (all, changed) = self.count_changed(space, below, &changes);
            all == table.used() && changed >= self.min_detached
        });
        let Some(table) = worth else { return false };
        let ready = self.refill().and_then(|mut reserve| {
            self.split_extent(&mut reserve, space, below.start().bits())?;
            self.split_extent(&mut reserve, space, below.end())?;
            Ok(self.kernel.table_unmap(CPtr::new(table.capability()), level)?)
        });
        if ready.is_err() {
            return false;
        }
        space.detached.set(true);
        let mut cursor = ExtentCursor::over(below);
        while let Some(Visited { extent, .. }) = cursor.next(space) {
            if changes(&extent) {
                change(&mut space.extents_mut(), extent.start);
            }
        }
        true
    }

    /// How many small pages there are in a range, and of how many `changes` says so.
    fn count_changed(
        &self,
        space: &'p Space<'p>,
        range: PageRange,
        changes: impl Fn(&Extent) -> bool,
    ) -> (usize, usize) {
        let (mut all, mut changed, mut cursor) = (0, 0, ExtentCursor::over(range));
        while let Some(Visited { extent, count, .. }) = cursor.next(space) {
            all += count;
            changed += if changes(&extent) { count } else { 0 };
        }
        (all, changed)
    }

    /// Makes a call again that has found no page table, if there is one that was detached.
    #[cold]
    #[inline(never)]
    pub(super) fn attach_and(
        &mut self,
        enter: Entry,
        space: &Space<'p>,
        (frame, address): (CPtr, usize),
        (rights, cache): (Rights, CachePolicy),
        found: Result<(), Refused>,
    ) -> Result<(), Refused> {
        let root = space.root.get();
        // Its capability has no place where a promotion was to copy it, and was given up.
        let placeless = matches!(found, Err(Refused { error: KernelError::IllegalOperation, .. }));
        // Or it is where it was copied still, as the kernel refused to unmap it there.
        let slot = self.temp_slots.holding(frame);
        let elsewhere = slot.is_some_and(|slot| self.unmap_temporary(slot).is_ok());
        let anew = elsewhere || placeless && matches!(enter, Entry::Remap);
        let (enter, found) = match anew {
            true => (Entry::Map, self.kernel.page_map(frame, root, address, rights, cache)),
            false => (enter, found),
        };
        let missing = matches!(found, Err(Refused { error: KernelError::FailedLookup, .. }));
        if !missing || !self.attach_table(space, address) {
            return found;
        }
        match enter {
            Entry::Map => self.kernel.page_map(frame, root, address, rights, cache),
            Entry::Remap => self.kernel.page_remap(frame, root, address, rights, cache),
        }
    }

    /// Maps the recorded page table over an address (bytes) again; says whether the kernel did.
    fn attach_table(&mut self, space: &Space<'p>, address: usize) -> bool {
        let level = self.geometry.levels.len() as u8 - 1;
        let Ok(address) = self.geometry.address(address) else { return false };
        let table = space.shadow.borrow().find(&self.geometry, level, address);
        table.is_some_and(|table| {
            let (table, base) = (CPtr::new(table.capability()), table.base().bits());
            self.kernel.table_map(table, level, space.root.get(), base).is_ok()
        })
    }
}
