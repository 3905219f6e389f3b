// SPDX-License-Identifier: BSD-2-Clause
//! The manager's memory: mapped, protected, unmapped, used again.

use alloc::vec::Vec;

use roottask::{check, check_eq, Outcome};
use sel4::Word;
use vmm::{Invocation, PageSize, Pages, RegionOptions, Rights};

use crate::arch::{LARGE_BITS, LARGE_PAGES, USER_END};
use crate::context::Context;
use crate::probe::{load, set_word, store, word, words, PAGE_WORDS, STORED};

crate::table::tests!("memory":
    mapped_memory_is_clear_and_writable,
    what_the_manager_says_is_where_the_kernel_maps,
    contents_survive_protecting,
    a_protected_page_faults_on_writing,
    a_page_of_our_own_is_protected_in_place,
    a_page_without_rights_faults_on_reading,
    guard_pages_fault,
    a_stack_overflow_hits_the_guard,
    a_recycled_frame_comes_back_clear,
    thousand_cycles_leave_everything_as_it_was,
    mapping_crosses_a_page_table_boundary,
    an_unmapped_page_faults_and_its_neighbours_do_not,
    populating_fills_a_hole,
    decommitted_pages_fault_and_come_back_clear,
    pages_come_with_their_contents,
    what_is_told_to_be_executable_can_be_run,
    a_region_goes_where_it_is_asked_to,
    a_reservation_keeps_others_out,
    a_large_page_is_mapped_and_given_back,
    bulk_mapping_takes_few_kernel_calls,
    objects_are_allocated_and_freed_in_any_order,
    memory_in_use_is_left_alone_by_trimming,
);

fn mapped_memory_is_clear_and_writable(context: &mut Context) -> Outcome {
    let region = context.vmm.map(context.space, &RegionOptions::new(33))?;
    let memory = words(region.start().bits(), 33);
    check!(memory.iter().all(|&word| word == 0));
    memory.iter_mut().enumerate().for_each(|(index, word)| *word = index as Word);
    check!(memory.iter().enumerate().all(|(index, &word)| word == index as Word));
    Ok(context.vmm.release(region)?)
}

fn what_the_manager_says_is_where_the_kernel_maps(context: &mut Context) -> Outcome {
    let region = context.vmm.map(context.space, &RegionOptions::new(8))?;
    let mut seen = Vec::new();
    for page in 0..8 {
        let address = region.start().bits() + page * 4096;
        let physical = context.vmm.physical_address(context.space, address + 12)?;
        check_eq!(physical % 4096, 12);
        check!(!seen.contains(&physical));
        seen.push(physical);
        let mapping = context.vmm.mapping_at(context.space, address)?;
        let frame = mapping.map(|mapping| mapping.frame.bits() as Word).unwrap_or(0);
        check_eq!(sel4::cap::Granule::from_bits(frame).frame_get_address()?, physical - 12);
    }
    Ok(context.vmm.release(region)?)
}

fn contents_survive_protecting(context: &mut Context) -> Outcome {
    let region = context.vmm.map(context.space, &RegionOptions::new(4))?;
    let start = region.start().bits();
    words(start, 4).fill(0x1234);
    context.vmm.protect(context.space, Pages::at(start + 4096).count(2), Rights::READ)?;
    check!(words(start, 4).iter().all(|&word| word == 0x1234));
    context.vmm.protect(context.space, Pages::at(start).count(4), Rights::READ_WRITE)?;
    words(start, 4).fill(0x4321);
    check!(words(start, 4).iter().all(|&word| word == 0x4321));
    Ok(context.vmm.release(region)?)
}

fn a_protected_page_faults_on_writing(context: &mut Context) -> Outcome {
    let region = context.vmm.map(context.space, &RegionOptions::new(3))?;
    let start = region.start().bits();
    // The processor knows these pages as writable when the right is taken away.
    words(start, 3).fill(1);
    context.vmm.protect(context.space, Pages::at(start + 4096), Rights::READ)?;
    let fault = context.spawn(store, start + 4096)?.vm_fault()?;
    check_eq!((fault.addr() as usize, fault.fsr()), (start + 4096, 0b111));
    check_eq!(context.spawn(load, start + 4096)?.result()?, 1);
    check_eq!(context.spawn(store, start + 4096 - size_of::<Word>())?.result()?, STORED);
    check_eq!(context.spawn(store, start + 8192)?.result()?, STORED);
    check_eq!(word(start + 4096), 1);
    Ok(context.vmm.release(region)?)
}

