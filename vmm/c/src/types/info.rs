// SPDX-License-Identifier: BSD-2-Clause
//! What a caller is told.

use core::ffi::c_char;

use vmm::{Backing, Kind, Mapping, RegionInfo, SpaceSummary, Stats};

use super::{cache_number, rights_bits, size_t, vmm_cache_t, vmm_cptr_t, vmm_region_t};

/// What a region is for.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum vmm_region_kind_t {
    /// Memory that is mapped, unmapped and protected page by page.
    VMM_MEMORY = 0,
    /// A stack: memory with a guard below.
    VMM_STACK = 1,
    /// IPC buffers.
    VMM_IPC_BUFFER = 2,
    /// The program's image, and what else the kernel mapped at boot.
    VMM_BOOT = 3,
    /// The manager's own records.
    VMM_BOOKKEEPING = 4,
    /// Addresses in which others place regions.
    VMM_RESERVATION = 5,
    /// What the kernel would not unmap. It is tried again by vmm_trim.
    VMM_QUARANTINE = 6,
}

/// What is known of a region.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct vmm_region_info_t {
    /// The region.
    pub region: vmm_region_t,
    /// Its pages of 4096 bytes, guard pages not counted.
    pub pages: size_t,
    /// Guard pages below.
    pub guard_below: size_t,
    /// Guard pages above.
    pub guard_above: size_t,
    /// What its pages may be used for, unless they were protected since: VMM_READ, VMM_WRITE
    /// and VMM_EXECUTE, or VMM_NO_ACCESS.
    pub rights: u32,
    /// The most that they may ever be used for.
    pub ceiling: u32,
    /// How its pages are cached.
    pub cache: vmm_cache_t,
    /// What it is for.
    pub kind: vmm_region_kind_t,
    /// How many pages are mapped when one is touched; 0: none.
    pub on_demand: u8,
    /// Its name, which ends with a zero byte.
    pub name: [c_char; 16],
}

/// What is mapped at an address.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct vmm_mapping_t {
    /// Where its page begins, in bytes.
    pub page: usize,
    /// The capability of the frame that is mapped there.
    pub frame: vmm_cptr_t,
    /// What it may be used for, as it was asked for: VMM_READ, VMM_WRITE and VMM_EXECUTE, or
    /// VMM_NO_ACCESS.
    pub rights: u32,
    /// How it is cached.
    pub cache: vmm_cache_t,
    /// Its size: 2^size_bits bytes.
    pub size_bits: u8,
    /// Whether the first write gets a frame of its own.
    pub copy_on_write: bool,
}

/// How much there is of everything. Bytes are of RAM.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct vmm_stats_t {
    /// System calls that the manager has made so far.
    pub kernel_calls: u64,
    /// Pages that were moved to other frames so far, so that free memory became one piece.
    pub moved_pages: u64,
    /// Pages of memory on demand that held nothing but zeros, in large pages that were given up
    /// when memory was short, so far.
    pub reclaimed_pages: u64,
    /// All memory that came in.
    pub total_bytes: size_t,
    /// What nobody uses of it.
    pub free_bytes: size_t,
    /// The largest free piece.
    pub largest_free_bytes: size_t,
    /// Memory of the manager's own records, used and spare.
    pub bookkeeping_bytes: size_t,
    /// What is used of it.
    pub bookkeeping_bytes_used: size_t,
    /// Capability slots that are free, without growing the CSpace.
    pub free_slots: size_t,
    /// What the kernel would not let go; vmm_trim tries again.
    pub quarantined: size_t,
    /// Address spaces.
    pub spaces: size_t,
    /// Frames of 4096 bytes in use.
    pub frames: size_t,
    /// Large frames in use.
    pub large_frames: size_t,
    /// Page tables in use, those that are kept empty included.
    pub tables: size_t,
    /// Thread control blocks in use.
    pub tcbs: size_t,
    /// Endpoints in use.
    pub endpoints: size_t,
    /// Notifications in use.
    pub notifications: size_t,
    /// CNodes in use.
    pub cnodes: size_t,
}

