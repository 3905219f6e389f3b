// SPDX-License-Identifier: BSD-2-Clause
//! Makes objects, capabilities and mappings more often than there are numbers for them, and then as
//! many as there are: the next is refused, and made when one was given back. Exits with how many
//! there were.
#![no_std]
#![no_main]

use vmm_client::handles::{free_slot, Handle, Memory, Object, Program, Result};
use vmm_client::objects::{Refusal, Rights, PAGE_BYTES};
use vmm_client::{program, tell};

program!(main);

/// The most objects at a time.
const MAX: usize = 200;

fn main(program: &Program, rounds: usize) -> Result {
    let (account, space) = (program.account(), program.space());
    let before = account.amounts()?;
    for round in 0..rounds {
        let memory = account.create_memory(2)?;
        let other = memory.restrict(Rights::READ_WRITE, &account)?;
        let mapping = space.map(&other, Rights::READ_WRITE, &account)?;
        let word = (mapping.address() + PAGE_BYTES) as *mut u32;
        // SAFETY: the page appears when it is touched, and nobody else has it.
        unsafe {
            assert_eq!(word.read_volatile(), 0, "a page of another round");
            word.write_volatile(round as u32 + 1);
        }
        // Capability, copies and mapping.
        memory.revoke()?.destroy()?;
        free_slot(other.slot());
    }
    let mut made: [Option<Memory>; MAX] = [const { None }; MAX];
    let mut count = 0;
    let refused = loop {
        match account.create_memory(1) {
            Ok(memory) => made[count] = Some(memory),
            Err(error) => break error,
        }
        count += 1;
    };
    assert_eq!(refused.refusal(), Some(Refusal::OutOfMemory {}), "{refused}");
    made[0].take().map_or(Ok(()), Object::destroy)?;
    made[0] = Some(account.create_memory(1)?);
    tell!("{rounds} objects, each with a number, a badge and a token, of which {count} are left");
    made.into_iter().flatten().try_for_each(Object::destroy)?;
    assert_eq!(account.amounts()?, before);
    program.exit(count as u32)
}
