// SPDX-License-Identifier: BSD-2-Clause
//! Starts workers, each with an account of its own, a file server and its readers, and waits for
//! their ends.
#![no_std]
#![no_main]

use sel4::{cap, Word};
use vmm_client::handles::{
    empty_slot, mint_bit, take_slot, Account, Child, Handle, Memory, Object, Program, Result, Space,
};
use vmm_client::objects::{Amounts, FaultKind, ImageFault, ProgramOptions, Refusal, Rights, State};
use vmm_client::objects::{FIRST_FREE_SLOT, PAGE_BYTES};
use vmm_client::{program, tell};

mod files;
mod waits;

program!(main);

/// What a worker may have, and one that starts another or has threads.
const WORKER: Amounts = Amounts([200, 90, 500, 20, 6, 60, 120, 0]);
const PARENT: Amounts = Amounts([400, 200, 1000, 50, 15, 150, 300, 0]);

/// What it has of the system: memory with the workers' file, and a notification.
struct System<'a> {
    program: &'a Program,
    file: Memory,
    told: u32,
    priority: u8,
}

type Running = (Child, Space, Account);

impl System<'_> {
    /// A worker that runs with these arguments, and may say lines.
    fn worker(&self, name: &str, arguments: &str, options: ProgramOptions) -> Result<Running> {
        let account = self.program.account();
        let mut starting = account.begin_program(name, &self.file, WORKER, options)?;
        starting.give_console()?;
        starting.start(arguments, self.priority)
    }

    /// Waits for the end of one, and gives its record back. Returns its exit code.
    fn end_of(&self, (child, space, account): Running) -> Result<u32> {
        let status = child.wait(self.told)?;
        assert_eq!(status.state, State::Exited);
        child.remove(space, account)?;
        Ok(status.code)
    }
}

fn main(program: &Program, priority: usize) -> Result {
    // The files are in the first slots.
    for slot in FIRST_FREE_SLOT..FIRST_FREE_SLOT + 3 {
        assert_eq!(take_slot()?, slot);
    }
    let account = program.account();
    let before = account.amounts()?.used;
    let (notification, told) = account.create_notification()?;
    let file = Memory::from_slot(FIRST_FREE_SLOT);
    let system = System { program, file, told, priority: priority as u8 };
    tell!("it has {} pages of a program in memory", system.file.pages()?.pages);

    two_at_a_time(&system)?;
    one_that_starts_another(&system)?;
    one_with_threads(&system)?;
    one_that_faults(&system)?;
    one_without_a_program(&system)?;
    waits::timed(&system)?;
    files::served(&system, [FIRST_FREE_SLOT + 1, FIRST_FREE_SLOT + 2].map(Memory::from_slot))?;

    // What they had is back without a request.
    empty_slot(told);
    notification.destroy()?;
    assert_eq!(account.amounts()?.used, before);
    tell!("all have ended, and it has what it had");
    Ok(())
}

/// Two workers, whose ends set a bit each of one notification.
fn two_at_a_time(system: &System<'_>) -> Result {
    let bits = [mint_bit(system.told, 1)?, mint_bit(system.told, 2)?];
    let first = system.worker("first", "sum 20", ProgramOptions::empty())?;
    let second = system.worker("second", "sum 30", ProgramOptions::empty())?;
    first.0.tell_end(bits[0])?;
    second.0.tell_end(bits[1])?;
    let mut seen = 0;
    while seen != 3 {
        let ((), badge) = cap::Notification::from_bits(system.told as Word).wait();
        seen |= badge;
    }
    let codes = [first.0.status()?.code, second.0.status()?.code];
    assert_eq!(codes, [20, 30]);
    for (child, space, account) in [first, second] {
        child.remove(space, account)?;
    }
    bits.into_iter().for_each(empty_slot);
    tell!("two workers at a time have ended with {} and {}", codes[0], codes[1]);
    Ok(())
}

/// A worker that is given the file and starts another.
fn one_that_starts_another(system: &System<'_>) -> Result {
    let account = system.program.account();
    let options = ProgramOptions::empty();
    let mut starting = account.begin_program("parent", &system.file, PARENT, options)?;
    starting.give_console()?;
    starting.give("file", &system.file, Rights::READ)?;
    let (notification, slot) = account.create_notification()?;
    starting.give_kernel("told", slot)?;
    let code = system.end_of(starting.start("start 1", system.priority)?)?;
    assert_eq!(code, 6);
    empty_slot(slot);
    notification.destroy()?;
    Ok(())
}

/// A worker with threads that run closures.
fn one_with_threads(system: &System<'_>) -> Result {
    let (account, options) = (system.program.account(), ProgramOptions::empty());
    let mut starting = account.begin_program("threads", &system.file, PARENT, options)?;
    starting.give_console()?;
    let code = system.end_of(starting.start("threads 5", system.priority)?)?;
    assert_eq!(code, 1 + 2 + 3 + 4 + 5);
    tell!("five threads of one have found {code} together");
    Ok(())
}

/// A worker that overflows its stack, is looked at, ended, and started again.
fn one_that_faults(system: &System<'_>) -> Result {
    let options = ProgramOptions::SUSPEND_AT_FAULT;
    let (child, space, account) = system.worker("faulty", "overflow", options)?;
    let status = child.wait(system.told)?;
    assert_eq!((status.state, status.gone), (State::Faulted, false));
    assert_eq!(status.fault, FaultKind::Write);
    let registers = child.registers()?;
    assert_eq!(registers.pc(), status.instruction);
    // It fell below its stack.
    assert!(registers.sp().abs_diff(status.address) < PAGE_BYTES);
    // It has done nothing about it, so the same comes again.
    child.resume()?;
    let again = child.wait(system.told)?;
    assert_eq!((again.address, again.instruction), (status.address, status.instruction));
    tell!("faulty has faulted at {:#x}, twice; it is ended", status.address);
    child.kill()?;
    let ended = child.wait(system.told)?;
    assert_eq!((ended.state, ended.gone), (State::Killed, true));
    child.remove(space, account)?;
    let code = system.end_of(system.worker("faultless", "sum 7", options)?)?;
    tell!("started again with other arguments, it has ended with {code}");
    Ok(())
}

/// What no program can be made of is refused.
fn one_without_a_program(system: &System<'_>) -> Result {
    let account = system.program.account();
    let empty = account.create_memory(2)?;
    let begun = account.begin_program("none", &empty, WORKER, ProgramOptions::empty());
    let refusal = begun.map(|_| ()).map_err(|error| error.refusal());
    assert_eq!(refusal, Err(Some(Refusal::BadImage { what: ImageFault::NotElf, at: 0 })));
    let mapping = system.program.space().map(&system.file, Rights::READ, &account)?;
    // SAFETY: all pages of the mapping appear when they are touched, and nobody writes them.
    let mark = unsafe { *(mapping.address() as *const [u8; 4]) };
    assert_eq!((mark, PAGE_BYTES), (*b"\x7fELF", 4096));
    mapping.unmap()?;
    empty.destroy()
}
