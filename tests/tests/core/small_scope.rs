//! Small scope, all of it: every sequence of requests from a list, over a memory of 26 pages and a
//! window of four, two on either side of a page table's end.
//!
//! First all sequences of one request, then all of two, and so on as long as the time allows:
//! `SMALL_SCOPE_SECONDS` for each test, 10 unless it is set. Each is run from the start, compared
//! with the reference model of `state_machine/` after its last request (what comes before is a
//! shorter sequence that was run itself), and taken down to the state it began with.
//!
//! Checks what `state_machine/` checks; what is reached is printed.

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use untyped_alloc::Rights;

use crate::state_machine::ops::{Pages, Request, Spot, Where, Wish};
use crate::state_machine::run;
use crate::support::{Machine, Target, on_both};

on_both!(every_short_sequence_does_what_the_reference_says);

/// Pages of the window: numbers 10 to 13 of the first of `ops.rs`, of which 12 begins a page table.
fn spot(page: u8) -> Spot {
    Spot { window: 0, page: 10 + page, off: 0 }
}

fn at(page: u8, pages: usize) -> Wish {
    Wish {
        place: Where::At(spot(page)),
        pages,
        below: 0,
        above: 0,
        align_bits: 0,
        rights: Rights::READ_WRITE,
        ceiling: None,
        inside: None,
    }
}

fn pages(page: u8, pages: usize) -> Pages {
    Pages::At { spot: spot(page), pages }
}

/// The requests that sequences are made of. What needs no choice among things has none; "which" is
/// the first or the last there is.
fn alphabet() -> Vec<Request> {
    let space = 0;
    let (own, other) = (0, 1);
    let guarded = Wish { below: 1, above: 1, ..at(1, 1) };
    let anywhere = Wish { place: Where::Anywhere, ..at(0, 1) };
    let inside = Wish { inside: Some(0), ..at(1, 2) };
    vec![
        Request::Map { space, wish: at(0, 1) },
        Request::Map { space, wish: at(1, 2) },
        Request::Map { space, wish: at(0, 4) },
        Request::Map { space, wish: guarded },
        Request::Map { space, wish: inside },
        Request::Map { space: other, wish: anywhere },
        Request::Reserve { space, wish: at(0, 4) },
        Request::ReserveForOthers { space, wish: at(0, 4) },
        Request::ReserveForOthers { space, wish: Wish { inside: Some(0), ..at(0, 3) } },
        Request::Populate { space, pages: pages(1, 2) },
        Request::Unmap { space, pages: pages(0, 1) },
        Request::Unmap { space, pages: pages(1, 2) },
        Request::Protect { space, pages: pages(1, 2), rights: Rights::READ },
        Request::Protect { space, pages: pages(0, 4), rights: Rights::READ_WRITE },
        Request::Release { which: 1 },
        Request::Release { which: 0 },
        Request::Write { which: 0, tag: 0x1111 },
        Request::Write { which: 1, tag: 0x2222 },
        Request::CreateSpace,
        Request::DestroySpace { which: other },
        Request::Share { space: own, pages: pages(1, 2), into: other, wish: at(1, 2) },
        Request::Split { which: 0, pages: 1 },
        Request::Merge { lower: 0, upper: 0 },
        Request::Move { which: 0, wish: at(2, 1) },
        Request::IpcBuffer { space: other },
        Request::ReleaseIpcBuffer { which: 0 },
        Request::Trim,
    ]
}

fn budget() -> Duration {
    let seconds = std::env::var("SMALL_SCOPE_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(10))
}

/// The sequence number `number` of those of `length` requests.
fn sequence<R: Clone>(alphabet: &[R], length: u32, number: usize) -> Vec<R> {
    let digit = |place: u32| number / alphabet.len().pow(place) % alphabet.len();
    (0..length).rev().map(|place| alphabet[digit(place)].clone()).collect()
}

fn every_short_sequence_does_what_the_reference_says(target: Target) {
    let ram = vec![(0x100_0000, 16), (0x80_0000, 15), (0x70_2000, 13)];
    let machine = Machine::with_ram(target, ram).small_image();
    let initial = run::initial(&machine);
    every_sequence(&format!("manager, {target:?}"), &alphabet(), |requests| {
        run::run_from(&machine, &initial, requests, requests.len() - 1);
    });
}

/// Runs all sequences of one request, then all of two, … until the time is up.
pub fn every_sequence<R: Clone + Debug>(name: &str, alphabet: &[R], run: impl Fn(&[R])) {
    let end = Instant::now() + budget();
    for length in 1.. {
        let all = alphabet.len().pow(length);
        for number in 0..all {
            // Two are always done.
            if length > 2 && Instant::now() > end {
                println!("{name}: all of {} requests, {number} of {all} longer", length - 1);
                return;
            }
            let requests = sequence(alphabet, length, number);
            if catch_unwind(AssertUnwindSafe(|| run(&requests))).is_err() {
                panic!("sequence {number} of length {length}: {requests:#?}");
            }
        }
    }
}
