// SPDX-License-Identifier: BSD-2-Clause
//! Where a region may go, and which ranges are a caller's.

use page_tables::AddressError;
use untyped_alloc::Rights;
use vmm::{Backing, Error, Kind, PageSize, RegionId, RegionOptions, ShareOptions};

use super::answer::{Expected, Refusal};
use super::parts::{Region, Space};
use super::request::{RegionRequest, Where};
use super::state::State;
use crate::support::{
    PAGE, Target, beyond_ceiling, in_guard, no_room, not_told, outside_region, overlap, wrong_kind,
};

/// No page can be written and not read.
pub fn and_read(rights: Rights) -> Rights {
    if rights.intersects(Rights::WRITE | Rights::EXECUTE) { rights | Rights::READ } else { rights }
}

impl RegionRequest {
    /// The same for the manager.
    pub fn options(&self, target: Target, inside: Option<RegionId>) -> RegionOptions {
        let mut options = RegionOptions::new(self.pages)
            .guarded(self.below, self.above)
            .aligned(self.align_bits)
            .rights(self.rights)
            .cached(self.cache)
            .page_size(self.size)
            .backed(self.backing)
            .named("request");
        // Whether pages may move changes nothing that can be seen.
        if self.pages & 1 == 0 {
            options = options.movable(true);
        }
        options = match self.place {
            Where::Anywhere => options,
            Where::At(address) => options.at(address.bits(target)),
            Where::Within(from, to) => options.within(from.bits(target)..to.bits(target)),
        };
        options = self.ceiling.map_or(options, |ceiling| options.ceiling(ceiling));
        inside.map_or(options, |id| options.inside(id))
    }

    /// The same for memory that is shared, which says itself what its view is like.
    pub fn share_options(&self, target: Target, inside: Option<RegionId>) -> ShareOptions {
        let options = ShareOptions::new()
            .placed(self.options(target, inside).placement())
            .guarded(self.below, self.above)
            .rights(self.rights)
            .named("request");
        self.ceiling.map_or(options, |ceiling| options.ceiling(ceiling))
    }

    /// The rights that its pages have: what may be written may be read.
    pub fn rights(&self) -> Rights {
        and_read(self.rights)
    }

    /// The ceiling that is asked for, with the same rule.
    pub fn ceiling(&self) -> Option<Rights> {
        self.ceiling.map(and_read)
    }

    /// What a region asks for when it is moved or cloned: only the place is asked for anew.
    #[must_use]
    pub fn like(&self, region: &Region) -> RegionRequest {
        RegionRequest {
            pages: region.usable().len() / PAGE,
            below: region.below as u16,
            above: region.above as u16,
            rights: region.rights,
            ceiling: Some(region.ceiling),
            cache: region.cache,
            backing: region.backing,
            // Only a region that is mapped at once says that its pages are large.
            size: if region.large_pages { PageSize::Auto } else { PageSize::Small },
            ..*self
        }
    }
}

/// A hole that fits, or not: from, to, and the reservation it lies in.
type Hole = (usize, usize, Option<RegionId>);

/// What a place must be like.
struct Fit {
    inside: Option<RegionId>,
    align: usize,
    guard: usize,
    bytes: usize,
}

impl Fit {
    /// The lowest start in a hole, not below `from`, if there is room.
    fn lowest(&self, &(hole, to, owner): &Hole, from: usize) -> Option<usize> {
        let first = hole.max(from).checked_add(self.guard)?.checked_next_multiple_of(self.align)?;
        let start = first.checked_sub(self.guard)?;
        (owner == self.inside && start.checked_add(self.bytes)? <= to).then_some(start)
    }
}

/// Whether faults in a region must be told by their whole address.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// As its backing says.
    ByBacking,
    /// The manager prefers a place where they are: that of a clone.
    Preferred,
    /// They must: pages of it are under copy-on-write.
    Needed,
}

/// The ceiling of a region that was asked for without, outside of reservations: what is not to be
/// run now is not to be run later.
fn unasked_ceiling(request: &RegionRequest) -> Rights {
    match request.rights().contains(Rights::EXECUTE) {
        true => Rights::READ_WRITE_EXECUTE,
        false => Rights::READ_WRITE,
    }
}

impl State {
    /// What is wrong with the id of a region.
    pub fn stale(&self, id: RegionId) -> Option<Error> {
        match self.space(id.space()) {
            None => Some(Error::NoSuchSpace(id.space())),
            Some(space) => space.region(id).is_none().then_some(Error::NoSuchRegion(id)),
        }
    }