/// Nothing is unmapped, and yet the processor uses no right that it knew before.
fn a_page_of_our_own_is_protected_in_place(context: &mut Context) -> Outcome {
    const PAGES: usize = 40;
    let region = context.vmm.map(context.space, &RegionOptions::new(PAGES))?;
    let start = region.start().bits();
    for (rights, right) in [(Rights::READ, false), (Rights::READ_WRITE, true)] {
        // The processor knows these pages as they were until now.
        check!(words(start, PAGES).iter().all(|&word| word <= PAGES as Word));
        let calls = context.vmm.kernel_calls();
        context.vmm.protect(context.space, Pages::at(start).count(PAGES), rights)?;
        let calls = context.vmm.kernel_calls().since(&calls);
        check_eq!(calls.of(Invocation::PageRemap), PAGES as u64);
        check_eq!((calls.of(Invocation::PageUnmap), calls.of(Invocation::PageMap)), (0, 0));
        for page in [0, 1, PAGES / 2, PAGES - 1] {
            let stored = context.spawn(store, start + page * 4096)?;
            match right {
                true => check_eq!(stored.result()?, STORED),
                false => check_eq!(stored.vm_fault()?.addr() as usize, start + page * 4096),
            }
        }
    }
    Ok(context.vmm.release(region)?)
}

fn a_page_without_rights_faults_on_reading(context: &mut Context) -> Outcome {
    let region = context.vmm.map(context.space, &RegionOptions::new(1))?;
    let start = region.start().bits();
    set_word(start, 5);
    context.vmm.protect(context.space, Pages::at(start), Rights::empty())?;
    check_eq!(context.spawn(load, start)?.vm_fault()?.addr() as usize, start);
    context.vmm.protect(context.space, Pages::at(start), Rights::READ)?;
    check_eq!(word(start), 5);
    Ok(context.vmm.release(region)?)
}

fn guard_pages_fault(context: &mut Context) -> Outcome {
    let options = RegionOptions::new(2).guarded(1, 2);
    let region = context.vmm.map(context.space, &options)?;
    let start = region.start().bits();
    for (page, guard) in [(0, true), (1, false), (2, false), (3, true), (4, true)] {
        let address = start + page * 4096 + 4;
        let child = context.spawn(store, address)?;
        match guard {
            true => check_eq!(child.vm_fault()?.addr() as usize, address),
            false => check_eq!(child.result()?, STORED),
        }
    }
    Ok(context.vmm.release(region)?)
}

/// Calls itself until the stack ends.
#[allow(unconditional_recursion)]
fn overflow(depth: usize) -> Word {
    let frame = core::hint::black_box([depth as Word; 64]);
    overflow(depth + 1) + frame[depth % 64]
}

fn a_stack_overflow_hits_the_guard(context: &mut Context) -> Outcome {
    let child = context.spawn(overflow, 0)?;
    let fault = child.vm_fault()?;
    let guard = child.thread.stack().bottom() - 4096;
    check!((guard..guard + 4096).contains(&(fault.addr() as usize)));
    let region = context.vmm.region_at(context.space, fault.addr() as usize)?;
    check_eq!(region.map(|region| region.id), Some(child.thread.stack().region()));
    Ok(())
}

fn a_recycled_frame_comes_back_clear(context: &mut Context) -> Outcome {
    let physical = |context: &mut Context, start: usize| -> Outcome<Vec<usize>> {
        let mut pages = Vec::new();
        for page in 0..16 {
            pages.push(context.vmm.physical_address(context.space, start + page * 4096)?);
        }
        Ok(pages)
    };
    let first = context.vmm.map(context.space, &RegionOptions::new(16))?;
    let before = physical(context, first.start().bits())?;
    words(first.start().bits(), 16).fill(0x5ec2e7);
    // One page stays in use, so that the others are not destroyed but used again.
    context.vmm.unmap(context.space, Pages::at(first.start().bits()).count(15))?;
    let second = context.vmm.map(context.space, &RegionOptions::new(16))?;
    let after = physical(context, second.start().bits())?;
    check!(after.iter().any(|page| before.contains(page)));
    check!(words(second.start().bits(), 16).iter().all(|&word| word == 0));
    context.vmm.release(first)?;
    Ok(context.vmm.release(second)?)
}

