// SPDX-License-Identifier: BSD-2-Clause
//! Programs that sleep, and one whose pager does not answer in time: this program itself.

use vmm_client::handles::{free_slot, Handle, Object, Result};
use vmm_client::objects::{ProgramOptions, Rights, State, Supply};
use vmm_client::tell;

use super::{System, WORKER};

/// Milliseconds for which the one and the other sleeps.
const LONG: u32 = 60;
const SHORT: u32 = 15;
/// Milliseconds for which a page is waited for.
const PATIENCE: u32 = 20;

/// Waits for sleepers, and for one that waits for a page.
pub fn timed(system: &System<'_>) -> Result {
    system.program.sleep(1)?;
    let options = ProgramOptions::empty();
    let long = system.worker("long", "sleep 60", options)?;
    let short = system.worker("short", "sleep 15", options)?;
    let first = system.end_of(short)?;
    // The other sleeps still.
    assert_eq!(long.0.status()?.state, State::Running);
    let second = system.end_of(long)?;
    assert_eq!((first, second), (SHORT, LONG));
    tell!("two have slept for {first} and {second} ms, and the first was up first");
    late_page(system)
}

/// Has a program wait for a page that is supplied once it has waited for too long, twice.
fn late_page(system: &System<'_>) -> Result {
    let account = system.program.account();
    let paged = account.create_paged(4, 1)?;
    let shown = paged.to_map(Rights::READ, &account)?;
    let page = account.create_memory(1)?;
    page.write(0, &7u32.to_le_bytes())?;
    let options = ProgramOptions::SUSPEND_AT_FAULT;
    let mut starting = account.begin_program("waiter", &system.file, WORKER, options)?;
    starting.give_console()?;
    starting.give("memory", &shown, Rights::READ)?;
    let (child, space, own) = starting.start("read 2", system.priority)?;
    child.limit_waits(PATIENCE)?;
    let late = child.wait(system.told)?;
    assert_eq!((late.state, late.gone), (State::TimedOut, false));
    child.resume()?;
    let again = child.wait(system.told)?;
    assert_eq!((again.state, again.address), (State::TimedOut, late.address));
    tell!("waiter has waited for its page at {:#x} for {PATIENCE} ms, twice", late.address);
    assert_eq!(paged.next_fault()?, None, "nobody waits any more");
    let _ = paged.supply((2, 1), (&page, 0), Supply::Give, false)?;
    child.resume()?;
    let code = system.end_of((child, space, own))?;
    tell!("it was supplied, and waiter has read {code}");
    assert_eq!(code, 7);
    page.destroy()?;
    paged.destroy()?;
    // The capability went with it.
    free_slot(shown.slot());
    Ok(())
}
