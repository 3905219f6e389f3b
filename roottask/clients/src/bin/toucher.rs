// SPDX-License-Identifier: BSD-2-Clause
//! Touches memory for which there is none, of an account that waits: it goes on when another program
//! has ended what took the room, and is told of both.
#![no_std]
#![no_main]

use core::hint::black_box;

use sel4::{cap, MessageInfoBuilder, Word};
use vmm_client::handles::{
    empty_slot, free_slot, mint_bit, Account, Handle, Object, Program, Result,
};
use vmm_client::objects::{Resource, Rights, PAGE_BYTES};
use vmm_client::{program, tell};
use vmm_clients::{meeting, now};

program!(main);

/// Pages of either memory object: of both there are not as many.
const PAGES: u32 = 128;
/// A touch that takes so many instructions has waited: others had a turn.
const WAITED: u64 = 100_000;

fn main(program: &Program, rounds: usize) -> Result {
    let (account, space) = (program.account(), program.space());
    let before = account.amounts()?;
    let (notification, slot) = account.create_notification()?;
    let bell: cap::Notification = cap::Notification::from_bits(slot as Word);
    let bit = mint_bit(slot, 1)?;
    let patient = account.overcommit_waiting(before.limits)?;
    let (mut longest, mut waited, mut told) = (0, 0, 0);
    for _ in 0..rounds {
        let taken = account.create_memory(PAGES)?;
        let mapping = space.map(&taken, Rights::READ_WRITE, &account)?;
        mapping.populate()?;
        mapping.unmap()?;
        is_told_when_little_is_left(&patient, bit, bell)?;
        let lent = taken.restrict(Rights::DESTROY, &account)?;
        sel4::with_ipc_buffer_mut(|buffer| {
            buffer.caps_or_badges_mut()[0] = lent.slot() as Word;
        });
        meeting().call(MessageInfoBuilder::default().extra_caps(1).build());

        patient.tell_below(Resource::Pages, 1, bit)?;
        let memory = patient.create_memory(PAGES)?;
        let mapping = space.map(&memory, Rights::READ_WRITE, &account)?;
        for page in 0..PAGES as usize {
            let at = (mapping.address() + page * PAGE_BYTES) as *mut u32;
            let start = now();
            // SAFETY: the page appears when it is touched, and nobody else has it.
            unsafe {
                assert_eq!(at.read_volatile(), 0);
                at.write_volatile(black_box(page as u32 + 1));
            }
            let took = now() - start;
            longest = longest.max(took);
            waited += u32::from(took > WAITED);
            told += u32::from(bell.poll().1 != 0);
        }
        for page in 0..PAGES as usize {
            let at = (mapping.address() + page * PAGE_BYTES) as *const u32;
            // SAFETY: as before.
            assert_eq!(unsafe { at.read_volatile() }, page as u32 + 1);
        }
        // It was ended for it.
        assert!(taken.info().is_err());
        [taken.slot(), lent.slot()].into_iter().for_each(free_slot);
        mapping.unmap()?;
        memory.destroy()?;
    }
    assert!(told as usize >= rounds, "told {told} times of {rounds}");
    patient.destroy()?;
    [bit, slot].into_iter().for_each(empty_slot);
    notification.destroy()?;
    assert!((0..100).any(|_| account.amounts().is_ok_and(|now| now == before)));
    tell!(
        "touched memory that was not there: told {told} times in {rounds}, waited {waited} times"
    );
    tell!("the longest touch took {longest} instructions");
    Ok(())
}

/// A threshold is told once it is crossed, and once.
fn is_told_when_little_is_left(of: &Account, bit: u32, bell: cap::Notification) -> Result {
    let amounts = of.amounts()?;
    let left = amounts.limits.of(Resource::Pages) - amounts.used.of(Resource::Pages);
    of.tell_below(Resource::Pages, left - 2, bit)?;
    assert_eq!(bell.poll().1, 0, "as much is left");
    let two = of.create_memory(2)?;
    assert_eq!(bell.poll().1, 0, "as much is left as was said");
    let one = of.create_memory(1)?;
    // It comes with the answer.
    assert_eq!(bell.wait().1, 1);
    one.destroy()?;
    of.create_memory(1)?.destroy()?;
    assert_eq!(bell.poll().1, 0, "it is told once");
    two.destroy()?;
    Ok(())
}
