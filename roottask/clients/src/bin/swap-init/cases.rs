// SPDX-License-Identifier: BSD-2-Clause
//! What is tried.

use vmm_client::handles::{ChildStatus, Result};
use vmm_client::objects::{State, PAGE_BYTES};
use vmm_client::tell;
use vmm_clients::swap::SWAPPED_AT;

use super::system::{wait_for_work, Running, Swapped, System, Text};

/// Pages of a sorter's block.
const BLOCK_PAGES: u32 = 16;
/// Answers of the disk between two ends of its driver.
const BETWEEN: u32 = 50;

/// Waits for the end of a program, and ends the driver `kills` times in the middle of its work
/// until then.
fn end_among_kills(system: &mut System<'_>, running: Running, kills: u32) -> Result {
    for _ in 0..kills {
        let (queue, before) = (system.shown, system.shown.answers());
        let is_over = |state: State| state.is_end() || state == State::Faulted;
        let is_over = || running.0.status().map_or(true, |status| is_over(status.state));
        if !wait_for_work(queue, before, BETWEEN, is_over) {
            break;
        }
        let restarts = system.restarts;
        system.kill_driver()?;
        while system.restarts == restarts {
            system.attend_driver()?;
            sel4::r#yield();
        }
    }
    system.ends_with(running, 0)
}

/// A205, A207: one program sorts an array, and another has a map, each larger than all that is
/// there of its memory at a time.
pub fn all(system: &mut System<'_>) -> Result {
    let (blocks, run) = (system.number("blocks"), system.number("run"));
    let (keys, heap, kills) =
        (system.number("keys"), system.number("heap"), system.number("kills"));
    // A block for each run, one for the output, one more.
    let pages = (blocks + blocks.div_ceil(run) + 2) * BLOCK_PAGES;
    let swapped = system.swapped(pages)?;
    let mut text = Text::new();
    text.add("blocks=").number(blocks).add(" run=").number(run);
    let sorter = system.start("sorter", "sorter", &swapped, text.as_str())?;
    end_among_kills(system, sorter, kills)?;
    tell!("sorted {pages} pages of memory");
    swapped.tell();
    tell!("the driver was ended and started again {} times of {kills}", system.restarts);
    system.end(swapped)?;

    let swapped = system.swapped(heap)?;
    let mut text = Text::new();
    text.add("keys=").number(keys);
    let mapper = system.start("mapper", "mapper", &swapped, text.as_str())?;
    system.ends_with(mapper, 0)?;
    tell!("mapped {heap} pages of memory");
    swapped.tell();
    system.end(swapped)
}

/// A program that keeps pages.
fn keeper(
    system: &System<'_>,
    swapped: &Swapped,
    (from, pages): (u32, u32),
    more: &str,
) -> Result<Running> {
    let mut text = Text::new();
    text.add("from=").number(from).add(" pages=").number(pages).add(" ").add(more);
    system.start("keeper", "keeper", swapped, text.as_str())
}

/// The page in whose touch a program has faulted.
fn faulted_at(status: &ChildStatus) -> Option<u32> {
    let page = status.address.checked_sub(SWAPPED_AT)? / PAGE_BYTES;
    (status.state == State::Faulted).then_some(page as u32)
}

/// A206: two programs keep pages of one memory. One that touches a page that cannot be had faults;
/// all others of its pages are right, and so are all of the other's.
pub fn faults(system: &mut System<'_>) -> Result {
    let (pages, others) = (system.number("keeps"), system.number("others"));
    let swapped = system.swapped(pages + others)?;
    // It has written its pages before the other begins: those lie at the first places of the disk,
    // and the one that fails is the other's.
    let first = keeper(system, &swapped, (pages, others), "rounds=1")?;
    system.ends_with(first, others)?;
    let small = keeper(system, &swapped, (pages, others), "written=1 rounds=300")?;
    let large = keeper(system, &swapped, (0, pages), "rounds=2")?;
    let status = system.end_of(large)?;
    match faulted_at(&status) {
        None => tell!("nobody has faulted: {status:?}"),
        Some(page) => {
            tell!("who touched page {page} has faulted");
            // All were written before one was read; so those behind it were, or it was written
            // first.
            let is_full = system.number("full") != 0;
            let (checked, right) = if is_full { (page, page) } else { (pages, pages - 1) };
            let mut text = Text::new();
            text.add("written=1 rounds=2 without=").number(page);
            let again = keeper(system, &swapped, (0, checked), text.as_str())?;
            system.ends_with(again, right)?;
            tell!("all of its {right} other pages are right");
        }
    }
    system.ends_with(small, others)?;
    tell!("all {others} pages of the other are right");
    swapped.tell();
    system.end(swapped)
}

/// A208: a program keeps pages until the machine ends. Whether anything was written outside the
/// area is looked at from outside, here and in all other cases.
pub fn for_ever(system: &mut System<'_>) -> Result {
    let pages = system.number("keeps");
    let swapped = system.swapped(pages)?;
    let keeper = keeper(system, &swapped, (0, pages), "rounds=4000000000")?;
    tell!("it keeps {pages} pages");
    system.ends_with(keeper, pages)
}
