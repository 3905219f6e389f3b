// SPDX-License-Identifier: BSD-2-Clause
//! Measures requests about objects, as the program that sends them sees it: for the benchmark.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicUsize, Ordering};

use sel4::{cap, Word};
use vmm_client::handles::{
    empty_slot, free_slot, take_slot, Account, Handle, Memory, Object, Program, Result, Thread,
};
use vmm_client::objects::{
    Amounts, ProgramOptions, Rights, Supply, FIRST_FREE_SLOT, MAX_SUPPLY, PAGE_BYTES,
};
use vmm_client::program;
use vmm_clients::now;

program!(main);

/// How often each is done. The benchmark knows the same.
const TIMES: usize = 100;
/// The slot of the file of a program that ends at once, its priority, and what it may use.
const FILE_SLOT: u32 = FIRST_FREE_SLOT;
const PRIORITY: u8 = 100;
const CHILD: Amounts = Amounts([60, 60, 150, 8, 3, 20, 40, 0]);
/// Pages of an object that is mapped.
const PAGES: u32 = 16;

/// Measures what `what` selects, and exits with the ticks of all of it: 0 nothing, 1 what there is
/// to say of an object, 2 objects made, 3 objects mapped, 4 one capability revoked with all that
/// were derived from it, 5 programs made, loaded, started, waited for and given back, 6 threads
/// started that end themselves, and waited for, 7 pages that a thread waits for, 8 pages supplied
/// sixteen at a time, 9 pages taken back that are mapped, 10 programs as those of 5 with few slots,
/// 11 pages as those of 7, where the pager is told by a notification, 12 pages that are touched, 13
/// pages that are brought by request.
fn main(program: &Program, what: usize) -> Result {
    let account = program.account();
    assert_eq!(take_slot()?, FILE_SLOT);
    // The first time fills caches.
    measure(program, &account, what)?;
    let ticks = measure(program, &account, what)?;
    program.exit(ticks as u32)
}

fn measure(program: &Program, account: &Account, what: usize) -> Result<u64> {
    let mut ticks = 0;
    let mut timed = |start: u64| ticks += now() - start;
    match what {
        0 => {}
        1 => {
            let memory = account.create_memory(PAGES)?;
            let start = now();
            (0..TIMES).try_for_each(|_| memory.info().map(|_| ()))?;
            timed(start);
            memory.destroy()?;
        }
        2 => {
            let mut made: [Option<Memory>; TIMES] = [const { None }; TIMES];
            let start = now();
            for place in &mut made {
                *place = Some(account.create_memory(1)?);
            }
            timed(start);
            made.into_iter().flatten().try_for_each(Memory::destroy)?;
        }
        3 => {
            let memory = account.create_memory(PAGES)?;
            for _ in 0..TIMES {
                let part = (0, PAGES);
                let start = now();
                let mapping =
                    program.space().map_part(&memory, part, (0, Rights::READ_WRITE), account)?;
                timed(start);
                mapping.unmap()?;
            }
            memory.destroy()?;
        }
        4 => {
            let memory = account.create_memory(PAGES)?;
            let mut slots = [0; TIMES];
            for slot in &mut slots {
                *slot = memory.restrict(Rights::READ, account)?.slot();
            }
            let start = now();
            let memory = memory.revoke()?;
            timed(start);
            // What was derived is gone: these are empty.
            slots.into_iter().for_each(free_slot);
            memory.destroy()?;
        }
        6 => {
            let (notification, told) = account.create_notification()?;
            for _ in 0..TIMES {
                let start = now();
                // It begins when this thread waits for it.
                let thread = account.create_thread(ending, 0, (1, 1), PRIORITY)?;
                SLOT.store(thread.slot() as usize, Ordering::Release);
                thread.wait(told)?;
                thread.destroy()?;
                timed(start);
            }
            empty_slot(told);
            notification.destroy()?;
        }
        7..=9 | 11 => ticks = measure_paging(program, account, what)?,
        12 | 13 => {
            let memory = account.create_memory(TIMES as u32)?;
            let mapping = program.space().map(&memory, Rights::READ_WRITE, account)?;
            let start = now();
            match what {
                12 => (0..TIMES).for_each(|page| {
                    let word = (mapping.address() + page * PAGE_BYTES) as *mut usize;
                    // SAFETY: it is mapped, and nobody else's.
                    unsafe { word.write_volatile(page) };
                }),
                _ => mapping.populate()?,
            }
            timed(start);
            mapping.unmap()?;
            memory.destroy()?;
        }
        _ => {
            let file = Memory::from_slot(FILE_SLOT);
            let (notification, told) = account.create_notification()?;
            for _ in 0..TIMES {
                let start = now();
                let options = match what {
                    10 => ProgramOptions::FEW_SLOTS,
                    _ => ProgramOptions::empty(),
                };
                let (child, space, own) = account.create_program("child", CHILD, options)?;
                child.load(&file)?;
                child.start(0, 4, PRIORITY)?;
                child.wait(told)?;
                child.remove(space, own)?;
                timed(start);
            }
            empty_slot(told);
            notification.destroy()?;
        }
    }
    Ok(ticks)
}

