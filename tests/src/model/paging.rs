// SPDX-License-Identifier: BSD-2-Clause
//! Paging structures: how the hardware walks them, and what it may have cached of them. Rules from
//! `src/arch/x86/{32,64}/kernel/vspace*.c`, and from the processor.

use untyped_alloc::kernel::{CachePolicy, KernelError, KernelResult, Rights};

use super::kernel::ModelKernel;
use super::state::arch::mask;
use super::state::cap::{Cap, Place};
use super::state::tables::{Entry, KERNEL_TABLE, Mapping};
use super::state::threads::tcb_slot;

impl ModelKernel<'_> {
    /// The table that translates addresses of threads with this VSpace (`setVMRoot`).
    pub(super) fn active_root(&self, cap: Cap) -> Option<usize> {
        let Cap::Table { base, level: 0, mapped: Some(place) } = cap else {
            return None;
        };
        (self.asids.root(place.asid) == Some(base)).then_some(base)
    }

    pub(super) fn caller_root(&self) -> Option<usize> {
        self.active_root(self.cap_in(self.slots.id(self.caller, tcb_slot::VSPACE)))
    }

    /// The entry of a table of `level` that translates `vaddr`: the table and the index in it.
    /// Fails where a table above is missing.
    pub(super) fn entry_for(
        &self,
        root: usize,
        level: usize,
        vaddr: usize,
    ) -> KernelResult<(usize, usize)> {
        let mut table = root;
        for above in 0..level {
            match self.entry(above, table, self.arch.index(above, vaddr)) {
                Entry::Table(next) => table = next,
                _ => return Err(KernelError::FailedLookup),
            }
        }
        Ok((table, self.arch.index(level, vaddr)))
    }

    /// An entry. Those of a root that lie in the kernel's part are the same in every VSpace: large
    /// pages of the kernel's, and a table of the kernel's at the very end.
    pub(super) fn entry(&self, level: usize, table: usize, index: usize) -> Entry {
        if level == 0 && self.arch.kernel_in_root && index >= self.arch.index(0, self.arch.user_top)
        {
            if index == mask(self.arch.index_bits[0]) {
                return Entry::Table(KERNEL_TABLE + 1);
            }
            let (rights, cache) = (Rights::empty(), CachePolicy::WriteBack);
            return Entry::Page { paddr: KERNEL_TABLE, rights, cache };
        }
        self.tables.get(table, index)
    }

    /// Empties the entry at `place`, if it is still this frame's (`unmapPage`).
    pub(super) fn unmap_frame(&mut self, base: usize, size_bits: u8, place: Place) {
        let level = self.arch.frame_level(size_bits);
        self.empty_entry(
            level,
            place,
            |entry| matches!(entry, Entry::Page { paddr, .. } if paddr == base),
        );
    }

    /// Empties the entry at `place`, if it is still this table's (`unmapPageTable` and its kin).
    pub(super) fn unmap_table(&mut self, base: usize, level: u8, place: Place) {
        self.empty_entry(usize::from(level) - 1, place, |entry| entry == Entry::Table(base));
    }

    fn empty_entry(&mut self, level: usize, place: Place, ours: impl Fn(Entry) -> bool) {
        let Some(root) = self.asids.root(place.asid) else { return };
        let Ok((table, index)) = self.entry_for(root, level, place.vaddr) else { return };
        if !ours(self.entry(level, table, index)) {
            return;
        }
        self.tables.set(table, index, Entry::Empty);
        if self.caller_root() == Some(root) {
            // What the entry translated is flushed, be it a frame or all of a table.
            let span = place.vaddr..=place.vaddr | mask(self.arch.shifts[level]);
            self.stale.retain(|vaddr, _| !span.contains(vaddr));
        }
    }

    /// The processor may go on using the entry that `new` is about to replace.
    pub(super) fn note_stale(&mut self, root: usize, vaddr: usize, new: Entry) {
        let Some(old) = self.walk(root, vaddr) else { return };
        let Entry::Page { paddr, rights, cache } = new else { return };
        let same = (old.paddr, old.rights, old.cache) == (paddr, rights, cache);
        if !same && self.caller_root() == Some(root) {
            self.stale.insert(vaddr, old);
        }
    }

    /// Addresses of the caller's VSpace whose translation may not be what its tables say, and what
    /// it may still be.
    ///
    /// `Page_Remap` of 5.0.0 flushes none (`performX86PageInvocationRemapPTE`; tried on the real
    /// kernel: a page remapped to be read-only was written). In a VSpace that is not running it
    /// takes effect when it runs again; in the caller's own only unmapping flushes.
    pub fn stale_translations(&self) -> impl Iterator<Item = (usize, Mapping)> + '_ {
        self.stale.iter().map(|(&vaddr, &old)| (vaddr, old))
    }

    /// Those of them by which the processor may do what the tables do not allow, or may do
    /// elsewhere. One that only lacks rights makes it fault, and is forgotten with that.
    pub fn misleading_translations(&self) -> impl Iterator<Item = (usize, Mapping)> + '_ {
        let root = self.caller_root();
        let safe = move |vaddr: usize, old: Mapping| {
            root.and_then(|root| self.walk(root, vaddr)).is_some_and(|new| {
                (new.paddr, new.cache) == (old.paddr, old.cache) && new.rights.contains(old.rights)
            })
        };
        self.stale_translations().filter(move |&(vaddr, old)| !safe(vaddr, old))
    }

    /// What the hardware finds for `vaddr` from the table `root` on.
    pub(super) fn walk(&self, root: usize, vaddr: usize) -> Option<Mapping> {
        let mut table = root;
        for level in 0..=self.arch.leaf_level() {
            match self.entry(level, table, self.arch.index(level, vaddr)) {
                Entry::Table(next) => table = next,
                Entry::Page { paddr, rights, cache } => {
                    let size_bits = self.arch.shifts[level];
                    return Some(Mapping { paddr, rights, cache, size_bits });
                }
                Entry::Empty => return None,
            }
        }
        None
    }

    /// Every mapping of user space in the VSpace whose root is the table `root`, lowest first.
    pub(super) fn mappings_of(&self, root: usize) -> Vec<(usize, Mapping)> {
        let mut found = Vec::new();
        self.collect(root, 0, 0, &mut found);
        found
    }

    fn collect(&self, table: usize, level: usize, from: usize, found: &mut Vec<(usize, Mapping)>) {
        for (index, entry) in self.tables.used(table) {
            let vaddr = from + (index << self.arch.shifts[level]);
            match entry {
                Entry::Table(next) => self.collect(next, level + 1, vaddr, found),
                Entry::Page { paddr, rights, cache } => {
                    let size_bits = self.arch.shifts[level];
                    found.push((vaddr, Mapping { paddr, rights, cache, size_bits }));
                }
                Entry::Empty => {}
            }
        }
    }
}
