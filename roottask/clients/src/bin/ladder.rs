// SPDX-License-Identifier: BSD-2-Clause
//! Starts a program at each priority up to its own, one after another, again and again; and as many
//! at a time, each with a priority of its own, as it is told.
#![no_std]
#![no_main]

use vmm_client::handles::{
    empty_slot, take_slot, Account, Child, Handle, Memory, Object, Program, Result, Space,
};
use vmm_client::objects::{Amounts, ProgramOptions, State, FIRST_FREE_SLOT};
use vmm_client::{program, tell};

program!(main);

/// What a program may have that it starts.
const STARTED: Amounts = Amounts([60, 37, 150, 9, 1, 16, 32, 0]);
/// Its own priority: all are below.
const OWN: u8 = 100;
/// The most at a time.
const MANY: usize = 34;

fn start(program: &Program, file: &Memory, priority: u8) -> Result<(Child, Space, Account)> {
    let options = ProgramOptions::FEW_SLOTS;
    let starting = program.account().begin_program("rung", file, STARTED, options)?;
    starting.start("", priority)
}

fn main(program: &Program, times: usize) -> Result {
    // The file of a program that ends at once is in the first slot.
    assert_eq!(take_slot()?, FIRST_FREE_SLOT);
    let file = Memory::from_slot(FIRST_FREE_SLOT);
    let account = program.account();
    let before = account.amounts()?.used;
    let (notification, told) = account.create_notification()?;
    let mut started = 0;
    for _ in 0..times {
        for priority in (1..OWN).rev() {
            let (child, its_space, its_account) = start(program, &file, priority)?;
            let status = child.wait(told)?;
            assert_eq!((status.state, status.code), (State::Exited, 0));
            child.remove(its_space, its_account)?;
            started += 1;
        }
        // None of them runs before this one waits.
        let mut all = [const { None }; MANY];
        for (nth, place) in all.iter_mut().enumerate() {
            *place = Some(start(program, &file, OWN - 1 - 2 * nth as u8)?);
        }
        for (child, its_space, its_account) in all.into_iter().flatten() {
            assert_eq!(child.wait(told)?.code, 0);
            child.remove(its_space, its_account)?;
            started += 1;
        }
    }
    empty_slot(told);
    notification.destroy()?;
    assert_eq!(account.amounts()?.used, before);
    tell!("{started} programs started, of {} priorities", OWN - 1);
    Ok(())
}
