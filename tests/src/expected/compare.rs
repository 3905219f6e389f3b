// SPDX-License-Identifier: BSD-2-Clause
//! The manager and the kernel held against the reference: regions, pages, contents, counts.

use std::collections::{BTreeMap, HashMap};

use untyped_alloc::{Blueprint, Rights};
use vmm::{Kind, RegionInfo, Resource, Source, SpaceId};

use super::Run;
use super::parts::{Cell, Contents, Origin, Page, Region, Space, Thing};
use crate::model::{Cap, Mapping};
use crate::support::PAGE;

/// What is compared of each page's contents.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Look {
    /// Nothing.
    AtNothing,
    /// The first word and the last.
    AtEnds,
    /// Every word.
    AtAll,
}

/// What user mode may do with a page (`maskVMRights` in the kernel); that it may be run is said
/// only where the architecture could forbid it.
fn effective(page: &Page, has_no_execute: bool) -> Rights {
    let all = if has_no_execute { Rights::READ_WRITE_EXECUTE } else { Rights::READ_WRITE };
    let rights = match page.rights.contains(Rights::READ) {
        true => page.rights & all,
        false => Rights::empty(),
    };
    if page.cow { rights - Rights::WRITE } else { rights }
}

/// Who holds which physical page, as far as seen: callers' memory and book-keeping.
#[derive(Default)]
struct Holders {
    of_page: HashMap<usize, Option<Cell>>,
    of_cell: HashMap<Cell, usize>,
}

impl Holders {
    #[track_caller]
    fn see(&mut self, paddr: usize, cell: Option<Cell>) {
        let before = *self.of_page.entry(paddr).or_insert(cell);
        assert_eq!(before, cell, "the frame at {paddr:#x} shows in places that share nothing");
        if let Some(cell) = cell {
            let before = *self.of_cell.entry(cell).or_insert(paddr);
            assert_eq!(before, paddr, "places that share memory show different frames");
        }
    }
}

