// SPDX-License-Identifier: BSD-2-Clause
//! Random requests against a list of what is live.
//!
//! After each request: what is live is in the slots it should be in and is the right kind of
//! object, no two live things share memory or slots, and memory and slots add up.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use proptest::collection::vec;
use proptest::prelude::*;

use untyped_alloc::{
    AllocatedFrames, Blame, Blueprint, CPtr, Error, Frames, Mobility, Object, Objects,
};
use vmm_tests::model::Arena;

use super::bench::{Bench, FRAME};
use crate::small_scope::every_sequence;
use crate::support::{Machine, PAGE, Target, explore_with, on_both};

on_both!(
    nothing_is_lost_or_given_twice,
    nor_is_it_when_everything_is_short,
    nor_by_any_short_sequence,
);

#[derive(Clone, Debug)]
enum Request {
    Allocate(u8),
    Many {
        kind: u8,
        count: usize,
    },
    At {
        page: u8,
        count_bits: u8,
        device: bool,
    },
    Frames {
        want: usize,
        movable: bool,
    },
    Table,
    Slots {
        count: usize,
    },
    Give {
        which: u8,
        part: u8,
    },
    GiveAgain {
        which: u8,
    },
    Trim,
    /// Memory for a block of so many bits is cleared, in words.
    Clear {
        bits: u8,
    },
}

fn request() -> impl Strategy<Value = Request> {
    let count = || prop_oneof![6 => 1..9usize, 2 => 9..70usize, 1 => Just(256usize)];
    prop_oneof![
        6 => any::<u8>().prop_map(Request::Allocate),
        3 => (any::<u8>(), count()).prop_map(|(kind, count)| Request::Many { kind, count }),
        2 => (0..64u8, 0..4u8, any::<bool>())
            .prop_map(|(page, count_bits, device)| Request::At { page, count_bits, device }),
        5 => (count(), any::<bool>())
            .prop_map(|(want, movable)| Request::Frames { want, movable }),
        2 => Just(Request::Table),
        3 => count().prop_map(|count| Request::Slots { count }),
        14 => (any::<u8>(), any::<u8>()).prop_map(|(which, part)| Request::Give { which, part }),
        1 => any::<u8>().prop_map(|which| Request::GiveAgain { which }),
        1 => Just(Request::Trim),
        1 => (8..23u8).prop_map(|bits| Request::Clear { bits }),
    ]
}

/// Something that was handed out.
#[derive(Clone, Debug)]
enum Live {
    One(Object, Blueprint),
    /// With those of them that were freed singly.
    Many(Objects, Blueprint, Vec<usize>),
    Frames(Frames),
    Table(CPtr),
    Slots(CPtr, usize),
}

struct Run<'a> {
    bench: Bench<'a>,
    live: Vec<Live>,
    dead: Vec<Live>,
}

const KINDS: [Blueprint; 7] = [
    Blueprint::Endpoint,
    Blueprint::Tcb,
    Blueprint::Notification,
    Blueprint::CNode { radix_bits: 4 },
    Blueprint::Untyped { size_bits: 11 },
    FRAME,
    Blueprint::Table { level: 0 },
];

impl Live {
    /// Slots, each with what it should hold; `None` for an empty one.
    fn slots(&self) -> Vec<(CPtr, Option<Blueprint>)> {
        match self {
            Live::One(object, kind) => vec![(object.slot(), Some(*kind))],
            Live::Many(many, kind, freed) => (0..many.len())
                .map(|n| (many.first_slot().offset(n), (!freed.contains(&n)).then_some(*kind)))
                .collect(),
            Live::Frames(run) => {
                (0..run.count).map(|n| (run.first.offset(n), Some(FRAME))).collect()
            }
            Live::Table(slot) => vec![(*slot, Some(Blueprint::Table { level: 1 }))],
            Live::Slots(first, count) => (0..*count).map(|n| (first.offset(n), None)).collect(),
        }
    }
}

