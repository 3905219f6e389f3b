// SPDX-License-Identifier: BSD-2-Clause
//! The pager of memory that lies on a disk, with a cache in memory of its own.
//!
//! ```text
//!            supplied                   taken back                 on the disk
//!   paged memory: `most` pages ──► pool: `pool` pages ──► places: written pages alone, several
//!        ▲    ▲                        │         │                  │     at a time
//!        │    └── touched again: a hit ┘         └─ not written:    │
//!        └────────────── read, with those behind it if they run ────┘   forgotten
//! ```
//!
//! Nothing tells which pages are used. So the one that is there for longest is taken back, and lies
//! in the pool for a while: whoever touches it then has it again at no cost of the disk, and it is
//! the last to be taken back (second chance).
#![no_std]
#![no_main]

extern crate alloc;

mod cache;
mod places;
mod storage;

use sel4::{cap, Word};
use vmm_client::handles::{mint_bit, Handle, Memory, PagedMemory, Program, Result};
use vmm_client::objects::Rights;
use vmm_client::program;
use vmm_clients::disk::{number_of, Disk, Figures, Queue, DISK_BIT};

use cache::Cache;
use storage::Storage;

program!(main);
vmm_client::heap!(HEAP);

/// The bit by which it is told that a page is waited for.
const FAULT_BIT: usize = DISK_BIT << 1;

fn main(program: &Program, argument: usize) -> Result {
    let given = program.given(argument).expect("init gives it something");
    let slot = |name| given.slot(name).expect("init gives it all that it takes");
    let number = |name| number_of(given.arguments(), name).expect("a number of this name");
    let memory = |name| Memory::from_slot(slot(name));
    let (account, space) = (program.account(), program.space());
    let shown = |name| space.map(&memory(name), Rights::READ_WRITE, &account);
    // SAFETY: both stay mapped, and their pages appear when they are touched.
    let queue = unsafe { Queue::at(shown("queue")?.address()) };
    // SAFETY: as above.
    let figures = unsafe { Figures::at(shown("figures")?.address()) };
    let buffer = shown("buffer")?.address();
    let done = cap::Notification::from_bits(slot("done") as Word);
    let work = cap::Notification::from_bits(slot("work") as Word);
    let storage = Storage::new(Disk { queue, work, done }, buffer, number("places"), figures);

    let paged = PagedMemory::from_slot(slot("paged"));
    let pool = account.create_memory(number("pool"))?;
    let zero = account.create_memory(vmm_client::objects::MAX_SUPPLY)?;
    let pool_shown = space.map(&pool, Rights::READ_WRITE, &account)?.address();
    let told = mint_bit(slot("done"), FAULT_BIT)?;
    let counts = [number("pages"), number("most"), number("pool")];
    let memories = cache::Memories { paged, pool, pool_shown, zero, copies: memory("copies") };
    let mut cache = Cache::new(memories, storage, counts, figures);
    cache.memories.paged.tell_faults(told)?;
    loop {
        let mut next = cache.memories.paged.next_fault()?;
        while let Some(wanted) = next {
            next = cache.serve(wanted.page)?;
        }
        done.wait();
    }
}
