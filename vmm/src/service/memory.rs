//! Requests about the sender's own memory. Each touches at most [`protocol::MOST_PAGES`] pages.

use core::cell::Cell;

use page_tables::PageRange;
use untyped_alloc::{CapPath, Kernel, Memory, Object, Rights};
use vmm_client::protocol::{
    self, Answer, Info, Options, RegionHandle, Reserve, CNODE_BITS, FIRST_FREE_SLOT, MOST_PAGES,
    MOST_REGIONS,
};
use vmm_client::protocol::{Refusal, Statistics};

use crate::state::space::Space;
use crate::RegionId;
use crate::RegionInfo;
use crate::RegionOptions;
use crate::Vmm;
use crate::{Backing, Kind};

use super::clients::{Client, Held};
use super::refusal::{narrow, refuse};
use super::Service;

type Answered = Result<Answer, Refusal>;

/// The manager's word for rights of the protocol.
pub(super) fn rights(rights: protocol::Rights) -> Rights {
    let mut known = Rights::empty();
    known.set(Rights::READ, rights.contains(protocol::Rights::READ));
    known.set(Rights::WRITE, rights.contains(protocol::Rights::WRITE));
    known
}

fn told(rights: Rights) -> protocol::Rights {
    let mut told = protocol::Rights::empty();
    told.set(protocol::Rights::READ, rights.contains(Rights::READ));
    told.set(protocol::Rights::WRITE, rights.contains(Rights::WRITE));
    told
}

/// At this address, or anywhere for 0.
pub(super) fn placed(options: RegionOptions, address: u32) -> RegionOptions {
    match address {
        0 => options,
        address => options.at(address as usize),
    }
}

/// Refuses a client that has its regions. They are the service's memory, not the client's.
pub(super) fn room_for_region<'p, K: Kernel + Memory<'p>>(
    vmm: &Vmm<'p, K>,
    client: &Client<'p>,
) -> Result<(), Refusal> {
    room_for_regions(vmm, client, 1)
}

/// Refuses a client that would have too many regions with so many more.
pub(super) fn room_for_regions<'p, K: Kernel + Memory<'p>>(
    vmm: &Vmm<'p, K>,
    client: &Client<'p>,
    more: u32,
) -> Result<(), Refusal> {
    let regions = vmm.space(client.space()).map_err(refuse)?.regions().count();
    match regions + more as usize <= MOST_REGIONS as usize {
        true => Ok(()),
        false => Err(Refusal::TooMuch { most: MOST_REGIONS }),
    }
}

/// The region of the sender's own space that a handle names.
pub(super) fn region_of<'p, K: Kernel + Memory<'p>>(
    vmm: &Vmm<'p, K>,
    client: &Client<'p>,
    handle: RegionHandle,
) -> Result<RegionInfo, Refusal> {
    let start = vmm.geometry.address(handle.start as usize);
    let start = start.map_err(|_| Refusal::NoSuchRegion)?;
    let id = RegionId { space: client.space(), start, serial: handle.serial };
    let info = vmm.region_info(id).map_err(refuse)?;
    match info.kind {
        Kind::Memory | Kind::Stack => Ok(info),
        _ => Err(Refusal::WrongKind),
    }
}

/// The answer about a region that was made.
pub(super) fn made<'p, K: Kernel + Memory<'p>>(vmm: &Vmm<'p, K>, region: RegionId) -> Answered {
    let info = vmm.region_info(region).map_err(refuse)?;
    let below = info.guard_below << vmm.geometry.page_bits;
    Ok(Answer::Region {
        handle: handle_of(region),
        first: narrow(info.range.start().bits() + below),
        pages: narrow(info.range.pages() - info.guard_below - info.guard_above),
    })
}

/// The answer about a region of which so many pages are done.
pub(super) fn made_in_part<'p, K: Kernel + Memory<'p>>(
    vmm: &Vmm<'p, K>,
    region: RegionId,
    done: u32,
) -> Answered {
    match made(vmm, region)? {
        Answer::Region { handle, first, pages } => Ok(Answer::Part { handle, first, pages, done }),
        other => Ok(other),
    }
}

fn handle_of(region: RegionId) -> RegionHandle {
    RegionHandle { start: narrow(region.start.bits()), serial: region.serial }
}

pub(super) fn reserve<'p, K: Kernel + Memory<'p>>(
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
        })
        .kind(match asked.options.contains(Options::STACK) {
            true => Kind::Stack,
            false => Kind::Memory,
        });
    let region = vmm.reserve(client.space(), &placed(options, asked.address)).map_err(refuse)?;
    made(vmm, region)
}

pub(super) fn map<'p, K: Kernel + Memory<'p>>(
    vmm: &mut Vmm<'p, K>,
    client: &Client<'p>,
    start: u32,
    pages: u32,
) -> Answered {
    piece(pages, |pages| vmm.populate(client.space(), start as usize, pages))
}

pub(super) fn unmap<'p, K: Kernel + Memory<'p>>(
    vmm: &mut Vmm<'p, K>,
    client: &Client<'p>,
    start: u32,
    pages: u32,
) -> Answered {
    piece(pages, |pages| vmm.unmap(client.space(), start as usize, pages))
}

pub(super) fn protect<'p, K: Kernel + Memory<'p>>(
    vmm: &mut Vmm<'p, K>,
    client: &Client<'p>,
    start: u32,
    pages: u32,
    to: protocol::Rights,
) -> Answered {
    piece(pages, |pages| vmm.protect(client.space(), start as usize, pages, rights(to)))
}

