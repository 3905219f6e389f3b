// SPDX-License-Identifier: BSD-2-Clause
//! How random requests are made up. Numbers that name pages and things are small, so that requests
//! meet.

use proptest::collection::vec;
use proptest::prelude::*;
use untyped_alloc::{Blueprint, Rights};
use vmm_tests::expected::{Fill, Order, Pages, RegionRequest, Request, TestAddress, WINDOW, Where};
use vmm_tests::support::PAGE;

fn address() -> impl Strategy<Value = TestAddress> {
    (0..8u8, 0..WINDOW as u8, off()).prop_map(|(window, page, off)| TestAddress::In {
        window,
        page,
        off,
    })
}

/// Bytes off a page's start: usually none.
fn off() -> impl Strategy<Value = u16> {
    prop_oneof![30 => Just(0u16), 1 => 1..4096u16]
}

/// Bytes at the start of pages, or at their end, that are not said: often some, or a whole page.
fn clear() -> impl Strategy<Value = u16> {
    prop_oneof![4 => Just(0u16), 4 => 1..4096u16, 1 => Just(4096u16)]
}

fn rights() -> impl Strategy<Value = Rights> {
    prop_oneof![
        6 => Just(Rights::READ_WRITE),
        3 => Just(Rights::READ),
        1 => Just(Rights::WRITE),
        1 => Just(Rights::EXECUTE),
        1 => Just(Rights::READ_WRITE_EXECUTE),
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
        1 => (address(), pages()).prop_map(|(address, pages)| Pages::At { address, pages }),
    ]
}

/// Pages that a heap grows and shrinks by: mostly all from one on, often those around a table's
/// line.
fn stretch() -> impl Strategy<Value = Pages> {
    let most = || prop_oneof![1 => 1..6usize, 2 => Just(24)];
    prop_oneof![
        3 => (any::<u8>(), 0..12u8, most())
            .prop_map(|(region, page, pages)| Pages::Usable { region, page, pages }),
        2 => (prop_oneof![Just(0u8), Just(7)], 4..14u8, most()).prop_map(|(window, page, pages)| {
            Pages::At { address: TestAddress::In { window, page, off: 0 }, pages }
        }),
    ]
}

fn fill() -> impl Strategy<Value = Fill> {
    prop_oneof![Just(Fill::Populate), Just(Fill::Touch), Just(Fill::Both)]
}

fn order() -> impl Strategy<Value = Order> {
    prop_oneof![3 => Just(Order::Up), 1 => Just(Order::Down), 2 => Just(Order::Turns)]
}

fn wanted() -> impl Strategy<Value = RegionRequest> {
    let place = prop_oneof![
        2 => Just(Where::Anywhere),
        6 => address().prop_map(Where::At),
        2 => (address(), address()).prop_map(|(from, to)| Where::Within(from, to)),
    ];
    let guard = || prop_oneof![3 => Just(0u16), 1 => 1..3u16];
    let align = prop_oneof![16 => Just(0u8), 3 => 12..16u8, 1 => Just(22u8), 1 => Just(40u8)];
    let ceiling = prop_oneof![5 => Just(None), 1 => rights().prop_map(Some)];
    let inside = prop_oneof![8 => Just(None), 1 => any::<u8>().prop_map(Some)];
    (place, pages(), guard(), guard(), align, rights(), ceiling, inside).prop_map(
        |(place, pages, below, above, align_bits, rights, ceiling, inside)| RegionRequest {
            place,
            below,
            above,
            align_bits,
            rights,
            ceiling,
            inside,
            ..RegionRequest::anywhere(pages)
        },
    )
}

/// The physical address of a page of the machine's device, or of a little of its memory.
fn physical() -> impl Strategy<Value = usize> {
    prop_oneof![
        4 => (0..12usize).prop_map(|page| 0xf000_0000 + page * PAGE),
        1 => (0..64usize).prop_map(|page| 0x100_0000 + page * PAGE),
    ]
}

