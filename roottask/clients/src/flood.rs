// SPDX-License-Identifier: BSD-2-Clause
//! What a root task and a program agree on that floods the service, or computes beside one that
//! does.

/// A gap below this many ticks is a round of the program's own loop.
pub const OWN_GAP: u64 = 1 << 10;

/// The priority of programs and threads that count for ever: that of all programs beside them.
pub const COUNTER_PRIORITY: u8 = 100;

/// Milliseconds of a sleep that is measured.
pub const NAP_MS: u32 = 5;

/// What a program does again and again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Flood {
    /// Nothing that is anybody's business.
    Compute,
    /// Requests that do nothing.
    Null,
    /// A page mapped and unmapped.
    Map,
    /// Touches of pages that are not there yet.
    Faults,
    /// As many pages as it may have, mapped at once.
    Large,
    /// Lines for people.
    Lines,
    /// Faults that there were not.
    Forged,
    /// Such, without waiting for an answer.
    ForgedSent,
    /// Requests, without waiting for an answer.
    Sent,
    /// Messages by a capability that is not for messages, without waiting for an answer.
    Stray,
    /// All pages that it may have, mapped; then it ends.
    End,
    /// Threads that end at once.
    Spawn,
    /// Programs that are started and ended.
    Start,
    /// Many pages given other rights, and cloned.
    Clone,
    /// Nothing for most of a time slice, then requests that do nothing for almost one.
    Think,
    /// Faults of a thread that waits for a page, without waiting for an answer.
    ForgedWaiting,
    /// A thread suspended and resumed.
    Suspend,
    /// The registers of a thread read and written.
    Registers,
    /// A notification bound to a thread, and unbound.
    Bind,
    /// Pages supplied as their pager, touched, and taken back.
    Pages,
    /// Sleeps of a millisecond, of several threads.
    Sleep,
    /// Sleeps that are measured.
    Nap,
    /// Limits set for how long another waits for pages.
    Limit,
    /// A large page mapped and ended.
    Bulk,
}

impl Flood {
    /// All of them, by their numbers.
    pub const ALL: [Flood; 24] = [
        Flood::Compute,
        Flood::Null,
        Flood::Map,
        Flood::Faults,
        Flood::Large,
        Flood::Lines,
        Flood::Forged,
        Flood::ForgedSent,
        Flood::Sent,
        Flood::Stray,
        Flood::End,
        Flood::Spawn,
        Flood::Start,
        Flood::Clone,
        Flood::Think,
        Flood::ForgedWaiting,
        Flood::Suspend,
        Flood::Registers,
        Flood::Bind,
        Flood::Pages,
        Flood::Sleep,
        Flood::Nap,
        Flood::Limit,
        Flood::Bulk,
    ];

    /// The argument of a program that does it for as many millions of ticks; 0: for ever.
    pub const fn argument(self, millions: usize) -> usize {
        self as usize | millions << 8
    }

    /// What one that naps exits with where no sleep was too long: one more for each 1024 ticks.
    pub const MIN_NAP: u32 = 1 << 16;

    /// What an argument says: what to do, and for how many ticks.
    pub fn of(argument: usize) -> (Flood, u64) {
        let flood = Flood::ALL.get(argument & 0xff).copied().unwrap_or(Flood::Compute);
        (flood, (argument >> 8) as u64 * 1_000_000)
    }

    /// What one that computes exits with: it had `own` ticks of `all`, and waited for `longest` at
    /// the most.
    pub fn watch(own: u64, all: u64, longest: u64) -> u32 {
        let share = (own * 1000 / all.max(1)) as u32;
        share | ((longest >> 10).min((1 << 22) - 1) as u32) << 10
    }

    /// The thousandths that it had, and the longest that it waited.
    pub fn watched(code: u32) -> (u32, u64) {
        (code & 0x3ff, u64::from(code >> 10) << 10)
    }
}
