// SPDX-License-Identifier: BSD-2-Clause
//! Operations beside the most of everything that is tried: a hundred thousand regions, two thousand
//! spaces, a thousand sharers of a page, clones of clones a hundred deep. Nothing may grow faster
//! than the logarithm, says `bench.sh`. Addresses between two others are in `orders/objects.rs`.

use roottask::Manager;
use vmm::{Access, Backing, PageFault, Pages, Placement, RegionId, RegionOptions, Result, Rights};
use vmm::{Error, Resolution, SpaceId};

use roottask::measure::{cost, Row, Samples};

/// How often each operation is done at each size.
const TIMES: usize = 64;
const PAGE: usize = 4096;

/// All series.
pub fn run(vmm: &mut Manager) -> Result {
    regions(vmm)?;
    in_vain(vmm)?;
    whole_spaces(vmm)?;
    spaces(vmm)?;
    sharers(vmm)?;
    cloned_page(vmm)?;
    depth(vmm)
}

/// A row of one operation beside `others`: what `prepare` makes for it and `undo` takes back is not
/// counted.
fn row<T, U>(
    vmm: &mut Manager,
    (name, others): (&str, usize),
    mut prepare: impl FnMut(&mut Manager, usize) -> Result<T>,
    mut operation: impl FnMut(&mut Manager, T) -> Result<U>,
    mut undo: impl FnMut(&mut Manager, U) -> Result,
) -> Result {
    let mut samples = Samples::new();
    let (_, spent) = cost(vmm, |vmm| {
        (0..TIMES).try_for_each(|turn| {
            let made = prepare(vmm, turn)?;
            let done = samples.take(|| operation(vmm, made))?;
            undo(vmm, done)
        })
    })?;
    let row = Row::new(name, "call", TIMES).beside(others);
    row.print_single(&spent, &mut samples, None, None);
    Ok(())
}

fn release(vmm: &mut Manager, region: RegionId) -> Result {
    vmm.release(region)
}

fn nothing<T>(_: &mut Manager, _: T) -> Result {
    Ok(())
}

/// The first write to a page.
fn write(vmm: &mut Manager, space: SpaceId, address: usize, present: bool) -> Result {
    let fault = PageFault { address, access: Access::Write, present, ip: 0 };
    match vmm.resolve_fault(space, &fault)? {
        Resolution::Resolved(_) => Ok(()),
        _ => sel4_root_task::abort!("nothing was in the way of a write to {address:#x}"),
    }
}

/// Where the regions are put: page after page, each with a hole behind it.
const BASE: usize = 0x1000_0000;
/// As many of them lie below one page table.
const TABLE_REGIONS: usize = 256;

fn place(region: usize) -> usize {
    BASE + region * 2 * PAGE
}

/// Makes regions of a page each, which a touch maps, until there are so many.
fn fill(vmm: &mut Manager, space: SpaceId, made: &mut usize, wanted: usize) -> Result {
    let options = RegionOptions::new(1).backed(Backing::OnDemand { around: 1 });
    while *made < wanted {
        vmm.reserve(space, &options.at(place(*made)))?;
        *made += 1;
    }
    Ok(())
}