/// Any request.
fn request() -> impl Strategy<Value = Request> {
    let space = || any::<u8>();
    let which = || any::<u8>();
    prop_oneof![
        12 => (space(), wanted()).prop_map(|(space, request)| Request::Map { space, request }),
        5 => (space(), wanted()).prop_map(|(space, request)| Request::Reserve { space, request }),
        3 => (space(), wanted())
            .prop_map(|(space, request)| Request::ReserveForOthers { space, request }),
        8 => (space(), some_pages())
            .prop_map(|(space, pages)| Request::Populate { space, pages }),
        6 => (space(), some_pages(), clear(), clear(), any::<u8>())
            .prop_map(|(space, pages, off, cut, value)| {
                Request::PopulateFrom { space, pages, off, cut, value }
            }),
        14 => (space(), some_pages())
            .prop_map(|(space, pages)| Request::Unmap { space, pages }),
        8 => (space(), some_pages())
            .prop_map(|(space, pages)| Request::Decommit { space, pages }),
        10 => (space(), some_pages(), rights(), any::<bool>())
            .prop_map(|(space, pages, rights, on_demand)| {
                Request::Protect { space, pages, rights, on_demand }
            }),
        6 => which().prop_map(|which| Request::Release { which }),
        1 => which().prop_map(|which| Request::ReleaseDead { which }),
        2 => (space(), 1..6usize).prop_map(|(space, pages)| Request::Stack { space, pages }),
        2 => space().prop_map(|space| Request::IpcBuffer { space, packed: false }),
        2 => (which(), which())
            .prop_map(|(thread, buffer)| Request::SetIpcBuffer { thread, buffer }),
        2 => which().prop_map(|which| Request::ReleaseIpcBuffer { which }),
        10 => (which(), 1..u64::MAX).prop_map(|(which, tag)| Request::Write { which, tag }),
        1 => Just(Request::Allocate { blueprint: Blueprint::Tcb }),
        1 => which().prop_map(|which| Request::Free { which, threads: true }),
        1 => Just(Request::Trim),
        2 => (12..18u8).prop_map(|bits| Request::Compact { bits }),
        3 => Just(Request::CreateSpace),
        1 => which().prop_map(|space| Request::DestroySpace { space }),
        8 => (space(), some_pages(), space(), wanted())
            .prop_map(|(space, pages, into, request)| {
                Request::Share { space, pages, into, request }
            }),
        4 => (which(), 0..8usize).prop_map(|(which, pages)| Request::Split { which, pages }),
        4 => (which(), which()).prop_map(|(lower, upper)| Request::Merge { lower, upper }),
        4 => (which(), wanted()).prop_map(|(which, request)| Request::Move { which, request }),
        5 => (space(), wanted(), 0..5u32)
            .prop_map(|(space, request, bits)| {
                Request::Reserve { space, request: request.lazy(1 << bits) }
            }),
        16 => (space(), some_pages(), off(), any::<bool>(), 1..u64::MAX).prop_map(
            |(space, pages, off, write, tag)| Request::Touch { space, pages, off, write, tag }
        ),
        8 => (which(), space(), wanted(), any::<bool>()).prop_map(
            |(which, into, request, on_demand)| Request::Clone { which, into, request, on_demand }
        ),
        4 => (space(), physical(), wanted())
            .prop_map(|(space, paddr, request)| Request::Physical { space, paddr, request }),
        2 => which().prop_map(|which| Request::RestoreWriteAccess { which }),
        2 => (space(), prop_oneof![Just(None), (0..6u8).prop_map(Some)])
            .prop_map(|(space, more)| Request::Limit { space, more: [more, None, more] }),
        6 => grow(),
        4 => (space(), stretch()).prop_map(|(space, pages)| Request::Shrink { space, pages }),
    ]
}

fn grow() -> impl Strategy<Value = Request> {
    (any::<u8>(), stretch(), fill(), order(), address()).prop_map(
        |(space, pages, fill, order, other)| Request::PageByPage {
            space,
            pages,
            fill,
            order,
            other,
        },
    )
}

/// A heap over the line between two page tables that grows, shrinks behind the line or wholly, and
/// grows again, with something in between.
pub fn heap() -> impl Strategy<Value = Vec<Request>> {
    let between = || prop_oneof![2 => Just(None), 1 => request().prop_map(Some)];
    let round = (4..13u8, fill(), order(), between(), between());
    (any::<u8>(), 4..12u8, prop_oneof![2 => Just(1u8), 1 => Just(4)], vec(round, 2..4)).prop_map(
        |(space, first, around, rounds)| {
            let start = TestAddress::page(first);
            let request = RegionRequest::at(start, 24 - usize::from(first)).lazy(around);
            let mut requests = vec![Request::Reserve { space, request }];
            let pages = Pages::At { address: start, pages: 15 - usize::from(first) };
            for (low, fill, order, before, after) in rounds {
                // Another heap may be over the next line.
                let other = TestAddress::In { window: 7, page: first, off: 0 };
                let upper = Pages::At { address: TestAddress::page(low), pages: 24 };
                requests.extend(before);
                requests.push(Request::PageByPage { space, pages, fill, order, other });
                requests.extend(after);
                requests.push(Request::Shrink { space, pages: upper });
            }
            requests
        },
    )
}

/// A history of about as many requests at the most.
pub fn requests(most: usize) -> impl Strategy<Value = Vec<Request>> {
    let act = prop_oneof![24 => request().prop_map(|request| vec![request]), 1 => heap()];
    vec(act, 1..most).prop_map(|acts| acts.concat())
}