/// Does as many of the pages as one request may have.
#[inline]
fn piece(pages: u32, work: impl FnOnce(usize) -> crate::Result) -> Answered {
    let pages = pages.min(MOST_PAGES);
    work(pages as usize).map_err(refuse)?;
    Ok(Answer::Pages(pages))
}

/// Returns the token of the region's pager too, when all of it is gone.
pub(super) fn release<'p, K: Kernel + Memory<'p>>(
    vmm: &mut Vmm<'p, K>,
    client: &Client<'p>,
    handle: RegionHandle,
) -> Result<(Answer, Option<u32>), Refusal> {
    let info = region_of(vmm, client, handle)?;
    let space = vmm.space(client.space()).map_err(refuse)?;
    let done = unmap_some(vmm, space, info.range).map_err(refuse)?;
    if done == MOST_PAGES as usize {
        return Ok((Answer::Pages(MOST_PAGES), None));
    }
    vmm.release(info.id).map_err(refuse)?;
    let token = match info.backing {
        Backing::Pager { token } => Some(token),
        _ => None,
    };
    Ok((Answer::Done, token))
}

/// Unmaps what is mapped in a range, up to [`MOST_PAGES`] pages of it; returns how many.
pub(super) fn unmap_some<'p, K: Kernel + Memory<'p>>(
    vmm: &mut Vmm<'p, K>,
    space: &'p Space<'p>,
    range: PageRange,
) -> crate::Result<usize> {
    let mut done = 0;
    while done < MOST_PAGES as usize {
        let run = space.extents().first_in(range);
        let Some(run) = run else { break };
        let (first, count) = run.indices_in(range);
        let piece = run.part(first, count.min(MOST_PAGES as usize - done));
        let pages = piece.frames.count << (piece.frames.size_bits - vmm.geometry.page_bits);
        let piece = vmm.geometry.range(piece.start.bits(), pages)?;
        let reserve = &mut vmm.refill_to_free();
        vmm.unmap_range(reserve, space, piece)?;
        done += pages;
    }
    Ok(done)
}

pub(super) fn query<'p, K: Kernel + Memory<'p>>(
    vmm: &Vmm<'p, K>,
    client: &Client<'p>,
    address: u32,
    next: bool,
) -> Answered {
    let (space, address) = (client.space(), address as usize);
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
        rights: told(info.rights),
        ceiling: told(info.ceiling),
        around: match info.backing {
            Backing::OnDemand { around } => around.into(),
            _ => 0,
        },
        page: page.map(|page| told(page.rights)),
        name,
    }))
}

pub(super) fn clone_region<'p, K: Kernel + Memory<'p>>(
    vmm: &mut Vmm<'p, K>,
    client: &Client<'p>,
    region: RegionHandle,
    address: u32,
) -> Answered {
    room_for_region(vmm, client)?;
    let from = clonable(vmm, client, region)?;
    let options = placed(RegionOptions::new(1), address);
    let into = vmm.reserve_like(from, client.space(), &options).map_err(refuse)?;
    match vmm.clone_pages(from, 0, into, MOST_PAGES as usize) {
        Ok(done) => made_in_part(vmm, into, narrow(done)),
        Err(error) => {
            vmm.release(into).map_err(refuse)?;
            Err(refuse(error))
        }
    }
}

pub(super) fn clone_more<'p, K: Kernel + Memory<'p>>(
    vmm: &mut Vmm<'p, K>,
    client: &Client<'p>,
    (from, into): (RegionHandle, RegionHandle),
    page: u32,
) -> Answered {
    let (from, into) = (clonable(vmm, client, from)?, clonable(vmm, client, into)?);
    let done = vmm.clone_pages(from, page as usize, into, MOST_PAGES as usize).map_err(refuse)?;
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

pub(super) fn ipc_buffer<'p, K: Kernel + Memory<'p>>(
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
        let frame = vmm.alloc.path(buffer.frame());
        if vmm.kernel.cnode_copy(path, frame, Rights::all()).is_err() {
            vmm.release_ipc_buffer(buffer).map_err(refuse)?;
            return Err(Refusal::Internal);
        }
        held.set(Held::IpcBuffer(buffer.address()));
    }
    Ok(Answer::Address(narrow(buffer.address())))
}

/// The client's CNode and what is held in `slot` of it, if that is the program's own and empty.
fn free_slot<'c>(client: &'c Client<'_>, slot: u32) -> Option<(Object, &'c Cell<Held>)> {
    let held = client.slots.get(slot as usize)?;
    let free = slot >= FIRST_FREE_SLOT && held.get() == Held::Nothing;
    client.cnode.get().filter(|_| free).map(|cnode| (cnode, held))
}

pub(super) fn release_ipc_buffer<'p, K: Kernel + Memory<'p>>(
    vmm: &mut Vmm<'p, K>,
    client: &Client<'p>,
    address: u32,
) -> Answered {
    let address = address as usize;
    let info = vmm.region_at(client.space(), address).map_err(refuse)?;
    let info = info.ok_or(Refusal::NoSuchRegion)?;
    // One that a thread runs with goes with the thread.
    if info.kind != Kind::IpcBuffer || Service::is_threads_buffer(client, address) {
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

pub(super) fn statistics<'p, K: Kernel + Memory<'p>>(
    vmm: &Vmm<'p, K>,
    client: &Client<'p>,
) -> Answered {
    let space = vmm.space(client.space()).map_err(refuse)?;
    let (regions, shadow) = (space.regions(), space.shadow.borrow());
    Ok(Answer::Statistics(Statistics {
        mapped_pages: narrow(space.mapped_pages.get()),
        regions: narrow(regions.count()),
        tables: narrow(shadow.len()),
        largest_hole: narrow(regions.largest_hole()),
    }))
}
