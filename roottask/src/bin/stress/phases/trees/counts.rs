// SPDX-License-Identifier: BSD-2-Clause
//! What is served, and what was counted of it: the first programs, what the server tells of them
//! and those that they start, and what they say themselves.

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed};

use sel4_root_task::{debug_print, debug_println};
use vmm::Blame;
use vmm_service::objects::protocol::{Amounts, Line};
use vmm_service::server::{End, Notice};

/// The priority of the first program; those that it starts have lower ones.
pub const PRIORITY: u8 = 60;
/// How many there are of them.
pub const PRIORITIES: u8 = 14;
/// What begins a program's line that says what it has done, and how many numbers follow.
const COUNTS: &str = "counts ";
const NUMBERS: usize = 6;
/// Whether a page could not be had that a program touched.
static SHORT: AtomicBool = AtomicBool::new(false);
/// Since the run has begun: ends by exit, by a fault, by others; faults that suspended one or ended
/// it.
static ENDED: [AtomicU32; 3] = [const { AtomicU32::new(0) }; 3];
static FAULTS: AtomicU32 = AtomicU32::new(0);

/// A first program, and what its lines count.
pub struct Tree {
    pub name: &'static str,
    pub file: &'static [u8],
    pub amounts: Amounts,
    pub counted: [&'static str; NUMBERS],
    pub counts: [AtomicU32; NUMBERS],
}

/// Starts programs of its own kind.
pub static STARTER: Tree = Tree {
    name: "starter",
    file: include_bytes!(concat!(env!("VMM_CLIENTS"), "/starter")),
    amounts: Amounts([2600, 2000, 8000, 330, 110, 1150, 2500, 0]),
    counted: ["started", "ended", "looked at", "clones", "revoked", "threads"],
    counts: [const { AtomicU32::new(0) }; 6],
};

/// Has pagers, and readers of their pages.
pub static SUPPLIER: Tree = Tree {
    name: "supplier",
    file: include_bytes!(concat!(env!("VMM_CLIENTS"), "/supplier")),
    amounts: Amounts([1100, 1100, 4600, 140, 50, 420, 1000, 0]),
    counted: ["started", "ended", "supplied", "taken back", "written", "refused"],
    counts: [const { AtomicU32::new(0) }; 6],
};

/// All of them, and which is served now, by its place and one more: 0 for none.
static TREES: [&Tree; 2] = [&STARTER, &SUPPLIER];
static SERVED: AtomicUsize = AtomicUsize::new(0);

/// From now on what the server tells is of this one.
pub fn begin(tree: &Tree) {
    SHORT.store(false, Relaxed);
    let place = TREES.iter().position(|other| other.name == tree.name);
    SERVED.store(place.map_or(0, |place| place + 1), Relaxed);
}

/// It is of none of them any more.
pub fn end() {
    SERVED.store(0, Relaxed);
}

/// Whether a page could not be had that a program touched, since the last one has begun.
pub fn was_short() -> bool {
    SHORT.load(Relaxed)
}

/// Counts what the server tells while it serves one of these, and prints what a program says: what
/// is not as it must be. Returns whether it was told of one.
pub fn tell(notice: &Notice<'_>) -> bool {
    let served = SERVED.load(Relaxed).checked_sub(1);
    let Some(tree) = served.and_then(|place| TREES.get(place)) else { return false };
    match notice {
        Notice::Said { line, .. } if line.chars().take(COUNTS.len()).eq(COUNTS.chars()) => {
            count(tree, line);
        }
        Notice::Said { .. } => debug_print!("stress: {notice}"),
        Notice::Ended { end, .. } => {
            let place = match end {
                End::Exited(_) => 0,
                End::Fault => 1,
                _ => 2,
            };
            ENDED[place].fetch_add(1, Relaxed);
        }
        Notice::Fault(fault) => {
            FAULTS.fetch_add(1, Relaxed);
            if fault.error.is_some_and(|it| it.blame() == Blame::Resource) {
                SHORT.store(true, Relaxed);
            }
        }
        _ => {}
    }
    true
}

/// Adds the numbers of a program's line.
fn count(tree: &Tree, line: &Line) {
    let (mut place, mut number) = (0, 0u32);
    for letter in line.chars().skip(COUNTS.len()).chain([' ']) {
        match letter.to_digit(10) {
            Some(digit) => number = number.wrapping_mul(10).wrapping_add(digit),
            None => {
                if let Some(count) = tree.counts.get(place) {
                    count.fetch_add(number, Relaxed);
                }
                (place, number) = (place + 1, 0);
            }
        }
    }
}

/// Takes nothing as counted: of the warm-up.
pub fn clear_counts() {
    let all = TREES.iter().flat_map(|tree| &tree.counts).chain(&ENDED).chain([&FAULTS]);
    all.for_each(|count| count.store(0, Relaxed));
}

/// Prints what was counted.
pub fn print_counts() {
    let [exited, faulted, ended] = [0, 1, 2].map(|nth: usize| ENDED[nth].load(Relaxed));
    if exited + faulted + ended == 0 {
        return;
    }
    debug_println!(
        "stress: of trees of programs: {exited} programs have ended themselves, {faulted} for a \
         fault, {ended} first ones with all others; {} faults",
        FAULTS.load(Relaxed)
    );
    for tree in TREES {
        debug_print!("stress: {}, where it came to its end:", tree.name);
        for (count, name) in tree.counts.iter().zip(tree.counted) {
            debug_print!(" {} {name}", count.load(Relaxed));
        }
        debug_println!("");
    }
}
