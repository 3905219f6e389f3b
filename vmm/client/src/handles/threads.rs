// SPDX-License-Identifier: BSD-2-Clause
//! Threads of this program.
//!
//! ```ignore
//! let sum = program.spawn(4, priority, move || (1..=number).sum::<u64>())?;
//! // … and something else meanwhile …
//! assert_eq!(sum.join()?, Some(55));
//! ```
//!
//! All threads have the same slots and the same heap, and each has an IPC buffer and local storage
//! of its own.

use sel4::ThreadEntry;

use super::call::{call, finish, into_slot};
use super::child::{self, ChildStatus};
use super::error::Result;
use super::kinds::{Account, Handle, Notification, Thread};
use super::object::Object;
use super::program::Program;
use super::slots::empty_slot;
use crate::objects::Request;

impl Account {
    /// A thread of this program that runs at once from `entry` on, which
    /// [`sel4::thread_entry!`] makes: its first argument is the address of its IPC buffer, its second
    /// `argument`. It has `stack` pages of stack above `guard` pages that are never there, and a
    /// priority that is not above that of the program's first. This account pays for its record.
    ///
    /// # Errors
    /// [`super::Error::Refused`], [`super::Error::OutOfSlots`].
    pub fn create_thread(
        &self,
        entry: ThreadEntry,
        argument: usize,
        (stack, guard): (u32, u32),
        priority: u8,
    ) -> Result<Thread> {
        let (entry, priority) = (entry as usize, priority.into());
        let request =
            |slot| Request::CreateThread { entry, argument, stack, guard, priority, slot };
        into_slot(request, &[self.slot()]).map(Thread::from_slot)
    }
}

impl Thread {
    /// Ends it, with this code for who joins it: it runs no more once this returns.
    ///
    /// # Errors
    /// [`super::Error::Refused`].
    pub fn end(&self, code: u32) -> Result {
        finish(&Request::EndThread { code, own: false }, &[self.slot()])
    }

    /// Ends the thread that calls this, which is the one that `slot` has a capability to.
    pub fn end_own(slot: u32, code: u32) -> ! {
        loop {
            // It is not answered. Where it is refused, there is nothing else to do.
            let _ = call(&Request::EndThread { code, own: true }, &[slot]);
            sel4::r#yield();
        }
    }

    /// What it does, or how it ended.
    ///
    /// # Errors
    /// [`super::Error::Refused`].
    pub fn status(&self) -> Result<ChildStatus> {
        child::status(self.slot())
    }

    /// Waits until it has ended and all is given back that it had, gives its record back, and
    /// returns how it ended. A thread that joins itself waits for ever.
    ///
    /// # Errors
    /// [`super::Error::Refused`], [`super::Error::OutOfSlots`]; then it may run still.
    pub fn join(self) -> Result<ChildStatus> {
        let (notification, told) = Program::THIS.account().create_notification()?;
        let ended = self.wait(told);
        empty_slot(told);
        Notification::destroy(notification)?;
        let status = ended?;
        self.destroy()?;
        Ok(status)
    }

    /// Waits until it has ended and all is given back that it had. `told` is the slot of a capability
    /// to a notification that nothing else signals.
    ///
    /// # Errors
    /// [`super::Error::Refused`].
    pub fn wait(&self, told: u32) -> Result<ChildStatus> {
        child::wait(self.slot(), told)
    }
}
