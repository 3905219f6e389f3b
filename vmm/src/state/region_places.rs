// SPDX-License-Identifier: BSD-2-Clause
//! Places for regions, looked for in the holes of a map.

use core::ops::ControlFlow;

use intrusive_collections::Bound;
use page_tables::VirtAddr;

use super::extent::offset;
use super::region::{last_at, least_hole, Region, StartKey};
use super::region_map::{Place, Regions};

/// What a place is wanted for.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    /// Pages, guards included.
    pub pages: usize,
    /// Bytes of the guard below. What is aligned is the page after it.
    pub guard: usize,
    pub align_bits: u8,
    /// The reservation it is to lie in: the key of its start edge, or 0.
    pub reservation: StartKey,
}

/// Why there is no place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NoPlace {
    /// Nowhere is there a hole for it.
    NoRoom,
    /// This address is taken.
    Taken { address: usize, region_start: usize },
    /// This address is outside the reservation asked for, or inside one that was not asked for.
    Outside { address: usize },
}

impl<'p> Regions<'p> {
    /// Where in the hole behind `region` the shape fits, not below `from`.
    fn fit(&self, region: &'p Region<'p>, shape: Shape, from: usize) -> Option<Place<'p>> {
        let begin = self.end(region);
        let end = begin + (region.hole.get() << self.page_bits);
        let mask = (1usize << shape.align_bits) - 1;
        let usable = begin.max(from).checked_add(shape.guard)?.checked_add(mask)? & !mask;
        let start = usable - shape.guard;
        let fits = start < end && (end - start) >> self.page_bits >= shape.pages;
        fits.then(|| Place {
            behind: region,
            start: offset(region.start.get(), start - region.start.get().bits()),
        })
    }

    /// A place anywhere: the smallest hole that must fit, or the first of the smaller ones that
    /// happens to. O(log n), and at the most 16 holes more when the alignment is large; all that
    /// are large enough where none must fit.
    pub fn place_anywhere(&self, shape: Shape) -> Option<Place<'p>> {
        let Shape { pages, align_bits, reservation, .. } = shape;
        let slack = (1usize << align_bits.saturating_sub(self.page_bits)) - 1;
        let least = least_hole(reservation, pages);
        let mut cursor = self.holes.lower_bound(Bound::Included(&least));
        let mut tries = 16;
        while let Some(region) =
            cursor.clone_pointer().filter(|hole| hole.reservation.get() == reservation)
        {
            if let Some(place) = self.fit(region, shape, 0) {
                return Some(place);
            }
            tries -= 1;
            if tries == 0 {
                break;
            }
            cursor.move_next();
        }
        let least = least_hole(reservation, pages.checked_add(slack)?);
        let certain = self.holes.lower_bound(Bound::Included(&least)).clone_pointer();
        if let Some(region) = certain.filter(|hole| hole.reservation.get() == reservation) {
            return self.fit(region, shape, 0);
        }
        self.place_in_any(shape)
    }

    /// The smallest hole in which the shape fits, where none is so large that it must. O(holes).
    #[cold]
    #[inline(never)]
    fn place_in_any(&self, shape: Shape) -> Option<Place<'p>> {
        let least = least_hole(shape.reservation, shape.pages);
        let mut cursor = self.holes.lower_bound(Bound::Included(&least));
        while let Some(region) =
            cursor.clone_pointer().filter(|hole| hole.reservation.get() == shape.reservation)
        {
            if let Some(place) = self.fit(region, shape, 0) {
                return Some(place);
            }
            cursor.move_next();
        }
        None
    }

    /// The lowest place between the addresses `from` and `to`.
    ///
    /// O(log n) where few regions lie between, or where holes that are large enough have few
    /// sizes: the search goes through both by turns, and ends with the first that ends. (Holes of
    /// k sizes cover k² / 2 pages at the least.)
    pub fn place_within(&self, shape: Shape, from: usize, to: usize) -> Option<Place<'p>> {
        let start = VirtAddr::default().checked_add(from)?;
        let between = |place: Place<'p>| {
            (place.start.bits() + (shape.pages << self.page_bits) <= to).then_some(place)
        };
        let mut walk = self.by_start.upper_bound(Bound::Included(&last_at(start)));
        let mut by_size = BySize::new(shape, last_at(start));
        for step in 1.. {
            let Some(region) = walk.clone_pointer() else { break };
            if self.end(region) >= to {
                break;
            }
            if region.reservation.get() == shape.reservation {
                if let Some(place) = self.fit(region, shape, from) {
                    return between(place);
                }
            }
            if step % STEPS == 0 && by_size.step(self, from, to).is_break() {
                return by_size.lowest.and_then(between);
            }
            walk.move_next();
        }
        None
    }

    /// The place that starts at `start`.
    pub fn place_at(
        &self,
        start: VirtAddr,
        pages: usize,
        reservation: StartKey,
    ) -> Result<Place<'p>, NoPlace> {
        let cursor = self.by_start.upper_bound(Bound::Included(&last_at(start)));
        let behind = cursor.clone_pointer().ok_or(NoPlace::NoRoom)?;
        let taken = |address: usize, region: &Region<'_>| NoPlace::Taken {
            address,
            region_start: region.start.get().bits(),
        };
        if self.end(behind) > start.bits() {
            return Err(taken(start.bits(), behind));
        }
        if behind.reservation.get() != reservation {
            return Err(NoPlace::Outside { address: start.bits() });
        }
        let hole_end = self.end(behind) + (behind.hole.get() << self.page_bits);
        if (hole_end.saturating_sub(start.bits())) >> self.page_bits >= pages {
            return Ok(Place { behind, start });
        }
        Err(match cursor.peek_next().get() {
            Some(next) if next.is_edge() => NoPlace::Outside { address: hole_end },
            Some(next) => taken(hole_end, next),
            None => NoPlace::NoRoom,
        })
    }
}

