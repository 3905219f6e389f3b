// SPDX-License-Identifier: BSD-2-Clause
//! A server's clock: the pacer's ticks, and a notification that wakes the server where it receives.
//!
//! ```text
//!   pacer: ticks ────────► now, in milliseconds ──► Objects::set_time
//!   pacer: an alarm ─────► the notification bound to the server's thread: a message without a badge
//! ```

use sel4::cap;
use vmm::sel4::faults::Manager;
use vmm::sel4::pacer::{Clock, Pacer, PacerError};
use vmm::{Blueprint, Object};

use crate::server::ServerError;

/// The longest time for which an alarm is set, in milliseconds: it is set again then.
const LONGEST: u64 = 60_000;

/// What a server tells the time by.
pub(super) struct Alarm {
    clock: Clock,
    /// Bound to the thread, which receives what is signalled there.
    notification: Object,
    thread: cap::Tcb,
    /// The tick that was seen last, and how many microseconds had passed then.
    tick: u32,
    us: u64,
    /// When the notification is signalled, in milliseconds, if it was not already.
    set: u64,
    /// No tick comes any more.
    lost: bool,
}

impl Alarm {
    /// A clock by the ticks of a pacer, for the thread that receives. Gives all back if it is
    /// refused.
    pub fn new(vmm: &mut Manager, pacer: &Pacer, thread: cap::Tcb) -> Result<Alarm, ServerError> {
        let clock = pacer.clock(vmm)?;
        let notification = match vmm.allocate(Blueprint::Notification) {
            Ok(notification) => notification,
            Err(error) => {
                clock.release(vmm)?;
                return Err(error.into());
            }
        };
        if let Err(error) = thread.tcb_bind_notification(notification.cap()) {
            clock.release(vmm)?;
            vmm.free(notification)?;
            return Err(error.into());
        }
        let (tick, us) = (clock.ticks(), 0);
        Ok(Alarm { clock, notification, thread, tick, us, set: 0, lost: false })
    }

    /// The time in milliseconds since this was made; `None` once it was lost. No kernel call.
    pub fn now(&mut self) -> Option<u64> {
        if self.lost {
            return None;
        }
        let tick = self.clock.ticks();
        self.us += self.clock.us_for(tick.wrapping_sub(self.tick));
        self.tick = tick;
        Some(self.us / 1000)
    }

    /// Has the thread woken at a time, or before. It is woken at once when the ticks are lost while
    /// it waits: that is told here then.
    pub fn wake_at(&mut self, now: u64, deadline: u64) -> Result<(), PacerError> {
        let at = deadline.min(now.saturating_add(LONGEST));
        if self.set <= at && self.clock.is_alarm_set(self.notification) {
            return Ok(());
        }
        self.clock.clear_alarm(self.notification);
        let us = at.saturating_sub(now).max(1) * 1000;
        let set = self.clock.set_alarm(us, self.notification);
        (self.set, self.lost) = (at, set.is_err());
        set
    }

    /// Gives back what it has.
    pub fn release(self, vmm: &mut Manager) -> Result<(), ServerError> {
        self.clock.clear_alarm(self.notification);
        self.thread.tcb_unbind_notification()?;
        vmm.free(self.notification)?;
        Ok(self.clock.release(vmm)?)
    }
}