    /// The most that the rights of a region inside this reservation can be, or what is wrong with
    /// it.
    fn limit(&self, space: &Space, inside: Option<RegionId>) -> Result<Rights, Error> {
        let Some(id) = inside else { return Ok(Rights::READ_WRITE_EXECUTE) };
        if let Some(error) = self.stale(id) {
            return Err(error);
        }
        let found = space.reservations.iter().find(|found| found.id == id);
        found.map(|found| found.ceiling).ok_or(wrong_kind(id))
    }

    /// The ceiling that a region asked for so has.
    pub fn ceiling(&self, request: &RegionRequest, inside: Option<RegionId>) -> Rights {
        let around = inside.and_then(|id| self.region(id)).map(|found| found.ceiling);
        request.ceiling().or(around).unwrap_or(unasked_ceiling(request))
    }

    /// The alignment of what is to go anywhere: large pages imply theirs.
    fn align_bits(&self, request: &RegionRequest) -> u8 {
        let asked = request.align_bits.max(12);
        let geometry = self.target.architecture().geometry;
        match (request.size, request.place) {
            (_, Where::At(_)) => asked,
            (PageSize::Large { bits }, _) if geometry.level_of_frame(bits).is_some() => {
                asked.max(bits)
            }
            _ => asked,
        }
    }

    /// Where a request may go. `inside` is what its number stands for.
    pub fn place(
        &self,
        space: &Space,
        request: &RegionRequest,
        inside: Option<RegionId>,
    ) -> Expected {
        self.place_told(space, request, inside, Told::ByBacking)
    }

    /// The same for what a region is moved or cloned to.
    pub fn place_told(
        &self,
        space: &Space,
        request: &RegionRequest,
        inside: Option<RegionId>,
        told: Told,
    ) -> Expected {
        let told = if request.backing == Backing::Explicit { told } else { Told::Needed };
        let limit = match self.limit(space, inside) {
            Ok(limit) => limit,
            Err(error) => return Expected::refused(error),
        };
        let around = inside.map(|_| limit);
        let ceiling = request.ceiling().or(around).unwrap_or(unasked_ceiling(request));
        if !limit.contains(ceiling) {
            return Expected::refused(beyond_ceiling(ceiling, limit));
        }
        if !ceiling.contains(request.rights()) {
            return Expected::refused(beyond_ceiling(request.rights(), ceiling));
        }
        let (end, total) = (self.target.user_end(), request.total());
        let align_bits = self.align_bits(request);
        if request.pages == 0 {
            let address = match request.place {
                Where::Anywhere => 0,
                Where::At(from) | Where::Within(from, _) => from.bits(self.target),
            };
            return Expected::refused(Error::from(AddressError::Empty { address }));
        }
        if total > end / PAGE || request.align_bits >= 31 {
            return Expected::refused(no_room(request.pages, request.align_bits));
        }
        let no_room = no_room(total, align_bits);
        let guard = usize::from(request.below) * PAGE;
        let fit = Fit { inside, align: 1 << align_bits, guard, bytes: total * PAGE };
        match request.place {
            Where::At(address) => {
                let (address, end) = (address.bits(self.target), self.target.fault_end());
                let place = self.place_at(space, address, request, inside);
                let last = address.saturating_add(request.pages * PAGE);
                // That it lies at no address at all is said first.
                let in_user_space = !place.refusals.iter().any(Refusal::is_of_an_address);
                if told == Told::Needed && last > end && in_user_space && self.has_untold() {
                    return Expected::refused(not_told(address.max(end), end));
                }
                place
            }
            Where::Anywhere => {
                let holes = space.holes(end);
                let fitting: Vec<_> =
                    holes.iter().filter_map(|hole| Some((fit.lowest(hole, 0)?, hole))).collect();
                // The lowest place, unless an alignment makes holes a gamble.
                let lowest = fitting.iter().map(|(at, _)| *at).min();
                let right = |at: &usize| align_bits != 12 || Some(*at) == lowest;
                let starts = fitting.iter().map(|(at, _)| *at).filter(right);
                let mut places: Vec<usize> = starts.collect();
                if places.is_empty() {
                    return Expected::refused(no_room);
                }
                let is_told = |&start: &usize| start + total * PAGE <= self.target.fault_end();
                if told != Told::ByBacking && self.has_untold() && !places.iter().all(is_told) {
                    // The lowest place, if that is one.
                    let lowest = fitting.iter().map(|(at, _)| *at).filter(is_told).min();
                    match (lowest, told) {
                        (Some(lowest), _) => places.push(lowest),
                        (None, Told::Needed) => {
                            return Expected::refused(Refusal::Named("FaultsNotTold"));
                        }
                        (None, _) => {}
                    }
                    if lowest.is_some() {
                        places.retain(is_told);
                    }
                }
                Expected { places, ..Expected::success() }
            }
            Where::Within(from, to) => {
                let (from, to) = (from.bits(self.target), to.bits(self.target));
                let holes = space.holes(end);
                match holes.iter().find_map(|hole| fit.lowest(hole, from)) {
                    Some(start) if start + total * PAGE <= to => {
                        let end = self.target.fault_end();
                        if told == Told::Needed && self.has_untold() && start + total * PAGE > end {
                            return Expected::refused(not_told(start.max(end), end));
                        }
                        Expected { places: vec![start], ..Expected::success() }
                    }
                    _ => Expected::refused(no_room),
                }
            }
        }
    }

