// SPDX-License-Identifier: BSD-2-Clause
//! Going through physical memory.

use untyped_alloc::{BlockInfo, Blueprint, ObjectState, Usage};

use super::bench::{Bench, FRAME};
use crate::support::{Machine, Target, on_each};

on_each!(
    fresh_memory_is_free_and_in_order,
    objects_lie_where_the_kernel_has_put_them,
    what_is_free_adds_up,
    frames_are_live_then_dirty,
    a_destroyed_object_is_gone,
    device_memory_is_told_apart,
    book_keeping_is_counted_while_it_is_used,
    objects_that_were_freed_are_none_any_more,
);

fn inventory(bench: &Bench<'static>) -> Vec<BlockInfo<'static>> {
    bench.alloc.inventory().collect()
}

/// The state of the object in this slot, and its physical address, as the inventory has it.
fn find(bench: &Bench<'static>, slot: untyped_alloc::CPtr) -> Option<(usize, ObjectState)> {
    inventory(bench).iter().find_map(|block| {
        let Usage::Objects(batch) = block.usage else { return None };
        (0..batch.count).find_map(|index| {
            let (at, state) = batch.object(index)?;
            (at == slot).then_some((block.paddr + (index << batch.size_bits), state))
        })
    })
}

fn fresh_memory_is_free_and_in_order(target: Target) {
    let bench = Bench::new(Machine::small(target));
    let blocks = inventory(&bench);
    assert!(blocks.iter().all(|block| matches!(block.usage, Usage::Free { clean: false })));
    assert!(blocks.iter().all(|block| block.paddr.is_multiple_of(1 << block.size_bits)));
    let ends = blocks.iter().map(|block| block.paddr + ((1 << block.size_bits) - 1));
    assert!(ends.zip(&blocks[1..]).all(|(end, next)| end < next.paddr), "in order, and apart");
    let ram = blocks.iter().filter(|block| !block.device);
    assert_eq!(ram.map(|block| 1 << block.size_bits).sum::<usize>(), bench.machine.ram_bytes());
}

fn objects_lie_where_the_kernel_has_put_them(target: Target) {
    let mut bench = Bench::new(Machine::small(target));
    let endpoint = bench.alloc.allocate(&mut bench.kernel, Blueprint::Endpoint).expect("memory");
    let nodes = Blueprint::CNode { radix_bits: 4 };
    let nodes = bench.alloc.allocate_many(&mut bench.kernel, nodes, 5).expect("memory");
    let frames = bench.frames(40);
    let mut slots = vec![endpoint.slot()];
    slots.extend((0..5).map(|index| nodes.first_slot().offset(index)));
    for run in frames {
        slots.extend((0..run.count).map(|index| run.first.offset(index)));
    }
    for slot in slots {
        let (at, _) = bench.memory(slot);
        assert_eq!(find(&bench, slot), Some((at, ObjectState::Live)), "{slot:?}");
    }
}

fn what_is_free_adds_up(target: Target) {
    let mut bench = Bench::new(Machine::small(target));
    bench.frames(100);
    bench.alloc.allocate(&mut bench.kernel, Blueprint::Tcb).expect("memory");
    let (mut free, mut all) = (0, 0);
    for block in inventory(&bench).iter().filter(|block| !block.device) {
        all += 1 << block.size_bits;
        if let Usage::Free { .. } = block.usage {
            free += 1 << block.size_bits;
        }
    }
    let stats = bench.alloc.stats();
    assert_eq!((free, all), (stats.untyped_bytes, stats.total_bytes));
}

fn frames_are_live_then_dirty(target: Target) {
    let mut bench = Bench::new(Machine::small(target));
    let run = bench.frames(3)[0];
    let last = run.first.offset(run.count - 1);
    let state = |bench: &Bench<'static>, slot| find(bench, slot).map(|(_, state)| state);
    assert_eq!(state(&bench, last), Some(ObjectState::Live));
    assert_eq!(state(&bench, last.offset(1)), Some(ObjectState::Ready { clean: true }));
    bench.alloc.free_frames(run).expect("it was taken");
    assert_eq!(state(&bench, last), Some(ObjectState::Ready { clean: false }));
}

fn a_destroyed_object_is_gone(target: Target) {
    let mut bench = Bench::new(Machine::small(target));
    let endpoints =
        bench.alloc.allocate_many(&mut bench.kernel, Blueprint::Endpoint, 4).expect("memory");
    let second = endpoints.get(1).expect("one of four");
    bench.alloc.free(&mut bench.kernel, second).expect("it is live");
    let state = |slot| find(&bench, slot).map(|(_, state)| state);
    assert_eq!(state(second.slot()), Some(ObjectState::Gone));
    assert_eq!(state(endpoints.first_slot()), Some(ObjectState::Live));
}

fn device_memory_is_told_apart(target: Target) {
    let mut bench = Bench::new(Machine::small(target));
    let devices = |bench: &Bench<'static>| -> Vec<_> {
        inventory(bench).into_iter().filter(|block| block.device).collect()
    };
    let bytes = devices(&bench).iter().map(|block| 1usize << block.size_bits).sum::<usize>();
    assert_eq!(bytes, bench.alloc.stats().device_bytes);
    let at = devices(&bench).first().expect("the machine has a device").paddr;
    bench.alloc.allocate_at(&mut bench.kernel, FRAME, at, 1).expect("it is free");
    let used = devices(&bench).into_iter().find(|block| block.paddr == at).expect("still there");
    assert!(matches!(used.usage, Usage::Objects(batch) if batch.blueprint == FRAME));
}

fn book_keeping_is_counted_while_it_is_used(target: Target) {
    let mut bench = Bench::new(Machine::small(target));
    let node = Blueprint::CNode { radix_bits: 6 };
    let mut rounds = [(0, 0); 3];
    for (without, with) in &mut rounds {
        let nodes = bench.alloc.allocate_many(&mut bench.kernel, node, 3).expect("memory");
        *with = bench.alloc.bookkeeping_bytes_used();
        bench.alloc.free_many(&mut bench.kernel, nodes).expect("no call is refused");
        *without = bench.alloc.bookkeeping_bytes_used();
    }
    // The first time has blocks split, which stay so.
    let [_, (without, with), third] = rounds;
    assert_eq!((without, with), third);
    assert!(with > without && without > 0, "{with} bytes with objects, {without} without");
    bench.check();
}

/// Frames that are kept to be used again are no objects of who had them.
fn objects_that_were_freed_are_none_any_more(target: Target) {
    let mut bench = Bench::new(Machine::small(target));
    for count in [1, 7, 64] {
        let frames = bench.alloc.allocate_many(&mut bench.kernel, FRAME, count).expect("memory");
        assert_eq!(bench.alloc.blueprint_of_many(frames), Ok(FRAME));
        bench.alloc.free_many(&mut bench.kernel, frames).expect("no call is refused");
        let gone = bench.alloc.blueprint_of_many(frames);
        assert!(gone.is_err(), "{count} frames: {gone:?}");
        assert!(bench.alloc.free_many(&mut bench.kernel, frames).is_err());
        bench.check();
    }
}
