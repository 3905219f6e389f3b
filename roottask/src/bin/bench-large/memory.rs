// SPDX-License-Identifier: BSD-2-Clause
//! What the manager's records take, in bytes, and how much of a stack `hello` needs: a table
//! of its own, `bench.sh --memory`.
//!
//! Bytes are those of nodes that are used; nodes come from pools of whole pages.

use roottask::{Manager, Outcome, Thread, ThreadOptions};
use sel4_root_task::debug_println;
use vmm::sel4::{start_with, BootPool, StartOptions};
use vmm::{Access, Blueprint, PageFault, Pages, Placement, RegionOptions, Result};

use roottask::measure::{cost, Cost, Row};

/// Pages, regions and TCBs of a row.
const TIMES: usize = 1024;
/// Spaces and threads of a row.
const FEW: usize = 64;
const PAGE: usize = 4096;

/// The numbers below a count that 17 does not divide, each once, in no order.
fn shuffled<const COUNT: usize>(turn: usize) -> usize {
    turn * 289 % COUNT
}

/// All of it, in a boot of its own.
pub fn run(bootinfo: &sel4::BootInfoPtr, pool: &'static BootPool) -> Outcome {
    let mut started = None;
    let used = stack_of(|| started = Some(hello(bootinfo, pool)));
    let Some(Ok(mut vmm)) = started else { sel4_root_task::abort!("hello does not start") };
    let bytes = used as isize;
    print("stack_of_hello", "program", 1, &Cost { instructions: 0, calls: 0, page_maps: 0, bytes });
    let bytes = vmm.bookkeeping_bytes_used() as isize;
    print("manager", "program", 1, &Cost { instructions: 0, calls: 0, page_maps: 0, bytes });
    pages(&mut vmm)?;
    shared(&mut vmm)?;
    objects(&mut vmm)?;
    Ok(vmm.validate()?)
}

fn print(name: &str, unit: &str, count: usize, spent: &Cost) {
    Row::new(name, unit, count).print(spent, None, Some(count));
}

/// What `roottask/src/bin/hello.rs` does.
fn hello(bootinfo: &sel4::BootInfoPtr, pool: &'static BootPool) -> Result<Manager> {
    let mut vmm = start_with(bootinfo, pool, &StartOptions::new().clear_when_needed())?;
    let space = vmm.own_space();
    let heap = vmm.map(space, &RegionOptions::new(16).named("heap").guarded(1, 1))?;
    let first_word = vmm.pages_of(heap)?.start().bits() as *mut u32;
    // SAFETY: the region's first page after its guard is mapped, and nobody else has it.
    let found = unsafe { first_word.replace(42) };
    debug_println!("found {found} at {first_word:p}, left 42 there");
    vmm.release(heap)?;
    Ok(vmm)
}

/// Bytes of the stack that something uses, on the first thread's, of which as many are free as are
/// looked at.
#[inline(never)]
fn stack_of(run: impl FnOnce()) -> usize {
    const LOOKED_AT: usize = 128 << 10;
    /// Below this function's frame, which may go on below what it holds here.
    const OWN: usize = 1024;
    const PAINT: usize = 0x5ca1_ab1e;
    const WORD: usize = size_of::<usize>();
    let here = 0usize;
    let top = (&raw const here as usize - OWN) & !(WORD - 1);
    let words = || (top - LOOKED_AT..top).step_by(WORD).map(|at| at as *mut usize);
    for word in words() {
        // SAFETY: the first thread's stack has 256 KiB, and nothing of it is in use so far below.
        unsafe { word.write_volatile(PAINT) };
    }
    run();
    // SAFETY: as above; what was called there has returned.
    let deepest = words().find(|&word| unsafe { word.read_volatile() } != PAINT);
    deepest.map_or(0, |word| top + OWN - word as usize)
}

