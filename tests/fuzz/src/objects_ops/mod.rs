// SPDX-License-Identifier: BSD-2-Clause
//! Messages, capabilities and touches of several programs through the service of objects.
//!
//! ```text
//!   bytes ──► a message, with capabilities right and wrong in every place ─┐
//!         ──► a touch of a mapping                                         ├─► Objects, Vmm, model
//!         ──► capabilities copied, passed on and deleted by their holders  │   kernel ──► checks
//!         ──► a program made or ended, by another too; a piece reaped     │
//!         ──► pages supplied and taken back; large pages                  │
//!         ──► notifications made, bound, told by, passed on              │
//!         ──► touches of memory of which there is none, by accounts that wait
//!         ──► memory and slots taken by others ────────────────────────────┘
//! ```
//!
//! On an ample machine no request may lack what its account has, and no touch may fail, unless a
//! kernel call does. On the others memory, slots, badges and numbers are short by the input's
//! choice. One program sends nothing: its memory stays as it is, and in the end its guarantee
//! holds. Every sequence of bytes is a history; what comes next is chosen in `steps.rs` and
//! `decode.rs`, what must hold stands in `check.rs`.

mod bulk;
mod check;
mod children;
mod decode;
mod image;
mod paging;
mod scarcity;
mod steps;
mod tally;
mod telling;
mod threads;
mod world;

use vmm_tests::model::Arena;
use vmm_tests::support::Fixture;

use crate::bytes::Bytes;
use crate::machine;
pub use tally::Tally;
use world::World;
#[allow(unused_imports)] // for the suite `objects`, which has this module too
pub use {image::program, world::arrive};

/// Steps of one input at the most.
const MAX_STEPS: usize = 400;

/// Runs one input.
pub fn run(data: &[u8]) -> Tally {
    let mut bytes = Bytes::new(data);
    let ample = !bytes.one_in(3);
    let machine = machine::of_service(&mut bytes, ample);
    let numbers = if ample { None } else { bytes.pick(&[None, Some(12), Some(20), Some(40)]) };
    let arena = Arena::new();
    let trace = std::env::var_os("VMM_FUZZ_TRACE").is_some();
    let host = Fixture::boot(&arena, machine);
    // What the service clears for promises it clears in words.
    host.kernel().bound_calls(None);
    let Some(mut world) = World::new(host, ample, numbers, trace) else {
        assert!(!ample, "there is all that accounts may use");
        return Tally::default();
    };
    for _ in 0..MAX_STEPS {
        if bytes.is_empty() {
            break;
        }
        world.step(&mut bytes);
        world.check();
    }
    world.end()
}