/// The slot of the capability to the thread that ends itself.
static SLOT: AtomicUsize = AtomicUsize::new(0);

vmm_client::thread_entry! {
    fn ending(ipc_buffer: usize, _argument: usize) -> ! {
        // SAFETY: the service passes the address of the thread's IPC buffer.
        sel4::set_ipc_buffer(unsafe { &mut *(ipc_buffer as *mut sel4::IpcBuffer) });
        while SLOT.load(Ordering::Acquire) == 0 {
            sel4::r#yield();
        }
        Thread::end_own(SLOT.swap(0, Ordering::AcqRel) as u32, 0)
    }
}

/// Pages that are waited for, supplied sixteen at a time, or taken back: the ticks of all of it.
fn measure_paging(program: &Program, account: &Account, what: usize) -> Result<u64> {
    let pages = TIMES as u32;
    let (notification, told) = account.create_notification()?;
    let paged = account.create_paged(pages, pages)?;
    let file = paged.to_map(Rights::READ_WRITE, account)?;
    let mapping = program.space().map(&file, Rights::READ_WRITE, account)?;
    let source = account.create_memory(pages)?;
    let filled = program.space().map(&source, Rights::READ_WRITE, account)?;
    let touch = |address: usize| {
        for page in 0..TIMES {
            // SAFETY: the pages are there when they are touched, and nobody else writes them.
            unsafe { ((address + page * PAGE_BYTES) as *mut u32).write_volatile(1) };
        }
    };
    touch(filled.address());
    paged.tell_faults(told)?;
    let mut ticks = 0;
    match what {
        7 => {
            let address = mapping.address();
            let toucher = program.spawn(1, PRIORITY, move || touch(address))?;
            let mut wanted = paged.wait_next()?;
            for _ in 1..TIMES {
                let start = now();
                let (range, from) = ((wanted.page, 1), (&source, wanted.page));
                wanted = match paged.supply_and_wait(range, from, Supply::Give, true)? {
                    Some(next) => next,
                    None => paged.wait_next()?,
                };
                ticks += now() - start;
            }
            let start = now();
            paged.supply((wanted.page, 1), (&source, wanted.page), Supply::Give, true)?;
            ticks += now() - start;
            toucher.join()?;
        }
        11 => {
            let address = mapping.address();
            let toucher = program.spawn(1, PRIORITY, move || touch(address))?;
            let start = now();
            let mut supplied = 0;
            while supplied < TIMES {
                cap::Notification::from_bits(told as Word).wait();
                let mut wanted = paged.next_fault()?;
                while let Some(next) = wanted {
                    let page = next.page;
                    wanted = paged.supply((page, 1), (&source, page), Supply::Give, true)?;
                    supplied += 1;
                }
            }
            ticks = now() - start;
            toucher.join()?;
        }
        8 => {
            let mut first = 0;
            while first < pages {
                let count = MAX_SUPPLY.min(pages - first);
                let start = now();
                paged.supply((first, count), (&source, first), Supply::Give, true)?;
                ticks += now() - start;
                first += count;
            }
        }
        _ => {
            paged.supply((0, pages), (&source, 0), Supply::Give, true)?;
            touch(mapping.address());
            for page in 0..pages {
                let start = now();
                assert_eq!(paged.take_back((page, 1), (&source, page))?, 1);
                ticks += now() - start;
            }
        }
    }
    for mapping in [mapping, filled] {
        mapping.unmap()?;
    }
    source.destroy()?;
    paged.destroy()?;
    free_slot(file.slot());
    empty_slot(told);
    notification.destroy()?;
    Ok(ticks)
}
