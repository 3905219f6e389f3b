// SPDX-License-Identifier: BSD-2-Clause
//! The paging of an architecture as data, and the addresses and ranges that it allows.
//!
//! ```text
//!   IA32                                       x86_64
//!   level 0  page directory  1024 × 4M         level 0  PML4            512 × 512G
//!   level 1  page table      1024 × 4K         level 1  PDPT            512 × 1G
//!                                              level 2  page directory  512 × 2M
//!                                              level 3  page table      512 × 4K
//! ```
//!
//! A frame is mapped by an entry of just its own size: 4K and 4M on IA32; 4K and 2M on x86_64. The
//! descriptions of all architectures are in `arch.rs`.

use crate::address::{AddressError, PageRange, Pages, VirtAddr};

/// One level of paging structures.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Level {
    /// Logarithm of the bytes one entry covers.
    pub entry_bits: u8,
    /// Logarithm of the number of entries.
    pub index_bits: u8,
    /// Whether an entry may be a frame (rather than only the next level).
    pub holds_frames: bool,
}

impl Level {
    /// Logarithm of the bytes a whole structure of this level covers.
    pub const fn span_bits(&self) -> u8 {
        self.entry_bits + self.index_bits
    }
}

/// The paging of an architecture.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Geometry {
    /// Its levels, the root first.
    pub levels: &'static [Level],
    /// Logarithm of the smallest page, in bytes.
    pub page_bits: u8,
    /// The first address that is not user space.
    pub user_end: usize,
    /// The first address of which the kernel's message of a page fault tells low bits alone:
    /// `user_end` where it tells every address as it is. From here on no fault can be resolved.
    pub fault_end: usize,
    /// Whether a page can be mapped so that no instruction is fetched from it. Without that, what
    /// can be read can be run.
    pub has_no_execute: bool,
}

impl Geometry {
    /// The smallest page, in bytes.
    pub const fn page_bytes(&self) -> usize {
        1 << self.page_bits
    }

    /// Makes a number (bytes) an address in user space.
    ///
    /// # Errors
    /// [`AddressError::OutsideUserSpace`].
    pub const fn address(&self, address: usize) -> Result<VirtAddr, AddressError> {
        if address >= self.user_end {
            return Err(AddressError::OutsideUserSpace { address, end: self.user_end });
        }
        Ok(VirtAddr(address))
    }

    /// Makes a range of pages that a caller named.
    ///
    /// # Errors
    /// Every [`AddressError`].
    pub const fn range(&self, pages: Pages) -> Result<PageRange, AddressError> {
        let (start, pages) = (pages.start(), pages.pages());
        if start & ((1 << self.page_bits) - 1) != 0 {
            return Err(AddressError::Misaligned { address: start, bits: self.page_bits });
        }
        if pages == 0 {
            return Err(AddressError::Empty { address: start });
        }
        let end = match pages.checked_mul(1 << self.page_bits) {
            Some(bytes) => start.checked_add(bytes),
            None => None,
        };
        match end {
            None => Err(AddressError::Wraps { address: start, pages }),
            Some(end) if end > self.user_end => {
                Err(AddressError::OutsideUserSpace { address: end, end: self.user_end })
            }
            Some(_) => Ok(PageRange::new(start, pages, self.page_bits)),
        }
    }

    /// Whether the kernel's messages of page faults tell every address of user space as it is.
    pub const fn tells_all_faults(&self) -> bool {
        self.fault_end >= self.user_end
    }

    /// The part of a range of whose faults the kernel does not tell the whole address, if there is
    /// one.
    pub fn untold(&self, range: PageRange) -> Option<PageRange> {
        if self.tells_all_faults() {
            return None;
        }
        range.from(self.fault_end)
    }

    /// The smallest page that holds an address of user space.
    pub const fn page_of(&self, address: VirtAddr) -> PageRange {
        PageRange::new(address.align_down(self.page_bits).0, 1, self.page_bits)
    }

    /// The level whose entries map frames of 2^`size_bits` bytes, or `None` where the architecture
    /// has no such frame.
    pub fn level_of_frame(&self, size_bits: u8) -> Option<u8> {
        // The deepest one maps the smallest, which are what is mostly asked for.
        let maps = |level: &Level| level.holds_frames && level.entry_bits == size_bits;
        self.levels.iter().rposition(maps).map(|level| level as u8)
    }

    /// The next larger page size than 2^`size_bits` bytes, in bits, if there is one.
    pub fn larger_frame(&self, size_bits: u8) -> Option<u8> {
        let sizes = self.levels.iter().rev().filter(|level| level.holds_frames);
        sizes.map(|level| level.entry_bits).find(|&bits| bits > size_bits)
    }

    /// Where the structure of `level` that covers `address` begins.
    pub fn table_base(&self, level: u8, address: VirtAddr) -> VirtAddr {
        // The root covers everything: on IA32 more than an address type can count.
        match level {
            0 => VirtAddr(0),
            _ => address.align_down(self.levels[usize::from(level)].span_bits()),
        }
    }

    /// The first address after the structure of `level` that covers `address`, or the end of user
    /// space where that comes first.
    pub fn table_end(&self, level: u8, address: VirtAddr) -> usize {
        if level == 0 {
            return self.user_end;
        }
        let base = self.table_base(level, address).bits();
        let span = 1usize << self.levels[usize::from(level)].span_bits();
        base.saturating_add(span).min(self.user_end)
    }

    /// The parts of `range`, lowest first, that each lie in one structure of `level` ≥ 1.
    pub fn parts(&self, level: u8, range: PageRange) -> impl Iterator<Item = PageRange> + '_ {
        let mut at = range.start().bits();
        core::iter::from_fn(move || {
            if at >= range.end() {
                return None;
            }
            let end = self.table_end(level, VirtAddr(at)).min(range.end());
            let part = PageRange::new(at, (end - at) >> self.page_bits, self.page_bits);
            at = end;
            Some(part)
        })
    }
}
