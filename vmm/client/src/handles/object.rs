// SPDX-License-Identifier: BSD-2-Clause
//! What all handles can do.

use super::call::{call, finish, into_slot};
use super::error::{Error, Result};
use super::kinds::{Account, Handle};
use super::slots::{free_slot, take_slot};
use crate::objects::{Answer, Request, Rights};

/// An object, by its handle.
pub trait Object: Handle {
    /// What there is to say of the object.
    ///
    /// # Errors
    /// [`Error::Refused`].
    fn info(&self) -> Result<Answer> {
        call(&Request::Info {}, &[self.slot()])
    }

    /// A capability to the same object with these rights alone, which `payer` pays for. It ends
    /// with [`Object::revoke`] of this one.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::OutOfSlots`].
    fn restrict(&self, rights: Rights, payer: &Account) -> Result<Self> {
        let request = |slot| Request::Restrict { rights, slot };
        into_slot(request, &[self.slot(), payer.slot()]).map(Self::from_slot)
    }

    /// Ends all capabilities that were derived from this one or copied of it, with what was mapped
    /// by them. The handle that is returned has another slot.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::OutOfSlots`].
    fn revoke(self) -> Result<Self> {
        let slot = take_slot()?;
        match finish(&Request::Revoke { slot }, &[self.slot()]) {
            Ok(()) => {
                free_slot(self.slot());
                Ok(Self::from_slot(slot))
            }
            Err(error) => {
                free_slot(slot);
                Err(error)
            }
        }
    }

    /// Ends the object, which is not in use, with all capabilities to it.
    ///
    /// # Errors
    /// [`Error::Refused`]; then the object is there, and its slot as it was.
    fn destroy(self) -> Result {
        finish(&Request::Destroy {}, &[self.slot()])?;
        free_slot(self.slot());
        Ok(())
    }
}

impl<H: Handle> Object for H {}

/// The error of an answer that is none to the request.
pub(super) const fn no_answer(request: &'static str) -> Error {
    Error::Answer { request }
}
