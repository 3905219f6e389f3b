// SPDX-License-Identifier: BSD-2-Clause
//! Sorts an array of records in memory that lies on a disk: an external merge sort whose output
//! takes the blocks that its input has left, so that the array and a few blocks are all that it
//! uses.
//!
//! ```text
//!   1  runs:     run by run, each as long as `run` says, is made, and sorted while it is in memory
//!   2  merge:    all runs at once, a block of each; one that is used up is the next of the output
//!   3  order:    blocks lie in any order then, and are moved to their places
//!   4  look:     at every record: in order, whole, each of them once
//! ```
//!
//! Its arguments: `blocks=` of 64 KiB each, `run=` blocks of a run.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::collections::BinaryHeap;
use alloc::vec;
use alloc::vec::Vec;
use core::cmp::Reverse;

use vmm_client::handles::{Program, Result};
use vmm_client::objects::PAGE_BYTES;
use vmm_client::{program, tell};
use vmm_clients::disk::number_of;
use vmm_clients::swap::{map_swapped, scattered};

program!(main);
vmm_client::heap!(HEAP);

/// The exit codes of one that found something wrong.
const WRONG: u32 = 66;

/// What is sorted: by its key, and its number where keys are the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(C)]
struct Record {
    key: u32,
    number: u32,
    check: [u32; 2],
}

impl Record {
    fn new(number: u32) -> Record {
        let key = scattered(number);
        Record { key, number, check: [!key, key ^ number.rotate_left(16)] }
    }
}

const BLOCK: usize = 16 * PAGE_BYTES;
const RECORDS: usize = BLOCK / size_of::<Record>();

/// The array, in blocks.
struct Blocks {
    start: usize,
    /// Blocks of the array, and those that there are in all.
    count: u32,
    all: u32,
}

impl Blocks {
    /// Records of blocks next to each other.
    fn records(&mut self, first: u32, count: u32) -> &mut [Record] {
        assert!(first + count <= self.all);
        let start = self.start + first as usize * BLOCK;
        // SAFETY: all of it is mapped for as long as the program runs, any bytes are a record, and
        // while one has a part of it, nobody else has any.
        unsafe { core::slice::from_raw_parts_mut(start as *mut Record, count as usize * RECORDS) }
    }

    fn copy(&mut self, from: u32, to: u32) {
        let source = self.records(from, 1).as_ptr();
        // SAFETY: they are two blocks, as `from` is not `to`; both are whole.
        unsafe {
            core::ptr::copy_nonoverlapping(source, self.records(to, 1).as_mut_ptr(), RECORDS)
        };
    }
}

/// A run that is merged: the block that is next, the place in it, and the block behind its last.
struct Run {
    block: u32,
    at: usize,
    end: u32,
}

/// Makes the records, and sorts each run.
fn make_runs(blocks: &mut Blocks, run: u32) -> Vec<Run> {
    let mut runs = Vec::new();
    let mut first = 0;
    while first < blocks.count {
        let count = run.min(blocks.count - first);
        let begin = first * RECORDS as u32;
        let records = blocks.records(first, count);
        for (number, record) in (begin..).zip(records.iter_mut()) {
            *record = Record::new(number);
        }
        records.sort_unstable();
        runs.push(Run { block: first, at: 0, end: first + count });
        first += count;
    }
    runs
}

/// Merges all runs; returns where each block of the output is.
fn merge(blocks: &mut Blocks, runs: &mut [Run]) -> Vec<u32> {
    let mut free: Vec<u32> = (blocks.count..blocks.all).collect();
    let mut heap = BinaryHeap::with_capacity(runs.len());
    for (number, run) in runs.iter().enumerate() {
        heap.push(Reverse((blocks.records(run.block, 1)[0], number)));
    }
    let mut order = Vec::with_capacity(blocks.count as usize);
    let (mut into, mut filled) = (0, RECORDS);
    while let Some(mut top) = heap.peek_mut() {
        let Reverse((record, number)) = *top;
        if filled == RECORDS {
            into = free.pop().expect("a block for each run, and one, is enough");
            order.push(into);
            filled = 0;
        }
        blocks.records(into, 1)[filled] = record;
        filled += 1;
        let run = &mut runs[number];
        run.at += 1;
        if run.at == RECORDS {
            free.push(run.block);
            (run.block, run.at) = (run.block + 1, 0);
        }
        match run.block < run.end {
            true => *top = Reverse((blocks.records(run.block, 1)[run.at], number)),
            false => drop(alloc::collections::binary_heap::PeekMut::pop(top)),
        }
    }
    order
}

/// Moves blocks to where they are in order; returns how many were copied.
fn put_in_order(blocks: &mut Blocks, mut order: Vec<u32>) -> u32 {
    let mut copied = 0;
    let mut used = vec![false; blocks.all as usize];
    order.iter().for_each(|&block| used[block as usize] = true);
    // What nobody is in takes who belongs there; that leaves another place free.
    for place in 0..blocks.count {
        let mut hole = place;
        while hole < blocks.count && !used[hole as usize] {
            let from = order[hole as usize];
            blocks.copy(from, hole);
            copied += 1;
            (used[hole as usize], used[from as usize]) = (true, false);
            order[hole as usize] = hole;
            hole = from;
        }
    }
    // All others change places in circles, by way of a block behind the array.
    let spare = blocks.count;
    for place in 0..blocks.count {
        if order[place as usize] == place {
            continue;
        }
        blocks.copy(place, spare);
        let mut hole = place;
        loop {
            let from = core::mem::replace(&mut order[hole as usize], hole);
            copied += 1;
            if from == place {
                blocks.copy(spare, hole);
                break;
            }
            blocks.copy(from, hole);
            hole = from;
        }
    }
    copied
}

/// Whether the array is in order, and has each record once and whole.
fn is_sorted(blocks: &mut Blocks) -> bool {
    let mut before = None;
    let mut sum = 0u64;
    for block in 0..blocks.count {
        for record in blocks.records(block, 1) {
            // In order, and none twice; as many as there are numbers.
            let right = *record == Record::new(record.number) && before < Some(*record);
            if !right {
                return false;
            }
            before = Some(*record);
            sum += u64::from(record.number);
        }
    }
    let all = blocks.count as u64 * RECORDS as u64;
    sum == all * (all - 1) / 2
}

fn main(program: &Program, argument: usize) -> Result {
    let given = program.given(argument).expect("init gives it something");
    let number = |name| number_of(given.arguments(), name).expect("a number of this name");
    let (count, run) = (number("blocks"), number("run"));
    let mapping = map_swapped(program, &given)?;
    let all = mapping.pages() / (BLOCK / PAGE_BYTES) as u32;
    let mut blocks = Blocks { start: mapping.address(), count, all };
    assert!(all > count + count.div_ceil(run), "a block for each run, and one");
    let mut runs = make_runs(&mut blocks, run);
    let begun = runs.len();
    let order = merge(&mut blocks, &mut runs);
    let copied = put_in_order(&mut blocks, order);
    if !is_sorted(&mut blocks) {
        program.exit(WRONG);
    }
    let records = count as usize * RECORDS;
    tell!("{records} records in order, of {begun} runs, {copied} of {count} blocks moved");
    Ok(())
}
