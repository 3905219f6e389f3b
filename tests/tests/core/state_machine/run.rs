//! Making requests of the manager and of the reference, and comparing.

use std::collections::BTreeMap;

use untyped_alloc::kernel::Rights;
use vmm::{
    Blame, Blueprint, Error, IpcBuffer, Kind, RegionId, RegionOptions, Result, SpaceId, Stack, Vmm,
};
use vmm_tests::model::{Arena, Cap, SharedModel};

use super::ops::{Request, Where, Wish};
use super::reference::{Page, Reference, Region, Reservation, Space, Verdict};
use crate::support::{Fixture, Machine, PAGE, Snapshot};

/// Steps between two comparisons of all contents.
const INTERVAL: usize = 8;
/// Pages that can be missing although they are counted free, besides one for each thread: untypeds
/// smaller than a page.
const CRUMBS: usize = 3;

/// What a request needs at the most.
#[derive(Clone, Copy)]
struct Need {
    pages: usize,
    /// Whether a page table may be missing. Memory that is free as frames of a batch that is partly
    /// in use cannot become one.
    tables: bool,
    /// Bytes free before.
    free: usize,
}

impl Need {
    /// Of what takes no memory.
    const NOTHING: Need = Need { pages: 0, tables: false, free: usize::MAX };

    fn exceeds(&self, threads: usize) -> bool {
        let pages = self.pages.saturating_add(CRUMBS + threads);
        self.tables && self.free < 32 * PAGE || self.free < pages.saturating_mul(PAGE)
    }
}

struct Run<'a> {
    host: Fixture<'a>,
    reference: Reference,
}

/// Runs a sequence of requests and takes everything down again.
pub fn run(machine: &Machine, requests: &[Request]) {
    let arena = Arena::new();
    let mut host = Fixture::boot(&arena, machine.clone());
    let initial = Snapshot::settled(&mut host);
    let spaces = vec![space_at_boot(&host)];
    let reference = Reference {
        target: machine.target,
        spaces,
        dead: Vec::new(),
        buffers: Vec::new(),
        threads: Vec::new(),
    };
    let mut run = Run { host, reference };
    for (step, request) in requests.iter().enumerate() {
        run.step(request);
        run.compare(step % INTERVAL == 0);
    }
    run.compare(true);
    run.take_down();
    initial.assert_same(&Snapshot::settled(&mut run.host));
}

/// The regions of the boot are taken from the manager; they must cover what the kernel mapped.
fn space_at_boot(host: &Fixture<'_>) -> Space {
    let id = host.own();
    let (mut regions, mut at) = (BTreeMap::new(), 0);
    while let Some(info) = host.vmm.next_region(id, at).expect("a space") {
        at = info.range.end();
        let start = info.range.start().bits();
        let region = Region {
            id: info.id,
            start,
            pages: info.range.pages(),
            below: info.guard_below,
            above: info.guard_above,
            rights: info.rights,
            ceiling: info.ceiling,
            kind: info.kind,
            inside: None,
        };
        regions.insert(start, region);
    }
    let space = Space { id, regions, reservations: Vec::new(), pages: BTreeMap::new() };
    let kernel = host.kernel();
    for (vaddr, _) in kernel.mappings(kernel.facts().vspace) {
        assert!(space.region_at(vaddr).is_some(), "{vaddr:#x} is in no region");
    }
    space
}

fn options(wish: &Wish, inside: Option<RegionId>, host: &Fixture<'_>) -> RegionOptions {
    let mut options = RegionOptions::new(wish.pages)
        .guarded(wish.below, wish.above)
        .aligned(wish.align_bits)
        .rights(wish.rights)
        .named("wish");
    options = match wish.place {
        Where::Anywhere => options,
        Where::At(spot) => options.at(spot.address(host.target())),
        Where::Within(from, to) => {
            options.within(from.address(host.target()), to.address(host.target()))
        }
    };
    if let Some(ceiling) = wish.ceiling {
        options = options.ceiling(ceiling);
    }
    match inside {
        Some(id) => options.inside(id),
        None => options,
    }
}