fn thousand_cycles_leave_everything_as_it_was(context: &mut Context) -> Outcome {
    let cycle = |context: &mut Context, round: usize| -> Outcome {
        let options = RegionOptions::new(1 + round % 7).guarded(1, 1);
        let region = context.vmm.map(context.space, &options)?;
        let address = region.start().bits() + 4096;
        check_eq!(word(address), 0);
        set_word(address, round as Word + 1);
        Ok(context.vmm.release(region)?)
    };
    cycle(context, 6)?;
    let before = context.vmm.stats();
    for round in 0..1000 {
        cycle(context, round)?;
    }
    let after = context.vmm.stats();
    check_eq!(after.free_bytes(), before.free_bytes());
    check_eq!(after.allocator.live, before.allocator.live);
    check_eq!(after.allocator.free_slots, before.allocator.free_slots);
    check_eq!(after.bookkeeping_bytes, before.bookkeeping_bytes);
    let calls = after.calls.since(&before.calls);
    check_eq!(calls.of(Invocation::UntypedRetype), 0);
    check_eq!(calls.of(Invocation::TableMap), 0);
    Ok(())
}

fn mapping_crosses_a_page_table_boundary(context: &mut Context) -> Outcome {
    const BOUNDARY: usize = 0x4000_0000;
    let before = context.vmm.space_stats(context.space)?.tables;
    let options = RegionOptions::new(6).at(BOUNDARY - 3 * 4096);
    let region = context.vmm.map(context.space, &options)?;
    check!(context.vmm.space_stats(context.space)?.tables >= before + 2);
    let memory = words(region.start().bits(), 6);
    memory.iter_mut().enumerate().for_each(|(index, word)| *word = index as Word);
    check_eq!(word(BOUNDARY - size_of::<Word>()), (3 * PAGE_WORDS - 1) as Word);
    check_eq!(word(BOUNDARY), 3 * PAGE_WORDS as Word);
    context.vmm.protect(context.space, Pages::at(BOUNDARY - 4096).count(2), Rights::READ)?;
    for address in [BOUNDARY - 4096, BOUNDARY] {
        check_eq!(context.spawn(store, address)?.vm_fault()?.addr() as usize, address);
    }
    context.vmm.unmap(context.space, Pages::at(BOUNDARY - 4096).count(2))?;
    check_eq!(word(BOUNDARY + 4096), 4 * PAGE_WORDS as Word);
    Ok(context.vmm.release(region)?)
}

fn an_unmapped_page_faults_and_its_neighbours_do_not(context: &mut Context) -> Outcome {
    let region = context.vmm.map(context.space, &RegionOptions::new(3))?;
    let start = region.start().bits();
    words(start, 3).fill(8);
    context.vmm.unmap(context.space, Pages::at(start + 4096))?;
    check_eq!(context.spawn(load, start + 4096)?.vm_fault()?.addr() as usize, start + 4096);
    check_eq!(word(start + 4096 - size_of::<Word>()), 8);
    check_eq!(word(start + 8192), 8);
    Ok(context.vmm.release(region)?)
}

fn populating_fills_a_hole(context: &mut Context) -> Outcome {
    let region = context.vmm.map(context.space, &RegionOptions::new(3))?;
    let start = region.start().bits();
    words(start, 3).fill(8);
    context.vmm.unmap(context.space, Pages::at(start + 4096))?;
    context.vmm.populate(context.space, Pages::at(start + 4096))?;
    check!(words(start + 4096, 1).iter().all(|&word| word == 0));
    check_eq!(word(start + 4096 - size_of::<Word>()), 8);
    Ok(context.vmm.release(region)?)
}

