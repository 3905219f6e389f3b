// SPDX-License-Identifier: BSD-2-Clause
//! Tests that run in the guest, on the real kernel.
//!
//! ```text
//!   main.rs      the harness: all tests, one line for each, a closing line
//!   context.rs   what a test has to work with: the manager, scratch memory and slots, threads
//!   table.rs     what a test is, and the macro for a module's table of them
//!   probe.rs     memory accesses at known instructions
//!   arch/        programs of a few instructions, for each architecture
//!
//!   the bindings    untyped.rs cnode.rs frame.rs vspace.rs thread.rs ipc.rs sys_calls.rs
//!                   signal.rs fault.rs io_port.rs config.rs
//!   the runtime     runtime.rs stacks.rs
//!   the manager     memory.rs kept_tables.rs survival.rs ipc_buffer.rs refusal.rs
//!                   exhaustion.rs compaction.rs badges.rs closures.rs backtraces.rs pacing.rs
//!                   pacer_failures.rs own_timer.rs
//!                   direct_map.rs texts.rs untold.rs
//! ```
//!
//! A test is a function that returns a [`roottask::Outcome`]. After each the harness stops the
//! threads it started, and a test that passed must have left all memory and slots free and the
//! manager's state in order.
//!
//! `run.sh guest-tests -- WORD...` runs the tests whose names contain one of the words,
//! `run.sh guest-tests -- --list` names them.
#![no_std]
#![no_main]

extern crate alloc;

mod arch;
mod backtraces;
mod badges;
mod closures;
mod cnode;
mod compaction;
mod config;
mod context;
mod dense;
mod direct_map;
mod exhaustion;
mod fault;
mod frame;
mod heap;
mod io_port;
mod ipc;
mod ipc_buffer;
mod kept_tables;
mod memory;
mod own_timer;
mod pacer_failures;
mod pacing;
mod probe;
mod refusal;
mod runtime;
mod signal;
mod stacks;
mod survival;
mod sys_calls;
mod table;
mod texts;
mod thread;
mod untold;
mod untyped;
mod vspace;

use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use roottask::{Arguments, Outcome};
use sel4_root_task::panicking::{set_hook, ExternalPanicInfo};
use sel4_root_task::{debug_println, exit, root_task, ExitCode, Never};

use context::Context;
use table::Test;

const ALL: &[&[Test]] = &[
    untyped::TESTS,
    cnode::TESTS,
    frame::TESTS,
    vspace::TESTS,
    thread::TESTS,
    ipc::TESTS,
    sys_calls::TESTS,
    signal::TESTS,
    fault::TESTS,
    io_port::TESTS,
    config::TESTS,
    runtime::TESTS,
    stacks::TESTS,
    memory::TESTS,
    kept_tables::TESTS,
    survival::TESTS,
    dense::TESTS,
    ipc_buffer::TESTS,
    refusal::TESTS,
    texts::TESTS,
    badges::TESTS,
    closures::TESTS,
    backtraces::TESTS,
    heap::TESTS,
    pacing::TESTS,
    direct_map::TESTS,
    exhaustion::TESTS,
    compaction::TESTS,
    untold::TESTS,
    // Last: where all slots are taken, book-keeping comes to lie all over memory, and stays.
    pacer_failures::TESTS,
    own_timer::TESTS,
];

/// The test that runs.
static CURRENT: AtomicPtr<Test> = AtomicPtr::new(ptr::null_mut());

/// A panic ends the program, so the test is the last: the closing line will be missing.
fn report_panic(info: &ExternalPanicInfo<'_>) {
    let test = CURRENT.load(Ordering::Relaxed);
    // SAFETY: null, or one of the tables' constants.
    let name = unsafe { test.as_ref() }.map_or("(none)", |test| test.name);
    debug_println!("  {info}\ntest {name} ... FAILED");
}

#[root_task(stack_size = 128 * 1024, heap_size = 128 * 1024)]
fn main(bootinfo: &sel4::BootInfoPtr) -> Outcome<Never> {
    let arguments = Arguments::read()?;
    let chosen = || {
        let tests = ALL.iter().copied().flatten();
        tests.filter(|test| {
            let mut words = arguments.words().filter(|word| !word.starts_with("--")).peekable();
            words.peek().is_none() || words.any(|word| test.name.contains(word))
        })
    };
    if arguments.words().any(|word| word == "--list") {
        chosen().for_each(|test| debug_println!("{}", test.name));
        exit(ExitCode::Success);
    }

    let mut context = Context::new(bootinfo)?;
    let (mut passed, mut failed) = (0, 0);
    set_hook(&report_panic);
    for test in chosen() {
        CURRENT.store(ptr::from_ref(test).cast_mut(), Ordering::Relaxed);
        match context.run(test.run) {
            Ok(()) => {
                debug_println!("test {} ... ok", test.name);
                passed += 1;
            }
            Err(failure) => {
                debug_println!("  {failure}\ntest {} ... FAILED", test.name);
                failed += 1;
            }
        }
    }
    debug_println!("guest-tests: {passed} passed, {failed} failed");
    exit(match failed == 0 && passed != 0 {
        true => ExitCode::Success,
        false => ExitCode::Failure,
    })
}