/// Chooses by number.
fn pick<T: Copy>(from: &[T], which: u8) -> Option<T> {
    (!from.is_empty()).then(|| from[usize::from(which) % from.len()])
}

impl<'a> Run<'a> {
    fn step(&mut self, request: &Request) {
        match *request {
            Request::Map { space, wish } => self.place(space, &wish, Vmm::map, true),
            Request::Reserve { space, wish } => self.place(space, &wish, Vmm::reserve, false),
            Request::ReserveForOthers { space, wish } => self.reserve_for_others(space, &wish),
            Request::Populate { space, at, pages } => {
                self.populate(space, at.address(self.host.target()), pages);
            }
            Request::Unmap { space, at, pages } => {
                self.unmap(space, at.address(self.host.target()), pages);
            }
            Request::Protect { space, at, pages, rights } => {
                self.protect(space, at.address(self.host.target()), pages, rights);
            }
            Request::Release { which } => self.release(which),
            Request::ReleaseDead { which } => {
                if let Some(id) = pick(&self.reference.dead, which) {
                    self.host.refuses(Error::NoSuchRegion(id), |vmm| vmm.release(id));
                }
            }
            Request::Stack { space, pages } => self.stack(space, pages),
            Request::IpcBuffer { space } => self.ipc_buffer(space),
            Request::SetIpcBuffer { thread, buffer } => self.set_ipc_buffer(thread, buffer),
            Request::ReleaseIpcBuffer { which } => {
                if let Some(buffer) = pick(&self.reference.buffers, which) {
                    self.release_ipc_buffer(buffer);
                }
            }
            Request::Write { which, tag } => self.write(which, tag),
            Request::Thread => {
                if let Ok(thread) = self.host.vmm.allocate(Blueprint::Tcb) {
                    self.reference.threads.push((thread, None));
                }
            }
            Request::EndThread { which } => {
                if let Some((thread, _)) = pick(&self.reference.threads, which) {
                    self.host.vmm.free(thread).expect("a thread");
                    self.reference.threads.retain(|(other, _)| *other != thread);
                }
            }
            Request::Trim => self.host.vmm.trim().expect("trimming"),
        }
    }

    fn space_number(&self, which: u8) -> usize {
        usize::from(which) % self.reference.spaces.len()
    }

    /// Holds an answer against what was expected; `None` when memory is short, and may be.
    #[track_caller]
    fn judge<T: std::fmt::Debug>(
        &self,
        answer: Result<T>,
        refusals: &[Error],
        need: Need,
    ) -> Option<T> {
        match answer {
            Ok(done) => {
                assert_eq!(refusals, [], "{done:?}, where a refusal was expected");
                Some(done)
            }
            Err(error) if refusals.is_empty() => {
                assert_eq!(error.blame(), Blame::Resource, "{error:?}, expected was success");
                let Need { pages, free, .. } = need;
                let short = need.exceeds(self.reference.threads.len());
                assert!(short, "{error:?} for {pages} pages with {free} bytes free");
                None
            }
            Err(error) => {
                assert!(refusals.contains(&error), "{error:?}, expected was {refusals:?}");
                None
            }
        }
    }

