// SPDX-License-Identifier: BSD-2-Clause
//! The pages that are in memory: supplied, or taken back and not given up yet.

use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;

use vmm_client::handles::{Memory, PagedMemory, Result, Wanted};
use vmm_client::objects::{Supply, MAX_SUPPLY, PAGE_BYTES};
use vmm_clients::disk::{Figures, BUFFER_PAGES};

use crate::places::Places;
use crate::storage::Storage;

/// No place on the disk: what was never written there is zero.
const NOWHERE: u32 = u32::MAX;
/// How many of the pages that lie longest in the pool are looked at to find some to write.
const LOOKED_AT: usize = 2 * BUFFER_PAGES as usize;

/// Where a page is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Not in memory.
    Out,
    /// Supplied.
    In,
    /// Taken back: at this place of the pool.
    Resting(u32),
}

#[derive(Clone, Copy)]
struct Page {
    state: State,
    /// Its place on the disk.
    place: u32,
    /// Whether it is not as on the disk.
    written: bool,
}

/// Everything has its place, and nothing can be given up.
struct Full;

pub struct Memories {
    /// What others map.
    pub paged: PagedMemory,
    /// What was taken back, and where it is shown.
    pub pool: Memory,
    pub pool_shown: usize,
    /// Never touched: zero pages to give.
    pub zero: Memory,
    /// The buffer, to copy from.
    pub copies: Memory,
}

pub struct Cache {
    pub memories: Memories,
    storage: Storage,
    pages: Vec<Page>,
    /// Those that are there, as they were supplied.
    there: VecDeque<u32>,
    /// Those that were taken back, as they were.
    resting: VecDeque<u32>,
    /// Places of the pool.
    pool: Places,
    most: usize,
    figures: &'static Figures,
}

impl Cache {
    /// Of paged memory with `pages` pages, of which `most` can be there, and a pool of `pool`.
    pub fn new(
        memories: Memories,
        storage: Storage,
        [pages, most, pool]: [u32; 3],
        figures: &'static Figures,
    ) -> Cache {
        let page = Page { state: State::Out, place: NOWHERE, written: false };
        Cache {
            memories,
            storage,
            pages: vec![page; pages as usize],
            there: VecDeque::with_capacity(most as usize),
            resting: VecDeque::with_capacity(pool as usize),
            pool: Places::new(pool),
            most: most as usize,
            figures,
        }
    }

    fn page(&mut self, page: u32) -> &mut Page {
        &mut self.pages[page as usize]
    }

    fn is(&self, page: u32, state: State) -> bool {
        self.pages.get(page as usize).is_some_and(|page| page.state == state)
    }

    /// Supplies a page that is waited for, or refuses it; returns which is waited for next.
    pub fn serve(&mut self, page: u32) -> Result<Option<Wanted>> {
        self.figures.faults.add(1);
        if self.is(page, State::In) {
            // It came with another before anybody was told.
            return self.memories.paged.next_fault();
        }
        if matches!(self.page(page).state, State::Resting(_)) {
            if self.make_room(1)?.is_err() {
                self.make_room_by_the_last_place()?;
            }
            // To make room it may have been given up itself.
            if let State::Resting(at) = self.page(page).state {
                self.figures.hits.add(1);
                return self.have_again(page, at);
            }
        }
        match self.page(page).place {
            NOWHERE => self.supply_zero(page),
            _ => self.supply_read(page),
        }
    }

    /// Whether pages are touched one after another as far as this one: the one before it is there.
    fn runs(&self, page: u32) -> bool {
        page.checked_sub(1).is_some_and(|before| !self.is(before, State::Out))
    }

    /// How many pages from this one on are not in memory and are, each next to the one before, on
    /// the disk, or all nowhere; one, where they are not touched one after another.
    fn run(&self, page: u32) -> u32 {
        if !self.runs(page) {
            return 1;
        }
        let place = self.pages[page as usize].place;
        let goes_on = |&more: &u32| {
            let wanted = if place == NOWHERE { NOWHERE } else { place + more };
            self.is(page + more, State::Out) && self.pages[(page + more) as usize].place == wanted
        };
        1 + (1..MAX_SUPPLY.min(BUFFER_PAGES)).take_while(goes_on).count() as u32
    }

    /// Supplies a page again that was taken back.
    fn have_again(&mut self, page: u32, at: u32) -> Result<Option<Wanted>> {
        let Memories { paged, pool, .. } = &self.memories;
        let next = paged.supply((page, 1), (pool, at), Supply::Give, true)?;
        self.leaves_the_pool(page, at);
        self.is_there(page, 1);
        Ok(next)
    }

    fn is_there(&mut self, first: u32, pages: u32) {
        for page in first..first + pages {
            self.page(page).state = State::In;
            self.there.push_back(page);
        }
        self.figures.ahead.add(pages - 1);
    }

    fn refuse(&mut self, page: u32) -> Result<Option<Wanted>> {
        self.figures.refused.add(1);
        self.memories.paged.refuse(page)
    }

    fn supply_zero(&mut self, page: u32) -> Result<Option<Wanted>> {
        let pages = self.room_for(self.run(page))?;
        if pages == 0 {
            return self.refuse(page);
        }
        let Memories { paged, zero, .. } = &self.memories;
        let next = paged.supply((page, pages), (zero, 0), Supply::Give, true)?;
        self.is_there(page, pages);
        Ok(next)
    }

