// SPDX-License-Identifier: BSD-2-Clause
//! Address spaces, created and destroyed with all that is in them.

use roottask::{check, Outcome};
use vmm::Error;

use super::churn;
use crate::engine::Stress;
use crate::measure::Kind;
use crate::model::MAX_SPACES;

/// A few spaces, with areas in them.
pub fn run(stress: &mut Stress) -> Outcome {
    stress.repeat(4, 32, |stress| match stress.random.below(5) {
        0..=1 => create(stress),
        2 => destroy(stress),
        3 => churn::make_area(stress),
        _ => create_and_destroy(stress),
    })
}

/// Makes a space, or destroys one where there are enough.
pub fn create(stress: &mut Stress) -> Outcome {
    if stress.expected.spaces.len() >= MAX_SPACES {
        return destroy(stress);
    }
    if let Some(space) = stress.attempt(Kind::CreateSpace, |vmm| vmm.create_space())? {
        check!(!stress.expected.spaces.contains(&space));
        stress.expected.spaces.push(space);
    }
    Ok(())
}

/// Destroys a space.
pub fn destroy(stress: &mut Stress) -> Outcome {
    match stress.other_space() {
        Some(space) => stress.destroy_space(space),
        None => Ok(()),
    }
}

/// A space without anything in it; its id is stale then.
fn create_and_destroy(stress: &mut Stress) -> Outcome {
    let space = stress.attempt(Kind::CreateSpace, |vmm| vmm.create_space())?;
    let Some(space) = space else { return Ok(()) };
    stress.must(Kind::DestroySpace, |vmm| vmm.destroy_space(space))?;
    stress.refused(
        Kind::DestroySpace,
        |error| *error == Error::NoSuchSpace(space),
        |vmm| vmm.destroy_space(space),
    )
}
