// SPDX-License-Identifier: BSD-2-Clause
//! What is written stays, and nobody else sees it: through all that is done to memory, and from
//! owner to owner.

use alloc::vec::Vec;

use roottask::{check, check_eq, Manager, Outcome, Thread, ThreadOptions};
use sel4::{cap, MessageInfoBuilder, Word};
use vmm::{
    Access, Backing, Blame, Blueprint, PageFault, PageSize, Pages, Placement, RegionOptions,
    Rights, ShareOptions, ThreadMemory, TlsImage, Vmm,
};

use crate::arch::LARGE_BITS;
use crate::context::{cap_of, Context};
use crate::probe::{load, set_word, word, words};

crate::table::tests!("survival":
    contents_survive_sharing_and_the_end_of_their_owner,
    contents_survive_splitting_merging_and_moving,
    contents_survive_unmapping_what_is_around_them,
    contents_survive_the_cutting_of_a_large_page,
    contents_survive_promotion,
    a_dense_touch_brings_a_clear_large_page,
    a_clone_and_its_origin_keep_what_they_had,
    a_released_frame_is_clear_for_another_space,
    a_hundred_threads_have_memory_of_their_own,
    all_memory_as_pages_ten_times_is_the_same_each_time,
);

const PAGE: usize = 4096;
/// Below it, faults are told by their whole address on either architecture.
const LOW: usize = 0x8000_0000;
const WORD: usize = size_of::<Word>();

/// Writes to each page what tells it from all others.
fn mark(start: usize, pages: usize, salt: Word) {
    for page in 0..pages {
        words(start + page * PAGE, 1).fill(salt + page as Word);
    }
}

/// Whether pages `from..to` hold what [`mark`] wrote, every word of them.
fn is_marked(start: usize, from: usize, to: usize, salt: Word) -> bool {
    let whole =
        |page: usize| words(start + page * PAGE, 1).iter().all(|&w| w == salt + page as Word);
    (from..to).all(whole)
}

/// A7, A8.
fn contents_survive_sharing_and_the_end_of_their_owner(context: &mut Context) -> Outcome {
    let (vmm, space) = (&mut context.vmm, context.space);
    let owner = vmm.map(space, &RegionOptions::new(9))?;
    let start = owner.start().bits();
    mark(start, 9, 0x51a0);
    let view =
        vmm.share(space, Pages::at(start + 2 * PAGE).count(5), space, &ShareOptions::new())?;
    let there = view.start().bits();
    check!(is_marked(there, 0, 5, 0x51a2));
    // What is written at the one address is read at the other.
    mark(there, 5, 0x7e57);
    check!(is_marked(start + 2 * PAGE, 0, 5, 0x7e57));
    check!(is_marked(start, 0, 2, 0x51a0) && is_marked(start, 7, 9, 0x51a0));
    vmm.release(owner)?;
    check!(is_marked(there, 0, 5, 0x7e57));
    // Nobody else is given these frames while they are shared.
    let other = vmm.map(space, &RegionOptions::new(32))?;
    mark(other.start().bits(), 32, 0);
    check!(is_marked(there, 0, 5, 0x7e57));
    vmm.release(other)?;
    Ok(vmm.release(view)?)
}

/// A6, A7.
fn contents_survive_splitting_merging_and_moving(context: &mut Context) -> Outcome {
    let (vmm, space) = (&mut context.vmm, context.space);
    let lower = vmm.map(space, &RegionOptions::new(12).at(0x4000_0000 - 5 * PAGE))?;
    let start = lower.start().bits();
    mark(start, 12, 0x5b00);
    let upper = vmm.split_region(lower, 7)?;
    check!(is_marked(start, 0, 12, 0x5b00));
    vmm.merge_regions(lower, upper)?;
    check!(is_marked(start, 0, 12, 0x5b00));
    let upper = vmm.split_region(lower, 3)?;
    let moved = vmm.move_region(upper, Placement::at(0x5000_0000))?;
    check!(is_marked(start, 0, 3, 0x5b00) && is_marked(0x5000_0000, 0, 9, 0x5b03));
    check_eq!(vmm.mapping_at(space, start + 3 * PAGE)?, None);
    vmm.release(lower)?;
    check!(is_marked(0x5000_0000, 0, 9, 0x5b03));
    Ok(vmm.release(moved)?)
}

