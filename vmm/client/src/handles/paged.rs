// SPDX-License-Identifier: BSD-2-Clause
//! Memory objects whose pages this program supplies: as their pager.
//!
//! ```text
//!   wait_next ──► Wanted { page } ──► fill a page of an own memory object ──► supply_and_wait ──┐
//!                       ▲────────────────────── when a page is waited for ◄─────────────────────┘
//!   what is there is enough ──► take_back ──► which pages were written
//! ```
//!
//! A thread that does nothing else waits by [`PagedMemory::wait_next`], and from then on by
//! [`PagedMemory::supply_and_wait`]: one request for each page. One that has other things to do
//! asks with [`PagedMemory::next_fault`], and waits at the notification of
//! [`PagedMemory::tell_faults`], or at an endpoint of its own after
//! [`Program::bind`](super::Program::bind).

use super::call::{call, finish, into_slot};
use super::error::Result;
use super::kinds::{Account, Handle, Memory, PagedMemory};
use super::object::no_answer;
use super::program::Program;
use crate::objects::{Answer, Request, Rights, Supply, FOREVER};

/// A page that is waited for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// Its number.
    pub page: u32,
    /// Whether it is to be written: then a page that may only be read is not enough.
    pub write: bool,
}

impl Account {
    /// Memory whose pages this program supplies, of which `most` can be there at a time: those are
    /// paid from now on.
    ///
    /// # Errors
    /// [`super::Error::Refused`], [`super::Error::OutOfSlots`].
    pub fn create_paged(&self, pages: u32, most: u32) -> Result<PagedMemory> {
        let request = |slot| Request::CreatePaged { pages, most, slot };
        into_slot(request, &[self.slot()]).map(PagedMemory::from_slot)
    }
}

impl PagedMemory {
    /// A capability by which others map it, with these rights of [`Rights::READ`] and
    /// [`Rights::WRITE`], which `payer` pays for.
    ///
    /// # Errors
    /// [`super::Error::Refused`], [`super::Error::OutOfSlots`].
    pub fn to_map(&self, rights: Rights, payer: &Account) -> Result<Memory> {
        let request = |slot| Request::Restrict { rights: rights & Rights::READ_WRITE, slot };
        into_slot(request, &[self.slot(), payer.slot()]).map(Memory::from_slot)
    }

    /// The page that is waited for longest of those that this program was not told of, if there is
    /// one.
    ///
    /// # Errors
    /// [`super::Error::Refused`].
    pub fn next_fault(&self) -> Result<Option<Wanted>> {
        self.next_fault_within(0)
    }

    /// The same, waiting for one for at most so many milliseconds, or
    /// [`FOREVER`](crate::objects::FOREVER).
    ///
    /// # Errors
    /// [`super::Error::Refused`]: with `TooManyWaiting` where as many requests wait as there are
    /// threads, with `NoClock` where the service has none, with `Gone` when the memory ends.
    pub fn next_fault_within(&self, ms: u32) -> Result<Option<Wanted>> {
        self.ask(&Request::NextFault { wait: ms }, &[self.slot()]).map(|(_, wanted)| wanted)
    }

    /// Waits until a page is waited for of which this program was not told, and returns which. Of
    /// several threads that wait so, the first is told.
    ///
    /// # Errors
    /// As [`PagedMemory::next_fault_within`].
    pub fn wait_next(&self) -> Result<Wanted> {
        loop {
            if let Some(wanted) = self.next_fault_within(FOREVER)? {
                return Ok(wanted);
            }
        }
    }

    /// Supplies `pages` pages from number `first` on with those of `from` from its number `at` on,
    /// which may be written or not. Who waits for one goes on. Returns what is waited for next.
    /// A request for each 16 pages.
    ///
    /// # Errors
    /// [`super::Error::Refused`]: with `Full` where some are to be taken back first; then those
    /// before are there.
    pub fn supply(
        &self,
        range: (u32, u32),
        from: (&Memory, u32),
        how: Supply,
        write: bool,
    ) -> Result<Option<Wanted>> {
        self.supply_within(range, from, (how, write), 0)
    }

    /// Supplies pages as [`PagedMemory::supply`] does, and waits by the same request until a page
    /// is waited for. `None` where it cannot wait, or not any longer, though all was supplied:
    /// [`PagedMemory::wait_next`] says why.
    ///
    /// # Errors
    /// Those of [`PagedMemory::supply`].
    pub fn supply_and_wait(
        &self,
        range: (u32, u32),
        from: (&Memory, u32),
        how: Supply,
        write: bool,
    ) -> Result<Option<Wanted>> {
        self.supply_within(range, from, (how, write), FOREVER)
    }