    fn place(
        &mut self,
        space: u8,
        wish: &Wish,
        request: impl FnOnce(&mut Vmm<'a, SharedModel<'a>>, SpaceId, &RegionOptions) -> Result<RegionId>,
        mapped: bool,
    ) {
        let number = self.space_number(space);
        let inside = wish.inside.and_then(|which| self.some_id(which));
        let options = options(wish, inside, &self.host);
        let verdict = self.reference.place(&self.reference.spaces[number], wish, inside);
        let free = self.host.vmm.stats().free_bytes();
        let answer = request(&mut self.host.vmm, self.reference.spaces[number].id, &options);
        let pages = if mapped { wish.pages } else { 0 };
        let (places, refusals) = match verdict {
            Verdict::Places(places) => (places, vec![]),
            Verdict::Refused(errors) => (vec![], errors),
        };
        let need = Need { pages, tables: mapped, free };
        let Some(id) = self.judge(answer, &refusals, need) else { return };
        let start = id.start().bits();
        assert!(places.contains(&start), "{start:#x}, right were {places:#x?}");
        let limit = inside.and_then(|id| self.reference.reservation(id)).map(|r| r.ceiling);
        let region = Region {
            id,
            start,
            pages: wish.pages + usize::from(wish.below + wish.above),
            below: wish.below.into(),
            above: wish.above.into(),
            rights: wish.rights,
            ceiling: wish.ceiling.or(limit).unwrap_or(Rights::READ_WRITE),
            kind: Kind::Memory,
            inside,
        };
        self.enter(number, region, mapped);
    }

    fn enter(&mut self, number: usize, region: Region, mapped: bool) {
        let space = &mut self.reference.spaces[number];
        if mapped {
            for page in region.usable().step_by(PAGE) {
                space.pages.insert(page, Page { rights: region.rights, tag: 0 });
            }
        }
        space.regions.insert(region.start, region);
    }

    /// One of the reservations, a region, or a dead id.
    fn some_id(&self, which: u8) -> Option<RegionId> {
        let reference = &self.reference;
        let spaces = || reference.spaces.iter();
        let mut ids: Vec<RegionId> =
            spaces().flat_map(|space| &space.reservations).map(|found| found.id).collect();
        ids.extend(reference.dead.last());
        let regions = spaces().flat_map(|space| space.regions.values());
        ids.extend(regions.map(|region| region.id).next_back());
        pick(&ids, which)
    }

    fn reserve_for_others(&mut self, space: u8, wish: &Wish) {
        let number = self.space_number(space);
        // A reservation has no guards: they are the regions' own.
        let wish = Wish { below: 0, above: 0, ..*wish };
        let inside = wish.inside.and_then(|which| self.some_id(which));
        let options = options(&wish, inside, &self.host);
        let id = self.reference.spaces[number].id;
        let (places, refusals) =
            match self.reference.place(&self.reference.spaces[number], &wish, inside) {
                Verdict::Places(places) => (places, vec![]),
                Verdict::Refused(errors) => (vec![], errors),
            };
        let answer = self.host.vmm.reserve_for_others(id, &options);
        let Some(id) = self.judge(answer, &refusals, Need::NOTHING) else { return };
        let start = id.start().bits();
        assert!(places.contains(&start), "{start:#x}, right were {places:#x?}");
        let limit = inside.and_then(|id| self.reference.reservation(id)).map(|r| r.ceiling);
        let ceiling = wish.ceiling.or(limit).unwrap_or(Rights::READ_WRITE);
        let reservation = Reservation { id, start, pages: wish.pages, ceiling, inside };
        self.reference.spaces[number].reservations.push(reservation);
    }

    fn populate(&mut self, space: u8, start: usize, pages: usize) {
        let number = self.space_number(space);
        let space = &self.reference.spaces[number];
        let region = self.reference.pages_of(space, start, pages).copied();
        let range = start..start.saturating_add(pages.saturating_mul(PAGE));
        let refusals = match region {
            Err(error) => vec![error],
            Ok(_) => match space.pages.range(range.clone()).next() {
                Some((&address, _)) => vec![Error::AlreadyMapped { address }],
                None => vec![],
            },
        };
        let free = self.host.vmm.stats().free_bytes();
        let answer = self.host.vmm.populate(space.id, start, pages);
        let need = Need { pages, tables: !self.has_tables(number, start, pages), free };
        if let (Some(()), Ok(region)) = (self.judge(answer, &refusals, need), region) {
            let space = &mut self.reference.spaces[number];
            for page in range.step_by(PAGE) {
                space.pages.insert(page, Page { rights: region.rights, tag: 0 });
            }
        }
    }