/// How much there is in an address space.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct vmm_space_stats_t {
    /// Pages of 4096 bytes that are mapped.
    pub mapped_pages: size_t,
    /// Regions, the page of the null pointer included.
    pub regions: size_t,
    /// Page tables, empty ones included.
    pub tables: size_t,
    /// Pages of the largest hole.
    pub largest_hole: size_t,
}

impl From<RegionInfo> for vmm_region_info_t {
    fn from(info: RegionInfo) -> vmm_region_info_t {
        let guards = info.guard_below + info.guard_above;
        let page_bytes = info.range.bytes() / info.range.pages();
        let mut name = [0; 16];
        for (place, byte) in name.iter_mut().zip(info.name.as_str().bytes()) {
            *place = byte as c_char;
        }
        vmm_region_info_t {
            region: vmm_region_t::new(info.id, info.guard_below * page_bytes),
            pages: info.range.pages() - guards,
            guard_below: info.guard_below,
            guard_above: info.guard_above,
            rights: rights_bits(info.rights),
            ceiling: rights_bits(info.ceiling),
            cache: cache_number(info.cache),
            kind: match info.kind {
                Kind::Memory => vmm_region_kind_t::VMM_MEMORY,
                Kind::Stack => vmm_region_kind_t::VMM_STACK,
                Kind::IpcBuffer => vmm_region_kind_t::VMM_IPC_BUFFER,
                Kind::Boot => vmm_region_kind_t::VMM_BOOT,
                Kind::Bookkeeping => vmm_region_kind_t::VMM_BOOKKEEPING,
                Kind::Reservation => vmm_region_kind_t::VMM_RESERVATION,
                Kind::Quarantine => vmm_region_kind_t::VMM_QUARANTINE,
            },
            on_demand: match info.backing {
                Backing::OnDemand { around } => around,
                Backing::Explicit | Backing::Pager { .. } => 0,
            },
            name,
        }
    }
}

impl From<Mapping> for vmm_mapping_t {
    fn from(mapping: Mapping) -> vmm_mapping_t {
        vmm_mapping_t {
            page: mapping.page,
            frame: mapping.frame.bits(),
            rights: rights_bits(mapping.rights),
            cache: cache_number(mapping.cache),
            size_bits: mapping.size_bits,
            copy_on_write: mapping.copy_on_write,
        }
    }
}

impl From<&Stats> for vmm_stats_t {
    fn from(stats: &Stats) -> vmm_stats_t {
        let (memory, live) = (&stats.allocator, &stats.allocator.live);
        vmm_stats_t {
            kernel_calls: stats.calls.total() as u64,
            moved_pages: stats.moved_pages,
            reclaimed_pages: stats.reclaimed_pages,
            total_bytes: memory.total_bytes,
            free_bytes: stats.free_bytes(),
            largest_free_bytes: memory.largest_free_bytes,
            bookkeeping_bytes: stats.bookkeeping_bytes,
            bookkeeping_bytes_used: stats.bookkeeping_bytes_used,
            free_slots: memory.free_slots,
            quarantined: stats.quarantined + memory.quarantined,
            spaces: stats.spaces,
            frames: live.frames[0],
            large_frames: live.frames[1] + live.frames[2],
            tables: live.tables,
            tcbs: live.tcbs,
            endpoints: live.endpoints,
            notifications: live.notifications,
            cnodes: live.cnodes,
        }
    }
}

impl From<SpaceSummary> for vmm_space_stats_t {
    fn from(summary: SpaceSummary) -> vmm_space_stats_t {
        vmm_space_stats_t {
            mapped_pages: summary.mapped_pages,
            regions: summary.regions,
            tables: summary.tables,
            largest_hole: summary.largest_hole,
        }
    }
}
