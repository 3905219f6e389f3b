// SPDX-License-Identifier: BSD-2-Clause
//! Requests about the sender's own memory. Each touches at most [`protocol::MAX_PAGES`] pages.

use core::cell::Cell;

use vmm::{
    Backing, CapPath, Kernel, Kind, Memory, Object, Pages, RegionId, RegionInfo, RegionOptions,
    Rights, Vmm,
};
use vmm_client::protocol::{
    self, Answer, Info, Options, Refusal, RegionHandle, Reserve, Statistics, CNODE_BITS,
    FIRST_FREE_SLOT, MAX_PAGES, MAX_REGIONS,
};

use crate::answers::{
    bounded, handle_of, narrow, partial_answer, refuse, region_answer, rights, to_wire,
    with_placement, Answered,
};
use crate::state::client::{Client, Held};

/// Refuses a client that has its regions. They are the service's memory, not the client's.
pub(crate) fn room_for_region<'p, K: Kernel + Memory<'p>>(
    vmm: &Vmm<'p, K>,
    client: &Client<'p>,
) -> Result<(), Refusal> {
    room_for_regions(vmm, client, 1)
}

/// Refuses a client that would have too many regions with so many more.
pub(crate) fn room_for_regions<'p, K: Kernel + Memory<'p>>(
    vmm: &Vmm<'p, K>,
    client: &Client<'p>,
    more: u32,
) -> Result<(), Refusal> {
    let regions = vmm.region_count(client.space()).map_err(refuse)?;
    match regions + more as usize <= MAX_REGIONS as usize {
        true => Ok(()),
        false => Err(Refusal::TooMuch { most: MAX_REGIONS }),
    }
}

/// The region of the sender's own space that a handle names.
pub(crate) fn region_of<'p, K: Kernel + Memory<'p>>(
    vmm: &Vmm<'p, K>,
    client: &Client<'p>,
    handle: RegionHandle,
) -> Result<RegionInfo, Refusal> {
    let start = vmm.geometry().address(handle.start);
    let start = start.map_err(|_| Refusal::NoSuchRegion)?;
    let id = RegionId::from_parts(client.space(), start, handle.serial);
    let info = vmm.region_info(id).map_err(refuse)?;
    match info.kind {
        Kind::Memory | Kind::Stack => Ok(info),
        _ => Err(Refusal::WrongKind),
    }
}

/// Serves [`protocol::Request::Reserve`].
pub(crate) fn reserve<'p, K: Kernel + Memory<'p>>(
    vmm: &mut Vmm<'p, K>,
    client: &Client<'p>,
    asked: &Reserve,
) -> Answered {
    room_for_region(vmm, client)?;
    let mut name = [0; 16];
    for (byte, char) in name.iter_mut().zip(asked.name.chars()) {
        *byte = char as u8; // printable ASCII, as the text says
    }
    let length = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
    let options = RegionOptions::new(asked.pages as usize)
        .named(core::str::from_utf8(&name[..length]).unwrap_or(""))
        .guarded(asked.guards.0 as u16, asked.guards.1 as u16)
        .rights(rights(asked.rights))
        .ceiling(rights(asked.ceiling))
        .backed(match asked.around {
            0 => Backing::Explicit,
            around => Backing::OnDemand { around: around as u8 },
        });
    let options = match asked.options.contains(Options::STACK) {
        true => options.stack(),
        false => options,
    };
    let region =
        vmm.reserve(client.space(), &with_placement(options, asked.address)).map_err(refuse)?;
    region_answer(vmm, region)
}

/// Serves [`protocol::Request::Map`].
pub(crate) fn map<'p, K: Kernel + Memory<'p>>(
    vmm: &mut Vmm<'p, K>,
    client: &Client<'p>,
    start: usize,
    pages: u32,
) -> Answered {
    bounded(pages, |pages| vmm.populate(client.space(), Pages::at(start).count(pages)))
}