fn regions(vmm: &mut Manager) -> Result {
    let (space, mut made) = (vmm.create_space()?, 0);
    let one = RegionOptions::new(1);
    for count in [10, 1000, 100_000] {
        fill(vmm, space, &mut made, count)?;
        // Another one each time, so that none is found only for having been used last; below one
        // page table, which is there.
        let first = count / 2 / TABLE_REGIONS * TABLE_REGIONS;
        let near = |turn: usize| place(first + turn * 37 % (count - first).min(TABLE_REGIONS));
        let far = |turn: usize| place(turn * 7919 % count);
        let populated = |vmm: &mut Manager, turn: usize| {
            vmm.populate(space, Pages::at(near(turn)))?;
            Ok(near(turn))
        };
        let unmap = |vmm: &mut Manager, at: usize| vmm.unmap(space, Pages::at(at));
        let turn = |_: &mut Manager, turn: usize| Ok(turn);

        row(vmm, ("region_reserve", count), turn, |vmm, _| vmm.reserve(space, &one), release)?;
        let hole = |turn| one.at(far(turn) + PAGE);
        row(
            vmm,
            ("region_release", count),
            |vmm, turn| vmm.reserve(space, &hole(turn)),
            release,
            nothing,
        )?;
        row(
            vmm,
            ("region_map", count),
            turn,
            |vmm, turn| vmm.map(space, &one.at(near(turn) + PAGE)),
            release,
        )?;
        row(
            vmm,
            ("region_populate", count),
            turn,
            |vmm, turn| {
                vmm.populate(space, Pages::at(near(turn)))?;
                Ok(near(turn))
            },
            unmap,
        )?;
        row(
            vmm,
            ("region_fault", count),
            turn,
            |vmm, turn| {
                write(vmm, space, near(turn), false)?;
                Ok(near(turn))
            },
            unmap,
        )?;
        row(
            vmm,
            ("region_protect", count),
            populated,
            |vmm, at| {
                vmm.protect(space, Pages::at(at), Rights::READ)?;
                Ok(at)
            },
            unmap,
        )?;
        row(vmm, ("region_unmap", count), populated, unmap, nothing)?;
        row(
            vmm,
            ("region_find", count),
            turn,
            |vmm, turn| vmm.region_at(space, far(turn)),
            nothing,
        )?;
        let next = |vmm: &mut Manager, turn: usize| vmm.next_region(space, far(turn) + PAGE);
        row(vmm, ("region_next", count), turn, next, nothing)?;
        row(
            vmm,
            ("region_mapping", count),
            populated,
            |vmm, at| {
                vmm.mapping_at(space, at)?;
                Ok(at)
            },
            unmap,
        )?;
        row(vmm, ("region_summary", count), turn, |vmm, _| vmm.space_summary(space), nothing)?;
    }
    vmm.destroy_space(space)
}

/// Addresses looked for in vain, where they are hard to find: many regions lie between, with holes
/// too small; and many sizes of holes that are large enough lie elsewhere.
fn in_vain(vmm: &mut Manager) -> Result {
    /// Holes of so many sizes have 500 MiB.
    const MAX_SIZES: usize = 500;
    for count in [10, 1000, 10_000] {
        let (space, mut made) = (vmm.create_space()?, 0);
        let sizes = (count / 2).min(MAX_SIZES);
        let between = count - sizes;
        fill(vmm, space, &mut made, between)?;
        let mut at = place(between);
        for hole in 2..2 + sizes {
            vmm.reserve(space, &RegionOptions::new(1).at(at))?;
            at += (1 + hole) * PAGE;
        }
        let within = RegionOptions::new(2).within(BASE..place(between));
        let look = |vmm: &mut Manager, _| match vmm.reserve(space, &within) {
            Err(Error::NoRoom { .. }) => Ok(()),
            Err(error) => Err(error),
            Ok(region) => sel4_root_task::abort!("there was no room for {region:?}"),
        };
        row(vmm, ("region_in_vain", count), |_, turn| Ok(turn), look, nothing)?;
        vmm.destroy_space(space)?;
    }
    Ok(())
}

/// Spaces of many regions, destroyed: what that costs for each region.
fn whole_spaces(vmm: &mut Manager) -> Result {
    for count in [10, 1000, 100_000] {
        let (space, mut made) = (vmm.create_space()?, 0);
        fill(vmm, space, &mut made, count)?;
        let (_, spent) = cost(vmm, |vmm| vmm.destroy_space(space))?;
        Row::new("region_of_destroyed", "region", count).beside(count).print(&spent, None, None);
    }
    Ok(())
}

/// The most spaces.
const MAX_SPACES: usize = 2000;

fn spaces(vmm: &mut Manager) -> Result {
    let one = RegionOptions::new(1).at(BASE);
    let mut spaces = [vmm.own_space(); MAX_SPACES];
    let mut made = 0;
    for count in [2, 50, MAX_SPACES] {
        for space in &mut spaces[made..count] {
            *space = vmm.create_space()?;
            vmm.map(*space, &one)?;
        }
        made = count;
        let some = |turn: usize| spaces[turn * 7919 % count];
        let turn = |_: &mut Manager, turn: usize| Ok(turn);
        let end = |vmm: &mut Manager, space| vmm.destroy_space(space);
        row(vmm, ("space_create", count), turn, |vmm, _| vmm.create_space(), end)?;
        row(vmm, ("space_destroy", count), |vmm, _| vmm.create_space(), end, nothing)?;
        let beside = one.at(BASE + PAGE);
        let map = |vmm: &mut Manager, turn| vmm.map(some(turn), &beside);
        row(vmm, ("space_map", count), turn, map, release)?;
        row(vmm, ("space_release", count), map, release, nothing)?;
        let protect = |vmm: &mut Manager, turn| {
            let rights = if turn % 2 == 0 { Rights::READ } else { Rights::READ | Rights::WRITE };
            vmm.protect(some(turn), Pages::at(BASE), rights)
        };
        row(vmm, ("space_protect", count), turn, protect, nothing)?;
        row(
            vmm,
            ("space_share", count),
            turn,
            |vmm, turn| {
                let from = (some(turn), Pages::at(BASE));
                vmm.share(from.0, from.1, some(turn + 1), &vmm::ShareOptions::new())
            },
            release,
        )?;
        row(
            vmm,
            ("space_mapping", count),
            turn,
            |vmm, turn| vmm.mapping_at(some(turn), BASE),
            nothing,
        )?;
    }
    spaces.into_iter().try_for_each(|space| vmm.destroy_space(space))
}

