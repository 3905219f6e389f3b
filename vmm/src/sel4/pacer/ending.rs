// SPDX-License-Identifier: BSD-2-Clause
//! Stopping a pacer: also one that was made in part, or to whose threads the kernel refuses calls.

use core::sync::atomic::Ordering;

use sel4::cap_type;
use sel4::init_thread::slot;
use untyped_alloc::CPtr;

use super::capabilities::{delete, Manager};
use super::control::{Made, Pacer};
use super::error::PacerError;
use super::shared::pacing;
use crate::sel4::threads::{JoinError, JoinHandle};

impl Pacer {
    /// Waits for the end of what is being cleared, ends the threads, and gives everything back, the
    /// timer's interrupt too. Who sleeps is told that the timer is lost.
    ///
    /// # Errors
    /// [`PacerError::Manager`], [`PacerError::Kernel`], [`PacerError::ThreadFaulted`]: what could
    /// not be given back stays in use. [`PacerError::Kernel`] with all given back, when the kernel
    /// refused to have the timer stopped: nobody is interrupted by it any more.
    pub fn stop(mut self, vmm: &mut Manager) -> Result<(), PacerError> {
        let waited = match self.wait(vmm) {
            // It does not go on: that is seen to below.
            Err(PacerError::Kernel(_)) => Ok(()),
            waited => waited.and(self.check_lives()),
        };
        self.take_apart(vmm)?;
        waited
    }

    pub(super) fn take_apart(&mut self, vmm: &mut Manager) -> Result<(), PacerError> {
        if self.made.counts_slices {
            vmm.kernel_mut().long_calls = None;
            vmm.kernel_mut().paced_calls = None;
        }
        // The pacing thread first, as it may have suspended the other. It is woken by hand.
        self.parts.end.store(true, Ordering::Release);
        self.parts.tick.store(0, Ordering::Release);
        // A signal without a badge, as one of the two may not be there yet.
        for notification in [self.made.tick, self.made.idle].into_iter().flatten() {
            notification.cap::<cap_type::Notification>().signal();
        }
        let paced = self.end_pacing_thread(vmm);
        if !matches!(paced, Ok(()) | Err(PacerError::ThreadFaulted)) {
            return paced;
        }
        self.join(vmm, |made| &mut made.idling)?;
        // It goes on unless the kernel refused that to the end. Its call comes to its end first.
        if self.check_goes_on().is_err() {
            if let Some(thread) = self.clearing_thread() {
                thread.tcb_resume().map_err(PacerError::Kernel)?;
                self.parts.stuck.store(0, Ordering::Relaxed);
            }
        }
        let waited = self.wait(vmm);
        self.signal_wanted();
        match self.check_lives() {
            Ok(()) => self.join(vmm, |made| &mut made.clearing)?,
            // Its fault was told to the pacing thread.
            Err(_) => self.end_clearing_thread(vmm)?,
        }
        self.made.sentinel.take_apart(vmm)?;
        let mut stopped = Ok(());
        if let Some((at, there)) = self.made.handler {
            // Without a handler the interrupt is masked, whatever the timer does.
            for slot in [at, CPtr::new(at.bits() + 1)] {
                delete(vmm, slot)?;
            }
            if let (true, Some(own)) = (there, self.made.own) {
                stopped = self.timer.stop(own).map_err(PacerError::Kernel);
            }
            vmm.free_slots(at, 2)?;
            self.made.handler = None;
        }
        if let Some(own) = self.made.own {
            delete(vmm, own)?;
            vmm.free_slots(own, 1)?;
            self.made.own = None;
        }
        if let Some(at) = self.made.ask {
            delete(vmm, at)?;
            vmm.free_slots(at, 1)?;
            self.made.ask = None;
        }
        let made = &mut self.made;
        for object in [&mut made.tick, &mut made.wanted, &mut made.done, &mut made.idle] {
            if let Some(notification) = *object {
                vmm.free(notification)?;
                *object = None;
            }
        }
        self.parts.taken.store(false, Ordering::Release);
        waited.and(paced).and(stopped)
    }

    fn end_clearing_thread(&mut self, vmm: &mut Manager) -> Result<(), PacerError> {
        self.end(vmm, |made| &mut made.clearing)
    }

    /// Waits for the end of the pacing thread, which was told to end.
    fn end_pacing_thread(&mut self, vmm: &mut Manager) -> Result<(), PacerError> {
        let (Some(done), true) = (self.made.done, self.made.attending.is_some()) else {
            return self.join(vmm, |made| &mut made.pacing);
        };
        if let Some(thread) = &self.made.pacing {
            let priority = self.options.priority.into();
            let _ = thread.tcb().tcb_set_priority(slot::TCB.cap(), priority);
        }
        // Its end is told to the attending thread.
        while self.parts.pacing.load(Ordering::Acquire) == pacing::RUNS {
            done.cap::<cap_type::Notification>().wait();
        }
        self.end(vmm, |made| &mut made.pacing)?;
        match self.parts.pacing_faulted() {
            false => self.join(vmm, |made| &mut made.attending),
            true => {
                // It waits for faults of the other.
                self.end(vmm, |made| &mut made.attending)?;
                Err(PacerError::ThreadFaulted)
            }
        }
    }

    /// Ends a thread wherever it is.
    fn end(
        &mut self,
        vmm: &mut Manager,
        which: impl FnOnce(&mut Made) -> &mut Option<JoinHandle<()>>,
    ) -> Result<(), PacerError> {
        let Some(thread) = which(&mut self.made).take() else { return Ok(()) };
        if let Some(memory) = thread.memory() {
            vmm.unpin_thread_memory(memory);
        }
        Ok(thread.end(vmm)?)
    }

    fn join(
        &mut self,
        vmm: &mut Manager,
        which: impl FnOnce(&mut Made) -> &mut Option<JoinHandle<()>>,
    ) -> Result<(), PacerError> {
        let Some(thread) = which(&mut self.made).take() else { return Ok(()) };
        // Who computes is not to hinder its end. Where the kernel refuses that, it takes longer.
        let priority = self.options.priority.into();
        let _ = thread.tcb().tcb_set_priority(slot::TCB.cap(), priority);
        if let Some(memory) = thread.memory() {
            vmm.unpin_thread_memory(memory);
        }
        match thread.join(vmm) {
            Ok(()) => Ok(()),
            Err(JoinError::Faulted(_)) => Err(PacerError::ThreadFaulted),
            Err(JoinError::Manager(error)) => Err(error.into()),
        }
    }
}
