//! Requests whose effect comes later: clones, memory on demand, touches; and limits to them.

use std::hash::{DefaultHasher, Hash, Hasher};

use untyped_alloc::Rights;
use vmm::{Access, Error, Kind, PageFault, Quota, RegionId, Resolution, Resource, Result};

use super::super::ops::Wish;
use super::super::reference::{Page, Region, Space, Verdict};
use super::{Need, Run, options};
use crate::support::PAGE;

/// What a touch does.
enum Touched {
    /// The thread gets on; fresh pages were mapped there before: all of these, or, where that is too
    /// much, the one that was touched.
    Done { fresh: std::ops::Range<usize> },
    /// It does not.
    Stopped,
    /// It could if this were not short.
    Short(Error),
}

impl Run<'_> {
    /// The verdict, but for what is beyond a quota.
    pub(super) fn within_quota(&self, number: usize, pages: usize, verdict: Verdict) -> Verdict {
        let beyond = self.reference.spaces[number].beyond_quota(Resource::Frames, pages);
        match (verdict, beyond) {
            (Verdict::Places(_), Some(error)) => Verdict::Refused(vec![error]),
            (verdict, _) => verdict,
        }
    }

    pub(super) fn limit(&mut self, space: u8, more: Option<u8>) {
        let number = self.space_number(space);
        let space = &mut self.reference.spaces[number];
        let more = more.map(usize::from);
        let limit = |of| more.map_or(usize::MAX, |more| space.used(of) + more);
        let (frames, slots) = (limit(Resource::Frames), limit(Resource::Slots));
        space.quota = Quota { frames, slots, ..Quota::UNLIMITED };
        self.host.vmm.set_quota(space.id, space.quota).expect("a space");
    }

    /// How many pages of a range get memory of their own before they are shared.
    pub(super) fn own_copies(&self, number: usize, start: usize, pages: usize) -> usize {
        let end = start.saturating_add(pages.saturating_mul(PAGE));
        let pages = self.reference.spaces[number].pages.range(start..end);
        pages.filter(|(_, page)| page.cow && self.reference.users(page.frame) > 1).count()
    }

    /// What is left to be said of sharing these pages, which are there.
    pub(super) fn may_share(
        &self,
        pages: usize,
        into: usize,
        wish: &Wish,
        inside: Option<RegionId>,
    ) -> Verdict {
        let to = &self.reference.spaces[into];
        let beyond = |resource| to.beyond_quota(resource, pages);
        let refusals: Vec<Error> =
            [Resource::Slots, Resource::Frames].into_iter().filter_map(beyond).collect();
        refused_or(refusals, self.reference.place(to, wish, inside))
    }

    /// Copy-on-write ends for pages that are shared: for all of them, or, when memory ran out, for
    /// those for which it has.
    pub(super) fn follow_breaks(&mut self, number: usize, start: usize, pages: usize, all: bool) {
        let end = start.saturating_add(pages.saturating_mul(PAGE));
        let space = &self.reference.spaces[number];
        let broken = |at: usize| {
            let mapping = self.host.vmm.mapping_at(space.id, at).expect("a space");
            all || mapping.is_some_and(|mapping| !mapping.copy_on_write)
        };
        let cow = space.pages.range(start..end).filter(|(_, page)| page.cow);
        let broken: Vec<usize> = cow.map(|(&at, _)| at).filter(|&at| broken(at)).collect();
        broken.into_iter().for_each(|at| self.reference.break_cow(number, at));
    }

    pub(super) fn clone_region(&mut self, which: u8, into: u8, wish: &Wish) {
        let (number, region) = self.some_region(which);
        let into = self.space_number(into);
        let inside = wish.inside.and_then(|which| self.some_id(which));
        let usable = region.usable();
        let wish = Wish {
            place: wish.place,
            align_bits: wish.align_bits,
            inside: wish.inside,
            pages: usable.len() / PAGE,
            below: region.below as u16,
            above: region.above as u16,
            rights: region.rights,
            ceiling: Some(region.ceiling),
        };
        let options = options(&wish, inside, &self.host);
        let verdict = self.may_clone(number, &region, into, &wish, inside);
        let (places, refusals) = verdict.split();
        let free = self.host.vmm.stats().free_bytes();
        let target = self.reference.spaces[into].id;
        let answer = self.host.vmm.clone_region(region.id, target, &options);
        let need = Need { pages: 0, tables: true, free };
        let fitting = refusals.is_empty();
        let Some(id) = self.judge(answer, &refusals, need) else {
            if fitting {
                self.reference.settle(number, usable);
            }
            return;
        };
        let start = id.start().bits();
        assert!(places.contains(&start), "{start:#x}, right were {places:#x?}");
        let origin = &mut self.reference.spaces[number].pages;
        let mut cloned: Vec<(usize, Page)> = Vec::new();
        for (&at, page) in origin.range_mut(usable) {
            page.cow = true;
            cloned.push((at - region.start + start, Page { owned: false, ..*page }));
        }
        self.reference.spaces[into].pages.extend(cloned);
        self.enter(into, Region { id, start, inside, ..region }, false);
    }

    fn may_clone(
        &self,
        number: usize,
        region: &Region,
        into: usize,
        wish: &Wish,
        inside: Option<RegionId>,
    ) -> Verdict {
        if !matches!(region.kind, Kind::Memory | Kind::Stack) {
            return Verdict::Refused(vec![Error::WrongKind(region.id)]);
        }
        let pages = self.reference.spaces[number].pages.range(region.usable());
        let shared = |page: &Page| !page.cow && self.reference.users(page.frame) > 1;
        let shared = pages.clone().find(|(_, page)| shared(page));
        let shared = shared.map(|(&address, _)| Error::Shared { address });
        let (to, count) = (&self.reference.spaces[into], pages.count());
        let beyond = |resource| to.beyond_quota(resource, count);
        let beyond = [Resource::Slots, Resource::Frames].into_iter().filter_map(beyond);
        let refusals: Vec<Error> = shared.into_iter().chain(beyond).collect();
        refused_or(refusals, self.reference.place(to, wish, inside))
    }

    pub(super) fn settle(&mut self, which: u8) {
        let (number, region) = self.some_region(which);
        self.host.vmm.settle(region.id).expect("a region");
        self.reference.settle(number, region.usable());
    }

    /// What a touch must do, by the reference.
    fn expect_touch(&self, number: usize, address: usize, write: bool) -> Touched {
        let space = &self.reference.spaces[number];
        let needed = if write { Rights::READ_WRITE } else { Rights::READ };
        let at = address & !(PAGE - 1);
        let nothing = at..at;
        if let Some(page) = space.pages.get(&at) {
            return match page.rights.contains(needed) {
                true => Touched::Done { fresh: nothing },
                false => Touched::Stopped,
            };
        }
        let on_demand = |region: &&Region| {
            region.around != 0 && region.rights.contains(needed) && region.usable().contains(&at)
        };
        let Some(region) = space.region_at(at).filter(on_demand) else { return Touched::Stopped };
        if let Some(error) = space.beyond_quota(Resource::Frames, 1) {
            return Touched::Short(error);
        }
        let block = at / PAGE / region.around * region.around * PAGE;
        let (usable, end) = (region.usable(), block + region.around * PAGE);
        let fresh = |page: &usize| !space.pages.contains_key(page);
        let below = (block.max(usable.start)..at).step_by(PAGE).rev().take_while(fresh).last();
        let last = (at..end.min(usable.end)).step_by(PAGE).take_while(fresh).last();
        Touched::Done { fresh: below.unwrap_or(at)..last.expect("it is fresh") + PAGE }
    }

    pub(super) fn touch(&mut self, space: u8, address: usize, write: bool, tag: u64) {
        let number = self.space_number(space);
        let boot = |region: &Region| region.kind == Kind::Boot;
        let space = &self.reference.spaces[number];
        if address >= self.host.target().user_end() || space.region_at(address).is_some_and(boot) {
            return;
        }
        let expected = self.expect_touch(number, address, write);
        let at = address & !(PAGE - 1);
        let free = self.host.vmm.stats().free_bytes();
        let answer = self.try_touch(number, at, write, tag);
        let (refusals, fresh, gets_on) = match expected {
            Touched::Done { fresh } => (None, fresh, true),
            Touched::Stopped => (None, at..at, false),
            Touched::Short(error) => (Some(error), at..at, false),
        };
        let need = Need { pages: 1, tables: true, free };
        let Some(got_on) = self.judge(answer, refusals.as_slice(), need) else { return };
        assert_eq!(got_on, gets_on, "touching {address:#x}, write {write}");
        if !got_on {
            return;
        }
        self.enter_fresh(number, at, fresh);
        if write {
            if self.reference.spaces[number].pages[&at].cow {
                self.reference.break_cow(number, at);
            }
            let frame = self.reference.spaces[number].pages[&at].frame;
            self.reference.tags[frame as usize] = tag;
        }
    }

    /// Enters what a touch of `at` has mapped: `fresh`, or where that is too much, one page.
    fn enter_fresh(&mut self, number: usize, at: usize, fresh: std::ops::Range<usize>) {
        if fresh.is_empty() {
            return;
        }
        let space = &self.reference.spaces[number];
        let rights = space.region_at(at).expect("a region").rights;
        let beyond = space.beyond_quota(Resource::Frames, fresh.len() / PAGE).is_some();
        let mapped = |page| self.host.vmm.mapping_at(space.id, page) != Ok(None);
        let alone = !fresh.clone().step_by(PAGE).all(mapped);
        assert!(alone || !beyond, "{fresh:#x?} were mapped, beyond the quota");
        let fresh = if alone { at..at + PAGE } else { fresh };
        self.map_fresh(number, fresh, rights);
    }

    /// Touches a page as a thread would, again after each fault that is resolved. Says whether that
    /// succeeded.
    fn try_touch(&mut self, number: usize, at: usize, write: bool, tag: u64) -> Result<bool> {
        let space = self.reference.spaces[number].id;
        let access = if write { Access::Write } else { Access::Read };
        for _ in 0..3 {
            let vspace = self.host.vmm.vspace(space)?;
            let words = tag.to_le_bytes().repeat(PAGE / 8);
            let touched = match write {
                true => self.host.kernel().write(vspace, at, &words),
                false => self.host.kernel().read(vspace, at, &mut [0]),
            };
            if touched.is_ok() {
                return Ok(true);
            }
            let present = self.host.kernel().mapping(vspace, at).is_some();
            let fault = PageFault { address: at, access, present, ip: 0 };
            match self.host.vmm.resolve_fault(space, &fault)? {
                Resolution::Resolved(_) => {}
                _ => return Ok(false),
            }
        }
        panic!("a fault at {at:#x} was resolved three times");
    }

    /// What a space has is what its quota counts.
    pub(super) fn compare_usage(&self, space: &Space) {
        let usage = self.host.vmm.usage(space.id).expect("a space");
        let expected = (space.used(Resource::Frames), space.used(Resource::Slots));
        assert_eq!((usage.frames, usage.slots), expected, "frames and slots of {:?}", space.id);
    }

    /// A number that stands for the state: what there is to see of manager, kernel and reference, but
    /// for ids and serial numbers, which only grow.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hash = DefaultHasher::new();
        self.host.fingerprint(&mut hash);
        for space in &self.reference.spaces {
            for region in space.regions.values() {
                let inside = region.inside.map(|id| id.start());
                (region.start, region.pages, region.around, inside).hash(&mut hash);
                (region.rights.bits(), region.ceiling.bits()).hash(&mut hash);
            }
            for reservation in &space.reservations {
                let ceiling = reservation.ceiling.bits();
                (reservation.start, reservation.pages, ceiling).hash(&mut hash);
            }
            (space.quota.frames, space.quota.slots).hash(&mut hash);
        }
        self.reference.dead.last().map(|id| id.start()).hash(&mut hash);
        for buffer in &self.reference.buffers {
            buffer.address().hash(&mut hash);
        }
        hash.finish()
    }
}

/// What is refused for these reasons, if there is one, or for those of its place.
fn refused_or(mut refusals: Vec<Error>, place: Verdict) -> Verdict {
    match place {
        Verdict::Places(_) if !refusals.is_empty() => Verdict::Refused(refusals),
        Verdict::Places(places) => Verdict::Places(places),
        Verdict::Refused(others) => {
            refusals.extend(others);
            Verdict::Refused(refusals)
        }
    }
}
