// SPDX-License-Identifier: BSD-2-Clause
//! A kernel's scheduler as seL4's is, and programs of one priority that are hostile by when they
//! send: what each of them gets.

use std::collections::VecDeque;
use std::vec::Vec;

use super::*;

/// A slice has so many ticks of the kernel's timer, which charges each to whoever runs then.
const TICKS: u64 = 5;
const TICK: u64 = SLICE / TICKS;

/// What a program does.
#[derive(Clone, Copy, Debug)]
enum Does {
    Compute,
    /// Messages that take `1` each, after `0` of its own.
    Flood(u64, u64),
    /// Computes for `0`, then floods with `1` messages of 7 and 6.
    Think(u64, u32),
    /// Floods with `0` messages of 7 and 6, then sleeps for `1`.
    Sleep(u32, u64),
}

struct Program {
    does: Does,
    turn: Cell<Turn>,
    messages: u32,
    /// What is left of the time until its next message.
    left: Option<u64>,
    /// Ticks until the kernel ends its slice.
    ticks: u64,
    got: u64,
    /// When it ran last, and the longest that it was ready or held without running.
    ran: u64,
    gap: u64,
}

impl Program {
    /// The time until its next message, what that takes, and how long it sleeps then.
    fn next(&self) -> (u64, u64, u64) {
        match self.does {
            Does::Compute => (u64::MAX / 2, 0, 0),
            Does::Flood(own, served) => (own, served, 0),
            Does::Think(time, count) if self.messages % count == 0 => (time, 1, 0),
            Does::Sleep(count, time) if self.messages % count == count - 1 => (7, 6, time),
            _ => (7, 6, 0),
        }
    }
}

/// Who is ready: a program, or the turnstile of one that is held, new or at the queue's tail.
#[derive(Clone, Copy)]
enum Ready {
    Program(usize),
    Turnstile(usize, bool),
}

struct Machine {
    now: u64,
    next_tick: u64,
    programs: Vec<Program>,
    ready: VecDeque<Ready>,
    asleep: Vec<(u64, usize)>,
    all: Shares,
}

impl Machine {
    fn new(phase: u64, does: &[Does]) -> Machine {
        let program = |&does| Program {
            does,
            turn: Cell::default(),
            messages: 0,
            left: None,
            ticks: TICKS,
            got: 0,
            ran: 0,
            gap: 0,
        };
        Machine {
            now: 0,
            next_tick: phase,
            programs: does.iter().map(program).collect(),
            ready: (0..does.len()).map(Ready::Program).collect(),
            asleep: Vec::new(),
            all: Shares::default(),
        }
    }

    /// A program has `time`, or less: returns what is left when the kernel ends its slice.
    fn run(&mut self, who: usize, time: u64) -> Option<u64> {
        let end = self.now.saturating_add(time);
        let program = &mut self.programs[who];
        while self.next_tick <= end {
            program.got += self.next_tick - self.now;
            self.now = self.next_tick;
            self.next_tick += TICK;
            program.ticks -= 1;
            if program.ticks == 0 {
                program.ticks = TICKS;
                return Some(end - self.now);
            }
        }
        program.got += end - self.now;
        self.now = end;
        None
    }

    /// Time that is charged to no program of the kernel's.
    fn pass(&mut self, time: u64) {
        self.now += time;
        while self.next_tick <= self.now {
            self.next_tick += TICK;
        }
    }

    /// Whether one that is held waits on when the others had their turn.
    fn waits_still(&self, who: usize) -> bool {
        let beside = || {
            let others = self.programs.iter().enumerate().filter(|(other, _)| *other != who);
            others.map(|(_, program)| &program.turn)
        };
        let count = self.programs.len();
        come_round(&self.programs[who].turn, beside, count, (self.now, SLICE), self.all)
    }

