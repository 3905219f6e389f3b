// SPDX-License-Identifier: BSD-2-Clause
//! Small scope, all of it: every sequence of requests from a list, over a memory of 26 pages and a
//! window of four, two on either side of a page table's end.
//!
//! First all sequences of one request, then all of two, and so on as long as the time allows:
//! `SMALL_SCOPE_SECONDS` for each test, 10 unless it is set. Each is compared with the reference
//! model ([`vmm_tests::expected`]) after its last request (what comes before is a shorter sequence
//! that was compared itself), and taken down to the state it began with.
//!
//! Sequences that lead to the same state go on in the same way, so of these one is gone on with.
//! Two states are the same when nothing that can be seen differs: regions, pages and capabilities,
//! untypeds, slots, page tables, quotas, all that the kernel holds, and the contents of memory in
//! use or not. (What differs unseen is the shape of trees, which object was looked up last, and
//! serial numbers.) A request that is refused leads back to the state before it, and so costs
//! nothing further on.
//!
//! Checks what `state_machine/` checks; what is reached is printed.

use std::collections::HashSet;
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use untyped_alloc::Rights;
use vmm_tests::expected::{Fill, Order, Pages, RegionRequest, Request, TestAddress};

use crate::state_machine::run;
use crate::support::{Machine, Target, on_both};

on_both!(
    every_short_sequence_does_what_the_reference_says,
    every_short_life_of_a_heap_does_what_the_reference_says,
);

/// Pages of the window: numbers 10 to 13 of the first of `request.rs`, of which 12 begins a page
/// table.
fn address(page: u8) -> TestAddress {
    TestAddress::page(10 + page)
}

fn at(page: u8, pages: usize) -> RegionRequest {
    RegionRequest::at(address(page), pages)
}

fn pages(page: u8, pages: usize) -> Pages {
    Pages::At { address: address(page), pages }
}

/// The requests that sequences are made of. What needs no choice among things has none; "which" is
/// the first or the last there is.
fn alphabet() -> Vec<Request> {
    let space = 0;
    let (own, other) = (0, 1);
    let guarded = RegionRequest { below: 1, above: 1, ..at(1, 1) };
    let anywhere = RegionRequest::anywhere(1);
    let inside = RegionRequest { inside: Some(0), ..at(1, 2) };
    vec![
        Request::Map { space, request: at(0, 1) },
        Request::Map { space, request: at(1, 2) },
        Request::Map { space, request: at(0, 4) },
        Request::Map { space, request: guarded },
        Request::Map { space, request: inside },
        Request::Map { space: other, request: anywhere },
        Request::Reserve { space, request: at(0, 4) },
        Request::ReserveForOthers { space, request: at(0, 4) },
        Request::ReserveForOthers { space, request: RegionRequest { inside: Some(0), ..at(0, 3) } },
        Request::Populate { space, pages: pages(1, 2) },
        Request::PopulateFrom { space, pages: pages(1, 3), off: 8, cut: 4000, value: 0x55 },
        Request::Unmap { space, pages: pages(0, 1) },
        Request::Unmap { space, pages: pages(1, 2) },
        Request::Decommit { space, pages: pages(0, 3) },
        Request::Protect {
            space: other,
            pages: pages(0, 4),
            rights: Rights::READ,
            on_demand: true,
        },
        Request::Protect { space, pages: pages(1, 2), rights: Rights::READ, on_demand: false },
        Request::Protect {
            space,
            pages: pages(0, 4),
            rights: Rights::READ_WRITE,
            on_demand: false,
        },
        Request::Protect {
            space,
            pages: pages(0, 2),
            rights: Rights::READ_EXECUTE,
            on_demand: false,
        },
        Request::Release { which: 1 },
        Request::Release { which: 0 },
        Request::Write { which: 0, tag: 0x1111 },
        Request::Write { which: 1, tag: 0x2222 },
        Request::CreateSpace,
        Request::DestroySpace { space: other },
        Request::Share { space: own, pages: pages(1, 2), into: other, request: at(1, 2) },
        Request::Split { which: 0, pages: 1 },
        Request::Merge { lower: 0, upper: 0 },
        Request::Move { which: 0, request: at(2, 1) },
        Request::IpcBuffer { space: other, packed: false },
        Request::ReleaseIpcBuffer { which: 0 },
        Request::Trim,
        Request::Compact { bits: 12 },
        Request::Reserve {
            space,
            request: RegionRequest { below: 1, above: 1, ..at(1, 2) }.lazy(1),
        },
        Request::Reserve { space: other, request: at(0, 4).lazy(4) },
        touch(space, 0, true, 0x3333),
        touch(space, 1, true, 0x4444),
        touch(other, 1, true, 0x5555),
        touch(other, 2, false, 0),
        Request::Clone { which: 0, into: other, request: at(0, 0), on_demand: true },
        Request::Clone { which: 1, into: own, request: anywhere, on_demand: false },
        Request::RestoreWriteAccess { which: 0 },
        Request::Unmap { space: other, pages: pages(1, 1) },
        Request::Limit { space, more: [Some(1), None, Some(1)] },
        Request::Limit { space: other, more: [Some(2), None, Some(2)] },
        // A heap over the line: it grows page by page, and shrinks behind the line.
        Request::Reserve { space, request: at(0, 4).lazy(1) },
        grow(0, 4, Fill::Populate, Order::Up),
        grow(0, 4, Fill::Touch, Order::Up),
        grow(0, 4, Fill::Both, Order::Down),
        Request::Shrink { space, pages: pages(2, 2) },
        Request::Decommit { space, pages: pages(1, 3) },
    ]
}

