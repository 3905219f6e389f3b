// SPDX-License-Identifier: BSD-2-Clause
//! Regions as callers know them: kinds, backing, names, and what is told of one.

use core::fmt::Write;

use page_tables::PageRange;
use untyped_alloc::{CachePolicy, Rights};

use crate::types::ids::RegionId;

/// What an arena is called.
pub(crate) const ARENA_NAME: &str = "IPC buffers";

/// What the first thread's stack is called.
pub(crate) const MAIN_STACK_NAME: &str = "stack of main";

/// What a region is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Kind {
    /// Memory that is mapped, unmapped and protected page by page.
    #[default]
    Memory,
    /// A stack: memory with a guard below.
    Stack,
    /// An IPC buffer: released as such, and not touched otherwise.
    IpcBuffer,
    /// The program's image and what the kernel mapped for it at boot; and the null page.
    Boot,
    /// The manager's own book-keeping.
    Bookkeeping,
    /// A range in which others place regions.
    Reservation,
    /// What the kernel would not unmap when its maker gave it up. It is tried again.
    Quarantine,
}

/// What happens when a page of a region is touched that is not mapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Backing {
    /// A fault that is reported: the region's pages are mapped by request.
    #[default]
    Explicit,
    /// Fresh, clear memory is mapped: that page, and up to `around` − 1 unmapped ones around it in
    /// the block of `around` pages (1 to 16, a power of two) that it lies in.
    OnDemand {
        /// Pages mapped for one fault, at most.
        around: u8,
    },
    /// A pager outside is asked, by this token of its own.
    Pager {
        /// What the pager knows the region by.
        token: u32,
    },
}

/// A name of at most 15 bytes, for people.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Name {
    len: u8,
    bytes: [u8; 15],
}

impl Name {
    /// The first 15 bytes of `text`, cut at a character's end.
    pub fn new(text: &str) -> Name {
        let mut name = Name::default();
        let len = (0..=text.len().min(15)).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        name.bytes[..len].copy_from_slice(&text.as_bytes()[..len]);
        name.len = len as u8;
        name
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or("")
    }
}

impl core::fmt::Debug for Name {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.as_str().fmt(f)
    }
}

/// Text for a person that others may have chosen: what would change the terminal or the line is
/// printed as an escape, such as `\n`, and so is the backslash.
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a>(pub &'a str);

impl core::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.chars().try_for_each(|char| match char {
            '"' | '\'' => f.write_char(char),
            _ => write!(f, "{}", char.escape_debug()),
        })
    }
}

/// A region, as it was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RegionSpec {
    pub pages: usize,
    pub guard_below: u16,
    pub guard_above: u16,
    pub rights: Rights,
    pub ceiling: Rights,
    pub cache: CachePolicy,
    pub kind: Kind,
    pub backing: Backing,
    /// Where a pager supplies its pages: the number of the first one, guards not counted, as the
    /// pager counts. 0 otherwise.
    pub first_page: usize,
    /// Whether its pages may move, where its maker said so.
    pub movable: Option<bool>,
    /// Whether touches may bring large pages.
    pub large_pages: bool,
    pub name: Name,
}

impl Default for RegionSpec {
    /// That of a node which is no region yet: without pages, and nobody's to map.
    fn default() -> Self {
        RegionSpec {
            pages: 0,
            guard_below: 0,
            guard_above: 0,
            rights: Rights::empty(),
            ceiling: Rights::empty(),
            cache: CachePolicy::WriteBack,
            kind: Kind::Boot,
            backing: Backing::Explicit,
            first_page: 0,
            movable: None,
            large_pages: false,
            name: Name::default(),
        }
    }
}

impl RegionSpec {
    /// Whether the caller may map, unmap and protect its pages one by one.
    #[inline(always)]
    pub(crate) fn is_callers(&self) -> bool {
        matches!(self.kind, Kind::Memory | Kind::Stack)
    }

    /// The number of its page `page`, as its pager counts.
    pub fn pagers_page(&self, page: usize) -> usize {
        match self.backing {
            Backing::Pager { .. } => self.first_page + page,
            _ => 0,
        }
    }
}

/// The most reservations that can lie one inside the other.
pub(crate) const MAX_NESTED: u16 = 1000;

/// What is known about a region.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RegionInfo {
    /// Its id.
    pub id: RegionId,
    /// All its pages, guards included.
    pub range: PageRange,
    /// Guard pages below.
    pub guard_below: usize,
    /// Guard pages above.
    pub guard_above: usize,
    /// What is mapped in it by itself, when it is touched.
    pub backing: Backing,
    /// The rights its pages are mapped with, unless they were protected since.
    pub rights: Rights,
    /// The most rights its pages can have.
    pub ceiling: Rights,
    /// How its pages are cached.
    pub cache: CachePolicy,
    /// What it is for.
    pub kind: Kind,
    /// Its name.
    pub name: Name,
}

impl RegionInfo {
    /// The pages that can be used: all but the guards.
    pub fn usable(&self) -> PageRange {
        let guards = self.guard_below + self.guard_above;
        let pages = self.range.pages().saturating_sub(guards);
        // No region is guards alone.
        self.range.part(self.guard_below, pages).unwrap_or(self.range)
    }
}
