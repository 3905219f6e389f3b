//! Operations whose effect comes later, and limits to them: clones and their first writes, memory that
//! is mapped when it is touched, pagers, quotas. What is right of them, what they change, and what is
//! left of them where every kernel call from one on has failed.

use std::ops::Range;

use vmm::{Access, Backing, Kind, PageFault, Quota, Resolution, Resource, Result};
use vmm::{RegionId, Rights, SpaceId, Supply};

use super::Run;
use super::decode::Op;
use super::execute::Made;
use super::want::moved;
use crate::reference::{Origin, PAGE, Page, Region, Space, Want};

/// What fresh memory holds.
const CLEAR: Option<[u64; 2]> = Some([0, 0]);

/// What a touch ought to come to.
enum Touch {
    /// The thread gets on, after these pages were mapped.
    Done(Range<usize>),
    Stopped,
    OutOfQuota,
}

impl Run<'_> {
    /// The quota that allows so much more than a space has.
    pub(super) fn quota(&self, space: SpaceId, more: [usize; 3]) -> Result<Quota> {
        let used = self.vmm.usage(space)?;
        Ok(Quota {
            frames: used.frames.saturating_add(more[0]),
            tables: used.tables.saturating_add(more[1]),
            slots: used.slots.saturating_add(more[2]),
            ..Quota::UNLIMITED
        })
    }

    fn is_beyond(&self, space: &Space, resource: Resource, more: usize) -> bool {
        let counts = |page: &&Page| page.origin == Origin::Owned;
        let used = match resource {
            Resource::Frames => {
                let own = space.id == self.vmm.own_space();
                let spare = if own { self.vmm.stats().bookkeeping_pages } else { 0 };
                space.pages.values().filter(counts).count() + spare
            }
            // Large pages count as one.
            _ => self.vmm.usage(space.id).expect("the space is alive").of(resource),
        };
        more > space.quota.of(resource).saturating_sub(used)
    }

    /// Adds whether so many pages more are too many.
    pub(super) fn want_frames(&self, want: &mut Want, space: &Space, pages: usize) {
        want.refuse(self.is_beyond(space, Resource::Frames, pages), "OutOfQuota");
        if space.id == self.vmm.own_space() {
            // Book-keeping may take some first.
            want.may.push("OutOfQuota");
        }
    }

    pub(super) fn want_slots(&self, want: &mut Want, space: &Space, pages: usize) {
        want.refuse(self.is_beyond(space, Resource::Slots, pages), "OutOfQuota");
    }

    /// Which page tables are kept is not the reference's to know.
    pub(super) fn want_tables(&self, want: &mut Want) {
        if self.world.spaces.iter().any(|space| space.quota.tables != usize::MAX) {
            want.may.push("OutOfQuota");
        }
    }

    pub(super) fn want_lazy(&self, want: &mut Want, op: Op) {
        let world = &self.world;
        match op {
            Op::CloneRegion(id, into, ask) => {
                want.refuse(world.space(into).is_none(), "NoSuchSpace");
                let kinds = [Kind::Memory, Kind::Stack];
                let Some(region) = self.want_kind(want, id, &kinds) else { return };
                let pages = self.want_clone(want, &region, id.space());
                if let Some(into) = world.space(into) {
                    world.want_place(want, into, &moved(&region, &ask));
                    self.want_slots(want, into, pages);
                    self.want_frames(want, into, pages);
                }
            }
            Op::CloneSpace(id) => {
                let Some(space) = world.space(id) else { return };
                for region in &space.regions {
                    if matches!(region.kind, Kind::Memory | Kind::Stack) {
                        self.want_clone(want, region, id);
                    }
                }
            }
            Op::Settle(id) => {
                if self.vmm.region_info(id).is_err() {
                    want.must.extend(world.stale(id));
                }
            }
            Op::Touch(id, address, write) => {
                if let Some(space) = world.space(id) {
                    let beyond = self.expect_touch(space, address / PAGE, write);
                    want.refuse(matches!(beyond, Touch::OutOfQuota), "OutOfQuota");
                }
            }
            Op::Supply(id, address, from, page, how) => {
                let Some(from) = world.space(from) else { return want.must.push("NoSuchSpace") };
                if let Some(space) = world.space(id) {
                    self.want_supply(want, space, address, from, page, how);
                }
            }
            Op::Poke(id, address, _) => {
                let Some(space) = world.space(id) else { return };
                // It need not be aligned, and may go on into the next page.
                let first = address & !(PAGE - 1);
                let end = (address as u128 + 8).div_ceil(PAGE as u128) * PAGE as u128;
                let pages = (end - first as u128) as usize / PAGE;
                want.refuse(address.checked_add(8).is_none(), "OutsideRegion");
                let Some(range) = world.want_range(want, space, first, pages) else { return };
                world.want_mapped(want, space, range);
                self.want_ours(want, space, range);
                self.want_small(want, space, range);
            }
            _ => {}
        }
    }

    /// Adds what forbids to clone a region; returns its pages.
    fn want_clone(&self, want: &mut Want, region: &Region, id: SpaceId) -> usize {
        let space = self.world.space(id).expect("its region is alive");
        let usable = region.usable();
        self.want_ours(want, space, usable);
        let pages = space.pages.range(usable.0..usable.1).map(|(_, page)| page);
        let users = self.world.all_users();
        let shared = |page: &Page| !page.cow && users[&page.cell] > 1;
        want.refuse(pages.clone().any(shared), "Shared");
        pages.count()
    }

    fn want_ours(&self, want: &mut Want, space: &Space, range: (usize, usize)) {
        let mut pages = space.pages.range(range.0..range.1);
        want.refuse(pages.any(|(_, page)| page.origin != Origin::Owned), "NotOurs");
    }

    fn want_small(&self, want: &mut Want, space: &Space, range: (usize, usize)) {
        let vspace = self.vmm.vspace(space.id).expect("the space is alive");
        let large = |page| {
            let mapping = self.vmm.kernel().mapping(vspace, page * PAGE);
            mapping.is_some_and(|mapping| mapping.size_bits > 12)
        };
        want.refuse((range.0..range.1).any(large), "LargePage");
    }

    fn want_supply(
        &self,
        want: &mut Want,
        space: &Space,
        address: usize,
        from: &Space,
        page: usize,
        how: Supply,
    ) {
        let to = self.world.want_range(want, space, address & !(PAGE - 1), 1);
        let given = self.world.want_range(want, from, page, 1);
        let into = to.and_then(|to| space.region_at(to.0));
        if let (Some(to), Some(into)) = (to, into) {
            want.refuse(!matches!(into.backing, Backing::Pager { .. }), "WrongKind");
            want.refuse(space.pages.contains_key(&to.0), "AlreadyMapped");
        }
        let Some(given) = given else { return };
        self.world.want_mapped(want, from, given);
        self.want_ours(want, from, given);
        self.want_small(want, from, given);
        if let (Some(into), Some(source)) = (into, from.region_at(given.0)) {
            want.refuse(!source.ceiling.contains(into.ceiling), "RightsExceedCeiling");
        }
        let Some(shown) = from.pages.get(&given.0) else { return };
        let alone = self.world.users(shown.cell) == 1;
        match how {
            Supply::Share => {
                self.want_slots(want, space, 1);
                self.want_frames(want, space, 1);
            }
            Supply::Transfer => {
                want.refuse(!alone, "Shared");
                if shown.copy {
                    self.want_slots(want, space, 1);
                }
                self.want_frames(want, space, 1);
            }
        }
    }

    fn expect_touch(&self, space: &Space, number: usize, write: bool) -> Touch {
        let needed = if write { Rights::READ_WRITE } else { Rights::READ };
        if let Some(page) = space.pages.get(&number) {
            return match page.rights.contains(needed) {
                true => Touch::Done(number..number),
                false => Touch::Stopped,
            };
        }
        let Some(region) = space.region_at(number) else { return Touch::Stopped };
        let Backing::OnDemand { around } = region.backing else { return Touch::Stopped };
        let usable = region.usable();
        if !region.rights.contains(needed) || number < usable.0 || number >= usable.1 {
            return Touch::Stopped;
        }
        if self.is_beyond(space, Resource::Frames, 1) {
            return Touch::OutOfQuota;
        }
        let block = number / usize::from(around) * usize::from(around);
        let fresh = |number: &usize| !space.pages.contains_key(number);
        let first = (block.max(usable.0)..number).rev().take_while(fresh).last();
        let end = usable.1.min(block + usize::from(around));
        let last = (number..end).take_while(fresh).last().unwrap_or(number);
        Touch::Done(first.unwrap_or(number)..last + 1)
    }

    /// Whether an address is the input's to touch: not the program's image, nor the kernel's.
    fn may_touch(&self, id: SpaceId, address: usize) -> bool {
        let number = address / PAGE;
        let Some(space) = self.world.space(id) else { return true };
        let taken = |&(from, to): &(usize, usize)| from <= number && number < to;
        address < self.vmm.geometry().user_end && !space.obstacles.iter().any(taken)
    }

    /// Touches a page as a thread would, again after each fault that is resolved.
    pub(super) fn touch(&mut self, id: SpaceId, address: usize, write: bool) -> Result<Made> {
        let vspace = self.vmm.vspace(id)?;
        let access = if write { Access::Write } else { Access::Read };
        if !self.may_touch(id, address) {
            let fault = PageFault { address, access, present: false, ip: 0 };
            let resolved = self.vmm.resolve_fault(id, &fault)?;
            assert!(!matches!(resolved, Resolution::Resolved(_)), "{address:#x} is nobody's");
            return Ok(Made::Touched(false));
        }
        let at = address & !(PAGE - 1);
        for _ in 0..3 {
            let mapping = self.vmm.kernel().mapping(vspace, at);
            let needed = if write { Rights::READ_WRITE } else { Rights::READ };
            if mapping.is_some_and(|mapping| mapping.rights.contains(needed)) {
                return Ok(Made::Touched(true));
            }
            let fault = PageFault { address, access, present: mapping.is_some(), ip: 0 };
            match self.vmm.resolve_fault(id, &fault)? {
                Resolution::Resolved(_) => {}
                _ => return Ok(Made::Touched(false)),
            }
        }
        panic!("a fault at {address:#x} was resolved three times");
    }

    /// Enters in the reference what a successful operation did.
    pub(super) fn apply_lazy(&mut self, op: Op, made: Made) {
        match (op, made) {
            (Op::CloneRegion(id, _, ask), Made::Region(clone)) => {
                let region = *self.world.region(id).expect("it was cloned");
                self.world.enter(clone, &moved(&region, &ask), region.kind);
                self.enter_clone(&region, clone);
            }
            (Op::CloneSpace(id), Made::Space(clone)) => {
                self.spaces.push(clone);
                self.world.spaces.push(Space::new(clone));
                let regions = self.world.space(id).expect("it was cloned").regions.clone();
                for region in
                    regions.iter().filter(|r| matches!(r.kind, Kind::Memory | Kind::Stack))
                {
                    let at = self.vmm.region_at(clone, region.start * PAGE).expect("alive");
                    let id = at.expect("it was cloned").id;
                    self.regions.push(id);
                    let copy = Region { id, owner: None, ..*region };
                    self.world.space_mut(clone).regions.push(copy);
                    self.enter_clone(region, id);
                }
            }
            (Op::Settle(id), _) => {
                let Some(region) = self.world.region(id).copied() else { return };
                let pages = &self.world.space(id.space()).expect("alive").pages;
                let (first, end) = region.usable();
                let users = self.world.all_users();
                let alone = |page: &Page| page.cow && users[&page.cell] == 1;
                let settled = pages.range(first..end).filter(|(_, page)| alone(page));
                let settled: Vec<usize> = settled.map(|(&number, _)| number).collect();
                self.break_cow_of(id.space(), &settled);
            }
            (Op::Touch(id, address, write), Made::Touched(gets_on)) => {
                self.apply_touch(id, address, write, gets_on);
            }
            (Op::Supply(id, address, from, page, how), _) => {
                let number = page / PAGE;
                let region = self.world.space(id).and_then(|s| s.region_at(address / PAGE));
                let region = *region.expect("it was supplied to a region");
                let shown = self.break_cow_of(from, &[number])[0];
                if how == Supply::Transfer {
                    self.world.space_mut(from).pages.remove(&number);
                }
                let copy = shown.copy || how == Supply::Share;
                let (rights, cache) = (region.rights, region.cache);
                let page = Page { rights, cache, copy, ..shown };
                self.world.space_mut(id).pages.insert(address / PAGE, page);
            }
            (Op::Quota(id, more), _) => {
                let quota = self.quota(id, more).expect("it was limited");
                self.world.space_mut(id).quota = quota;
            }
            (Op::Poke(id, address, value), _) => {
                let numbers: Vec<usize> = (address / PAGE..=(address + 7) / PAGE).collect();
                for page in self.break_cow_of(id, &numbers) {
                    let word = u64::from_le_bytes([value; 8]);
                    let holds = &mut self.world.cells[page.cell];
                    // Elsewhere than in its first word it is not looked at, or not known any more.
                    match (address % PAGE, &holds) {
                        (0, Some([_, last])) => *holds = Some([word, *last]),
                        _ => *holds = None,
                    }
                }
            }
            _ => {}
        }
    }

    fn enter_clone(&mut self, region: &Region, clone: RegionId) {
        let (first, end) = region.usable();
        let start = self.world.region(clone).expect("just entered").start;
        let origin = self.world.space_mut(region.id.space());
        let mut cloned = Vec::new();
        for (&number, page) in origin.pages.range_mut(first..end) {
            page.cow = true;
            cloned.push((number - region.start + start, Page { copy: true, ..*page }));
        }
        self.world.space_mut(clone.space()).pages.extend(cloned);
    }

    fn apply_touch(&mut self, id: SpaceId, address: usize, write: bool, gets_on: bool) {
        if !self.may_touch(id, address) {
            return;
        }
        let number = address / PAGE;
        let space = self.world.space(id).expect("it was touched");
        let expected = self.expect_touch(space, number, write);
        let fresh: Vec<usize> = match &expected {
            Touch::Done(fresh) => {
                let mapped = |page: &usize| self.vmm.mapping_at(id, page * PAGE) != Ok(None);
                let found: Vec<usize> = fresh.clone().filter(mapped).collect();
                let all = found.len() == fresh.len();
                assert!(all || found == [number], "{found:x?} were mapped, of {fresh:x?}");
                found
            }
            _ => Vec::new(),
        };
        assert_eq!(gets_on, matches!(expected, Touch::Done(_)), "touching {address:#x}");
        if !gets_on {
            return;
        }
        let space = self.world.space(id).expect("it was touched");
        if let Some(region) = space.region_at(number).copied() {
            let how = (region.rights, region.cache);
            for page in fresh {
                self.world.fill(id, (page, page + 1), how, Origin::Owned, CLEAR);
            }
        }
        if write {
            let cow = self.world.space(id).is_some_and(|space| space.pages[&number].cow);
            if cow {
                self.world.break_cow(id, number);
            }
        }
    }

    /// Ends copy-on-write for pages that were shared or written; returns what they are then.
    pub(super) fn break_cow_of(&mut self, id: SpaceId, numbers: &[usize]) -> Vec<Page> {
        for &number in numbers {
            if self.world.space(id).is_some_and(|space| space.pages[&number].cow) {
                self.world.break_cow(id, number);
            }
        }
        let space = self.world.space(id).expect("alive");
        numbers.iter().map(|number| space.pages[number]).collect()
    }

    /// After a failure: pages may have got frames of their own although what was to follow failed,
    /// and the mark of copy-on-write may have come or gone where nobody else has the frame.
    pub(super) fn follow_cow(&mut self) {
        let spaces = self.world.spaces.iter();
        let pages = spaces
            .flat_map(|space| space.pages.iter().map(|(&number, &page)| (space.id, number, page)));
        for (id, number, page) in pages.collect::<Vec<_>>() {
            let told = self.vmm.mapping_at(id, number * PAGE).ok().flatten();
            let Some(cow) = told.map(|told| told.copy_on_write) else { continue };
            if page.cow && !cow {
                self.world.break_cow(id, number);
            } else if cow && !page.cow {
                assert_eq!(self.world.users(page.cell), 1, "page {number:#x} is shared");
                let page = self.world.space_mut(id).pages.get_mut(&number);
                page.expect("it is mapped").cow = true;
            }
        }
    }

    /// What failed after the manager had written is written nevertheless.
    pub(super) fn follow_poke(&mut self, op: Op) {
        let Op::Poke(id, address, _) = op else { return };
        let Some(space) = self.world.space(id) else { return };
        let pages = address / PAGE..=address.saturating_add(7) / PAGE;
        let cells: Vec<_> = space.pages.range(pages).map(|(_, page)| page.cell).collect();
        cells.into_iter().for_each(|cell| self.world.cells[cell] = None);
    }

    /// Where every call from one on failed, a page may be recorded that is not mapped, or not with
    /// its rights: the fault that follows sees to that. What was moved may be lost.
    pub(super) fn heal(&mut self, op: Op) {
        let vmm = &self.vmm;
        if let Op::Move(id, _) | Op::CloneRegion(id, ..) = op {
            if let Some(space) = self.world.spaces.iter_mut().find(|space| space.id == id.space()) {
                let recorded = |number: &usize| vmm.mapping_at(space.id, number * PAGE) != Ok(None);
                space.pages.retain(|number, _| recorded(number));
            }
        }
        let spaces = self.world.spaces.iter();
        let pages = spaces
            .flat_map(|space| space.pages.iter().map(|(&number, &page)| (space.id, number, page)));
        for (id, number, page) in pages.collect::<Vec<_>>() {
            self.heal_page(id, number, page);
        }
    }

    fn heal_page(&mut self, id: SpaceId, number: usize, page: Page) {
        let vspace = self.vmm.vspace(id).expect("alive");
        let address = number * PAGE;
        let wanted = match page.cow {
            true => page.rights & Rights::READ,
            false => page.rights & Rights::READ_WRITE,
        };
        let found = self.vmm.kernel().mapping(vspace, address);
        let right = |rights: Rights| !wanted.contains(Rights::READ) || rights == wanted;
        if found.is_some_and(|found| right(found.rights)) {
            return;
        }
        if !wanted.contains(Rights::READ) {
            // No touch can bring it back. Unmapping it must do.
            self.vmm.unmap(id, address, 1).expect("nothing fails now");
            self.world.space_mut(id).pages.remove(&number);
            return;
        }
        let write = wanted.contains(Rights::WRITE);
        let access = if write { Access::Write } else { Access::Read };
        let fault = PageFault { address, access, present: found.is_some(), ip: 0 };
        let resolved = self.vmm.resolve_fault(id, &fault).expect("nothing fails now");
        assert!(matches!(resolved, Resolution::Resolved(_)), "{address:#x} of {id:?} is lost");
    }
}