/// Regions that [`Regions::place_within`] goes past before it looks at one more size of holes.
/// Tests have small maps, in which both ways must be gone.
const STEPS: usize = if cfg!(any(test, feature = "state-tests")) { 2 } else { 16 };

/// The search for the lowest place above a node, one size of holes after the other: the index has
/// those of one size in the order of their addresses.
struct BySize<'p> {
    shape: Shape,
    /// Holes are looked for whose nodes have greater keys.
    above: StartKey,
    /// The next hole to look at has this size or a larger one,
    pages: usize,
    /// and if it has this size, a greater key.
    past: StartKey,
    /// The lowest place so far.
    lowest: Option<Place<'p>>,
}

impl<'p> BySize<'p> {
    fn new(shape: Shape, above: StartKey) -> Self {
        BySize { shape, above, pages: shape.pages, past: above, lowest: None }
    }

    /// Looks at one hole. Breaks when `lowest` is the lowest of all. O(log n).
    fn step(&mut self, regions: &Regions<'p>, from: usize, to: usize) -> ControlFlow<()> {
        let past = (self.shape.reservation, self.pages, self.past);
        let hole = regions.holes.lower_bound(Bound::Excluded(&past)).clone_pointer();
        let hole = hole.filter(|hole| hole.reservation.get() == self.shape.reservation);
        let Some(hole) = hole else { return ControlFlow::Break(()) };
        if hole.hole.get() != self.pages {
            // The first of a larger size: those below are passed over with the next step.
            (self.pages, self.past) = (hole.hole.get(), self.above);
            return ControlFlow::Continue(());
        }
        let begin = regions.end(hole);
        let limit = self.lowest.map_or(to, |lowest| lowest.start.bits());
        match regions.fit(hole, self.shape, from).filter(|_| begin < limit) {
            Some(place) => {
                if place.start.bits() < limit {
                    self.lowest = Some(place);
                }
                self.next_size()
            }
            None if begin < limit => {
                self.past = hole.key();
                ControlFlow::Continue(())
            }
            None => self.next_size(),
        }
    }

    fn next_size(&mut self) -> ControlFlow<()> {
        match self.pages.checked_add(1) {
            Some(pages) => {
                (self.pages, self.past) = (pages, self.above);
                ControlFlow::Continue(())
            }
            None => ControlFlow::Break(()),
        }
    }
}