impl Run<'_> {
    /// A number that stands for the state, but for serial numbers, which only grow.
    fn fingerprint(&self) -> u64 {
        let mut hash = DefaultHasher::new();
        let (alloc, mut text) = (&self.bench.alloc, String::new());
        alloc.dump_untypeds(&mut text).expect("a string takes it");
        alloc.dump_slots(&mut text).expect("a string takes it");
        (text, self.bench.kernel.fingerprint()).hash(&mut hash);
        for list in [&self.live, &self.dead] {
            list.iter().for_each(|thing| thing.slots().hash(&mut hash));
            list.len().hash(&mut hash);
        }
        hash.finish()
    }

    fn step(&mut self, request: &Request) {
        let Bench { alloc, kernel, .. } = &mut self.bench;
        let free = alloc.stats().free_bytes();
        let made = match *request {
            Request::Allocate(kind) => {
                let kind = KINDS[usize::from(kind) % KINDS.len()];
                alloc.allocate(kernel, kind).map(|object| Live::One(object, kind))
            }
            Request::Many { kind, count } => {
                let kind = KINDS[usize::from(kind) % KINDS.len()];
                alloc.allocate_many(kernel, kind, count).map(|many| Live::Many(many, kind, vec![]))
            }
            Request::At { page, count_bits, device } => {
                return self.allocate_at(page, count_bits, device);
            }
            Request::Frames { want, movable } => {
                let mobility = if movable { Mobility::Movable } else { Mobility::Fixed };
                alloc.alloc_frames(kernel, 12, want, mobility).map(|taken| {
                    let run = match taken {
                        AllocatedFrames::Zeroed(clean) => clean.frames(),
                        AllocatedFrames::Dirty(dirty) => dirty.frames(),
                    };
                    assert!((1..=want).contains(&run.count));
                    Live::Frames(run)
                })
            }
            Request::Table => alloc.alloc_table(kernel, 1).map(Live::Table),
            Request::Slots { count } => {
                alloc.alloc_slots(kernel, count).map(|first| Live::Slots(first, count))
            }
            Request::Give { which, part } => return self.give(which, part),
            Request::GiveAgain { which } => return self.give_again(which),
            Request::Clear { bits } => return self.clear(bits),
            Request::Trim => return alloc.trim(kernel).expect("trimming"),
        };
        match made {
            Ok(live) => self.live.push(live),
            Err(error) => {
                assert_eq!(error.blame(), Blame::Resource, "{error:?}");
                // Of another size it is memory for a CNode that is out.
                let frames = matches!(request, Request::Frames { .. });
                if frames && matches!(error, Error::OutOfMemory { size_bits: 12, .. }) {
                    assert!(free < 1 << 17, "no frame with {free} bytes free");
                }
            }
        }
    }

    /// A123: so much is cleared as was foretold, and a block that large can be had then.
    fn clear(&mut self, bits: u8) {
        let Bench { alloc, kernel, machine } = &mut self.bench;
        let foretold = alloc.next_clearing(bits).unwrap_or(0);
        let (before, counted) = (kernel.bytes_cleared(), alloc.stats().cleared_bytes);
        kernel.bound_calls(None);
        match alloc.clear(kernel, bits) {
            Ok(bytes) => {
                assert_eq!(bytes, foretold);
                assert!(bytes == 0 || bytes >= 1 << bits);
                let cleared = kernel.bytes_cleared() - before;
                assert!(cleared <= bytes as u64, "{cleared} were cleared of {bytes}");
                assert_eq!(alloc.stats().cleared_bytes - counted, bytes as u64);
                let clean = alloc.stats().clean_bytes;
                assert!(clean >= bytes, "{bytes} bytes cleared, {clean} are clean");
            }
            Err(error) => assert_eq!(error.blame(), Blame::Resource, "{error:?}"),
        }
        kernel.bound_calls(machine.bound());
    }

    fn allocate_at(&mut self, page: u8, count_bits: u8, device: bool) {
        let count = 1 << count_bits;
        let (base, pages) = match device {
            true => (self.bench.machine.device(), 16),
            false => (self.bench.machine.config.ram[0].0, 64),
        };
        let paddr = base + ((usize::from(page) % pages) & !(count - 1)) * PAGE;
        let range = paddr..paddr + count * PAGE;
        let used = self.memory();
        let taken = used.range(..range.end).next_back().is_some_and(|(_, &end)| end > range.start);
        let Bench { alloc, kernel, .. } = &mut self.bench;
        match alloc.allocate_at(kernel, FRAME, paddr, count) {
            Ok(frames) => {
                assert!(!taken, "{range:x?} is in use");
                assert_eq!(self.bench.memory(frames.first_slot()).0, paddr);
                self.live.push(Live::Many(frames, FRAME, vec![]));
            }
            Err(Error::AddressInUse(_)) => {}
            Err(error) => assert_eq!(error.blame(), Blame::Resource, "{error:?}"),
        }
    }

    /// Gives one of the live things back, or part of it.
    fn give(&mut self, which: u8, part: u8) {
        if self.live.is_empty() {
            return;
        }
        let live = self.live.swap_remove(usize::from(which) % self.live.len());
        let Bench { alloc, kernel, .. } = &mut self.bench;
        let part = usize::from(part);
        match live.clone() {
            Live::One(object, _) => alloc.free(kernel, object).expect("it is live"),
            Live::Many(many, kind, mut freed) if part % 2 == 0 && many.len() > freed.len() + 1 => {
                let index = part % many.len();
                let one = many.get(index).expect("one of them");
                match alloc.free(kernel, one) {
                    Ok(()) => freed.push(index),
                    Err(error) => {
                        assert!(freed.contains(&index), "{error:?}");
                        assert_eq!(error, Error::Stale(one.slot()));
                    }
                }
                return self.live.push(Live::Many(many, kind, freed));
            }
            Live::Many(many, ..) => alloc.free_many(kernel, many).expect("they are live"),
            Live::Frames(run) if part % 2 == 0 && run.count > 1 => {
                let cut = 1 + part % (run.count - 1);
                alloc.free_frames(Frames { count: cut, ..run }).expect("they are live");
                let (first, count) = (run.first.offset(cut), run.count - cut);
                return self.live.push(Live::Frames(Frames { first, count, ..run }));
            }
            Live::Frames(run) => alloc.free_frames(run).expect("they are live"),
            Live::Table(table) => alloc.free_table(table, 1).expect("it is live"),
            Live::Slots(first, count) => alloc.free_slots(first, count).expect("they are taken"),
        }
        self.dead.push(live);
    }

    /// What was given back cannot be given back again, unless it was handed out again since.
    fn give_again(&mut self, which: u8) {
        if self.dead.is_empty() {
            return;
        }
        let dead = self.dead[usize::from(which) % self.dead.len()].clone();
        let live: Vec<CPtr> =
            self.live.iter().flat_map(Live::slots).map(|(slot, _)| slot).collect();
        if dead.slots().iter().any(|(slot, _)| live.contains(slot)) {
            return;
        }
        let Bench { alloc, kernel, .. } = &mut self.bench;
        let answer = match dead {
            Live::One(object, _) => alloc.free(kernel, object),
            Live::Many(many, ..) => alloc.free_many(kernel, many),
            Live::Frames(run) => alloc.free_frames(run),
            Live::Table(table) => alloc.free_table(table, 1),
            Live::Slots(first, count) => alloc.free_slots(first, count),
        };
        let error = answer.expect_err("it was given back before");
        assert!(matches!(error, Error::Stale(_) | Error::NotAllocated(_)), "{error:?}");
    }

    /// Physical memory of all that is live: where each piece begins and ends.
    fn memory(&self) -> BTreeMap<usize, usize> {
        let slots = self.live.iter().flat_map(Live::slots);
        let held = slots.filter(|(_, kind)| kind.is_some());
        held.map(|(slot, _)| self.bench.memory(slot)).map(|(at, bytes)| (at, at + bytes)).collect()
    }

    fn check(&self) {
        self.bench.check();
        let mut slots: Vec<CPtr> = Vec::new();
        for (slot, kind) in self.live.iter().flat_map(Live::slots) {
            match kind {
                Some(kind) => assert!(self.bench.holds(slot, kind), "{slot:?} is no {kind:?}"),
                None => assert!(self.bench.kernel.is_empty_slot(slot), "{slot:?} is not empty"),
            }
            slots.push(slot);
        }
        let count = slots.len();
        slots.sort();
        slots.dedup();
        assert_eq!(slots.len(), count, "a slot was handed out twice");
        let memory = self.memory();
        let mut end = 0;
        for (&at, &to) in &memory {
            assert!(at >= end, "{at:#x} was handed out twice");
            end = to;
        }
        let ram = self.bench.machine.config.ram.iter();
        let is_ram =
            |at: usize| ram.clone().any(|&(base, bits)| (base..base + (1 << bits)).contains(&at));
        let used: usize =
            memory.iter().filter(|&(&at, _)| is_ram(at)).map(|(at, to)| to - at).sum();
        let stats = self.bench.alloc.stats();
        assert!(stats.free_bytes() + used <= stats.total_bytes, "more is free than there is");
    }
}

