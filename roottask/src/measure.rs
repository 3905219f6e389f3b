// SPDX-License-Identifier: BSD-2-Clause
//! Measuring: instructions, kernel calls and book-keeping of an operation, and a row for them.
//!
//! Under QEMU's `-icount shift=0` one tick of the time-stamp counter is one instruction, of the
//! program or of the kernel, so a difference of two readings counts what lies between. The kernel's
//! timer interrupt comes every two million instructions and is counted with whatever it meets: that
//! is the worst case of most single operations.

use core::ops::Add;

use sel4::init_thread::slot;
use sel4::ObjectBlueprint;
use sel4_root_task::{debug_print, debug_println};
use vmm::sel4::{start_with, BootPool, StartOptions};
use vmm::{Invocation, Result};

use crate::{Manager, Outcome};

/// The most single operations that one row is made of.
pub const MAX_SAMPLES: usize = 1024;

/// Instructions executed since the machine started.
#[inline(always)]
pub fn now() -> u64 {
    crate::arch::ticks()
}

/// What something cost.
#[derive(Clone, Copy)]
pub struct Cost {
    /// Instructions, the kernel's included.
    pub instructions: u64,
    /// Kernel calls of the manager.
    pub calls: u64,
    /// Those of them that map a page.
    pub page_maps: u64,
    /// Bytes of book-keeping nodes taken, less those given back.
    pub bytes: isize,
}

impl Add for Cost {
    type Output = Cost;

    /// One after the other.
    fn add(self, then: Cost) -> Cost {
        Cost {
            instructions: self.instructions + then.instructions,
            calls: self.calls + then.calls,
            page_maps: self.page_maps + then.page_maps,
            bytes: self.bytes + then.bytes,
        }
    }
}

/// Does something with the manager and tells what it cost.
pub fn cost<T>(
    vmm: &mut Manager,
    operation: impl FnOnce(&mut Manager) -> Result<T>,
) -> Result<(T, Cost)> {
    let (calls, bytes) = (vmm.kernel_calls(), vmm.bookkeeping_bytes_used());
    let start = now();
    let value = operation(vmm)?;
    let instructions = now() - start;
    let calls = vmm.kernel_calls().since(&calls);
    let bytes = vmm.bookkeeping_bytes_used() as isize - bytes as isize;
    let page_maps = calls.of(Invocation::PageMap);
    Ok((value, Cost { instructions, calls: calls.total(), page_maps, bytes }))
}

/// Instructions of single operations, one by one.
pub struct Samples {
    values: [u32; MAX_SAMPLES],
    len: usize,
}

impl Samples {
    /// None yet.
    pub fn new() -> Samples {
        Samples { values: [0; MAX_SAMPLES], len: 0 }
    }

    /// Does something and notes its instructions; beyond [`MAX_SAMPLES`] it is only done.
    #[inline(always)]
    pub fn take<T>(&mut self, operation: impl FnOnce() -> T) -> T {
        let start = now();
        let value = operation();
        let instructions = now() - start;
        if let Some(next) = self.values.get_mut(self.len) {
            *next = instructions as u32;
            self.len += 1;
        }
        value
    }

    /// All of them together.
    pub fn total(&self) -> u64 {
        self.values[..self.len].iter().map(|&value| u64::from(value)).sum()
    }

    /// The smallest value that `permille` thousandths of them do not exceed.
    fn at_permille(&mut self, permille: usize) -> u32 {
        let values = &mut self.values[..self.len];
        values.sort_unstable();
        let last = values.len().saturating_sub(1);
        values.get((values.len() * permille / 1000).min(last)).map_or(0, |value| *value)
    }
}

impl Default for Samples {
    fn default() -> Self {
        Samples::new()
    }
}

/// All instructions of single operations, however many, and those of the longest.
#[derive(Default)]
pub struct Longest {
    total: u64,
    worst: u64,
}

impl Longest {
    /// Of none yet.
    pub const fn new() -> Longest {
        Longest { total: 0, worst: 0 }
    }

    /// Does something and notes its instructions.
    #[inline(always)]
    pub fn take<T>(&mut self, operation: impl FnOnce() -> T) -> T {
        let start = now();
        let value = operation();
        let instructions = now() - start;
        self.total += instructions;
        self.worst = self.worst.max(instructions);
        value
    }
}

/// One line of the result. All figures are totals over `count` units; `bench.sh` divides.
pub struct Row<'a> {
    name: &'a str,
    /// What is counted: a page, a call, …
    unit: &'a str,
    count: usize,
    /// How many other regions (or spaces) there are, for the rows that show growth.
    beside: Option<usize>,
}

