// SPDX-License-Identifier: BSD-2-Clause
//! Accounts: what is made is paid from one.

use super::call::{finish, into_slot};
use super::error::Result;
use super::kinds::{Account, Endpoint, Handle, Memory, Notification, Space};
use super::object::{no_answer, Object};
use super::slots::{free_slot, take_slot};
use crate::arch::LARGE_PAGE_BYTES;
use crate::objects::{
    AccountOptions, Amounts, Answer, MemoryOptions, Request, Resource, PAGE_BYTES,
};

/// What is known of an account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AccountInfo {
    /// Whether its limits are no guarantee.
    pub overcommit: bool,
    /// Whether a request that it pays for waits where those above it lack what its limits allow.
    pub waits: bool,
    /// What may be used.
    pub limits: Amounts,
    /// What is used, or was given to children.
    pub used: Amounts,
}

impl Account {
    /// What it has and what of it is used.
    ///
    /// # Errors
    /// [`super::Error::Refused`].
    pub fn amounts(&self) -> Result<AccountInfo> {
        match self.info()? {
            Answer::Account { options, limits, used, .. } => {
                let overcommit = options.contains(AccountOptions::OVERCOMMIT);
                let waits = options.contains(AccountOptions::WAIT);
                Ok(AccountInfo { overcommit, waits, limits, used })
            }
            _ => Err(no_answer("Info")),
        }
    }

    /// A child account with these amounts, which this one does not have any more.
    ///
    /// # Errors
    /// [`super::Error::Refused`], [`super::Error::OutOfSlots`]; so do all that make something.
    pub fn split(&self, amounts: Amounts) -> Result<Account> {
        self.child(amounts, AccountOptions::empty())
    }

    /// A child account with these limits, which are no guarantee.
    pub fn overcommit(&self, limits: Amounts) -> Result<Account> {
        self.child(limits, AccountOptions::OVERCOMMIT)
    }

    /// A child account with these limits, which are no guarantee: a request that it pays for waits
    /// while those above it lack what the limits allow.
    pub fn overcommit_waiting(&self, limits: Amounts) -> Result<Account> {
        self.child(limits, AccountOptions::OVERCOMMIT | AccountOptions::WAIT)
    }

    fn child(&self, amounts: Amounts, options: AccountOptions) -> Result<Account> {
        let request = |slot| Request::CreateAccount { amounts, options, slot };
        into_slot(request, &[self.slot()]).map(Account::from_slot)
    }

    /// Gives a child more.
    pub fn give(&self, child: &Account, amounts: Amounts) -> Result {
        finish(&Request::Give { amounts, back: false }, &[self.slot(), child.slot()])
    }

    /// Takes back what a child does not use.
    pub fn take_back(&self, child: &Account, amounts: Amounts) -> Result {
        finish(&Request::Give { amounts, back: true }, &[self.slot(), child.slot()])
    }

    /// Has the notification signalled to which the capability in this slot leads, once less than
    /// `amount` of a resource is left of this account's own limits: at once, if that is so already,
    /// and then no more before this is asked for again; and whenever a thread begins to wait for
    /// memory that this account pays for. It takes the place of what was asked for
    /// before, by whomever; with 0 nothing is told any more.
    ///
    /// # Errors
    /// [`super::Error::Refused`].
    pub fn tell_below(&self, resource: Resource, amount: u32, slot: u32) -> Result {
        finish(&Request::TellAccount { resource, amount }, &[self.slot(), slot])
    }

    /// Memory that can be read and written, zero, whose pages are there when they are touched.
    pub fn create_memory(&self, pages: u32) -> Result<Memory> {
        let options = MemoryOptions::WRITABLE;
        let request = |slot| Request::CreateMemory { pages, options, slot };
        into_slot(request, &[self.slot()]).map(Memory::from_slot)
    }

    /// Memory of so many large pages, of [`LARGE_PAGE_BYTES`] each, that can be read and written,
    /// zero: of those that this account has ([`Resource::LargePages`]), which were set aside when
    /// the service started. They are there when they are touched, and each then takes one entry and
    /// no page table. It is mapped, protected, moved and unmapped in multiples of
    /// [`LARGE_PAGE_BYTES`] at addresses that are such, and resized so; its clones are copies. No
    /// pages are supplied from it.
    ///
    /// Its end takes as long as zeroing it: some 1.1 million instructions for 4 MiB on IA32, in
    /// pieces of 64 small pages.
    ///
    /// # Errors
    /// [`super::Error::Refused`]: with `OutOfAccount` for more than the account has, with
    /// `BadLength` for none, or for more than a message can say; [`super::Error::OutOfSlots`].
    ///
    pub fn create_large_memory(&self, large: u32) -> Result<Memory> {
        let pages = large.saturating_mul((LARGE_PAGE_BYTES / PAGE_BYTES) as u32);
        let options = MemoryOptions::WRITABLE | MemoryOptions::LARGE;
        let request = |slot| Request::CreateMemory { pages, options, slot };
        into_slot(request, &[self.slot()]).map(Memory::from_slot)
    }

    /// Memory at a physical address, a multiple of [`PAGE_BYTES`]: pages of a device, that can be
    /// written and are cached as `options` says ([`MemoryOptions::UNCACHED`] and its like, one at
    /// the most), wherever they are mapped. This account's capability is one with
    /// [`Rights::PHYSICAL`](crate::objects::Rights::PHYSICAL), as `init` has by `--device physical`.
    /// The first [`Space::map`] of any of it takes all of its pages, until its end.
    ///
    /// # Errors
    /// [`super::Error::Refused`]: with `MissingRights` without that right, with `BadAddress` or
    /// `BadLength`; that nobody knows of memory there, `NoSuchPhysical`, is said when it is mapped.
    /// [`super::Error::OutOfSlots`].
    pub fn create_physical(
        &self,
        address: usize,
        pages: u32,
        options: MemoryOptions,
    ) -> Result<Memory> {
        let options = options | MemoryOptions::WRITABLE;
        let request = |slot| Request::CreatePhysical { address, pages, options, slot };
        into_slot(request, &[self.slot()]).map(Memory::from_slot)
    }

    /// An address space.
    pub fn create_space(&self) -> Result<Space> {
        let request = |slot| Request::CreateSpace { slot };
        into_slot(request, &[self.slot()]).map(Space::from_slot)
    }

    /// An endpoint, and the slot of the kernel's own capability to it, with all rights.
    pub fn create_endpoint(&self) -> Result<(Endpoint, u32)> {
        let made = self.kernel_object(|object, slot| Request::CreateEndpoint { object, slot });
        made.map(|(object, slot)| (Endpoint::from_slot(object), slot))
    }

    /// A notification, and the slot of the kernel's own capability to it, with all rights.
    pub fn create_notification(&self) -> Result<(Notification, u32)> {
        let made = self.kernel_object(|object, slot| Request::CreateNotification { object, slot });
        made.map(|(object, slot)| (Notification::from_slot(object), slot))
    }

    fn kernel_object(&self, request: impl Fn(u32, u32) -> Request) -> Result<(u32, u32)> {
        let slot = take_slot()?;
        match into_slot(|object| request(object, slot), &[self.slot()]) {
            Ok(object) => Ok((object, slot)),
            Err(error) => {
                free_slot(slot);
                Err(error)
            }
        }
    }
}