impl Run<'_> {
    /// Compares everything that there is to see.
    ///
    /// # Panics
    /// When anything differs from the reference, or an invariant does not hold.
    #[track_caller]
    pub fn compare(&mut self, look: Look) {
        if let Err(violation) = self.host.vmm.validate() {
            panic!("{violation:?}");
        }
        self.see_managers_regions();
        let mut holders = Holders::default();
        for index in 0..self.state.spaces.len() {
            self.compare_regions(&self.state.spaces[index]);
            self.compare_pages(index, look, &mut holders);
            self.compare_usage(&self.state.spaces[index]);
        }
        self.compare_counts();
        if !self.rules.lenient {
            let own = self.host.vmm.stats().bookkeeping_pages;
            assert_eq!(own, 0, "the pool is large enough");
            self.compare_threads();
        }
    }

    fn compare_regions(&self, space: &Space) {
        let told = self.told(space.id);
        for region in &told {
            let name = region.name.as_str();
            let in_transit = self.host.vmm.promotion_is_under_way() && name.starts_with("large to");
            let known = ["", "temporary slots", "book-keeping", "direct map"].contains(&name);
            let known = known || in_transit;
            assert!(known || region.kind != Kind::Bookkeeping, "left behind: {region:?}");
        }
        let described = space.reservations.iter();
        let described = described.map(|it| self.host.vmm.region_info(it.id).expect("is there"));
        let facts = |info: &RegionInfo| {
            let region = Region::told(info);
            let place = (region.id, region.start, region.pages, region.below, region.above);
            (place, region.rights, region.ceiling, region.cache, region.kind, region.backing)
        };
        let expected = |region: &Region| {
            let place = (region.id, region.start, region.pages, region.below, region.above);
            (place, region.rights, region.ceiling, region.cache, region.kind, region.backing)
        };
        assert_eq!(
            told.iter().map(facts).chain(described.map(|info| facts(&info))).collect::<Vec<_>>(),
            (space.regions.values().chain(&space.reservations).map(expected)).collect::<Vec<_>>(),
            "regions and reservations of {:?}",
            space.id
        );
    }

    fn compare_pages(&mut self, index: usize, look: Look, holders: &mut Holders) {
        let id = self.state.spaces[index].id;
        let vspace = self.host.vmm.vspace(id).expect("the space is alive");
        let own = id == self.host.own();
        let mut mappings = self.host.kernel().mappings(vspace);
        if own {
            // What is in the direct map is somebody's, or nobody's, elsewhere.
            let direct = self.host.direct_map();
            mappings.retain(|(at, _)| !direct.contains(at));
        }
        let mut seen = BTreeMap::new();
        for (start, mapping) in mappings {
            for offset in (0..1 << mapping.size_bits).step_by(PAGE) {
                let (at, paddr) = (start + offset, mapping.paddr + offset);
                let space = &self.state.spaces[index];
                if !space.pages.contains_key(&at) {
                    let managers = space.region_at(at).is_some_and(Region::is_the_managers);
                    assert!(own && managers, "{at:#x} of {id:?} is mapped and should not be");
                    holders.see(paddr, None);
                    continue;
                }
                seen.insert(at, (start, mapping));
            }
        }
        let space = &self.state.spaces[index];
        let gone = space.pages.iter().filter(|(at, _)| !seen.contains_key(*at));
        let gone: Vec<(usize, Page)> = gone.map(|(&at, &page)| (at, page)).collect();
        for (at, page) in gone {
            assert!(page.deferred, "{at:#x} of {id:?} is not mapped");
            self.compare_told(index, at);
            if look != Look::AtNothing && page.rights.contains(Rights::READ) {
                self.compare_deferred(id, at, page.cell);
            }
        }
        for (at, (start, mapping)) in seen {
            let page = self.state.spaces[index].pages[&at];
            let paddr = mapping.paddr + (at - start);
            holders.see(paddr, Some(page.cell));
            self.compare_page(index, at, start, &mapping);
            if look != Look::AtNothing && mapping.rights.contains(Rights::READ) {
                self.compare_contents(index, at, page.cell, look);
            }
        }
    }

    fn compare_page(&self, index: usize, at: usize, start: usize, mapping: &Mapping) {
        let space = &self.state.spaces[index];
        let (id, page) = (space.id, &space.pages[&at]);
        let facts = (mapping.rights, mapping.cache);
        let has_no_execute = self.host.vmm.geometry().has_no_execute;
        let effective = effective(page, has_no_execute);
        assert_eq!(facts, (effective, page.cache), "{at:#x} of {id:?}, in the kernel");
        let told = self.compare_told(index, at);
        assert_eq!((told.page, told.size_bits), (start, mapping.size_bits), "{at:#x} of {id:?}");
    }

    /// What the manager tells of a page, which is as it should be.
    fn compare_told(&self, index: usize, at: usize) -> vmm::Mapping {
        let space = &self.state.spaces[index];
        let (id, page) = (space.id, &space.pages[&at]);
        let has_no_execute = self.host.vmm.geometry().has_no_execute;
        let told = self.host.vmm.mapping_at(id, at).expect("alive").expect("is mapped");
        let facts = (told.rights, told.cache, told.copy_on_write, told.source == Source::Copy);
        let expected = (page.rights, page.cache, page.cow, page.copy);
        assert_eq!(facts, expected, "{at:#x} of {id:?}, as the manager tells");
        let runs = Rights::READ | if has_no_execute { Rights::EXECUTE } else { Rights::empty() };
        assert_eq!(told.executable, page.rights.contains(runs), "{at:#x} of {id:?}");
        told
    }

    fn compare_contents(&mut self, index: usize, at: usize, cell: Cell, look: Look) {
        let id = self.state.spaces[index].id;
        let vspace = self.host.vmm.vspace(id).expect("the space is alive");
        let word = |at: usize| {
            let mut bytes = [0; 8];
            self.host.kernel().read(vspace, at, &mut bytes).expect("it is readable");
            u64::from_le_bytes(bytes)
        };
        let ends = [word(at), word(at + PAGE - 8)];
        match self.state.cells[cell] {
            Contents::Filled(tag) if look == Look::AtAll => {
                assert_eq!(self.host.read(id, at), tag, "what {at:#x} of {id:?} holds");
            }
            Contents::Filled(tag) => assert_eq!(ends, [tag; 2], "the ends of {at:#x} of {id:?}"),
            Contents::Ends(tags) => assert_eq!(ends, tags, "the ends of {at:#x} of {id:?}"),
            Contents::Unknown => self.state.cells[cell] = Contents::Ends(ends),
        }
    }

    /// What the manager reads of a page that is not mapped yet, where there is memory to do so.
    fn compare_deferred(&mut self, id: SpaceId, at: usize, cell: Cell) {
        let mut word = |at: usize| {
            let mut bytes = [0; 8];
            let read = self.host.vmm.read(id, at, &mut bytes);
            read.ok().map(|()| u64::from_le_bytes(bytes))
        };
        let Some(ends) = word(at).zip(word(at + PAGE - 8)).map(|(first, last)| [first, last])
        else {
            return;
        };
        match self.state.cells[cell] {
            Contents::Filled(tag) => assert_eq!(ends, [tag; 2], "the ends of {at:#x} of {id:?}"),
            Contents::Ends(tags) => assert_eq!(ends, tags, "the ends of {at:#x} of {id:?}"),
            Contents::Unknown => self.state.cells[cell] = Contents::Ends(ends),
        }
    }

    /// The pages of a space are counted, and its quota counts what it has.
    fn compare_usage(&self, space: &Space) {
        let own = space.id == self.host.own();
        let spare = if own { self.host.vmm.stats().bookkeeping_pages } else { 0 };
        let told = self.host.vmm.space_stats(space.id).expect("the space is alive");
        let in_transit = match own && self.host.vmm.promotion_is_under_way() {
            true => 1 << (self.state.target.large_bits() - 12),
            false => 0,
        };
        let pages = space.pages.len() + spare + in_transit;
        assert_eq!(told.mapped_pages, pages, "pages of {:?}", space.id);
        let usage = self.host.vmm.usage(space.id).expect("the space is alive");
        // Book-keeping is on nobody's account.
        assert_eq!(usage.frames, space.used(Resource::Frames), "frames of {:?}", space.id);
        if !self.rules.lenient {
            assert_eq!(usage.slots, space.used(Resource::Slots), "slots of {:?}", space.id);
        }
    }

    /// Objects that live are those that were made and not given back.
    fn compare_counts(&self) {
        let stats = self.host.vmm.stats();
        let live = stats.allocator.live;
        let count = |wanted: fn(&Blueprint) -> bool| -> usize {
            let alive = self.state.things.iter().filter(|held| held.live);
            let objects = alive.map(|held| match &held.thing {
                Thing::One(_, blueprint) => usize::from(wanted(blueprint)),
                Thing::Many(many, blueprint) => many.len() * usize::from(wanted(blueprint)),
                Thing::Slots(..) => 0,
            });
            objects.sum()
        };
        use Blueprint::{Endpoint, Notification, Tcb};
        assert_eq!(live.tcbs, count(|blueprint| matches!(blueprint, Tcb)), "threads");
        assert_eq!(live.endpoints, count(|blueprint| matches!(blueprint, Endpoint)), "endpoints");
        let notifications = count(|blueprint| matches!(blueprint, Notification));
        assert_eq!(live.notifications, notifications, "notifications");
        assert_eq!(live.vspaces, self.state.spaces.len() - 1, "roots of spaces");
        assert_eq!(stats.spaces, self.state.spaces.len(), "spaces");
    }

    /// The kernel's idea of each thread's IPC buffer is ours.
    fn compare_threads(&self) {
        for number in self.state.tcbs() {
            let held = &self.state.things[number];
            let Thing::One(thread, _) = held.thing else { continue };
            let view = self.host.kernel().tcb(thread.slot()).expect("a thread");
            let frame = match view.ipc_frame {
                Cap::Frame { base, .. } => Some(base),
                _ => None,
            };
            let expected = held.buffer.map(|buffer| {
                let mapped = self.host.mappings(buffer.region().space());
                mapped[&(buffer.address() & !(PAGE - 1))].paddr
            });
            assert_eq!(frame, expected, "the buffer of {thread:?}");
            if let Some(buffer) = held.buffer {
                assert_eq!(view.ipc_buffer, buffer.address());
            }
        }
    }

    /// What can be written is nobody else's: where nothing is shared but by cloning.
    ///
    /// # Panics
    /// When a page can be written that shows in two places.
    pub fn assert_writers_are_alone(&self) {
        let mut users: HashMap<usize, usize> = HashMap::new();
        let spaces = self.state.spaces.iter();
        let all: Vec<_> = spaces.map(|space| self.host.mappings(space.id)).collect();
        let pages = all.iter().flat_map(|pages| pages.iter());
        pages.clone().for_each(|(_, mapping)| *users.entry(mapping.paddr).or_default() += 1);
        for (at, mapping) in pages {
            let writable = mapping.rights.contains(Rights::WRITE);
            assert!(!writable || users[&mapping.paddr] == 1, "{at:#x} is not alone");
        }
    }

    /// Whether a page is a frame of ours, and not of an object or a device.
    pub(super) fn is_ours(page: &Page) -> bool {
        page.origin == Origin::Owned
    }
}
