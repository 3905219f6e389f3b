// SPDX-License-Identifier: BSD-2-Clause
//! Memory objects.

use super::call::{call, finish, into_slot};
use super::error::Result;
use super::kinds::{Account, Handle, Memory};
use super::object::{no_answer, Object};
use crate::objects::{Answer, MemoryOptions, Piece, Request};

/// What is known of a memory object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemoryInfo {
    /// What it is: whether it can be written, has large pages, how it is cached.
    pub options: MemoryOptions,
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
            Answer::Memory { options, pages, committed, mappings, .. } => {
                Ok(MemoryInfo { options, pages, committed, mappings })
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

    /// Reads its bytes from number `offset` on, without mapping it: a message for each 96 bytes.
    ///
    /// # Errors
    /// [`super::Error::Refused`]; `bytes` may be filled in part then.
    pub fn read(&self, offset: usize, bytes: &mut [u8]) -> Result {
        let mut done = 0;
        while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let wanted = u32::try_from(rest.len()).unwrap_or(u32::MAX);
            let request = Request::Read { offset: offset.saturating_add(done), bytes: wanted };
            match call(&request, &[self.slot()])? {
                // An answer without progress would be asked for ever.
                Answer::Piece { piece } if (1..=rest.len()).contains(&piece.bytes().len()) => {
                    let read = piece.bytes();
                    rest[..read.len()].copy_from_slice(read);
                    done += read.len();
                }
                _ => return Err(no_answer("Read")),
            }
        }
        Ok(())
    }

    /// Writes bytes to it from number `offset` on, without mapping it: a message for each 96 bytes.
    ///
    /// # Errors
    /// [`super::Error::Refused`]; some may be written then.
    pub fn write(&self, offset: usize, bytes: &[u8]) -> Result {
        let mut done = 0;
        while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
            let piece = Piece::of(rest);
            let request = Request::Write { offset: offset.saturating_add(done), piece };
            match call(&request, &[self.slot()])? {
                Answer::Bytes { bytes } if (1..=rest.len()).contains(&(bytes as usize)) => {
                    done += bytes as usize;
                }
                _ => return Err(no_answer("Write")),
            }
        }
        Ok(())
    }

    /// The physical address of a page of it, for a device: it stays there until this ends. `teller`
    /// is a capability to an account with [`Rights::ADDRESS`](crate::objects::Rights::ADDRESS),
    /// whether it pays for this or not.
    ///
    /// The device is to be stopped before this ends: the page is somebody else's then.
    ///
    /// # Errors
    /// [`super::Error::Refused`].
    pub fn locate(&self, page: u32, teller: &Account) -> Result<usize> {
        match call(&Request::Locate { page }, &[self.slot(), teller.slot()])? {
            Answer::Located { address } => Ok(address),
            _ => Err(no_answer("Locate")),
        }
    }

    /// Memory that shows what this shows now, copy-on-write. A request for each 64 pages that are
    /// there; where others change this by requests meanwhile, it begins anew.
    ///
    /// While this is mapped, or once a page of it was located, and of large pages always, its pages
    /// are copied, 32 with a request: what threads write meanwhile is in the copy of pages whose turn comes later.
    ///
    /// # Errors
    /// [`super::Error::Refused`], [`super::Error::OutOfSlots`].
    pub fn copy_on_write(&self, payer: &Account) -> Result<Memory> {
        let request = |slot| Request::Clone { slot };
        into_slot(request, &[self.slot(), payer.slot()]).map(Memory::from_slot)
    }
}
