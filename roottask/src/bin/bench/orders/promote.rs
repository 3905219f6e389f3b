// SPDX-License-Identifier: BSD-2-Clause
//! Large pages that are made of small ones in the background, up to 64 pages at a step.

use roottask::arch::LARGE_BITS;
use roottask::measure::{cost, Row, Samples};
use roottask::Manager;
use sel4::{CapRights, FrameObjectType};
use vmm::{Backing, PageSize, Pages, RegionOptions, Result};

use super::steps::PAGE;
use crate::floor::{Floor, BATCH};

/// Small pages of a large one.
const PAGES: usize = 1 << (LARGE_BITS - 12);
/// Pages of one step.
const STEP: usize = 64;

/// One large page, step by step. By hand: each page is unmapped, mapped at one place to be copied
/// from, and unmapped there; then the page table goes, and the large page is mapped in its place.
pub fn run(vmm: &mut Manager) -> Result {
    let space = vmm.create_space()?;
    let lazy = RegionOptions::new(PAGES).backed(Backing::OnDemand { around: 1 });
    let region = vmm.reserve(space, &lazy.page_size(PageSize::Auto))?;
    for page in 0..PAGES {
        vmm.populate(space, Pages::at(region.start().bits() + page * PAGE))?;
    }
    let mut samples = Samples::new();
    let (_, spent) = cost(vmm, |vmm| {
        while samples.take(|| vmm.promote_further(STEP))? {}
        Ok(())
    })?;
    assert_eq!(vmm.large_pages_in(region)?, PAGES, "it is to be large");

    let other = vmm.create_space()?;
    let small = Floor::within(vmm, other, PAGES, FrameObjectType::_4k)?;
    small.make_tables(PAGES);
    for page in 0..PAGES {
        if page % BATCH == 0 {
            small.make_frames(page / BATCH, BATCH);
        }
        small.map(page);
    }
    let (view, large) = (
        Floor::new(vmm, 1, FrameObjectType::_4k)?,
        Floor::new(vmm, 1, FrameObjectType::LargePage)?,
    );
    view.make_tables(1);
    let mut raw = Samples::new();
    raw.take(|| {
        large.make_frames(0, 1);
        large.map(0);
    });
    for step in 0..PAGES / STEP {
        raw.take(|| {
            for page in step * STEP..(step + 1) * STEP {
                small.unmap(page);
                view.map_capability(small.frame(page), 0, CapRights::read_only());
                view.copy_to(0, large.address(0) + page * PAGE);
                small.unmap(page);
            }
        });
    }
    raw.take(|| {
        large.unmap(0);
        small.unmap_table(0);
        small.map_capability(large.frame(0), 0, CapRights::read_write());
    });
    let row = Row::new("promote_further", "page", PAGES);
    row.print_single(&spent, &mut samples, Some(&mut raw), None);
    vmm.destroy_space(space)
}
