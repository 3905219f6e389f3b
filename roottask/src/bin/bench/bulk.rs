// SPDX-License-Identifier: BSD-2-Clause
//! Many pages in one call.

use roottask::arch::LARGE_BITS;
use sel4::FrameObjectType;
use vmm::{Blueprint, Object, PageSize, RegionId, RegionOptions, Result, Rights};

use super::floor::{Floor, BATCH};
use roottask::measure::{cost, now, Cost, Row};
use roottask::Manager;

/// Pages of the rows in bulk: 32 MiB.
const PAGES: usize = 8192;

/// 1024 fresh frames: how few kernel calls that takes, beside mapping each.
pub fn alloc_1024_frames(vmm: &mut Manager) -> Result {
    const FRAMES: usize = 1024;
    // Below one page table, as the floor's are, wherever the image ends.
    let span = FrameObjectType::LargePage.bits() as u8;
    let (own, options) = (vmm.own_space(), RegionOptions::new(FRAMES).aligned(span));
    let (_, mut cost) = cost(vmm, |vmm| vmm.map(own, &options))?;
    let floor = Floor::new(vmm, FRAMES, FrameObjectType::_4k)?;
    let raw = instructions(|| map_all(&floor, FRAMES));
    // The maps of pages are not counted: there is one for each, whoever makes the frames.
    cost.calls -= cost.page_maps;
    Row::new("alloc_1024_frames", "1024 pages", 1).print(&cost, Some(raw), Some(FRAMES));
    Ok(())
}

/// Makes and maps all of a floor's pages.
pub fn map_all(floor: &Floor, pages: usize) {
    floor.make_tables(pages);
    for batch in 0..pages / BATCH {
        floor.make_frames(batch, BATCH);
        for page in batch * BATCH..(batch + 1) * BATCH {
            floor.map(page);
        }
    }
}

/// Pages in one region of the manager's, and as many on the floor.
pub struct Pages {
    region: RegionId,
    floor: Floor,
}

fn row(name: &str, cost: &Cost, floor: u64, pages: Option<usize>) {
    Row::new(name, "page", PAGES).print(cost, Some(floor), pages);
}

/// Fresh pages, mapped.
pub fn fresh(vmm: &mut Manager) -> Result<Pages> {
    let (own, options) = (vmm.own_space(), RegionOptions::new(PAGES));
    let floor = Floor::new(vmm, PAGES, FrameObjectType::_4k)?;
    let (region, mapped) = cost(vmm, |vmm| vmm.map(own, &options))?;
    let raw = instructions(|| map_all(&floor, PAGES));
    row("map_bulk_4k", &mapped, raw, Some(PAGES));
    Ok(Pages { region, floor })
}

/// Pages of another space, protected.
pub fn protect(vmm: &mut Manager) -> Result {
    let space = vmm.create_space()?;
    let floor = Floor::within(vmm, space, PAGES, FrameObjectType::_4k)?;
    map_all(&floor, PAGES);
    let start = vmm.map(space, &RegionOptions::new(PAGES))?.start().bits();
    let (_, protected) =
        cost(vmm, |vmm| vmm.protect(space, vmm::Pages::at(start).count(PAGES), Rights::READ))?;
    let raw = instructions(|| (0..PAGES).for_each(|page| floor.protect(page)));
    row("protect_bulk_4k", &protected, raw, None);
    Ok(())
}

/// The same pages unmapped and given back; then mapped again, being memory that was used.
pub fn used(vmm: &mut Manager, Pages { region, floor }: Pages) -> Result {
    /// Where the floor clears its pages: the place of the last, which is mapped last. A client that
    /// runs must not see a page before it is clear, so that is not done at the page's own place.
    const WINDOW: usize = PAGES - 1;

    let (own, options) = (vmm.own_space(), RegionOptions::new(PAGES));
    let (_, freed) = cost(vmm, |vmm| vmm.release(region))?;
    let raw = instructions(|| (0..PAGES).for_each(|page| floor.unmap(page)));
    row("unmap_free_bulk_4k", &freed, raw, None);

    let hoard = hoard(vmm)?;
    let (region, recycled) = cost(vmm, |vmm| vmm.map(own, &options))?;
    let raw = instructions(|| {
        for page in 0..PAGES {
            floor.map_to(page, WINDOW);
            floor.zero(WINDOW);
            floor.unmap(page);
            floor.map(page);
        }
    });
    row("map_recycled_4k", &recycled, raw, Some(PAGES));
    hoard.into_iter().flatten().try_for_each(|object| vmm.free(object))?;
    vmm.release(region)
}

/// Takes all untyped memory in blocks of 64 KiB and more, so that what was used must be used again.
pub fn hoard(vmm: &mut Manager) -> Result<[Option<Object>; 64]> {
    let mut objects = [None; 64];
    let mut places = objects.iter_mut();
    for size_bits in (16..=27).rev() {
        let bytes = 1 << size_bits;
        while vmm.stats().allocator.largest_free_bytes >= bytes {
            let Some(place) = places.next() else { return Ok(objects) };
            *place = Some(vmm.allocate(Blueprint::Untyped { size_bits })?);
        }
    }
    Ok(objects)
}

/// Eight pages of 4 MiB in one call.
pub fn map_large(vmm: &mut Manager) -> Result {
    const LARGE_PAGES: usize = 8;
    let own = vmm.own_space();
    let options = RegionOptions::new(LARGE_PAGES << (LARGE_BITS - 12))
        .aligned(LARGE_BITS)
        .page_size(PageSize::Large { bits: LARGE_BITS });
    let (region, large) = cost(vmm, |vmm| vmm.map(own, &options))?;
    let floor = Floor::new(vmm, LARGE_PAGES, FrameObjectType::LargePage)?;
    let large_floor = instructions(|| {
        floor.make_frames(0, LARGE_PAGES);
        (0..LARGE_PAGES).for_each(|page| floor.map(page));
    });
    let row = Row::new("map_large_4m", "4M page", LARGE_PAGES);
    row.print(&large, Some(large_floor), Some(LARGE_PAGES));
    vmm.release(region)
}

/// The instructions of something.
pub fn instructions(raw: impl FnOnce()) -> u64 {
    let start = now();
    raw();
    now() - start
}
