// SPDX-License-Identifier: BSD-2-Clause
//! Paging structures: their entries, and what the hardware finds by them.

use std::collections::BTreeMap;

use untyped_alloc::kernel::{CachePolicy, Rights};

use super::arch::{Arch, mask};

/// An entry of a paging structure.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(in crate::model) enum Entry {
    /// Not present.
    #[default]
    Empty,
    /// The table below.
    Table(usize),
    /// A frame.
    Page { paddr: usize, rights: Rights, cache: CachePolicy },
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
pub(in crate::model) struct Tables {
    by_base: BTreeMap<usize, Table>,
    entries: usize,
}

/// Where the table behind the last entry of every VSpace root lies. It is the kernel's own, maps
/// its devices, and is one for all VSpaces. No physical address is this high.
pub(in crate::model) const KERNEL_TABLE: usize = usize::MAX - 0xffff;

impl Tables {
    pub(in crate::model) fn new(arch: &Arch) -> Tables {
        let mut tables = Tables { by_base: BTreeMap::new(), entries: arch.most_entries() };
        // On x86_64 the kernel's part has all its levels. Their last entries are these.
        let leaf = arch.leaf_level();
        for level in (1..leaf.max(2) - 1).filter(|_| arch.kernel_in_root) {
            let last = mask(arch.index_bits[level]);
            tables.set(KERNEL_TABLE + level, last, Entry::Table(KERNEL_TABLE + level + 1));
        }
        tables
    }

    pub(in crate::model) fn get(&self, table: usize, index: usize) -> Entry {
        self.by_base.get(&table).map_or(Entry::Empty, |table| table.entries[index])
    }

    pub(in crate::model) fn set(&mut self, table: usize, index: usize, entry: Entry) {
        let new =
            || Table { entries: vec![Entry::Empty; self.entries], used: [0; MAX_ENTRIES / 64] };
        let table = self.by_base.entry(table).or_insert_with(new);
        table.entries[index] = entry;
        let (word, bit) = (&mut table.used[index / 64], 1 << (index % 64));
        *word = if entry == Entry::Empty { *word & !bit } else { *word | bit };
    }

    /// Makes all entries of one table empty.
    pub(in crate::model) fn clear(&mut self, table: usize) {
        self.by_base.remove(&table);
    }

    /// Forgets the tables in memory that was cleared, at least one byte.
    pub(in crate::model) fn clear_range(&mut self, base: usize, bytes: usize) {
        while let Some((&table, _)) = self.by_base.range(base..=base + (bytes - 1)).next() {
            self.by_base.remove(&table);
        }
    }

    /// The entries of a table that are not empty.
    pub(in crate::model) fn used(&self, table: usize) -> impl Iterator<Item = (usize, Entry)> {
        self.by_base.get(&table).into_iter().flat_map(Table::used)
    }

    /// Every entry that is not empty: its table, its number, itself.
    pub(in crate::model) fn iter(&self) -> impl Iterator<Item = (usize, usize, Entry)> {
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
