//! The manager's state held against the reference, page by page.

use std::collections::HashMap;

use untyped_alloc::{CPtr, Rights};
use vmm::{Kind, RegionInfo, Source, SpaceId};

use super::{Run, Thing};
use crate::machine::{CHECKED, CHECKED_EACH};
use crate::reference::{CellId, Origin, PAGE, Page};

/// What user mode may do with a page of these rights (`maskVMRights` in the kernel).
fn effective(rights: Rights) -> Rights {
    match rights.contains(Rights::READ) {
        true => rights & Rights::READ_WRITE,
        false => Rights::empty(),
    }
}

/// Who holds which physical page, as far as seen: cells and book-keeping.
#[derive(Default)]
struct Holders {
    of_page: HashMap<usize, Option<CellId>>,
    of_cell: HashMap<CellId, usize>,
}

impl Holders {
    fn see(&mut self, paddr: usize, cell: Option<CellId>) {
        let before = *self.of_page.entry(paddr).or_insert(cell);
        assert_eq!(before, cell, "the frame at {paddr:#x} shows in places that share nothing");
        if let Some(cell) = cell {
            let before = *self.of_cell.entry(cell).or_insert(paddr);
            assert_eq!(before, paddr, "places that share memory show different frames");
        }
    }
}

impl Run<'_> {
    /// Every region of a space, as the manager tells.
    pub(super) fn all_regions(&self, space: SpaceId) -> Vec<RegionInfo> {
        let (mut at, mut found) = (0, Vec::new());
        while let Some(info) = self.vmm.next_region(space, at).expect("the space is alive") {
            at = info.range.end();
            found.push(info);
        }
        found
    }

    /// Learns what of the manager's own space is not the input's.
    pub(super) fn see_obstacles(&mut self) {
        let own = self.vmm.own_space();
        let regions = self.all_regions(own);
        let others = regions.iter().filter(|r| matches!(r.kind, Kind::Boot | Kind::Bookkeeping));
        self.world.space_mut(own).obstacles =
            others.map(|r| (r.range.start().bits() / PAGE, r.range.end() / PAGE)).collect();
    }

    /// # Panics
    /// When anything differs from the reference, or an invariant does not hold.
    pub(super) fn compare(&mut self) {
        if !CHECKED {
            return;
        }
        if let Err(violation) = self.vmm.validate() {
            panic!("validate: {violation:?}");
        }
        self.steps += 1;
        if self.trace || self.steps.is_multiple_of(CHECKED_EACH) {
            self.vmm.kernel().check_manager();
        }
        self.see_obstacles();
        let mut holders = Holders::default();
        for index in 0..self.world.spaces.len() {
            self.compare_regions(index);
            self.compare_pages(index, &mut holders);
        }
        self.compare_counts();
    }

    fn compare_regions(&self, index: usize) {
        let space = &self.world.spaces[index];
        let all = self.all_regions(space.id);
        for region in &all {
            let known = ["", "window", "book-keeping"].contains(&region.name.as_str());
            assert!(known || region.kind != Kind::Bookkeeping, "left behind: {region:?}");
        }
        let actual = all.iter().filter(|r| !matches!(r.kind, Kind::Boot | Kind::Bookkeeping));
        let mut expected: Vec<_> =
            space.regions.iter().filter(|r| r.kind != Kind::Reservation).collect();
        expected.sort_by_key(|region| region.start);
        let ids = |region: &RegionInfo| (region.id, region.range.start().bits());
        assert_eq!(
            actual.clone().map(ids).collect::<Vec<_>>(),
            expected.iter().map(|r| (r.id, r.start * PAGE)).collect::<Vec<_>>(),
            "the regions of {:?}",
            space.id
        );
        let reservations = space.regions.iter().filter(|r| r.kind == Kind::Reservation);
        let described = reservations.clone().map(|r| self.vmm.region_info(r.id).expect("is there"));
        let described: Vec<_> = described.collect();
        for (info, region) in
            actual.chain(&described).zip(expected.iter().copied().chain(reservations))
        {
            assert_eq!(info.id, region.id);
            let facts = (info.range.pages(), info.guard_below, info.guard_above);
            assert_eq!(facts, (region.pages, region.guards.0, region.guards.1), "{region:?}");
            let facts = (info.rights, info.ceiling, info.cache, info.kind);
            assert_eq!(facts, (region.rights, region.ceiling, region.cache, region.kind));
            assert_eq!(info.backing, region.backing, "{region:?}");
        }
    }

    fn compare_pages(&mut self, index: usize, holders: &mut Holders) {
        let id = self.world.spaces[index].id;
        let vspace = self.vmm.vspace(id).expect("the space is alive");
        let own = id == self.vmm.own_space();
        let mut count = 0;
        for (start, mapping) in self.vmm.kernel().mappings(vspace) {
            for offset in (0..1 << mapping.size_bits).step_by(PAGE) {
                let (vaddr, paddr) = (start + offset, mapping.paddr + offset);
                let space = &self.world.spaces[index];
                let Some(page) = space.pages.get(&(vaddr / PAGE)).copied() else {
                    let number = vaddr / PAGE;
                    let known = space.obstacles.iter().any(|o| o.0 <= number && number < o.1);
                    assert!(own && known, "{vaddr:#x} of {id:?} is mapped and should not be");
                    holders.see(paddr, None);
                    continue;
                };
                count += 1;
                holders.see(paddr, Some(page.cell));
                let facts = (mapping.rights, mapping.cache);
                let rights = match page.cow {
                    true => effective(page.rights) - Rights::WRITE,
                    false => effective(page.rights),
                };
                assert_eq!(facts, (rights, page.cache), "{vaddr:#x} of {id:?}");
                let told = self.vmm.mapping_at(id, vaddr).expect("alive").expect("is mapped");
                assert_eq!((told.rights, told.cache), (page.rights, page.cache), "{vaddr:#x}");
                assert_eq!((told.page, told.size_bits), (start, mapping.size_bits), "{vaddr:#x}");
                assert_eq!(told.copy_on_write, page.cow, "{vaddr:#x} of {id:?}: copy-on-write");
                assert_eq!(told.source == Source::Copy, page.copy, "{vaddr:#x} of {id:?}");
                if mapping.rights.contains(Rights::READ) {
                    self.compare_contents(vspace, vaddr, page.cell);
                }
            }
        }
        let space = &self.world.spaces[index];
        if count != space.pages.len() {
            let kernel = self.vmm.kernel();
            let gone = |page: &&usize| kernel.mapping(vspace, **page * PAGE).is_none();
            panic!("{:#x?} of {id:?} are not mapped", space.pages.keys().find(gone));
        }
    }

    fn compare_contents(&mut self, vspace: CPtr, vaddr: usize, cell: CellId) {
        let word = |at: usize| {
            let mut bytes = [0; 8];
            self.vmm.kernel().read(vspace, at, &mut bytes).expect("it is readable");
            u64::from_le_bytes(bytes)
        };
        let actual = [word(vaddr), word(vaddr + PAGE - 8)];
        let expected = *self.world.cells[cell].get_or_insert(actual);
        assert_eq!(actual, expected, "what {vaddr:#x} holds, in its first and last word");
    }

    /// Objects that live are those that were made and not given back.
    fn compare_counts(&self) {
        let stats = self.vmm.stats();
        let live = stats.allocator.live;
        let count = |wanted: fn(&vmm::Blueprint) -> bool| -> usize {
            let alive = self.things.iter().filter(|(_, live)| *live);
            alive
                .map(|(thing, _)| match thing {
                    Thing::One(_, blueprint) => usize::from(wanted(blueprint)),
                    Thing::Many(objects, blueprint) => {
                        objects.len() * usize::from(wanted(blueprint))
                    }
                    Thing::Slots(..) => 0,
                })
                .sum()
        };
        use vmm::Blueprint::*;
        assert_eq!(live.tcbs, count(|blueprint| matches!(blueprint, Tcb)), "threads");
        assert_eq!(live.endpoints, count(|blueprint| matches!(blueprint, Endpoint)), "endpoints");
        let notifications = count(|blueprint| matches!(blueprint, Notification));
        assert_eq!(live.notifications, notifications, "notifications");
        assert_eq!(live.vspaces, self.world.spaces.len() - 1, "roots of spaces");
        assert_eq!(stats.spaces, self.world.spaces.len(), "spaces");
        for space in &self.world.spaces {
            let told = self.vmm.space_stats(space.id).expect("the space is alive");
            let own = space.id == self.vmm.own_space();
            let spare = if own { stats.bookkeeping_pages } else { 0 };
            assert_eq!(told.mapped_pages, space.pages.len() + spare, "pages of {:?}", space.id);
            let counts = |page: &&Page| page.origin == Origin::Owned;
            let usage = self.vmm.usage(space.id).expect("the space is alive");
            let frames = space.pages.values().filter(counts).count();
            assert_eq!(usage.frames, frames + spare, "frames of {:?}", space.id);
        }
    }
}
