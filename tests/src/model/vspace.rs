//! Paging structures and what is mapped through them: rules from `src/arch/x86/kernel/vspace.c` and
//! the two `src/arch/x86/{32,64}/kernel/vspace*.c`.
//!
//! A mapping is in two places: in an entry of a table, and in what the frame's capability
//! remembers. The kernel keeps them apart, and so does the model: a table unmapped takes entries
//! away that capabilities still remember, and a remap writes an entry wherever the capability
//! remembers to be, occupied by another frame or not.

use std::collections::BTreeMap;

use untyped_alloc::kernel::{CPtr, CachePolicy, KernelError, KernelResult, Rights};

use super::ModelKernel;
use super::arch::{Arch, mask};
use super::cap::{Cap, Place, VmRights};

/// An entry of a paging structure.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Entry {
    /// Not present.
    #[default]
    Empty,
    /// The table below.
    Table(usize),
    /// A frame.
    Page { paddr: usize, rights: VmRights, cache: CachePolicy },
}

/// The contents of all paging structures that have any, by address.
#[derive(Clone, Debug)]
pub(super) struct Tables {
    by_base: BTreeMap<usize, Vec<Entry>>,
    entries: usize,
}

/// Where the table behind the last entry of every VSpace root lies. It is the kernel's own, maps
/// its devices, and is one for all VSpaces. No physical address is this high.
const KERNEL_TABLE: usize = usize::MAX - 0xffff;

impl Tables {
    pub(super) fn new(arch: &Arch) -> Tables {
        let mut tables = Tables { by_base: BTreeMap::new(), entries: 1 << arch.index_bits };
        // On x86_64 the kernel's part has all its levels. Their last entries are these.
        let leaf = arch.leaf_level();
        for level in 1..leaf.max(2) - 1 {
            let last = tables.entries - 1;
            tables.set(KERNEL_TABLE + level, last, Entry::Table(KERNEL_TABLE + level + 1));
        }
        tables
    }

    fn get(&self, table: usize, index: usize) -> Entry {
        self.by_base.get(&table).map_or(Entry::Empty, |entries| entries[index])
    }

    pub(super) fn set(&mut self, table: usize, index: usize, entry: Entry) {
        let entries = self.by_base.entry(table);
        entries.or_insert_with(|| vec![Entry::Empty; self.entries])[index] = entry;
    }

    /// Makes all entries of one table empty.
    pub(super) fn clear(&mut self, table: usize) {
        self.by_base.remove(&table);
    }

    /// Forgets the tables in memory that was cleared.
    pub(super) fn clear_range(&mut self, base: usize, bytes: usize) {
        while let Some((&table, _)) = self.by_base.range(base..base + bytes).next() {
            self.by_base.remove(&table);
        }
    }

    /// The entries of a table that are not empty.
    pub(super) fn used(&self, table: usize) -> impl Iterator<Item = (usize, Entry)> {
        let entries = self.by_base.get(&table).into_iter().flatten().copied().enumerate();
        entries.filter(|(_, entry)| *entry != Entry::Empty)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &[Entry])> {
        self.by_base.iter().map(|(&base, entries)| (base, &entries[..]))
    }
}

/// What the hardware does with an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mapping {
    /// The physical address of the frame.
    pub paddr: usize,
    /// What user mode may do.
    pub rights: Rights,
    /// How it is cached.
    pub cache: CachePolicy,
    /// Logarithm of the frame's bytes.
    pub size_bits: u8,
}