    /// Whether there is a page table for each page of a range: another page is mapped through it.
    fn has_tables(&self, number: usize, start: usize, pages: usize) -> bool {
        let bits = self.host.target().large_bits();
        let mapped = &self.reference.spaces[number].pages;
        let spans = start >> bits..=start.saturating_add(pages.saturating_mul(PAGE)) >> bits;
        spans.take(64).all(|span| mapped.keys().any(|page| page >> bits == span))
    }

    /// The first page of a range that is not mapped.
    fn hole(&self, number: usize, start: usize, pages: usize) -> Option<Error> {
        let space = &self.reference.spaces[number];
        let mut range = (start..start + pages * PAGE).step_by(PAGE);
        let hole = range.find(|page| !space.pages.contains_key(page));
        hole.map(|address| Error::NotMapped { address })
    }

    fn unmap(&mut self, space: u8, start: usize, pages: usize) {
        let number = self.space_number(space);
        let space = &self.reference.spaces[number];
        let refusals = match self.reference.pages_of(space, start, pages) {
            Err(error) => vec![error],
            Ok(_) => self.hole(number, start, pages).into_iter().collect(),
        };
        let answer = self.host.vmm.unmap(space.id, start, pages);
        if self.judge(answer, &refusals, Need::NOTHING).is_some() {
            let pages = (start..start + pages * PAGE).step_by(PAGE);
            pages.for_each(|page| drop(self.reference.spaces[number].pages.remove(&page)));
        }
    }

    fn protect(&mut self, space: u8, start: usize, pages: usize, rights: Rights) {
        let number = self.space_number(space);
        let space = &self.reference.spaces[number];
        let refusals = match self.reference.pages_of(space, start, pages) {
            Err(error) => vec![error],
            Ok(region) if !region.ceiling.contains(rights) => {
                vec![Error::RightsExceedCeiling { asked: rights, ceiling: region.ceiling }]
            }
            Ok(_) => self.hole(number, start, pages).into_iter().collect(),
        };
        let answer = self.host.vmm.protect(space.id, start, pages, rights);
        if self.judge(answer, &refusals, Need::NOTHING).is_some() {
            for page in (start..start + pages * PAGE).step_by(PAGE) {
                let page = self.reference.spaces[number].pages.get_mut(&page);
                page.expect("it is mapped").rights = rights;
            }
        }
    }

    /// Everything a caller could try to release: regions of all kinds, reservations.
    fn release(&mut self, which: u8) {
        let spaces = || self.reference.spaces.iter();
        let regions = spaces().flat_map(|space| space.regions.values());
        let mut ids: Vec<RegionId> = regions.map(|region| region.id).collect();
        ids.extend(spaces().flat_map(|space| &space.reservations).map(|found| found.id));
        if let Some(id) = pick(&ids, which) {
            self.release_id(id);
        }
    }

    fn release_id(&mut self, id: RegionId) {
        let number = self.reference.spaces.iter().position(|space| space.id == id.space());
        let number = number.expect("a space");
        let space = &self.reference.spaces[number];
        let region = space.regions.values().find(|region| region.id == id).copied();
        let refusals = match region.map(|region| region.kind) {
            Some(Kind::Memory | Kind::Stack) => vec![],
            None if space.is_reservation_empty(id) => vec![],
            _ => vec![Error::WrongKind(id)],
        };
        let answer = self.host.vmm.release(id);
        if self.judge(answer, &refusals, Need::NOTHING).is_some() {
            self.forget(number, id, region);
        }
    }

