// SPDX-License-Identifier: BSD-2-Clause
//! Page tables: made when something is to be mapped, kept a little when empty, given back.

use page_tables::{PageRange, Pages, Table, VirtAddr};
use untyped_alloc::{Allocator, Blame, CPtr, Counted, Kernel, Memory};

use crate::manager::vmm::Vmm;
use crate::state::reserve::Reserve;
use crate::state::space::Space;
use crate::types::error::{Error, Result};
use crate::types::quota::Resource;

/// Empty page tables a space keeps: mapping again what was just unmapped is common, and making a
/// table costs about as much as mapping a page. They are given back when memory is out.
const KEPT_EMPTY: usize = 16;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// The deepest page table over an address, made if it is missing.
    #[inline(always)]
    pub(crate) fn table_at(
        &mut self,
        reserve: &mut Reserve,
        space: &'p Space<'p>,
        address: VirtAddr,
    ) -> Result<&'p Table<'p>> {
        let deepest = self.geometry.levels.len() as u8 - 1;
        loop {
            if let Some(table) = space.shadow.borrow().find(&self.geometry, deepest, address) {
                return Ok(table);
            }
            self.ensure_tables(reserve, space, address, deepest)?;
        }
    }

    /// Makes sure that an entry at `level` can be mapped at `address`: all tables above it are
    /// there, and no empty one sits in its place.
    pub(crate) fn ensure_tables(
        &mut self,
        reserve: &mut Reserve,
        space: &'p Space<'p>,
        address: VirtAddr,
        level: u8,
    ) -> Result {
        if usize::from(level) + 1 < self.geometry.levels.len() {
            let below = self.geometry.levels[usize::from(level)].entry_bits;
            let pages = 1 << (below - self.geometry.page_bits);
            let place =
                self.geometry.range(Pages::at(address.align_down(below).bits()).count(pages))?;
            self.free_empty_tables_in(space, place)?;
        }
        loop {
            let missing = space.shadow.borrow().missing(&self.geometry, level, address);
            let Some(missing) = missing else {
                return Ok(());
            };
            self.make_table(reserve, space, address, missing)?;
        }
    }

    fn make_table(
        &mut self,
        reserve: &mut Reserve,
        space: &'p Space<'p>,
        address: VirtAddr,
        level: u8,
    ) -> Result {
        while let Err(refused) = self.check_quota(space, Resource::Tables, 1) {
            // What is kept for speed is the space's only as long as it does not want another.
            if !self.free_kept_table(space, Some(address)) {
                return Err(refused);
            }
        }
        let node = self.pools.table(reserve)?;
        let table = match self.take_table(Some((space, address)), level) {
            Ok(table) => table,
            Err(error) => {
                self.pools.tables.free(node);
                return Err(error);
            }
        };
        let base = self.geometry.table_base(level, address);
        let mapped = self.kernel.table_map(table, level, space.root.get(), base.bits());
        if let Err(error) = mapped {
            self.pools.tables.free(node);
            self.alloc.free_table(table, level)?;
            return Err(Error::from(error));
        }
        let mut shadow = space.shadow.borrow_mut();
        shadow.insert(&self.geometry, node, level, address, table.bits());
        Ok(())
    }

    /// Takes a page table of the allocator, of those that are held back if there is no other.
    pub(crate) fn take_table(
        &mut self,
        way: Option<(&'p Space<'p>, VirtAddr)>,
        level: u8,
    ) -> Result<CPtr> {
        if self.alloc.holds_tables_in_plenty() {
            // They are the next to be taken.
            self.alloc.release_held_tables();
        }
        match self.alloc_or_prune_beside(way, |alloc, kernel| alloc.alloc_table(kernel, level)) {
            Err(error) if error.blame() == Blame::Resource => {
                self.alloc.alloc_held_table(level).ok_or(error)
            }
            taken => taken,
        }
    }

    /// Unmaps an empty table and gives it back.
    fn free_table(&mut self, space: &'p Space<'p>, table: &'p Table<'p>) -> Result {
        let capability = CPtr::new(table.capability());
        self.kernel.table_unmap(capability, table.level())?;
        let level = table.level();
        space.note_change();
        let node = space.shadow.borrow_mut().remove(&self.geometry, table);
        self.pools.tables.free(node);
        Ok(self.alloc.free_table(capability, level)?)
    }

    /// Gives back the deepest table over an address, if there is one and it is empty.
    pub(crate) fn free_deepest_table(&mut self, space: &'p Space<'p>, address: VirtAddr) -> Result {
        let deepest = self.geometry.levels.len() as u8 - 1;
        let table = space.shadow.borrow().find(&self.geometry, deepest, address);
        match table.filter(|table| table.is_listed_empty()) {
            Some(table) => self.free_table(space, table),
            None => Ok(()),
        }
    }

    /// Gives back the empty tables in `range`; the tables that become empty by that as well.
    pub(crate) fn free_empty_tables_in(
        &mut self,
        space: &'p Space<'p>,
        range: PageRange,
    ) -> Result {
        loop {
            let empty = space.shadow.borrow().empty_in(&self.geometry, range);
            let Some(table) = empty else { return Ok(()) };
            self.free_table(space, table)?;
        }
    }

    /// As [`Vmm::free_empty_tables_in`], on a path that does not fail: a table that the kernel will
    /// not let go stays recorded, empty and mapped, and is used or dropped another time.
    pub(crate) fn try_free_empty_tables_in(&mut self, space: &'p Space<'p>, range: PageRange) {
        let _ = self.free_empty_tables_in(space, range);
    }

    /// Gives empty tables back until the space keeps no more than it should.
    #[inline]
    pub(crate) fn prune_tables(&mut self, space: &'p Space<'p>) {
        self.prune_tables_to(space, KEPT_EMPTY);
    }

    /// Gives empty tables back until at most `keep` are left.
    pub(crate) fn prune_tables_to(&mut self, space: &'p Space<'p>, keep: usize) {
        loop {
            let shadow = space.shadow.borrow();
            if shadow.empty_len() <= keep {
                return;
            }
            let Some(table) = shadow.any_empty() else {
                return;
            };
            drop(shadow);
            if self.free_table(space, table).is_err() {
                return;
            }
        }
    }

    /// Takes memory or slots of the allocator with `alloc`: the one way to do so. Where they are
    /// out, which is only said when the allocator has nothing unused left to take back, all empty
    /// page tables that are kept for speed are given back, and `alloc` is called once more.
    #[inline(always)]
    pub(crate) fn alloc_or_prune<T>(
        &mut self,
        alloc: impl Fn(&mut Allocator<'p>, &mut Counted<K>) -> Result<T, untyped_alloc::Error>,
    ) -> Result<T> {
        self.alloc_or_prune_beside(None, alloc)
    }

    /// As [`Vmm::alloc_or_prune`]; tables on the way to an address that are about to be used stay.
    #[inline(always)]
    fn alloc_or_prune_beside<T>(
        &mut self,
        way: Option<(&'p Space<'p>, VirtAddr)>,
        alloc: impl Fn(&mut Allocator<'p>, &mut Counted<K>) -> Result<T, untyped_alloc::Error>,
    ) -> Result<T> {
        match alloc(&mut self.alloc, &mut self.kernel) {
            Ok(allocated) => Ok(allocated),
            Err(error) => self.prune_and_alloc(way, error, alloc),
        }
    }

    #[cold]
    #[inline(never)]
    fn prune_and_alloc<T>(
        &mut self,
        way: Option<(&'p Space<'p>, VirtAddr)>,
        error: untyped_alloc::Error,
        alloc: impl Fn(&mut Allocator<'p>, &mut Counted<K>) -> Result<T, untyped_alloc::Error>,
    ) -> Result<T> {
        let out = error.blame() == Blame::Resource;
        if !out || !self.free_kept_tables(way) {
            return Err(error.into());
        }
        Ok(alloc(&mut self.alloc, &mut self.kernel)?)
    }

    /// Gives back the empty tables of all spaces but those on the way to an address; says whether
    /// there were any.
    #[cold]
    #[inline(never)]
    fn free_kept_tables(&mut self, way: Option<(&'p Space<'p>, VirtAddr)>) -> bool {
        let (mut any, mut next) = (false, self.spaces.after(0));
        while let Some(space) = next {
            let on_it = way.filter(|(of, _)| core::ptr::eq(*of, space));
            while self.free_kept_table(space, on_it.map(|(_, address)| address)) {
                any = true;
            }
            next = self.spaces.after(space.id.get().number);
        }
        any
    }

    /// Gives back an empty table of a space that does not cover `address`, if there is one that the
    /// kernel lets go. O(tables of the space).
    #[cold]
    #[inline(never)]
    fn free_kept_table(&mut self, space: &'p Space<'p>, address: Option<VirtAddr>) -> bool {
        let geometry = &self.geometry;
        let on_the_way = |table: &Table<'p>| {
            address.is_some_and(|at| geometry.table_base(table.level(), at) == table.base())
        };
        let kept = space
            .shadow
            .borrow()
            .iter()
            .find(|table| table.is_listed_empty() && !on_the_way(table));
        let given = kept.is_some_and(|table| self.free_table(space, table).is_ok());
        if given {
            // What it was found out by may have been this table.
            self.append_cursor = None;
        }
        given
    }

    /// Gives back every table of a space in which nothing is mapped.
    pub(crate) fn prune_all_tables(&mut self, space: &'p Space<'p>) -> Result {
        loop {
            let empty = space.shadow.borrow().any_empty();
            let Some(table) = empty else { return Ok(()) };
            self.free_table(space, table)?;
        }
    }

    /// Whether nothing but empty tables sits where a frame of 2^`bits` bytes would go.
    pub(crate) fn is_vacant(&self, space: &Space<'p>, address: VirtAddr, bits: u8) -> bool {
        let Some(level) = self.geometry.level_of_frame(bits) else {
            return false;
        };
        let shadow = space.shadow.borrow();
        let table = shadow.find(&self.geometry, level + 1, address);
        table.is_none_or(|table| table.used() == 0 && !table.is_permanent())
    }
}
