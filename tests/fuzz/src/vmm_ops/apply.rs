//! What an operation changes in the reference.

use vmm::{Error, Kind, RegionId, Rights};

use super::decode::Op;
use super::execute::{Made, thread_options};
use super::want::{moved, plain};
use super::{Buffer, Run, Thing, Thread};
use crate::machine::DEVICE;
use crate::reference::{Ask, Origin, PAGE, Page, Region, Space};

/// What fresh memory holds.
const CLEAR: Option<[u64; 2]> = Some([0, 0]);

impl Run<'_> {
    /// Enters in the reference what a successful operation did.
    pub(super) fn apply(&mut self, op: Op, made: Made) {
        let own = self.vmm.own_space();
        self.see_obstacles();
        if let Made::Region(id) = made {
            self.regions.push(id);
        }
        match (op, made) {
            (Op::CreateSpace, Made::Space(id)) => {
                assert!(!self.spaces.contains(&id), "{id:?} was used before");
                self.spaces.push(id);
                self.world.spaces.push(Space::new(id));
            }
            (Op::DestroySpace(id), _) => self.world.spaces.retain(|space| space.id != id),
            (Op::Map(_, ask), Made::Region(id)) => {
                self.enter_mapped(id, &ask, Kind::Memory, Origin::Owned, CLEAR);
            }
            (Op::Reserve(_, ask), Made::Region(id)) => self.world.enter(id, &ask, Kind::Memory),
            (Op::ReserveForOthers(_, ask), Made::Region(id)) => {
                self.world.enter(id, &ask, Kind::Reservation);
            }
            (Op::Release(id), _) => self.forget_region(id),
            (Op::Populate(id, start, pages), _) => {
                let range = (start / PAGE, start / PAGE + pages);
                let region = self.world.space(id).and_then(|space| space.region_at(range.0));
                let region = *region.expect("there is a region");
                let how = (region.rights, region.cache);
                self.world.fill(id, range, how, Origin::Owned, CLEAR);
            }
            (Op::Unmap(id, start, pages), _) => self.unmap(id, start, pages),
            (Op::Protect(id, start, pages, rights), _) => self.protect(id, start, pages, rights),
            (Op::Share(from, start, pages, _, ask), Made::Region(id)) => {
                let source = self.world.space(from).expect("it was shared from");
                let limit = source.region_at(start / PAGE).expect("from a region").ceiling;
                let shown = source.pages.range(start / PAGE..start / PAGE + pages);
                let numbers: Vec<usize> = shown.map(|(&number, _)| number).collect();
                let shown = self.break_cow_of(from, &numbers);
                let ceiling = Some(ask.ceiling.unwrap_or(limit));
                self.world.enter(id, &Ask { pages, ceiling, ..ask }, Kind::Memory);
                let first = self.world.region(id).expect("just entered").usable().0;
                let pages = &mut self.world.space_mut(id.space()).pages;
                for (index, page) in shown.into_iter().enumerate() {
                    let page = Page { rights: ask.rights, cache: ask.cache, copy: true, ..page };
                    pages.insert(first + index, page);
                }
            }
            (Op::Split(id, pages), Made::Region(upper)) => self.split(id, upper, pages),
            (Op::Merge(lower, upper), _) => {
                let space = self.world.space_mut(lower.space());
                let second = *space.region(upper).expect("it was merged");
                space.regions.retain(|region| region.id != upper);
                let first = space.regions.iter_mut().find(|region| region.id == lower);
                let first = first.expect("it was merged");
                first.pages += second.pages;
                first.guards.1 = second.guards.1;
            }
            (Op::Move(id, ask), Made::Region(new)) => {
                let old = *self.world.region(id).expect("it was moved");
                self.world.enter(new, &moved(&old, &ask), old.kind);
                let first = self.world.region(new).expect("just entered").start;
                let pages = self.world.space(id.space()).expect("alive").pages.clone();
                self.forget_region(id);
                let space = self.world.space_mut(id.space());
                for (number, page) in pages.range(old.start..old.end()) {
                    space.pages.insert(number - old.start + first, *page);
                }
            }
            (Op::Stack(_, pages), Made::Region(id)) => {
                self.enter_mapped(id, &plain(pages, (1, 1)), Kind::Stack, Origin::Owned, CLEAR);
            }
            (Op::Buffer(_), Made::Buffer(handle)) => self.enter_buffer(handle, false),
            (Op::PackedBuffer(_), Made::Buffer(handle)) => self.enter_buffer(handle, true),
            (Op::ReleaseBuffer(number), _) => self.forget_buffer(number),
            (Op::Thread(_, pages, tls), Made::Thread(memory)) => {
                let stack = memory.stack.region();
                self.enter_mapped(stack, &plain(pages, (1, 1)), Kind::Stack, Origin::Owned, CLEAR);
                self.enter_buffer(memory.ipc_buffer, false);
                let mut regions = vec![stack];
                if let Some(pointer) = memory.tls.map(|tls| tls.thread_pointer()) {
                    regions.push(self.enter_tls(stack.space(), pointer, tls));
                }
                self.threads.push(Thread { memory, regions });
            }
            (Op::ReleaseThread(number), _) => {
                self.forget_thread(number);
            }
            (Op::Physical(_, paddr, ask), Made::Region(id)) => {
                // Devices are never cleared.
                let holds = if paddr >= DEVICE { None } else { CLEAR };
                self.enter_mapped(id, &ask, Kind::Memory, Origin::Physical, holds);
            }
            (Op::Allocate(blueprint), Made::Object(object)) => {
                self.things.push((Thing::One(object, blueprint), true));
            }
            (Op::AllocateMany(blueprint, _), Made::Objects(objects)) => {
                self.things.push((Thing::Many(objects, blueprint), true));
            }
            (Op::TakeSlots(count), Made::Slots(first)) => {
                for slot in (0..count).map(|index| first.offset(index)) {
                    assert!(self.vmm.kernel().is_empty_slot(slot), "{slot:?} is taken");
                }
                self.things.push((Thing::Slots(first, count), true));
            }
            (Op::MapThing(_, number, ask), Made::Region(id)) => {
                let count = self.frames(number).map_or(0, |frames| frames.len());
                let holds = if self.used.contains(&number) { None } else { CLEAR };
                self.used.push(number);
                let ask = Ask { pages: count, ..ask };
                self.enter_mapped(id, &ask, Kind::Memory, Origin::Foreign(number), holds);
            }
            (Op::Free(number), _) if !self.is_mapped(number) => {
                if let Some(thing) = self.things.get_mut(number) {
                    thing.1 = false;
                }
            }
            (Op::Write(number), _) => self.write(number),
            (op, made) => self.apply_lazy(op, made),
        }
        debug_assert!(self.world.space(own).is_some());
    }

    /// Enters what an operation did that was stopped by a kernel call that failed. Those not
    /// listed undo what they did.
    pub(super) fn apply_part(&mut self, op: Op, error: Error) {
        let done = match error {
            Error::Kernel { done, .. } => done,
            _ => 0,
        };
        match op {
            Op::Unmap(id, start, _) => self.unmap(id, start, done),
            Op::Protect(id, start, _, rights) => self.protect(id, start, done, rights),
            Op::Release(id) => self.see_what_is_left(id.space()),
            Op::DestroySpace(id) => self.see_what_is_left(id),
            Op::ReleaseBuffer(number) => {
                self.see_what_is_left(self.buffers[number].handle.region().space());
            }
            Op::ReleaseThread(number) => {
                let id = self.threads[number].regions[0].space();
                self.see_what_is_left(id);
                self.forget_thread(number);
            }
            _ => {}
        }
    }

    /// Forgets the pages of a space that are not mapped any more.
    fn see_what_is_left(&mut self, id: vmm::SpaceId) {
        let vmm = &self.vmm;
        let Some(space) = self.world.spaces.iter_mut().find(|space| space.id == id) else { return };
        space.pages.retain(|&page, _| vmm.mapping_at(id, page * PAGE).is_ok_and(|m| m.is_some()));
    }

    fn enter_mapped(
        &mut self,
        id: RegionId,
        ask: &Ask,
        kind: Kind,
        origin: Origin,
        holds: Option<[u64; 2]>,
    ) {
        self.world.enter(id, ask, kind);
        let range = self.world.region(id).expect("just entered").usable();
        self.world.fill(id.space(), range, (ask.rights, ask.cache), origin, holds);
        if !self.regions.contains(&id) {
            self.regions.push(id);
        }
    }

    fn enter_buffer(&mut self, handle: vmm::IpcBuffer, packed: bool) {
        let id = handle.region();
        let before = self.buffers.iter().filter(|buffer| buffer.handle.region() == id).count();
        let first = id.start().bits() + PAGE;
        match packed {
            true if before == 0 => {
                self.enter_mapped(id, &plain(1, (1, 1)), Kind::IpcBuffer, Origin::Owned, CLEAR);
            }
            true => {}
            false => self.enter_in_arena(id, before, handle.address()),
        }
        let step = if packed { 512 } else { 2 * PAGE };
        let index = (handle.address() - first) / step;
        assert_eq!(handle.address(), first + index * step, "buffers follow each other");
        // One that was made for a thread, of which something else was short, is not handed out again.
        assert!(index == before || !packed && index > before, "buffer {index} after {before}");
        assert!(self.buffers.iter().all(|other| other.handle != handle), "handed out twice");
        self.world.space_mut(id.space()).threads += 1;
        self.buffers.push(Buffer { handle, packed, live: true });
    }

    /// Enters the page of a buffer, and its arena if it is the first.
    fn enter_in_arena(&mut self, id: RegionId, before: usize, address: usize) {
        if before == 0 {
            let pages = self.vmm.region_info(id).expect("just made").range.pages();
            // Where addresses are short, an arena has one buffer.
            let ask = if pages == 3 { plain(2, (1, 0)) } else { plain(2 * 127, (1, 0)) };
            let align_bits = if pages == 3 { 0 } else { 20 };
            self.world.enter(id, &Ask { align_bits, ..ask }, Kind::IpcBuffer);
            self.regions.push(id);
        }
        let (page, how) = (address / PAGE, plain(1, (0, 0)));
        let range = (page, page + 1);
        self.world.fill(id.space(), range, (how.rights, how.cache), Origin::Owned, CLEAR);
    }

    fn forget_buffer(&mut self, number: usize) {
        let Some(buffer) = self.buffers.get_mut(number) else { return };
        buffer.live = false;
        let (id, packed, page) =
            (buffer.handle.region(), buffer.packed, buffer.handle.address() / PAGE);
        self.world.space_mut(id.space()).threads -= 1;
        if !packed {
            self.world.space_mut(id.space()).pages.remove(&page);
        }
        let mut others = self.buffers.iter().filter(|other| other.handle.region() == id);
        if others.all(|other| !other.live) {
            self.forget_region(id);
        }
    }

    /// Enters the thread-local storage of a thread and checks what it starts with.
    fn enter_tls(&mut self, space: vmm::SpaceId, pointer: usize, bytes: usize) -> RegionId {
        let info = self.vmm.region_at(space, pointer).expect("alive").expect("it lies in a region");
        let options = thread_options(0, bytes).tls.expect("it has some");
        let below = bytes.next_multiple_of(options.align);
        let pages = (below + usize::from(self.word_bytes())).div_ceil(PAGE);
        assert_eq!(pointer, info.id.start().bits() + below, "the thread pointer");
        self.enter_mapped(info.id, &plain(pages, (0, 0)), Kind::Memory, Origin::Owned, None);
        let vspace = self.vmm.vspace(space).expect("alive");
        let mut seen = vec![0; below + usize::from(self.word_bytes())];
        let kernel = self.vmm.kernel();
        kernel.read(vspace, info.id.start().bits(), &mut seen).expect("it is readable");
        let mut wanted = options.init.to_vec();
        wanted.resize(below, 0);
        wanted.extend(&pointer.to_le_bytes()[..usize::from(self.word_bytes())]);
        assert_eq!(seen, wanted, "the thread-local storage");
        info.id
    }

    fn word_bytes(&self) -> u8 {
        self.vmm.allocator().sizes().word_bits / 8
    }

    /// Forgets what is gone of a thread's memory.
    fn forget_thread(&mut self, number: usize) {
        let Some(thread) = self.threads.get(number).cloned() else { return };
        let handle = thread.memory.ipc_buffer;
        let space = handle.region().space();
        let gone = !matches!(self.vmm.mapping_at(space, handle.address()), Ok(Some(_)));
        let same = |buffer: &Buffer| buffer.handle == handle && buffer.live;
        if let Some(number) = self.buffers.iter().position(same).filter(|_| gone) {
            self.forget_buffer(number);
        }
        for id in thread.regions {
            if self.vmm.region_info(id).is_err() {
                self.forget_region(id);
            }
        }
    }

    fn forget_region(&mut self, id: RegionId) {
        let Some(region) = self.world.region(id).copied() else { return };
        let space = self.world.space_mut(id.space());
        space.regions.retain(|other| other.id != id);
        if region.kind != Kind::Reservation {
            space.pages.retain(|page, _| *page < region.start || *page >= region.end());
        }
    }

    fn unmap(&mut self, id: vmm::SpaceId, start: usize, pages: usize) {
        let range = start / PAGE..start / PAGE + pages;
        self.world.space_mut(id).pages.retain(|page, _| !range.contains(page));
    }

    fn protect(&mut self, id: vmm::SpaceId, start: usize, pages: usize, rights: Rights) {
        let range = start / PAGE..start / PAGE + pages;
        let touched = self.world.space_mut(id).pages.range_mut(range);
        touched.for_each(|(_, page)| page.rights = rights);
    }

    fn split(&mut self, id: RegionId, upper: RegionId, pages: usize) {
        let space = self.world.space_mut(id.space());
        let lower = space.regions.iter_mut().find(|region| region.id == id);
        let lower = lower.expect("it was split");
        let whole = *lower;
        lower.pages = lower.guards.0 + pages;
        lower.guards.1 = 0;
        let start = lower.end();
        let guards = (0, whole.guards.1);
        space.regions.push(Region {
            id: upper,
            start,
            pages: whole.end() - start,
            guards,
            ..whole
        });
    }

    /// Writes to page `number` of all that can be written, as the program would.
    fn write(&mut self, number: usize) {
        let writable = |page: &Page| page.rights.contains(Rights::READ_WRITE) && !page.cow;
        let pages: Vec<_> = self
            .world
            .spaces
            .iter()
            .flat_map(|space| space.pages.iter().map(|(number, page)| (space.id, *number, *page)))
            .filter(|(_, _, page)| writable(page))
            .collect();
        if pages.is_empty() {
            return;
        }
        let (space, page, shows) = pages[number * 7 % pages.len()];
        let vspace = self.vmm.vspace(space).expect("alive");
        let value = (shows.cell as u64 + 1) << 8 | number as u64;
        let kernel = self.vmm.kernel_mut();
        for at in [page * PAGE, (page + 1) * PAGE - 8] {
            kernel.write(vspace, at, &value.to_le_bytes()).expect("it is writable");
        }
        self.world.cells[shows.cell] = Some([value, value]);
    }
}
