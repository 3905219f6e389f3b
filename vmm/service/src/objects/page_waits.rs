// SPDX-License-Identifier: BSD-2-Clause
//! Threads that touch pages of paged memory: those that are there are mapped, and who touches
//! another is suspended until its pager has answered.
//!
//! ```text
//!   touch ──► there ──► mapped: without the right to write, until the first write is noted
//!         └─► not there, or not to be written ──► the thread is suspended ──► its pager is told
//!                 supplied ──► mapped; the thread goes on ◄──┘
//!                 refused ───► the thread goes on, and the same touch is a fault
//!                 too late ──► as if it were refused (`time`)
//!                 the mapping ends ──► the thread goes on, and touches what there is then
//! ```
//!
//! A suspended thread repeats its instruction when it goes on. So how its wait ends is never lost:
//! at worst it waits again. No right to answer is kept for it.

use vmm::{CPtr, Kernel, Memory, Pages, Rights as PageRights, Violation, Vmm};
use vmm_client::objects::Rights;

use super::answers::{narrow, page_rights};
use super::service::{clearing, Objects};
use super::state::mapping::Mapping;
use super::state::object::{Object, What};
use super::state::supplied::{PageWait, Paged, Phase};
use super::state::thread::Thread;
use super::types::Touched;

impl<'p> Objects<'p> {
    /// Serves a touch, for which the manager's rights were too few: of a page that its pager has
    /// supplied and that was not written yet. Otherwise the touch is a fault.
    ///
    /// # Errors
    /// Those of [`Vmm::protect`].
    pub fn touch_to_write<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        address: usize,
    ) -> vmm::Result<Touched> {
        let space = self.current.and_then(|program| program.space.get());
        let mapping = space.and_then(|space| self.tables.mapping_at(space, address));
        let Some(mapping) = mapping else { return Ok(Touched::Fault) };
        let page = (address - mapping.start.get()) >> vmm.geometry().page_bits;
        // What is mapped to be read is not written, whatever its pager says.
        let may_write = mapping.rights.get().contains(Rights::WRITE);
        if !may_write || page >= mapping.pages.get() as usize {
            return Ok(Touched::Fault);
        }
        if !mapping.is_paged() {
            return Ok(Touched::Fault);
        }
        let page = narrow(page);
        self.touch_paged(vmm, mapping, page, true)
            .or_else(|error| self.wait_for_memory(vmm, mapping, (page, true), error))
    }

    /// Serves the touch of a page of a mapping of paged memory, by its number in the mapping.
    pub(super) fn touch_paged<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        mapping: &'p Mapping<'p>,
        page: u32,
        write: bool,
    ) -> vmm::Result<Touched> {
        if self.bring_supplied(vmm, mapping, page, write)? {
            // What was refused before has come since.
            self.page_was_had();
            return Ok(Touched::Done);
        }
        // What is written to is a private mapping's own: its pager supplies what is read.
        Ok(self.wait_for_page(mapping, page, write && !mapping.private.get()))
    }

    /// Maps a page of paged memory where it was touched, if it is there and may be used so. Returns
    /// whether it is mapped.
    pub(super) fn bring_supplied<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        mapping: &'p Mapping<'p>,
        page: u32,
        write: bool,
    ) -> vmm::Result<bool> {
        if mapping.private.get() {
            return self.bring_private(vmm, mapping, page, write);
        }
        let parts = mapping.memory.get().zip(mapping.region.get());
        let Some((memory, into)) = parts else { return Ok(false) };
        let What::Memory { region, .. } = memory.what.get() else { return Ok(false) };
        let number = mapping.first.get() + page;
        let Some(node) = self.tables.there(memory, number) else { return Ok(false) };
        let all = page_rights(mapping.rights.get());
        if write && !(node.may_write.get() && all.contains(PageRights::WRITE)) {
            return Ok(false);
        }
        let bits = vmm.geometry().page_bits;
        let at = mapping.start.get() + ((page as usize) << bits);
        let writes = write || node.written.get();
        let rights = if writes { all } else { all.difference(PageRights::WRITE) };
        match vmm.mapping_at(into.space(), at)? {
            Some(mapped) if mapped.rights.contains(rights) => {}
            Some(_) => clearing(vmm, |vmm| vmm.protect(into.space(), Pages::at(at), rights))?,
            None => {
                let from = Pages::at(region.start().bits() + ((number as usize) << bits));
                let to = (into, page as usize);
                clearing(vmm, |vmm| vmm.share_into_with(region.space(), from, to, rights))?;
            }
        }
        node.written.set(writes);
        Ok(true)
    }

    /// Notes that the thread whose fault is served waits for a page that its pager is to supply.
    fn wait_for_page(&mut self, mapping: &Mapping<'p>, page: u32, write: bool) -> Touched {
        let parts = self.current_thread.zip(mapping.memory.get());
        let Some((thread, memory)) = parts else { return Touched::Fault };
        let Some(paged) = memory.paged.get() else { return Touched::Fault };
        // Who supplies its pages alone cannot wait for them.
        let alone = thread.program.get().is_some_and(|program| {
            program.number() == paged.pager && self.threads_of(program).nth(1).is_none()
        });
        let pager = self.ready_pager(memory.number.get());
        let phase = Phase::Waits { told: pager.is_some() };
        let touched = self.begin_wait(mapping, (page, write), phase, alone);
        if matches!(touched, Touched::Waits(_)) {
            memory.set_paged(|paged| Paged { waiting: paged.waiting + 1, ..paged });
            match pager {
                // No page waits for it to be told of.
                Some(pager) => self.tell(pager, (mapping.first.get() + page, write)),
                None => self.set_pager_due(memory, true),
            }
        }
        touched
    }

    /// Notes that the thread whose fault is served waits for a page: for its pager, or for memory.
    /// It is a fault where it has waited for too long, or never can.
    pub(super) fn begin_wait(
        &mut self,
        mapping: &Mapping<'p>,
        (page, write): (u32, bool),
        phase: Phase,
        never: bool,
    ) -> Touched {
        let parts = self.current_thread.zip(mapping.memory.get());
        let Some((thread, memory)) = parts else { return Touched::Fault };
        let asked = mapping.base.get() + page;
        let (number, page) = (memory.number.get(), mapping.first.get() + page);
        let Some(tcb) = thread.tcb() else { return Touched::Fault };
        match thread.paging.get() {
            Some(PageWait { phase: Phase::WasRefused { late }, memory, page: refused, .. }) => {
                self.waits.set(thread, None);
                if (memory, refused) == (number, page) {
                    self.late = late;
                    return Touched::Fault;
                }
            }
            // It is suspended; what came was a message that somebody made.
            Some(_) => return Touched::Forged,
            None => {}
        }
        // Nobody waits for pages of what ends.
        if memory.dying.get() || thread.is_ending() || never {
            return Touched::Fault;
        }
        self.last_turn += 1;
        let (token, turn) = (mapping.token.get(), self.last_turn);
        let until = thread.program.get().and_then(|program| self.limit_of(program));
        let wait = PageWait { memory: number, page, token, asked, write, turn, until, phase };
        self.waits.set(thread, Some(wait));
        Touched::Waits(tcb)
    }

    /// The thread whose fault is served has a page that was refused before, or came too late.
    pub(super) fn page_was_had(&mut self) {
        if let Some(thread) = self.current_thread.filter(|thread| thread.was_refused()) {
            self.waits.set(thread, None);
        }
    }

    /// Says whether the pager of a memory object is to be signalled now.
    pub(super) fn set_pager_due(&mut self, memory: &'p Object<'p>, due: bool) {
        let Some(paged) = memory.paged.get() else { return };
        let due = due && paged.notify != CPtr::NULL;
        memory.paged.set(Some(Paged { due, ..paged }));
        self.tell_of(memory, paged.due, due);
    }

    /// Lets one go on that waits.
    pub(super) fn wake(&mut self, thread: &'p Thread<'p>, phase: Phase) {
        if let Some(wait) = thread.paging.get().filter(PageWait::waits) {
            self.no_longer_waits(&wait);
            self.waits.set(thread, Some(PageWait { phase, ..wait }));
        }
    }

    fn no_longer_waits(&self, wait: &PageWait) {
        if !wait.is_wanted() {
            return;
        }
        if let Some(memory) = self.tables.objects.find(&wait.memory).get() {
            memory.set_paged(|paged| Paged { waiting: paged.waiting - 1, ..paged });
        }
    }

    /// A page was supplied, or may be written now: it is mapped for those who wait for it, and they
    /// go on.
    pub(super) fn page_is_there<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        memory: &Object<'p>,
        page: u32,
    ) {
        if memory.paged.get().is_none_or(|paged| paged.waiting == 0) {
            return;
        }
        let number = memory.number.get();
        while let Some(thread) = self.waits.for_page(number, page, 0) {
            let Some(wait) = thread.paging.get() else { return };
            if let Some(mapping) = self.tables.mapping(wait.token, wait.asked) {
                let page = page - mapping.first.get();
                // What is refused here is tried again when they touch it.
                let _ = self.bring_supplied(vmm, mapping, page, wait.write);
            }
            self.wake(thread, Phase::GoesOn);
        }
    }

    /// A page cannot be had: who waits for it touches it once more, and that is a fault.
    pub(super) fn page_is_refused(&mut self, memory: &Object<'p>, page: u32) {
        let number = memory.number.get();
        let refused = Phase::IsRefused { late: false };
        while let Some(thread) = self.waits.for_page(number, page, 0) {
            self.wake(thread, refused);
        }
    }

    /// A mapping is gone: who waits for one of its pages touches what there is now.
    pub(super) fn end_waits_at(&mut self, memory: &Object<'p>, mapping: &Mapping<'p>) {
        let wanted = memory.paged.get().is_some_and(|paged| paged.waiting != 0);
        if wanted || self.waits.lacking() != 0 {
            let (token, asked) = (mapping.token.get(), mapping.base.get()..mapping.base_behind());
            while let Some(thread) = self.waits.at(token, &asked) {
                self.wake(thread, Phase::GoesOn);
            }
        }
    }

    /// A thread ends: it waits for nothing.
    pub(super) fn end_wait_of(&mut self, thread: &'p Thread<'p>) {
        if let Some(wait) = thread.paging.get().filter(PageWait::waits) {
            self.no_longer_waits(&wait);
        }
        self.waits.set(thread, None);
    }

    /// The thread control block of the next thread that goes on, of those that waited for pages.
    pub(super) fn next_going_on(&mut self) -> Option<CPtr> {
        let thread = self.waits.going_on()?;
        let wait = thread.paging.get().and_then(|wait| match wait.phase {
            Phase::IsRefused { late } => {
                Some(PageWait { phase: Phase::WasRefused { late }, ..wait })
            }
            _ => None,
        });
        self.waits.set(thread, wait);
        thread.tcb()
    }

    /// The page of a memory object that was waited for longest of those its pager was not told of,
    /// and whether it is to be written. The pager is told of it from now on.
    pub(super) fn next_wanted(&mut self, memory: &Object<'p>) -> Option<(u32, bool)> {
        let number = memory.number.get();
        let page = self.waits.untold(number)?.paging.get()?.page;
        let (mut write, mut behind) = (false, 0);
        while let Some(thread) = self.waits.for_page(number, page, behind) {
            let Some(wait) = thread.paging.get() else { break };
            (write, behind) = (write | wait.write, wait.turn);
            self.waits.set_told(thread, true);
        }
        Some((page, write))
    }

    /// Forgets what the pager of a memory object was told.
    pub(super) fn tell_again(&mut self, memory: &Object<'p>) {
        let (number, mut behind) = (memory.number.get(), (0, 0));
        while let Some(thread) = self.waits.of_memory(number, behind) {
            let Some(wait) = thread.paging.get() else { break };
            behind = (wait.page, wait.turn);
            self.waits.set_told(thread, false);
        }
    }

    /// I37: what is waited for are pages of mappings of paged memory that is not to be gone; each
    /// memory object counts those who wait for it, and who waits is found by what ends that. What is
    /// recorded of pages is of those that are there, and there are no more than can be.
    pub(super) fn validate_paged<K: Kernel + Memory<'p>>(
        &self,
        vmm: &Vmm<'p, K>,
    ) -> Result<(), Violation> {
        let hold = |rule, at: u32, holds: bool| {
            holds.then_some(()).ok_or(Violation { rule, at: at as usize })
        };
        let waits = || self.threads.iter().filter_map(|thread| thread.paging.get());
        for wait in waits().filter(PageWait::waits) {
            let mapping = self.tables.mapping(wait.token, wait.asked);
            let private = mapping.is_some_and(|mapping| mapping.private.get());
            let told = private && wait.write && wait.is_wanted();
            hold("no pager is told of a private write", wait.token, !told)?;
            let mapping = mapping.and_then(|it| it.memory.get());
            let same = mapping.is_some_and(|memory| memory.number.get() == wait.memory);
            hold("a page that is waited for is of a mapping", wait.token, same)?;
        }
        let count = |is: fn(&PageWait) -> bool| waits().filter(is).count();
        let waiting = count(PageWait::waits);
        let late = count(|wait| wait.deadline().is_some());
        let order = count(|wait| wait.order().is_some());
        let wanted = count(PageWait::is_wanted);
        let same = self.waits.counts() == [wanted, waiting, late, order];
        hold("who waits for a page is found", 0, same)?;
        for node in self.tables.supplied.iter() {
            let number = node.memory.get();
            let there = !self.tables.objects.find(&number).is_null();
            hold("a page was supplied to something", number, there)?;
        }
        for object in self.tables.objects.iter() {
            let number = object.number.get();
            let pages = || self.tables.supplied.iter().filter(|it| it.memory.get() == number);
            let Some(paged) = object.paged.get() else {
                hold("only pages of paged memory are supplied", number, pages().count() == 0)?;
                continue;
            };
            let waiting = waits().filter(|wait| wait.is_wanted() && wait.memory == number).count();
            hold("who waits is counted", number, waiting == paged.waiting as usize)?;
            let told = paged.notify != CPtr::NULL;
            hold("a pager is told by something", number, told || !paged.due)?;
            let there = object.committed.get();
            hold("no more is there than can be", number, there <= paged.most)?;
            hold("what is there is recorded", number, pages().count() == there as usize)?;
            let What::Memory { region, .. } = object.what.get() else { continue };
            for node in pages() {
                let offset = (node.page.get() as usize) << vmm.geometry().page_bits;
                let stored = vmm.mapping_at(region.space(), region.start().bits() + offset);
                let is_there = stored.is_ok_and(|stored| stored.is_some());
                hold("a page that was supplied is there", number, is_there)?;
            }
        }
        Ok(())
    }
}
