// SPDX-License-Identifier: BSD-2-Clause
//! The runner: a manager on a model kernel beside the state as it ought to be. It makes requests of
//! both, and holds each answer against those that are right.

use std::fmt::Debug;

use untyped_alloc::Blame;
use vmm::{Error, Kind, PageSize, RegionId, RegionInfo, Result, SpaceId};

use super::answer::{Expected, Failing, Halt, Need, Outcome};
use super::parts::{Region, Space};
use super::request::{RegionRequest, Request, TestAddress, Where};
use super::state::State;
use crate::support::{Fixture, Manager, PAGE};

/// What a suite allows for.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Whether the manager's own memory may grow, kernel calls may fail and large pages are about.
    /// Then want of memory is believed, and a place need not be the best. Otherwise both are exact.
    pub lenient: bool,
    /// The most spaces at a time: a request for more is not made.
    pub most_spaces: usize,
    /// The most regions of callers at a time: likewise.
    pub most_regions: usize,
    /// Whether `trim` follows a kernel call that failed, so that nothing stays in quarantine.
    pub trims: bool,
    /// Whether requests and answers are printed.
    pub trace: bool,
}

impl Rules {
    /// Everything exact, few spaces.
    pub const EXACT: Rules =
        Rules { most_spaces: 4, lenient: false, trims: false, ..Rules::LENIENT };
    /// Anything may happen.
    pub const LENIENT: Rules = Rules {
        lenient: true,
        most_spaces: usize::MAX,
        most_regions: usize::MAX,
        trims: true,
        trace: false,
    };
}

/// A manager and its reference.
pub struct Run<'p> {
    /// The manager on the model kernel.
    pub host: Fixture<'p>,
    /// What ought to be so.
    pub state: State,
    /// What this suite allows for.
    pub rules: Rules,
    /// Whether the kernel call that is to fail in this step fails all that follow, too.
    pub(super) lasts: bool,
}