/// Returns a number that stands for the state after the last request.
fn run(machine: &Machine, requests: &[Request]) -> u64 {
    let arena = Arena::new();
    let mut bench = Bench::boot(&arena, machine.clone());
    let slot = bench.alloc.alloc_slots(&mut bench.kernel, 1).expect("a slot");
    bench.alloc.free_slots(slot, 1).expect("taken");
    let before = bench.alloc.stats();
    let mut run = Run { bench, live: Vec::new(), dead: Vec::new() };
    for request in requests {
        run.step(request);
        run.check();
    }
    let state = run.fingerprint();
    while !run.live.is_empty() {
        run.give(0, 1);
    }
    let Bench { alloc, kernel, .. } = &mut run.bench;
    alloc.trim(kernel).expect("trimming");
    run.bench.check();
    let after = run.bench.alloc.stats();
    if run.bench.alloc.grown_root().is_none() {
        let all_whole = machine.most_cleared == usize::MAX;
        if all_whole {
            assert_eq!(after.free_by_size, before.free_by_size, "all blocks are whole again");
            assert_eq!(after.free_slots, before.free_slots, "all slots are free again");
        }
        assert_eq!(after.free_bytes(), before.free_bytes(), "all memory is free again");
        assert_eq!(after.live, before.live);
    }
    state
}

