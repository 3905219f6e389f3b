// SPDX-License-Identifier: BSD-2-Clause
//! Bytes to requests. What a request names mostly exists, and lies close to the others: requests
//! that collide are the ones that tell something.

use vmm::{Backing, Blueprint, CachePolicy, KernelError, PageSize, Rights, Supply};
use vmm_tests::expected::{
    Failing, Fill, Order, Pages, RegionRequest, Request, STALE, TestAddress, WINDOW, Where,
};
use vmm_tests::support::{PAGE, Target};

use crate::bytes::Bytes;
use crate::machine::{DEVICE, RAM};

/// A kernel call that is to fail, once in four requests.
pub fn failing(bytes: &mut Bytes<'_>) -> Option<Failing> {
    use KernelError::*;
    let errors = [
        IllegalOperation,
        NotEnoughMemory,
        InvalidCapability,
        DeleteFirst,
        FailedLookup,
        RevokeFirst,
    ];
    bytes.one_in(4).then(|| {
        let (late, lasts) = (bytes.one_in(4), bytes.one_in(3));
        let nth = 1 + bytes.below(if late { 256 } else { 12 });
        Failing { nth, error: bytes.pick(&errors), lasts }
    })
}

/// Any request.
pub fn request(bytes: &mut Bytes<'_>, target: Target) -> Request {
    let wanted = |bytes: &mut Bytes<'_>| wanted(bytes, target);
    let space = number(bytes);
    match bytes.below(58) {
        0..=4 => Request::Map { space, request: wanted(bytes) },
        5 => Request::Reserve { space, request: wanted(bytes) },
        6 => Request::ReserveForOthers { space, request: wanted(bytes) },
        7..=8 => Request::Release { which: number(bytes) },
        9 => Request::Populate { space, pages: range(bytes) },
        10..=12 => Request::Unmap { space, pages: range(bytes) },
        13..=14 => {
            let (pages, rights) = (range(bytes), rights(bytes));
            Request::Protect { space, pages, rights, on_demand: bytes.one_in(3) }
        }
        15..=17 => {
            let pages = range(bytes);
            Request::Share { space, pages, into: number(bytes), request: wanted(bytes) }
        }
        18 => Request::Split { which: number(bytes), pages: pages(bytes) },
        19 => Request::Merge { lower: number(bytes), upper: number(bytes) },
        20..=21 => Request::Move { which: number(bytes), request: wanted(bytes) },
        22 => Request::Stack { space, pages: pages(bytes) },
        23 => Request::IpcBuffer { space, packed: false },
        24 => Request::IpcBuffer { space, packed: true },
        25 => Request::ReleaseIpcBuffer { which: number(bytes) },
        26 => Request::SetIpcBuffer { thread: number(bytes), buffer: number(bytes) },
        27 => {
            let stack = pages(bytes);
            Request::ThreadMemory { space, stack, tls: bytes.pick(&[0, 8, 4092, 4096, 9000]) }
        }
        28 => Request::ReleaseThreadMemory { which: number(bytes) },
        29 => Request::Physical { space, paddr: physical(bytes), request: wanted(bytes) },
        30 => allocation(bytes),
        31 => Request::MapObjects { space, which: number(bytes), request: wanted(bytes) },
        32 => Request::Free { which: number(bytes), threads: false },
        33..=34 => match bytes.below(10) {
            0 => Request::Trim,
            7 => Request::Dense { space, large: bytes.below(4) as u8, upper: bytes.one_in(2) },
            8 => {
                let (address, large) =
                    (TestAddress::Large(bytes.below(4) as u8), 1 << (target.large_bits() - 12));
                Request::Promote {
                    space,
                    pages: Pages::At { address, pages: bytes.pick(&[2, 1]) * large },
                }
            }
            9 => Request::PromoteFurther { steps: 1 + bytes.below(24) as u8 },
            6 => Request::Compact { bits: 12 + bytes.below(6) as u8 },
            1 => Request::DestroySpace { space },
            _ => {
                let which = bytes.byte();
                Request::Write { which, tag: u64::from(bytes.byte()) << 8 | u64::from(which) }
            }
        },
        35 => Request::CreateSpace,
        36..=37 => {
            let request = RegionRequest { backing: backing(bytes), ..wanted(bytes) };
            Request::Reserve { space, request }
        }
        38..=40 => {
            let (which, into, request) = (number(bytes), number(bytes), wanted(bytes));
            Request::Clone { which, into, request, on_demand: bytes.one_in(2) }
        }
        41..=42 => match bytes.below(5) {
            4 => {
                let (pages, value) = (range(bytes), bytes.byte());
                let (off, cut) = (off(bytes), off(bytes));
                Request::PopulateFrom { space, pages, off, cut, value }
            }
            0 => Request::CloneSpace { space, on_demand: bytes.one_in(2) },
            1 => Request::RestoreWriteAccess { which: number(bytes) },
            2 => {
                let (pages, value) = (range(bytes), bytes.byte());
                Request::WriteByte { space, pages, off: off(bytes), value }
            }
            _ => Request::Limit { space, more: [few(bytes), few(bytes), few(bytes)] },
        },
        43..=47 => {
            let pages = range(bytes);
            let (off, write, tag) = (off(bytes), !bytes.one_in(4), u64::from(bytes.byte()));
            Request::Touch { space, pages, off, write, tag }
        }
        48..=49 => {
            let (pages, from) = (range(bytes), number(bytes));
            let how = bytes.pick(&[Supply::Share, Supply::Transfer]);
            Request::Supply { space, pages, from, given: range(bytes), how }
        }
        50..=51 => {
            let first = 4 + bytes.below(12) as u8;
            let request = RegionRequest::at(TestAddress::page(first), WINDOW - usize::from(first));
            Request::Reserve { space, request: request.lazy(bytes.pick(&[1, 1, 4])) }
        }
        52..=53 => {
            let pages = stretch(bytes);
            let fill = bytes.pick(&[Fill::Populate, Fill::Touch, Fill::Both]);
            let order = bytes.pick(&[Order::Up, Order::Down, Order::Turns]);
            Request::PageByPage { space, pages, fill, order, other: near(bytes) }
        }
        54..=55 => Request::Decommit { space, pages: range(bytes) },
        _ => Request::Shrink { space, pages: stretch(bytes) },
    }
}