/// Pages of one program.
fn pages(vmm: &mut Manager) -> Result {
    const BULK: usize = 8192;
    let space = vmm.create_space()?;
    let (region, spent) = cost(vmm, |vmm| vmm.map(space, &RegionOptions::new(BULK)))?;
    print("page_in_bulk", "page", BULK, &spent);
    vmm.release(region)?;
    let scattered = vmm.reserve(space, &RegionOptions::new(2 * TIMES))?.start().bits();
    let (_, spent) = cost(vmm, |vmm| {
        let page = |turn| Pages::at(scattered + 2 * shuffled::<TIMES>(turn) * PAGE);
        (0..TIMES).try_for_each(|turn| vmm.populate(space, page(turn)))
    })?;
    print("page_scattered", "page", TIMES, &spent);
    vmm.destroy_space(space)
}

/// Pages that two programs have.
fn shared(vmm: &mut Manager) -> Result {
    let (from, into) = (vmm.create_space()?, vmm.create_space()?);
    let options = RegionOptions::new(TIMES);
    let origin = vmm.map(from, &options)?;
    let start = origin.start().bits();
    let place = vmm.reserve(into, &options)?;
    let all = Pages::at(start).count(TIMES);
    let (_, spent) = cost(vmm, |vmm| vmm.share_into(from, all, place, 0))?;
    print("page_shared_in_bulk", "page", TIMES, &spent);
    vmm.release(place)?;
    let place = vmm.reserve(into, &options)?;
    let (_, spent) = cost(vmm, |vmm| {
        (0..TIMES)
            .map(shuffled::<TIMES>)
            .try_for_each(|page| vmm.share_into(from, Pages::at(start + page * PAGE), place, page))
    })?;
    print("page_shared_singly", "page", TIMES, &spent);
    vmm.release(place)?;

    let (clone, cloned) = cost(vmm, |vmm| vmm.clone_region(origin, into, Placement::anywhere()))?;
    print("page_copy_on_write", "page", TIMES, &cloned);
    let start = clone.start().bits();
    let (_, written) = cost(vmm, |vmm| {
        (0..TIMES / 2).map(shuffled::<{ TIMES / 2 }>).try_for_each(|page| {
            let address = start + 2 * page * PAGE;
            let fault = PageFault { address, access: Access::Write, present: true, ip: 0 };
            vmm.resolve_fault(into, &fault).map(|_| ())
        })
    })?;
    // Of pages of which every second one was written to, in no order.
    print("page_copied_on_write", "page", TIMES, &(cloned + written));
    vmm.destroy_space(into)?;
    vmm.destroy_space(from)
}

/// Regions, spaces, threads.
fn objects(vmm: &mut Manager) -> Result {
    let space = vmm.create_space()?;
    let one = RegionOptions::new(1).guarded(1, 1);
    let (_, spent) =
        cost(vmm, |vmm| (0..TIMES).try_for_each(|_| vmm.reserve(space, &one).map(|_| ())))?;
    print("region", "region", TIMES, &spent);
    vmm.destroy_space(space)?;

    let mut spaces = [vmm.own_space(); FEW];
    let (_, spent) = cost(vmm, |vmm| {
        spaces.iter_mut().try_for_each(|space| {
            *space = vmm.create_space()?;
            Ok(())
        })
    })?;
    print("space", "space", FEW, &spent);
    spaces.into_iter().try_for_each(|space| vmm.destroy_space(space))?;

    let (_, spent) =
        cost(vmm, |vmm| (0..TIMES).try_for_each(|_| vmm.allocate(Blueprint::Tcb).map(|_| ())))?;
    print("tcb", "tcb", TIMES, &spent);
    let endpoint = vmm.allocate(Blueprint::Endpoint)?.slot();
    let options = ThreadOptions::new("thread").answered_at(endpoint);
    // With four pages of stack, an IPC buffer and its guards; its faults are answered.
    let (_, spent) =
        cost(vmm, |vmm| (0..FEW).try_for_each(|_| Thread::new(vmm, &options).map(|_| ())))?;
    print("thread", "thread", FEW, &spent);
    Ok(())
}
