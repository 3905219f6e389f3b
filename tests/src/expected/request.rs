// SPDX-License-Identifier: BSD-2-Clause
//! Requests as values: what every generator makes, and the one runner carries out.
//!
//! Numbers that name spaces, regions and things choose among what there is when the request is made
//! (`choose.rs`). They and the addresses are small, so that requests meet.

use untyped_alloc::{Blueprint, CachePolicy, Rights};
use vmm::{Backing, PageSize, Supply};

use crate::support::{PAGE, Target};

/// Pages of one window.
pub const WINDOW: usize = 24;

/// An address.
#[derive(Clone, Copy, Debug)]
pub enum TestAddress {
    /// In one of the windows.
    In {
        /// 0 to 3 and 7 lie half in one page table and half in the next, 4 half outside user space,
        /// 5 at address 0, the others half in the image.
        window: u8,
        /// The page in it.
        page: u8,
        /// Bytes off the page's start: usually none.
        off: u16,
    },
    /// The start of a large page, by number, far from the windows.
    Large(u8),
    /// Any address.
    Bits(usize),
}

impl TestAddress {
    /// A page of the first window.
    pub fn page(page: u8) -> TestAddress {
        TestAddress::In { window: 0, page, off: 0 }
    }

    /// The address, in bytes. It may be misaligned or outside user space.
    pub fn bits(self, target: Target) -> usize {
        let half = WINDOW / 2 * PAGE;
        match self {
            TestAddress::In { window, page, off } => {
                let base = match window {
                    0..=3 => (0x4000_0000 + (5 << target.large_bits())) - half,
                    4 => target.user_end() - half,
                    5 => 0,
                    // The next line between two page tables, so that one table is in both windows.
                    7 => (0x4000_0000 + (6 << target.large_bits())) - half,
                    _ => target.image() - half,
                };
                base + usize::from(page) * PAGE + usize::from(off)
            }
            TestAddress::Large(number) => {
                0x2000_0000 + (usize::from(number) << target.large_bits())
            }
            TestAddress::Bits(bits) => bits,
        }
    }
}

/// Which pages: mostly of a region that there is.
#[derive(Clone, Copy, Debug)]
pub enum Pages {
    /// From a page of a region of plain memory on, guards included; not beyond its end by more than
    /// one page.
    Of {
        /// The region, among those of the space.
        region: u8,
        /// The first page, modulo its pages.
        page: u8,
        /// How many at the most.
        pages: usize,
    },
    /// As `Of`, without guards, and of any space: the request is made of the region's own.
    Usable {
        /// The region, among all there are.
        region: u8,
        /// The first page, modulo its usable pages.
        page: u8,
        /// How many at the most.
        pages: usize,
    },
    /// From a page of any kind of region on, or the page behind it; not cut to its end.
    From {
        /// The region, among those of the space.
        region: u8,
        /// The first page, from its first usable one on.
        page: u8,
        /// How many.
        pages: usize,
    },
    /// Anywhere.
    At {
        /// The first page.
        address: TestAddress,
        /// How many.
        pages: usize,
    },
}

/// Where a region is wished.
#[derive(Clone, Copy, Debug)]
pub enum Where {
    /// The manager chooses.
    Anywhere,
    /// Its first usable page.
    At(TestAddress),
    /// With guards, in a range.
    Within(TestAddress, TestAddress),
}

/// A request for a region, with what [`vmm::RegionOptions`] has.
#[derive(Clone, Copy, Debug)]
pub struct RegionRequest {
    /// Where.
    pub place: Where,
    /// Pages without guards.
    pub pages: usize,
    /// Guard pages below.
    pub below: u16,
    /// Guard pages above.
    pub above: u16,
    /// Logarithm of the alignment.
    pub align_bits: u8,
    /// Rights of its pages.
    pub rights: Rights,
    /// The most they can be.
    pub ceiling: Option<Rights>,
    /// In one of the reservations, living or dead.
    pub inside: Option<u8>,
    /// How it is cached.
    pub cache: CachePolicy,
    /// Its frames.
    pub size: PageSize,
    /// What a touch maps.
    pub backing: Backing,
}

impl RegionRequest {
    /// Plain memory without guards, where the manager chooses.
    pub fn anywhere(pages: usize) -> RegionRequest {
        RegionRequest {
            place: Where::Anywhere,
            pages,
            below: 0,
            above: 0,
            align_bits: 0,
            rights: Rights::READ_WRITE,
            ceiling: None,
            inside: None,
            cache: CachePolicy::WriteBack,
            size: PageSize::Small,
            backing: Backing::Explicit,
        }
    }

    /// Plain memory without guards at an address.
    pub fn at(address: TestAddress, pages: usize) -> RegionRequest {
        RegionRequest { place: Where::At(address), ..RegionRequest::anywhere(pages) }
    }

    /// The same, mapped as it is touched, up to `around` pages a time.
    #[must_use]
    pub fn lazy(self, around: u8) -> RegionRequest {
        RegionRequest { backing: Backing::OnDemand { around }, ..self }
    }

