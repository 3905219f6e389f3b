// SPDX-License-Identifier: BSD-2-Clause
//! Places for regions, looked for in the holes of a map.

use page_tables::VirtAddr;

use super::extent::offset;
use super::region::{depth_of, last_at, Region, StartKey};
use super::region_map::{Place, Regions};
use super::region_tree::{next, next_with, pages_of, rank_of};

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

/// Holes that are large enough but for an alignment, and looked at before one is looked for in
/// which a shape must fit.
const TRIES: usize = 16;

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

    /// The first node whose hole belongs to a reservation (0 for none) and has at least so many
    /// pages. O(log n).
    #[inline(always)]
    fn first_hole(&self, reservation: StartKey, pages: usize) -> Option<&'p Region<'p>> {
        if reservation == 0 {
            let ranked = self.tree.first_with(rank_of(0, pages));
            return self.or_apart(ranked, 0, pages);
        }
        let start = self.tree.find(reservation).filter(|start| start.is_start())?;
        match start.hole.get() >= pages {
            true => Some(start),
            false => self.next_hole(start, reservation, pages),
        }
    }

    /// The same behind a node, which lies in the reservation or in one inside, or before all that
    /// does. O(log n).
    fn next_hole(
        &self,
        region: &'p Region<'p>,
        reservation: StartKey,
        pages: usize,
    ) -> Option<&'p Region<'p>> {
        let ranked = next_with(region, rank_of(depth_of(reservation), pages));
        match reservation {
            0 => self.or_apart(ranked, region.key() + 1, pages),
            // A hole elsewhere has the rank only where the reservation has ended.
            _ => ranked.filter(|found| found.reservation.get() == reservation),
        }
    }

    /// The first node, by address, of one that the tree knows the hole of, and of the two whose
    /// holes it does not know, if they have at least so many pages and their keys are not below
    /// `least`.
    #[inline(always)]
    fn or_apart(
        &self,
        ranked: Option<&'p Region<'p>>,
        least: StartKey,
        pages: usize,
    ) -> Option<&'p Region<'p>> {
        let fits = |node: &&'p Region<'p>| node.hole.get() >= pages && node.key() >= least;
        let found = match (ranked, self.cut_node.filter(fits)) {
            (Some(ranked), Some(cut)) if cut.key() < ranked.key() => Some(cut),
            (ranked, cut) => ranked.or(cut),
        };
        found.or_else(|| self.end_node.filter(fits))
    }

    /// Pages of the largest hole that belongs to no reservation. O(1).
    pub fn largest_hole(&self) -> usize {
        let apart = [self.end_node, self.cut_node].map(|node| node.map_or(0, |it| it.hole.get()));
        pages_of(self.tree.greatest(), 0).max(apart[0]).max(apart[1])
    }

    /// Pages of the largest hole in a reservation (0 for outside of all). O(log n), times the bits
    /// of its number of pages.
    pub fn largest_hole_in(&self, reservation: StartKey) -> usize {
        if reservation == 0 {
            return self.largest_hole();
        }
        let start = self.tree.find(reservation).filter(|start| start.is_start());
        let most = start.map_or(0, |start| start.spec().pages);
        let mut largest = 0;
        for bit in (0..usize::BITS - most.leading_zeros()).rev() {
            let more = largest | 1 << bit;
            if self.first_hole(reservation, more).is_some() {
                largest = more;
            }
        }
        largest
    }

    /// A place anywhere: the lowest one, or the lowest in a hole in which the shape must fit, where
    /// it does not fit in sixteen before it that are large enough but for its alignment. O(log n);
    /// times as many holes as are large enough where it must fit in none.
    pub fn place_anywhere(&self, shape: Shape) -> Option<Place<'p>> {
        let Shape { pages, align_bits, reservation, .. } = shape;
        let mut hole = self.first_hole(reservation, pages);
        for _ in 0..TRIES {
            if let Some(place) = self.fit(hole?, shape, 0) {
                return Some(place);
            }
            hole = self.next_hole(hole?, reservation, pages);
        }
        let slack = (1usize << align_bits.saturating_sub(self.page_bits)) - 1;
        if let Some(certain) = self.first_hole(reservation, pages.checked_add(slack)?) {
            return self.fit(certain, shape, 0);
        }
        while let Some(region) = hole {
            if let Some(place) = self.fit(region, shape, 0) {
                return Some(place);
            }
            hole = self.next_hole(region, reservation, pages);
        }
        None
    }

    /// The lowest place between the addresses `from` and `to`. O(log n), times as many holes as are
    /// large enough but for an alignment.
    pub fn place_within(&self, shape: Shape, from: usize, to: usize) -> Option<Place<'p>> {
        let Shape { pages, reservation, .. } = shape;
        let start = VirtAddr::default().checked_add(from)?;
        // A reservation's first hole is behind its start edge.
        let first = self.tree.last_up_to(last_at(start).max(reservation))?;
        let mut hole = match first.reservation.get() == reservation && first.hole.get() >= pages {
            true => Some(first),
            false => self.next_hole(first, reservation, pages),
        };
        while let Some(region) = hole.filter(|region| self.end(region) < to) {
            if let Some(place) = self.fit(region, shape, from) {
                let end = place.start.bits() + (pages << self.page_bits);
                return (end <= to).then_some(place);
            }
            hole = self.next_hole(region, reservation, pages);
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
        let behind = self.tree.last_up_to(last_at(start)).ok_or(NoPlace::NoRoom)?;
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
        Err(match next(behind) {
            Some(next) if next.is_edge() => NoPlace::Outside { address: hole_end },
            Some(next) => taken(hole_end, next),
            None => NoPlace::NoRoom,
        })
    }
}
