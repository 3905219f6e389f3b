// SPDX-License-Identifier: BSD-2-Clause
//! Pages are moved while threads use them.

use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use alloc::vec::Vec;

use roottask::{check, check_eq, Outcome, ThreadOptions};
use sel4::{cap, Word};
use vmm::sel4::faults::{decode, ThreadFault};
use vmm::{
    Blueprint, CPtr, Error, Occupant, PageSize, Pages, RegionId, RegionOptions, Resolution,
    ShareOptions,
};

use crate::arch::LARGE_BITS;
use crate::context::{answer_fault, cap_of, let_children_run, unexpected, Context, DONE};
use crate::probe::words;

crate::table::tests!("compaction":
    threads_see_every_word_right_while_their_pages_move,
    a_page_in_each_mib_does_not_keep_large_pages_from_being_had,
    pages_move_out_of_memory_that_is_asked_for_by_address,
);

const PAGE: usize = 4096;

/// Pages that each thread writes.
const PAGES: usize = 64;

/// Threads that write.
const WRITERS: usize = 2;

/// Moves of these pages, at the least.
const MOVES: usize = 10_000;

static STOP: AtomicBool = AtomicBool::new(false);

/// Pages that were read and written, by each thread.
static PASSES: [AtomicUsize; WRITERS] = [const { AtomicUsize::new(0) }; WRITERS];

/// Writes a number of its own to every word of its pages, again and again, and reads first what it
/// wrote before. Returns how many words were wrong.
fn write_and_read(start: usize) -> Word {
    let number = start / PAGE / PAGES % WRITERS;
    let (mut wrong, mut round) = (0, 0);
    while !STOP.load(Relaxed) {
        for page in 0..PAGES {
            let tag = |round: Word| (round << 8) + page as Word;
            for word in words(start + page * PAGE, 1) {
                wrong += Word::from(*word != tag(round));
                *word = tag(round + 1);
            }
            PASSES[number].fetch_add(1, Relaxed);
        }
        round += 1;
    }
    wrong
}

/// The capabilities that the threads' pages are mapped by.
fn frames(context: &Context, start: usize) -> Outcome<Vec<CPtr>> {
    let mut frames = Vec::new();
    for page in 0..WRITERS * PAGES {
        let mapping = context.vmm.mapping_at(context.space, start + page * PAGE)?;
        frames.extend(mapping.map(|mapping| mapping.frame));
    }
    Ok(frames)
}

/// What a thread did.
enum Did {
    Nothing,
    /// It touched a page in the moment in which that was moved, and was answered.
    Touched,
    /// It ended, and found so many words wrong.
    Ended(Word),
}

/// Looks whether a thread did anything, and answers its fault.
fn look(context: &mut Context, endpoint: cap::Endpoint) -> Outcome<Did> {
    let (info, badge) = endpoint.nb_recv(());
    // Its faults come with its badge; the message by which it ends comes without.
    if badge == 0 {
        let done = info.label() == DONE;
        return Ok(match done {
            true => Did::Ended(sel4::with_ipc_buffer(|buffer| buffer.msg_regs()[0])),
            false => Did::Nothing,
        });
    }
    let fault = sel4::with_ipc_buffer(|buffer| decode(buffer, &info));
    let Some(ThreadFault::Page(fault)) = fault else {
        return Err(unexpected(&fault));
    };
    let handled = context.vmm.handle_fault(badge as usize, &fault)?;
    check!(matches!(handled.resolution, Resolution::Resolved(_)));
    answer_fault();
    Ok(Did::Touched)
}

/// Has the pages at `start` moved once or twice: other memory is had, most of which is given back,
/// so that there is somewhere to move them to. Returns how many of them moved.
fn move_pages(context: &mut Context, start: usize) -> Outcome<usize> {
    let (before, space) = (frames(context, start)?, context.space);
    // What is ready beside pages that stay is in use meanwhile: those that came there would stay.
    context.vmm.trim()?;
    let ready = context.vmm.stats().allocator.ready_bytes / PAGE;
    let other = context.vmm.map(space, &RegionOptions::new(ready + 512))?;
    // Of the rest one page of each 64 is kept: whatever batches they came in, these have room.
    for page in (ready..ready + 512).step_by(64) {
        context.vmm.unmap(space, Pages::at(other.start().bits() + (page + 1) * PAGE).count(63))?;
    }
    for _ in 0..4 {
        if !context.vmm.compact(12)? {
            break;
        }
    }
    context.vmm.release(other)?;
    let after = frames(context, start)?;
    check_eq!(after.len(), before.len());
    Ok(before.iter().zip(&after).filter(|(before, after)| before != after).count())
}

