// SPDX-License-Identifier: BSD-2-Clause
//! Places that are asked for in a map of regions: anywhere, at an address, between two.

use super::choices::{address, Choices, PAGE};
use super::region_history::History;
use crate::state::region_map::Place;
use crate::state::region_places::Shape;

impl<'p> History<'p> {
    fn some_shape(&self, choices: &mut Choices<'_>) -> Shape {
        let pages = match choices.below(40) {
            36 => self.model.end,
            37 => usize::MAX >> 12,
            38 => usize::MAX,
            39 => self.model.end - choices.below(4),
            few => 1 + few % 7,
        };
        let guard = choices.pick(&[0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 5, 0xffff]) * PAGE;
        let align_bits = choices.pick(&[12, 12, 12, 12, 12, 12, 12, 13, 13, 14, 15, 16, 22, 30]);
        Shape { pages, guard, align_bits, reservation: self.some_reservation(choices) }
    }

    pub(super) fn place_anywhere(&mut self, choices: &mut Choices<'_>) -> bool {
        let shape = self.some_shape(choices);
        let place = self.space.regions().place_anywhere(shape);
        self.model.check_anywhere(&shape, place.map(|place| place.start.bits() / PAGE));
        self.take(choices, place, shape)
    }

    pub(super) fn place_within(&mut self, choices: &mut Choices<'_>) -> bool {
        let shape = self.some_shape(choices);
        let mut edge = |past: usize| match choices.below(8) {
            0 => past,
            1 => self.some_page(choices) * PAGE + 1,
            2 => self.some_page(choices) * PAGE + PAGE - 1,
            _ => self.some_page(choices) * PAGE,
        };
        let (from, to) = (edge(0), edge(usize::MAX));
        let place = self.space.regions().place_within(shape, from, to);
        let expected = self.model.within(&shape, from, to);
        assert_eq!(place.map(|place| place.start.bits() / PAGE), expected, "{from:#x}..{to:#x}");
        self.take(choices, place, shape)
    }

    pub(super) fn place_at(&mut self, choices: &mut Choices<'_>) -> bool {
        let start = self.some_page(choices);
        let mut shape = self.some_shape(choices);
        // One above the end has no range, so none is asked for.
        shape.pages = shape.pages.min(self.model.end - start);
        if choices.one_in(2) {
            shape.reservation = self.model.reservation_at(start);
        }
        let place =
            self.space.regions().place_at(address(start * PAGE), shape.pages, shape.reservation);
        self.model.check_at(start, shape.pages, shape.reservation, place.map(|_| ()));
        if let Ok(place) = place {
            assert_eq!(place.start.bits(), start * PAGE);
        }
        self.take(choices, place.ok(), shape)
    }

    /// Enters a region or a reservation at a place that was found; or leaves it.
    fn take(&mut self, choices: &mut Choices<'_>, place: Option<Place<'p>>, shape: Shape) -> bool {
        let Some(place) = place else { return false };
        if self.free.len() < 2 || choices.one_in(8) {
            return false;
        }
        self.insert(place, shape, choices.one_in(3));
        true
    }
}