/// A number of a thing: once in sixteen one that may be gone.
fn number(bytes: &mut Bytes<'_>) -> u8 {
    match bytes.one_in(16) {
        true => STALE + bytes.below(16) as u8,
        false => bytes.byte() % STALE,
    }
}

fn allocation(bytes: &mut Bytes<'_>) -> Request {
    let small = [
        Blueprint::Tcb,
        Blueprint::Endpoint,
        Blueprint::Notification,
        Blueprint::Frame { size_bits: 12 },
        Blueprint::Untyped { size_bits: 12 },
        Blueprint::Table { level: 1 },
        Blueprint::CNode { radix_bits: 4 },
        Blueprint::Untyped { size_bits: 16 },
    ];
    let blueprint = bytes.pick(&small);
    let frame = Blueprint::Frame { size_bits: 12 };
    match bytes.below(4) {
        0 => Request::Allocate { blueprint },
        1 => Request::AllocateMany { blueprint, count: bytes.below(20) },
        2 => Request::AllocateMany { blueprint: frame, count: 1 + bytes.below(8) },
        _ => Request::TakeSlots { count: bytes.below(256) * 2 },
    }
}

/// A page around the end of what one page table covers.
fn near(bytes: &mut Bytes<'_>) -> TestAddress {
    let page = bytes.below(WINDOW) as u8;
    match bytes.one_in(8) {
        // One of the other windows.
        true => TestAddress::In { window: 4 + bytes.below(4) as u8, page, off: 0 },
        false => TestAddress::page(page),
    }
}

fn range(bytes: &mut Bytes<'_>) -> Pages {
    match bytes.below(8) {
        0..=4 => {
            let (region, page) = (bytes.byte(), bytes.byte());
            Pages::From { region, page, pages: pages(bytes) }
        }
        7 => {
            let address = TestAddress::Bits(bytes.wild());
            Pages::At { address, pages: pages(bytes) }
        }
        _ => Pages::At { address: near(bytes), pages: pages(bytes) },
    }
}

/// Pages that a heap grows and shrinks by.
fn stretch(bytes: &mut Bytes<'_>) -> Pages {
    let most = bytes.pick(&[WINDOW, 3, 6, 10]);
    match bytes.below(2) {
        0 => {
            let (region, page) = (bytes.byte(), bytes.below(12) as u8);
            Pages::Usable { region, page, pages: most }
        }
        _ => Pages::At { address: TestAddress::page(4 + bytes.below(12) as u8), pages: most },
    }
}