impl ModelKernel<'_> {
    /// The entry of a table of `level` that translates `vaddr`: the table and the index in it.
    /// Fails where a table above is missing.
    fn entry_for(&self, root: usize, level: usize, vaddr: usize) -> KernelResult<(usize, usize)> {
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
        if level == 0 && index >= self.arch.index(0, self.arch.user_top) {
            if index == mask(self.arch.index_bits) {
                return Entry::Table(KERNEL_TABLE + 1);
            }
            let (rights, cache) = (VmRights::KernelOnly, CachePolicy::WriteBack);
            return Entry::Page { paddr: KERNEL_TABLE, rights, cache };
        }
        self.tables.get(table, index)
    }

    /// The VSpace root that `cap` stands for and its ASID, checked the way mapping calls do it:
    /// the right kind of capability, an ASID that names something, and names this VSpace.
    fn live_root(&self, cap: Cap) -> KernelResult<(usize, usize)> {
        let (root, asid) = Self::root_of(cap)?;
        self.must_name(asid, root)?;
        Ok((root, asid))
    }

    /// `isValidNativeRoot`.
    fn root_of(cap: Cap) -> KernelResult<(usize, usize)> {
        match cap {
            Cap::Table { base, level: 0, mapped: Some(place) } => Ok((base, place.asid)),
            _ => Err(KernelError::InvalidCapability),
        }
    }

    fn must_name(&self, asid: usize, root: usize) -> KernelResult {
        match self.asids.root(asid) {
            None => Err(KernelError::FailedLookup),
            Some(named) if named != root => Err(KernelError::InvalidCapability),
            Some(_) => Ok(()),
        }
    }

    /// `X86PageMap`.
    ///
    /// The end of the range is computed in a word and may wrap to 0, so that the last frame of the
    /// address space passes the check. Its entry then lies in the kernel's own table.
    pub(super) fn map_page(
        &mut self,
        frame: CPtr,
        vspace: CPtr,
        vaddr: usize,
        rights: Rights,
        cache: CachePolicy,
    ) -> KernelResult {
        let slot = self.invoked(frame);
        let vspace = self.invoked(vspace);
        let Cap::Frame { base, size_bits, rights: most, device, mapped } = self.cap_in(slot) else {
            return self.refuse_label(slot, 3);
        };
        if mapped.is_some() {
            return Err(KernelError::InvalidCapability);
        }
        let (root, asid) = self.live_root(self.cap_in(vspace))?;
        if vaddr.wrapping_add(1 << size_bits) & self.arch.word_mask() > self.arch.user_top {
            return Err(KernelError::InvalidArgument);
        }
        if vaddr & mask(size_bits) != 0 {
            return Err(KernelError::AlignmentError);
        }
        let level = self.arch.frame_level(size_bits);
        let (table, index) = self.entry_for(root, level, vaddr)?;
        if self.entry(level, table, index) != Entry::Empty {
            return Err(KernelError::DeleteFirst);
        }
        self.tables.set(table, index, self.page_entry(base, size_bits, most.masked(rights), cache));
        let mapped = Some(Place { asid, vaddr });
        self.slots.get_mut(slot).cap = Cap::Frame { base, size_bits, rights: most, device, mapped };
        Ok(())
    }

    /// `X86PageRemap`. It has no address: the frame stays where its capability remembers it.
    ///
    /// An entry of a last-level table is written whatever is in it. So a frame whose table was
    /// unmapped, and another mapped in its place, appears there at its remap.
    pub(super) fn remap_page(
        &mut self,
        frame: CPtr,
        vspace: CPtr,
        rights: Rights,
        cache: CachePolicy,
    ) -> KernelResult {
        let slot = self.invoked(frame);
        let vspace = self.invoked(vspace);
        let Cap::Frame { base, size_bits, rights: most, mapped, .. } = self.cap_in(slot) else {
            return self.refuse_label(slot, 2);
        };
        let place = mapped.ok_or(KernelError::IllegalOperation)?;
        let (root, asid) = Self::root_of(self.cap_in(vspace))?;
        if place.asid != asid {
            return Err(KernelError::InvalidCapability);
        }
        self.must_name(asid, root)?;
        let level = self.arch.frame_level(size_bits);
        let (table, index) = self.entry_for(root, level, place.vaddr)?;
        if matches!(self.entry(level, table, index), Entry::Table(_)) {
            return Err(KernelError::DeleteFirst);
        }
        self.tables.set(table, index, self.page_entry(base, size_bits, most.masked(rights), cache));
        Ok(())
    }

    /// `X86PageUnmap`. The kernel leaves a call on a frame that is not mapped without a reply of
    /// its own: it succeeds, but the caller finds its own message tag where the answer should be.
    pub(super) fn unmap_page(&mut self, frame: CPtr) -> KernelResult {
        let slot = self.invoked(frame);
        let Cap::Frame { base, size_bits, rights, device, mapped } = self.cap_in(slot) else {
            return self.refuse_label(slot, 0);
        };
        if let Some(place) = mapped {
            self.unmap_frame(base, size_bits, place);
            self.slots.get_mut(slot).cap =
                Cap::Frame { base, size_bits, rights, device, mapped: None };
        }
        Ok(())
    }

    /// `X86PageGetAddress`.
    pub(super) fn page_address(&mut self, frame: CPtr) -> KernelResult<usize> {
        let slot = self.invoked(frame);
        match self.cap_in(slot) {
            Cap::Frame { base, .. } => Ok(base),
            _ => self.refuse_label(slot, 0).map(|()| 0),
        }
    }

    /// `X86PageTableMap` and, on x86_64, `X86PageDirectoryMap` and `X86PDPTMap`. Only the last
    /// level's checks that the ASID names the VSpace, and only after the address.
    pub(super) fn map_table(
        &mut self,
        table: CPtr,
        level: u8,
        vspace: CPtr,
        vaddr: usize,
    ) -> KernelResult {
        let slot = self.invoked(table);
        let vspace = self.invoked(vspace);
        let (base, mapped) = match self.cap_in(slot) {
            Cap::Table { base, level: l, mapped } if l == level && l > 0 => (base, mapped),
            _ => return self.refuse_label(slot, 2),
        };
        if mapped.is_some() {
            return Err(KernelError::InvalidCapability);
        }
        let above = usize::from(level) - 1;
        let vaddr = vaddr & !mask(self.arch.shifts[above]);
        let (root, asid) = Self::root_of(self.cap_in(vspace))?;
        if vaddr >= self.arch.user_top {
            return Err(KernelError::InvalidArgument);
        }
        if usize::from(level) == self.arch.leaf_level() {
            self.must_name(asid, root)?;
        }
        let (parent, index) = self.entry_for(root, above, vaddr)?;
        if self.entry(above, parent, index) != Entry::Empty {
            return Err(KernelError::DeleteFirst);
        }
        self.tables.set(parent, index, Entry::Table(base));
        self.slots.get_mut(slot).cap =
            Cap::Table { base, level, mapped: Some(Place { asid, vaddr }) };
        Ok(())
    }

    /// `X86PageTableUnmap` and its kin. The table is cleared, so what was mapped through it is no
    /// longer; the frames' capabilities go on remembering.
    pub(super) fn unmap_table_call(&mut self, table: CPtr, level: u8) -> KernelResult {
        let slot = self.invoked(table);
        let (base, mapped) = match self.cap_in(slot) {
            Cap::Table { base, level: l, mapped } if l == level && l > 0 => (base, mapped),
            _ => return self.refuse_label(slot, 0),
        };
        if !self.is_final(slot) {
            return Err(KernelError::RevokeFirst);
        }
        if let Some(place) = mapped {
            self.unmap_table(base, level, place);
            self.tables.clear(base);
        }
        self.slots.get_mut(slot).cap = Cap::Table { base, level, mapped: None };
        Ok(())
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
        let Some(root) = self.asids.root(place.asid) else {
            return;
        };
        let Ok((table, index)) = self.entry_for(root, level, place.vaddr) else {
            return;
        };
        if ours(self.entry(level, table, index)) {
            self.tables.set(table, index, Entry::Empty);
        }
    }

    /// The entry for a frame. Entries of 1 GiB pages have no bit for write combining.
    fn page_entry(
        &self,
        paddr: usize,
        size_bits: u8,
        rights: VmRights,
        cache: CachePolicy,
    ) -> Entry {
        let no_pat = size_bits == 30 && cache == CachePolicy::WriteCombining;
        let cache = if no_pat { CachePolicy::WriteBack } else { cache };
        Entry::Page { paddr, rights, cache }
    }

    /// What the hardware finds for `vaddr` from the table `root` on.
    pub(super) fn walk(&self, root: usize, vaddr: usize) -> Option<Mapping> {
        let mut table = root;
        for level in 0..=self.arch.leaf_level() {
            match self.entry(level, table, self.arch.index(level, vaddr)) {
                Entry::Table(next) => table = next,
                Entry::Page { paddr, rights, cache } => {
                    let size_bits = self.arch.shifts[level];
                    return Some(Mapping { paddr, rights: rights.rights(), cache, size_bits });
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
                    let rights = rights.rights();
                    found.push((vaddr, Mapping { paddr, rights, cache, size_bits }));
                }
                Entry::Empty => {}
            }
        }
    }
}
