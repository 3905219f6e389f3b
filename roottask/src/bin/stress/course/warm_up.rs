// SPDX-License-Identifier: BSD-2-Clause
//! What happens before the start is taken: the manager's own pages come to their largest number.
//!
//! Book-keeping grows by pages that are never given back (they serve again), and the CSpace by a
//! root that stays. Neither is a leak, and both must be part of the start, or they would look like
//! one. So the warm-up has at one time more of everything than the phases ever have.

use alloc::vec::Vec;
use core::mem::MaybeUninit;

use roottask::arch::LARGE_BITS;
use roottask::Outcome;
use vmm::{Blueprint, CPtr, Objects, Pages, Placement, RegionId, RegionOptions, ShareOptions};

use crate::engine::Stress;
use crate::host::service;
use crate::measure::Kind;
use crate::model::{MAX_REGIONS, PAGE};
use crate::phases::{all_slots, stretch_programs, PHASES};

/// More regions that are shared than there ever are.
const SHARED: usize = 1024;
/// More pages, each a run of its own, that are copied together than there ever are.
const SCATTERED: usize = 2048;
/// More page tables in use than there ever are.
const TABLES: usize = 256;
/// More objects of their own than there ever are.
const OBJECTS: usize = 4096;
/// How many frames a batch has at least while memory is plenty: there are as many batches at the
/// most as this goes into memory, and those of [`OBJECTS`].
const BATCH: usize = 16;
/// More spaces than there ever are.
const SPACES: usize = 32;
/// More threads whose faults are answered than there ever are.
const THREADS: usize = 64;

/// Does each phase once, whatever was asked for, then has much of everything; gives it all back.
pub fn run(stress: &mut Stress) -> Outcome {
    // First of all the service, which other phases need while there is memory.
    service::stretch(stress)?;
    stretch_programs(stress)?;
    for phase in &PHASES {
        stress.set_phase(phase.name);
        (phase.run)(stress)?;
    }
    stress.drain()?;
    stress.set_phase("warm-up");
    stretch_slots(stress)?;
    stretch(stress)
}

/// The CSpace grows by a root of its own, which stays once somebody was told of it. A phase that
/// begins threads while all slots are taken is, and whether one does is chance.
fn stretch_slots(stress: &mut Stress) -> Outcome {
    let runs = all_slots::take(stress)?;
    let _told = stress.vmm.cspace_root();
    all_slots::give_back(stress, runs)
}

fn stretch(stress: &mut Stress) -> Outcome {
    let own = stress.expected.own();
    let (mut regions, mut spaces, mut objects) = (Vec::new(), Vec::new(), Vec::new());
    let page = RegionOptions::new(1).named("warm-up");
    for number in 0..MAX_REGIONS {
        let options = match number < TABLES {
            true => page.aligned(LARGE_BITS),
            false => page,
        };
        regions.extend(stress.attempt(Kind::Map, |vmm| vmm.map(own, &options))?);
    }
    for number in 0..SHARED.min(regions.len()) {
        // From all over memory, so that hardly two are counted together.
        let start = regions[number * 7 % regions.len()].start().bits();
        let share = |vmm: &mut roottask::Manager| {
            vmm.share(own, Pages::at(start), own, &ShareOptions::new().named("warm-up"))
        };
        regions.extend(stress.attempt(Kind::Share, share)?);
    }
    regions.extend(stretch_copies(stress)?.into_iter().flatten());
    for _ in 0..SPACES {
        spaces.extend(stress.attempt(Kind::CreateSpace, |vmm| vmm.create_space())?);
    }
    stretch_threads(stress)?;
    stretch_batches(stress)?;
    for number in 0..OBJECTS {
        let blueprint = Blueprint::Untyped { size_bits: 4 + (number % 9) as u8 };
        objects.extend(stress.attempt(Kind::Allocate, |vmm| vmm.allocate(blueprint))?);
    }
    for object in objects {
        stress.must(Kind::Free, |vmm| vmm.free(object))?;
    }
    for space in spaces {
        stress.must(Kind::DestroySpace, |vmm| vmm.destroy_space(space))?;
    }
    for region in regions {
        stress.must(Kind::Release, |vmm| vmm.release(region))?;
    }
    Ok(())
}

