// SPDX-License-Identifier: BSD-2-Clause
//! Memory to the last page, and back. While there is none left, others go on: what frees must
//! succeed, and what needs memory be refused whole.

use alloc::vec::Vec;

use roottask::{check, Outcome};
use vmm::{RegionId, RegionOptions};

use super::{churn, clients, cow, objects, share, spaces, stacks, storm, threads};
use crate::engine::contents::{check_page, stamp_page};
use crate::engine::Stress;
use crate::measure::Kind;
use crate::model::{MAX_REGIONS, PAGE};

/// The most pieces: as many as the warm-up has made book-keeping for.
const MAX_PIECES: usize = MAX_REGIONS;
/// What may be left when a single page is refused: objects of other kinds that wait for the next
/// request of theirs, a last page table.
const REST_BYTES: usize = 1 << 19;

/// Pages in our own space, the first and last of which are stamped.
pub(super) struct Piece {
    pub id: RegionId,
    pub pages: usize,
    stamp: u32,
}

/// Maps until a single page is refused, and gives everything back in a random order.
pub fn run(stress: &mut Stress) -> Outcome {
    let mut pieces = Vec::new();
    fill(stress, &mut pieces)?;
    stress.vmm.validate()?;
    for others in [churn::run, share::run, cow::run, spaces::run, threads::run, objects::run] {
        others(stress)?;
    }
    // With so much free that some of what they do goes well.
    for _ in 0..stress.random.below(4).min(pieces.len()) {
        release(stress, &mut pieces)?;
    }
    for others in [storm::run, stacks::run, clients::run] {
        others(stress)?;
    }
    stress.vmm.validate()?;
    while !pieces.is_empty() {
        release(stress, &mut pieces)?;
    }
    Ok(())
}

/// Gives any of the pieces back.
fn release(stress: &mut Stress, pieces: &mut Vec<Piece>) -> Outcome {
    let index = stress.random.below(pieces.len());
    let piece = pieces.swap_remove(index);
    piece.check()?;
    stress.must(Kind::Release, |vmm| vmm.release(piece.id))
}

/// Maps pieces until a single page is refused.
pub(super) fn fill(stress: &mut Stress, pieces: &mut Vec<Piece>) -> Outcome {
    let free = stress.vmm.stats().free_bytes() / PAGE;
    // Small pieces on small machines; big ones where filling would take too long.
    let mut most = (free / stress.random.within(16, 256)).max(1);
    let mut coarse = false;
    loop {
        if !coarse && pieces.len() + 64 > MAX_PIECES {
            // The last ones take what is left, so that the last page is reached all the same.
            most = (stress.vmm.stats().free_bytes() / PAGE / 4).max(1);
            coarse = true;
        }
        let pages = if coarse { most } else { stress.random.size(most) };
        match map(stress, pages)? {
            Some(piece) => pieces.push(piece),
            None if pages > 1 => most = pages / 2,
            None => {
                check!(stress.vmm.stats().allocator.free_bytes() < REST_BYTES);
                break;
            }
        }
    }
    Ok(())
}

fn map(stress: &mut Stress, pages: usize) -> Outcome<Option<Piece>> {
    let (own, stamp) = (stress.expected.own(), stress.random.stamp());
    let options = RegionOptions::new(pages).named("piece").movable(true);
    let made = stress.attempt(Kind::Map, |vmm| vmm.map(own, &options))?;
    let Some(id) = made else { return Ok(None) };
    let piece = Piece { id, pages, stamp };
    for address in ends(&piece) {
        check_page(address, 0)?;
    }
    for address in ends(&piece) {
        stamp_page(address, stamp);
    }
    Ok(Some(piece))
}

fn ends(piece: &Piece) -> [usize; 2] {
    let start = piece.id.start().bits();
    [start, start + (piece.pages - 1) * PAGE]
}

impl Piece {
    /// Whether its ends hold what was written there.
    pub fn check(&self) -> Outcome {
        for address in ends(self) {
            check_page(address, self.stamp)?;
        }
        Ok(())
    }
}
