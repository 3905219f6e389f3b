// SPDX-License-Identifier: BSD-2-Clause
//! Pages that are moved, on purpose and for want of memory.
//!
//! `run` leaves a few pages of each region and has the others' memory made one piece. `used_up`
//! does so with all memory there is: what is free then is pages that are ready, and no untyped,
//! until others ask for something else.

use alloc::vec::Vec;

use roottask::{check, Outcome};
use vmm::{Pages, RegionId, RegionOptions};

use super::fill::{fill, Piece};
use super::{churn, cow, objects, share, spaces, threads};
use crate::engine::contents::{check_page, stamp_page};
use crate::engine::Stress;
use crate::measure::Kind;
use crate::model::PAGE;

/// A region in our own space, and the stamps of the pages that are left in it.
struct Sparse {
    id: RegionId,
    stamps: Vec<(usize, u32)>,
}

/// Regions of which a few pages stay, and blocks of all sizes.
pub fn run(stress: &mut Stress) -> Outcome {
    let mut regions = Vec::new();
    for _ in 0..stress.random.within(2, 24) {
        regions.extend(make(stress)?);
    }
    for _ in 0..stress.random.within(1, 12) {
        let bits = stress.random.within(10, 22) as u8;
        // Nothing may be to be gained, and nodes may be short.
        stress.attempt(Kind::Compact, |vmm| vmm.compact(bits))?;
        for region in &regions {
            check_stamps(region)?;
        }
    }
    while !regions.is_empty() {
        let region = regions.swap_remove(stress.random.below(regions.len()));
        check_stamps(&region)?;
        stress.must(Kind::Release, |vmm| vmm.release(region.id))?;
    }
    Ok(())
}

/// Maps a region, stamps some of its pages and unmaps the others.
fn make(stress: &mut Stress) -> Outcome<Option<Sparse>> {
    let (own, pages) = (stress.expected.own(), stress.random.within(1, 512));
    let options = RegionOptions::new(pages).named("sparse").movable(true);
    let Some(id) = stress.attempt(Kind::Map, |vmm| vmm.map(own, &options))? else {
        return Ok(None);
    };
    let (start, most) = (id.start().bits(), stress.random.within(1, 32));
    let (mut stamps, mut next) = (Vec::new(), 0);
    while next < pages {
        let page = (next + stress.random.below(most)).min(pages - 1);
        let stamp = stress.random.stamp();
        stamp_page(start + page * PAGE, stamp);
        stamps.push((page, stamp));
        if next < page {
            let from = start + next * PAGE;
            stress.must(Kind::Unmap, |vmm| vmm.unmap(own, Pages::at(from).count(page - next)))?;
        }
        next = page + 1;
    }
    Ok(Some(Sparse { id, stamps }))
}

fn check_stamps(region: &Sparse) -> Outcome {
    for &(page, stamp) in &region.stamps {
        check_page(region.id.start().bits() + page * PAGE, stamp)?;
    }
    Ok(())
}

/// All untypeds become pages, of which all but the ends of each piece are given back. Others then
/// get what they want, as far as pages move for it.
pub fn used_up(stress: &mut Stress) -> Outcome {
    let (own, mut pieces) = (stress.expected.own(), Vec::new());
    fill(stress, &mut pieces)?;
    for piece in pieces.iter().filter(|piece: &&Piece| piece.pages > 2) {
        let (from, pages) = (piece.id.start().bits() + PAGE, piece.pages - 2);
        stress.must(Kind::Unmap, |vmm| vmm.unmap(own, Pages::at(from).count(pages)))?;
    }
    let moved = stress.vmm.stats().moved_pages;
    let others = [churn::run, objects::run, threads::run, spaces::run, share::run, cow::run];
    for _ in 0..4 {
        let other = others[stress.random.below(others.len())];
        other(stress)?;
        for piece in &pieces {
            piece.check()?;
        }
    }
    check!(stress.vmm.stats().moved_pages >= moved);
    stress.vmm.validate()?;
    while !pieces.is_empty() {
        let piece = pieces.swap_remove(stress.random.below(pieces.len()));
        piece.check()?;
        stress.must(Kind::Release, |vmm| vmm.release(piece.id))?;
    }
    Ok(())
}
