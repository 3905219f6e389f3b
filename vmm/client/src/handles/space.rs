// SPDX-License-Identifier: BSD-2-Clause
//! Spaces, and memory mapped in them.

use super::call::{call, finish};
use super::error::Result;
use super::kinds::{Account, Handle, Memory, Space};
use super::object::no_answer;
use crate::objects::{Answer, Request, Rights};

/// Pages of a memory object that are mapped in a space.
#[derive(PartialEq, Eq, Debug)]
#[must_use = "what is not unmapped stays"]
pub struct Mapping {
    space: u32,
    address: usize,
    pages: u32,
}

impl Space {
    /// Maps all of a memory object anywhere: pages appear when they are touched.
    ///
    /// # Errors
    /// [`super::Error::Refused`].
    pub fn map(&self, memory: &Memory, rights: Rights, payer: &Account) -> Result<Mapping> {
        let pages = memory.pages()?.pages;
        self.map_part(memory, (0, pages), (0, rights), payer)
    }

    /// Maps pages of a memory object, from `first` on, at an address, or anywhere for 0.
    ///
    /// # Errors
    /// [`super::Error::Refused`].
    pub fn map_part(
        &self,
        memory: &Memory,
        (first, pages): (u32, u32),
        (address, rights): (usize, Rights),
        payer: &Account,
    ) -> Result<Mapping> {
        let request = Request::Map { address, first, pages, rights };
        match call(&request, &[self.slot(), memory.slot(), payer.slot()])? {
            Answer::Mapped { address } => Ok(Mapping { space: self.slot(), address, pages }),
            _ => Err(no_answer("Map")),
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
        let mut done = 0;
        while done < self.pages {
            let address = self.address + done as usize * crate::objects::PAGE_BYTES;
            let pages = self.pages - done;
            match call(&Request::Populate { address, pages }, &[self.space])? {
                // An answer without progress would be asked for ever.
                Answer::Pages { pages: some } if (1..=pages).contains(&some) => done += some,
                _ => return Err(no_answer("Populate")),
            }
        }
        Ok(())
    }

    /// Gives it another place, or any for 0, and other rights: no more than those of the handle
    /// that it was mapped by. Nothing in it may be in use meanwhile.
    ///
    /// # Errors
    /// [`super::Error::Refused`]: it is where it was.
    pub fn move_to(&mut self, to: usize, rights: Rights) -> Result {
        let request = Request::Move { address: self.address, to, rights };
        loop {
            match call(&request, &[self.space])? {
                Answer::More {} => {}
                Answer::Mapped { address } => {
                    self.address = address;
                    return Ok(());
                }
                _ => return Err(no_answer("Move")),
            }
        }
    }

    /// Ends it.
    ///
    /// # Errors
    /// [`super::Error::Refused`].
    pub fn unmap(self) -> Result {
        finish(&Request::Unmap { address: self.address }, &[self.space])
    }
}
