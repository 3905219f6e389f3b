// SPDX-License-Identifier: BSD-2-Clause
//! Pools of address-space identifiers: full, and free again.

use std::vec::Vec;

use untyped_alloc::CPtr;

use super::choices::Choices;
use super::properties::play;
use crate::state::asids::AsidPools;

/// The most pools that any architecture here has.
const POOLS: u8 = 8;

#[test]
fn pools_fill_one_after_the_other_and_are_used_again() {
    let mut pools = AsidPools::new(CPtr::new(6));
    assert_eq!(pools.usable(), Some((0, Some(CPtr::new(6)))));
    for index in 0..POOLS {
        pools.set_full(index, true);
        let next = (index + 1 < POOLS).then_some((index + 1, None));
        assert_eq!(pools.usable(), next, "the next one is to be made first");
        if next.is_some() {
            let capability = CPtr::new(100 + usize::from(index));
            pools.insert(index + 1, capability);
            assert_eq!(pools.usable(), Some((index + 1, Some(capability))));
        }
    }
    for index in (0..POOLS).rev() {
        pools.set_full(index, false);
        assert_eq!(pools.usable().map(|(usable, _)| usable), Some(index), "the lowest is used");
    }
}

#[test]
fn a_pool_that_is_not_made_yet_cannot_be_full() {
    let mut pools = AsidPools::new(CPtr::new(6));
    pools.set_full(0, true);
    pools.set_full(1, true);
    assert_eq!(pools.usable(), Some((1, None)));
}

#[test]
fn any_history_is_that_of_a_list() {
    play(200, 60, |data| {
        let mut choices = Choices::new(data);
        let mut pools = AsidPools::new(CPtr::new(1));
        let mut model: Vec<Option<(CPtr, bool)>> = [None; POOLS as usize].into();
        model[0] = Some((CPtr::new(1), false));
        while !choices.is_empty() {
            let index = choices.below(usize::from(POOLS));
            match choices.below(3) {
                0 => {
                    let capability = CPtr::new(10 + choices.below(5));
                    pools.insert(index as u8, capability);
                    model[index] = Some((capability, false));
                }
                asked => {
                    pools.set_full(index as u8, asked == 1);
                    if let Some((_, full)) = &mut model[index] {
                        *full = asked == 1;
                    }
                }
            }
            let usable = (0..POOLS as usize).find_map(|index| match model[index] {
                None => Some((index as u8, None)),
                Some((capability, false)) => Some((index as u8, Some(capability))),
                Some((_, true)) => None,
            });
            assert_eq!(pools.usable(), usable);
        }
    });
}