/// Serves [`protocol::Request::Unmap`].
pub(crate) fn unmap<'p, K: Kernel + Memory<'p>>(
    vmm: &mut Vmm<'p, K>,
    client: &Client<'p>,
    start: usize,
    pages: u32,
) -> Answered {
    bounded(pages, |pages| vmm.unmap(client.space(), Pages::at(start).count(pages)))
}

/// Serves [`protocol::Request::Protect`].
pub(crate) fn protect<'p, K: Kernel + Memory<'p>>(
    vmm: &mut Vmm<'p, K>,
    client: &Client<'p>,
    start: usize,
    pages: u32,
    to: protocol::Rights,
) -> Answered {
    bounded(pages, |pages| vmm.protect(client.space(), Pages::at(start).count(pages), rights(to)))
}

/// Serves [`protocol::Request::Release`]. Returns the token of the region's pager too, when all of
/// it is gone.
pub(crate) fn release<'p, K: Kernel + Memory<'p>>(
    vmm: &mut Vmm<'p, K>,
    client: &Client<'p>,
    handle: RegionHandle,
) -> Result<(Answer, Option<u32>), Refusal> {
    let info = region_of(vmm, client, handle)?;
    let done = vmm.decommit_some(client.space(), info.range, MAX_PAGES as usize);
    if done.map_err(refuse)? >= MAX_PAGES as usize {
        return Ok((Answer::Pages(MAX_PAGES), None));
    }
    vmm.release(info.id).map_err(refuse)?;
    let token = match info.backing {
        Backing::Pager { token } => Some(token),
        _ => None,
    };
    Ok((Answer::Done, token))
}

/// Serves [`protocol::Request::Query`].
pub(crate) fn query<'p, K: Kernel + Memory<'p>>(
    vmm: &Vmm<'p, K>,
    client: &Client<'p>,
    address: usize,
    next: bool,
) -> Answered {
    let space = client.space();
    let found = match next {
        true => vmm.next_region(space, address),
        false => vmm.region_at(space, address),
    };
    let Some(info) = found.map_err(refuse)? else { return Ok(Answer::Done) };
    let page = vmm.mapping_at(space, address).map_err(refuse)?;
    let mut name = protocol::Name::new(info.name.as_str());
    if !matches!(info.kind, Kind::Memory | Kind::Stack | Kind::IpcBuffer) {
        name = protocol::Name::new("");
    }
    Ok(Answer::Info(Info {
        region: handle_of(info.id),
        pages: narrow(info.range.pages()),
        guards: (narrow(info.guard_below), narrow(info.guard_above)),
        rights: to_wire(info.rights),
        ceiling: to_wire(info.ceiling),
        around: match info.backing {
            Backing::OnDemand { around } => around.into(),
            _ => 0,
        },
        page: page.map(|page| to_wire(page.rights)),
        name,
    }))
}

/// Serves [`protocol::Request::Clone`].
pub(crate) fn clone_region<'p, K: Kernel + Memory<'p>>(
    vmm: &mut Vmm<'p, K>,
    client: &Client<'p>,
    region: RegionHandle,
    address: usize,
) -> Answered {
    room_for_region(vmm, client)?;
    let from = clonable(vmm, client, region)?;
    let options = with_placement(RegionOptions::new(1), address);
    let into = vmm.reserve_like(from, client.space(), options.placement()).map_err(refuse)?;
    match vmm.clone_pages(from, 0, into, MAX_PAGES as usize) {
        Ok(done) => partial_answer(vmm, into, narrow(done)),
        Err(error) => {
            vmm.release(into).map_err(refuse)?;
            Err(refuse(error))
        }
    }
}

