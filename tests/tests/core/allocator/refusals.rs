// SPDX-License-Identifier: BSD-2-Clause
//! Bad input: each has an error of its own with the offending value, and changes nothing.

use untyped_alloc::{Blame, Blueprint, CPtr, Error, Mobility, NodeKind, Result, UntypedInfo};

use super::bench::{Bench, FRAME};
use crate::support::{Machine, Target, on_each};

on_each!(
    requests_that_make_no_sense,
    ids_that_are_not_ours,
    addresses_that_are_not_there,
    untypeds_that_cannot_be,
    device_memory_that_is_not_aligned_is_left_out,
    want_of_memory_says_how_much,
    want_of_slots_says_how_many,
    want_of_nodes_says_of_which,
    objects_of_before_are_not_those_that_lie_in_their_slots_now,
);

/// Expects a refusal that makes no kernel call and changes nothing.
#[track_caller]
fn refuses<T: std::fmt::Debug>(
    bench: &mut Bench<'_>,
    expected: Error,
    blame: Blame,
    request: impl FnOnce(&mut Bench<'_>) -> Result<T>,
) {
    let before = (bench.alloc.stats(), bench.alloc.bookkeeping_bytes_used());
    let calls = bench.kernel.total_calls();
    match request(bench) {
        Ok(done) => panic!("{done:?}, where {expected:?} was expected"),
        Err(error) => assert_eq!(error, expected),
    }
    assert_eq!(expected.blame(), blame);
    assert_eq!(bench.kernel.total_calls(), calls, "a refusal made calls");
    let after = (bench.alloc.stats(), bench.alloc.bookkeeping_bytes_used());
    assert_eq!(after, before, "a refusal changed something");
    bench.check();
}

/// A bench whose first slots are entered.
fn warm(machine: Machine) -> Bench<'static> {
    let mut bench = Bench::new(machine);
    bench.alloc.alloc_slots(&mut bench.kernel, 1).expect("a slot");
    bench
}

fn requests_that_make_no_sense(target: Target) {
    let mut bench = warm(Machine::small(target));
    let bench = &mut bench;
    for odd in [
        Blueprint::Frame { size_bits: 13 },
        Blueprint::Frame { size_bits: 0 },
        Blueprint::Untyped { size_bits: 3 },
        Blueprint::Untyped { size_bits: 48 },
        Blueprint::CNode { radix_bits: 0 },
        Blueprint::CNode { radix_bits: 255 },
        Blueprint::Table { level: 4 },
    ] {
        let error = Error::NoSuchObject(odd);
        refuses(bench, error, Blame::Caller, |b| b.alloc.allocate(&mut b.kernel, odd));
        refuses(bench, error, Blame::Caller, |b| b.alloc.allocate_many(&mut b.kernel, odd, 2));
    }
    let frame = Error::NoSuchObject(Blueprint::Frame { size_bits: 14 });
    refuses(bench, frame, Blame::Caller, |b| {
        b.alloc.alloc_frames(&mut b.kernel, 14, 1, Mobility::Fixed)
    });
    let zero = Error::ZeroCount;
    refuses(bench, zero, Blame::Caller, |b| b.alloc.allocate_many(&mut b.kernel, FRAME, 0));
    refuses(bench, zero, Blame::Caller, |b| {
        b.alloc.alloc_frames(&mut b.kernel, 12, 0, Mobility::Fixed)
    });
    refuses(bench, zero, Blame::Caller, |b| b.alloc.alloc_slots(&mut b.kernel, 0));
    for count in [257, usize::MAX] {
        let error = Error::TooMany { count, limit: 256 };
        refuses(bench, error, Blame::Caller, |b| {
            b.alloc.allocate_many(&mut b.kernel, FRAME, count)
        });
        refuses(bench, error, Blame::Caller, |b| b.alloc.alloc_slots(&mut b.kernel, count));
    }
    // As many as there are is asked for rightly, so it is no mistake.
    assert!(bench.alloc.alloc_frames(&mut bench.kernel, 12, usize::MAX, Mobility::Fixed).is_ok());
}

/// A24.
fn ids_that_are_not_ours(target: Target) {
    let mut bench = warm(Machine::small(target));
    // Ids of another allocator, on a machine of its own.
    let mut other = warm(Machine::small(target));
    other.alloc.alloc_slots(&mut other.kernel, 100).expect("slots");
    let foreign = other.alloc.allocate(&mut other.kernel, Blueprint::Tcb).expect("memory");
    let many = other.alloc.allocate_many(&mut other.kernel, FRAME, 2).expect("memory");
    let error = Error::NotAllocated(foreign.slot());
    refuses(&mut bench, error, Blame::Caller, |b| b.alloc.free(&mut b.kernel, foreign));
    let error = Error::NotAllocated(many.first_slot());
    refuses(&mut bench, error, Blame::Caller, |b| b.alloc.free_many(&mut b.kernel, many));
    let freed = bench.alloc.allocate_many(&mut bench.kernel, Blueprint::Tcb, 2).expect("memory");
    let (one, two) = (freed.get(0).expect("first"), freed.get(1).expect("second"));
    bench.alloc.free(&mut bench.kernel, one).expect("live");
    let error = Error::Stale(one.slot());
    refuses(&mut bench, error, Blame::Caller, |b| b.alloc.free(&mut b.kernel, one));
    bench.alloc.free(&mut bench.kernel, two).expect("live");
    let error = Error::NotAllocated(freed.first_slot());
    refuses(&mut bench, error, Blame::Caller, |b| b.alloc.free_many(&mut b.kernel, freed));
    let nothing = CPtr::new(7);
    let error = Error::NotAllocated(nothing);
    refuses(&mut bench, error, Blame::Caller, |b| b.alloc.free_table(nothing, 1));
}

