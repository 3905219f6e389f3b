// SPDX-License-Identifier: BSD-2-Clause
//! Supplies pages of paged memory out of the store, given, copied or shared, one or several, to be
//! read or to be written; refuses some; takes pages back into the store. It does so until it is
//! ended.

use sel4::{cap, Word};
use vmm_client::handles::{Handle, Memory, PagedMemory, Program, Result, Wanted};
use vmm_client::objects::first_page::Given;
use vmm_client::objects::{Refusal, Rights, Supply, MAX_SUPPLY};
use vmm_clients::trials::{unless_short, Numbers, SHORT};
use vmm_clients::Random;

use crate::pages::{Figures, MAX_THERE, PAGES};

/// Of so many pages that it is asked for, it refuses one; and tells its starter of one.
const REFUSES: u32 = 24;
const TELLS: u32 = 12;
/// The most pages that it supplies at once.
const SEVERAL: u32 = 4;

/// What it has of paged memory, and what it did.
pub struct Supplier<'f> {
    pub paged: PagedMemory,
    pub store: Memory,
    pub there: [bool; PAGES as usize],
    pub random: Random,
    pub figures: &'f Figures,
}

/// The page that nobody waits for.
type Next = Option<Wanted>;

pub fn run(program: &Program, given: &Given<'_>, numbers: Numbers<'_>) -> Result {
    let slot = |name| given.slot(name).unwrap_or_else(|| program.exit(SHORT));
    let (paged, store) = (PagedMemory::from_slot(slot("paged")), Memory::from_slot(slot("store")));
    let account = program.account();
    let figures = Memory::from_slot(slot("figures"));
    let mapped = program.space().map(&figures, Rights::READ_WRITE, &account);
    let Some(mapping) = unless_short(mapped)? else { program.exit(SHORT) };
    // SAFETY: the page is there when it is touched, and holds atomic words that all have.
    let figures = unsafe { &*(mapping.address() as *const Figures) };
    let random = Random::new(numbers.at(1) | 1);
    let there = [false; PAGES as usize];
    let mut own = Supplier { paged, store, there, random, figures };
    // What the one before it has left there.
    own.take_all()?;
    let Some((_notification, told)) = unless_short(account.create_notification())? else {
        program.exit(SHORT)
    };
    if unless_short(own.paged.tell_faults(told))?.is_none() {
        program.exit(SHORT)
    }
    let came = slot("came");
    let told = cap::Notification::from_bits(told as Word);
    loop {
        let mut next = own.wait(told)?;
        while let Some(wanted) = next {
            if own.random.below(TELLS) == 0 {
                cap::Notification::from_bits(came as Word).signal();
            }
            next = own.answer(wanted)?;
        }
    }
}

impl Supplier<'_> {
    /// Waits until a page is waited for: by a request, or where it is signalled.
    fn wait(&mut self, told: cap::Notification) -> Result<Next> {
        if self.random.below(3) == 0 {
            told.wait();
            return self.paged.next_fault();
        }
        match self.paged.wait_next() {
            Ok(wanted) => Ok(Some(wanted)),
            Err(error) => match error.refusal() {
                Some(Refusal::TooManyWaiting { .. }) => self.paged.next_fault(),
                _ => Err(error),
            },
        }
    }

    /// Answers who waits for a page, in one of the ways there are. Returns what is waited for next.
    fn answer(&mut self, wanted: Wanted) -> Result<Next> {
        let Wanted { page, write } = wanted;
        if self.random.below(REFUSES) == 0 {
            return self.refuse(page);
        }
        if self.there[page as usize] {
            return match write {
                true => self.allow(page),
                // It was supplied with others.
                false => self.paged.next_fault(),
            };
        }
        let behind = self.there[page as usize..].iter().take_while(|there| !**there).count();
        let pages = (1 + self.random.below(SEVERAL)).min(behind as u32).min(MAX_THERE);
        while self.there.iter().filter(|there| **there).count() as u32 + pages > MAX_THERE {
            self.take_some()?;
        }
        let ways = [Supply::Give, Supply::Copy, Supply::Share];
        let how = ways[self.random.below(3) as usize];
        let write = write || self.random.below(2) == 0;
        let from = (&self.store, page);
        let supplied = match self.random.below(2) {
            0 => self.paged.supply((page, pages), from, how, write),
            _ => self.paged.supply_and_wait((page, pages), from, how, write),
        };
        match supplied {
            Ok(next) => {
                self.there[page as usize..][..pages as usize].fill(true);
                Figures::add(&self.figures.supplied, pages);
                Ok(next)
            }
            Err(error) => match error.refusal() {
                // Some may be there, and memory is short for the others.
                Some(Refusal::OutOfMemory {}) => {
                    self.take_all()?;
                    self.refuse(page)
                }
                _ => Err(error),
            },
        }
    }

    fn refuse(&mut self, page: u32) -> Result<Next> {
        Figures::add(&self.figures.refused, 1);
        self.paged.refuse(page)
    }

    fn allow(&mut self, page: u32) -> Result<Next> {
        self.paged.allow_write(page, 1)
    }

    /// Takes some pages back, of which at least one is there.
    pub fn take_some(&mut self) -> Result {
        let nth = self.random.below(PAGES) as usize;
        let Some(first) = (nth..).map(|nth| nth % PAGES as usize).find(|&nth| self.there[nth])
        else {
            return Ok(());
        };
        let pages = (1 + self.random.below(SEVERAL)).min(PAGES - first as u32);
        self.take(first as u32, pages)
    }

    /// Takes all pages back that are there.
    pub fn take_all(&mut self) -> Result {
        let mut first = 0;
        while first < PAGES {
            let pages = MAX_SUPPLY.min(PAGES - first);
            self.take(first, pages)?;
            first += pages;
        }
        Ok(())
    }

    /// Takes pages back into the store. What memory is short for now is asked for again: others
    /// end.
    fn take(&mut self, first: u32, pages: u32) -> Result {
        for page in first..first + pages {
            let written = loop {
                match unless_short(self.paged.take_back((page, 1), (&self.store, page)))? {
                    Some(written) => break written,
                    None => sel4::r#yield(),
                }
            };
            let there = core::mem::take(&mut self.there[page as usize]);
            Figures::add(&self.figures.taken, u32::from(there));
            Figures::add(&self.figures.written, u32::from(there) & written);
        }
        Ok(())
    }
}