fn explore(machine: &Machine, most: usize) {
    // A120: the model kernel panics at a call that clears more than it may.
    for machine in [machine.clone(), machine.clone().clearing(1 << 16)] {
        explore_with(vec(request(), 1..most), 125, |requests| {
            run(&machine, &requests);
        });
    }
}

/// Small scope, all of it, over 11 pages and a device of 16.
fn nor_by_any_short_sequence(target: Target) {
    let machine =
        Machine::with_ram(target, vec![(0x100_0000, 15), (0x70_0000, 13), (0x60_0000, 12)]);
    let alphabet = [
        Request::Allocate(0),
        Request::Allocate(1),
        Request::Allocate(5),
        Request::Many { kind: 1, count: 3 },
        Request::Many { kind: 5, count: 3 },
        Request::At { page: 2, count_bits: 1, device: false },
        Request::At { page: 3, count_bits: 0, device: true },
        Request::Frames { want: 1, movable: false },
        Request::Frames { want: 5, movable: true },
        Request::Table,
        Request::Slots { count: 3 },
        Request::Give { which: 0, part: 1 },
        Request::Give { which: 1, part: 2 },
        Request::GiveAgain { which: 0 },
        Request::Trim,
    ];
    let machine = machine.small_image();
    every_sequence(&format!("allocator, {target:?}"), &alphabet, |requests| {
        run(&machine, requests)
    });
}

/// A25, A27, I10, I11, I12, I13.
fn nothing_is_lost_or_given_twice(target: Target) {
    let ram = vec![(0x100_0000, 22), (0x80_0000, 18), (0x70_1000, 12)];
    explore(&Machine::with_ram(target, ram).slots(13), 60);
}

/// A25, I10, I11, I12, I13.
fn nor_is_it_when_everything_is_short(target: Target) {
    let ram = vec![(0x100_0000, 18), (0x80_0000, 15), (0x70_1000, 12)];
    explore(&Machine::with_ram(target, ram).slots(9), 60);
}
