//! Regions: who owns which addresses of a space, and where its holes are.
//!
//! ```text
//!   ├ null ┤      ├── image ──┤ ├ ipc ┤            ├ g ├── stack ──┤ g ┤
//!   0      ▲                   ▲       ▲                                ▲          user end
//!          hole after "null"   hole    hole after "ipc"                 hole after "stack"
//! ```
//!
//! The regions of a space lie in one flat map ordered by address. Each carries the size of the hole
//! behind it, and a second tree orders the holes by size, so the best fit is found in O(log n). The
//! page of the null pointer is a region from the start; so every hole lies behind some region.
//!
//! A *reservation* is a range in which others place regions. It appears in the map as two marks
//! without pages, one at either end. A hole belongs to the reservation it lies in (or to none, 0),
//! and the tree of holes is ordered by that first: nobody else is given addresses there.
//!
//! ```text
//!   ──┤ hole of 0 ├[ hole of R ├─ region ─┤ hole of R ]┤ hole of 0 ├──
//! ```

use core::cell::Cell;

use intrusive_collections::{KeyAdapter, RBTreeLink};
use page_tables::VirtAddr;
use untyped_alloc::{CachePolicy, Rights};

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

/// How a region's node stands in the order at one address: marks stand before the region that may
/// start there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(crate) enum Mark {
    /// The end of a reservation.
    End,
    /// The start of a reservation.
    Start,
    #[default]
    Region,
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
    pub name: Name,
}

/// A region's node.
#[derive(Default)]
pub(crate) struct Region<'p> {
    pub next_free: Cell<Option<&'p Region<'p>>>,
    by_start: RBTreeLink,
    by_hole: RBTreeLink,
    start: Cell<VirtAddr>,
    /// Pages, guards included; 0 for a mark.
    pages: Cell<usize>,
    /// Pages of the hole behind it.
    hole: Cell<usize>,
    /// The reservation that hole belongs to: its serial number, or 0.
    owner: Cell<u32>,
    serial: Cell<u32>,
    mark: Cell<Mark>,
    /// For a mark: in how many reservations its own lies, itself included.
    depth: Cell<u16>,
    /// For a page of packed IPC buffers: how many were handed out, and which were given back.
    pub packed: Cell<(u8, u8)>,
    /// For an arena of IPC buffers: how many were handed out, and how many were given back.
    pub arena: Cell<Option<(u8, u8)>>,
    spec: Cell<Option<RegionSpec>>,
}

#[cfg(target_pointer_width = "32")]
const _: () = assert!(core::mem::size_of::<Region<'_>>() <= 100);

impl Region<'_> {
    pub fn start(&self) -> VirtAddr {
        self.start.get()
    }

    /// Its pages, guards included; 0 for a mark.
    pub fn pages(&self) -> usize {
        self.pages.get()
    }

    pub fn serial(&self) -> u32 {
        self.serial.get()
    }

    pub fn is_mark(&self) -> bool {
        self.mark.get() != Mark::Region
    }

    /// Whether a reservation starts here.
    pub fn is_start(&self) -> bool {
        self.mark.get() == Mark::Start
    }

    /// In how many reservations the reservation of this mark lies, itself included; 0 for a region.
    pub fn depth(&self) -> u16 {
        self.depth.get()
    }

    /// The reservation the region lies in, or 0: that of the hole behind it.
    pub fn owner(&self) -> u32 {
        self.owner.get()
    }

    /// Whether the caller may map, unmap and protect its pages one by one.
    pub fn is_callers(&self) -> bool {
        matches!(self.spec().kind, Kind::Memory | Kind::Stack)
    }

    /// What the region is. A mark answers for its reservation.
    pub fn spec(&self) -> RegionSpec {
        self.spec.get().unwrap_or(RegionSpec {
            pages: 0,
            guard_below: 0,
            guard_above: 0,
            rights: Rights::empty(),
            ceiling: Rights::empty(),
            cache: CachePolicy::WriteBack,
            kind: Kind::Boot,
            backing: Backing::Explicit,
            name: Name::default(),
        })
    }

    pub fn set_spec(&self, spec: RegionSpec) {
        self.spec.set(Some(spec));
    }
}

#[allow(unsafe_code)] // what the adapter macro expands to
mod adapters {
    use super::*;
    use intrusive_collections::intrusive_adapter;
    intrusive_adapter!(
        pub(crate) ByStart<'p> = &'p Region<'p>: Region<'p> { by_start => RBTreeLink }
    );
    intrusive_adapter!(
        pub(crate) ByHole<'p> = &'p Region<'p>: Region<'p> { by_hole => RBTreeLink }
    );
}
use adapters::{ByHole, ByStart};

mod map;
pub(crate) use map::{NoPlace, Place, Regions, Shape};

/// The most reservations that can lie one inside the other.
pub(crate) const MOST_NESTED: u16 = 1000;

/// Address and mark in one word, so that a step down a tree is one comparison: nodes start at pages,
/// which leaves 12 low bits to the mark. Where reservations begin or end at one address, the inner
/// one begins after the outer one and ends before it.
type StartKey = usize;
type HoleKey = (u32, usize, StartKey);

fn key_at(address: VirtAddr, mark: Mark, depth: u16) -> StartKey {
    let rank = match mark {
        Mark::End => 0x3ff - usize::from(depth),
        Mark::Start => 0x400 + usize::from(depth),
        Mark::Region => 0xfff,
    };
    (address.bits() & !0xfff) | rank
}

const _: () = assert!(MOST_NESTED < 0x3ff);

/// Not less than the key of any node at this address.
fn last_at(address: VirtAddr) -> StartKey {
    key_at(address, Mark::Region, 0)
}

fn start_key(region: &Region<'_>) -> StartKey {
    key_at(region.start.get(), region.mark.get(), region.depth.get())
}

fn hole_key(region: &Region<'_>) -> HoleKey {
    (region.owner.get(), region.hole.get(), start_key(region))
}

/// Less than the keys of all holes of `owner` with at least `pages` pages.
fn least_hole(owner: u32, pages: usize) -> HoleKey {
    (owner, pages, 0)
}

impl<'a> KeyAdapter<'a> for ByStart<'_> {
    type Key = StartKey;
    fn get_key(&self, region: &'a Region<'_>) -> StartKey {
        start_key(region)
    }
}

impl<'a> KeyAdapter<'a> for ByHole<'_> {
    type Key = HoleKey;
    fn get_key(&self, region: &'a Region<'_>) -> HoleKey {
        hole_key(region)
    }
}
