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

use super::call::{call, finish, into_slot};
use super::child::{self, ChildStatus};
use super::error::Result;
use super::kinds::{Account, Handle, Notification, Thread};
use super::object::Object;
use super::program::Program;
use super::slots::empty_slot;
use crate::arch::UserRegisters;
use crate::bindings::ThreadEntry;
use crate::objects::{FaultPolicy, Request};

impl Account {
    /// A thread of this program that runs at once from `entry` on, which
    /// [`thread_entry!`](crate::thread_entry) makes: its first argument is the address of its IPC buffer, its
    /// second `argument`. It has `stack` pages of stack above `guard` pages that are never there,
    /// and a priority that is not above that of the program's first. This account pays for its
    /// record.
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
        let policy = FaultPolicy::Program;
        self.create_thread_with(entry, argument, (stack, guard), priority, policy)
    }

    /// The same, of a thread whose faults have these consequences.
    ///
    /// # Errors
    /// Those of [`Account::create_thread`].
    pub fn create_thread_with(
        &self,
        entry: ThreadEntry,
        argument: usize,
        (stack, guard): (u32, u32),
        priority: u8,
        policy: FaultPolicy,
    ) -> Result<Thread> {
        let (entry, priority) = (entry as usize, priority.into());
        let request =
            |slot| Request::CreateThread { entry, argument, stack, guard, priority, policy, slot };
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

    /// Has it receive what is signalled to a notification where it waits at an endpoint: the
    /// capability in this slot leads to it.
    ///
    /// # Errors
    /// [`super::Error::Refused`]: with `Bound` where one is bound to it; with `BadCapability` for
    /// what is no notification, or one that has a thread already.
    pub fn bind(&self, slot: u32) -> Result {
        finish(&Request::BindThread {}, &[self.slot(), slot])
    }

    /// Undoes [`Thread::bind`].
    ///
    /// # Errors
    /// [`super::Error::Refused`]: with `NotBound` where none was bound.
    pub fn unbind(&self) -> Result {
        finish(&Request::UnbindThread {}, &[self.slot()])
    }

    /// Suspends it: it executes no further instruction once this returns. A system call that it is
    /// in goes to its end first, and it is `Suspending` until then: [`Thread::wait`] tells when it
    /// is `Suspended`.
    ///
    /// # Errors
    /// [`super::Error::Refused`]: with `WrongState` if it does not run.
    pub fn suspend(&self) -> Result {
        finish(&Request::Suspend {}, &[self.slot()])
    }

    /// Lets it go on where it was suspended, or a fault suspended it.
    ///
    /// # Errors
    /// [`super::Error::Refused`]: with `WrongState` if it is not.
    pub fn resume(&self) -> Result {
        finish(&Request::Resume {}, &[self.slot()])
    }

    /// Its registers, while it is suspended.
    ///
    /// # Errors
    /// [`super::Error::Refused`]: with `WrongState` if it is not.
    pub fn registers(&self) -> Result<UserRegisters> {
        child::registers(self.slot())
    }

    /// Changes its registers, while it is suspended.
    ///
    /// # Errors
    /// [`super::Error::Refused`]: with `WrongState` if it is not.
    pub fn set_registers(&self, registers: UserRegisters) -> Result {
        child::set_registers(self.slot(), registers)
    }

    /// Has the notification signalled to which the capability in this slot leads, when it has ended
    /// and all is given back that it had, or is suspended.
    ///
    /// # Errors
    /// [`super::Error::Refused`].
    pub fn tell_end(&self, told: u32) -> Result {
        child::tell_end(self.slot(), told)
    }

    /// What it does, or how it ended.
    ///
    /// # Errors
    /// [`super::Error::Refused`].
    pub fn status(&self) -> Result<ChildStatus> {
        child::status(self.slot())
    }

    /// Waits until it has ended and all is given back that it had, gives its record back, and
    /// returns how it ended. One that is suspended is ended. A thread that joins itself waits for
    /// ever: this cannot know whose capability it has. [`super::JoinHandle::join`] can.
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

    /// Waits until it has ended and all is given back that it had, or is suspended. `told` is the
    /// slot of a capability to a notification that nothing else signals.
    ///
    /// # Errors
    /// [`super::Error::Refused`].
    pub fn wait(&self, told: u32) -> Result<ChildStatus> {
        child::wait(self.slot(), told)
    }
}
