// SPDX-License-Identifier: BSD-2-Clause
//! Memory right after boot, page by page: what a request waits for because memory is cleared.
//!
//! Each row wants a boot of its own, since a boot's memory is dirty once:
//!
//! ```text
//!   cold            a request has cleared what it needs     cold_map_1m cold_single clear_page
//!   cold-cleared    memory is cleared at the start          cold_single_cleared
//!   cold-paced      a second of idle time before, twice     cold_single_paced…
//! ```

use sel4::FrameObjectType;
use vmm::sel4::pacer::{Pacer, PacerOptions, PacerParts};
use vmm::sel4::{start, start_with, BootPool, StartOptions};
use vmm::{Error, Job, Pages, RegionId, RegionOptions, Result, PAGE_BYTES};

use roottask::{Failure, Manager, Outcome};

use super::bulk;
use super::floor::Floor;
use roottask::measure::{cost, Cost, Longest, Row};

static POOL: BootPool = BootPool::new();
static PARTS: PacerParts = PacerParts::new();

/// Pages of the rows: 100 MiB.
const PAGES: usize = 25_600;

/// Pages of the floor, which wants a power of two.
const FLOOR_PAGES: usize = 8192;

/// Pages of 1 MiB.
const MIB: usize = (1 << 20) / PAGE_BYTES;

/// Microseconds of idle time.
const IDLE_US: u64 = 1_000_000;

/// Maps [`PAGES`] pages, each by a request.
fn page_by_page(vmm: &mut Manager) -> Result<(RegionId, Cost, Longest)> {
    let own = vmm.own_space();
    let region = vmm.reserve(own, &RegionOptions::new(PAGES))?;
    let (start, mut longest) = (region.start().bits(), Longest::new());
    let (_, cost) = cost(vmm, |vmm| {
        (0..PAGES).try_for_each(|page| {
            longest.take(|| vmm.populate(own, Pages::at(start + page * PAGE_BYTES)))
        })
    })?;
    Ok((region, cost, longest))
}

/// The bytes of the largest untyped of RAM that somebody must begin who wants `bytes` bytes, if he
/// begins with the smallest.
fn largest_of_the_smallest(bootinfo: &sel4::BootInfoPtr, bytes: usize) -> usize {
    let sizes = || {
        let ram = bootinfo.untyped_list().iter().filter(|desc| !desc.is_device());
        ram.map(|desc| 1usize << desc.size_bits())
    };
    let up_to = |most: usize| -> usize { sizes().filter(|&size| size <= most).sum() };
    let fitting = sizes().filter(|&size| up_to(size) >= bytes).min();
    fitting.unwrap_or(usize::MAX)
}

/// Rows of memory that is cleared when it is needed.
pub fn needed(bootinfo: &sel4::BootInfoPtr) -> Outcome {
    let vmm = &mut start_with(bootinfo, &POOL, &StartOptions::new().clear_when_needed())?;
    let own = vmm.own_space();
    let (_, mib) = cost(vmm, |vmm| vmm.map(own, &RegionOptions::new(MIB)))?;
    Row::new("cold_map_1m", "MiB", 1).print(&mib, None, None);

    let (_, pages, longest) = page_by_page(vmm)?;
    let (bytes, clear) = cost(vmm, |vmm| vmm.clear(1 << 24))?;
    let cleared = bytes / PAGE_BYTES;
    Row::new("clear_page", "page", cleared).print(&clear, None, None);

    let floor = Floor::new(vmm, FLOOR_PAGES, FrameObjectType::_4k)?;
    let raw = bulk::instructions(|| bulk::map_all(&floor, FLOOR_PAGES));
    let clearing = |pages: usize| clear.instructions * pages as u64 / cleared as u64;
    let floor = raw * PAGES as u64 / FLOOR_PAGES as u64 + clearing(PAGES);
    let largest = largest_of_the_smallest(bootinfo, (PAGES + MIB) * PAGE_BYTES);
    let worst = clearing(largest / PAGE_BYTES);
    Row::new("cold_single", "page", PAGES).print_longest(&pages, &longest, Some((floor, worst)));
    Ok(vmm.validate()?)
}

/// The row of memory that was cleared at the start.
pub fn cleared(bootinfo: &sel4::BootInfoPtr) -> Outcome {
    let options = StartOptions::new().clear_at_boot((PAGES + MIB) * PAGE_BYTES);
    let vmm = &mut start_with(bootinfo, &POOL, &options)?;
    let (_, pages, longest) = page_by_page(vmm)?;
    Row::new("cold_single_cleared", "page", PAGES).print_longest(&pages, &longest, None);
    Ok(vmm.validate()?)
}

/// The rows of memory that was made ready when there was nothing else to do.
pub fn paced(bootinfo: &sel4::BootInfoPtr) -> Outcome {
    let vmm = &mut start(bootinfo, &POOL)?;
    idle(vmm)?;
    let (region, pages, longest) = page_by_page(vmm)?;
    Row::new("cold_single_paced", "page", PAGES).print_longest(&pages, &longest, None);
    write_to(region, PAGES);
    vmm.release(region)?;
    stir(vmm)?;
    idle(vmm)?;
    let (_, pages, longest) = page_by_page(vmm)?;
    Row::new("cold_single_paced_again", "page", PAGES).print_longest(&pages, &longest, None);
    Ok(vmm.validate()?)
}

/// Idle time, in which jobs are done; what is to be cleared is cleared beside others.
fn idle(vmm: &mut Manager) -> Outcome {
    let mut pacer = Pacer::start(vmm, &PARTS, PacerOptions::new())?;
    let clock = pacer.clock(vmm)?;
    let (begun, ticks) = (clock.ticks(), clock.ticks_for(IDLE_US)?);
    while clock.ticks() - begun < ticks {
        match vmm.next_job() {
            None => break,
            Some(Job::Clear { bytes }) => drop(pacer.clear(vmm, bytes)?),
            Some(job) => drop(vmm.run_job(job)?),
        }
    }
    clock.release(vmm)?;
    Ok(pacer.stop(vmm)?)
}

/// Maps and releases regions of all sizes, some of which stay a while, and writes to all.
fn stir(vmm: &mut Manager) -> Outcome {
    const KEPT: usize = 64;
    let (own, mut kept, mut random) = (vmm.own_space(), [None; KEPT], 1u32);
    for _ in 0..2000 {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (place, count) = (random as usize >> 8 & (KEPT - 1), 1 + (random as usize >> 16 & 255));
        if let Some(region) = kept[place].take() {
            vmm.release(region)?;
        }
        match vmm.map(own, &RegionOptions::new(count)) {
            Ok(region) => {
                write_to(region, count);
                kept[place] = Some(region);
            }
            // As much as may be cleared was; this is the stress that it stands for.
            Err(Error::Allocator(_)) => {}
            Err(error) => return Err(Failure::Manager(error)),
        }
    }
    Ok(kept.into_iter().flatten().try_for_each(|region| vmm.release(region))?)
}

fn write_to(region: RegionId, pages: usize) {
    for page in 0..pages {
        let word = (region.start().bits() + page * PAGE_BYTES) as *mut usize;
        // SAFETY: all of the region is mapped, and nobody else has it.
        unsafe { word.write_volatile(page) }
    }
}
