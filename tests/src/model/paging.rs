//! Paging structures: what is in them, how the hardware walks them, what it may have cached of
//! them. Rules from `src/arch/x86/{32,64}/kernel/vspace*.c`, and from the processor.

use std::collections::BTreeMap;

use untyped_alloc::kernel::{CachePolicy, KernelError, KernelResult, Rights};

use super::ModelKernel;
use super::arch::{Arch, mask};
use super::cap::{Place, VmRights};

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

/// The contents of a paging structure, and which of its entries are not empty: going through these
/// is what most of the time of the tests was spent on.
#[derive(Clone, Debug)]
struct Table {
    entries: Vec<Entry>,
    used: [u64; MAX_ENTRIES / 64],
}

/// IA32 has 1024 entries in a table, x86_64 has 512.
const MAX_ENTRIES: usize = 1024;

impl Table {
    fn used(&self) -> impl Iterator<Item = (usize, Entry)> + '_ {
        let words = self.used.iter().enumerate();
        let bits = |(at, &word): (usize, &u64)| {
            let rest = |rest: u64| (rest != 0).then_some(rest);
            let rests = std::iter::successors(rest(word), move |&left| rest(left & (left - 1)));
            rests.map(move |rest| at * 64 + rest.trailing_zeros() as usize)
        };
        words.flat_map(bits).map(|index| (index, self.entries[index]))
    }
}

/// The contents of all paging structures that have any, by address.
#[derive(Clone, Debug)]
pub(super) struct Tables {
    by_base: BTreeMap<usize, Table>,
    entries: usize,
}

/// Where the table behind the last entry of every VSpace root lies. It is the kernel's own, maps
/// its devices, and is one for all VSpaces. No physical address is this high.
const KERNEL_TABLE: usize = usize::MAX - 0xffff;

impl Tables {
    pub(super) fn new(arch: &Arch) -> Tables {
        let mut tables = Tables { by_base: BTreeMap::new(), entries: arch.most_entries() };
        // On x86_64 the kernel's part has all its levels. Their last entries are these.
        let leaf = arch.leaf_level();
        for level in (1..leaf.max(2) - 1).filter(|_| arch.kernel_in_root) {
            let last = mask(arch.index_bits[level]);
            tables.set(KERNEL_TABLE + level, last, Entry::Table(KERNEL_TABLE + level + 1));
        }
        tables
    }

    fn get(&self, table: usize, index: usize) -> Entry {
        self.by_base.get(&table).map_or(Entry::Empty, |table| table.entries[index])
    }

    pub(super) fn set(&mut self, table: usize, index: usize, entry: Entry) {
        let new =
            || Table { entries: vec![Entry::Empty; self.entries], used: [0; MAX_ENTRIES / 64] };
        let table = self.by_base.entry(table).or_insert_with(new);
        table.entries[index] = entry;
        let (word, bit) = (&mut table.used[index / 64], 1 << (index % 64));
        *word = if entry == Entry::Empty { *word & !bit } else { *word | bit };
    }

    /// Makes all entries of one table empty.
    pub(super) fn clear(&mut self, table: usize) {
        self.by_base.remove(&table);
    }

    /// Forgets the tables in memory that was cleared, at least one byte.
    pub(super) fn clear_range(&mut self, base: usize, bytes: usize) {
        while let Some((&table, _)) = self.by_base.range(base..=base + (bytes - 1)).next() {
            self.by_base.remove(&table);
        }
    }

    /// The entries of a table that are not empty.
    pub(super) fn used(&self, table: usize) -> impl Iterator<Item = (usize, Entry)> {
        self.by_base.get(&table).into_iter().flat_map(Table::used)
    }

    /// Every entry that is not empty: its table, its number, itself.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, usize, Entry)> {
        self.by_base
            .iter()
            .flat_map(|(&base, table)| table.used().map(move |(index, entry)| (base, index, entry)))
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
            let (rights, cache) = (VmRights::KernelOnly, CachePolicy::WriteBack);
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
        let same = (old.paddr, old.rights, old.cache) == (paddr, rights.rights(), cache);
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
