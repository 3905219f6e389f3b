// SPDX-License-Identifier: BSD-2-Clause
//! Threads' objects one at a time; spaces, reservations and large pages in unkind numbers.

use roottask::arch::LARGE_BITS;
use roottask::Manager;
use sel4::init_thread::slot;
use sel4::{cap_type, ObjectBlueprint};
use vmm::{Blueprint, CPtr, PageSize, Pages, RegionOptions, Result, Rights};

use super::steps::{nothing, row, Head, PAGE};
use crate::floor::BATCH;
use crate::single::{ipc_buffers_on, BUFFERS};
use roottask::measure::{cost, Row, Samples};

/// How often the dearer operations are done.
const FEW: usize = 64;

/// Thread control blocks, and an IPC buffer for each.
pub fn threads(vmm: &mut Manager) -> Result {
    let mut tcbs = [CPtr::NULL; BUFFERS];
    let make = |vmm: &mut Manager, turn: usize| {
        tcbs[turn] = vmm.allocate(Blueprint::Tcb)?.slot();
        Ok(())
    };
    let tcb = ObjectBlueprint::Tcb;
    let size_bits = (tcb.physical_size_bits() + BUFFERS.trailing_zeros() as usize) as u8;
    let untyped = vmm.allocate(Blueprint::Untyped { size_bits })?.slot();
    let untyped = untyped.cap::<cap_type::Untyped>();
    let slots = [vmm.alloc_slots(BATCH)?, vmm.alloc_slots(BATCH)?];
    let cnode = slot::CNODE.cap().absolute_cptr_for_self();
    let by_hand = &mut |turn: usize| {
        if turn % BATCH == 0 {
            untyped
                .untyped_retype(&tcb, &cnode, slots[turn / BATCH].bits(), BATCH)
                .expect("the untyped has room");
        }
    };
    row(vmm, Head::of("tcb", "thread", BUFFERS).for_pages(1), nothing, make, Some(by_hand))?;
    ipc_buffers_on(vmm, "ipc_buffer_threads", &tcbs)
}

/// Large pages and spaces.
pub fn run(vmm: &mut Manager) -> Result {
    split_large(vmm)?;
    many_spaces(vmm)
}

/// One small page of a large one is protected: all the others must become small as well.
fn split_large(vmm: &mut Manager) -> Result {
    const LARGE_PAGES: usize = 4;
    let options = RegionOptions::new(LARGE_PAGES << (LARGE_BITS - 12))
        .aligned(LARGE_BITS as u8)
        .page_size(PageSize::Large { bits: LARGE_BITS as u8 });
    let space = vmm.create_space()?;
    let start = vmm.map(space, &options)?.start().bits();
    let protect = |vmm: &mut Manager, turn| {
        vmm.protect(space, Pages::at(start + (turn << LARGE_BITS) + 7 * PAGE), Rights::READ)
    };
    let head = Head::of("split_large", "large page", LARGE_PAGES);
    row(vmm, head, nothing, protect, None)
}

/// An address space made beside a thousand others. The kernel looks for a free identifier in one
/// pool from its beginning.
fn many_spaces(vmm: &mut Manager) -> Result {
    const OTHERS: usize = 1000;
    let mut spaces = [vmm.own_space(); OTHERS];
    for space in &mut spaces {
        *space = vmm.create_space()?;
    }
    let mut samples = Samples::new();
    let (_, spent) = cost(vmm, |vmm| {
        (0..FEW).try_for_each(|_| {
            let space = samples.take(|| vmm.create_space())?;
            vmm.destroy_space(space)
        })
    })?;
    let row = Row::new("create_space", "call", FEW).beside(OTHERS);
    row.print_single(&spent, &mut samples, None, None);
    spaces.into_iter().try_for_each(|space| vmm.destroy_space(space))
}

/// Addresses between two others, where thousands of regions stand before them.
pub fn many_regions(vmm: &mut Manager) -> Result {
    /// Where the regions are put: page after page, each with a hole behind it.
    const BASE: usize = 0x1000_0000;
    let place = |region: usize| BASE + region * 2 * PAGE;
    let space = vmm.create_space()?;
    let mut made = 0;
    for others in [1000, 100_000] {
        while made < others {
            vmm.reserve(space, &RegionOptions::new(1).at(place(made)))?;
            made += 1;
        }
        let options = RegionOptions::new(2).within(BASE..place(others) + 2 * PAGE);
        let mut samples = Samples::new();
        let (_, spent) = cost(vmm, |vmm| {
            (0..FEW).try_for_each(|_| {
                let region = samples.take(|| vmm.reserve(space, &options))?;
                vmm.release(region)
            })
        })?;
        let row = Row::new("reserve_within", "call", FEW).beside(others);
        row.print_single(&spent, &mut samples, None, None);
    }
    vmm.destroy_space(space)
}
