// SPDX-License-Identifier: BSD-2-Clause
//! Memory stress: drives the manager through random requests, and holds it to what they must do.
//!
//! Each folder uses only those above it:
//!
//! ```text
//!   input/     what decides a run: the settings, and the numbers that follow from the seed
//!   measure/   time, costs, and how the operations of each kind ended
//!   model/     what is mapped where, and what must be in it
//!   report/    the data of a report, printed as it arises
//!   engine/    one operation: numbered, timed, judged; contents, written and read
//!   threads/   threads that touch memory, and the server that answers their faults
//!   host/      the service and its client programs
//!   phases/    what is done: churn, filling, fragmentation, …
//!   course/    the warm-up before the phases, and the balance after them
//! ```
//!
//! One seed gives one sequence of operations on a machine of one size: no decision depends on time,
//! but for the end of a run that is limited by seconds.
#![no_std]
#![no_main]

extern crate alloc;

mod course;
mod engine;
mod host;
mod input;
mod measure;
mod model;
mod phases;
mod report;
mod threads;

use roottask::{Arguments, Outcome};
use sel4_root_task::{debug_println, exit, root_task, ExitCode, Never};
use vmm::sel4::{start_with, BootPool, StartOptions};

use course::balance::Balance;
use course::warm_up;
use engine::Stress;
use input::Settings;

static POOL: BootPool<64> = BootPool::new();

#[root_task(stack_size = 256 * 1024, heap_size = 1024 * 1024)]
fn main(bootinfo: &sel4::BootInfoPtr) -> Outcome<Never> {
    let arguments = Arguments::read()?;
    let settings = match Settings::parse(arguments.words(), &phases::names()) {
        Ok(settings) => settings,
        Err(word) => {
            debug_println!("stress: cannot make sense of {word:?}");
            exit(ExitCode::Failure)
        }
    };
    let mut stress = Stress::new(
        start_with(bootinfo, &POOL, &StartOptions::new().clear_when_needed())?,
        settings,
        &phases::names(),
    )?;
    let outcome = run(&mut stress);
    if let Err(failure) = outcome {
        stress.report_failure(&failure);
    }
    exit(match outcome {
        Ok(()) => ExitCode::Success,
        Err(_) => ExitCode::Failure,
    })
}

fn run(stress: &mut Stress) -> Outcome {
    warm_up::run(stress)?;
    let start = Balance::take(stress)?;
    phases::clear_counts();
    stress.begin_run();
    stress.start_pacer()?;
    phases::run(stress)?;
    stress.stop_pacer()?;
    stress.report_map("last operation");
    stress.drain()?;
    let end = Balance::take(stress)?;
    stress.report_map("end");
    stress.print_summary();
    phases::print_counts();
    end.compare(&start)
}
