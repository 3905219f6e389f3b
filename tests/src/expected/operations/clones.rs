// SPDX-License-Identifier: BSD-2-Clause
//! Clones: regions and spaces whose pages are copied when they are written to.

use std::ops::Range;

use vmm::{Error, RegionId, SpaceId};

use super::super::answer::{Expected, Need, Outcome, Refusal};
use super::super::place::Told;
use super::super::{Page, Region, RegionRequest, Run};
use crate::support::{PAGE, wrong_kind};

impl Run<'_> {
    pub(super) fn clone_region(
        &mut self,
        which: u8,
        into: u8,
        request: &RegionRequest,
        on_demand: bool,
    ) -> Outcome {
        if self.is_full() {
            return Ok(());
        }
        let (id, target) = (self.state.region_by(which), self.state.target);
        let into = self.state.space_by(into);
        let inside = request.inside.and_then(|which| self.state.inside_by(which));
        let region = self.state.region(id).copied();
        let request = region.map_or(*request, |region| request.like(&region));
        let expect = |run: &Self| {
            let dead = run.space(into).err().map(|expected| expected.refusals);
            let own = on_demand && into == run.host.own();
            let own = own.then_some(Error::OwnSpace(into).into());
            let dead: Vec<Refusal> = dead.into_iter().flatten().chain(own).collect();
            let region = match run.region(id) {
                Ok(region) => region,
                Err(expected) => return expected.or(dead),
            };
            if !region.is_memory() {
                return Expected::refused(wrong_kind(id)).or(dead);
            }
            let (forbidden, pages) = run.forbidden(&region);
            match run.space(into) {
                Ok(to) => {
                    let place = run.place_told(to, &request, inside, Told::Preferred);
                    let untold = run.clone_is_untold(&region, &request, &place);
                    let place = place.or(untold.then_some(Refusal::Named("FaultsNotTold")));
                    let expected = place.or(forbidden).or(run.beyond_copies(to, pages)).or(dead);
                    run.perhaps_quota(expected, to)
                }
                Err(expected) => expected.or(forbidden),
            }
        };
        let (places, fitting) = (expect(self).places, expect(self).is_success());
        let options = request.options(target, inside);
        let need = Need::pages(0);
        let answer = self.call(need, expect, |vmm| match on_demand {
            true => vmm.clone_region_on_demand(id, into, options.placement()),
            false => vmm.clone_region(id, into, options.placement()),
        });
        if let (Err(_), true, false, Some(region)) = (&answer, fitting, self.rules.lenient, region)
        {
            self.state.restore_write_access(id.space(), region.usable());
        }
        if let (true, true, Some(region)) = (answer.is_err(), on_demand, region) {
            self.may_be_detached(id.space(), region.usable());
        }
        let (made, region) = (answer?, region.expect("it was cloned"));
        let clone = self.record(made, &request, inside, region.kind, &places);
        self.state.set_first_page(&clone, region.first_page);
        self.record_clone(&region, &clone, on_demand);
        Ok(())
    }

    /// What forbids to clone a region, and how many pages it has.
    fn forbidden(&self, region: &Region) -> (Vec<Refusal>, usize) {
        let space = self.state.space(region.id.space()).expect("its region is alive");
        let usable = region.usable();
        let mut why: Vec<Refusal> = Vec::new();
        if self.state.untold_page(region).is_some() {
            why.push(Refusal::Named("FaultsNotTold"));
        }
        why.extend(self.not_managed(space, usable.start, usable.len() / PAGE));
        let users = self.state.all_users();
        let pages = space.pages.range(usable);
        let shared = |page: &Page| !page.cow && users[&page.cell] > 1;
        if let Some((&address, _)) = pages.clone().find(|(_, page)| shared(page)) {
            why.push(match self.rules.lenient {
                // Large pages are looked at first.
                true => Refusal::Named("Shared"),
                false => Error::Shared { address }.into(),
            });
        }
        (why, pages.count())
    }

    /// Whether a mapped page would come to lie where faults are not told.
    fn clone_is_untold(&self, region: &Region, request: &RegionRequest, place: &Expected) -> bool {
        let space = self.state.space(region.id.space()).expect("its region is alive");
        let (from, target) = (region.usable(), self.state.target);
        let last = space.pages.range(from.clone()).next_back().map(|(&at, _)| at - from.start);
        let below = usize::from(request.below) * PAGE;
        target.fault_end() < target.user_end()
            && place
                .places
                .iter()
                .any(|start| last.is_some_and(|last| start + below + last >= target.fault_end()))
    }

    /// Of pages in a range the kernel may have none, but for the manager's own space.
    pub(super) fn may_be_detached(&mut self, id: SpaceId, range: Range<usize>) {
        if id != self.host.own() && self.state.space(id).is_some() && range.start < range.end {
            let pages = self.state.space_mut(id).pages.range_mut(range);
            pages.for_each(|(_, page)| page.deferred = true);
        }
    }

    fn record_clone(&mut self, region: &Region, clone: &Region, on_demand: bool) {
        let (from, to) = (region.usable(), clone.usable().start);
        let own = region.id.space() == self.host.own();
        let origin = self.state.space_mut(region.id.space());
        let mut cloned = Vec::new();
        for (&at, page) in origin.pages.range_mut(from.clone()) {
            page.cow = true;
            page.deferred |= on_demand && !own;
            let clone = Page { copy: true, deferred: on_demand, ..*page };
            cloned.push((at - from.start + to, clone));
        }
        self.state.space_mut(clone.id.space()).pages.extend(cloned);
    }

    pub(super) fn clone_space(&mut self, space: u8, on_demand: bool) -> Outcome {
        let id = self.state.space_by(space);
        if self.state.spaces.len() >= self.rules.most_spaces || self.is_full() {
            return Ok(());
        }
        let expect = |run: &Self| {
            let space = match run.space(id) {
                Ok(space) => space,
                Err(expected) => return expected,
            };
            if id == run.host.own() {
                return Expected::refused(Error::OwnSpace(id));
            }
            let memory = space.regions.values().filter(|region| region.is_memory());
            let why = memory.flat_map(|region| run.forbidden(region).0);
            run.perhaps_quota(Expected::unless(why), space)
        };
        let clone = self.call(Need::pages(2), expect, |vmm| match on_demand {
            true => vmm.clone_space_on_demand(id),
            false => vmm.clone_space(id),
        });
        if on_demand {
            self.may_be_detached(id, 0..usize::MAX);
        }
        self.record_cloned_space(id, clone?, on_demand);
        Ok(())
    }

    fn record_cloned_space(&mut self, id: SpaceId, clone: SpaceId, on_demand: bool) {
        self.record_space(clone);
        self.state.space_mut(clone).regions.retain(|_, region| region.is_the_managers());
        let regions = self.state.space(id).expect("it was cloned").regions.clone();
        for region in regions.values().filter(|region| region.is_memory()) {
            let found = self.host.vmm.region_at(clone, region.start).expect("alive");
            let id = found.expect("it was cloned").id;
            let copy = Region { id, inside: None, ..*region };
            self.state.space_mut(clone).regions.insert(copy.start, copy);
            self.record_clone(region, &copy, on_demand);
        }
    }

    /// Ends copy-on-write where nobody else has the memory.
    pub(super) fn restore_write_access(&mut self, which: u8) -> Outcome {
        let id: RegionId = self.state.region_by(which);
        let expect = |run: &Self| Expected::unless(run.state.stale(id));
        self.call(Need::NOTHING, expect, |vmm| vmm.restore_write_access(id))?;
        let region = *self.state.region(id).expect("it was settled");
        self.state.restore_write_access(id.space(), region.usable());
        Ok(())
    }
}
