// SPDX-License-Identifier: BSD-2-Clause
//! A thread that is woken when the interrupts of this program are revoked.
//!
//! An interrupt that is taken away does not come any more, and the kernel tells nobody. But an
//! interrupt has a capability to the notification that it signals, and where that capability is the
//! notification's last, its deletion wakes who waits there. So the sentinel has an interrupt of its
//! own, of a line that no device has, and nobody else has the notification once the thread waits:
//!
//! ```text
//!   1. the thread waits ──────────► watched ◄── slot `watched`, interrupt
//!   2. the slot has another         watched ◄── interrupt        told ◄── slot `watched`
//!   3. it is revoked: the thread repeats its call, at what the slot has now, which is signalled
//! ```
//!
//! Who deletes the timer's interrupt alone is noticed without a sentinel: the pacer has two
//! capabilities to that, and its next acknowledgement, by the one that is gone, is refused.

use core::sync::atomic::Ordering;

use sel4::{cap, cap_type, CapRights};
use untyped_alloc::{Blueprint, CPtr, Object};

use super::capabilities::{delete, pin, place, take_slots, Manager};
use super::error::PacerError;
use super::shared::PacerParts;
use super::timer::Timer;
use crate::sel4::threads::{JoinError, JoinHandle, SpawnOptions};

/// The highest priority: the thread waits before anybody takes its capability away.
const PRIORITY: u8 = u8::MAX;

/// The thread, and what it waits for.
#[derive(Default)]
pub(super) struct Sentinel {
    watched: Option<Object>,
    told: Option<Object>,
    /// The slot of the interrupt's handler.
    handler: Option<CPtr>,
    pub thread: Option<JoinHandle<()>>,
}

impl Sentinel {
    /// Makes one that signals `ask`, unless there is no interrupt for it: then there is none. What
    /// was made when it failed is in `self`.
    pub fn make(
        &mut self,
        vmm: &mut Manager,
        parts: &'static PacerParts,
        timer: &'static dyn Timer,
        ask: cap::Notification,
    ) -> Result<(), PacerError> {
        let watched = *self.watched.insert(vmm.allocate(Blueprint::Notification)?);
        let told = *self.told.insert(vmm.allocate(Blueprint::Notification)?);
        let handler = take_slots(vmm, 1)?;
        if timer.claim_unused(&place(vmm, handler)).is_err() {
            vmm.free_slots(handler, 1)?;
            return Ok(());
        }
        self.handler = Some(handler);
        let interrupt = handler.cap::<cap_type::IrqHandler>();
        interrupt.irq_handler_set_notification(watched.cap()).map_err(PacerError::Kernel)?;
        told.cap::<cap_type::Notification>().signal();
        let options = SpawnOptions::new().named("sentinel").priority(PRIORITY).stack(1);
        let at = watched.cap::<cap_type::Notification>();
        let thread = vmm.spawn(&options, move || {
            at.wait();
            if !parts.end.load(Ordering::Acquire) {
                // The pacing thread asks the kernel what is left.
                ask.signal();
            }
        })?;
        pin(vmm, self.thread.insert(thread))?;
        // Where this thread has the highest priority, too, that one has its turn now, and waits.
        sel4::r#yield();
        let (watched, told) = (place(vmm, watched.slot()), place(vmm, told.slot()));
        watched.delete().map_err(PacerError::Kernel)?;
        watched.copy(&told, CapRights::all()).map_err(PacerError::Kernel)
    }

    /// Ends the thread, which `parts` tell to, and gives everything back.
    pub fn take_apart(&mut self, vmm: &mut Manager) -> Result<(), PacerError> {
        if let Some(handler) = self.handler {
            delete(vmm, handler)?;
            vmm.free_slots(handler, 1)?;
            self.handler = None;
        }
        if let Some(thread) = self.thread.take() {
            if let (Some(told), Some(watched)) = (self.told, self.watched) {
                // Where it was begun in part, the slot has the notification itself still.
                told.cap::<cap_type::Notification>().signal();
                watched.cap::<cap_type::Notification>().signal();
            }
            if let Some(memory) = thread.memory() {
                vmm.unpin_thread_memory(memory);
            }
            match thread.join(vmm) {
                // It waited at an empty slot: then it told nobody, and there is nothing to mend.
                Ok(()) | Err(JoinError::Faulted(_)) => {}
                Err(JoinError::Manager(error)) => return Err(error.into()),
            }
        }
        if let Some(watched) = self.watched {
            // What it has by now is no copy of what was made there, and would outlive that.
            delete(vmm, watched.slot())?;
        }
        for object in [&mut self.watched, &mut self.told] {
            if let Some(notification) = *object {
                vmm.free(notification)?;
                *object = None;
            }
        }
        Ok(())
    }
}
