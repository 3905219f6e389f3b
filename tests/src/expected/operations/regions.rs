// SPDX-License-Identifier: BSD-2-Clause
//! Regions: made, with memory or without; reservations; released.

use vmm::{Error, Kind, PageSize, RegionId};

use super::super::answer::{Expected, Need, Outcome, Refusal};
use super::super::choose::pick;
use super::super::{RegionRequest, Run, Where};
use crate::support::{PAGE, wrong_kind};

impl Run<'_> {
    pub(super) fn map(&mut self, space: u8, request: &RegionRequest) -> Outcome {
        if self.is_full() {
            return Ok(());
        }
        let (id, target) = (self.state.space_by(space), self.state.target);
        let inside = request.inside.and_then(|which| self.state.inside_by(which));
        let expect = |run: &Self| match run.space(id) {
            Ok(space) => run.large(request, run.place_for(space, request, inside, request.pages)),
            Err(expected) => expected,
        };
        let places = expect(self).places;
        let options = request.options(target, inside);
        let made = self.call(Need::pages(request.pages), expect, |vmm| vmm.map(id, &options))?;
        let region = self.record(made, request, inside, Kind::Memory, &places);
        self.state.map_fresh(id, region.usable(), &region);
        Ok(())
    }

    pub(super) fn reserve(&mut self, space: u8, request: &RegionRequest) -> Outcome {
        if self.is_full() {
            return Ok(());
        }
        self.reserve_as(space, request, Kind::Memory)
    }

    pub(super) fn create_reservation(&mut self, space: u8, request: &RegionRequest) -> Outcome {
        self.reserve_as(space, request, Kind::Reservation)
    }

    fn reserve_as(&mut self, space: u8, request: &RegionRequest, kind: Kind) -> Outcome {
        let (id, target) = (self.state.space_by(space), self.state.target);
        let inside = request.inside.and_then(|which| self.state.inside_by(which));
        let expect = |run: &Self| match run.space(id) {
            Ok(space) => run.place(space, request, inside),
            Err(expected) => expected,
        };
        let places = expect(self).places;
        let options = request.options(target, inside);
        let made = self.call(Need::NOTHING, expect, |vmm| match kind {
            Kind::Reservation => vmm.create_reservation(id, &options),
            _ => vmm.reserve(id, &options),
        })?;
        self.record(made, request, inside, kind, &places);
        Ok(())
    }

    /// Adds what may be wrong with the page size asked for.
    fn large(&self, request: &RegionRequest, expected: Expected) -> Expected {
        let PageSize::Large { bits } = request.size else { return expected };
        if self.host.vmm.geometry().level_of_frame(bits).is_none() {
            return expected.or([Error::NoSuchFrameSize { bits }]);
        }
        let size = 1usize << bits;
        let bytes = request.pages as u128 * PAGE as u128;
        let uneven = !bytes.is_multiple_of(size as u128);
        let misplaced = match request.place {
            Where::At(address) => !address.bits(self.state.target).is_multiple_of(size),
            _ => false,
        };
        match uneven || misplaced {
            true => expected.or([Refusal::Named("Address")]),
            // Where the manager chooses, it chooses a place that does.
            false => expected,
        }
    }

    /// Everything a caller could try to release: regions of all kinds, reservations.
    pub(super) fn release(&mut self, which: u8) -> Outcome {
        let spaces = self.state.spaces.iter();
        let reservations = spaces.flat_map(|space| &space.reservations).map(|found| found.id);
        let id = match pick(&reservations.collect::<Vec<_>>(), which) {
            Some(id) if which.is_multiple_of(4) => id,
            _ => self.state.region_by(which),
        };
        self.release_id(id)
    }

    pub(in super::super) fn release_id(&mut self, id: RegionId) -> Outcome {
        let expect = |run: &Self| {
            let space = run.state.space(id.space());
            match run.region(id) {
                Err(expected) => expected,
                Ok(region) if region.is_memory() => Expected::success(),
                Ok(region)
                    if region.kind == Kind::Reservation
                        && space.is_some_and(|space| space.is_reservation_empty(id)) =>
                {
                    Expected::success()
                }
                Ok(_) => Expected::refused(wrong_kind(id)),
            }
        };
        match self.call(Need::NOTHING, expect, |vmm| vmm.release(id)) {
            Ok(()) => self.state.remove(id),
            Err(halt) => {
                if halt.fired {
                    self.see_what_is_left(id.space());
                }
                return Err(halt);
            }
        }
        Ok(())
    }

    pub(super) fn release_dead(&mut self, which: u8) -> Outcome {
        if let Some(id) = pick(&self.state.dead, which) {
            let error = self.state.stale(id).expect("it is gone");
            self.host.refuses(error, |vmm| vmm.release(id));
        }
        Ok(())
    }

    pub(super) fn trim(&mut self) -> Outcome {
        let trimmed = self.call(Need::NOTHING, |_| Expected::success(), |vmm| vmm.trim());
        if self.rules.lenient {
            // What a refused clone left under copy-on-write can be written again.
            self.follow_cow();
        }
        trimmed
    }

    /// Nothing that can be seen changes but the frames, whose contents are compared as always.
    pub(super) fn compact(&mut self, bits: u8) -> Outcome {
        let expect = |_: &Run<'_>| Expected::success();
        let gained = self.call(Need::NOTHING, expect, |vmm| vmm.compact(bits))?;
        let largest = self.host.vmm.stats().allocator.largest_free_bytes;
        assert!(!gained || largest >= 1 << bits, "2^{bits} bytes were gained, {largest} are free");
        Ok(())
    }
}
