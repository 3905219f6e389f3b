// SPDX-License-Identifier: BSD-2-Clause
//! What is right of a request, as far as the manager's own memory and quotas bear on it.

use vmm::{Error, RegionId, Resource, Result, SpaceId};

use super::Run;
use super::answer::Expected;
use super::parts::{Region, Space};
use super::place::Told;
use super::request::RegionRequest;

impl Run<'_> {
    /// The space that is meant, or what a request to it is answered.
    pub(super) fn space(&self, id: SpaceId) -> Result<&Space, Expected> {
        self.state.space(id).ok_or_else(|| Expected::refused(Error::NoSuchSpace(id)))
    }

    /// The region that is meant, or what a request to it is answered.
    pub(super) fn region(&self, id: RegionId) -> Result<Region, Expected> {
        let found = self.state.region(id).copied();
        found.ok_or_else(|| Expected::unless(self.state.stale(id)))
    }

    /// What is right of a request about pages of one region: what `expect` says, unless the space
    /// or the range is none.
    pub(super) fn for_pages(
        &self,
        (id, start, pages): (SpaceId, usize, usize),
        expect: impl FnOnce(&Space, Region) -> Expected,
    ) -> Expected {
        match self.space(id) {
            Ok(space) => match self.state.pages_of(space, start, pages) {
                Ok(region) => expect(space, region),
                Err(error) => Expected::refused(error),
            },
            Err(expected) => expected,
        }
    }

    /// Where a request may go.
    pub(super) fn place(
        &self,
        space: &Space,
        request: &RegionRequest,
        inside: Option<RegionId>,
    ) -> Expected {
        self.place_told(space, request, inside, Told::ByBacking)
    }

    /// The same for what a region is moved or cloned to.
    pub(super) fn place_told(
        &self,
        space: &Space,
        request: &RegionRequest,
        inside: Option<RegionId>,
        told: Told,
    ) -> Expected {
        let place = self.state.place_told(space, request, inside, told);
        let may_miss = self.rules.lenient && self.state.may_miss(space, request, inside);
        place.perhaps(may_miss.then_some("NoRoom"))
    }

    /// The same of a request whose pages are mapped at once.
    pub(super) fn place_for(
        &self,
        space: &Space,
        request: &RegionRequest,
        inside: Option<RegionId>,
        pages: usize,
    ) -> Expected {
        let place = self.place(space, request, inside);
        let beyond = self.beyond(space, Resource::Frames, pages);
        let expected = match place.is_success() {
            true => place.or(beyond),
            false => place,
        };
        self.perhaps_quota(expected, space)
    }

    /// A request in the manager's own space may be beyond its quota because of book-keeping that is
    /// mapped first; one that needs page tables because of those, which the reference does not
    /// count.
    pub(super) fn perhaps_quota(&self, expected: Expected, space: &Space) -> Expected {
        let own = self.rules.lenient && space.id == self.host.own();
        let tables = self.state.spaces.iter().any(|space| space.quota.tables != usize::MAX);
        expected.perhaps((own || tables).then_some("OutOfQuota"))
    }

    /// What a space has of a resource.
    pub(super) fn used(&self, space: &Space, resource: Resource) -> usize {
        let spare = match self.rules.lenient && space.id == self.host.own() {
            true => self.host.vmm.stats().bookkeeping_pages,
            false => 0,
        };
        match resource {
            Resource::Frames => space.used(resource) + spare,
            // Large pages count as one.
            _ if self.rules.lenient => {
                self.host.vmm.usage(space.id).expect("the space is alive").of(resource)
            }
            _ => space.used(resource),
        }
    }

    /// Whether `more` would be too much.
    pub(super) fn beyond(&self, space: &Space, resource: Resource, more: usize) -> Option<Error> {
        let (used, limit) = (self.used(space, resource), space.quota.of(resource));
        let space = space.id;
        let error = Error::OutOfQuota { space, resource, limit, used, wanted: more };
        (more > limit.saturating_sub(used)).then_some(error)
    }

    /// Whether there may be no more regions.
    pub(super) fn is_full(&self) -> bool {
        let regions = self.state.spaces.iter().flat_map(|space| space.regions.values());
        let callers = regions.filter(|region| !region.is_the_managers());
        callers.count() >= self.rules.most_regions
    }
}
