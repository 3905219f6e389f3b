// SPDX-License-Identifier: BSD-2-Clause
//! Does not end by itself: threads that count in memory which its maker sees, a further program
//! that does, one that waits for another's end, a thread that waits for a page.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use vmm_client::handles::{Handle, Memory, Program, Result};
use vmm_client::objects::first_page::Given;
use vmm_client::objects::{Amounts, ProgramOptions, Rights};
use vmm_client::program;
use vmm_clients::COUNTER_PRIORITY;

program!(main);

/// The exit code of one that was told nothing that it can do.
const CONFUSED: u32 = 77;
/// What a program may have that it starts.
const CHILD: Amounts = Amounts([120, 120, 300, 32, 12, 80, 160, 0]);

fn main(program: &Program, argument: usize) -> Result {
    let given = program.given(argument).unwrap_or_else(|| program.exit(CONFUSED));
    let (what, number) = given.arguments().split_once(' ').unwrap_or((given.arguments(), "0"));
    let number: usize = number.parse().unwrap_or(0);
    let memory = |name| given.slot(name).map(Memory::from_slot);
    let (account, space) = (program.account(), program.space());
    if what == "touch" {
        let paged = memory("paged").unwrap_or_else(|| program.exit(CONFUSED));
        let mapping = space.map(&paged, Rights::READ, &account)?;
        // SAFETY: the page is there if it is ever supplied.
        program.exit(unsafe { (mapping.address() as *const u32).read_volatile() })
    }
    let shared = memory("shared").unwrap_or_else(|| program.exit(CONFUSED));
    let words = space.map(&shared, Rights::READ_WRITE, &account)?.address();
    match what {
        // As many threads, each at a word of its own.
        "count" => {
            for nth in 1..number {
                let _endless = program.spawn(1, COUNTER_PRIORITY, move || count(words, nth))?;
            }
            count(words, 0)
        }
        // Another program that counts, beside itself.
        "tree" => {
            let _child = start(program, &given, &shared, "count 3")?;
            count(words, number)
        }
        // A thread that counts, whose end it waits for.
        "join" => {
            let endless: Option<()> =
                program.spawn(1, COUNTER_PRIORITY, move || count(words, 0))?.join()?;
            program.exit(u32::from(endless.is_some()))
        }
        // Another program, whose end it waits for.
        "wait" => {
            let child = start(program, &given, &shared, "count 1")?;
            let (_notification, told) = account.create_notification()?;
            program.exit(child.wait(told)?.code)
        }
        _ => program.exit(CONFUSED),
    }
}

/// Starts another of the same file, with the same memory.
fn start(
    program: &Program,
    given: &Given<'_>,
    shared: &Memory,
    arguments: &str,
) -> Result<vmm_client::handles::Child> {
    let file = given.slot("file").unwrap_or_else(|| program.exit(CONFUSED));
    let (file, options) = (Memory::from_slot(file), ProgramOptions::empty());
    let mut starting = program.account().begin_program("grandchild", &file, CHILD, options)?;
    starting.give("shared", shared, Rights::READ_WRITE)?;
    starting.start(arguments, COUNTER_PRIORITY).map(|(child, _, _)| child)
}

/// Counts at a word for ever.
fn count(words: usize, nth: usize) -> ! {
    // SAFETY: all of the page is there when it is touched, and holds atomic words.
    let word = unsafe { &*(words as *const AtomicU32).add(nth) };
    loop {
        word.fetch_add(1, Relaxed);
    }
}
