// SPDX-License-Identifier: BSD-2-Clause
//! Has a `BTreeMap` in memory that lies on a disk: its heap is there. Puts `keys=` keys into it, in
//! no order, finds all of them in another, and then goes over the map.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::collections::BTreeMap;
use core::sync::atomic::{AtomicUsize, Ordering};

use growing_heap::{Environment, GlobalHeap, Piece, Source};
use vmm_client::handles::{Program, Result};
use vmm_client::objects::PAGE_BYTES;
use vmm_client::{program, tell};
use vmm_clients::disk::number_of;
use vmm_clients::swap::{map_swapped, scattered};

program!(main);

#[global_allocator]
static HEAP: GlobalHeap<Swapped, PAGE_BYTES> = GlobalHeap::new();

/// The exit code of one that found something wrong.
const WRONG: u32 = 66;
/// The words of a value.
const WORDS: usize = 15;

/// What of the memory is free: its first byte and the one behind its last.
static FREE: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];

/// The heap's pieces are memory that lies on a disk. There is one thread.
struct Swapped;

struct Pieces;

impl Environment for Swapped {
    fn acquire() {}

    fn release() {}

    fn source() -> Option<&'static dyn Source> {
        Some(&Pieces)
    }
}

impl Source for Pieces {
    fn more(&self, bytes: usize) -> Option<Piece> {
        let [start, end] = FREE.each_ref().map(|word| word.load(Ordering::Relaxed));
        let next = start.checked_add(bytes).filter(|&next| next <= end)?;
        FREE[0].store(next, Ordering::Relaxed);
        Some(Piece { start, bytes, token: 0 })
    }

    fn less(&self, _: Piece) -> bool {
        false
    }
}

fn value(key: u32) -> [u32; WORDS] {
    core::array::from_fn(|at| scattered(key.wrapping_add(at as u32)))
}

fn main(program: &Program, argument: usize) -> Result {
    let given = program.given(argument).expect("init gives it something");
    let keys = number_of(given.arguments(), "keys").expect("how many keys");
    let mapping = map_swapped(program, &given)?;
    let end = mapping.address() + mapping.pages() as usize * PAGE_BYTES;
    FREE[0].store(mapping.address(), Ordering::Relaxed);
    FREE[1].store(end, Ordering::Relaxed);
    let mut map = BTreeMap::new();
    for number in 0..keys {
        let key = scattered(number);
        map.insert(key, value(key));
    }
    let is_there = |number: &u32| {
        let key = scattered(keys - 1 - number);
        map.get(&key) == Some(&value(key))
    };
    let found = (0..keys).filter(is_there).count() as u32;
    let in_order = map.keys().zip(map.keys().skip(1)).all(|(one, next)| one < next);
    let whole = map.iter().filter(|(&key, found)| **found == value(key)).count() as u32;
    if (found, whole, map.len() as u32, in_order) != (keys, keys, keys, true) {
        program.exit(WRONG);
    }
    let bytes = FREE[0].load(Ordering::Relaxed) - mapping.address();
    tell!("{found} keys found, in a map of {} KiB", bytes / 1024);
    Ok(())
}
