// SPDX-License-Identifier: BSD-2-Clause
//! Paged memory, as its pager has it: pages are supplied, and taken back.
//!
//! ```text
//!   the pager's memory object          paged memory           spaces in which it is mapped
//!        │ 7 │ ──── Supply: given ────────► │ 3 │ ──────────────► touched: read
//!        │ 7 │ ◄─── TakeBack ────────────── │ 3 │ ◄── unmapped ── the first write is noted
//! ```
//!
//! A page that is given, or taken back, is not copied: its frame goes from one store to the other.
//! What can be there at a time is paid from the start, so supplying needs no memory.

use vmm::{CPtr, Kernel, Memory, Pages, RegionOptions, Rights as CapRights, Vmm};
use vmm_client::objects::{
    Amounts, Answer, Kind, MemoryOptions, Refusal, Resource, Supply, MAX_PAGES, MAX_SUPPLY,
};

use super::answers::{narrow, page_rights, refuse, tables, Answered, Refused, NODE};
use super::capabilities::Place;
use super::memory::{at, check_unlocated, copy_page, in_store, region, stored};
use super::service::{clearing, Objects};
use super::state::counts::{add, sub};
use super::state::object::{Object, What};
use super::state::program::Program;
use super::state::supplied::{Paged, Phase, Supplied};
use super::state::thread::Thread;

/// Paged memory that is to be made.
#[derive(Clone, Copy)]
pub(super) struct NewPaged {
    pub pages: u32,
    pub most: u32,
}

/// Pages, from the first on, of a memory object, and of another.
#[derive(Clone, Copy)]
pub(super) struct Range {
    pub first: u32,
    pub pages: u32,
}

/// How pages are supplied.
#[derive(Clone, Copy)]
pub(super) struct Manner {
    pub how: Supply,
    pub write: bool,
}

/// Who waited for a page and has it mapped now, and whether it can be written there.
#[derive(Clone, Copy)]
struct Seen<'p> {
    thread: &'p Thread<'p>,
    writes: bool,
}