    fn forget(&mut self, number: usize, id: RegionId, region: Option<Region>) {
        let space = &mut self.reference.spaces[number];
        match region {
            Some(region) => {
                space.regions.remove(&region.start);
                space.pages.retain(|page, _| !(region.start..region.end()).contains(page));
            }
            None => space.reservations.retain(|reservation| reservation.id != id),
        }
        self.reference.dead.push(id);
    }

    /// Enters a region that the manager itself chose the place of.
    fn enter_chosen(&mut self, number: usize, id: RegionId, pages: usize, kind: Kind) {
        let wish = Wish {
            place: Where::Anywhere,
            pages,
            below: 1,
            above: 1,
            align_bits: 0,
            rights: Rights::READ_WRITE,
            ceiling: None,
            inside: None,
        };
        let start = id.start().bits();
        match self.reference.place(&self.reference.spaces[number], &wish, None) {
            Verdict::Places(places) if places.contains(&start) => {}
            _ => panic!("{start:#x} is no place for {pages} pages"),
        }
        let (below, above) = (1, 1);
        let (rights, ceiling) = (Rights::READ_WRITE, Rights::READ_WRITE);
        let pages = pages + 2;
        let region = Region { id, start, pages, below, above, rights, ceiling, kind, inside: None };
        self.enter(number, region, true);
    }

    fn stack(&mut self, space: u8, pages: usize) {
        let number = self.space_number(space);
        let free = self.host.vmm.stats().free_bytes();
        let id = self.reference.spaces[number].id;
        let answer = self.host.vmm.allocate_stack(id, pages, "stack");
        let Some(stack) = self.judge(answer, &[], Need { pages, tables: true, free }) else {
            return;
        };
        self.enter_chosen(number, Stack::region(stack), pages, Kind::Stack);
        let region = self.reference.spaces[number].region_at(stack.bottom()).expect("a region");
        assert_eq!(region.usable(), stack.bottom()..stack.top());
    }

    fn ipc_buffer(&mut self, space: u8) {
        let number = self.space_number(space);
        let free = self.host.vmm.stats().free_bytes();
        let id = self.reference.spaces[number].id;
        let answer = self.host.vmm.allocate_ipc_buffer(id, "ipc");
        let Some(buffer) = self.judge(answer, &[], Need { pages: 1, tables: true, free }) else {
            return;
        };
        self.enter_chosen(number, buffer.region(), 1, Kind::IpcBuffer);
        self.reference.buffers.push(buffer);
    }

    fn set_ipc_buffer(&mut self, thread: u8, buffer: u8) {
        let buffer = pick(&self.reference.buffers, buffer);
        let threads = self.reference.threads.len();
        if let (Some(buffer), true) = (buffer, threads != 0) {
            let (thread, has) = &mut self.reference.threads[usize::from(thread) % threads];
            self.host.vmm.set_ipc_buffer(thread.slot(), buffer).expect("a thread and a buffer");
            *has = Some(buffer);
        }
    }

    fn release_ipc_buffer(&mut self, buffer: IpcBuffer) {
        self.host.vmm.release_ipc_buffer(buffer).expect("a buffer");
        let id = buffer.region();
        let spaces = &self.reference.spaces;
        let number = spaces.iter().position(|space| space.id == id.space()).expect("a space");
        let region = spaces[number].regions.values().find(|region| region.id == id).copied();
        self.forget(number, id, region);
        self.reference.buffers.retain(|other| *other != buffer);
        for (_, has) in &mut self.reference.threads {
            *has = has.filter(|other| *other != buffer);
        }
        let refused = self.host.vmm.release_ipc_buffer(buffer);
        assert_eq!(refused, Err(Error::NoSuchRegion(id)));
    }

