// SPDX-License-Identifier: BSD-2-Clause
//! The manager, operation by operation.
//!
//! ```text
//!   blocks.rs      pages one by one in blocks that have runs and edges of regions in their midst
//!   block_edges.rs when what is kept of such a block must not be gone by
//!   boot.rs        how it starts, and what it refuses to start with
//!   places.rs      where regions go: anywhere, fixed, within, aligned, guarded, reserved
//!   memory.rs      mapping, unmapping, protecting, releasing, page tables, large pages
//!   first_try.rs   what can be met is met the first time, at any length
//!   in_place.rs    protecting pages of the manager's own space
//!   in_parts.rs    requests that stop after a number of pages
//!   in_use.rs      what is in use is not given back, what was given back is not used
//!   appending.rs   pages mapped one behind the other, and what comes in between
//!   buffers.rs     IPC buffers and stacks
//!   compaction.rs  free memory that lies scattered can be had, because pages move
//!   mobility.rs    what may move and what must stay, in batches of their own
//!   direct_map.rs  frames are mapped a second time, for good, to be zeroed and copied
//!   emptied_range.rs  memory is asked for by its address, and pages move out of it
//!   queries.rs     queries, dump, statistics
//!   figures.rs     statistics figure by figure
//!   large_on_demand.rs  large pages that touches bring, and that are made of small ones
//!   large_ahead.rs      large pages that are made of small ones in the background
//!   large_meanwhile.rs  requests for such pages meanwhile
//!   large_given_up.rs   large pages that are given up when memory is short
//!   cuts.rs        large pages that are cut, and whole again where that was in vain
//!   dumps.rs       a dump of a space and of memory, line by line
//!   bookkeeping.rs the memory of the manager's own records
//!   left_over.rs   what a refused kernel call leaves
//!   obtainable.rs  what is said to be obtainable is asked for and given
//!   passages.rs    pages shared one by one, first writes, when what is kept must not be gone by
//!   pinned.rs      what the manager stands on stays as it is
//!   scattered.rs   pages one by one, in no order
//!   sharing.rs     what a share keeps of its source, what a refused clone leaves
//!   stuck.rs       frames that the kernel would not unmap from a temporary slot
//!   threads.rs     threads as the kernel has them
//!   reading.rs     reading any space, and what is not touched
//!   writing.rs     writing into any space, and who sees it
//!   last_pages.rs  when all memory is out: the smallest giving back still works
//!   short.rs       when memory is short: what is free can be had, what is not costs nothing
//!   refusals.rs    bad input: each error with its value, nothing changed, no kernel call made
//! ```
//!
//! Checks A1–A12 of `MODEL.md` one by one, A67–A72, A80–A89, A91, A94, A96–A99, A106, A107, A109,
//! A110, A112, A113, A118, A119, A210–A212, A264, A369–A371, I14, I15, I22, I29, I34 and I46.
//!
//! A275, A276 and I48 too: `passages.rs`.

mod anew;
mod appending;
mod block_edges;
mod blocks;
mod bookkeeping;
mod boot;
mod buffers;
mod clearing;
mod clones_on_demand;
mod compaction;
mod cuts;
mod detached;
mod direct_map;
mod dumps;
mod emptied_range;
mod figures;
mod first_try;
mod in_parts;
mod in_place;
mod in_use;
mod large_ahead;
mod large_given_up;
mod large_meanwhile;
mod large_on_demand;
mod last_pages;
mod left_over;
mod memory;
mod mobility;
mod obtainable;
mod passages;
mod physical_shared;
mod pinned;
mod places;
mod queries;
mod reading;
mod refusals;
mod scattered;
mod sharing;
mod short;
mod stuck;
mod threads;
mod writing;

use vmm::{RegionId, RegionOptions, SpaceId};

use crate::support::{Fixture, PAGE};

/// An address with nothing near it.
const FREE: usize = 0x4000_0000;

/// A region of `pages` mapped pages at an address of our own space, page n filled with n + 1.
fn tagged(host: &mut Fixture<'_>, at: usize, pages: usize) -> RegionId {
    let own = host.own();
    let region = host.vmm.map(own, &RegionOptions::new(pages).at(at)).expect("memory");
    for page in 0..pages {
        host.write(own, at + page * PAGE, page as u64 + 1);
    }
    region
}

/// A space that the fixture knows of.
fn new_space(host: &mut Fixture<'_>) -> SpaceId {
    let space = host.vmm.create_space().expect("memory");
    host.spaces.push(space);
    space
}