impl<'p> Objects<'p> {
    /// Serves [`vmm_client::objects::Request::CreatePaged`].
    pub(super) fn create_paged<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        place: Place<'p>,
        NewPaged { pages, most }: NewPaged,
    ) -> Result<&'p Object<'p>, Refused> {
        if pages == 0 {
            return Err(Refusal::BadLength { pages });
        }
        if most == 0 || most > pages {
            return Err(Refusal::BadLength { pages: most });
        }
        let options = MemoryOptions::WRITABLE | MemoryOptions::PAGED;
        let cost = NODE.with(Resource::Pages, most).with(Resource::Slots, 1);
        let cost = cost.with(Resource::Tables, tables(vmm.geometry(), pages));
        // A record for each page that is there.
        let nodes = Amounts::NONE.with(Resource::Nodes, most);
        let cost = cost.plus(nodes).map_err(|_| Refusal::BadLength { pages: most })?;
        let rights = Object::all_rights(Kind::Memory, options);
        self.create(vmm, place, (Kind::Memory, rights, cost), |_, vmm, object| {
            let like = RegionOptions::new(pages as usize).rights(stored(options)).named("paged");
            let region = in_store(vmm, object, |vmm, store| {
                clearing(vmm, |vmm| vmm.reserve(store, &like)).map_err(refuse)
            })?;
            let (waiting, pager, notify, due) = (0, 0, CPtr::NULL, false);
            object.paged.set(Some(Paged { most, waiting, pager, notify, due }));
            Ok(What::Memory { region, pages, options })
        })
    }

    /// Notes that a program asks as the pager of a memory object.
    fn is_pager(&self, program: &Program<'p>, memory: &Object<'p>) -> Result<(), Refused> {
        let number = program.object.get().ok_or(Refusal::Internal {})?.number.get();
        memory.set_paged(|paged| Paged { pager: number, ..paged });
        Ok(())
    }

    /// What a pager is told.
    fn wanted(&mut self, memory: &Object<'p>, done: u32) -> Answer {
        let wanted = self.next_wanted(memory);
        let (page, write) = wanted.unwrap_or_default();
        Answer::Wanted { done, waits: wanted.is_some(), page, write }
    }

    /// Serves [`vmm_client::objects::Request::NextFault`].
    pub(super) fn next_fault(&mut self, program: &Program<'p>, memory: &Object<'p>) -> Answered {
        self.is_pager(program, memory)?;
        Ok(self.wanted(memory, 0))
    }

    /// Serves [`vmm_client::objects::Request::TellFaults`].
    pub(super) fn tell_faults<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        (program, memory): (&Program<'p>, &'p Object<'p>),
        foreign: CPtr,
    ) -> Answered {
        let paged = memory.paged.get().ok_or(Refusal::Internal {})?;
        self.keep_foreign(vmm, paged.notify).map_err(refuse)?;
        memory.set_paged(|paged| Paged { notify: foreign, ..paged });
        self.set_pager_due(memory, false);
        self.is_pager(program, memory)?;
        self.tell_again(memory);
        self.tell_pager(memory);
        Ok(Answer::Done {})
    }

    /// Serves [`vmm_client::objects::Request::Supply`].
    pub(super) fn supply<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        (program, memory): (&Program<'p>, &'p Object<'p>),
        (source, from): (&'p Object<'p>, u32),
        range: Range,
        manner: Manner,
    ) -> Answered {
        check(memory, range)?;
        check(source, Range { first: from, ..range })?;
        if manner.how == Supply::Give {
            check_unlocated(source, 1)?;
        }
        let paged = memory.paged.get().ok_or(Refusal::Internal {})?;
        let (number, pages) = (memory.number.get(), range.first..range.first + range.pages);
        if let Some(page) = pages.clone().find(|&page| self.tables.supplied(number, page).is_some())
        {
            return Err(Refusal::IsThere { page });
        }
        if range.pages > paged.most - memory.committed.get() {
            return Err(Refusal::Full { most: paged.most });
        }
        self.is_pager(program, memory)?;
        while self.tables.free_supplied.available() < range.pages as usize {
            let pool = &mut self.tables.free_supplied;
            clearing(vmm, |vmm| vmm.adopt_bookkeeping_page(pool)).map_err(refuse)?;
        }
        let (mut done, mut steps) = (0, MAX_PAGES);
        while done < range.pages {
            let (given, to) = ((source, from + done), (memory, range.first + done));
            let seen = self.give_to_waiting(vmm, given, to, manner);
            let rest = (manner.how, range.pages - done);
            let count = match seen {
                Some(_) => 1,
                None => match self.supply_pages(vmm, given, to, rest, &mut steps) {
                    Ok(0) => break,
                    Ok(count) => count,
                    Err(vmm::Error::Shared { .. }) if done == 0 => {
                        return Err(Refusal::Shared { page: given.1 });
                    }
                    Err(error) if done == 0 => return Err(refuse(error)),
                    Err(_) => break,
                },
            };
            for page in to.1..to.1 + count {
                // It was seen that there are nodes.
                let node = self.tables.insert_supplied(number, page).ok_or(Refusal::Internal {})?;
                node.may_write.set(manner.write);
                node.shared.set(manner.how == Supply::Share);
                add(&memory.committed, 1);
                if let Some(Seen { thread, writes }) = seen.flatten() {
                    node.written.set(writes);
                    self.wake(thread, Phase::GoesOn);
                }
                self.page_is_there(vmm, memory, page);
            }
            done += count;
        }
        match done == range.pages {
            true => Ok(self.wanted(memory, done)),
            // The rest comes first.
            false => Ok(Answer::Wanted { done, waits: false, page: 0, write: false }),
        }
    }

    /// Puts pages into the store of paged memory, up to `most`; returns how many. None where more
    /// than the steps of a request were wanted for the first.
    fn supply_pages<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        (source, from): (&'p Object<'p>, u32),
        (memory, page): (&'p Object<'p>, u32),
        (how, most): (Supply, u32),
        steps: &mut u32,
    ) -> vmm::Result<u32> {
        let parts = region(source).zip(region(memory));
        let Some((given, into)) = parts else { return Ok(0) };
        let (space, at) = (given.space(), at(given, from));
        if how == Supply::Copy {
            return copy_page(vmm, (space, at), (into, page)).map(|()| 1);
        }
        if how == Supply::Give {
            // Who waits for one has it by itself; and each is to be unmapped by this request.
            let waited = memory.paged.get().is_some_and(|paged| paged.waiting != 0);
            let enough = *steps / source.mappings.get().max(1);
            let most = if waited { 1 } else { most.min(enough).max(1) };
            if !self.unmap_everywhere(vmm, source, (from, most), steps)? {
                return Ok(0);
            }
            // As a rule they are there, and nobody else's.
            let to = (into, page as usize);
            if let Ok(moved) = vmm.transfer_some_into((space, at), most as usize, to) {
                sub(&source.committed, narrow(moved));
                return Ok(narrow(moved));
            }
        }
        clearing(vmm, |vmm| {
            self.commit(vmm, source, (from, 1))?;
            vmm.break_copy_on_write(space, Pages::at(at))
        })?;
        match how {
            Supply::Share => {
                clearing(vmm, |vmm| vmm.share_into(space, Pages::at(at), into, page as usize))?;
            }
            _ => {
                clearing(vmm, |vmm| vmm.transfer_into(space, at, into, page as usize))?;
                sub(&source.committed, 1);
            }
        }
        Ok(1)
    }

    /// Puts a page into the store of paged memory that is to be given, is mapped once elsewhere,
    /// and is waited for: it is mapped where it is waited for instead. Returns who waited, unless
    /// the kernel refused to map it there. `None` if it is no such page, or that is refused:
    /// nothing was done then.
    fn give_to_waiting<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        (source, from): (&'p Object<'p>, u32),
        (memory, page): (&'p Object<'p>, u32),
        Manner { how, write }: Manner,
    ) -> Option<Option<Seen<'p>>> {
        if memory.paged.get()?.waiting == 0 || how != Supply::Give || source.mappings.get() != 1 {
            return None;
        }
        let thread = self.waits.for_page(memory.number.get(), page, 0)?;
        let wait = thread.paging.get()?;
        let to = self.tables.mapping(wait.token, wait.asked)?;
        let (seen, nth) = self.tables.next_of_memory(source, (0, 0))?.place_of(from)?;
        let (taker, number) = to.place_of(page)?;
        let (given, into) = (region(source)?, region(memory)?);
        let (writes, all) = (wait.write, page_rights(to.rights.get()));
        if writes && !(write && all.contains(CapRights::WRITE)) {
            return None;
        }
        let rights = if writes { all } else { all.difference(CapRights::WRITE) };
        let moved = vmm.hand_over(
            (given.space(), at(given, from)),
            (into, page as usize),
            (seen.space(), at(seen, nth)),
            (taker, number as usize),
            rights,
        );
        let is_seen = moved.ok()?;
        sub(&source.committed, 1);
        Some(is_seen.then_some(Seen { thread, writes }))
    }

    /// Serves [`vmm_client::objects::Request::AllowWrite`].
    pub(super) fn allow_write<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        (program, memory): (&Program<'p>, &'p Object<'p>),
        range: Range,
    ) -> Answered {
        check(memory, range)?;
        let number = memory.number.get();
        let there = |page| self.tables.there(memory, page).ok_or(Refusal::NotThere { page });
        for page in range.first..range.first + range.pages {
            there(page)?;
        }
        self.is_pager(program, memory)?;
        for page in range.first..range.first + range.pages {
            if let Some(node) = self.tables.supplied(number, page) {
                node.may_write.set(true);
            }
            self.page_is_there(vmm, memory, page);
        }
        Ok(self.wanted(memory, range.pages))
    }

    /// Serves [`vmm_client::objects::Request::Refuse`].
    pub(super) fn refuse_page(
        &mut self,
        program: &Program<'p>,
        memory: &'p Object<'p>,
        page: u32,
    ) -> Answered {
        check(memory, Range { first: page, pages: 1 })?;
        self.is_pager(program, memory)?;
        self.page_is_refused(memory, page);
        Ok(self.wanted(memory, 0))
    }

    /// Serves [`vmm_client::objects::Request::TakeBack`], with the memory object that the pages
    /// come to, and [`vmm_client::objects::Request::Decommit`] without.
    pub(super) fn take_pages<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        (program, memory): (&Program<'p>, &'p Object<'p>),
        range: Range,
        into: Option<(&'p Object<'p>, u32)>,
    ) -> Answered {
        check(memory, range)?;
        if let Some((into, first)) = into {
            check(into, Range { first, ..range })?;
            check_unlocated(into, 1)?;
        }
        self.is_pager(program, memory)?;
        let (mut pages, mut written, mut steps) = (0, 0, MAX_PAGES);
        while pages < range.pages {
            let node = self.tables.supplied(memory.number.get(), range.first + pages);
            if let Some(node) = node {
                let into = into.map(|(into, first)| (into, first + pages));
                match self.take_page(vmm, memory, node, into, &mut steps) {
                    Ok(true) => written |= u32::from(node.written.get()) << pages,
                    Ok(false) => break,
                    Err(error) if pages == 0 => return Err(refuse(error)),
                    Err(_) => break,
                }
                self.tables.remove_supplied(node);
                sub(&memory.committed, 1);
            }
            pages += 1;
        }
        Ok(Answer::Taken { pages, written })
    }

    /// Takes a page out of the store of paged memory; returns whether it is gone, and no more than
    /// the steps of a request were wanted for that.
    fn take_page<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        memory: &'p Object<'p>,
        node: &Supplied<'p>,
        into: Option<(&'p Object<'p>, u32)>,
        steps: &mut u32,
    ) -> vmm::Result<bool> {
        node.leaves.set(true);
        if !self.unmap_everywhere(vmm, memory, (node.page.get(), 1), steps)? {
            return Ok(false);
        }
        let Some(from) = region(memory) else { return Ok(false) };
        let (space, page) = (from.space(), at(from, node.page.get()));
        match into.filter(|_| !node.shared.get()) {
            None => {
                vmm.decommit_some(space, Pages::at(page), 1)?;
            }
            Some((into, number)) => {
                let Some(target) = region(into) else { return Ok(false) };
                let transfer = |vmm: &mut Vmm<'p, K>| {
                    clearing(vmm, |vmm| vmm.transfer_into(space, page, target, number as usize))
                };
                // What is not there is mapped nowhere.
                let mut moved = transfer(vmm);
                if let Err(vmm::Error::AlreadyMapped { .. }) = moved {
                    if !self.unmap_everywhere(vmm, into, (number, 1), steps)? {
                        return Ok(false);
                    }
                    let old = Pages::at(at(target, number));
                    sub(&into.committed, narrow(vmm.decommit_some(target.space(), old, 1)?));
                    moved = transfer(vmm);
                }
                moved?;
                add(&into.committed, 1);
            }
        }
        Ok(true)
    }

    /// Unmaps pages of a memory object wherever they are mapped: as many as there are steps left.
    /// Returns whether they are mapped nowhere.
    fn unmap_everywhere<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        memory: &Object<'p>,
        (page, count): (u32, u32),
        steps: &mut u32,
    ) -> vmm::Result<bool> {
        let mut passed = (0, 0);
        while let Some(mapping) = self.tables.next_of_memory(memory, passed) {
            passed = mapping.id();
            let Some(region) = mapping.region.get() else { continue };
            let (first, space) = (mapping.first.get(), region.space());
            let from = page.max(first) - first;
            let behind = (page + count).saturating_sub(first).min(mapping.pages.get());
            if from >= behind {
                continue;
            }
            // A copy that a private mapping has stays its own.
            let is_one = |vmm: &Vmm<'p, K>, number: u32| -> vmm::Result<bool> {
                let mapped = vmm.mapping_at(space, at(region, number))?;
                Ok(mapped.is_some_and(|page| !mapping.owns(&page)))
            };
            let pages = if mapping.private.get() { 1 } else { behind - from };
            for number in (from..behind).step_by(pages as usize) {
                if mapping.private.get() && !is_one(vmm, number)? {
                    continue;
                }
                let part = Pages::at(at(region, number)).count(pages as usize);
                let done = vmm.decommit_some(space, part, *steps as usize)?;
                *steps -= narrow(done).min(*steps);
            }
            if *steps == 0 {
                for number in from..behind {
                    if is_one(vmm, number)? {
                        return Ok(false);
                    }
                }
            }
        }
        Ok(true)
    }

    /// Forgets what is remembered of the pages of a memory object that is taken apart, and who is
    /// told of them.
    pub(super) fn end_paged<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        memory: &'p Object<'p>,
    ) -> vmm::Result {
        let Some(paged) = memory.paged.get() else { return Ok(()) };
        self.set_pager_due(memory, false);
        // Where the kernel refuses this, all is as it was, and this is done again.
        if paged.notify != CPtr::NULL {
            vmm.release_slot(paged.notify)?;
        }
        while let Some(node) = self.tables.first_supplied(memory.number.get()) {
            self.tables.remove_supplied(node);
        }
        memory.paged.set(None);
        Ok(())
    }
}

/// Whether pages are such that one request takes, and all in a memory object.
fn check(memory: &Object<'_>, Range { first, pages }: Range) -> Result<(), Refused> {
    let What::Memory { pages: all, .. } = memory.what.get() else {
        // Paged memory it is not: it is what that is to be supplied from, or taken back into.
        return Err(Refusal::Large { place: 1 });
    };
    if pages == 0 || pages > MAX_SUPPLY {
        return Err(Refusal::BadLength { pages });
    }
    match first.checked_add(pages).is_some_and(|end| end <= all) {
        true => Ok(()),
        false => Err(Refusal::BeyondEnd { pages: all }),
    }
}