    /// Whether there are addresses of whose faults the kernel does not tell all.
    fn has_untold(&self) -> bool {
        self.target.fault_end() < self.target.user_end()
    }

    /// The first page of a region that is mapped where faults are not told.
    pub fn untold_page(&self, region: &Region) -> Option<usize> {
        let space = self.space(region.id.space())?;
        let untold = self.target.fault_end().max(region.usable().start)..region.usable().end;
        let mut pages = space.pages.range(untold.start..untold.end.max(untold.start));
        pages.next().filter(|_| self.has_untold()).map(|(&at, _)| at)
    }

    fn place_at(
        &self,
        space: &Space,
        address: usize,
        request: &RegionRequest,
        inside: Option<RegionId>,
    ) -> Expected {
        let bits = request.align_bits.max(12);
        if !address.is_multiple_of(1 << bits) {
            return Expected::refused(Error::from(AddressError::Misaligned { address, bits }));
        }
        let Some(start) = address.checked_sub(usize::from(request.below) * PAGE) else {
            return Expected::refused(in_guard(0));
        };
        let pages = request.total();
        if let Err(error) = self.range(start, pages) {
            return Expected::refused(error);
        }
        let range = start..start + pages * PAGE;
        // What lies at an address changes at these alone.
        let edges = |it: &Region| [it.start, it.end()];
        let cuts = space.regions.values().chain(&space.reservations).flat_map(edges);
        let mut cuts: Vec<usize> = cuts.filter(|at| range.contains(at)).collect();
        cuts.push(start);
        cuts.sort_unstable();
        for at in cuts {
            let mut refusals: Vec<Refusal> = Vec::new();
            if let Some(region) = space.region_at(at) {
                let region_start = region.start;
                refusals.push(overlap(at, region_start).into());
            }
            // Where a region lies in somebody else's reservation, either is true.
            if space.reservation_at(at) != inside {
                refusals.push(outside_region(at).into());
            }
            if !refusals.is_empty() {
                return Expected { refusals, ..Expected::default() };
            }
        }
        Expected { places: vec![start], ..Expected::success() }
    }

    /// Whether a place may not be found although there is one: where an alignment is asked for, a
    /// hole that fits may not be tried.
    pub fn may_miss(
        &self,
        space: &Space,
        request: &RegionRequest,
        inside: Option<RegionId>,
    ) -> bool {
        let bits = self.align_bits(request);
        match request.place {
            Where::At(_) => false,
            Where::Within(..) => request.below != 0 && bits != 12,
            Where::Anywhere => {
                let bytes = request.total().saturating_mul(PAGE);
                let certain = bytes.saturating_add((1usize << bits.min(31)) - PAGE);
                let holes = space.holes(self.target.user_end());
                !holes.iter().any(|hole| hole.2 == inside && hole.1 - hole.0 >= certain)
            }
        }
    }

    /// Whether these are pages of user space.
    pub fn range(&self, start: usize, pages: usize) -> Result<(), Error> {
        let end = self.target.user_end();
        let refused = if !start.is_multiple_of(PAGE) {
            AddressError::Misaligned { address: start, bits: 12 }
        } else if pages == 0 {
            AddressError::Empty { address: start }
        } else {
            match pages.checked_mul(PAGE).and_then(|bytes| start.checked_add(bytes)) {
                None => AddressError::Wraps { address: start, pages },
                Some(last) if last > end => AddressError::OutsideUserSpace { address: last, end },
                Some(_) => return Ok(()),
            }
        };
        Err(refused.into())
    }

    /// Whether these pages are a caller's to map and unmap: all in one region, and no guard.
    pub fn pages_of(&self, space: &Space, start: usize, pages: usize) -> Result<Region, Error> {
        self.range(start, pages)?;
        let region = *space.region_at(start).ok_or(outside_region(start))?;
        if !matches!(region.kind, Kind::Memory | Kind::Stack) {
            return Err(wrong_kind(region.id));
        }
        let usable = region.usable();
        let first_bad = match usable.contains(&start) {
            true if start + pages * PAGE <= usable.end => return Ok(region),
            true => usable.end,
            false => start,
        };
        match first_bad >= region.end() {
            true => Err(outside_region(first_bad)),
            false => Err(in_guard(first_bad)),
        }
    }
}
