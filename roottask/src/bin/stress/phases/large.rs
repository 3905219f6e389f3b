// SPDX-License-Identifier: BSD-2-Clause
//! Large pages: they appear where memory allows, and fall back to small ones where they are cut.

use alloc::vec::Vec;
use roottask::arch::LARGE_BITS;

use roottask::{check, Outcome};
use vmm::{PageSize, Pages, RegionId, RegionOptions, Rights};

use crate::engine::contents::{check_page, stamp_page};
use crate::engine::Stress;
use crate::measure::Kind;
use crate::model::PAGE;

/// Pages of the smallest size in a large one.
const SMALL: usize = 1 << (LARGE_BITS - 12);

/// A region in our own space, and the stamps of some of its pages.
struct Big {
    id: RegionId,
    pages: usize,
    stamps: Vec<(usize, u32)>,
}

/// A few regions of large pages, cut in all ways.
pub fn run(stress: &mut Stress) -> Outcome {
    let mut bigs = Vec::new();
    for _ in 0..stress.random.within(1, 4) {
        bigs.extend(make(stress)?);
    }
    for _ in 0..stress.random.within(2, 8) {
        if bigs.is_empty() || stress.is_over() {
            break;
        }
        let index = stress.random.below(bigs.len());
        cut(stress, &mut bigs[index])?;
        check_stamps(&bigs[index])?;
    }
    while let Some(big) = bigs.pop() {
        check_stamps(&big)?;
        stress.must(Kind::Release, |vmm| vmm.release(big.id))?;
    }
    Ok(())
}

fn make(stress: &mut Stress) -> Outcome<Option<Big>> {
    let own = stress.expected.own();
    let large = stress.random.once_in(2);
    let (pages, size) = match large {
        true => (SMALL * stress.random.within(1, 2), PageSize::Large { bits: LARGE_BITS }),
        false => (SMALL + stress.random.below(SMALL), PageSize::Auto),
    };
    let options = RegionOptions::new(pages).named("big").aligned(LARGE_BITS).page_size(size);
    let made = stress.attempt(Kind::MapLarge, |vmm| vmm.map(own, &options))?;
    let Some(id) = made else { return Ok(None) };
    check!(!large || stress.vmm.large_pages_in(id)? == pages);
    let mut stamps = Vec::new();
    for _ in 0..16 {
        let (page, stamp) = (stress.random.below(pages), stress.random.stamp());
        if stamps.iter().all(|&(other, _)| other != page) {
            check_page(id.start().bits() + page * PAGE, 0)?;
            stamp_page(id.start().bits() + page * PAGE, stamp);
            stamps.push((page, stamp));
        }
    }
    Ok(Some(Big { id, pages, stamps }))
}

/// Unmaps or protects a part; a large page that is cut falls back to small ones.
fn cut(stress: &mut Stress, big: &mut Big) -> Outcome {
    let own = stress.expected.own();
    let (first, start) = (stress.random.below(big.pages), big.id.start().bits());
    let count = stress.random.size((big.pages - first).min(64));
    let part = first..first + count;
    let address = start + first * PAGE;
    let all_mapped = {
        let vmm = &stress.vmm;
        let mapped = |page| vmm.mapping_at(own, start + page * PAGE).ok().flatten().is_some();
        part.clone().all(mapped)
    };
    if !all_mapped {
        return stress.refused(
            Kind::Unmap,
            |error| matches!(error, vmm::Error::NotMapped { .. }),
            |vmm| vmm.unmap(own, Pages::at(address).count(count)),
        );
    }
    if stress.random.once_in(2) {
        stress.attempt(Kind::Protect, |vmm| {
            vmm.protect(own, Pages::at(address).count(count), Rights::READ)
        })?;
        return Ok(());
    }
    let done =
        stress.attempt(Kind::Unmap, |vmm| vmm.unmap(own, Pages::at(address).count(count)))?;
    if done.is_some() {
        big.stamps.retain(|(page, _)| !part.contains(page));
    }
    Ok(())
}

fn check_stamps(big: &Big) -> Outcome {
    for &(page, stamp) in &big.stamps {
        check_page(big.id.start().bits() + page * PAGE, stamp)?;
    }
    Ok(())
}