/// A85, A87, A91: the pages move however often others that stay are mapped and given back.
fn threads_see_every_word_right_while_their_pages_move(context: &mut Context) -> Outcome {
    let options = RegionOptions::new(WRITERS * PAGES).named("written").movable(true);
    let region = context.vmm.reserve(context.space, &options)?;
    let start = region.start().bits();
    context.vmm.populate(context.space, Pages::at(start).count(WRITERS * PAGES))?;
    let mut endpoints = Vec::new();
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let endpoint = context.vmm.allocate(Blueprint::Endpoint)?;
        // Of our own priority, so that it is let run in the midst of a move as well.
        let options = ThreadOptions { priority: 255, ..ThreadOptions::new("writer") };
        let options = options.answered_at(endpoint.slot());
        let argument = start + writer * PAGES * PAGE;
        writers.push(context.prepare_with(&options, endpoint, write_and_read, argument)?);
        endpoints.push(cap_of(endpoint));
    }
    for page in 0..WRITERS * PAGES {
        words(start + page * PAGE, 1).fill((page % PAGES) as Word);
    }
    STOP.store(false, Relaxed);
    for writer in writers {
        writer.start()?;
    }
    let (counted, mut moved, mut touches) = (context.vmm.stats().moved_pages, 0, 0);
    let outcome = (|| {
        while moved < MOVES {
            let gained = move_pages(context, start)?;
            check!(gained != 0);
            moved += gained;
            for &endpoint in &endpoints {
                touches += usize::from(matches!(look(context, endpoint)?, Did::Touched));
            }
        }
        Ok(())
    })();
    let counted = context.vmm.stats().moved_pages - counted;
    STOP.store(true, Relaxed);
    for &endpoint in &endpoints {
        let wrong = loop {
            let_children_run()?;
            match look(context, endpoint)? {
                Did::Ended(wrong) => break wrong,
                Did::Touched => touches += 1,
                Did::Nothing => {}
            }
        };
        check_eq!(wrong, 0);
    }
    outcome?;
    // Others move as well, those that are moved twice in a round are seen once.
    check!(counted as usize >= moved);
    let passes = PASSES.iter().map(|passes| passes.load(Relaxed)).min();
    sel4_root_task::debug_println!(
        "  {moved} moves seen, {counted} counted; {touches} touches in their midst; {passes:?} pages \
         written by each thread at the least"
    );
    // The threads did write all the while, and met pages that were not there.
    check!(passes > Some(PAGES) && touches > 0);
    Ok(context.vmm.release(region)?)
}

/// A85: in all of memory one page of each 256 that came together stays, in a space of its own. What
/// lies in untypeds too small for a large page was never to be had as one.
fn a_page_in_each_mib_does_not_keep_large_pages_from_being_had(context: &mut Context) -> Outcome {
    let (own, space) = (context.space, context.vmm.create_space()?);
    let mut regions: Vec<RegionId> = Vec::new();
    while let Ok(region) = context.vmm.map(space, &RegionOptions::new(256)) {
        regions.push(region);
    }
    for region in &regions {
        context.vmm.unmap(space, Pages::at(region.start().bits() + PAGE).count(255))?;
        context.vmm.write(space, region.start().bits(), &region.start().bits().to_ne_bytes())?;
    }
    let free = context.vmm.stats().allocator.free_bytes();
    let large = PageSize::Large { bits: LARGE_BITS };
    let options = RegionOptions::new((1 << LARGE_BITS) / PAGE).aligned(LARGE_BITS).page_size(large);
    let mut large = Vec::new();
    while let Ok(region) = context.vmm.map(own, &options) {
        large.push(region);
    }
    let had = large.len() << LARGE_BITS;
    sel4_root_task::debug_println!("  {had} bytes had as large pages of {free} that are free");
    let outcome = (|| {
        check!(had + context.bytes_beside_blocks(LARGE_BITS) > free / 10 * 9);
        for region in &regions {
            let (start, view) = (region.start().bits(), ShareOptions::new());
            let view = context.vmm.share(space, Pages::at(start), own, &view)?;
            check_eq!(words(view.start().bits(), 1)[0], start as Word);
            context.vmm.release(view)?;
        }
        Ok(())
    })();
    for region in large {
        context.vmm.release(region)?;
    }
    context.vmm.destroy_space(space)?;
    outcome
}

/// A94: the pages of another space that lie there come to lie elsewhere, with what is in them.
fn pages_move_out_of_memory_that_is_asked_for_by_address(context: &mut Context) -> Outcome {
    let (own, space) = (context.space, context.vmm.create_space()?);
    // Nothing else may get a frame between those of the space, so all memory becomes its.
    let mut regions: Vec<RegionId> = Vec::new();
    while let Ok(region) = context.vmm.map(space, &RegionOptions::new(256)) {
        regions.push(region);
    }
    // Where one lies is known by asking, and stays known of that region alone.
    let told = regions.swap_remove(regions.len() / 2);
    let paddr = context.vmm.physical_address(space, told.start().bits())?;
    context.vmm.release(told)?;
    regions.push(context.vmm.map(space, &RegionOptions::new(256))?);
    for region in regions.iter().rev().take(8) {
        for page in 0..256 {
            let at = region.start().bits() + page * PAGE;
            context.vmm.write(space, at, &at.to_ne_bytes())?;
        }
    }
    let free = regions.len() / 2;
    for region in regions.drain(..free) {
        context.vmm.release(region)?;
    }
    let before = context.vmm.stats().moved_pages;
    let had = context.vmm.map_physical(own, paddr, &RegionOptions::new(16))?;
    let moved = context.vmm.stats().moved_pages - before;
    sel4_root_task::debug_println!("  {moved} pages moved for 16 at {paddr:#x}");
    check!(moved != 0);
    check_eq!(context.vmm.physical_address(own, had.start().bits())?, paddr);
    words(had.start().bits(), 16).fill(Word::MAX);
    for region in regions.iter().rev().take(8) {
        let mut word = [0; core::mem::size_of::<usize>()];
        for page in 0..256 {
            let at = region.start().bits() + page * PAGE;
            context.vmm.read(space, at, &mut word)?;
            check_eq!(usize::from_ne_bytes(word), at);
        }
    }
    // What lies there now was told the address of, and stays: it is named.
    let refused = context.vmm.map_physical(own, paddr, &RegionOptions::new(1));
    let by = Occupant::Region { region: had, paddr };
    check_eq!(refused, Err(Error::PhysicalInUse { paddr, by }));
    context.vmm.release(had)?;
    Ok(context.vmm.destroy_space(space)?)
}