/// A28.
fn addresses_that_are_not_there(target: Target) {
    let mut bench = warm(Machine::small(target));
    let at = |paddr: usize, count: usize| {
        move |b: &mut Bench<'_>| b.alloc.allocate_at(&mut b.kernel, FRAME, paddr, count)
    };
    let bench = &mut bench;
    let odd = Error::Misaligned { paddr: 0xf000_1000, size_bits: 13 };
    refuses(bench, odd, Blame::Caller, at(0xf000_1000, 2));
    let odd = Error::Misaligned { paddr: 0xf000_0010, size_bits: 12 };
    refuses(bench, odd, Blame::Caller, at(0xf000_0010, 1));
    refuses(bench, Error::NoUntypedAt(0x5000_0000), Blame::Caller, at(0x5000_0000, 1));
    refuses(bench, Error::NoUntypedAt(0xf001_ffff), Blame::Caller, at(0xf000_0000, 32));
    refuses(bench, Error::DeviceMemory(0xf000_0000), Blame::Caller, |b| {
        b.alloc.allocate_at(&mut b.kernel, Blueprint::Tcb, 0xf000_0000, 1)
    });
}

fn untypeds_that_cannot_be(target: Target) {
    let mut bench = warm(Machine::small(target));
    let slot = CPtr::new(40);
    let is_device = false;
    for (paddr, size_bits) in [
        (0x4000_0800, 12),
        (0x4000_0000, 3),
        (0x4000_0000, 50),
        (0x100_0000, 20),
        (0x100_0000, 12),
        (0x0, 25),
        (0xf000_8000, 12),
    ] {
        let info = UntypedInfo { slot, paddr, size_bits, is_device };
        let error = Error::BadUntyped(paddr);
        refuses(&mut bench, error, Blame::Caller, |b| b.alloc.add_untyped(info));
    }
}

/// The kernel aligns device memory in addresses of its own.
fn device_memory_that_is_not_aligned_is_left_out(target: Target) {
    let mut bench = warm(Machine::small(target));
    let before = bench.alloc.stats();
    let info =
        UntypedInfo { slot: CPtr::new(40), paddr: 0x4000_1000, size_bits: 13, is_device: true };
    bench.alloc.add_untyped(info).expect("left out, not refused");
    let after = bench.alloc.stats();
    assert_eq!((before.left_out_bytes, after.left_out_bytes), (0, 1 << 13));
    assert_eq!(after.device_bytes, before.device_bytes);
    let at = 0x4000_1000;
    refuses(&mut bench, Error::NoUntypedAt(at), Blame::Caller, |b| {
        b.alloc.allocate_at(&mut b.kernel, FRAME, at, 1)
    });
    bench.check();
}

fn want_of_memory_says_how_much(target: Target) {
    let mut bench = warm(Machine::small(target));
    let big = Blueprint::Untyped { size_bits: 21 };
    let free_bytes = bench.alloc.stats().untyped_bytes;
    let error = Error::OutOfMemory { size_bits: 21, bytes: 1 << 21, free_bytes };
    refuses(&mut bench, error, Blame::Resource, |b| b.alloc.allocate(&mut b.kernel, big));
    bench.alloc.allocate(&mut bench.kernel, FRAME).expect("everything still works");
}

fn want_of_slots_says_how_many(target: Target) {
    // No block is large enough for another CNode.
    let machine = Machine::with_ram(target, vec![(0x100_0000, 14)]).slots(9);
    let mut bench = warm(machine);
    let mut taken = Vec::new();
    while let Ok(slot) = bench.alloc.alloc_slots(&mut bench.kernel, 1) {
        taken.push(slot);
    }
    let error = bench.alloc.alloc_slots(&mut bench.kernel, 1).expect_err("they are out");
    assert_eq!(error.blame(), Blame::Resource, "{error:?}");
    bench.check();
    // Trying to grow may have taken some of the reserve.
    for slot in taken.drain(..24) {
        bench.alloc.free_slots(slot, 1).expect("taken");
    }
    bench.alloc.alloc_slots(&mut bench.kernel, 1).expect("there are slots again");
}

fn want_of_nodes_says_of_which(target: Target) {
    let mut bench = Bench::new(Machine::small(target).pool(1));
    let error = Error::OutOfNodes(NodeKind::SlotWindow);
    refuses(&mut bench, error, Blame::Resource, |b| b.alloc.allocate(&mut b.kernel, FRAME));
}

/// A24.
fn objects_of_before_are_not_those_that_lie_in_their_slots_now(target: Target) {
    let mut bench = Bench::new(Machine::small(target));
    let many = |bench: &mut Bench<'static>| {
        bench.alloc.allocate_many(&mut bench.kernel, Blueprint::Endpoint, 4).expect("memory")
    };
    let before = many(&mut bench);
    bench.alloc.free_many(&mut bench.kernel, before).expect("they are live");
    let now = many(&mut bench);
    assert_eq!(now.first_slot(), before.first_slot(), "the case is about slots that serve again");
    let stale = Err(Error::Stale(before.first_slot()));
    assert_eq!(bench.alloc.free_many(&mut bench.kernel, before), stale);
    assert!((0..4).all(|index| bench.holds(now.first_slot().offset(index), Blueprint::Endpoint)));
    bench.alloc.free_many(&mut bench.kernel, now).expect("they are live");
    bench.check();
}
