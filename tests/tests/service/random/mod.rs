// SPDX-License-Identifier: BSD-2-Clause
//! Random and mutated messages: no panic, nothing broken, nobody else's memory touched.
//!
//! `VMM_MESSAGES` says how many (200000 without it), `VMM_SEED` which.
//!
//! ```text
//!   dice.rs       numbers that look random
//!   storm.rs      the service, who sends to it, and what must hold
//!   requests.rs   what a sender asks for
//!   steps.rs      a step, and what is learned from its answer
//! ```

mod dice;
mod requests;
mod steps;
mod storm;

use vmm::Quota;
use vmm_tests::support::random::setting;

use crate::support::{Machine, Target};
use crate::world::{AMPLE, World};
use storm::Storm;

const LIMITS: Quota = Quota { frames: 400, tables: 8, slots: 300, objects: 4 };

/// Returns how often memory was short, and threads that got a page of a pager's, and that did not.
fn storm(machine: Machine, limits: Quota, messages: u64) -> (usize, [usize; 2]) {
    let before = World::on(machine.clone()).free_bytes();
    let mut storm = Storm::new(machine, limits, setting("VMM_SEED", 0x5ea1_4500));
    for message in 0..messages {
        storm.step();
        if message % 2000 == 1999 {
            storm.check();
        }
    }
    storm.check();
    let Storm { answered, refused, short, most_calls, paged, .. } = storm;
    println!("{messages} messages: {answered} answered, {refused} refused");
    println!("{} threads got a page of a pager's, {} did not", paged[0], paged[1]);
    println!("granted, by number: {:?}", storm.granted);
    println!("{most_calls} kernel calls for one of them at the most");
    storm.end(before);
    (short, paged)
}

#[test]
fn no_message_breaks_anything_or_anybody() {
    let messages = setting("VMM_MESSAGES", 200_000);
    let (_, paged) = storm(Machine::roomy(Target::Ia32), LIMITS, messages);
    assert!(paged.iter().all(|&often| often > 0), "no pages from pagers: {paged:?}");
}

/// 1 MiB for all, and each may have all of it.
#[test]
fn no_message_breaks_anything_when_memory_is_short() {
    let messages = setting("VMM_MESSAGES", 200_000) / 4;
    let (short, _) = storm(Machine::small(Target::Ia32), AMPLE, messages);
    assert!(short > 0, "memory was never short");
}
