// SPDX-License-Identifier: BSD-2-Clause
//! Kernel objects of all kinds, one by one and many at once; capability slots; trimming.

use alloc::vec::Vec;

use roottask::Outcome;
use vmm::{Blame, Blueprint, CPtr, Object, Objects};

use crate::engine::Stress;
use crate::measure::Kind;

/// What is held for a while.
enum Thing {
    One(Object),
    Many(Objects),
    Slots(CPtr, usize),
}

/// Takes and gives back, in a random order.
pub fn run(stress: &mut Stress) -> Outcome {
    let mut things = Vec::new();
    for _ in 0..stress.random.within(32, 256) {
        if stress.is_over() {
            break;
        }
        match stress.random.below(10) {
            0..=2 => things.extend(one(stress)?),
            3 => things.extend(many(stress)?),
            4 => things.extend(slots(stress)?),
            5 if stress.random.once_in(64) => {
                stress.must(Kind::Trim, |vmm| vmm.trim())?;
            }
            _ if things.is_empty() => {}
            _ => {
                let index = stress.random.below(things.len());
                give_back(stress, things.swap_remove(index))?;
            }
        }
    }
    for thing in things {
        give_back(stress, thing)?;
    }
    Ok(())
}

fn blueprint(stress: &mut Stress) -> Blueprint {
    match stress.random.below(8) {
        0..=1 => Blueprint::Tcb,
        2..=3 => Blueprint::Endpoint,
        4 => Blueprint::Notification,
        5 => Blueprint::CNode { radix_bits: stress.random.within(1, 9) as u8 },
        6 => Blueprint::Untyped { size_bits: stress.random.within(4, 18) as u8 },
        _ => Blueprint::Frame { size_bits: 12 },
    }
}

fn one(stress: &mut Stress) -> Outcome<Option<Thing>> {
    let blueprint = blueprint(stress);
    Ok(stress.attempt(Kind::Allocate, |vmm| vmm.allocate(blueprint))?.map(Thing::One))
}

fn many(stress: &mut Stress) -> Outcome<Option<Thing>> {
    let (blueprint, count) = (blueprint(stress), stress.random.size(64));
    let many = stress.attempt(Kind::Allocate, |vmm| vmm.allocate_many(blueprint, count))?;
    Ok(many.map(Thing::Many))
}

fn slots(stress: &mut Stress) -> Outcome<Option<Thing>> {
    let count = stress.random.size(256);
    let first = stress.attempt(Kind::TakeSlots, |vmm| vmm.alloc_slots(count))?;
    Ok(first.map(|first| Thing::Slots(first, count)))
}

/// Gives it back; twice is refused.
fn give_back(stress: &mut Stress, thing: Thing) -> Outcome {
    let stale = |error: &vmm::Error| match error {
        vmm::Error::Allocator(error) => error.blame() == Blame::Caller,
        _ => false,
    };
    let twice = stress.random.once_in(8);
    match thing {
        Thing::One(object) => {
            stress.must(Kind::Free, |vmm| vmm.free(object))?;
            if twice {
                stress.refused(Kind::Free, stale, |vmm| vmm.free(object))?;
            }
        }
        Thing::Many(objects) => {
            stress.must(Kind::Free, |vmm| vmm.free_many(objects))?;
            if twice {
                stress.refused(Kind::Free, stale, |vmm| vmm.free_many(objects))?;
            }
        }
        Thing::Slots(first, count) => {
            stress.must(Kind::GiveSlots, |vmm| vmm.free_slots(first, count))?;
            if twice {
                stress.refused(Kind::GiveSlots, stale, |vmm| vmm.free_slots(first, count))?;
            }
        }
    }
    Ok(())
}
