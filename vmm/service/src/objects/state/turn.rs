// SPDX-License-Identifier: BSD-2-Clause
//! What the service did for one program since the others had their turn: pure arithmetic of times.
//!
//! ```text
//!   answer     message      answer     message              answer
//!   ──┴── own ────┴─ served ───┴── own ───┴──── served ────────┴──
//!         time until the next message     above a slice: kept until the others had a turn
//! ```
//!
//! The kernel charges the server's time to nobody, and puts whoever is answered before all others
//! of its priority. So what the service does for a program counts as if it did that itself.
//!
//! A program's own time is counted by the kernel, which gives the others their turn after a slice
//! of it. But a program that has both, a slice of the service's and one of its own, would keep the
//! others from the processor for two. So its own time counts here too, until the kernel ends its
//! slice. What is seen of it is the time until its next message, in which it may have slept: of
//! that no more is counted than [`MAX_OWN`] times what the message took.
//!
//! Where the kernel's slices end beside the service's turns, one of two programs that flood can
//! have a turn for each turn of the other, and lose part of every second. So all that each had is
//! counted, too ([`Shares`]): whoever is ahead of another that was held of late waits for a second
//! turn of the others, once.

use core::cell::Cell;

/// The most of the time until a message that counts, in times of what the message took.
const MAX_OWN: u64 = 16;
/// How far one may be ahead of another, in parts of a slice.
const AHEAD: u64 = 4;

/// What all programs had of the processor, as far as the service sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Shares(u64);

/// A program's turn. Times are ticks of the time-stamp counter.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Turn {
    /// What the service did.
    served: u64,
    /// What the program did between.
    own: u64,
    /// When it was answered last.
    answered: u64,
    /// What all had when it was answered last.
    others: u64,
    /// What it had since it began: its own time, as long as no other had it, and the service's.
    had: u64,
    /// When it was held last, if it ever was.
    held: Option<u64>,
    /// Whether it waited for a second turn of the others because it was ahead.
    waited: bool,
}

impl Turn {
    /// Counts a message that was received at `received` and served at `done`. `all` is what all
    /// programs had.
    pub fn serve(&mut self, (received, done): (u64, u64), slice: u64, all: &mut Shares) {
        let (away, served) =
            (received.saturating_sub(self.answered), done.saturating_sub(received));
        self.count(away, served, slice, all);
        if away >= slice - slice / 4 {
            // The others had their turn: the kernel ended the program's slice.
            self.own = 0;
        } else {
            self.own = self.own.saturating_add(away.min(served.saturating_mul(MAX_OWN)));
        }
        self.served = self.served.saturating_add(served);
        self.answered = done;
    }

    /// Counts what it had. Of the time until its message that is its own which no other had; where
    /// that is a slice, it has slept, or others compute.
    fn count(&mut self, away: u64, served: u64, slice: u64, all: &mut Shares) {
        let own = away.saturating_sub(all.0.saturating_sub(self.others));
        let had = if own < slice { own.saturating_add(served) } else { served };
        self.had = self.had.saturating_add(had);
        all.0 = all.0.saturating_add(had);
        self.others = all.0;
    }

    /// Notes that it is held from now on.
    pub fn hold(&mut self, now: u64) {
        self.held = Some(now);
    }

    /// What it had since it began, if it was held since `time`.
    pub fn had_if_held_since(&self, time: u64) -> Option<u64> {
        self.held.filter(|held| *held >= time).map(|_| self.had)
    }

    /// Whether it is to wait for a second turn of the others, as it is ahead of another that was
    /// held of late and had `least`. It never does so twice for one turn of its own.
    pub fn waits_again(&mut self, least: u64, slice: u64) -> bool {
        self.waited = !self.waited && self.had.saturating_sub(least) > slice / AHEAD;
        self.waited
    }

    /// Another was ahead of it with `had`, and waits for it: what it has not used by then is lost.
    pub fn catch_up(&mut self, had: u64, slice: u64) {
        self.had = self.had.max(had.saturating_sub(slice / AHEAD));
    }

    /// What it had since it began.
    pub fn had(&self) -> u64 {
        self.had
    }

    /// Counts work that nobody waits for.
    pub fn work(&mut self, begun: u64, done: u64) {
        self.served = self.served.saturating_add(done.saturating_sub(begun));
    }

    /// Goes on where another turn ends, or with this, whichever is longer.
    pub fn take_over(&mut self, other: Turn) {
        let both = [*self, other].map(|turn| turn.served.saturating_add(turn.own));
        (self.served, self.own) = (both[0].max(both[1]), 0);
    }

    /// Whether the others are to have a turn before it goes on.
    pub fn is_over(&self, slice: u64) -> bool {
        self.served.saturating_add(self.own) >= slice
    }

    /// The others had a turn, and it goes on now, unless it is over still: what took several slices
    /// waits for as many turns.
    pub fn came_round(&mut self, now: u64, slice: u64, all: Shares) {
        self.served = self.served.saturating_add(self.own).saturating_sub(slice);
        self.own = 0;
        self.answered = now;
        self.others = all.0;
    }
}

/// The others had a turn since `own` was held. Returns whether it waits on: as it took several slices,
/// or is ahead of one of `others` that was held of late, within two turns of all `programs` of the
/// priority. Then those have a turn more.
pub(crate) fn come_round<'t, I: Iterator<Item = &'t Cell<Turn>>>(
    own: &Cell<Turn>,
    others: impl Fn() -> I,
    programs: usize,
    (now, slice): (u64, u64),
    all: Shares,
) -> bool {
    let mut turn = own.get();
    turn.came_round(now, slice, all);
    if turn.is_over(slice) {
        own.set(turn);
        return true;
    }
    let since = now.saturating_sub(slice.saturating_mul(2 * programs as u64));
    let of_late = || others().filter_map(|it| Some((it, it.get().had_if_held_since(since)?)));
    let least = of_late().map(|(_, had)| had).min();
    let again = turn.waits_again(least.unwrap_or(turn.had()), slice);
    own.set(turn);
    if again {
        for (other, _) in of_late() {
            let mut behind = other.get();
            behind.catch_up(turn.had(), slice);
            other.set(behind);
        }
    }
    again
}

#[cfg(test)]
mod tests;
