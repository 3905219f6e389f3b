// SPDX-License-Identifier: BSD-2-Clause
//! Spaces, and memory mapped in them.

use super::call::{call, into_slot};
use super::error::{Error, Result};
use super::kinds::{Account, Handle, Memory, Space};
use super::object::{no_answer, Object};
use crate::objects::{Answer, Refusal, Request, Rights, PAGE_BYTES};

/// Pages of a memory object that are mapped in a space.
#[derive(PartialEq, Eq, Debug)]
#[must_use = "what is not unmapped stays"]
pub struct Mapping {
    space: u32,
    address: usize,
    pages: u32,
}

impl Space {
    /// Maps all of a memory object anywhere: pages appear when they are touched. Memory of large
    /// pages is mapped where it is aligned to those.
    ///
    /// # Errors
    /// [`super::Error::Refused`].
    pub fn map(&self, memory: &Memory, rights: Rights, payer: &Account) -> Result<Mapping> {
        let pages = memory.pages()?.pages;
        self.map_part(memory, (0, pages), (0, rights), payer)
    }

    /// Maps pages of a memory object, from `first` on, at an address, or anywhere for 0. Of memory
    /// of large pages, `first` and `pages` are multiples of one, and so is the address.
    ///
    /// # Errors
    /// [`super::Error::Refused`]: with `BadLength` or `BadAddress` for a part of a large page.
    pub fn map_part(
        &self,
        memory: &Memory,
        (first, pages): (u32, u32),
        (address, rights): (usize, Rights),
        payer: &Account,
    ) -> Result<Mapping> {
        let request = Request::Map { address, first, pages, rights };
        self.mapped(&request, "Map", memory, pages, payer)
    }

    /// Maps pages of paged memory privately, from `first` on, at an address, or anywhere for 0: a
    /// page that is written is a copy of the mapping's own from then on, of which nobody is told.
    /// `rights` may be more than the capability's, which lets its holder read.
    ///
    /// `payer` pays for copies of all pages from now on. At most 64 pages of it are
    /// [moved](Mapping::move_to) at a time: what is larger is [split](Mapping::split) first.
    ///
    /// # Errors
    /// [`super::Error::Refused`]: with `Paged` for memory that has no pager.
    pub fn map_privately(
        &self,
        memory: &Memory,
        (first, pages): (u32, u32),
        (address, rights): (usize, Rights),
        payer: &Account,
    ) -> Result<Mapping> {
        let request = Request::MapPrivate { address, first, pages, rights };
        self.mapped(&request, "MapPrivate", memory, pages, payer)
    }

    /// Makes a request, called `name`, that maps so many pages of a memory object.
    fn mapped(
        &self,
        request: &Request,
        name: &'static str,
        memory: &Memory,
        pages: u32,
        payer: &Account,
    ) -> Result<Mapping> {
        loop {
            match call(request, &[self.slot(), memory.slot(), payer.slot()])? {
                // Of memory of a device that is taken in pieces.
                Answer::More {} => {}
                Answer::Mapped { address } => {
                    return Ok(Mapping { space: self.slot(), address, pages });
                }
                _ => return Err(no_answer(name)),
            }
        }
    }

    /// Reserves pages at an address, or anywhere for 0. What is returned is a space in which
    /// nothing can be mapped but there, and with no more rights than `ceiling`; nothing else is
    /// mapped there, unless by it. Its end takes that nothing is mapped in it any more.
    ///
    /// # Errors
    /// [`super::Error::Refused`], [`super::Error::OutOfSlots`].
    pub fn reserve(
        &self,
        (address, pages): (usize, u32),
        ceiling: Rights,
        payer: &Account,
    ) -> Result<Space> {
        let request = |slot| Request::Reserve { address, pages, ceiling, slot };
        into_slot(request, &[self.slot(), payer.slot()]).map(Space::from_slot)
    }