    /// Pages with guards.
    pub fn total(&self) -> usize {
        self.pages.saturating_add(usize::from(self.below) + usize::from(self.above))
    }
}

/// In which order pages are mapped one by one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// As a heap grows.
    Up,
    /// As a stack grows.
    Down,
    /// Upwards, and after each page one of the same number from another place: another append
    /// cursor.
    Turns,
}

/// How one page is mapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fill {
    /// By `populate`.
    Populate,
    /// By a thread's touch.
    Touch,
    /// Now the one and now the other.
    Both,
}

/// A request. Each is carried out by the method of [`super::Run`] of the same name.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)] // fields are the arguments of the manager's method, or said above
pub enum Request {
    /// Reserves and maps.
    Map { space: u8, request: RegionRequest },
    /// Reserves, for memory that comes later or when it is touched.
    Reserve { space: u8, request: RegionRequest },
    /// Makes a reservation.
    ReserveForOthers { space: u8, request: RegionRequest },
    /// Maps fresh memory.
    Populate { space: u8, pages: Pages },
    /// Maps pages one by one, with no look-up in between: those that are not there.
    PageByPage { space: u8, pages: Pages, fill: Fill, order: Order, other: TestAddress },
    /// Reserves, at the start of a large page, memory for two of them that comes when it is
    /// touched, and maps all small pages of one.
    Dense { space: u8, large: u8, upper: bool },
    /// Makes large pages of small ones.
    Promote { space: u8, pages: Pages },
    /// Goes on making large pages of small ones in the background, by so many steps at the most.
    PromoteFurther { steps: u8 },
    /// Unmaps.
    Unmap { space: u8, pages: Pages },
    /// Unmaps what is mapped; holes are no error.
    Decommit { space: u8, pages: Pages },
    /// Unmaps, one by one from the last to the first, what is mapped of a range: a heap shrinks.
    Shrink { space: u8, pages: Pages },
    /// Changes rights; page by page, or by taking page tables.
    Protect { space: u8, pages: Pages, rights: Rights, on_demand: bool },
    /// Releases a region or a reservation.
    Release { which: u8 },
    /// Releases one that is gone, which must be refused without a trace.
    ReleaseDead { which: u8 },
    /// Shows pages in another region.
    Share { space: u8, pages: Pages, into: u8, request: RegionRequest },
    /// Cuts a region in two.
    Split { which: u8, pages: usize },
    /// Makes two regions one: mostly a region and the next.
    Merge { lower: u8, upper: u8 },
    /// Moves a region.
    Move { which: u8, request: RegionRequest },
    /// Clones a region, copy-on-write; with its pages mapped at once, or on demand.
    Clone { which: u8, into: u8, request: RegionRequest, on_demand: bool },
    /// Clones a space, copy-on-write, in one of these ways.
    CloneSpace { space: u8, on_demand: bool },
    /// Ends copy-on-write where nobody else has the memory.
    RestoreWriteAccess { which: u8 },
    /// A thread of the space touches the first of these pages.
    Touch { space: u8, pages: Pages, off: u16, write: bool, tag: u64 },
    /// A pager, which is a space here, gives a page of its own.
    Supply { space: u8, pages: Pages, from: u8, given: Pages, how: Supply },
    /// Allows a space so much more than it has, or any number, of frames, page tables and slots.
    Limit { space: u8, more: [Option<u8>; 3] },
    /// A thread fills a page that it may write to with a tag.
    Write { which: u8, tag: u64 },
    /// The manager writes a word.
    WriteByte { space: u8, pages: Pages, off: u16, value: u8 },
    /// Maps pages whose bytes are `value`, but for the first `off` and the last `cut`, which are
    /// clear.
    PopulateFrom { space: u8, pages: Pages, off: u16, cut: u16, value: u8 },
    /// Makes a stack.
    Stack { space: u8, pages: usize },
    /// Makes an IPC buffer, packed with others or in a page of its own.
    IpcBuffer { space: u8, packed: bool },
    /// Gives a thread an IPC buffer.
    SetIpcBuffer { thread: u8, buffer: u8 },
    /// Releases an IPC buffer.
    ReleaseIpcBuffer { which: u8 },
    /// Makes stack, IPC buffer and thread-local storage of so many bytes.
    ThreadMemory { space: u8, stack: usize, tls: usize },
    /// Releases such.
    ReleaseThreadMemory { which: u8 },
    /// Maps a physical address.
    Physical { space: u8, paddr: usize, request: RegionRequest },
    /// Allocates an object.
    Allocate { blueprint: Blueprint },
    /// Allocates several together.
    AllocateMany { blueprint: Blueprint, count: usize },
    /// Takes slots.
    TakeSlots { count: usize },
    /// Maps frames that were allocated together.
    MapObjects { space: u8, which: u8, request: RegionRequest },
    /// Frees what was allocated; of threads alone where so wanted.
    Free { which: u8, threads: bool },
    /// Gives back what is kept for speed.
    Trim,
    /// Moves pages so that a block of 2^`bits` bytes comes back.
    Compact { bits: u8 },
    /// Makes a space.
    CreateSpace,
    /// Destroys a space.
    DestroySpace { space: u8 },
}