    fn supply_read(&mut self, page: u32) -> Result<Option<Wanted>> {
        let room = self.room_for(self.run(page))?;
        let place = self.page(page).place;
        let right = self.storage.read(place, room.max(1));
        if right == 0 || (room == 0 && !self.change_places(page)?) {
            return self.refuse(page);
        }
        let Memories { paged, copies, .. } = &self.memories;
        let next = paged.supply((page, right), (copies, 0), Supply::Copy, true)?;
        self.is_there(page, right);
        Ok(next)
    }

    /// Has room for so many more pages, or for one; returns for how many there is.
    fn room_for(&mut self, pages: u32) -> Result<u32> {
        if self.make_room(pages)?.is_ok() {
            return Ok(pages);
        }
        Ok(u32::from(self.make_room(1)?.is_ok()))
    }

    /// Takes pages back until so many more can be there.
    fn make_room(&mut self, pages: u32) -> Result<core::result::Result<(), Full>> {
        while self.there.len() + pages as usize > self.most {
            // The last place of the pool is kept for the day when nothing can be given up.
            while self.pool.free() <= MAX_SUPPLY {
                if !self.evict(0) {
                    match self.pool.free() {
                        0 | 1 => return Ok(Err(Full)),
                        _ => break,
                    }
                }
            }
            self.take_back(MAX_SUPPLY.min(self.pool.free() - 1))?;
        }
        Ok(Ok(()))
    }

    /// Has room for one page of the pool, where nothing can be given up: that one's place is the
    /// last afterwards.
    fn make_room_by_the_last_place(&mut self) -> Result {
        self.take_back(1)
    }

    /// Where the disk is full: the page whose bytes are in the buffer leaves its place there to one
    /// that is in the pool. Returns whether it can be supplied.
    fn change_places(&mut self, page: u32) -> Result<bool> {
        let place = core::mem::replace(&mut self.page(page).place, NOWHERE);
        self.storage.give(place);
        // The buffer's first page is in use.
        if !self.evict(1) || self.make_room(1)?.is_err() {
            // It could not be written to. What is there may be right still.
            self.page(page).place = place;
            return Ok(false);
        }
        self.page(page).written = true;
        Ok(true)
    }

    /// Takes at most so many pages back, of those that are there for longest: as many as are next
    /// to each other.
    fn take_back(&mut self, most: u32) -> Result {
        let Some(&first) = self.there.front() else { return Ok(()) };
        let run = self.there.iter().zip(first..).take(most as usize);
        let pages = run.take_while(|(&page, next)| page == *next).count() as u32;
        let (at, pages) = match self.pool.take(pages) {
            Some(at) => (at, pages),
            None => match self.pool.take(1) {
                Some(at) => (at, 1),
                None => return Ok(()),
            },
        };
        let Memories { paged, pool, .. } = &self.memories;
        let written = paged.take_back((first, pages), (pool, at))?;
        for index in 0..pages {
            self.there.pop_front();
            self.resting.push_back(first + index);
            let page = self.page(first + index);
            page.state = State::Resting(at + index);
            page.written |= written & 1 << index != 0;
        }
        Ok(())
    }

    /// Gives up pages of the pool that lie there for longest: those that are as on the disk, and
    /// others once they are written, by one command, from page `from` of the buffer on. Returns
    /// whether there were some.
    fn evict(&mut self, from: u32) -> bool {
        let mut batch = [0; BUFFER_PAGES as usize];
        let (mut count, mut index, mut some) = (0, 0, false);
        while index < self.resting.len().min(LOOKED_AT) && count < (BUFFER_PAGES - from) as usize {
            let page = self.resting[index];
            match self.page(page).written {
                true => {
                    batch[count] = page;
                    count += 1;
                    index += 1;
                }
                false => {
                    self.figures.dropped.add(1);
                    self.remove(page);
                    some = true;
                }
            }
        }
        let batch = &mut batch[..count];
        // What is next to each other in memory is so on the disk: it is read together.
        batch.sort_unstable();
        self.write(batch, from) || some
    }

    /// Writes pages of the pool, all or as many as there are places next to each other, and gives
    /// up those; returns whether there were some.
    fn write(&mut self, batch: &[u32], from: u32) -> bool {
        let mut rest = batch;
        let mut some = false;
        while !rest.is_empty() {
            let Some((place, pages)) = self.storage.take(rest.len() as u32) else { break };
            let (now, later) = rest.split_at(pages as usize);
            for (at, &page) in (from..).zip(now) {
                if let State::Resting(in_pool) = self.pages[page as usize].state {
                    let shown = self.memories.pool_shown + in_pool as usize * PAGE_BYTES;
                    self.storage.fill(at, shown);
                }
            }
            let failed = self.storage.write(place, (from, pages));
            for (index, &page) in (0..).zip(now).filter(|(index, _)| failed & 1 << index == 0) {
                let old = core::mem::replace(&mut self.page(page).place, place + index);
                self.storage.give(old);
                self.page(page).written = false;
                self.remove(page);
                some = true;
            }
            // Those that failed stay in the pool, and are tried elsewhere the next time.
            rest = later;
        }
        some || self.has_other_places(batch)
    }

    /// Whether pages that could not be written can be tried elsewhere.
    fn has_other_places(&self, batch: &[u32]) -> bool {
        !batch.is_empty() && self.storage.has_room()
    }

    /// Gives up a page of the pool.
    fn remove(&mut self, page: u32) {
        if let State::Resting(at) = self.page(page).state {
            self.page(page).state = State::Out;
            self.leaves_the_pool(page, at);
        }
    }

    fn leaves_the_pool(&mut self, page: u32, at: u32) {
        self.pool.give(at);
        if let Some(index) = self.resting.iter().position(|&other| other == page) {
            self.resting.remove(index);
        }
    }
}
