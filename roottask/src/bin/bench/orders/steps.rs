// SPDX-License-Identifier: BSD-2-Clause
//! The orders, and a row of single operations beside the same by hand.

use roottask::Manager;
use vmm::Result;

use roottask::measure::{cost, Row, Samples};

/// How often each operation is done.
pub const TIMES: usize = 1024;
/// Bytes of a small page.
pub const PAGE: usize = 4096;

/// The numbers below a power of two, each once, in no order that a manager could be made for.
pub fn shuffled<const COUNT: usize>(turn: usize) -> usize {
    // Each step has an inverse, so no two turns meet.
    let mixed = turn ^ (turn >> 5);
    let mixed = mixed * 0x2d5 % COUNT;
    let mixed = mixed ^ (mixed >> 4);
    (mixed * 0x19b + 0x7c) % COUNT
}

/// The numbers below a count, from the last to the first.
pub fn descending<const COUNT: usize>(turn: usize) -> usize {
    COUNT - 1 - turn
}

/// What a row is called, how many operations it is of, and for how many pages the book-keeping is,
/// if that is a question.
#[derive(Clone, Copy)]
pub struct Head<'a> {
    pub name: &'a str,
    pub unit: &'a str,
    pub times: usize,
    pub pages: Option<usize>,
}

impl<'a> Head<'a> {
    /// [`TIMES`] operations on a page each.
    pub fn pages(name: &'a str) -> Head<'a> {
        Head { name, unit: "page", times: TIMES, pages: None }
    }

    /// As many operations on something else.
    pub fn of(name: &'a str, unit: &'a str, times: usize) -> Head<'a> {
        Head { name, unit, times, pages: None }
    }

    /// With the bytes of book-keeping for each page, where each operation maps some.
    pub fn for_pages(self, each: usize) -> Head<'a> {
        Head { pages: Some(self.times * each), ..self }
    }
}

/// Notes what each operation costs, then each of the same by hand, and prints the row.
///
/// `prepare` is done before each operation of the manager's and is not counted.
pub fn row(
    vmm: &mut Manager,
    head: Head<'_>,
    mut prepare: impl FnMut(&mut Manager, usize) -> Result,
    mut operation: impl FnMut(&mut Manager, usize) -> Result,
    by_hand: Option<&mut dyn FnMut(usize)>,
) -> Result {
    let mut samples = Samples::new();
    let (_, spent) = cost(vmm, |vmm| {
        (0..head.times).try_for_each(|turn| {
            prepare(vmm, turn)?;
            samples.take(|| operation(vmm, turn))
        })
    })?;
    let mut raw = Samples::new();
    let floor = by_hand.map(|by_hand| {
        (0..head.times).for_each(|turn| raw.take(|| by_hand(turn)));
        &mut raw
    });
    let Head { name, unit, times, pages } = head;
    Row::new(name, unit, times).print_single(&spent, &mut samples, floor, pages);
    Ok(())
}

/// Nothing is to be done before.
pub fn nothing(_: &mut Manager, _: usize) -> Result {
    Ok(())
}
