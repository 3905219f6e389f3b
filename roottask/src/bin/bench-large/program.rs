// SPDX-License-Identifier: BSD-2-Clause
//! A program with 64 MiB, as another system would have it: its memory mapped, touched, protected,
//! given back, and cloned for a second program, which writes to a hundredth of it.
//!
//! The program is a thread of a space of its own. What `qemu-scripts/linux/init.c` does on Linux is
//! the same in the same order, in rows of the same names. Where pages are touched, a row counts all
//! that passes until the last one is: the walk, faults, messages, the manager.

use roottask::arch::LARGE_BITS;
use roottask::Manager;
use vmm::{
    Backing, Blueprint, Object, PageSize, Pages, RegionId, RegionOptions, Result, Rights, SpaceId,
    PAGE_BYTES,
};

use super::walker::{space_with_program, Walk, Walker, Watch, SPARSE};
use roottask::measure::{cost, now, Cost, Row, Samples};

/// Pages of the rows of 64 MiB.
const PAGES: usize = 16384;
/// How often operations on single pages are done.
const TIMES: usize = 1000;
/// Pages for one fault, in memory that is mapped when it is touched.
const AROUND: u8 = 16;

/// All rows. First what maps memory that was cleared before, by programs that keep it.
pub fn run(vmm: &mut Manager) -> Result {
    calibrate();
    let pages = RegionOptions::new(PAGES).aligned(LARGE_BITS);
    let on_demand = pages.backed(Backing::OnDemand { around: AROUND });
    let mut touching = Program::new(vmm)?;
    touching.touch(vmm, "touch_64m", &on_demand)?;
    let mut dense = Program::new(vmm)?;
    dense.touch(vmm, "touch_64m_large", &on_demand.page_size(PageSize::Auto))?;

    let mut large = Program::new(vmm)?;
    let region = large.map_large(vmm, &pages)?;
    large.protect(vmm, ["protect_64m_large", "protect_64m_large_read"], region)?;
    let rows = ["fork_64m_large", "fork_64m_large_write", "fork_64m_large_read"];
    large.fork(vmm, rows, region)?;

    let mut small = Program::new(vmm)?;
    let (region, spent) = cost(vmm, |vmm| vmm.map(small.space, &on_demand))?;
    per_page("populate_64m", &spent);
    per_mib("mib_small", &spent);
    small.protect(vmm, ["protect_64m_at_once", "protect_64m_at_once_read"], region)?;
    small.protect_on_demand(vmm, ["protect_64m", "protect_64m_read"], region)?;
    let breaks = small.fork(vmm, ["fork_64m", "fork_64m_write", "fork_64m_read"], region)?;
    Row::new("cow_break_64m", "fault", FEW).print(&breaks, None, None);
    let (_, spent) = cost(vmm, |vmm| vmm.release(region))?;
    per_page("release_64m", &spent);

    // Where there is no other memory than what was used.
    let held = hoard(vmm)?;
    for (name, size) in [("mib_small_used", PageSize::Small), ("mib_large_used", PageSize::Auto)] {
        let (region, spent) = cost(vmm, |vmm| vmm.map(small.space, &pages.page_size(size)))?;
        per_mib(name, &spent);
        vmm.release(region)?;
    }
    let region = small.touch(vmm, "touch_64m_used", &on_demand)?;
    held.into_iter().flatten().try_for_each(|object| vmm.free(object))?;
    vmm.release(region)?;
    small.single_pages(vmm)?;

    // The same where each frame is in the direct map.
    vmm.make_direct_map()?;
    let held = hoard(vmm)?;
    let region = vmm.map(small.space, &pages)?;
    vmm.release(region)?;
    let region = small.touch(vmm, "touch_64m_used_direct", &on_demand)?;
    vmm.release(region)?;
    held.into_iter().flatten().try_for_each(|object| vmm.free(object))
}

/// Takes all untyped memory in blocks of 64 KiB and more, so that what was used must be used
/// again.
fn hoard(vmm: &mut Manager) -> Result<[Option<Object>; 64]> {
    let mut objects = [None; 64];
    let mut places = objects.iter_mut();
    for size_bits in (16..=28).rev() {
        while vmm.stats().allocator.largest_free_bytes >= 1 << size_bits {
            let Some(place) = places.next() else { return Ok(objects) };
            *place = Some(vmm.allocate(Blueprint::Untyped { size_bits })?);
        }
    }
    Ok(objects)
}

/// Pages of 64 MiB that are one of [`SPARSE`].
const FEW: usize = PAGES.div_ceil(SPARSE);

/// A loop of two instructions a turn: it shows that a tick is an instruction.
fn calibrate() {
    const TURNS: usize = 1_000_000;
    let start = now();
    // SAFETY: a register is counted down, and nothing else changes.
    unsafe {
        core::arch::asm!("2: dec {0:e}", "jnz 2b", inout(reg) TURNS => _, options(nomem, nostack));
    }
    let spent = Cost { instructions: now() - start, calls: 0, page_maps: 0, bytes: 0 };
    Row::new("loop_of_2", "turn", TURNS).print(&spent, None, None);
}

fn per_page(name: &str, spent: &Cost) {
    Row::new(name, "page", PAGES).print(spent, None, None);
}

fn per_mib(name: &str, spent: &Cost) {
    Row::new(name, "MiB", (PAGES * PAGE_BYTES) >> 20).print(spent, None, None);
}

