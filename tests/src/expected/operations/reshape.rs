// SPDX-License-Identifier: BSD-2-Clause
//! Regions cut, joined and moved.

use vmm::{Backing, Kind};

use super::super::answer::{Expected, Need, Outcome};
use super::super::choose::STALE;
use super::super::place::Told;
use super::super::{Page, Region, RegionRequest, Run};
use crate::support::{PAGE, in_guard, outside_region, wrong_kind};

impl Run<'_> {
    pub(super) fn split(&mut self, which: u8, pages: usize) -> Outcome {
        let id = self.state.region_by(which);
        let expect = |run: &Self| {
            let region = match run.region(id) {
                Ok(region) => region,
                Err(expected) => return expected,
            };
            let usable = region.usable();
            let expected = match region.kind {
                Kind::Memory if pages >= usable.len() / PAGE => {
                    Expected::refused(outside_region(usable.end))
                }
                Kind::Memory if pages == 0 => Expected::refused(outside_region(usable.start)),
                Kind::Memory => Expected::success(),
                _ => Expected::refused(wrong_kind(region.id)),
            };
            expected.perhaps(run.rules.lenient.then_some("Shared"))
        };
        let made = self.call(Need::NOTHING, expect, |vmm| vmm.split_region(id, pages))?;
        let region = *self.state.region(id).expect("it was split");
        let start = region.usable().start + pages * PAGE;
        assert_eq!(made.start().bits(), start);
        let lower = Region { pages: region.below + pages, above: 0, ..region };
        let first_page = match region.backing {
            Backing::Pager { .. } => region.first_page + pages,
            _ => 0,
        };
        let pages = region.pages - lower.pages;
        let upper = Region { id: made, start, pages, below: 0, first_page, ..region };
        let space = self.state.space_mut(id.space());
        space.regions.insert(lower.start, lower);
        space.regions.insert(upper.start, upper);
        Ok(())
    }

    pub(super) fn merge(&mut self, lower: u8, upper: u8) -> Outcome {
        let lower = self.state.region_by(lower);
        // Mostly the next one, which may be a neighbour.
        let space = self.state.space(lower.space());
        let after = lower.start().bits() + 1;
        let next = space.and_then(|space| space.regions.range(after..).next());
        let upper = match next {
            Some((_, next)) if upper < 200 => next.id,
            _ => self.state.region_by(upper),
        };
        let expect = |run: &Self| {
            let (a, b) = match (run.region(lower), run.region(upper)) {
                (Ok(a), Ok(b)) => (a, b),
                (a, b) => {
                    let no = |it: Result<Region, Expected>| it.err().map(|no| no.refusals);
                    return Expected::unless(no(a).into_iter().chain(no(b)).flatten());
                }
            };
            run.expect_merge(&a, &b)
        };
        self.call(Need::NOTHING, expect, |vmm| vmm.merge_regions(lower, upper))?;
        let a = *self.state.region(lower).expect("it was merged");
        let b = *self.state.region(upper).expect("it was merged");
        let space = self.state.space_mut(lower.space());
        space.regions.remove(&b.start);
        let large_pages = a.large_pages && b.large_pages;
        let joined = Region { pages: a.pages + b.pages, above: b.above, large_pages, ..a };
        space.regions.insert(a.start, joined);
        self.state.dead.push(upper);
        Ok(())
    }

    fn expect_merge(&self, a: &Region, b: &Region) -> Expected {
        let like = |r: &Region| (r.rights, r.ceiling, r.cache, r.inside, r.backing);
        let on = |r: &Region| r.first_page + r.usable().len() / PAGE;
        let in_order = !matches!(a.backing, Backing::Pager { .. }) || on(a) == b.first_page;
        let alike =
            in_order && like(a) == like(b) && (a.kind, b.kind) == (Kind::Memory, Kind::Memory);
        let address = b.start;
        let reservation = [a, b].iter().any(|region| region.kind == Kind::Reservation);
        let expected = if a.id.space() != b.id.space() || a.end() != b.start {
            Expected::refused(outside_region(address))
        } else if a.above != 0 || b.below != 0 {
            Expected::refused(in_guard(address))
        } else if alike {
            Expected::success()
        } else {
            Expected::refused(wrong_kind(b.id))
        };
        // The ends of reservations are no regions' ends.
        let expected = match reservation {
            true => {
                let why = [outside_region(address), in_guard(address)];
                expected.or(why).or([a.id, b.id].map(wrong_kind))
            }
            false => expected,
        };
        // Names differ, which the reference does not know of: those of TLS and of views.
        expected.perhaps(self.rules.lenient.then_some("WrongKind"))
    }

    pub(super) fn move_region(&mut self, which: u8, request: &RegionRequest) -> Outcome {
        let (id, target) = (self.state.region_by(which), self.state.target);
        let inside = request.inside.and_then(|which| self.state.inside_by(which));
        let region = self.state.region(id).copied();
        let request = region.map_or(*request, |region| request.like(&region));
        let expect = |run: &Self| {
            let region = match run.region(id) {
                Ok(region) => region,
                Err(expected) => return expected,
            };
            let expected = match region.is_memory() {
                true => {
                    let space = run.state.space(id.space()).expect("its region is alive");
                    let cow = space.pages.range(region.usable()).any(|(_, page)| page.cow);
                    let told = if cow { Told::Needed } else { Told::ByBacking };
                    run.place_told(space, &request, inside, told)
                }
                false => Expected::refused(wrong_kind(region.id)),
            };
            let tables = run.state.spaces.iter().any(|it| it.quota.tables != usize::MAX);
            let large = run.rules.lenient.then_some("LargePage");
            expected.perhaps(large).perhaps(tables.then_some("OutOfQuota"))
        };
        let places = expect(self).places;
        let options = request.options(target, inside);
        debug_assert!(which >= STALE || region.is_some());
        let made =
            self.call(Need::pages(0), expect, |vmm| vmm.move_region(id, options.placement()))?;
        let region = region.expect("it was moved");
        // It may go where it lies itself in part: that is looked at while it is still there.
        let moved = self.record(made, &request, inside, region.kind, &places);
        let moved = Region { first_page: region.first_page, ..moved };
        let space = self.state.space_mut(id.space());
        space.regions.remove(&region.start);
        space.regions.insert(moved.start, moved);
        let pages: Vec<usize> = space.pages.range(region.usable()).map(|(&at, _)| at).collect();
        let pages: Vec<(usize, Page)> = pages
            .into_iter()
            .map(|at| {
                let page = space.pages.remove(&at).expect("it is there");
                (at - region.start + moved.start, page)
            })
            .collect();
        space.pages.extend(pages);
        self.state.dead.push(id);
        Ok(())
    }
}
