// SPDX-License-Identifier: BSD-2-Clause
//! Virtual addresses and page ranges, and the reasons why a number is none.
//!
//! Numbers become addresses and ranges in a [`Geometry`](crate::Geometry) alone, which refuses what
//! lies outside user space. A [`PageRange`] is aligned, has at least one page and lies in user
//! space, and so do all its parts. A [`VirtAddr`] from a geometry or from a range lies in user
//! space too; one from [`VirtAddr::checked_add`] need not.

use core::fmt;

/// A virtual address, in bytes: in user space, unless [`VirtAddr::checked_add`] led out of it. The
/// default is address 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct VirtAddr(pub(crate) usize);

/// The lowest `bits` bits of a word, or all of them.
#[inline(always)]
const fn below(bits: u8) -> usize {
    match 1usize.checked_shl(bits as u32) {
        Some(unit) => unit - 1,
        None => usize::MAX,
    }
}

impl VirtAddr {
    /// The address as a number.
    pub const fn bits(self) -> usize {
        self.0
    }

    /// The address `bytes` further on; `None` past the end of the word. The result can lie outside
    /// user space, and then [`Geometry::address`](crate::Geometry::address) refuses its bits.
    pub const fn checked_add(self, bytes: usize) -> Option<VirtAddr> {
        match self.0.checked_add(bytes) {
            Some(sum) => Some(VirtAddr(sum)),
            None => None,
        }
    }

    /// The address rounded down to a multiple of 2^`bits`: 0 from the bits of a word on.
    #[inline(always)]
    #[must_use]
    pub const fn align_down(self, bits: u8) -> VirtAddr {
        VirtAddr(self.0 & !below(bits))
    }

    /// Whether the address is a multiple of 2^`bits`: 0 alone is from the bits of a word on.
    #[inline(always)]
    pub const fn is_aligned(self, bits: u8) -> bool {
        self.0 & below(bits) == 0
    }
}

impl fmt::Debug for VirtAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Display for VirtAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// Pages of the smallest size in a row, as a caller names them: any numbers. Whoever is handed them
/// makes a [`PageRange`] of them, by [`Geometry::range`](crate::Geometry::range), or says why they
/// are none.
///
/// ```
/// # use page_tables::{Geometry, Pages};
/// let four = Geometry::IA32.range(Pages::at(0x10_0000).count(4))?;
/// assert_eq!(four.end(), 0x10_4000);
/// assert_eq!(Pages::from(four), Pages::at(0x10_0000).count(4));
/// # Ok::<(), page_tables::AddressError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[must_use = "pages are named for a request"]
pub struct Pages {
    start: usize,
    count: usize,
}

impl Pages {
    /// The one page at an address, in bytes.
    pub const fn at(address: usize) -> Pages {
        Pages { start: address, count: 1 }
    }

    /// So many pages, from the first of these on.
    pub const fn count(self, pages: usize) -> Pages {
        Pages { count: pages, ..self }
    }

    /// The address of the first, in bytes.
    pub const fn start(self) -> usize {
        self.start
    }

    /// How many they are.
    pub const fn pages(self) -> usize {
        self.count
    }
}

impl From<PageRange> for Pages {
    fn from(range: PageRange) -> Pages {
        Pages { start: range.start, count: range.pages }
    }
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} pages from {:#x}", self.count, self.start)
    }
}

/// A run of whole pages of the smallest size, at least one, all in user space.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PageRange {
    start: usize,
    pages: usize,
    page_bits: u8,
}

impl PageRange {
    pub(crate) const fn new(start: usize, pages: usize, page_bits: u8) -> PageRange {
        PageRange { start, pages, page_bits }
    }

    /// The first address.
    pub const fn start(self) -> VirtAddr {
        VirtAddr(self.start)
    }

    /// The address after the last, in bytes. It may be the end of user space.
    pub const fn end(self) -> usize {
        self.start + (self.pages << self.page_bits)
    }

    /// How many pages.
    pub const fn pages(self) -> usize {
        self.pages
    }

    /// How many bytes.
    pub const fn bytes(self) -> usize {
        self.pages << self.page_bits
    }

    /// Whether the address lies in it.
    pub const fn contains(self, address: VirtAddr) -> bool {
        address.0 >= self.start && address.0 < self.end()
    }

    /// Whether all of `other` lies in it.
    pub const fn covers(self, other: PageRange) -> bool {
        other.start >= self.start && other.end() <= self.end()
    }

    /// Whether the two have a page in common.
    pub const fn overlaps(self, other: PageRange) -> bool {
        self.start < other.end() && other.start < self.end()
    }

    /// What the two have in common, if anything.
    pub fn intersection(self, other: PageRange) -> Option<PageRange> {
        let start = self.start.max(other.start);
        let end = self.end().min(other.end());
        let pages = end.checked_sub(start)? >> self.page_bits;
        (pages != 0).then_some(PageRange { start, pages, page_bits: self.page_bits })
    }

    /// The part from `address` (bytes, page-aligned) on; all of it for an address before it, `None`
    /// for one at its end or behind it.
    pub fn from(self, address: usize) -> Option<PageRange> {
        let start = self.start.max(address);
        let pages = self.end().checked_sub(start)? >> self.page_bits;
        (pages != 0).then_some(PageRange { start, pages, page_bits: self.page_bits })
    }

    /// `pages` pages from page number `first` of this range on; `None` unless they all lie in it
    /// and there is at least one.
    pub fn part(self, first: usize, pages: usize) -> Option<PageRange> {
        if pages == 0 || first.checked_add(pages)? > self.pages {
            return None;
        }
        let start = self.start + (first << self.page_bits);
        Some(PageRange { start, pages, page_bits: self.page_bits })
    }
}

impl fmt::Debug for PageRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}..{:#x}", self.start, self.end())
    }
}

impl fmt::Display for PageRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}..{:#x}", self.start, self.end())
    }
}

/// Why a number is not an address or a range.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AddressError {
    /// The address, or the end of the range, lies outside user space.
    OutsideUserSpace {
        /// The offending address.
        address: usize,
        /// Where user space ends.
        end: usize,
    },
    /// The address is not a multiple of 2^`bits`.
    Misaligned {
        /// The offending address.
        address: usize,
        /// The alignment it lacks, in bits.
        bits: u8,
    },
    /// The range has no page.
    Empty {
        /// Where it was to start.
        address: usize,
    },
    /// The range wraps around the end of the address space.
    Wraps {
        /// Where it was to start.
        address: usize,
        /// How many pages it was to have.
        pages: usize,
    },
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            AddressError::OutsideUserSpace { address, end } => {
                write!(f, "{address:#x} lies outside user space, which ends at {end:#x}")
            }
            AddressError::Misaligned { address, bits } => {
                write!(f, "{address:#x} is not aligned to 2^{bits} bytes")
            }
            AddressError::Empty { address } => write!(f, "empty range at {address:#x}"),
            AddressError::Wraps { address, pages } => {
                write!(f, "{pages} pages from {address:#x} wrap around the address space")
            }
        }
    }
}

impl core::error::Error for AddressError {}
