//! What can be requested. Numbers that name pages and things are small, so that requests meet.

use proptest::prelude::*;

use untyped_alloc::Rights;

use crate::support::{PAGE, Target};

/// Where, in one of the windows.
#[derive(Clone, Copy, Debug)]
pub struct Spot {
    pub window: u8,
    pub page: u8,
    /// Bytes off the page's start: usually none.
    pub off: u16,
}

/// Pages of one window.
const WINDOW: usize = 24;

impl Spot {
    /// The address, in bytes. It may be misaligned or outside user space.
    pub fn address(self, target: Target) -> usize {
        let page = usize::from(self.page) * PAGE;
        let half = WINDOW / 2 * PAGE;
        let base = match self.window {
            // Half of it lies in one page table, half in the next.
            0..=3 => (0x4000_0000 + (5 << target.large_bits())) - half,
            // Half of it lies outside user space.
            4 => target.user_end() - half,
            5 => 0,
            // Below and in the image.
            _ => target.image() - half,
        };
        base + page + usize::from(self.off)
    }
}

/// Which pages: mostly of a region that there is.
#[derive(Clone, Copy, Debug)]
pub enum Pages {
    /// From a page of a region on, both by number.
    Of { region: u8, page: u8, pages: usize },
    /// Anywhere.
    At { spot: Spot, pages: usize },
}

#[derive(Clone, Copy, Debug)]
pub enum Where {
    Anywhere,
    At(Spot),
    Within(Spot, Spot),
}

/// A request for a region.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    pub place: Where,
    pub pages: usize,
    pub below: u16,
    pub above: u16,
    pub align_bits: u8,
    pub rights: Rights,
    pub ceiling: Option<Rights>,
    /// In one of the reservations, living or dead.
    pub inside: Option<u8>,
}

impl Wish {
    /// Without guards, where the manager chooses.
    pub fn anywhere(pages: usize) -> Wish {
        Wish {
            place: Where::Anywhere,
            pages,
            below: 0,
            above: 0,
            align_bits: 0,
            rights: Rights::READ_WRITE,
            ceiling: None,
            inside: None,
        }
    }
}

/// A request. Numbers choose among what there is, modulo how much there is.
#[derive(Clone, Debug)]
pub enum Request {
    Map {
        space: u8,
        wish: Wish,
    },
    Reserve {
        space: u8,
        wish: Wish,
    },
    ReserveForOthers {
        space: u8,
        wish: Wish,
    },
    Populate {
        space: u8,
        pages: Pages,
    },
    Unmap {
        space: u8,
        pages: Pages,
    },
    Protect {
        space: u8,
        pages: Pages,
        rights: Rights,
    },
    Release {
        which: u8,
    },
    ReleaseDead {
        which: u8,
    },
    Stack {
        space: u8,
        pages: usize,
    },
    IpcBuffer {
        space: u8,
    },
    SetIpcBuffer {
        thread: u8,
        buffer: u8,
    },
    ReleaseIpcBuffer {
        which: u8,
    },
    Write {
        which: u8,
        tag: u64,
    },
    Thread,
    EndThread {
        which: u8,
    },
    Trim,
    CreateSpace,
    DestroySpace {
        which: u8,
    },
    Share {
        space: u8,
        pages: Pages,
        into: u8,
        wish: Wish,
    },
    Split {
        which: u8,
        pages: usize,
    },
    Merge {
        lower: u8,
        upper: u8,
    },
    Move {
        which: u8,
        wish: Wish,
    },
    /// Reserves memory that is mapped when it is touched, up to `around` pages a time.
    ReserveLazily {
        space: u8,
        wish: Wish,
        around: u8,
    },
    /// A thread of the space touches the first of these pages.
    Touch {
        space: u8,
        pages: Pages,
        write: bool,
        tag: u64,
    },
    /// Clones a region, lazily.
    Clone {
        which: u8,
        into: u8,
        wish: Wish,
    },
    Settle {
        which: u8,
    },
    /// Allows a space so many pages more than it has, and so many copied capabilities; or any number.
    Limit {
        space: u8,
        more: Option<u8>,
    },
}

fn spot() -> impl Strategy<Value = Spot> {
    let off = prop_oneof![30 => Just(0u16), 1 => 1..4096u16];
    (0..7u8, 0..WINDOW as u8, off).prop_map(|(window, page, off)| Spot { window, page, off })
}

fn rights() -> impl Strategy<Value = Rights> {
    prop_oneof![
        6 => Just(Rights::READ_WRITE),
        3 => Just(Rights::READ),
        1 => Just(Rights::WRITE),
        1 => Just(Rights::empty()),
        1 => Just(Rights::all()),
    ]
}