fn decommitted_pages_fault_and_come_back_clear(context: &mut Context) -> Outcome {
    let region = context.vmm.map(context.space, &RegionOptions::new(5))?;
    let start = region.start().bits();
    words(start, 5).fill(9);
    // A range with a hole in it: what is mapped goes, the hole is no error.
    context.vmm.decommit(context.space, Pages::at(start + 2 * 4096))?;
    context.vmm.decommit(context.space, Pages::at(start + 4096).count(3))?;
    for page in 1..4 {
        let address = start + page * 4096;
        check_eq!(context.spawn(load, address)?.vm_fault()?.addr() as usize, address);
    }
    check_eq!((word(start + 4096 - size_of::<Word>()), word(start + 4 * 4096)), (9, 9));
    // The region kept the addresses: they are filled again, with nothing of what was there.
    context.vmm.populate(context.space, Pages::at(start + 4096).count(3))?;
    check!(words(start + 4096, 3).iter().all(|&word| word == 0));
    // In small steps, from the whole region: two, two, one, and then nothing is left.
    for decommitted in [2, 2, 1, 0] {
        check_eq!(
            context.vmm.decommit_some(context.space, Pages::at(start).count(5), 2)?,
            decommitted
        );
    }
    Ok(context.vmm.release(region)?)
}

/// A106: on frames that are clear, and on frames that were used; in pages that may be read alone,
/// and in another space.
fn pages_come_with_their_contents(context: &mut Context) -> Outcome {
    let text: Vec<u8> = (0..2 * 4096).map(|byte| 1 + (byte % 251) as u8).collect();
    for _ in 0..2 {
        let options = RegionOptions::new(3).rights(Rights::READ).ceiling(Rights::READ);
        let region = context.vmm.reserve(context.space, &options)?;
        let start = region.start().bits();
        context.vmm.populate_from(context.space, start + 100, &text)?;
        let bytes = |from: usize, count: usize| {
            // SAFETY: three pages were just mapped there, to be read.
            unsafe { core::slice::from_raw_parts((start + from) as *const u8, count) }
        };
        check!(bytes(0, 100).iter().all(|&byte| byte == 0));
        check!(bytes(100, text.len()) == text.as_slice());
        check!(bytes(100 + text.len(), 4096 - 100).iter().all(|&byte| byte == 0));
        check_eq!(context.spawn(store, start)?.vm_fault()?.addr() as usize, start);
        context.vmm.release(region)?;
        // What comes next is dirty.
        let used = context.vmm.map(context.space, &RegionOptions::new(64))?;
        words(used.start().bits(), 64).fill(Word::MAX);
        context.vmm.release(used)?;
    }
    let other = context.vmm.create_space()?;
    let region = context.vmm.reserve(other, &RegionOptions::new(2))?;
    context.vmm.populate_from(other, region.start().bits() + 4090, b"over the line")?;
    let mut there = [1; 15];
    context.vmm.read(other, region.start().bits() + 4089, &mut there)?;
    check!(&there == b"\0over the line\0");
    Ok(context.vmm.destroy_space(other)?)
}

/// A107: here it cannot be forbidden, and that is what is told.
fn what_is_told_to_be_executable_can_be_run(context: &mut Context) -> Outcome {
    let (vmm, space) = (&mut context.vmm, context.space);
    for rights in [Rights::READ_WRITE, Rights::READ_WRITE_EXECUTE] {
        let region = vmm.map(space, &RegionOptions::new(1).rights(rights))?;
        let start = region.start().bits();
        let mapping = vmm.mapping_at(space, start)?;
        check!(mapping.is_some_and(|page| page.executable && page.rights == rights));
        // SAFETY: the page was just mapped, and holds a function that does nothing but return: the
        // byte is that of `ret` on IA32 and on x86_64.
        unsafe {
            (start as *mut u8).write_volatile(0xc3);
            core::mem::transmute::<usize, extern "C" fn()>(start)();
        }
        vmm.release(region)?;
    }
    Ok(())
}

fn a_region_goes_where_it_is_asked_to(context: &mut Context) -> Outcome {
    let (vmm, space) = (&mut context.vmm, context.space);
    let fixed = vmm.map(space, &RegionOptions::new(2).at(USER_END - 2 * 4096))?;
    check_eq!(fixed.start().bits(), USER_END - 2 * 4096);
    set_word(USER_END - size_of::<Word>(), 1);
    let aligned = vmm.map(space, &RegionOptions::new(1).aligned(20).guarded(1, 0))?;
    check_eq!((aligned.start().bits() + 4096) % (1 << 20), 0);
    let within = RegionOptions::new(2).within(0x5000_0000..0x5000_4000).guarded(1, 1);
    let within = vmm.map(space, &within)?;
    check_eq!(within.start().bits(), 0x5000_0000);
    for region in [fixed, aligned, within] {
        vmm.release(region)?;
    }
    Ok(())
}