    fn write(&mut self, which: u8, tag: u64) {
        let spaces = self.reference.spaces.iter_mut();
        let pages = spaces.flat_map(|Space { id, pages, .. }| {
            let id = *id;
            pages.iter_mut().map(move |page| (id, page))
        });
        let writable = pages.filter(|(_, (_, page))| page.rights.contains(Rights::READ_WRITE));
        let mut writable: Vec<_> = writable.collect();
        let count = writable.len();
        if count != 0 {
            let (space, (vaddr, page)) = &mut writable[usize::from(which) % count];
            self.host.write(*space, **vaddr, tag);
            page.tag = tag;
        }
    }

    /// Compares everything the hardware sees with the reference; `contents` too if so wanted.
    fn compare(&self, contents: bool) {
        self.host.check();
        assert_eq!(self.host.vmm.stats().bookkeeping_pages, 0, "the pool is large enough");
        for space in &self.reference.spaces {
            let found = self.host.mappings(space.id);
            let seen = |rights: Rights| match rights.contains(Rights::READ) {
                true => rights & Rights::READ_WRITE,
                false => Rights::empty(),
            };
            let expected = space.pages.iter().map(|(&at, page)| (at, seen(page.rights)));
            let rights = found.iter().map(|(&at, mapping)| (at, mapping.rights));
            assert_eq!(
                rights.collect::<BTreeMap<_, _>>(),
                expected.collect::<BTreeMap<_, _>>(),
                "pages and rights of {:?}",
                space.id
            );
            if contents {
                let readable = space.pages.iter().filter(|(_, p)| p.rights.contains(Rights::READ));
                for (&vaddr, page) in readable {
                    assert_eq!(self.host.read(space.id, vaddr), page.tag, "at {vaddr:#x}");
                }
            }
            self.compare_regions(space);
        }
        let spaces: Vec<_> = self.reference.spaces.iter().map(|space| space.id).collect();
        self.host.assert_no_frame_twice(&spaces);
        self.compare_threads();
    }

    fn compare_regions(&self, space: &Space) {
        let mut at = 0;
        for region in space.regions.values() {
            let info = self.host.vmm.next_region(space.id, at).expect("a space");
            let info = info.expect("as many regions as expected");
            let found = (info.id, info.range.start().bits(), info.range.pages());
            assert_eq!(found, (region.id, region.start, region.pages));
            let found = (info.guard_below, info.guard_above, info.ceiling, info.kind);
            assert_eq!(found, (region.below, region.above, region.ceiling, region.kind));
            at = region.end();
        }
        assert_eq!(self.host.vmm.next_region(space.id, at), Ok(None));
    }

    /// The kernel's idea of each thread's IPC buffer is ours.
    fn compare_threads(&self) {
        for (thread, buffer) in &self.reference.threads {
            let view = self.host.kernel().tcb(thread.slot()).expect("a thread");
            let frame = match view.ipc_frame {
                Cap::Frame { base, .. } => Some(base),
                _ => None,
            };
            let expected = buffer.map(|buffer| {
                let mapped = self.host.mappings(buffer.region().space());
                mapped[&buffer.address()].paddr
            });
            assert_eq!(frame, expected, "the buffer of {thread:?}");
            if let Some(buffer) = buffer {
                assert_eq!(view.ipc_buffer, buffer.address());
            }
        }
    }

    /// Gives everything back.
    fn take_down(&mut self) {
        for buffer in self.reference.buffers.clone() {
            self.release_ipc_buffer(buffer);
        }
        for (thread, _) in std::mem::take(&mut self.reference.threads) {
            self.host.vmm.free(thread).expect("a thread");
        }
        let spaces = self.reference.spaces.iter();
        let ids: Vec<RegionId> = spaces
            .flat_map(|space| {
                let memory = |region: &&Region| matches!(region.kind, Kind::Memory | Kind::Stack);
                let regions = space.regions.values().filter(memory).map(|region| region.id);
                // Inner reservations were entered after those around them.
                regions.chain(space.reservations.iter().rev().map(|found| found.id))
            })
            .collect();
        ids.into_iter().for_each(|id| self.release_id(id));
        self.compare(true);
    }
}