/// The first, and what answers its faults and those of the second.
struct Program {
    watch: Watch,
    space: SpaceId,
    /// Where its instructions are.
    code: usize,
}

impl Program {
    fn new(vmm: &mut Manager) -> Result<Program> {
        let (space, code) = space_with_program(vmm)?;
        Ok(Program { watch: Watch::new(vmm)?, space, code })
    }

    /// Goes over pages of the region, in a thread that is there for this alone. What that cost.
    fn walk(&mut self, vmm: &mut Manager, walk: Walk, region: RegionId) -> Result<Cost> {
        let walker = Walker::new(vmm, &self.watch, self.space, self.code)?;
        let spent = self.walk_in(vmm, &walker, walk, region.start().bits())?;
        walker.release(vmm)?;
        Ok(spent)
    }

    fn walk_in(
        &mut self,
        vmm: &mut Manager,
        walker: &Walker,
        walk: Walk,
        start: usize,
    ) -> Result<Cost> {
        let count = if matches!(walk, Walk::WriteFew) { FEW } else { PAGES };
        let (_, spent) = cost(vmm, |vmm| {
            self.watch.walk(vmm, walker, walk, start, count);
            Ok(())
        })?;
        Ok(spent)
    }

    /// The first touch of each page, one after the other.
    fn touch(
        &mut self,
        vmm: &mut Manager,
        name: &str,
        options: &RegionOptions,
    ) -> Result<RegionId> {
        let region = vmm.reserve(self.space, options)?;
        per_page(name, &self.walk(vmm, Walk::Write, region)?);
        Ok(region)
    }

    /// Large pages that are mapped by a request.
    fn map_large(&mut self, vmm: &mut Manager, options: &RegionOptions) -> Result<RegionId> {
        let options = options.page_size(PageSize::Large { bits: LARGE_BITS });
        let (region, mapped) = cost(vmm, |vmm| vmm.map(self.space, &options))?;
        per_mib("mib_large", &mapped);
        Ok(region)
    }

    /// All pages are made read-only, and then also read.
    fn protect(
        &mut self,
        vmm: &mut Manager,
        [alone, with_touch]: [&str; 2],
        region: RegionId,
    ) -> Result {
        let pages = Pages::at(region.start().bits()).count(PAGES);
        let (_, spent) = cost(vmm, |vmm| vmm.protect(self.space, pages, Rights::READ))?;
        per_page(alone, &spent);
        let touched = self.walk(vmm, Walk::Read, region)?;
        per_page(with_touch, &(spent + touched));
        vmm.protect(self.space, pages, Rights::READ | Rights::WRITE)
    }

    /// The same, by taking page tables.
    fn protect_on_demand(
        &mut self,
        vmm: &mut Manager,
        [alone, with_touch]: [&str; 2],
        region: RegionId,
    ) -> Result {
        let pages = Pages::at(region.start().bits()).count(PAGES);
        let (_, spent) = cost(vmm, |vmm| vmm.protect_on_demand(self.space, pages, Rights::READ))?;
        per_page(alone, &spent);
        let touched = self.walk(vmm, Walk::Read, region)?;
        per_page(with_touch, &(spent + touched));
        vmm.protect(self.space, pages, Rights::READ | Rights::WRITE)
    }

    /// The space is cloned, and a thread made in the clone; then that writes to few pages; then it
    /// reads all. A row for the first, for the first two, for all three. Returns what the writes
    /// cost.
    fn fork(
        &mut self,
        vmm: &mut Manager,
        [alone, with_writes, with_touch]: [&str; 3],
        region: RegionId,
    ) -> Result<Cost> {
        let start = region.start().bits();
        let ((clone, walker), cloned) = cost(vmm, |vmm| {
            let clone = vmm.clone_space_on_demand(self.space)?;
            Ok((clone, Walker::new(vmm, &self.watch, clone, self.code)?))
        })?;
        per_page(alone, &cloned);
        let written = self.walk_in(vmm, &walker, Walk::WriteFew, start)?;
        per_page(with_writes, &(cloned + written));
        let read = self.walk_in(vmm, &walker, Walk::Read, start)?;
        per_page(with_touch, &(cloned + written + read));
        walker.release(vmm)?;
        vmm.destroy_space(clone)?;
        vmm.restore_write_access(region)?;
        Ok(written)
    }

    /// A region of one page: without memory, and with.
    fn single_pages(&self, vmm: &mut Manager) -> Result {
        let (space, options) = (self.space, RegionOptions::new(1));
        let (mut pair, mut mapping, mut ending) = (Samples::new(), Samples::new(), Samples::new());
        let (_, spent) = cost(vmm, |vmm| {
            (0..TIMES).try_for_each(|_| {
                pair.take(|| {
                    let region = vmm.reserve(space, &options)?;
                    vmm.release(region)
                })
            })
        })?;
        Row::new("region_pair", "pair", TIMES).print_single(&spent, &mut pair, None, None);
        let (_, spent) = cost(vmm, |vmm| {
            (0..TIMES).try_for_each(|_| {
                let region = mapping.take(|| vmm.map(space, &options))?;
                ending.take(|| vmm.release(region))
            })
        })?;
        Row::new("region_of_1", "call", TIMES).print_single(&spent, &mut mapping, None, None);
        Row::new("release_of_1", "call", TIMES).print_single(&spent, &mut ending, None, None);
        Ok(())
    }
}
