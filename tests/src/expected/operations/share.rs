// SPDX-License-Identifier: BSD-2-Clause
//! Memory that shows in several places: shared by a caller, supplied by a pager.

use vmm::{Backing, Error, Kind, PageSize, RegionId, Resource, SpaceId, Supply};

use super::super::answer::{Expected, Need, Outcome, Refusal};
use super::super::{Origin, Page, Pages, RegionRequest, Run, Space};
use super::write::loosely;
use crate::support::{PAGE, beyond_ceiling};

impl Run<'_> {
    pub(super) fn share(
        &mut self,
        space: u8,
        pages: Pages,
        into: u8,
        request: &RegionRequest,
    ) -> Outcome {
        if self.is_full() {
            return Ok(());
        }
        let (id, start, pages) = self.state.pages_by(space, pages);
        let (into, target) = (self.state.space_by(into), self.state.target);
        let inside = request.inside.and_then(|which| self.state.inside_by(which));
        let source = self.state.space(id);
        let region = source.and_then(|space| self.state.pages_of(space, start, pages).ok());
        let limit = region.map_or(untyped_alloc::Rights::READ_WRITE, |region| region.ceiling);
        let ceiling = Some(request.ceiling().unwrap_or(limit));
        let cache = region.map_or(request.cache, |region| region.cache);
        let (backing, size) = (Backing::Explicit, PageSize::Small);
        let request = RegionRequest { pages, ceiling, cache, backing, size, ..*request };
        let expect = |run: &Self| run.expect_share(id, (start, pages), into, &request, inside);
        let places = expect(self).places;
        let options = request.share_options(target, inside);
        let fitting = expect(self).is_success();
        let need = Need::pages(self.own_copies(id, start, pages));
        let answer = self.call(need, expect, |vmm| {
            vmm.share(id, vmm::Pages::at(start).count(pages), into, &options)
        });
        if answer.is_ok() || fitting && !self.rules.lenient {
            self.follow_breaks(id, start, pages, answer.is_ok());
        }
        let made = answer?;
        let region = self.record(made, &request, inside, Kind::Memory, &places);
        let shown = self.state.space_mut(id).pages.range(start..start + pages * PAGE);
        let first = region.usable().start;
        let shown: Vec<(usize, Page)> = shown
            .map(|(&at, page)| {
                let page =
                    Page { rights: request.rights(), cache: request.cache, copy: true, ..*page };
                (at - start + first, page)
            })
            .collect();
        self.state.space_mut(into).pages.extend(shown);
        Ok(())
    }

    fn expect_share(
        &self,
        id: SpaceId,
        (start, pages): (usize, usize),
        into: SpaceId,
        request: &RegionRequest,
        inside: Option<RegionId>,
    ) -> Expected {
        let (space, to) = match (self.space(id), self.space(into)) {
            (Ok(space), Ok(to)) => (space, to),
            (from, to) => {
                let no = |it: Result<&Space, Expected>| it.err().map(|expected| expected.refusals);
                let refusals = no(from).into_iter().chain(no(to)).flatten();
                return Expected::unless(refusals);
            }
        };
        let region = match self.state.pages_of(space, start, pages) {
            Ok(region) => region,
            Err(error) => return Expected::refused(error),
        };
        let (limit, asked) = (region.ceiling, request.ceiling().unwrap_or(region.ceiling));
        if !limit.contains(asked) {
            return Expected::refused(beyond_ceiling(asked, limit));
        }
        let brought = |page: &Page| matches!(page.origin, Origin::Objects(_));
        let not_managed = self.any_in(space, start, pages, brought);
        let large = self.has_large(id, start, pages);
        if let Some(error) = space.hole(start, pages) {
            return Expected::refused(error).or(not_managed).or(large);
        }
        let large = large.map(|_| "LargePage");
        let expected = self.may_share(to, pages, request, inside).or(not_managed).perhaps(large);
        self.perhaps_quota(expected, to)
    }

    /// What is left to be said of sharing so many pages, which are there.
    fn may_share(
        &self,
        to: &Space,
        pages: usize,
        request: &RegionRequest,
        inside: Option<RegionId>,
    ) -> Expected {
        self.place(to, request, inside).or(self.beyond_copies(to, pages))
    }

    /// What a space that gets copies of so many pages is short of.
    pub(super) fn beyond_copies(&self, to: &Space, pages: usize) -> Vec<Error> {
        let beyond = |resource| self.beyond(to, resource, pages);
        [Resource::Slots, Resource::Frames].into_iter().filter_map(beyond).collect()
    }

    /// The refusal of pages in a range that are not the manager's to give or to write to.
    pub(super) fn not_managed(&self, space: &Space, start: usize, pages: usize) -> Option<Refusal> {
        self.any_in(space, start, pages, |page| !Self::is_ours(page))
    }

    /// The refusal of a range where a page is of a kind that is not to be had.
    fn any_in(
        &self,
        space: &Space,
        start: usize,
        pages: usize,
        is: impl Fn(&Page) -> bool,
    ) -> Option<Refusal> {
        let mut pages = space.pages.range(start..start.saturating_add(pages.saturating_mul(PAGE)));
        pages.any(|(_, page)| is(page)).then_some(Refusal::Named("NotManaged"))
    }

    /// How many pages of a range get memory of their own before they are shared.
    pub(super) fn own_copies(&self, id: SpaceId, start: usize, pages: usize) -> usize {
        let end = start.saturating_add(pages.saturating_mul(PAGE));
        let Some(space) = self.state.space(id) else { return 0 };
        let pages = space.pages.range(start..end);
        pages.filter(|(_, page)| page.cow && self.state.users(page.cell) > 1).count()
    }

    /// Copy-on-write ends for pages that are shared: for all of them, or, when memory ran out, for
    /// those for which it has.
    fn follow_breaks(&mut self, id: SpaceId, start: usize, pages: usize, all: bool) {
        let end = start.saturating_add(pages.saturating_mul(PAGE));
        let Some(space) = self.state.space(id) else { return };
        let broken = |at: usize| {
            let mapping = self.host.vmm.mapping_at(id, at).expect("a space");
            all || mapping.is_some_and(|mapping| !mapping.copy_on_write)
        };
        let cow = space.pages.range(start..end).filter(|(_, page)| page.cow);
        let broken: Vec<usize> = cow.map(|(&at, _)| at).filter(|&at| broken(at)).collect();
        broken.into_iter().for_each(|at| self.state.break_cow(id, at));
    }

    /// A pager, which is a space here, gives a page of its own to a region that it pages.
    pub(super) fn supply(
        &mut self,
        space: u8,
        pages: Pages,
        from: u8,
        given: Pages,
        how: Supply,
    ) -> Outcome {
        let (id, address, _) = self.state.pages_by(space, pages);
        let (from, page, _) = self.state.pages_by(from, given);
        let at = address & !(PAGE - 1);
        let expect = |run: &Self| match (run.space(id), run.space(from)) {
            (Ok(space), Ok(source)) => {
                let expected = run.expect_supply(space, at, source, page, how);
                run.perhaps_quota(expected, space)
            }
            (to, from) => {
                let no = |it: Result<&Space, Expected>| it.err().map(|expected| expected.refusals);
                Expected::unless(no(to).into_iter().chain(no(from)).flatten())
            }
        };
        let need = Need::pages(1);
        self.call(need, expect, |vmm| vmm.supply_page(id, address, from, page, how))?;
        let region = self.state.space(id).and_then(|space| space.region_at(at).copied());
        let region = region.expect("it was supplied to a region");
        let shown = self.state.break_range(from, page..page + PAGE)[0].1;
        if how == Supply::Transfer {
            self.state.space_mut(from).pages.remove(&page);
        }
        let copy = shown.copy || how == Supply::Share;
        let (rights, cache) = (region.rights, region.cache);
        self.state.space_mut(id).pages.insert(at, Page { rights, cache, copy, ..shown });
        Ok(())
    }

    fn expect_supply(
        &self,
        space: &Space,
        at: usize,
        source: &Space,
        page: usize,
        how: Supply,
    ) -> Expected {
        let mut wrong: Vec<Refusal> = Vec::new();
        let into = self.state.pages_of(space, at, 1);
        let given = self.state.pages_of(source, page, 1);
        match into {
            Ok(into) => {
                if !matches!(into.backing, Backing::Pager { .. }) {
                    wrong.push(Refusal::Named("WrongKind"));
                }
                if space.pages.contains_key(&at) {
                    wrong.push(Refusal::Named("AlreadyMapped"));
                }
            }
            Err(error) => wrong.extend(loosely(error)),
        }
        let given = match given {
            Ok(given) => given,
            Err(error) => return Expected::unless(wrong).or(loosely(error)),
        };
        wrong.extend(source.hole(page, 1).into_iter().flat_map(loosely));
        wrong.extend(self.not_managed(source, page, 1));
        wrong.extend(self.has_large(source.id, page, 1));
        if into.is_ok_and(|into| !given.ceiling.contains(into.ceiling)) {
            wrong.push(Refusal::Named("RightsExceedCeiling"));
        }
        if how == Supply::Share && into.is_ok_and(|into| given.cache != into.cache) {
            wrong.push(Refusal::Named("WrongKind"));
        }
        if let Some(shown) = source.pages.get(&page) {
            let copies = how == Supply::Share || shown.copy;
            let beyond = |resource| self.beyond(space, resource, 1).map(Refusal::from);
            wrong.extend(copies.then(|| beyond(Resource::Slots)).flatten());
            wrong.extend(beyond(Resource::Frames));
            if how == Supply::Transfer && self.state.users(shown.cell) != 1 {
                wrong.push(Refusal::Named("Shared"));
            }
        }
        Expected::unless(wrong)
    }
}
