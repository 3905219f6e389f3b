// SPDX-License-Identifier: BSD-2-Clause
//! Messages and faults of several clients through the service, as a server would take them.
//!
//! ```text
//!   bytes ──► a message of a client's, meant or not ─┐
//!         ──► a touch of a thread's                  ├─► Service, Vmm, model kernel ──► checks
//!         ──► a client made or ended, a piece reaped ┤     all that is due is done
//!         ──► messages that wait in the queue        │
//!         ──► memory and slots taken by others ──────┘
//! ```
//!
//! Tables, quotas, slots, nodes, badges and numbers are short by the input's choice, and kernel
//! calls fail. Every sequence of bytes is a history. What a client knows is in `world.rs`, what may
//! come next in `steps.rs` and `decode.rs`, what the server does in `messages.rs` and `queue.rs`,
//! what is checked after each step in `check.rs`; at the end all clients end, and nothing may be
//! left.

mod check;
mod decode;
mod messages;
mod queue;
mod steps;
mod world;

use vmm_tests::model::Arena;
use vmm_tests::support::Fixture;

use crate::bytes::Bytes;
use crate::machine;
use world::World;

/// Steps of one input at the most.
const MAX_STEPS: usize = 160;

/// Runs one input.
pub fn run(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let machine = machine::machine_32(&mut bytes);
    let numbers = bytes.pick(&[7, 5, 15, (1 << 27) - 1]);
    let arena = Arena::new();
    let trace = std::env::var_os("VMM_FUZZ_TRACE").is_some();
    let Some(mut world) = World::new(Fixture::boot(&arena, machine), numbers, trace) else {
        return;
    };
    for _ in 0..MAX_STEPS {
        if bytes.is_empty() {
            break;
        }
        world.step(&mut bytes);
        world.check();
    }
    world.end();
}
