// SPDX-License-Identifier: BSD-2-Clause
//! How often the pacer looks, and what share clearing has.

/// How a pacer works. Start with [`PacerOptions::new`] and change what differs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "each method returns the options changed"]
pub struct PacerOptions {
    pub(super) period_us: u32,
    pub(super) priority: u8,
    pub(super) clearing_priority: u8,
    pub(super) ticks_on: u32,
    pub(super) ticks_off: u32,
}

impl PacerOptions {
    /// A tick every 500 µs; the pacing thread has the priority 255, the clearing thread 254; it may
    /// run in every second tick. Who is to be paced against must have a lower priority than 255, as
    /// the first thread has at the start.
    pub const fn new() -> PacerOptions {
        PacerOptions {
            period_us: 500,
            priority: 255,
            clearing_priority: 254,
            ticks_on: 1,
            ticks_off: 1,
        }
    }

    /// Microseconds between two ticks: 100 to 54,925, which is as slow as the timer is.
    pub const fn period_us(self, period_us: u32) -> Self {
        PacerOptions { period_us, ..self }
    }

    /// Lets the clearing thread run for `on` ticks, and then not for `off`: 0 lets it run always,
    /// in which case it is only its priority that it gives way to.
    pub const fn share(self, on: u32, off: u32) -> Self {
        PacerOptions { ticks_on: on, ticks_off: off, ..self }
    }

    /// The priority of the clearing thread: that of those with whom it is to share, or below all
    /// for memory that is cleared when nobody else runs.
    pub const fn clearing_priority(self, priority: u8) -> Self {
        PacerOptions { clearing_priority: priority, ..self }
    }

    /// The priority of the pacing thread: the highest of all.
    pub const fn priority(self, priority: u8) -> Self {
        PacerOptions { priority, ..self }
    }
}

impl Default for PacerOptions {
    fn default() -> Self {
        PacerOptions::new()
    }
}