/// Serves [`protocol::Request::CloneMore`].
pub(crate) fn clone_more<'p, K: Kernel + Memory<'p>>(
    vmm: &mut Vmm<'p, K>,
    client: &Client<'p>,
    (from, into): (RegionHandle, RegionHandle),
    page: u32,
) -> Answered {
    let (from, into) = (clonable(vmm, client, from)?, clonable(vmm, client, into)?);
    let done = vmm.clone_pages(from, page as usize, into, MAX_PAGES as usize).map_err(refuse)?;
    Ok(Answer::Pages(narrow(done)))
}

/// A region of the sender's that can be cloned. What one holds that another client pages is that
/// one's to say, now and later.
fn clonable<'p, K: Kernel + Memory<'p>>(
    vmm: &Vmm<'p, K>,
    client: &Client<'p>,
    handle: RegionHandle,
) -> Result<RegionId, Refusal> {
    let info = region_of(vmm, client, handle)?;
    match info.backing {
        Backing::Pager { .. } => Err(Refusal::WrongKind),
        _ => Ok(info.id),
    }
}

/// Serves [`protocol::Request::IpcBuffer`].
pub(crate) fn ipc_buffer<'p, K: Kernel + Memory<'p>>(
    vmm: &mut Vmm<'p, K>,
    client: &Client<'p>,
    slot: u32,
) -> Answered {
    room_for_region(vmm, client)?;
    let place = match slot {
        0 => None,
        slot => Some(free_slot(client, slot).ok_or(Refusal::BadSlot)?),
    };
    let buffer = vmm.allocate_ipc_buffer(client.space()).map_err(refuse)?;
    if let Some((cnode, held)) = place {
        let path = CapPath { root: cnode.slot(), index: slot as usize, depth: CNODE_BITS };
        if let Err(error) = vmm.copy_cap(path, buffer.frame(), Rights::all()) {
            vmm.release_ipc_buffer(buffer).map_err(refuse)?;
            return Err(refuse(error));
        }
        held.set(Held::IpcBuffer(buffer.address()));
    }
    Ok(Answer::Address(buffer.address()))
}

/// The client's CNode and what is held in `slot` of it, if that is the program's own and empty.
fn free_slot<'c>(client: &'c Client<'_>, slot: u32) -> Option<(Object, &'c Cell<Held>)> {
    let held = client.slots.get(slot as usize)?;
    let free = slot >= FIRST_FREE_SLOT && held.get() == Held::Nothing;
    client.cnode.get().filter(|_| free).map(|cnode| (cnode, held))
}

/// Serves [`protocol::Request::ReleaseIpcBuffer`].
pub(crate) fn release_ipc_buffer<'p, K: Kernel + Memory<'p>>(
    vmm: &mut Vmm<'p, K>,
    client: &Client<'p>,
    address: usize,
) -> Answered {
    let info = vmm.region_at(client.space(), address).map_err(refuse)?;
    let info = info.ok_or(Refusal::NoSuchRegion)?;
    // One that a thread runs with goes with the thread.
    if info.kind != Kind::IpcBuffer || client.is_threads_buffer(address) {
        return Err(Refusal::WrongKind);
    }
    let buffer = vmm.ipc_buffer_at(client.space(), address).map_err(refuse)?;
    vmm.release_ipc_buffer(buffer).map_err(refuse)?;
    // The frame was revoked, and so the copy in the CNode is gone.
    if let Some(held) = client.slots.iter().find(|held| held.get() == Held::IpcBuffer(address)) {
        held.set(Held::Nothing);
    }
    Ok(Answer::Done)
}

/// Serves [`protocol::Request::Statistics`].
pub(crate) fn statistics<'p, K: Kernel + Memory<'p>>(
    vmm: &Vmm<'p, K>,
    client: &Client<'p>,
) -> Answered {
    let summary = vmm.space_summary(client.space()).map_err(refuse)?;
    Ok(Answer::Statistics(Statistics {
        mapped_pages: narrow(summary.mapped_pages),
        regions: narrow(summary.regions),
        tables: narrow(summary.tables),
        largest_hole: narrow(summary.largest_hole),
    }))
}