impl<'p> Run<'p> {
    /// A reference of the manager as it has just booted. The regions of the boot are taken from the
    /// manager; they must cover what the kernel mapped.
    pub fn new(mut host: Fixture<'p>, rules: Rules) -> Run<'p> {
        host.vmm.detach_from(2);
        let own = host.own();
        let root = host.vmm.vspace(own).expect("its own");
        let space = Space::new(own, root, &regions_of(&host, own));
        {
            let kernel = host.kernel();
            let vspace = kernel.facts().vspace;
            for (vaddr, _) in kernel.mappings(vspace) {
                assert!(space.region_at(vaddr).is_some(), "{vaddr:#x} is in no region");
            }
        }
        let state = State::new(host.target(), space);
        Run { host, state, rules, lasts: false }
    }

    /// Makes a request, with a kernel call that fails if so wanted. Does not compare.
    ///
    /// # Errors
    /// The refusal, which is right.
    ///
    /// # Panics
    /// When the answer is not right.
    pub fn step(&mut self, request: Request, failing: Option<Failing>) -> Outcome {
        let failures = self.host.kernel().injected_failures();
        self.lasts = false;
        if let Some(Failing { nth, error, lasts }) = failing {
            self.lasts = lasts;
            match self.lasts {
                true => self.host.kernel().fail_from(nth, error),
                false => self.host.kernel().fail_nth(nth, error),
            }
        }
        let outcome = self.make(request);
        self.host.kernel().disarm();
        let fired = self.host.kernel().injected_failures() != failures;
        if self.rules.trace {
            eprintln!("{request:x?}, {:x?}\n    => {outcome:x?}", failing.filter(|_| fired));
        }
        if self.rules.lenient {
            self.follow(fired, outcome.is_err_and(|halt| halt.is_in_its_midst()));
        }
        outcome
    }

    /// Makes one call of the manager, and holds its answer against the right ones.
    pub(super) fn call<T: Debug>(
        &mut self,
        need: Need,
        expect: impl Fn(&Run<'p>) -> Expected,
        call: impl FnOnce(&mut Manager<'p>) -> Result<T>,
    ) -> Outcome<T> {
        let (expected, free) = (expect(self), self.free_bytes());
        let failures = self.host.kernel().injected_failures();
        let reclaimed = self.host.vmm.stats().reclaimed_pages;
        let answer = call(&mut self.host.vmm);
        if self.host.vmm.stats().reclaimed_pages != reclaimed {
            self.follow_reclaimed(self.host.vmm.stats().reclaimed_pages - reclaimed);
        }
        let fired = self.host.kernel().injected_failures() != failures;
        if fired {
            self.host.kernel().disarm();
        }
        match self.rules.lenient {
            true => self.check_lenient(&expected, expect, &answer, fired),
            false => self.check_exact(&expected, &answer, need, free),
        }
        answer.map_err(|error| Halt { error, fired })
    }

    /// Holds an answer against what was expected; want of memory must be so.
    #[track_caller]
    fn check_exact<T: Debug>(
        &self,
        expected: &Expected,
        answer: &Result<T>,
        need: Need,
        free: usize,
    ) {
        match answer {
            Ok(done) => {
                assert_eq!(expected.refusals, [], "{done:?}, where a refusal was expected");
            }
            Err(error) if expected.has(error) => {}
            Err(error) if expected.is_success() => {
                assert_eq!(error.blame(), Blame::Resource, "{error:?}, expected was success");
                let short = need.exceeds(free, self.state.tcbs().count());
                assert!(short, "{error:?}: {need:?} with {free} bytes free");
            }
            Err(error) => panic!("{error:?}, expected was {:?}", expected.refusals),
        }
    }

    /// The same where memory may be short at any time, and a kernel call may have failed.
    #[track_caller]
    fn check_lenient<T: Debug>(
        &mut self,
        expected: &Expected,
        expect: impl Fn(&Run<'p>) -> Expected,
        answer: &Result<T>,
        fired: bool,
    ) {
        let right = |expected: &Expected| match answer {
            Ok(_) => expected.is_success(),
            Err(error) => {
                let exact = matches!(error, Error::NoRoom { .. } | Error::OutOfQuota { .. });
                let short = error.blame() == Blame::Resource && !exact;
                let kernels = fired
                    && !matches!(error, Error::NoRoom { .. })
                    && error.blame() != Blame::Caller;
                expected.has(error) || short || kernels
            }
        };
        if !right(expected) {
            // Book-keeping may have taken the place first.
            self.see_managers_regions();
            let now = expect(self);
            assert!(right(&now), "{answer:x?}, expected was {expected:x?} (a failure: {fired})");
        }
    }

    /// Bytes that are free and can be had, page tables that are kept empty included, but not those
    /// that are held back.
    fn free_bytes(&self) -> usize {
        let stats = self.host.vmm.stats();
        stats.free_bytes() - stats.allocator.held_bytes
    }

    /// Learns which regions of its own space are the manager's, where that may change.
    pub(super) fn see_managers_regions(&mut self) {
        if !self.rules.lenient {
            return;
        }
        let own = self.host.own();
        let told = regions_of(&self.host, own);
        let space = self.state.space_mut(own);
        space.regions.retain(|_, region| !region.is_the_managers());
        for region in told.iter().map(Region::told).filter(Region::is_the_managers) {
            space.regions.insert(region.start, region);
        }
    }

    /// Every region of a space, as the manager tells.
    pub(super) fn told(&self, space: SpaceId) -> Vec<RegionInfo> {
        regions_of(&self.host, space)
    }

    /// Records a region, having checked that its place is one of the right ones.
    #[track_caller]
    pub(super) fn record(
        &mut self,
        id: RegionId,
        request: &RegionRequest,
        inside: Option<RegionId>,
        kind: Kind,
        places: &[usize],
    ) -> Region {
        self.see_managers_regions();
        let (start, total) = (id.start().bits(), request.total());
        match self.rules.lenient {
            false => assert!(places.contains(&start), "{start:#x}, right were {places:#x?}"),
            // Book-keeping may lie where the best place was.
            true => {
                let first = start + usize::from(request.below) * PAGE;
                let place = Where::At(TestAddress::Bits(first));
                let space = self.state.space(id.space()).expect("it was made in a space");
                let here = self.state.place(space, &RegionRequest { place, ..*request }, inside);
                assert!(here.is_success(), "{id:?} lies where it cannot: {here:?}");
            }
        }
        if let Where::Within(from, to) = request.place {
            let (from, to) = (from.bits(self.state.target), to.bits(self.state.target));
            let end = start + total * PAGE;
            assert!(from <= start && end <= to, "{id:?} is to lie in {from:#x}..{to:#x}");
        }
        let region = Region {
            id,
            start,
            pages: total,
            below: request.below.into(),
            above: request.above.into(),
            rights: request.rights(),
            ceiling: self.state.ceiling(request, inside),
            cache: request.cache,
            kind,
            inside,
            backing: request.backing,
            first_page: 0,
            large_pages: request.size == PageSize::Auto,
        };
        let space = self.state.space_mut(id.space());
        match kind {
            Kind::Reservation => space.reservations.push(region),
            _ => {
                space.regions.insert(start, region);
            }
        }
        region
    }

    /// Records a region whose place the manager itself chose, as this request would.
    #[track_caller]
    pub(super) fn record_chosen(
        &mut self,
        id: RegionId,
        request: &RegionRequest,
        kind: Kind,
    ) -> Region {
        let space = self.state.space(id.space()).expect("it was made in a space");
        let places = self.state.place(space, request, None).places;
        self.record(id, request, None, kind, &places)
    }
}

fn regions_of(host: &Fixture<'_>, space: SpaceId) -> Vec<RegionInfo> {
    let (mut at, mut found) = (0, Vec::new());
    while let Some(info) = host.vmm.next_region(space, at).expect("a space") {
        at = info.range.end();
        found.push(info);
    }
    found
}