    /// The address of the first page of what was reserved, and how many there are.
    ///
    /// # Errors
    /// [`super::Error::Refused`]; [`super::Error::Answer`] for a whole space.
    pub fn reserved(&self) -> Result<(usize, u32)> {
        match self.info()? {
            Answer::Reservation { address, pages, .. } => Ok((address, pages)),
            _ => Err(no_answer("Info")),
        }
    }
}

impl Mapping {
    /// What was mapped at an address before.
    #[cfg(feature = "alloc")]
    pub(super) fn of(space: &Space, address: usize, pages: u32) -> Mapping {
        Mapping { space: space.slot(), address, pages }
    }

    /// The address of its first page.
    pub fn address(&self) -> usize {
        self.address
    }

    /// Its pages.
    pub fn pages(&self) -> u32 {
        self.pages
    }

    /// Maps its pages before they are touched.
    ///
    /// # Errors
    /// [`super::Error::Refused`].
    pub fn populate(&self) -> Result {
        self.each_part(|address, pages| Request::Populate { address, pages }, "Populate")
    }

    /// Gives it another place, or any for 0, and other rights: no more than it could have when it
    /// was mapped. Nothing in it may be in use meanwhile.
    ///
    /// # Errors
    /// [`super::Error::Refused`]: it is where it was.
    pub fn move_to(&mut self, to: usize, rights: Rights) -> Result {
        let (address, pages) = (self.address, self.pages);
        let request = Request::Move { address, pages, to, rights };
        loop {
            let answer = match call(&request, &[self.space]) {
                // It is of several parts, which have different rights.
                Err(error) if is_beyond_end(&error) => {
                    self.protect(rights)?;
                    call(&request, &[self.space])
                }
                answer => answer,
            };
            match answer? {
                Answer::More {} => {}
                Answer::Mapped { address } => {
                    self.address = address;
                    return Ok(());
                }
                _ => return Err(no_answer("Move")),
            }
        }
    }

    /// Gives all its pages these rights, where they are: no more than they could have when they
    /// were mapped. A request for each 64 pages, and for each part that had other rights.
    ///
    /// # Errors
    /// [`super::Error::Refused`]; some pages may have the new rights then.
    pub fn protect(&self, rights: Rights) -> Result {
        let of = |address, pages| Request::Protect { address, pages, rights };
        self.each_part(of, "Protect")
    }

    /// Two mappings of it: its first `pages` pages, and the others. No request. `None` for the one
    /// that has no page.
    pub fn split(self, pages: u32) -> (Option<Mapping>, Option<Mapping>) {
        let lower = pages.min(self.pages);
        let address = self.address + lower as usize * PAGE_BYTES;
        let upper = Mapping { space: self.space, address, pages: self.pages - lower };
        let lower = Mapping { pages: lower, ..self };
        let some = |mapping: Mapping| Some(mapping).filter(|mapping| mapping.pages != 0);
        (some(lower), some(upper))
    }

    /// Ends it. A request for each 64 pages that are there, and for each part.
    ///
    /// # Errors
    /// [`super::Error::Refused`].
    pub fn unmap(self) -> Result {
        self.each_part(|address, pages| Request::UnmapPart { address, pages }, "UnmapPart")
    }

    /// Makes a request until all pages are done: for those at an address, so many.
    fn each_part(&self, of: impl Fn(usize, u32) -> Request, name: &'static str) -> Result {
        let mut done = 0;
        while done < self.pages {
            let (address, pages) = (self.address + done as usize * PAGE_BYTES, self.pages - done);
            match call(&of(address, pages), &[self.space])? {
                Answer::More {} => {}
                // An answer without progress would be asked for ever.
                Answer::Pages { pages: some } if (1..=pages).contains(&some) => done += some,
                _ => return Err(no_answer(name)),
            }
        }
        Ok(())
    }
}

fn is_beyond_end(error: &Error) -> bool {
    matches!(error.refusal(), Some(Refusal::BeyondEnd { .. }))
}
