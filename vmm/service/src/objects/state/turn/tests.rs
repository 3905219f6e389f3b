// SPDX-License-Identifier: BSD-2-Clause
use super::*;

mod scheduler;

const SLICE: u64 = 1000;

/// Messages of which each takes `served` after `own`; how many until the turn is over, and when.
fn flood(turn: &mut Turn, mut now: u64, (own, served): (u64, u64)) -> (u64, u64) {
    for messages in 1..10_000 {
        turn.serve((now + own, now + own + served), SLICE, &mut Shares::default());
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
            turn.came_round(now, SLICE, Shares::default());
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

/// A186: when the others had their turn by the kernel, its own time begins anew; what the service
/// did does not.
#[test]
fn the_kernels_turn_ends_own_time_only() {
    let (mut turn, mut all) = (Turn::default(), Shares::default());
    turn.serve((400, 500), SLICE, &mut all);
    turn.serve((500 + 2 * SLICE, 600 + 2 * SLICE), SLICE, &mut all);
    assert_eq!((turn.served, turn.own), (200, 0));
    let mut served = 0;
    for nth in 1..=8 {
        let at = nth * 5 * SLICE;
        turn.serve((at, at + 100), SLICE, &mut all);
        served += 1;
    }
    assert!(turn.is_over(SLICE) && served == 8);
}

/// A186: a message that takes several slices waits for as many turns of the others.
#[test]
fn what_took_long_waits_long() {
    let mut turn = Turn::default();
    turn.serve((0, 3 * SLICE + 10), SLICE, &mut Shares::default());
    let mut turns = 0;
    while turn.is_over(SLICE) {
        turns += 1;
        turn.came_round(10 * SLICE * turns, SLICE, Shares::default());
    }
    assert_eq!(turns, 3);
}

/// A186: a counter that goes back, or no slice at all, stops nobody for ever.
#[test]
fn odd_times_are_harmless() {
    let (mut turn, mut all) = (Turn::default(), Shares::default());
    turn.serve((500, 400), SLICE, &mut all);
    turn.serve((100, u64::MAX), SLICE, &mut all);
    turn.serve((u64::MAX, u64::MAX), u64::MAX, &mut all);
    assert!(turn.is_over(SLICE));
    turn.came_round(u64::MAX, u64::MAX, all);
    assert!(!turn.is_over(SLICE));
    assert!(!(turn.waits_again(0, 0) && turn.waits_again(0, 0)));
}

/// A188: it waits for a second turn once, and only where it is ahead; whom it waits for has the
/// rest of its turn then, or has lost it.
#[test]
fn whoever_is_ahead_waits_once() {
    let mut all = Shares::default();
    let (mut ahead, mut behind) = (Turn::default(), Turn::default());
    ahead.serve((0, SLICE), SLICE, &mut all);
    behind.serve((SLICE, SLICE + 600), SLICE, &mut all);
    assert_eq!((ahead.had(), behind.had()), (1000, 600));
    assert_eq!(behind.had_if_held_since(0), None);
    behind.hold(SLICE + 600);
    assert_eq!(behind.had_if_held_since(SLICE + 600), Some(600));
    assert_eq!(behind.had_if_held_since(SLICE + 601), None);
    assert!(!behind.waits_again(ahead.had(), SLICE));
    assert!(ahead.waits_again(behind.had(), SLICE));
    assert!(!ahead.waits_again(behind.had(), SLICE));
    behind.catch_up(ahead.had(), SLICE);
    assert!(!ahead.waits_again(behind.had(), SLICE));
}

/// A188: of the time between two messages none counts that others had, nor what is a slice.
#[test]
fn what_it_had_is_its_own_time_and_the_services() {
    let mut all = Shares::default();
    let (mut one, mut other) = (Turn::default(), Turn::default());
    one.serve((0, 100), SLICE, &mut all);
    other.serve((100, 400), SLICE, &mut all);
    one.serve((450, 500), SLICE, &mut all);
    assert_eq!((one.had(), other.had()), (100 + 50 + 50, 300));
    one.serve((500 + SLICE, 510 + SLICE), SLICE, &mut all);
    assert_eq!(one.had(), 210);
}
