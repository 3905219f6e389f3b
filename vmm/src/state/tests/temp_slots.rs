// SPDX-License-Identifier: BSD-2-Clause
//! The two temporary mappings.

use page_tables::{Geometry, Pages};
use untyped_alloc::CPtr;

use super::choices::{Choices, PAGE};
use super::properties::play;
use crate::state::temp_slots::{TempSlot, TempSlots};

const BOTH: [TempSlot; 2] = [TempSlot::Target, TempSlot::View];

#[test]
fn the_two_are_neighbours() {
    for geometry in super::choices::GEOMETRIES {
        let range = geometry.range(Pages::at(geometry.user_end - 2 * PAGE).count(2)).unwrap();
        let slots = TempSlots::new(range);
        assert_eq!(slots.page(TempSlot::Target).bits(), geometry.user_end - 2 * PAGE);
        assert_eq!(slots.page(TempSlot::View).bits(), geometry.user_end - PAGE);
        assert!(slots.stuck.is_none());
    }
}

#[test]
fn any_history_is_that_of_two_cells() {
    play(300, 60, |data| {
        let mut choices = Choices::new(data);
        let mut slots = TempSlots::new(Geometry::IA32.range(Pages::at(0).count(2)).unwrap());
        let mut model: [Option<(CPtr, bool)>; 2] = [None; 2];
        while !choices.is_empty() {
            let which = choices.below(2);
            let slot = BOTH[which];
            match choices.below(4) {
                0 | 1 => {
                    let frame = CPtr::new(1 + choices.below(3));
                    slots.insert(slot, frame);
                    model[which] = Some((frame, false));
                }
                2 => {
                    slots.defer_free(slot);
                    model[which] = model[which].map(|(frame, _)| (frame, true));
                }
                _ => {
                    slots.remove(slot);
                    model[which] = None;
                }
            }
            for which in 0..2 {
                assert_eq!(slots.held(BOTH[which]), model[which]);
            }
            for frame in (0..5).map(CPtr::new) {
                let is_it = |held: &Option<(CPtr, bool)>| held.is_some_and(|held| held.0 == frame);
                let expected = model.iter().position(is_it).map(|which| which as u8);
                assert_eq!(slots.holding(frame).map(|slot| slot as u8), expected);
            }
            let left = model.iter().filter(|held| **held == held.map(|(f, _)| (f, true)));
            let left = left.filter(|held| held.is_some()).count();
            assert_eq!(slots.left_behind(), left);
        }
    });
}