/// A6, A7.
fn contents_survive_unmapping_what_is_around_them(context: &mut Context) -> Outcome {
    let (vmm, space) = (&mut context.vmm, context.space);
    // More than one batch of frames.
    let region = vmm.map(space, &RegionOptions::new(600))?;
    let start = region.start().bits();
    mark(start, 600, 0x9000);
    for (from, pages) in [(0, 1), (599, 1), (100, 90), (250, 12), (300, 256)] {
        vmm.unmap(space, Pages::at(start + from * PAGE).count(pages))?;
    }
    // Whoever has these frames next.
    let next = vmm.map(space, &RegionOptions::new(360))?;
    mark(next.start().bits(), 360, 0);
    for (from, to) in [(1, 100), (190, 250), (262, 300), (556, 599)] {
        check!(is_marked(start, from, to, 0x9000));
    }
    vmm.release(next)?;
    Ok(vmm.release(region)?)
}

/// A7.
fn contents_survive_the_cutting_of_a_large_page(context: &mut Context) -> Outcome {
    // A machine of 16 MiB has room for one.
    let large_pages = context.blocks_at_boot(LARGE_BITS).min(2);
    check!(large_pages > 0);
    let each = (1 << LARGE_BITS) / PAGE;
    let pages = large_pages * each;
    let options = RegionOptions::new(pages)
        .aligned(LARGE_BITS)
        .page_size(PageSize::Large { bits: LARGE_BITS });
    let size = |context: &Context, at: usize| -> Outcome<_> {
        let mapping = context.vmm.mapping_at(context.space, at)?;
        Ok(mapping.map(|mapping| mapping.size_bits))
    };

    let region = context.vmm.map(context.space, &options)?;
    let start = region.start().bits();
    mark(start, pages, 0x1a_0000);
    let hole = 400;
    context.vmm.unmap(context.space, Pages::at(start + hole * PAGE).count(3))?;
    check_eq!(size(context, start + (hole - 1) * PAGE)?, Some(12));
    check_eq!(size(context, start + (hole + 1) * PAGE)?, None);
    for page in (each..pages).step_by(each) {
        check_eq!(size(context, start + page * PAGE)?, Some(LARGE_BITS));
    }
    check!(is_marked(start, 0, hole, 0x1a_0000));
    check!(is_marked(start, hole + 3, pages, 0x1a_0000));
    let gone = start + (hole + 1) * PAGE;
    check_eq!(context.spawn(load, gone)?.vm_fault()?.addr() as usize, gone);
    context.vmm.release(region)?;

    let region = context.vmm.map(context.space, &options)?;
    let start = region.start().bits();
    mark(start, pages, 0x2b_0000);
    let protected = start + (pages - 100) * PAGE;
    context.vmm.protect(context.space, Pages::at(protected), Rights::READ)?;
    for page in (0..pages - each).step_by(each) {
        check_eq!(size(context, start + page * PAGE)?, Some(LARGE_BITS));
    }
    check_eq!(size(context, start + (pages - 1) * PAGE)?, Some(12));
    check!(is_marked(start, 0, pages, 0x2b_0000));
    Ok(context.vmm.release(region)?)
}

/// A119.
fn contents_survive_promotion(context: &mut Context) -> Outcome {
    let (vmm, space) = (&mut context.vmm, context.space);
    let pages = (1 << LARGE_BITS) / PAGE;
    let region = vmm.map(space, &RegionOptions::new(pages).aligned(LARGE_BITS))?;
    let start = region.start().bits();
    mark(start, pages, 0x3c_0000);
    let promoted = vmm.promote(space, Pages::at(start).count(pages));
    check!(is_marked(start, 0, pages, 0x3c_0000));
    match promoted {
        Ok(made) => check_eq!((made, vmm.large_pages_in(region)?), (1, pages)),
        // A machine of 16 MiB has no other block of that size.
        Err(error) => check!(error.blame() == Blame::Resource && vmm.large_pages_in(region)? == 0),
    }
    // It is memory as any: written, cut, given back.
    mark(start, pages, 0x4d_0000);
    vmm.unmap(space, Pages::at(start + PAGE))?;
    check!(is_marked(start, 2, pages, 0x4d_0000) && is_marked(start, 0, 1, 0x4d_0000));
    Ok(vmm.release(region)?)
}

