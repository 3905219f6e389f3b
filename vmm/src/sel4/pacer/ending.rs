// SPDX-License-Identifier: BSD-2-Clause
//! Stopping a pacer: also one that was made in part, or to whose threads the kernel refuses calls.

use core::sync::atomic::Ordering;

use sel4::cap_type;
use untyped_alloc::Kernel;

use super::control::{Manager, Pacer};
use super::error::PacerError;
use super::timer;
use crate::sel4::threads::{JoinError, JoinHandle};

impl Pacer {
    /// Waits for the end of what is being cleared, ends the threads, and gives everything back, the
    /// timer's interrupt too.
    ///
    /// # Errors
    /// [`PacerError::Manager`], [`PacerError::Kernel`], [`PacerError::ThreadFaulted`]: what could
    /// not be given back stays in use. [`PacerError::Kernel`] with all given back, when the kernel
    /// refused to have the timer stopped: nobody is interrupted by it any more.
    pub fn stop(mut self, vmm: &mut Manager) -> Result<(), PacerError> {
        let waited = match self.wait(vmm) {
            // It does not go on: that is seen to below.
            Err(PacerError::Kernel(_)) => Ok(()),
            waited => waited,
        };
        self.take_apart(vmm)?;
        waited
    }

    pub(super) fn take_apart(&mut self, vmm: &mut Manager) -> Result<(), PacerError> {
        vmm.kernel_mut().long_calls = None;
        // The pacing thread first, as it may have suspended the other. Its last tick is made by hand.
        self.parts.end.store(true, Ordering::Release);
        if let Some(tick) = self.made.tick {
            tick.cap::<cap_type::Notification>().signal();
        }
        join(vmm, &mut self.made.pacing)?;
        // It goes on unless the kernel refused that to the end. Its call comes to its end first.
        if self.check_goes_on().is_err() {
            if let Some(thread) = self.clearing_thread() {
                thread.tcb_resume().map_err(PacerError::Kernel)?;
                self.parts.stuck.store(0, Ordering::Relaxed);
            }
        }
        let waited = self.wait(vmm);
        self.signal_wanted();
        join(vmm, &mut self.made.clearing)?;
        let mut stopped = Ok(());
        if let Some((slot, there)) = self.made.handler {
            if there {
                // Without a handler the interrupt is masked, whatever the timer does.
                let path = vmm.allocator().path(slot);
                vmm.kernel_mut()
                    .cnode_delete(path)
                    .map_err(|error| PacerError::Kernel(error.into()))?;
                stopped = timer::stop().map_err(PacerError::Kernel);
            }
            vmm.free_slots(slot, 1)?;
            self.made.handler = None;
        }
        for object in [&mut self.made.tick, &mut self.made.wanted, &mut self.made.done] {
            if let Some(notification) = *object {
                vmm.free(notification)?;
                *object = None;
            }
        }
        self.parts.taken.store(false, Ordering::Release);
        waited.and(stopped)
    }
}

fn join(vmm: &mut Manager, thread: &mut Option<JoinHandle<()>>) -> Result<(), PacerError> {
    let Some(thread) = thread.take() else { return Ok(()) };
    let memory = thread.memory();
    if let Some(memory) = memory {
        vmm.unpin_thread_memory(memory);
    }
    match thread.join(vmm) {
        Ok(()) => Ok(()),
        Err(JoinError::Faulted(_)) => Err(PacerError::ThreadFaulted),
        Err(JoinError::Manager(error)) => Err(error.into()),
    }
}