fn off(bytes: &mut Bytes<'_>) -> u16 {
    match bytes.one_in(4) {
        true => bytes.pick(&[1, 8, 0xff8, 0xff9, 0xfff]),
        false => 0,
    }
}

fn wanted(bytes: &mut Bytes<'_>, target: Target) -> RegionRequest {
    let style = bytes.byte();
    let plain = RegionRequest::at(TestAddress::Bits(0), pages(bytes));
    let plain = RegionRequest { place: Where::At(near(bytes)), ..plain };
    if style.is_multiple_of(8) {
        let large = target.large_bits();
        let at = Where::At(TestAddress::Large(bytes.below(4) as u8));
        return RegionRequest {
            pages: (1 + bytes.below(2)) << (large - 12),
            place: bytes.pick(&[at, Where::Anywhere]),
            align_bits: bytes.pick(&[large, 0]),
            size: bytes.pick(&[PageSize::Auto, PageSize::Large { bits: large }]),
            rights: bytes.pick(&[Rights::READ_WRITE, Rights::READ]),
            ..plain
        };
    }
    let mut request = plain;
    if style & 1 != 0 {
        request.place = place(bytes);
    }
    if style & 2 != 0 {
        request.rights = rights(bytes);
        request.ceiling = bytes.one_in(3).then(|| rights(bytes));
    }
    if style & 4 != 0 {
        (request.below, request.above) = (bytes.pick(&[0, 1, 2]), bytes.pick(&[1, 0, 2, u16::MAX]));
        request.align_bits = bytes.pick(&[0, 13, 12, 15, 14, 21, 22, 30, 31, 255]);
    }
    if style & 16 != 0 {
        request.inside = Some(bytes.byte());
    }
    if style & 32 != 0 {
        use CachePolicy::*;
        request.cache = bytes.pick(&[WriteBack, WriteThrough, Uncached, WriteCombining]);
        request.size = bytes.pick(&[
            PageSize::Small,
            PageSize::Auto,
            PageSize::Large { bits: 22 },
            PageSize::Large { bits: 21 },
            PageSize::Large { bits: 12 },
            PageSize::Large { bits: 255 },
        ]);
    }
    request
}

fn place(bytes: &mut Bytes<'_>) -> Where {
    match bytes.below(6) {
        0..=1 => Where::Anywhere,
        2 => Where::At(near(bytes)),
        3 => Where::At(TestAddress::Bits(bytes.wild())),
        4 => Where::Within(near(bytes), near(bytes)),
        _ => Where::Within(TestAddress::Bits(bytes.wild()), TestAddress::Bits(bytes.wild())),
    }
}

fn pages(bytes: &mut Bytes<'_>) -> usize {
    match bytes.below(32) {
        0 => 0,
        1 => bytes.wild(),
        2 => bytes.pick(&[512, 1024]),
        3 => 16 + bytes.below(256),
        few => 1 + few % 8,
    }
}

fn backing(bytes: &mut Bytes<'_>) -> Backing {
    match bytes.below(4) {
        0 => Backing::Pager { token: bytes.below(3) as u32 },
        _ => Backing::OnDemand { around: 1 << bytes.below(5) },
    }
}

/// How much more a quota allows: mostly any amount.
fn few(bytes: &mut Bytes<'_>) -> Option<u8> {
    match bytes.below(3) {
        0 => Some(bytes.below(8) as u8),
        _ => None,
    }
}

fn rights(bytes: &mut Bytes<'_>) -> Rights {
    bytes.pick(&[
        Rights::READ,
        Rights::READ_WRITE,
        Rights::empty(),
        Rights::WRITE,
        Rights::all(),
        Rights::READ_WRITE,
        Rights::EXECUTE,
        Rights::READ_WRITE_EXECUTE,
    ])
}

fn physical(bytes: &mut Bytes<'_>) -> usize {
    match bytes.below(4) {
        0 => DEVICE + bytes.below(32) * PAGE,
        1 => DEVICE + 0x40_0000 - bytes.below(8) * PAGE,
        2 => RAM + bytes.below(256) * PAGE,
        _ => bytes.wild(),
    }
}
