// SPDX-License-Identifier: BSD-2-Clause
//! Address spaces, and the memory in them.

use core::mem::MaybeUninit;

use vmm::sel4::faults::Manager;
use vmm::{Pages, RegionId, RegionInfo, RegionOptions, SpaceId, PAGE_BYTES};

use crate::manager::{answer, short_name, with};
use crate::types::vmm_code_t::{self, *};
use crate::types::*;

/// Returns the program's own address space; all zero before vmm_start.
#[no_mangle]
pub extern "C" fn vmm_own_space() -> vmm_space_t {
    with(|vmm| Ok::<_, Refusal>(vmm.own_space())).map_or(vmm_space_t::default(), From::from)
}

/// Makes an address space in which nothing is mapped.
///
/// Errors: VMM_NULL_POINTER; VMM_OUT_OF_ASIDS, VMM_OUT_OF_SPACE_NUMBERS, VMM_OUT_OF_MEMORY,
/// VMM_OUT_OF_SLOTS, VMM_OUT_OF_NODES; VMM_KERNEL_REFUSED.
#[no_mangle]
pub extern "C" fn vmm_create_space(space: Option<&mut MaybeUninit<vmm_space_t>>) -> vmm_code_t {
    let Some(space) = space else { return VMM_NULL_POINTER };
    answer(with(|vmm| vmm.create_space()).map(|id| {
        space.write(id.into());
    }))
}

/// Destroys an address space and gives back all that is mapped in it.
///
/// Errors: VMM_NO_SUCH_SPACE; VMM_OWN_SPACE; VMM_SPACE_IN_USE while threads that run in it are
/// registered; VMM_KERNEL_REFUSED, and then destroying it again goes on.
#[no_mangle]
pub extern "C" fn vmm_destroy_space(space: vmm_space_t) -> vmm_code_t {
    answer(with(|vmm| vmm.destroy_space(space.id(vmm.own_space()))))
}

/// Tells the capability of the root of a space's page tables: what TCB_SetSpace is given.
///
/// Errors: VMM_NULL_POINTER; VMM_NO_SUCH_SPACE.
#[no_mangle]
pub extern "C" fn vmm_vspace(
    space: vmm_space_t,
    vspace: Option<&mut MaybeUninit<vmm_cptr_t>>,
) -> vmm_code_t {
    let Some(vspace) = vspace else { return VMM_NULL_POINTER };
    answer(with(|vmm| vmm.vspace(space.id(vmm.own_space()))).map(|cptr| {
        vspace.write(cptr.bits());
    }))
}

/// A request that makes a region.
fn make_region(
    space: vmm_space_t,
    options: Option<&vmm_map_options_t>,
    region: Option<&mut MaybeUninit<vmm_region_t>>,
    make: fn(&mut Manager, SpaceId, &RegionOptions) -> vmm::Result<RegionId>,
) -> vmm_code_t {
    let (Some(options), Some(region)) = (options, region) else { return VMM_NULL_POINTER };
    let name = short_name(options.name);
    let wanted = match options.checked(name.as_str()) {
        Ok(wanted) => wanted,
        Err(code) => return code,
    };
    let guard_bytes = usize::from(options.guard_below) * PAGE_BYTES;
    answer(with(|vmm| make(vmm, space.id(vmm.own_space()), &wanted)).map(|id| {
        region.write(vmm_region_t::new(id, guard_bytes));
    }))
}

/// Makes a region and maps fresh memory, full of zeros, in all of it. One system call a page, and
/// few besides.
///
/// Errors: VMM_NULL_POINTER; VMM_BAD_ARGUMENT; VMM_EMPTY_RANGE, VMM_MISALIGNED,
/// VMM_OUTSIDE_USER_SPACE, VMM_RANGE_WRAPS, VMM_OVERLAP, VMM_RIGHTS_EXCEED_CEILING,
/// VMM_NO_SUCH_FRAME_SIZE, VMM_FAULTS_NOT_TOLD for what is mapped when it is touched;
/// VMM_NO_SUCH_SPACE; VMM_NO_ROOM, VMM_OUT_OF_MEMORY, VMM_OUT_OF_SLOTS, VMM_OUT_OF_NODES;
/// VMM_KERNEL_REFUSED. Nothing is left behind.
#[no_mangle]
pub extern "C" fn vmm_map(
    space: vmm_space_t,
    options: Option<&vmm_map_options_t>,
    region: Option<&mut MaybeUninit<vmm_region_t>>,
) -> vmm_code_t {
    make_region(space, options, region, |vmm, space, options| vmm.map(space, options))
}

/// Makes a region in which nothing is mapped: vmm_populate maps in it, or, where `on_demand` is not
/// 0, the fault handler when it is touched. No system call.
///
/// Errors: as vmm_map.
#[no_mangle]
pub extern "C" fn vmm_reserve(
    space: vmm_space_t,
    options: Option<&vmm_map_options_t>,
    region: Option<&mut MaybeUninit<vmm_region_t>>,
) -> vmm_code_t {
    make_region(space, options, region, |vmm, space, options| vmm.reserve(space, options))
}

/// Maps fresh memory, full of zeros, in `pages` pages from `address` on (bytes, a multiple of
/// 4096): all in one region, with nothing mapped yet.
///
/// Errors: VMM_NO_SUCH_SPACE; VMM_MISALIGNED, VMM_EMPTY_RANGE, VMM_RANGE_WRAPS,
/// VMM_OUTSIDE_USER_SPACE, VMM_OUTSIDE_REGION, VMM_GUARD, VMM_WRONG_KIND, VMM_ALREADY_MAPPED; what
/// can run out for vmm_map; VMM_KERNEL_REFUSED. Nothing is left behind.
#[no_mangle]
pub extern "C" fn vmm_populate(space: vmm_space_t, address: usize, pages: size_t) -> vmm_code_t {
    answer(with(|vmm| vmm.populate(space.id(vmm.own_space()), Pages::at(address).count(pages))))
}

