// SPDX-License-Identifier: BSD-2-Clause
//! Measures requests about objects, as the program that sends them sees it: for the benchmark.
#![no_std]
#![no_main]

use vmm_client::handles::{
    empty_slot, free_slot, take_slot, Account, Handle, Memory, Object, Program, Result,
};
use vmm_client::objects::{Amounts, ProgramOptions, Rights, FIRST_FREE_SLOT};
use vmm_client::program;
use vmm_clients::now;

program!(main);

/// How often each is done. The benchmark knows the same.
const TIMES: usize = 100;
/// The slot of the file of a program that ends at once, its priority, and what it may use.
const FILE_SLOT: u32 = FIRST_FREE_SLOT;
const PRIORITY: u8 = 100;
const CHILD: Amounts = Amounts([60, 60, 150, 8, 3, 20, 40]);
/// Pages of an object that is mapped.
const PAGES: u32 = 16;

/// Measures what `what` selects, and exits with the ticks of all of it: 0 nothing, 1 what there is
/// to say of an object, 2 objects made, 3 objects mapped, 4 one capability revoked with all that were
/// derived from it, 5 programs made, loaded, started, waited for and given back.
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
        _ => {
            let file = Memory::from_slot(FILE_SLOT);
            let (notification, told) = account.create_notification()?;
            for _ in 0..TIMES {
                let start = now();
                let options = ProgramOptions::empty();
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