/// Frames that are mapped in falling order make a run each, and a clone of them copies run by run:
/// at once, by the records of single copies; on demand, by those of runs.
fn stretch_copies(stress: &mut Stress) -> Outcome<[Option<RegionId>; 2]> {
    let own = stress.expected.own();
    let options = RegionOptions::new(SCATTERED).named("warm-up");
    let region = stress.must(Kind::Reserve, |vmm| vmm.reserve(own, &options))?;
    for page in (0..SCATTERED).rev() {
        let address = region.start().bits() + page * PAGE;
        stress.attempt(Kind::Populate, |vmm| vmm.populate(own, Pages::at(address)))?;
    }
    if let Some(other) = stress.attempt(Kind::CreateSpace, |vmm| vmm.create_space())? {
        let anywhere = Placement::anywhere();
        let clone =
            |vmm: &mut roottask::Manager| vmm.clone_region_on_demand(region, other, anywhere);
        stress.attempt(Kind::CloneRegion, clone)?;
        stress.must(Kind::DestroySpace, |vmm| vmm.destroy_space(other))?;
    }
    let clone = |vmm: &mut roottask::Manager| vmm.clone_region(region, own, Placement::anywhere());
    Ok([Some(region), stress.attempt(Kind::CloneRegion, clone)?])
}

/// Batches of one object of a page: untypeds are split as small as batches of frames ever want
/// them. Their list is in pages of its own: for 2 GiB it is as large as the heap.
fn stretch_batches(stress: &mut Stress) -> Outcome {
    let most = stress.vmm.stats().free_bytes() / PAGE / BATCH + OBJECTS / 2;
    let own = stress.expected.own();
    // Without memory for the list there is none for more than a few batches, either.
    let pages = (most * size_of::<Objects>()).div_ceil(PAGE);
    let list = RegionOptions::new(pages).named("warm-up");
    let Some(list) = stress.attempt(Kind::Map, |vmm| vmm.map(own, &list))? else { return Ok(()) };
    // SAFETY: the region is mapped, and nobody else has it until it is released below.
    let batches = unsafe {
        core::slice::from_raw_parts_mut(list.start().bits() as *mut MaybeUninit<Objects>, most)
    };
    let mut count = 0;
    for place in batches.iter_mut() {
        let blueprint = Blueprint::Untyped { size_bits: 12 };
        let batch = stress.attempt(Kind::Allocate, |vmm| vmm.allocate_many(blueprint, 1))?;
        let Some(batch) = batch else { break };
        place.write(batch);
        count += 1;
    }
    for place in batches.iter().take(count) {
        // SAFETY: written above, and read once.
        let batch = unsafe { place.assume_init_read() };
        stress.must(Kind::Free, |vmm| vmm.free_many(batch))?;
    }
    stress.must(Kind::Release, |vmm| vmm.release(list))
}

/// What is kept of threads does not ask whether there is one.
fn stretch_threads(stress: &mut Stress) -> Outcome {
    let own = stress.expected.own();
    let endpoint = stress.must(Kind::Allocate, |vmm| vmm.allocate(Blueprint::Endpoint))?;
    let mut threads = Vec::new();
    for _ in 0..THREADS {
        threads.extend(stress.attempt(Kind::Register, |vmm| {
            vmm.register_thread(own, CPtr::NULL, endpoint.slot(), "warm-up")
        })?);
    }
    for thread in threads {
        stress.must(Kind::Unregister, |vmm| vmm.unregister_thread(thread))?;
    }
    stress.must(Kind::Free, |vmm| vmm.free(endpoint))
}