fn pages() -> impl Strategy<Value = usize> {
    prop_oneof![40 => 1..12usize, 8 => 12..40usize, 1 => Just(0), 1 => Just(usize::MAX >> 12)]
}

fn some_pages() -> impl Strategy<Value = Pages> {
    let few = prop_oneof![8 => 1..5usize, 1 => 5..30usize];
    prop_oneof![
        5 => (any::<u8>(), 0..12u8, few)
            .prop_map(|(region, page, pages)| Pages::Of { region, page, pages }),
        1 => (spot(), pages()).prop_map(|(spot, pages)| Pages::At { spot, pages }),
    ]
}

fn wish() -> impl Strategy<Value = Wish> {
    let place = prop_oneof![
        2 => Just(Where::Anywhere),
        6 => spot().prop_map(Where::At),
        2 => (spot(), spot()).prop_map(|(from, to)| Where::Within(from, to)),
    ];
    let guard = || prop_oneof![3 => Just(0u16), 1 => 1..3u16];
    let align = prop_oneof![16 => Just(0u8), 3 => 12..16u8, 1 => Just(22u8), 1 => Just(40u8)];
    let ceiling = prop_oneof![5 => Just(None), 1 => rights().prop_map(Some)];
    let inside = prop_oneof![8 => Just(None), 1 => any::<u8>().prop_map(Some)];
    (place, pages(), guard(), guard(), align, rights(), ceiling, inside).prop_map(
        |(place, pages, below, above, align_bits, rights, ceiling, inside)| Wish {
            place,
            pages,
            below,
            above,
            align_bits,
            rights,
            ceiling,
            inside,
        },
    )
}

/// Any request.
pub fn request() -> impl Strategy<Value = Request> {
    let space = || any::<u8>();
    let which = || any::<u8>();
    prop_oneof![
        12 => (space(), wish()).prop_map(|(space, wish)| Request::Map { space, wish }),
        5 => (space(), wish()).prop_map(|(space, wish)| Request::Reserve { space, wish }),
        3 => (space(), wish()).prop_map(|(space, wish)| Request::ReserveForOthers { space, wish }),
        8 => (space(), some_pages())
            .prop_map(|(space, pages)| Request::Populate { space, pages }),
        14 => (space(), some_pages())
            .prop_map(|(space, pages)| Request::Unmap { space, pages }),
        10 => (space(), some_pages(), rights())
            .prop_map(|(space, pages, rights)| Request::Protect { space, pages, rights }),
        6 => which().prop_map(|which| Request::Release { which }),
        1 => which().prop_map(|which| Request::ReleaseDead { which }),
        2 => (space(), 1..6usize).prop_map(|(space, pages)| Request::Stack { space, pages }),
        2 => space().prop_map(|space| Request::IpcBuffer { space }),
        2 => (which(), which())
            .prop_map(|(thread, buffer)| Request::SetIpcBuffer { thread, buffer }),
        2 => which().prop_map(|which| Request::ReleaseIpcBuffer { which }),
        10 => (which(), 1..u64::MAX).prop_map(|(which, tag)| Request::Write { which, tag }),
        1 => Just(Request::Thread),
        1 => which().prop_map(|which| Request::EndThread { which }),
        1 => Just(Request::Trim),
        3 => Just(Request::CreateSpace),
        1 => which().prop_map(|which| Request::DestroySpace { which }),
        8 => (space(), some_pages(), space(), wish())
            .prop_map(|(space, pages, into, wish)| Request::Share { space, pages, into, wish }),
        4 => (which(), 0..8usize).prop_map(|(which, pages)| Request::Split { which, pages }),
        4 => (which(), which()).prop_map(|(lower, upper)| Request::Merge { lower, upper }),
        4 => (which(), wish()).prop_map(|(which, wish)| Request::Move { which, wish }),
        5 => (space(), wish(), 0..5u32)
            .prop_map(|(space, wish, bits)| Request::ReserveLazily { space, wish, around: 1 << bits }),
        16 => (space(), some_pages(), any::<bool>(), 1..u64::MAX)
            .prop_map(|(space, pages, write, tag)| Request::Touch { space, pages, write, tag }),
        8 => (which(), space(), wish())
            .prop_map(|(which, into, wish)| Request::Clone { which, into, wish }),
        2 => which().prop_map(|which| Request::Settle { which }),
        2 => (space(), prop_oneof![Just(None), (0..6u8).prop_map(Some)])
            .prop_map(|(space, more)| Request::Limit { space, more }),
    ]
}
