// SPDX-License-Identifier: BSD-2-Clause
//! What stands before a request: memory, spaces, buffers.

use untyped_alloc::Rights;
use vmm::{Blueprint, PageSize, Pages, Placement, RegionOptions, ShareOptions, SpaceId};

use super::scenario::Things;
use crate::support::{Fixture, PAGE, Target};

/// Just below where one page table ends and the next begins: 5 pages to go.
pub fn edge(target: Target) -> usize {
    0x4000_0000 + (1 << target.large_bits()) - 5 * PAGE
}

pub fn tagged(host: &Fixture<'_>, space: SpaceId, from: usize, pages: usize) {
    for page in 0..pages {
        host.write(space, from + page * PAGE, 0x1000 + page as u64);
    }
}

pub fn nothing(_: &mut Fixture<'_>) -> Things {
    Things::default()
}

/// Ten pages over the edge, with contents.
pub fn ten_pages(host: &mut Fixture<'_>) -> Things {
    let (own, at) = (host.own(), edge(host.target()));
    let region = host.vmm.map(own, &RegionOptions::new(10).at(at)).expect("memory");
    tagged(host, own, at, 10);
    Things { region: Some(region), ..Things::default() }
}

/// Frames that were used, in a batch of which one page still is.
pub fn dirty_frames(host: &mut Fixture<'_>) -> Things {
    let things = ten_pages(host);
    let (own, at) = (host.own(), edge(host.target()));
    host.vmm.unmap(own, Pages::at(at + PAGE).count(9)).expect("mapped");
    things
}

pub fn a_space(host: &mut Fixture<'_>) -> Things {
    let space = host.vmm.create_space().expect("a space");
    host.spaces.push(space);
    Things { space: Some(space), ..Things::default() }
}

/// Ten pages in our own space, and another space.
pub fn pages_and_space(host: &mut Fixture<'_>) -> Things {
    let space = a_space(host).space;
    Things { space, ..ten_pages(host) }
}

/// Ten pages in our own space, six of which another space sees.
pub fn shared(host: &mut Fixture<'_>) -> Things {
    let things = pages_and_space(host);
    let (own, at) = (host.own(), edge(host.target()));
    let options = ShareOptions::new().at(at).rights(Rights::READ);
    let other = host
        .vmm
        .share(own, Pages::at(at + 2 * PAGE).count(6), things.space(), &options)
        .expect("shared");
    Things { other: Some(other), ..things }
}

/// A space with memory, a shared region and an IPC buffer's page table.
pub fn full_space(host: &mut Fixture<'_>) -> Things {
    let things = shared(host);
    let options = RegionOptions::new(5).at(0x1000_0000);
    host.vmm.map(things.space(), &options).expect("memory");
    things
}

pub fn large_page(host: &mut Fixture<'_>) -> Things {
    let (own, bits) = (host.own(), host.target().large_bits());
    let pages = 1usize << (bits - 12);
    let options = RegionOptions::new(pages).at(0x6000_0000).page_size(PageSize::Large { bits });
    let region = host.vmm.map(own, &options).expect("memory");
    tagged(host, own, 0x6000_0000, 4);
    Things { region: Some(region), ..Things::default() }
}

pub fn a_buffer(host: &mut Fixture<'_>) -> Things {
    let thread = host.vmm.allocate(Blueprint::Tcb).expect("a thread");
    let buffer = host.vmm.allocate_ipc_buffer(host.own()).expect("a buffer");
    Things { object: Some(thread), buffer: Some(buffer), ..Things::default() }
}

pub fn a_buffer_in_use(host: &mut Fixture<'_>) -> Things {
    let things = a_buffer(host);
    let (thread, buffer) = (things.object.expect("a thread"), things.buffer.expect("a buffer"));
    host.vmm.set_ipc_buffer(thread.slot(), buffer).expect("set");
    things
}

pub fn cow_pair(host: &mut Fixture<'_>) -> Things {
    let things = pages_and_space(host);
    let place = Placement::at(0x5000_0000);
    let other = host.vmm.clone_region(things.region(), things.space(), place).expect("cloned");
    Things { other: Some(other), ..things }
}

/// Ten pages in our own space, and a region like theirs in another that has nothing mapped.
pub fn pages_and_place(host: &mut Fixture<'_>) -> Things {
    let things = pages_and_space(host);
    let place = Placement::at(0x5000_0000);
    let other = host.vmm.reserve_like(things.region(), things.space(), place);
    Things { other: Some(other.expect("there is room")), ..things }
}
