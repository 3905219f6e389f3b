//! Making requests of the manager and of the reference, and comparing.

mod lazy;

use std::collections::BTreeMap;
use std::ops::Range;

use untyped_alloc::kernel::Rights;
use vmm::{
    Backing, Blame, Blueprint, Error, IpcBuffer, Kind, Quota, RegionId, RegionOptions, Resource,
    Result, SpaceId, Stack, Vmm,
};
use vmm_tests::model::{Arena, Cap, Mapping, SharedModel};

use super::ops::{Pages, Request, Where, Wish};
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

/// What is mapped in a space.
type Mapped = BTreeMap<usize, Mapping>;

struct Run<'a> {
    host: Fixture<'a>,
    reference: Reference,
}

/// Runs a sequence of requests, comparing after each, and takes everything down again.
pub fn run(machine: &Machine, requests: &[Request]) {
    run_from(machine, &initial(machine), requests, 0);
}

/// The state of the machine before any request.
pub fn initial(machine: &Machine) -> Snapshot {
    let arena = Arena::new();
    Snapshot::settled(&mut Fixture::boot(&arena, machine.clone()))
}

/// Runs a sequence of requests, comparing after each from number `first` on, and takes everything
/// down again, back to the `initial` state.
///
/// Returns a number that stands for the state after the last request.
pub fn run_from(machine: &Machine, initial: &Snapshot, requests: &[Request], first: usize) -> u64 {
    let arena = Arena::new();
    let host = Fixture::boot(&arena, machine.clone());
    let spaces = vec![space_at_boot(&host)];
    let reference = Reference {
        target: machine.target,
        spaces,
        dead: Vec::new(),
        buffers: Vec::new(),
        handed_out: Vec::new(),
        threads: Vec::new(),
        tags: Vec::new(),
    };
    let mut run = Run { host, reference };
    for (step, request) in requests.iter().enumerate() {
        run.step(request);
        if (first..requests.len() - 1).contains(&step) {
            run.compare(step % INTERVAL == 0);
        }
    }
    run.compare(true);
    let state = run.fingerprint();
    run.take_down();
    initial.assert_same(&Snapshot::settled(&mut run.host));
    state
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
            around: 0,
        };
        regions.insert(start, region);
    }
    let (reservations, pages, quota) = (Vec::new(), BTreeMap::new(), Quota::UNLIMITED);
    let space = Space { id, regions, reservations, pages, quota };
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
            Request::Map { space, wish } => self.place(space, &wish, Vmm::map, true, 0),
            Request::Reserve { space, wish } => self.place(space, &wish, Vmm::reserve, false, 0),
            Request::ReserveLazily { space, wish, around } => {
                self.place(space, &wish, Vmm::reserve, false, around)
            }
            Request::Touch { space, pages, write, tag } => {
                let (start, _) = self.pages(space, pages);
                self.touch(space, start, write, tag);
            }
            Request::Clone { which, into, wish } => self.clone_region(which, into, &wish),
            Request::Settle { which } => self.settle(which),
            Request::Limit { space, more } => self.limit(space, more),
            Request::ReserveForOthers { space, wish } => self.reserve_for_others(space, &wish),
            Request::Populate { space, pages } => {
                let (start, pages) = self.pages(space, pages);
                self.populate(space, start, pages);
            }
            Request::Unmap { space, pages } => {
                let (start, pages) = self.pages(space, pages);
                self.unmap(space, start, pages);
            }
            Request::Protect { space, pages, rights } => {
                let (start, pages) = self.pages(space, pages);
                self.protect(space, start, pages, rights);
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
            Request::CreateSpace => self.create_space(),
            Request::DestroySpace { which } => self.destroy_space(self.space_number(which)),
            Request::Share { space, pages, into, wish } => {
                let (start, pages) = self.pages(space, pages);
                self.share(space, start, pages, into, &wish);
            }
            Request::Split { which, pages } => self.split(which, pages),
            Request::Merge { lower, upper } => self.merge(lower, upper),
            Request::Move { which, wish } => self.move_region(which, &wish),
        }
    }

    fn space_number(&self, which: u8) -> usize {
        usize::from(which) % self.reference.spaces.len()
    }

    /// Start and number of the pages that are meant.
    fn pages(&self, space: u8, pages: Pages) -> (usize, usize) {
        match pages {
            Pages::At { spot, pages } => (spot.address(self.host.target()), pages),
            Pages::Of { region, page, pages } => {
                let space = &self.reference.spaces[self.space_number(space)];
                let memory = |region: &&Region| region.kind == Kind::Memory;
                let regions: Vec<Region> = space.regions.values().filter(memory).copied().collect();
                let Some(region) = pick(&regions, region) else { return (PAGE, pages) };
                // Sometimes from a guard on, sometimes one page too many.
                let page = usize::from(page) % region.pages;
                (
                    region.start + page * PAGE,
                    pages.min(region.pages - page + usize::from(page == 3)),
                )
            }
        }
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
        around: u8,
    ) {
        let number = self.space_number(space);
        let inside = wish.inside.and_then(|which| self.some_id(which));
        let mut options = options(wish, inside, &self.host);
        if around != 0 {
            options = options.backed(Backing::OnDemand { around });
        }
        let verdict = self.reference.place(&self.reference.spaces[number], wish, inside);
        let pages = if mapped { wish.pages } else { 0 };
        let verdict = self.within_quota(number, pages, verdict);
        let free = self.host.vmm.stats().free_bytes();
        let answer = request(&mut self.host.vmm, self.reference.spaces[number].id, &options);
        let (places, refusals) = verdict.split();
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
            around: around.into(),
        };
        self.enter(number, region, mapped);
    }

    fn enter(&mut self, number: usize, region: Region, mapped: bool) {
        if mapped {
            self.map_fresh(number, region.usable(), region.rights);
        }
        self.reference.spaces[number].regions.insert(region.start, region);
    }

    fn map_fresh(&mut self, number: usize, range: Range<usize>, rights: Rights) {
        let Reference { spaces, tags, .. } = &mut self.reference;
        for page in range.step_by(PAGE) {
            let frame = tags.len() as u32;
            tags.push(0);
            let page_there = Page { rights, frame, cow: false, owned: true };
            spaces[number].pages.insert(page, page_there);
        }
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
        let verdict = self.reference.place(&self.reference.spaces[number], &wish, inside);
        let (places, refusals) = verdict.split();
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
                None => space.beyond_quota(Resource::Frames, pages).into_iter().collect(),
            },
        };
        let free = self.host.vmm.stats().free_bytes();
        let answer = self.host.vmm.populate(space.id, start, pages);
        let need = Need { pages, tables: !self.has_tables(number, start, pages), free };
        if let (Some(()), Ok(region)) = (self.judge(answer, &refusals, need), region) {
            self.map_fresh(number, range, region.rights);
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
            for page in pages {
                self.reference.spaces[number].pages.remove(&page);
            }
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
        let spaces = self.reference.spaces.iter();
        let reservations = spaces.flat_map(|space| &space.reservations).map(|found| found.id);
        let reservations: Vec<RegionId> = reservations.collect();
        let id = match pick(&reservations, which) {
            Some(id) if which.is_multiple_of(4) => id,
            _ => self.some_region(which).1.id,
        };
        self.release_id(id);
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

    /// Enters a region that the manager itself chose the place of, as this wish would.
    fn enter_chosen(&mut self, number: usize, id: RegionId, wish: &Wish, kind: Kind) {
        let Wish { pages, .. } = *wish;
        let start = id.start().bits();
        match self.reference.place(&self.reference.spaces[number], wish, None) {
            Verdict::Places(places) if places.contains(&start) => {}
            _ => panic!("{start:#x} is no place for {pages} pages"),
        }
        let (below, above) = (usize::from(wish.below), usize::from(wish.above));
        let (rights, ceiling) = (Rights::READ_WRITE, Rights::READ_WRITE);
        let pages = pages + below + above;
        let (inside, around) = (None, 0);
        let region =
            Region { id, start, pages, below, above, rights, ceiling, kind, inside, around };
        // Of an arena each buffer is mapped by itself.
        self.enter(number, region, kind != Kind::IpcBuffer);
    }

    fn stack(&mut self, space: u8, pages: usize) {
        let number = self.space_number(space);
        let free = self.host.vmm.stats().free_bytes();
        let id = self.reference.spaces[number].id;
        let answer = self.host.vmm.allocate_stack(id, pages, "stack");
        let refusals = self.reference.spaces[number].beyond_quota(Resource::Frames, pages);
        let Some(stack) =
            self.judge(answer, refusals.as_slice(), Need { pages, tables: true, free })
        else {
            return;
        };
        let wish = Wish { below: 1, above: 1, ..Wish::anywhere(pages) };
        self.enter_chosen(number, Stack::region(stack), &wish, Kind::Stack);
        let region = self.reference.spaces[number].region_at(stack.bottom()).expect("a region");
        assert_eq!(region.usable(), stack.bottom()..stack.top());
    }

    fn ipc_buffer(&mut self, space: u8) {
        let number = self.space_number(space);
        let free = self.host.vmm.stats().free_bytes();
        let id = self.reference.spaces[number].id;
        let answer = self.host.vmm.allocate_ipc_buffer(id);
        let refusals = self.reference.spaces[number].beyond_quota(Resource::Frames, 1);
        let Some(buffer) =
            self.judge(answer, refusals.as_slice(), Need { pages: 1, tables: true, free })
        else {
            return;
        };
        let arena = buffer.region();
        let known = self.reference.spaces[number].regions.values().any(|it| it.id == arena);
        if !known {
            let wish = Wish { below: 1, align_bits: 20, ..Wish::anywhere(2 * 127) };
            self.enter_chosen(number, arena, &wish, Kind::IpcBuffer);
        }
        let out = self.reference.handed_out.iter().filter(|other| other.region() == arena).count();
        let address = arena.start().bits() + (1 + 2 * out) * PAGE;
        assert_eq!(buffer.address(), address, "buffers follow each other");
        self.reference.handed_out.push(buffer);
        self.map_fresh(number, address..address + PAGE, Rights::READ_WRITE);
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
        self.reference.spaces[number].pages.remove(&buffer.address());
        self.reference.buffers.retain(|other| *other != buffer);
        // The addresses go with the last one.
        if !self.reference.buffers.iter().any(|other| other.region() == id) {
            self.reference.handed_out.retain(|other| other.region() != id);
            self.forget(number, id, region);
        }
        for (_, has) in &mut self.reference.threads {
            *has = has.filter(|other| *other != buffer);
        }
        let refused = self.host.vmm.release_ipc_buffer(buffer);
        assert_eq!(refused, Err(Error::NoSuchIpcBuffer { address: buffer.address() }));
    }

    fn write(&mut self, which: u8, tag: u64) {
        let spaces = self.reference.spaces.iter_mut();
        let pages = spaces.flat_map(|Space { id, pages, .. }| {
            let id = *id;
            pages.iter_mut().map(move |page| (id, page))
        });
        let now = |page: &Page| page.rights.contains(Rights::READ_WRITE) && !page.cow;
        let writable = pages.filter(|(_, (_, page))| now(page));
        let mut writable: Vec<_> = writable.collect();
        let count = writable.len();
        if count != 0 {
            let (space, (vaddr, page)) = &mut writable[usize::from(which) % count];
            self.host.write(*space, **vaddr, tag);
            self.reference.tags[page.frame as usize] = tag;
        }
    }

    fn create_space(&mut self) {
        if self.reference.spaces.len() == 4 {
            return;
        }
        let free = self.host.vmm.stats().free_bytes();
        let answer = self.host.vmm.create_space();
        let Some(id) = self.judge(answer, &[], Need { pages: 2, tables: true, free }) else {
            return;
        };
        self.host.spaces.push(id);
        let null = self.host.vmm.region_at(id, 0).expect("a space").expect("the null page");
        let region = Region {
            id: null.id,
            start: 0,
            pages: 1,
            below: null.guard_below,
            above: null.guard_above,
            rights: null.rights,
            ceiling: null.ceiling,
            kind: null.kind,
            inside: None,
            around: 0,
        };
        let regions = BTreeMap::from([(0, region)]);
        let (reservations, pages, quota) = (Vec::new(), BTreeMap::new(), Quota::UNLIMITED);
        self.reference.spaces.push(Space { id, regions, reservations, pages, quota });
    }

    fn destroy_space(&mut self, number: usize) {
        let space = &self.reference.spaces[number];
        let id = space.id;
        let buffers = self.reference.buffers.iter().filter(|buffer| buffer.region().space() == id);
        let refusals = match buffers.count() {
            _ if number == 0 => vec![Error::OwnSpace(id)],
            0 => vec![],
            threads => vec![Error::SpaceInUse { space: id, threads }],
        };
        let answer = self.host.vmm.destroy_space(id);
        if self.judge(answer, &refusals, Need::NOTHING).is_some() {
            self.reference.spaces.remove(number);
            self.reference.dead.retain(|dead| dead.space() != id);
            self.host.spaces.retain(|&other| other != id);
            let options = RegionOptions::new(1);
            self.host.refuses(Error::NoSuchSpace(id), |vmm| vmm.map(id, &options));
        }
    }

    fn share(&mut self, space: u8, start: usize, pages: usize, into: u8, wish: &Wish) {
        let (number, into) = (self.space_number(space), self.space_number(into));
        let inside = wish.inside.and_then(|which| self.some_id(which));
        let region = self.reference.pages_of(&self.reference.spaces[number], start, pages).copied();
        let mut wish = Wish { pages, ..*wish };
        let limit = region.map_or(Rights::READ_WRITE, |region| region.ceiling);
        let ceiling = wish.ceiling.unwrap_or(limit);
        wish.ceiling = Some(ceiling);
        let options = options(&wish, inside, &self.host);
        let verdict = match region {
            Err(error) => Verdict::Refused(vec![error]),
            Ok(_) if !limit.contains(ceiling) => {
                Verdict::Refused(vec![Error::RightsExceedCeiling {
                    asked: ceiling,
                    ceiling: limit,
                }])
            }
            Ok(_) => match self.hole(number, start, pages) {
                Some(error) => Verdict::Refused(vec![error]),
                None => self.may_share(pages, into, &wish, inside),
            },
        };
        let (places, refusals) = verdict.split();
        let free = self.host.vmm.stats().free_bytes();
        let (from_id, into_id) = (self.reference.spaces[number].id, self.reference.spaces[into].id);
        let answer = self.host.vmm.share(from_id, start, pages, into_id, &options);
        let need = Need { pages: self.own_copies(number, start, pages), tables: true, free };
        if answer.is_ok() || refusals.is_empty() {
            self.follow_breaks(number, start, pages, answer.is_ok());
        }
        let Some(id) = self.judge(answer, &refusals, need) else { return };
        let at = id.start().bits();
        assert!(places.contains(&at), "{at:#x}, right were {places:#x?}");
        let (below, above) = (usize::from(wish.below), usize::from(wish.above));
        let region = Region {
            id,
            start: at,
            pages: pages + below + above,
            below,
            above,
            rights: wish.rights,
            ceiling,
            kind: Kind::Memory,
            inside,
            around: 0,
        };
        for page in 0..pages {
            let frame = self.reference.spaces[number].pages[&(start + page * PAGE)].frame;
            let there = Page { rights: wish.rights, frame, cow: false, owned: false };
            let vaddr = at + (below + page) * PAGE;
            self.reference.spaces[into].pages.insert(vaddr, there);
        }
        self.enter(into, region, false);
    }

    /// A region by number, with the number of its space: of any kind.
    fn some_region(&self, which: u8) -> (usize, Region) {
        let spaces = self.reference.spaces.iter().enumerate();
        let all =
            spaces.flat_map(|(number, space)| space.regions.values().map(move |r| (number, *r)));
        let all: Vec<(usize, Region)> = all.collect();
        let memory: Vec<_> = all.iter().filter(|(_, r)| r.kind == Kind::Memory).copied().collect();
        let chosen = if which < 220 { pick(&memory, which) } else { None };
        chosen.or(pick(&all, which)).expect("there is always the null page")
    }

    fn split(&mut self, which: u8, pages: usize) {
        let (number, region) = self.some_region(which);
        let usable = region.usable();
        let refusals = match region.kind {
            Kind::Memory if pages >= usable.len() / PAGE => {
                vec![Error::OutsideRegion { address: usable.end }]
            }
            Kind::Memory if pages == 0 => vec![Error::OutsideRegion { address: usable.start }],
            Kind::Memory => vec![],
            _ => vec![Error::WrongKind(region.id)],
        };
        let answer = self.host.vmm.split_region(region.id, pages);
        let Some(id) = self.judge(answer, &refusals, Need::NOTHING) else { return };
        let start = usable.start + pages * PAGE;
        assert_eq!(id.start().bits(), start);
        let lower = Region { pages: region.below + pages, above: 0, ..region };
        let upper = Region { id, start, pages: region.pages - lower.pages, below: 0, ..region };
        let space = &mut self.reference.spaces[number];
        space.regions.insert(lower.start, lower);
        space.regions.insert(upper.start, upper);
    }

    fn merge(&mut self, lower: u8, upper: u8) {
        let (number, a) = self.some_region(lower);
        // Mostly the next one, which may be a neighbour.
        let next = self.reference.spaces[number].regions.range(a.start + 1..).next();
        let (other, b) = match next {
            Some((_, &next)) if upper < 200 => (number, next),
            _ => self.some_region(upper),
        };
        let like = |r: &Region| (r.rights, r.ceiling, r.inside, r.around);
        let alike = like(&a) == like(&b) && (a.kind, b.kind) == (Kind::Memory, Kind::Memory);
        let refusals = if number != other || a.end() != b.start {
            vec![Error::OutsideRegion { address: b.start }]
        } else if a.above != 0 || b.below != 0 {
            vec![Error::Guard { address: b.start }]
        } else if alike {
            vec![]
        } else {
            vec![Error::WrongKind(b.id)]
        };
        let answer = self.host.vmm.merge_regions(a.id, b.id);
        if self.judge(answer, &refusals, Need::NOTHING).is_some() {
            let space = &mut self.reference.spaces[number];
            space.regions.remove(&b.start);
            let joined = Region { pages: a.pages + b.pages, above: b.above, ..a };
            space.regions.insert(a.start, joined);
            self.reference.dead.push(b.id);
        }
    }

    fn move_region(&mut self, which: u8, wish: &Wish) {
        let (number, region) = self.some_region(which);
        let inside = wish.inside.and_then(|which| self.some_id(which));
        let pages = region.pages - region.below - region.above;
        let wish = Wish {
            place: wish.place,
            align_bits: wish.align_bits,
            inside: wish.inside,
            pages,
            below: region.below as u16,
            above: region.above as u16,
            rights: region.rights,
            ceiling: Some(region.ceiling),
        };
        let options = options(&wish, inside, &self.host);
        let verdict = match region.kind {
            Kind::Memory | Kind::Stack => {
                self.reference.place(&self.reference.spaces[number], &wish, inside)
            }
            _ => Verdict::Refused(vec![Error::WrongKind(region.id)]),
        };
        let (places, refusals) = verdict.split();
        let free = self.host.vmm.stats().free_bytes();
        let answer = self.host.vmm.move_region(region.id, &options);
        let need = Need { pages: 0, tables: true, free };
        let Some(id) = self.judge(answer, &refusals, need) else { return };
        let start = id.start().bits();
        assert!(places.contains(&start), "{start:#x}, right were {places:#x?}");
        let space = &mut self.reference.spaces[number];
        space.regions.remove(&region.start);
        let moved: Vec<usize> = space.pages.range(region.usable()).map(|(&page, _)| page).collect();
        let moved: Vec<(usize, Page)> = moved
            .into_iter()
            .map(|at| (at - region.start + start, space.pages.remove(&at).expect("it is there")))
            .collect();
        space.pages.extend(moved);
        space.regions.insert(start, Region { id, start, inside, ..region });
        self.reference.dead.push(region.id);
    }

    /// Compares everything the hardware sees with the reference; `contents` too if so wanted.
    fn compare(&self, contents: bool) {
        self.host.check();
        assert_eq!(self.host.vmm.stats().bookkeeping_pages, 0, "the pool is large enough");
        let spaces = &self.reference.spaces;
        let found: Vec<Mapped> = spaces.iter().map(|space| self.host.mappings(space.id)).collect();
        for (space, found) in spaces.iter().zip(&found) {
            let seen = |rights: Rights| match rights.contains(Rights::READ) {
                true => rights & Rights::READ_WRITE,
                false => Rights::empty(),
            };
            let now = |page: &Page| match page.cow {
                true => seen(page.rights) - Rights::WRITE,
                false => seen(page.rights),
            };
            let expected = space.pages.iter().map(|(&at, page)| (at, now(page)));
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
                    let tag = self.reference.tags[page.frame as usize];
                    assert_eq!(self.host.read(space.id, vaddr), tag, "at {vaddr:#x}");
                }
            }
            self.compare_regions(space);
            self.compare_usage(space);
        }
        self.compare_frames(&found);
        self.compare_threads();
    }

    /// Pages that are one memory have one physical address, and no other page has it.
    fn compare_frames(&self, found: &[Mapped]) {
        let (mut paddr_of, mut frame_of) = (BTreeMap::new(), BTreeMap::new());
        for (space, found) in self.reference.spaces.iter().zip(found) {
            for (vaddr, page) in &space.pages {
                let paddr = found[vaddr].paddr;
                let here = (*paddr_of.entry(page.frame).or_insert(paddr), paddr);
                assert_eq!(here.0, here.1, "{vaddr:#x} of {:?} is other memory", space.id);
                let frame = *frame_of.entry(paddr).or_insert(page.frame);
                assert_eq!(frame, page.frame, "{vaddr:#x} of {:?} is somebody's", space.id);
            }
        }
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
        while self.reference.spaces.len() > 1 {
            self.destroy_space(1);
        }
    }
}