/// A3, A118. The faults are told by hand: our own thread's would reach nobody.
fn a_dense_touch_brings_a_clear_large_page(context: &mut Context) -> Outcome {
    let (vmm, space) = (&mut context.vmm, context.space);
    let pages = (1 << LARGE_BITS) / PAGE;
    let dense = RegionOptions::new(2 * pages).page_size(PageSize::Auto);
    let dense = dense.backed(Backing::OnDemand { around: 16 }).within(0..LOW);
    let region = vmm.reserve(space, &dense)?;
    let start = region.start().bits();
    check_eq!(start % (1 << LARGE_BITS), 0);
    let touch = |vmm: &mut Manager, page: usize| {
        let address = start + page * PAGE;
        let fault = PageFault { address, access: Access::Write, present: false, ip: 0 };
        vmm.resolve_fault(space, &fault)
    };
    for page in (0..pages).step_by(16) {
        touch(vmm, page)?;
    }
    mark(start, pages, 0x5e_0000);
    check_eq!(vmm.large_pages_in(region)?, 0);
    touch(vmm, pages + 9)?;
    let had = vmm.large_pages_in(region)?;
    // A machine of 16 MiB may have no such block left: then sixteen pages came.
    let come = if had == 0 { 16 } else { had };
    check!(come == 16 || come == pages);
    check!(words(start + pages * PAGE, come).iter().all(|&word| word == 0));
    mark(start + pages * PAGE, come, 0x6f_0000);
    check!(is_marked(start, 0, pages, 0x5e_0000));
    check!(is_marked(start + pages * PAGE, 0, come, 0x6f_0000));
    Ok(vmm.release(region)?)
}

/// A9. The clone is looked at through a view of it in our own space, which its other side cannot
/// write.
fn a_clone_and_its_origin_keep_what_they_had(context: &mut Context) -> Outcome {
    let (vmm, space) = (&mut context.vmm, context.space);
    let other = vmm.create_space()?;
    let origin = vmm.map(space, &RegionOptions::new(6))?;
    let start = origin.start().bits();
    mark(start, 6, 0xc0);
    let clone = vmm.clone_region(origin, other, Placement::anywhere())?;
    check!(is_marked(start, 0, 6, 0xc0));
    // To be shared, the clone's pages get frames of their own.
    let view =
        vmm.share(other, Pages::at(clone.start().bits()).count(6), space, &ShareOptions::new())?;
    vmm.restore_write_access(origin)?;
    mark(start, 6, 0xdead_0000);
    check!(is_marked(view.start().bits(), 0, 6, 0xc0));
    vmm.destroy_space(other)?;
    check!(is_marked(view.start().bits(), 0, 6, 0xc0) && is_marked(start, 0, 6, 0xdead_0000));
    vmm.release(view)?;
    Ok(vmm.release(origin)?)
}

/// A3.
fn a_released_frame_is_clear_for_another_space(context: &mut Context) -> Outcome {
    let (vmm, space) = (&mut context.vmm, context.space);
    let frames = |vmm: &mut roottask::Manager, space, start: usize| -> Outcome<Vec<usize>> {
        let mut found = Vec::new();
        for page in 0..16 {
            found.push(vmm.physical_address(space, start + page * PAGE)?);
        }
        Ok(found)
    };
    let other = vmm.create_space()?;
    let secret = vmm.map(space, &RegionOptions::new(17))?;
    let start = secret.start().bits();
    mark(start, 17, 0x5ec2_e700);
    let before = frames(vmm, space, start)?;
    // One stays in use, so that the others are used again as frames: for what must stay as well.
    vmm.unmap(space, Pages::at(start).count(16))?;
    let next = vmm.map(other, &RegionOptions::new(16).movable(false))?;
    let after = frames(vmm, other, next.start().bits())?;
    check!(after.iter().any(|frame| before.contains(frame)));
    let view = ShareOptions::new().rights(Rights::READ);
    let view = vmm.share(other, Pages::at(next.start().bits()).count(16), space, &view)?;
    check!(words(view.start().bits(), 16).iter().all(|&word| word == 0));
    vmm.release(view)?;
    vmm.release(secret)?;
    Ok(vmm.destroy_space(other)?)
}

const THREADS: usize = 100;
/// What the threads' storage starts with.
const INITIAL: &[u8; 8] = b"survival";
const STORAGE: usize = 64;
const WORDS: usize = 30;

/// What a thread is told, at the low end of its stack.
struct Job {
    endpoint: cap::Endpoint,
    number: Word,
    storage: usize,
}

