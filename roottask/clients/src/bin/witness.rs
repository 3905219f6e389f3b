// SPDX-License-Identifier: BSD-2-Clause
//! Makes requests inside its guarantee while others do what they can: it is never refused, and its
//! memory holds what it wrote.
#![no_std]
#![no_main]

use vmm_client::handles::{Object, Program, Result};
use vmm_client::objects::{Resource, Rights, PAGE_BYTES};
use vmm_client::{program, tell};

program!(main);

/// Pages that it keeps.
const KEPT: u32 = 8;
/// Pages that it makes and gives back each time.
const EACH: u32 = 4;

/// The word that is in a page, other in each round.
fn word(address: usize, page: u32) -> *mut u32 {
    (address + page as usize * PAGE_BYTES) as *mut u32
}

fn main(program: &Program, rounds: usize) -> Result {
    let (account, space) = (program.account(), program.space());
    let kept = account.create_memory(KEPT)?;
    let mapping = space.map(&kept, Rights::READ_WRITE, &account)?;
    let before = account.amounts()?;
    for round in 0..rounds as u32 {
        for page in 0..KEPT {
            let word = word(mapping.address(), page);
            // SAFETY: the pages are mapped as long as the mapping lasts, and nobody else has them.
            unsafe {
                assert_eq!(word.read_volatile(), if round == 0 { 0 } else { round - 1 + page });
                word.write_volatile(round + page);
            }
        }
        let memory = account.create_memory(EACH)?;
        let piece = space.map(&memory, Rights::READ_WRITE, &account)?;
        for page in 0..EACH {
            // SAFETY: as above.
            assert_eq!(unsafe { word(piece.address(), page).read_volatile() }, 0);
        }
        // All that is left of its pages is used, and given back.
        let left = before.limits.of(Resource::Pages) - before.used.of(Resource::Pages);
        let rest = account.create_memory(left - EACH)?;
        let all = space.map(&rest, Rights::READ_WRITE, &account)?;
        all.populate()?;
        all.unmap()?;
        rest.destroy()?;
        piece.unmap()?;
        memory.destroy()?;
        assert_eq!(account.amounts()?, before);
        sel4::r#yield();
    }
    tell!("{rounds} times all of its guarantee was used, and nothing was refused");
    mapping.unmap()?;
    kept.destroy()
}