/// Unmaps `pages` pages from `address` on (bytes, a multiple of 4096), all in one region and all
/// mapped, and gives their memory back. The region stays. One system call a page.
///
/// Errors: as vmm_populate for the range; VMM_NOT_MAPPED; VMM_PINNED; VMM_LARGE_PAGE,
/// VMM_OUT_OF_MEMORY_TO_CUT where it cuts a large page; VMM_KERNEL_REFUSED, see there.
#[no_mangle]
pub extern "C" fn vmm_unmap(space: vmm_space_t, address: usize, pages: size_t) -> vmm_code_t {
    answer(with(|vmm| vmm.unmap(space.id(vmm.own_space()), Pages::at(address).count(pages))))
}

/// Gives `pages` pages from `address` on (bytes, a multiple of 4096), all in one region and all
/// mapped, other rights: VMM_READ, VMM_WRITE and VMM_EXECUTE, or VMM_NO_ACCESS. At no moment is one
/// absent. One system call a page, and one more for up to 256 of them in the program's own space.
///
/// Errors: as vmm_unmap; VMM_BAD_ARGUMENT for other rights, 0 among them;
/// VMM_RIGHTS_EXCEED_CEILING.
#[no_mangle]
pub extern "C" fn vmm_protect(
    space: vmm_space_t,
    address: usize,
    pages: size_t,
    rights: u32,
) -> vmm_code_t {
    let rights = match checked_rights(rights) {
        Ok(Some(rights)) => rights,
        Ok(None) => return VMM_BAD_ARGUMENT,
        Err(code) => return code,
    };
    answer(with(|vmm| {
        vmm.protect(space.id(vmm.own_space()), Pages::at(address).count(pages), rights)
    }))
}

/// Gives a region back, a stack's as well: what is mapped in it, and its addresses.
///
/// Errors: VMM_NO_SUCH_REGION, if it was released before too; VMM_WRONG_KIND for an IPC buffer and
/// for the program's image; VMM_PINNED; VMM_KERNEL_REFUSED, and then releasing it again goes on.
#[no_mangle]
pub extern "C" fn vmm_release(region: vmm_region_t) -> vmm_code_t {
    answer(with(|vmm| vmm.release(region.id(vmm.own_space()))))
}

fn write_info(
    info: Option<&mut MaybeUninit<vmm_region_info_t>>,
    ask: impl FnOnce(&mut Manager) -> Result<RegionInfo, Refusal>,
) -> vmm_code_t {
    let Some(info) = info else { return VMM_NULL_POINTER };
    answer(with(ask).map(|found| {
        info.write(found.into());
    }))
}

/// Tells of the region that covers an address (bytes), guard pages included. No system call.
///
/// Errors: VMM_NULL_POINTER; VMM_NO_SUCH_SPACE; VMM_OUTSIDE_USER_SPACE; VMM_NOTHING_THERE.
#[no_mangle]
pub extern "C" fn vmm_region_at(
    space: vmm_space_t,
    address: usize,
    info: Option<&mut MaybeUninit<vmm_region_info_t>>,
) -> vmm_code_t {
    write_info(info, |vmm| {
        let found = vmm.region_at(space.id(vmm.own_space()), address)?;
        found.ok_or(VMM_NOTHING_THERE.into())
    })
}

/// Tells of a region. No system call.
///
/// Errors: VMM_NULL_POINTER; VMM_NO_SUCH_REGION.
#[no_mangle]
pub extern "C" fn vmm_region_info(
    region: vmm_region_t,
    info: Option<&mut MaybeUninit<vmm_region_info_t>>,
) -> vmm_code_t {
    write_info(info, |vmm| Ok(vmm.region_info(region.id(vmm.own_space()))?))
}

/// Tells what the manager has mapped at an address (bytes). No system call.
///
/// Errors: VMM_NULL_POINTER; VMM_NO_SUCH_SPACE; VMM_OUTSIDE_USER_SPACE; VMM_NOTHING_THERE.
#[no_mangle]
pub extern "C" fn vmm_mapping_at(
    space: vmm_space_t,
    address: usize,
    mapping: Option<&mut MaybeUninit<vmm_mapping_t>>,
) -> vmm_code_t {
    let Some(mapping) = mapping else { return VMM_NULL_POINTER };
    let asked = with(|vmm| {
        let found = vmm.mapping_at(space.id(vmm.own_space()), address)?;
        found.ok_or(Refusal::Code(VMM_NOTHING_THERE))
    });
    answer(asked.map(|found| {
        mapping.write(found.into());
    }))
}

/// Tells the physical address behind a mapped address, both in bytes. It stays what it is until the
/// page is unmapped. One system call.
///
/// Errors: VMM_NULL_POINTER; VMM_NO_SUCH_SPACE; VMM_OUTSIDE_USER_SPACE; VMM_NOT_MAPPED;
/// VMM_KERNEL_REFUSED.
#[no_mangle]
pub extern "C" fn vmm_physical_address(
    space: vmm_space_t,
    address: usize,
    physical: Option<&mut MaybeUninit<usize>>,
) -> vmm_code_t {
    let Some(physical) = physical else { return VMM_NULL_POINTER };
    let asked = with(|vmm| vmm.physical_address(space.id(vmm.own_space()), address));
    answer(asked.map(|found| {
        physical.write(found);
    }))
}