    fn step(&mut self) {
        while let Some(at) = self.asleep.iter().position(|(until, _)| *until <= self.now) {
            let (_, who) = self.asleep.swap_remove(at);
            self.programs[who].ran = self.now;
            // Who is answered comes before all others.
            self.ready.push_front(Ready::Program(who));
        }
        let wakes = self.asleep.iter().map(|(until, _)| *until).min();
        let who = match self.ready.pop_front() {
            None => return self.pass(wakes.expect("somebody is there") - self.now),
            Some(Ready::Turnstile(who, true)) => {
                return self.ready.push_back(Ready::Turnstile(who, false));
            }
            Some(Ready::Turnstile(who, false)) => {
                return match self.waits_still(who) {
                    true => self.ready.push_back(Ready::Turnstile(who, false)),
                    false => self.ready.push_front(Ready::Program(who)),
                };
            }
            Some(Ready::Program(who)) => who,
        };
        let program = &mut self.programs[who];
        program.gap = program.gap.max(self.now - program.ran);
        let (own, served, sleep) = program.next();
        let own = program.left.take().unwrap_or(own);
        let most = wakes.map_or(own, |wakes| own.min(wakes - self.now));
        let left = self.run(who, most);
        let program = &mut self.programs[who];
        program.ran = self.now;
        if left.is_some() || most < own {
            program.left = Some(own - most + left.unwrap_or(0));
            match left {
                Some(_) => self.ready.push_back(Ready::Program(who)),
                None => self.ready.push_front(Ready::Program(who)),
            }
            return;
        }
        let received = self.now;
        self.pass(served);
        let program = &mut self.programs[who];
        program.got += served;
        program.ran = self.now;
        program.messages += 1;
        let mut turn = program.turn.get();
        turn.serve((received, self.now), SLICE, &mut self.all);
        let over = turn.is_over(SLICE);
        if over {
            turn.hold(self.now);
        }
        program.turn.set(turn);
        if over {
            self.ready.push_front(Ready::Turnstile(who, true));
        } else if sleep != 0 {
            self.asleep.push((self.now + sleep, who));
        } else {
            self.ready.push_front(Ready::Program(who));
        }
    }
}

/// Where the kernel's first tick can be.
const PHASES: [u64; 6] = [13, 37, 80, 111, 151, 200];

/// The thousandths of the time that each has, and its longest gap, in 200 slices.
fn shares(phase: u64, does: &[Does]) -> Vec<(u64, u64)> {
    let mut machine = Machine::new(phase, does);
    while machine.now < 200 * SLICE {
        machine.step();
    }
    let programs = machine.programs.iter();
    programs.map(|program| (program.got * 1000 / machine.now, program.gap)).collect()
}

/// A188: two that flood have as much each, whatever the part of it that is the service's, and where
/// the kernel's slices end; within 60 thousandths where messages and ticks have a common measure, so
/// that the kernel charges always the same part of a message.
#[test]
fn two_that_flood_have_as_much_each() {
    let kinds =
        [(5, 5), (9, 1), (1, 9), (7, 3), (3, 7), (6, 5), (20, 3), (2, 1), (40, 10), (13, 7)];
    for (nth, &(own, served)) in kinds.iter().enumerate() {
        for &(other, its) in &kinds[nth..] {
            for phase in PHASES {
                let does = [Does::Flood(own, served), Does::Flood(other, its)];
                let shares = shares(phase, &does);
                let (one, most) = (shares[0].0, if nth == 0 && own == other { 20 } else { 75 });
                assert!(one.abs_diff(500) <= most, "{does:?}, {phase}: {shares:?}");
            }
        }
    }
}

/// A186: one that computes has its share beside those that flood, and waits for a slice of each.
#[test]
fn one_that_computes_has_its_share() {
    for (own, served) in [(5, 5), (9, 1), (1, 9), (7, 3), (20, 3), (40, 10)] {
        for phase in PHASES {
            let flood = Does::Flood(own, served);
            let two = shares(phase, &[Does::Compute, flood]);
            let three = shares(phase, &[flood, Does::Compute, flood]);
            assert!(two[0].0 >= 450, "{flood:?}, {phase}: {two:?}");
            assert!(three[1].0 >= 300, "{flood:?}, {phase}: {three:?}");
            assert!(two[0].1 <= SLICE + 50 && three[1].1 <= 2 * SLICE + 100, "{two:?} {three:?}");
        }
    }
}

/// A263: who sleeps before it floods gains nothing by that.
#[test]
fn sleeping_before_flooding_gains_nothing() {
    for time in [200, 500, 750, 900, 1500, 2500] {
        for (count, phase) in [(38, 13), (73, 37), (75, 80), (76, 200), (110, 151)] {
            for beside in [Does::Compute, Does::Flood(5, 5)] {
                let does = [Does::Sleep(count, time), beside, beside];
                let shares = shares(phase, &does);
                assert!(shares[0].0 <= 340, "{does:?}, {phase}: {shares:?}");
            }
        }
    }
}

/// A263: who computes for most of a slice before it floods has a seventh more than its part at
/// the most; one that computes waits for two slices of it, in the place of one.
#[test]
fn computing_before_flooding_gains_little() {
    for time in [300, 700, 740, 760, 800, 900, 990] {
        for (count, phase) in [(8, 13), (62, 37), (73, 80), (75, 151)] {
            for beside in [Does::Compute, Does::Flood(5, 5)] {
                let does = [Does::Think(time, count), beside, beside];
                let shares = shares(phase, &does);
                assert!(shares[0].0 <= 380, "{does:?}, {phase}: {shares:?}");
                let computes = matches!(beside, Does::Compute);
                assert!(!computes || shares[1].1.max(shares[2].1) <= 3 * SLICE, "{shares:?}");
            }
        }
    }
}