    /// Supplies pages; the answer to the last request is kept for so many milliseconds.
    fn supply_within(
        &self,
        (first, pages): (u32, u32),
        (from, at): (&Memory, u32),
        (how, write): (Supply, bool),
        ms: u32,
    ) -> Result<Option<Wanted>> {
        let mut next = None;
        let mut done = 0;
        while done < pages {
            let part = (pages - done).min(crate::objects::MAX_SUPPLY);
            let (first, from_page) = (first + done, at + done);
            let wait = if next.is_none() && done + part == pages { ms } else { 0 };
            let request = Request::Supply { first, pages: part, from: from_page, how, write, wait };
            let (now, wanted) = self.ask(&request, &[self.slot(), from.slot()])?;
            done += now.min(part);
            next = next.or(wanted);
        }
        Ok(next)
    }

    /// Lets pages that are there be written: at most 16. Returns what is waited for next.
    ///
    /// # Errors
    /// [`super::Error::Refused`].
    pub fn allow_write(&self, first: u32, pages: u32) -> Result<Option<Wanted>> {
        let request = Request::AllowWrite { first, pages, wait: 0 };
        self.ask(&request, &[self.slot()]).map(|(_, wanted)| wanted)
    }

    /// Takes at most 16 pages back, which are pages of `into` afterwards, from its number `at` on,
    /// in the place of those that it has there. Returns which of them were written: the first is
    /// bit 0. Those that were not there are passed.
    ///
    /// # Errors
    /// [`super::Error::Refused`].
    pub fn take_back(&self, (first, pages): (u32, u32), (into, at): (&Memory, u32)) -> Result<u32> {
        self.take(pages, &[self.slot(), into.slot()], |done| Request::TakeBack {
            first: first + done,
            pages: pages - done,
            into: at + done,
        })
    }

    /// Takes at most 16 pages back that nobody needs any more. Returns as
    /// [`PagedMemory::take_back`].
    ///
    /// # Errors
    /// [`super::Error::Refused`].
    pub fn decommit(&self, first: u32, pages: u32) -> Result<u32> {
        let request = |done| Request::Decommit { first: first + done, pages: pages - done };
        self.take(pages, &[self.slot()], request)
    }

    /// Says that a page cannot be had: for who waits for it that is a fault. Returns what is waited
    /// for next.
    ///
    /// # Errors
    /// [`super::Error::Refused`].
    pub fn refuse(&self, page: u32) -> Result<Option<Wanted>> {
        self.ask(&Request::Refuse { page, wait: 0 }, &[self.slot()]).map(|(_, wanted)| wanted)
    }

    /// Has the notification signalled to which the capability in this slot leads, whenever a page
    /// is waited for. What this program was told of it is told again.
    ///
    /// # Errors
    /// [`super::Error::Refused`].
    pub fn tell_faults(&self, slot: u32) -> Result {
        finish(&Request::TellFaults {}, &[self.slot(), slot])
    }

    /// Asks what is answered with what a pager is told.
    fn ask(&self, request: &Request, slots: &[u32]) -> Result<(u32, Option<Wanted>)> {
        match call(request, slots)? {
            Answer::Wanted { done, waits, page, write } => {
                Ok((done, waits.then_some(Wanted { page, write })))
            }
            _ => Err(no_answer(request.name())),
        }
    }

    /// Asks for the rest until all is taken back.
    fn take(&self, pages: u32, slots: &[u32], request: impl Fn(u32) -> Request) -> Result<u32> {
        let (mut done, mut all) = (0, 0);
        loop {
            let request = request(done);
            match call(&request, slots)? {
                Answer::Taken { pages: now, written } if now <= pages - done => {
                    all |= written << done;
                    done += now;
                }
                _ => return Err(no_answer(request.name())),
            }
            if done >= pages {
                return Ok(all);
            }
        }
    }
}

impl Program {
    /// Has this program's first thread receive what is signalled to a notification where it waits
    /// at an endpoint: the capability in this slot leads to it. So one thread is a server and a
    /// pager.
    ///
    /// # Errors
    /// [`super::Error::Refused`]: with `BadCapability` for what is no notification, or one that has
    /// a thread already; with `Bound` where one is bound to the thread.
    pub fn bind(&self, slot: u32) -> Result {
        finish(&Request::Bind {}, &[slot])
    }

    /// Undoes [`Program::bind`].
    ///
    /// # Errors
    /// [`super::Error::Refused`]: with `NotBound` where none was bound.
    pub fn unbind(&self) -> Result {
        finish(&Request::Unbind {}, &[])
    }
}
