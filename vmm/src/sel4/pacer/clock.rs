// SPDX-License-Identifier: BSD-2-Clause
//! Sleeping, and time-outs.

use core::sync::atomic::Ordering;

use sel4::cap_type;
use untyped_alloc::{Blueprint, Object};

use super::error::PacerError;
use super::shared::{is_due, PacerParts, SLEEPERS};
use crate::manager::vmm::Vmm;
use crate::sel4::Sel4;

/// Time by the ticks of whatever pacer has the parts, for one thread. From one tick to the next it
/// is a period and what the pacing thread takes, as it sets the timer anew at each: time-outs are
/// never early. Once the pacer has stopped, time stands still, and whoever sleeps is told so, until
/// another is started.
pub struct Clock {
    parts: &'static PacerParts,
    alarm: Object,
}

impl Clock {
    pub(super) fn new(
        vmm: &mut Vmm<'static, Sel4>,
        parts: &'static PacerParts,
    ) -> Result<Clock, PacerError> {
        Ok(Clock { parts, alarm: vmm.allocate(Blueprint::Notification)? })
    }

    /// Ticks since the pacer started: they go round after 2^32. No kernel call.
    pub fn ticks(&self) -> u32 {
        self.parts.ticks.load(Ordering::Relaxed)
    }

    /// The microseconds that so many ticks last at least. No kernel call.
    pub fn us_for(&self, ticks: u32) -> u64 {
        u64::from(ticks) * u64::from(self.parts.period_us.load(Ordering::Acquire))
    }

    /// The ticks that `us` microseconds last, rounded up.
    ///
    /// # Errors
    /// [`PacerError::TooLong`]: half of all ticks or more.
    pub fn ticks_for(&self, us: u64) -> Result<u32, PacerError> {
        let period_us = self.parts.period_us.load(Ordering::Acquire);
        let ticks = us.div_ceil(period_us.max(1).into());
        // What is further than half of all ticks away would have passed.
        let ticks = u32::try_from(ticks).ok().filter(|&ticks| ticks < u32::MAX / 2);
        ticks.ok_or(PacerError::TooLong(us))
    }

    /// Sleeps for at least `us` microseconds, and up to a tick longer beside how long others of a
    /// higher priority run. Two kernel calls; none for 0.
    ///
    /// # Errors
    /// [`PacerError::TooLong`], [`PacerError::TooManySleepers`]. [`PacerError::TimerLost`] at once
    /// where no tick comes any more, also when the interrupt is taken away while it sleeps; but
    /// where line 13 was not to be had (see [`Pacer::start`](super::Pacer::start)), only as soon as
    /// anybody sleeps, sets an alarm, waits for what is cleared, or stops the pacer.
    /// [`PacerError::ThreadFaulted`] in its place where the pacing thread has faulted.
    pub fn sleep(&self, us: u64) -> Result<(), PacerError> {
        if us == 0 {
            return Ok(());
        }
        let at = self.set(us, self.alarm)?;
        loop {
            self.alarm.cap::<cap_type::Notification>().wait();
            if is_due(at, self.ticks()) {
                return Ok(());
            }
            // Else what it found is of an earlier time.
            if !self.parts.is_sleeper(self.alarm.slot()) {
                return Err(self.parts.why_lost());
            }
        }
    }

    /// Has `notification` signalled once, after at least `us` microseconds: who waits for it, as
    /// for something else to happen, has waited long enough then. When the timer is lost it is
    /// signalled before. One kernel call.
    ///
    /// # Errors
    /// As [`Clock::sleep`].
    pub fn set_alarm(&self, us: u64, notification: Object) -> Result<(), PacerError> {
        self.set(us, notification).map(drop)
    }

    /// Returns the tick at which it is signalled.
    fn set(&self, us: u64, notification: Object) -> Result<u32, PacerError> {
        // The tick that is under way has partly passed.
        let at = self.ticks().wrapping_add(self.ticks_for(us)?).wrapping_add(1);
        if !self.parts.wake_at(notification.slot(), at) {
            return Err(PacerError::TooManySleepers { most: SLEEPERS });
        }
        if self.parts.lost.load(Ordering::Acquire) {
            self.clear_alarm(notification);
            return Err(self.parts.why_lost());
        }
        self.parts.ask_for_timer();
        Ok(at)
    }

    /// Has `notification` not be signalled, if it was to be: what was waited for has happened. It
    /// may have been signalled a moment before. No kernel call.
    pub fn clear_alarm(&self, notification: Object) {
        self.parts.remove_sleeper(notification.slot());
    }

    /// Whether `notification` is to be signalled still. No kernel call.
    pub fn is_alarm_set(&self, notification: Object) -> bool {
        self.parts.is_sleeper(notification.slot())
    }

    /// Gives back what the clock has.
    ///
    /// # Errors
    /// [`PacerError::Manager`].
    pub fn release(self, vmm: &mut Vmm<'static, Sel4>) -> Result<(), PacerError> {
        self.parts.remove_sleeper(self.alarm.slot());
        Ok(vmm.free(self.alarm)?)
    }
}