fn a_reservation_keeps_others_out(context: &mut Context) -> Outcome {
    let (vmm, space) = (&mut context.vmm, context.space);
    let read_only = |options: RegionOptions| options.rights(Rights::READ);
    let whole = read_only(RegionOptions::new(64).at(0x6000_0000)).ceiling(Rights::READ);
    let reservation = vmm.create_reservation(space, &whole)?;
    check!(vmm.map(space, &RegionOptions::new(1).at(0x6000_0000)).is_err());
    let inside = RegionOptions::new(1).at(0x6000_1000).inside(reservation);
    check!(vmm.map(space, &inside).is_err());
    let inside = vmm.map(space, &read_only(inside))?;
    check_eq!(word(0x6000_1000), 0);
    check!(vmm.protect(space, Pages::at(0x6000_1000), Rights::READ_WRITE).is_err());
    check!(vmm.release(reservation).is_err());
    vmm.release(inside)?;
    Ok(vmm.release(reservation)?)
}

fn a_large_page_is_mapped_and_given_back(context: &mut Context) -> Outcome {
    let size = PageSize::Large { bits: LARGE_BITS };
    let options = RegionOptions::new(LARGE_PAGES).aligned(LARGE_BITS).page_size(size);
    let region = context.vmm.map(context.space, &options)?;
    let start = region.start().bits();
    let mapping = context.vmm.mapping_at(context.space, start + (1 << (LARGE_BITS - 1)))?;
    check_eq!(mapping.map(|mapping| mapping.size_bits), Some(LARGE_BITS));
    check!(words(start, LARGE_PAGES).iter().all(|&word| word == 0));
    words(start, LARGE_PAGES).fill(3);
    check_eq!(word(start + (1 << LARGE_BITS) - size_of::<Word>()), 3);
    Ok(context.vmm.release(region)?)
}

fn bulk_mapping_takes_few_kernel_calls(context: &mut Context) -> Outcome {
    let before = context.vmm.kernel_calls();
    let region = context.vmm.map(context.space, &RegionOptions::new(1024))?;
    let calls = context.vmm.kernel_calls().since(&before);
    // A frame that was used before is mapped once more, to be cleared, and unmapped.
    let zeroed = calls.of(Invocation::PageUnmap);
    check_eq!(calls.of(Invocation::PageMap), 1024 + zeroed);
    // Splitting down to the memory, retypes, page tables.
    check!(calls.total() - 1024 - 2 * zeroed <= 20);
    check!(words(region.start().bits(), 1024).iter().all(|&word| word == 0));
    Ok(context.vmm.release(region)?)
}

fn objects_are_allocated_and_freed_in_any_order(context: &mut Context) -> Outcome {
    use vmm::Blueprint;
    let mut objects = Vec::new();
    for round in 0..60 {
        let blueprint = match round % 5 {
            0 => Blueprint::Endpoint,
            1 => Blueprint::Tcb,
            2 => Blueprint::CNode { radix_bits: 3 },
            3 => Blueprint::Notification,
            _ => Blueprint::Untyped { size_bits: 14 },
        };
        objects.push(context.vmm.allocate(blueprint)?);
    }
    context.vmm.validate()?;
    // Every third, backwards, then the rest.
    for start in [2, 1, 0] {
        for index in (start..objects.len()).step_by(3).rev() {
            context.vmm.free(objects[index])?;
        }
        context.vmm.validate()?;
    }
    let many = context.vmm.allocate_many(Blueprint::Notification, 256)?;
    for index in [0, 255] {
        let object = many.get(index);
        check!(object.is_some_and(|object| {
            let cap: sel4::cap::Notification = crate::context::cap_of(object);
            cap.signal();
            cap.poll();
            true
        }));
    }
    Ok(context.vmm.free_many(many)?)
}

fn memory_in_use_is_left_alone_by_trimming(context: &mut Context) -> Outcome {
    let region = context.vmm.map(context.space, &RegionOptions::new(20))?;
    words(region.start().bits(), 20).fill(0xabcd);
    context.vmm.unmap(context.space, Pages::at(region.start().bits()).count(10))?;
    context.vmm.trim()?;
    context.vmm.validate()?;
    check!(words(region.start().bits() + 10 * 4096, 10).iter().all(|&word| word == 0xabcd));
    Ok(context.vmm.release(region)?)
}