impl<'a> Row<'a> {
    /// A row of `count` units.
    pub fn new(name: &'a str, unit: &'a str, count: usize) -> Row<'a> {
        Row { name, unit, count, beside: None }
    }

    /// The row is of a series, of operations done while there are `others`.
    #[must_use]
    pub fn beside(self, others: usize) -> Row<'a> {
        Row { beside: Some(others), ..self }
    }

    /// Prints the row: a line of JSON.
    ///
    /// `floor` is the instructions of the raw loop, if there is one; `pages` how many pages the
    /// book-keeping is for, if that is a question.
    pub fn print(&self, cost: &Cost, floor: Option<u64>, pages: Option<usize>) {
        self.print_counts(cost, floor, pages);
        debug_println!("}}");
    }

    /// As [`Row::print`], for `count` single operations whose instructions were noted one by one.
    pub fn print_single(
        &self,
        cost: &Cost,
        samples: &mut Samples,
        floor: Option<&mut Samples>,
        pages: Option<usize>,
    ) {
        // What lies between the samples is the loop of the benchmark.
        let cost = Cost { instructions: samples.total(), ..*cost };
        self.print_counts(&cost, floor.as_ref().map(|floor| floor.total()), pages);
        print_spread("", samples);
        if let Some(floor) = floor {
            print_spread("floor_", floor);
        }
        debug_println!("}}");
    }

    /// As [`Row::print`], for single operations of which the longest was noted; `floor` is the
    /// least that all of them and that one could have cost.
    pub fn print_longest(&self, cost: &Cost, longest: &Longest, floor: Option<(u64, u64)>) {
        let cost = Cost { instructions: longest.total, ..*cost };
        self.print_counts(&cost, floor.map(|(total, _)| total), None);
        debug_print!(",\"worst\":{}", longest.worst);
        if let Some((_, worst)) = floor {
            debug_print!(",\"floor_worst\":{worst}");
        }
        debug_println!("}}");
    }

    fn print_counts(&self, cost: &Cost, floor: Option<u64>, pages: Option<usize>) {
        let Row { name, unit, count, beside } = self;
        debug_print!("{{\"name\":\"{name}");
        if let Some(others) = beside {
            debug_print!("_beside_{others}");
        }
        debug_print!("\",\"unit\":\"{unit}\",\"count\":{count}");
        debug_print!(",\"instructions\":{}", cost.instructions);
        debug_print!(",\"kernel_calls\":{}", cost.calls);
        if let Some(floor) = floor {
            debug_print!(",\"floor\":{floor}");
        }
        if let Some(pages) = pages {
            debug_print!(",\"bytes\":{},\"pages\":{pages}", cost.bytes);
        }
    }
}

fn print_spread(prefix: &str, samples: &mut Samples) {
    for (key, permille) in [("median", 500), ("p99", 990), ("worst", 1000)] {
        debug_print!(",\"{prefix}{key}\":{}", samples.at_permille(permille));
    }
}

/// Measures a part with a manager of all memory, which the kernel need not clear.
pub fn warm(
    bootinfo: &sel4::BootInfoPtr,
    pool: &'static BootPool,
    part: fn(&mut Manager) -> Result,
) -> Outcome {
    clear_all_memory(bootinfo);
    let mut vmm = start_with(bootinfo, pool, &StartOptions::new().clear_when_needed())?;
    part(&mut vmm)?;
    // Figures of a manager that is in disorder would be worth nothing.
    Ok(vmm.validate()?)
}

/// Has the kernel clear all memory: the first retype from a boot untyped does that. The smallest
/// object is made of each and deleted again, in the slot `scratch`, which is empty.
fn clear_all_memory(bootinfo: &sel4::BootInfoPtr) {
    let scratch = bootinfo.empty().start();
    let cnode = slot::CNODE.cap();
    for (index, desc) in bootinfo.untyped_list().iter().enumerate() {
        if desc.is_device() {
            continue;
        }
        bootinfo
            .untyped()
            .index(index)
            .cap()
            .untyped_retype(&ObjectBlueprint::Endpoint, &cnode.absolute_cptr_for_self(), scratch, 1)
            .expect("a boot untyped has room for an endpoint");
        let made = cnode.absolute_cptr_from_bits_with_depth(scratch as _, sel4::WORD_SIZE);
        made.delete().expect("the endpoint can be deleted");
    }
}
