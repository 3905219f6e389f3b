// SPDX-License-Identifier: BSD-2-Clause
//! Large pages: they appear where memory allows, and fall back to small ones where they are cut;
//! and small ones become large in the background, while they are used.

use alloc::vec::Vec;
use roottask::arch::LARGE_BITS;

use roottask::{check, Outcome};
use vmm::{
    Access, Backing, PageFault, PageSize, Pages, RegionId, RegionOptions, Rights, ShareOptions,
};

use crate::engine::contents::{check_page, stamp_page, stamped_pages};
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
    match stress.random.once_in(2) {
        true => dense(stress),
        false => Ok(()),
    }
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

/// Memory on demand of another space, all of which is there: it becomes large in the background,
/// and is touched and written meanwhile.
fn dense(stress: &mut Stress) -> Outcome {
    let Some(space) = stress.other_space() else { return Ok(()) };
    let options = RegionOptions::new(SMALL).named("dense").page_size(PageSize::Auto);
    let options = options.backed(Backing::OnDemand { around: 16 });
    let made = stress.attempt(Kind::Reserve, |vmm| vmm.reserve(space, &options))?;
    let Some(id) = made else { return Ok(()) };
    let at = |page: usize| id.start().bits() + page * PAGE;
    let mut dense = Big { id, pages: SMALL, stamps: Vec::new() };
    for page in (0..SMALL).step_by(64) {
        let pages = Pages::at(at(page)).count(64);
        if stress.attempt(Kind::Populate, |vmm| vmm.populate(space, pages))?.is_none() {
            return stress.must(Kind::Release, |vmm| vmm.release(id));
        }
    }
    for _ in 0..stress.random.within(16, 64) {
        let (page, stamp) = (stress.random.below(SMALL), stress.random.stamp());
        match stress.random.below(4) {
            0 => {
                let access = if stress.random.once_in(2) { Access::Write } else { Access::Read };
                let fault = PageFault { address: at(page), access, present: false, ip: 0 };
                stress.attempt(Kind::Fault, |vmm| vmm.resolve_fault(space, &fault))?;
            }
            1 if stress.vmm.large_pages_in(id)? == 0 => {
                let bytes = stamped_pages(&[stamp]);
                let wrote =
                    stress.attempt(Kind::Write, |vmm| vmm.write(space, at(page), &bytes))?;
                if wrote.is_some() {
                    dense.stamps.retain(|&(other, _)| other != page);
                    dense.stamps.push((page, stamp));
                }
            }
            _ => {
                stress.attempt(Kind::Promote, |vmm| vmm.promote_further(64))?;
            }
        }
    }
    check_shared(stress, &dense)?;
    stress.must(Kind::Release, |vmm| vmm.release(id))?;
    // What its large frame was for is gone.
    while stress.vmm.promotion_is_under_way() {
        stress.attempt(Kind::Promote, |vmm| vmm.promote_further(64))?;
    }
    Ok(())
}

/// Looks for the stamps by sharing all of it, and each page without one is clear.
fn check_shared(stress: &mut Stress, dense: &Big) -> Outcome {
    let (own, all) = (stress.expected.own(), Pages::at(dense.id.start().bits()).count(dense.pages));
    let options = ShareOptions::new().named("look").aligned(LARGE_BITS).rights(Rights::READ);
    let space = dense.id.space();
    let shared = stress.attempt(Kind::Share, |vmm| vmm.share(space, all, own, &options))?;
    let Some(shared) = shared else { return Ok(()) };
    for page in 0..dense.pages {
        let stamp = dense.stamps.iter().find(|&&(other, _)| other == page);
        let stamp = stamp.map_or(0, |&(_, stamp)| stamp);
        check_page(shared.start().bits() + page * PAGE, stamp)?;
    }
    stress.must(Kind::Release, |vmm| vmm.release(shared))
}
