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

/// The most of the time until a message that counts, in times of what the message took.
const MAX_OWN: u64 = 16;

/// A program's turn. Times are ticks of the time-stamp counter.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Turn {
    /// What the service did.
    served: u64,
    /// What the program did between.
    own: u64,
    /// When it was answered last.
    answered: u64,
}

impl Turn {
    /// Counts a message that was received at `received` and served at `done`.
    pub fn serve(&mut self, received: u64, done: u64, slice: u64) {
        let (away, served) =
            (received.saturating_sub(self.answered), done.saturating_sub(received));
        if away >= slice - slice / 4 {
            // The others had their turn: the kernel ended the program's slice.
            self.own = 0;
        } else {
            self.own = self.own.saturating_add(away.min(served.saturating_mul(MAX_OWN)));
        }
        self.served = self.served.saturating_add(served);
        self.answered = done;
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
    pub fn came_round(&mut self, now: u64, slice: u64) {
        self.served = self.served.saturating_add(self.own).saturating_sub(slice);
        self.own = 0;
        self.answered = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLICE: u64 = 1000;

    /// Messages of which each takes `served` after `own`; how many until the turn is over, and
    /// when.
    fn flood(turn: &mut Turn, mut now: u64, (own, served): (u64, u64)) -> (u64, u64) {
        for messages in 1..10_000 {
            turn.serve(now + own, now + own + served, SLICE);
            now += own + served;
            if turn.is_over(SLICE) {
                return (messages, now);
            }
        }
        panic!("it never ends");
    }

    /// A186: whatever its share of both, it has a slice of its own and the service's time together.
    #[test]
    fn a_turn_is_a_slice_of_both_times() {
        for (own, served) in [(0, 10), (5, 5), (9, 1), (40, 10), (1, 99)] {
            let mut turn = Turn::default();
            let mut now = 0;
            for _ in 0..20 {
                let (_, end) = flood(&mut turn, now, (own, served));
                assert!(end - now >= SLICE - own - served, "{own} and {served}: {}", end - now);
                assert!(end - now < SLICE + own + served, "{own} and {served}: {}", end - now);
                now = end + 3000;
                turn.came_round(now, SLICE);
                assert!(!turn.is_over(SLICE));
            }
        }
    }

    /// A186: whoever sleeps between two messages is not charged with its sleep.
    #[test]
    fn sleep_is_not_counted() {
        let mut turn = Turn::default();
        let (messages, _) = flood(&mut turn, 0, (700, 1));
        assert_eq!(messages, SLICE.div_ceil(1 + MAX_OWN));
    }

    /// A186: when the others had their turn by the kernel, its own time begins anew; what the
    /// service did does not.
    #[test]
    fn the_kernels_turn_ends_own_time_only() {
        let mut turn = Turn::default();
        turn.serve(400, 500, SLICE);
        turn.serve(500 + 2 * SLICE, 600 + 2 * SLICE, SLICE);
        assert_eq!((turn.served, turn.own), (200, 0));
        let mut served = 0;
        for nth in 1..=8 {
            let at = nth * 5 * SLICE;
            turn.serve(at, at + 100, SLICE);
            served += 1;
        }
        assert!(turn.is_over(SLICE) && served == 8);
    }

    /// A186: a message that takes several slices waits for as many turns of the others.
    #[test]
    fn what_took_long_waits_long() {
        let mut turn = Turn::default();
        turn.serve(0, 3 * SLICE + 10, SLICE);
        let mut turns = 0;
        while turn.is_over(SLICE) {
            turns += 1;
            turn.came_round(10 * SLICE * turns, SLICE);
        }
        assert_eq!(turns, 3);
    }

    /// A186: a counter that goes back, or no slice at all, stops nobody for ever.
    #[test]
    fn odd_times_are_harmless() {
        let mut turn = Turn::default();
        turn.serve(500, 400, SLICE);
        turn.serve(100, u64::MAX, SLICE);
        turn.serve(u64::MAX, u64::MAX, u64::MAX);
        assert!(turn.is_over(SLICE));
        turn.came_round(u64::MAX, u64::MAX);
        assert!(!turn.is_over(SLICE));
    }
}
