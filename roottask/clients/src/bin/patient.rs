// SPDX-License-Identifier: BSD-2-Clause
//! Asks for memory beyond what there is, inside its limits: it waits, and goes on when another
//! program has ended what took the room.
#![no_std]
#![no_main]

use sel4::{MessageInfoBuilder, Word};
use vmm_client::handles::{free_slot, Handle, Object, Program, Result};
use vmm_client::objects::{Refusal, Resource, Rights};
use vmm_client::{program, tell};
use vmm_clients::{meeting, now};

program!(main);

fn main(program: &Program, rounds: usize) -> Result {
    let (account, space) = (program.account(), program.space());
    let before = account.amounts()?;
    let left = before.limits.of(Resource::Pages) - before.used.of(Resource::Pages);
    let limits = before.limits.with(Resource::Pages, 2 * left);
    let (strict, waits) = (account.overcommit(limits)?, account.overcommit_waiting(limits)?);
    let mut longest = 0;
    for _ in 0..rounds {
        let taken = account.create_memory(left - 10)?;
        let refused = strict.create_memory(20).map_err(|error| error.refusal());
        let above = Refusal::Overcommitted { resource: Resource::Pages };
        assert_eq!(refused.map(|_| ()), Err(Some(above)));
        let lent = taken.restrict(Rights::DESTROY, &account)?;
        sel4::with_ipc_buffer_mut(|buffer| {
            buffer.caps_or_badges_mut()[0] = lent.slot() as Word;
        });
        meeting().call(MessageInfoBuilder::default().extra_caps(1).build());
        let start = now();
        let memory = waits.create_memory(20)?;
        longest = longest.max(now() - start);
        let mapping = space.map(&memory, Rights::READ_WRITE, &account)?;
        // SAFETY: the page appears when it is touched, and nobody else has it.
        unsafe { (mapping.address() as *mut u32).write_volatile(1) };
        // It was ended for it.
        assert!(taken.info().is_err());
        [taken.slot(), lent.slot()].into_iter().for_each(free_slot);
        mapping.unmap()?;
        memory.destroy()?;
    }
    for account in [strict, waits] {
        account.destroy()?;
    }
    assert!((0..100).any(|_| account.amounts().is_ok_and(|now| now == before)));
    tell!("waited {rounds} times for memory that was in use, at most {longest} instructions");
    Ok(())
}
