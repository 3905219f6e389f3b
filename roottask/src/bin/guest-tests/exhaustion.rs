// SPDX-License-Identifier: BSD-2-Clause
//! All memory used, and given back.

use alloc::vec::Vec;

use roottask::{check, check_eq, Outcome};
use sel4::cap_type::{CNode, Notification};
use sel4::{CapRights, Word};
use sel4_root_task::debug_println;
use vmm::AllocatorError::OutOfSlots;
use vmm::{Blame, Blueprint, Error, RegionOptions};

use crate::context::{place, Context};
use crate::probe::{set_word, word};

crate::table::tests!("exhaustion":
    more_memory_than_there_is_is_refused_whole,
    all_memory_is_used_and_given_back,
    all_memory_as_objects_is_used_and_given_back,
    all_slots_are_used_and_given_back,
    a_million_slots_are_used_and_given_back,
);

/// What may be left where all memory is used, of `total` bytes: book-keeping, which grows with it.
fn little(total: usize) -> usize {
    (total / 1000).max(1 << 20)
}

fn more_memory_than_there_is_is_refused_whole(context: &mut Context) -> Outcome {
    let pages = context.vmm.stats().allocator.total_bytes / 4096 + 1;
    let mapped_pages = |context: &Context| -> Outcome<usize> {
        let (space, stats) = (context.vmm.space_stats(context.space)?, context.vmm.stats());
        Ok(space.mapped_pages - stats.bookkeeping_pages)
    };
    let before = mapped_pages(context)?;
    let mapped = context.vmm.map(context.space, &RegionOptions::new(pages));
    check!(mapped.is_err_and(|error| error.blame() == Blame::Resource));
    context.vmm.validate()?;
    check_eq!(mapped_pages(context)?, before);
    Ok(())
}

fn all_memory_is_used_and_given_back(context: &mut Context) -> Outcome {
    let total = context.vmm.stats().free_bytes();
    let mut regions = Vec::new();
    let mut used = 0;
    for pages in [1024, 64, 1] {
        loop {
            let mapped = context.vmm.map(context.space, &RegionOptions::new(pages));
            let region = match mapped {
                Ok(region) => region,
                Err(error) => {
                    check_eq!(error.blame(), Blame::Resource);
                    break;
                }
            };
            let last = region.start().bits() + pages * 4096 - size_of::<Word>();
            check_eq!(word(last), 0);
            set_word(last, region.start().bits() as Word);
            regions.push((region, last));
            used += pages * 4096;
        }
        context.vmm.validate()?;
    }
    // What is left went into page tables, some of which are held back, and book-keeping: more than a
    // hundredth of the 8 MiB that are free in a machine of 16.
    check!(used > total / 1000 * 985);
    check!(context.vmm.stats().free_bytes() < little(total));
    for &(region, last) in &regions {
        check_eq!(word(last), region.start().bits() as Word);
    }
    for (region, _) in regions {
        context.vmm.release(region)?;
    }
    context.vmm.validate()?;
    Ok(())
}

fn all_memory_as_objects_is_used_and_given_back(context: &mut Context) -> Outcome {
    let mut objects = Vec::new();
    let mut used = 0;
    for size_bits in (14..=27).rev() {
        loop {
            match context.vmm.allocate(Blueprint::Untyped { size_bits }) {
                Ok(object) => objects.push(object),
                Err(error) => {
                    check_eq!(error.blame(), Blame::Resource);
                    break;
                }
            }
            used += 1 << size_bits;
        }
    }
    let stats = context.vmm.stats().allocator;
    for object in objects {
        context.vmm.free(object)?;
    }
    // What is left is too small, or book-keeping; a page of that among frames that were used and
    // freed keeps these frames frames.
    check!(stats.largest_free_bytes < 1 << 14);
    let left = stats.ready_bytes + stats.untyped_bytes + stats.bookkeeping_bytes;
    check!(left < little(stats.total_bytes) && used + left > stats.total_bytes / 100 * 99);
    Ok(())
}

fn all_slots_are_used_and_given_back(context: &mut Context) -> Outcome {
    let mut runs = Vec::new();
    // The initial CNode has 65536 slots; the CSpace grows beyond it, which a program that does not
    // want that leaves alone: so stop before, or, where the last free slots are not consecutive,
    // when it has grown by a CNode.
    let mut free = context.vmm.stats().allocator.free_slots;
    while free > 512 {
        runs.push(context.vmm.alloc_slots(256)?);
        let before = core::mem::replace(&mut free, context.vmm.stats().allocator.free_slots);
        if free > before {
            break;
        }
    }
    check!(runs.len() > 200);
    for first in runs {
        context.vmm.free_slots(first, 256)?;
    }
    Ok(())
}

/// A373. More than a root of 256 CNodes has room for; on IA32 as many as it has, which is above what
/// such a kernel can have memory for.
fn a_million_slots_are_used_and_given_back(context: &mut Context) -> Outcome {
    const RUN: usize = 256;
    const MAX_RUNS: usize = 4400;
    const BADGE: Word = 5;
    let vmm = &mut context.vmm;
    let memory = vmm.stats().allocator;
    // A slot has 16 bytes or 32, and a record of each run is in the heap.
    let runs_wanted = (memory.obtainable_slots / RUN - 1).min(MAX_RUNS);
    if memory.free_bytes() < 5 * runs_wanted * RUN * size_of::<Word>() {
        debug_println!("  too little memory for so many slots");
        return Ok(());
    }
    check!(runs_wanted * RUN > 1_000_000);
    let notification = vmm.allocate(Blueprint::Notification)?;
    let mut runs = Vec::with_capacity(runs_wanted);
    while runs.len() < runs_wanted {
        runs.push(vmm.alloc_slots(RUN)?);
    }
    let Some(&last) = runs.iter().max() else { return Ok(()) };
    let path = vmm.allocator().path(last);
    let far = path.root.cap::<CNode>();
    let far = far.absolute_cptr_from_bits_with_depth(path.index as Word, path.depth.into());
    far.mint(&place(notification.slot().into()), CapRights::all(), BADGE)?;
    last.cap::<Notification>().signal();
    check_eq!(notification.slot().cap::<Notification>().poll().1, BADGE);
    far.delete()?;
    // What is said to be obtainable is that at the least, and not much less than all.
    let more = runs_wanted + 8;
    let mut all = runs_wanted == MAX_RUNS;
    while !all {
        match vmm.alloc_slots(RUN) {
            Ok(first) => runs.push(first),
            Err(Error::Allocator(OutOfSlots { .. })) => all = true,
            Err(error) => return Err(error.into()),
        }
        check!(runs.len() < more);
    }
    vmm.validate()?;
    for first in runs {
        vmm.free_slots(first, RUN)?;
    }
    vmm.free(notification)?;
    vmm.trim()?;
    check!(vmm.stats().allocator.obtainable_slots >= runs_wanted * RUN);
    vmm.validate()?;
    Ok(())
}
