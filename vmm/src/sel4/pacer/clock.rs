// SPDX-License-Identifier: BSD-2-Clause
//! Sleeping, and time-outs.

use core::sync::atomic::Ordering;

use sel4::cap_type;
use untyped_alloc::{Blueprint, Object};

use super::error::PacerError;
use super::shared::PacerParts;
use crate::manager::vmm::Vmm;
use crate::sel4::Sel4;

/// Time by the ticks of a pacer, for one thread. From one tick to the next it is a period and what
/// the pacing thread takes, as it sets the timer anew at each: time-outs are never early. Once the
/// pacer has stopped, time stands still, and whoever sleeps does not wake.
pub struct Clock {
    parts: &'static PacerParts,
    period_us: u32,
    alarm: Object,
}

impl Clock {
    pub(super) fn new(
        vmm: &mut Vmm<'static, Sel4>,
        parts: &'static PacerParts,
        period_us: u32,
    ) -> Result<Clock, PacerError> {
        Ok(Clock { parts, period_us, alarm: vmm.allocate(Blueprint::Notification)? })
    }

    /// Ticks since the pacer started: they go round after 2^32. No kernel call.
    pub fn ticks(&self) -> u32 {
        self.parts.ticks.load(Ordering::Relaxed)
    }

    /// The ticks that `us` microseconds last, rounded up.
    ///
    /// # Errors
    /// [`PacerError::TooLong`]: half of all ticks or more.
    pub fn ticks_for(&self, us: u64) -> Result<u32, PacerError> {
        let ticks = us.div_ceil(self.period_us.into());
        // What is further than half of all ticks away would have passed.
        let ticks = u32::try_from(ticks).ok().filter(|&ticks| ticks < u32::MAX / 2);
        ticks.ok_or(PacerError::TooLong(us))
    }

    /// Sleeps for at least `us` microseconds, and up to a tick longer beside how long others of a
    /// higher priority run. One kernel call; none for 0.
    ///
    /// # Errors
    /// [`PacerError::TooLong`], [`PacerError::TooManySleepers`].
    pub fn sleep(&self, us: u64) -> Result<(), PacerError> {
        if us == 0 {
            return Ok(());
        }
        self.set_alarm(us, self.alarm)?;
        self.alarm.cap::<cap_type::Notification>().wait();
        Ok(())
    }

    /// Has `notification` signalled once, after at least `us` microseconds: who waits for it, as for
    /// something else to happen, has waited long enough then. No kernel call.
    ///
    /// # Errors
    /// As [`Clock::sleep`].
    pub fn set_alarm(&self, us: u64, notification: Object) -> Result<(), PacerError> {
        // The tick that is under way has partly passed.
        let at = self.ticks().wrapping_add(self.ticks_for(us)?).wrapping_add(1);
        match self.parts.wake_at(notification.slot(), at) {
            true => Ok(()),
            false => Err(PacerError::TooManySleepers),
        }
    }

    /// Has `notification` not be signalled, if it was to be: what was waited for has happened. It
    /// may have been signalled a moment before. No kernel call.
    pub fn clear_alarm(&self, notification: Object) {
        self.parts.remove_sleeper(notification.slot());
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