fn touch(space: u8, page: u8, write: bool, tag: u64) -> Request {
    Request::Touch { space, pages: pages(page, 1), off: 0, write, tag }
}

/// Page by page; by turns, with pages of the other heap.
fn grow(page: u8, count: usize, fill: Fill, order: Order) -> Request {
    let other = TestAddress::In { window: 7, page: 10 + page, off: 0 };
    Request::PageByPage { space: 0, pages: pages(page, count), fill, order, other }
}

/// What happens to two heaps over the lines before and behind one page table, so that the table is
/// of both: they grow page by page and by turns, shrink on either side of the line, and keep empty
/// tables.
fn heap_alphabet() -> Vec<Request> {
    let space = 0;
    let other = TestAddress::In { window: 7, page: 10, off: 0 };
    vec![
        Request::Reserve { space, request: at(0, 4).lazy(1) },
        Request::Reserve { space, request: RegionRequest::at(other, 4).lazy(1) },
        grow(0, 4, Fill::Populate, Order::Up),
        grow(0, 4, Fill::Touch, Order::Up),
        grow(0, 4, Fill::Both, Order::Down),
        grow(0, 4, Fill::Both, Order::Turns),
        grow(2, 1, Fill::Populate, Order::Up),
        grow(3, 1, Fill::Touch, Order::Up),
        grow(0, 2, Fill::Populate, Order::Up),
        Request::PopulateFrom { space, pages: pages(1, 2), off: 0, cut: 0, value: 0x66 },
        Request::Shrink { space, pages: pages(2, 2) },
        Request::Shrink { space, pages: pages(0, 4) },
        Request::Shrink { space, pages: Pages::At { address: other, pages: 4 } },
        Request::Protect { space, pages: pages(1, 1), rights: Rights::READ, on_demand: false },
        Request::Write { which: 1, tag: 0x1111 },
        Request::Trim,
        Request::Compact { bits: 12 },
        Request::Release { which: 1 },
    ]
}

fn every_short_life_of_a_heap_does_what_the_reference_says(target: Target) {
    // Frames come from batches that have more: those of 26 pages have no next frame.
    let machine = Machine::small(target).small_image();
    let initial = run::initial(&machine);
    every_sequence(&format!("heap, {target:?}"), &heap_alphabet(), |requests| {
        run::run_from(&machine, &initial, requests, requests.len().saturating_sub(1))
    });
}

fn budget() -> Duration {
    let seconds = std::env::var("SMALL_SCOPE_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(10))
}

fn every_short_sequence_does_what_the_reference_says(target: Target) {
    let ram = vec![(0x100_0000, 16), (0x80_0000, 15), (0x70_2000, 13)];
    let machine = Machine::with_ram(target, ram).small_image();
    let initial = run::initial(&machine);
    every_sequence(&format!("manager, {target:?}"), &alphabet(), |requests| {
        run::run_from(&machine, &initial, requests, requests.len().saturating_sub(1))
    });
}

/// Runs all sequences of one request, then all of two, … until the time is up. `run` returns a
/// number that stands for the state a sequence leads to; of those that lead to one state the first
/// is gone on with.
pub fn every_sequence<R: Clone + Debug>(name: &str, alphabet: &[R], run: impl Fn(&[R]) -> u64) {
    let end = Instant::now() + budget();
    let mut states = HashSet::from([run(&[])]);
    let mut fronts: Vec<Vec<u8>> = vec![Vec::new()];
    let mut sequences = 0;
    for length in 1.. {
        let mut next = Vec::new();
        for (number, front) in fronts.iter().enumerate() {
            // Two are always done.
            if length > 2 && Instant::now() > end {
                println!(
                    "{name}: all sequences of {} of {} requests, and of one more from {number} of \
                     {} states; {sequences} run, {} states",
                    length - 1,
                    alphabet.len(),
                    fronts.len(),
                    states.len()
                );
                return;
            }
            let mut requests: Vec<R> =
                front.iter().map(|&letter| alphabet[usize::from(letter)].clone()).collect();
            for (letter, request) in alphabet.iter().enumerate() {
                requests.push(request.clone());
                let Ok(state) = catch_unwind(AssertUnwindSafe(|| run(&requests))) else {
                    let lines = requests.iter().map(|request| format!("\n  {request:?}"));
                    panic!("{name}, sequence of {length}:{}", lines.collect::<String>());
                };
                if states.insert(state) {
                    next.push([&front[..], &[letter as u8]].concat());
                }
                requests.pop();
                sequences += 1;
            }
        }
        fronts = next;
    }
}