sel4::thread_entry! {
    /// Fills its storage and its IPC buffer with its number, lets the others do so, too, and sends
    /// it.
    fn number_itself(job: usize, _: usize) -> ! {
        // SAFETY: it was written there for this thread alone.
        let Job { endpoint, number, storage } = unsafe { (job as *const Job).read() };
        // SAFETY: the thread's own storage, which nobody else touches.
        let bytes = unsafe { core::slice::from_raw_parts(storage as *const u8, STORAGE) };
        let (initial, clear) = bytes.split_at(INITIAL.len());
        let itself = word(storage + STORAGE) as usize == storage + STORAGE;
        let as_it_should = initial == INITIAL && clear.iter().all(|&byte| byte == 0) && itself;
        (0..STORAGE).step_by(WORD).for_each(|at| set_word(storage + at, number));
        sel4::with_ipc_buffer_mut(|buffer| buffer.msg_regs_mut()[..WORDS].fill(number));
        sel4::r#yield();
        let kept = (0..STORAGE).step_by(WORD).all(|at| word(storage + at) == number);
        let label = Word::from(as_it_should && kept);
        endpoint.send(MessageInfoBuilder::default().label(label).length(WORDS).build());
        loop {
            sel4::r#yield();
        }
    }
}

fn a_hundred_threads_have_memory_of_their_own(context: &mut Context) -> Outcome {
    let vmm = &mut context.vmm;
    let endpoint = vmm.allocate(Blueprint::Endpoint)?;
    let image = TlsImage { init: INITIAL, memory_bytes: STORAGE, align: 16, address: 0 };
    let options = ThreadOptions::new("one of many");
    let options = ThreadOptions { stack_pages: 2, tls: Some(image), ..options };
    let mut threads = Vec::new();
    for number in 0..THREADS {
        let thread = Thread::new(vmm, &options)?;
        start(&thread, cap_of(endpoint), number as Word)?;
        threads.push(thread);
    }
    vmm.validate()?;
    let mut heard = [false; THREADS];
    for _ in 0..THREADS {
        let (info, _) = cap_of::<sel4::cap_type::Endpoint>(endpoint).recv(());
        check_eq!((info.label(), info.length()), (1, WORDS));
        let number = sel4::with_ipc_buffer(|buffer| {
            let message = &buffer.msg_regs()[..WORDS];
            message.iter().all(|&word| word == message[0]).then_some(message[0] as usize)
        });
        let Some(number) = number.filter(|&number| number < THREADS) else {
            return Err(crate::context::unexpected(&number));
        };
        check!(!core::mem::replace(&mut heard[number], true));
    }
    for thread in threads {
        thread.release(vmm)?;
        check!(vmm.release_thread_memory(thread.memory()).is_err());
    }
    Ok(vmm.free(endpoint)?)
}

/// Tells a thread its number, and lets it run.
fn start(thread: &Thread, endpoint: cap::Endpoint, number: Word) -> Outcome {
    let ThreadMemory { stack, tls, .. } = thread.memory();
    let storage = tls.map_or(0, |tls| tls.thread_pointer()) - STORAGE;
    let job = stack.bottom();
    // SAFETY: the low end of a stack that is mapped, writable and not in use yet.
    unsafe { (job as *mut Job).write(Job { endpoint, number, storage }) };
    thread.start(number_itself, [job, 0])
}

/// All RAM as small pages, and back: ten rounds map as many and leave the same. (Two before them
/// may leave book-keeping behind, and slots that the CSpace has grown by; so they map a few pages
/// more or less.)
fn all_memory_as_pages_ten_times_is_the_same_each_time(context: &mut Context) -> Outcome {
    let mut first = None;
    for _ in 0..2 {
        fill_and_empty(context)?;
        context.vmm.trim()?;
    }
    for _ in 0..10 {
        let mapped = fill_and_empty(context)?;
        context.vmm.trim()?;
        context.vmm.validate()?;
        let stats = context.vmm.stats();
        let mut left = stats;
        // These alone grow with every call.
        (left.calls, left.allocator.cleared_bytes) = (Default::default(), 0);
        let (mapped_first, left_first) = *first.get_or_insert((mapped, left));
        check_eq!(mapped, mapped_first);
        check_eq!(left, left_first);
    }
    Ok(())
}

/// Maps small pages until there are no more, and gives them back; returns how many there were.
fn fill_and_empty(context: &mut Context) -> Outcome<usize> {
    let (vmm, space): (&mut Vmm<'static, _>, _) = (&mut context.vmm, context.space);
    let mut regions = Vec::new();
    let mut count = 0;
    for pages in [4096, 256, 16, 1] {
        while let Ok(region) = vmm.map(space, &RegionOptions::new(pages)) {
            let last = region.start().bits() + (pages - 1) * PAGE;
            check_eq!(word(last), 0);
            set_word(last, count as Word + 1);
            regions.push((region, last, count as Word + 1));
            count += pages;
        }
    }
    check!(count > vmm.stats().allocator.total_bytes / PAGE / 100 * 98);
    for (region, last, mark) in regions {
        check_eq!(word(last), mark);
        vmm.release(region)?;
    }
    Ok(count)
}