/// A page that many have, each with a capability of its own.
fn sharers(vmm: &mut Manager) -> Result {
    const MAX_SHARERS: usize = 1000;
    let (from, into) = (vmm.create_space()?, vmm.create_space()?);
    let page = Pages::at(vmm.map(from, &RegionOptions::new(1))?.start().bits());
    let shared = vmm.reserve(into, &RegionOptions::new(MAX_SHARERS + 1))?;
    let at = |sharer: usize| shared.start().bits() + sharer * PAGE;
    let mut made = 0;
    for count in [2, 50, MAX_SHARERS] {
        while made < count {
            vmm.share_into(from, page, shared, made)?;
            made += 1;
        }
        let turn = |_: &mut Manager, turn: usize| Ok(turn);
        // The place behind the last.
        let share = |vmm: &mut Manager, _| vmm.share_into(from, page, shared, count);
        let unshare = |vmm: &mut Manager, ()| vmm.unmap(into, Pages::at(at(count)));
        row(vmm, ("sharer_add", count), turn, share, unshare)?;
        row(vmm, ("sharer_remove", count), share, unshare, nothing)?;
        let protect = |vmm: &mut Manager, turn| {
            let rights = if turn % 2 == 0 { Rights::READ } else { Rights::READ | Rights::WRITE };
            vmm.protect(into, Pages::at(at(turn * 7919 % count)), rights)
        };
        row(vmm, ("sharer_protect", count), turn, protect, nothing)?;
        let find = |vmm: &mut Manager, turn| vmm.mapping_at(into, at(turn * 7919 % count));
        row(vmm, ("sharer_mapping", count), turn, find, nothing)?;
    }
    vmm.destroy_space(into)?;
    vmm.destroy_space(from)
}

/// A page that many have as clones of it.
fn cloned_page(vmm: &mut Manager) -> Result {
    let (from, into) = (vmm.create_space()?, vmm.create_space()?);
    let page = vmm.map(from, &RegionOptions::new(1))?;
    let mut made = 0;
    for count in [2, 50, 1000] {
        while made < count {
            vmm.clone_region(page, into, Placement::anywhere())?;
            made += 1;
        }
        beside_clones(vmm, ["cloned_clone", "cloned_write", "cloned_release"], count, page, into)?;
    }
    vmm.destroy_space(into)?;
    vmm.destroy_space(from)
}

/// Clones of clones, each of which has written to one of its pages.
fn depth(vmm: &mut Manager) -> Result {
    const PAGES: usize = 4;
    let space = vmm.create_space()?;
    let mut last = vmm.map(space, &RegionOptions::new(PAGES))?;
    let mut made = 0;
    for count in [2, 10, 100] {
        while made < count {
            last = vmm.clone_region(last, space, Placement::anywhere())?;
            write(vmm, space, last.start().bits() + made % PAGES * PAGE, true)?;
            made += 1;
        }
        beside_clones(vmm, ["deep_clone", "deep_write", "deep_release"], count, last, space)?;
    }
    vmm.destroy_space(space)
}

/// A clone more, a write to one, and the end of one.
fn beside_clones(
    vmm: &mut Manager,
    [clone, first_write, end]: [&str; 3],
    count: usize,
    from: RegionId,
    into: SpaceId,
) -> Result {
    let one_more =
        |vmm: &mut Manager, _: usize| vmm.clone_region(from, into, Placement::anywhere());
    let turn = |_: &mut Manager, turn: usize| Ok(turn);
    row(vmm, (clone, count), turn, one_more, release)?;
    row(
        vmm,
        (first_write, count),
        one_more,
        |vmm, region| {
            write(vmm, into, region.start().bits(), true)?;
            Ok(region)
        },
        release,
    )?;
    row(vmm, (end, count), one_more, release, nothing)
}
