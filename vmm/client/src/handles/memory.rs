// SPDX-License-Identifier: BSD-2-Clause
//! Memory objects.

use super::call::{finish, into_slot};
use super::error::Result;
use super::kinds::{Account, Handle, Memory};
use super::object::{no_answer, Object};
use crate::objects::{Answer, Request};

/// What is known of a memory object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemoryInfo {
    /// Its pages.
    pub pages: u32,
    /// How many of them are there.
    pub committed: u32,
    /// How often it is mapped.
    pub mappings: u32,
}

impl Memory {
    /// Its pages, and what is there of them.
    ///
    /// # Errors
    /// [`super::Error::Refused`].
    pub fn pages(&self) -> Result<MemoryInfo> {
        match self.info()? {
            Answer::Memory { pages, committed, mappings, .. } => {
                Ok(MemoryInfo { pages, committed, mappings })
            }
            _ => Err(no_answer("Info")),
        }
    }

    /// Gives it so many pages. `payer` is the account that it was made with.
    ///
    /// # Errors
    /// [`super::Error::Refused`]: with `StillMapped` below what is mapped of it.
    pub fn resize(&self, pages: u32, payer: &Account) -> Result {
        finish(&Request::Resize { pages }, &[self.slot(), payer.slot()])
    }

    /// Memory that shows what this shows now, copy-on-write, while this is mapped nowhere.
    ///
    /// # Errors
    /// [`super::Error::Refused`], [`super::Error::OutOfSlots`].
    pub fn copy_on_write(&self, payer: &Account) -> Result<Memory> {
        let request = |slot| Request::Clone { slot };
        into_slot(request, &[self.slot(), payer.slot()]).map(Memory::from_slot)
    }
}
