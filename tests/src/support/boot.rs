// SPDX-License-Identifier: BSD-2-Clause
//! What the kernel's boot left, as allocator and manager are told of it.

use std::ops::Range;

use crate::model::{BootFacts, BootUntyped, Cap, ModelKernel, slot};
use untyped_alloc::{CPtr, CSpaceInfo, UntypedInfo};
use vmm::BootInfo;

use super::machine::PAGE;

/// An untyped of the boot, as the allocator is told of it.
pub fn untyped_info(untyped: &BootUntyped) -> UntypedInfo {
    UntypedInfo {
        slot: CPtr::new(untyped.slot),
        paddr: untyped.paddr,
        size_bits: untyped.size_bits,
        is_device: untyped.device,
    }
}

/// The CSpace of the boot, as the allocator is told of it.
pub fn cspace_info(facts: &BootFacts) -> CSpaceInfo {
    CSpaceInfo {
        root: facts.cnode,
        radix_bits: facts.cnode_radix,
        first_free: facts.free.start,
        end_free: facts.free.end,
        tcb: facts.tcb,
        vspace: facts.vspace,
    }
}

/// Everything [`BootInfo`] borrows.
pub struct BootParts {
    /// The untypeds.
    pub untypeds: Vec<UntypedInfo>,
    /// The CSpace.
    pub cspace: CSpaceInfo,
    /// Names and addresses of what is mapped.
    pub mapped: Vec<(&'static str, Range<usize>)>,
    /// Level, address and capability of the paging structures.
    pub tables: Vec<(u8, usize, CPtr)>,
    /// The addresses of the manager's first book-keeping memory.
    pub pool: Range<usize>,
}

impl BootParts {
    /// What the kernel's boot left, as the runtime of a root task would put it.
    pub fn of(kernel: &ModelKernel<'_>, pool_pages: usize) -> BootParts {
        let facts = kernel.facts();
        let tables = facts.image_tables.clone().map(|slot| match kernel.cap(CPtr::new(slot)) {
            Cap::Table { level, mapped: Some(place), .. } => (level, place.vaddr, CPtr::new(slot)),
            other => panic!("{other:?} is no mapped table"),
        });
        BootParts {
            untypeds: facts.untypeds.iter().map(untyped_info).collect(),
            cspace: cspace_info(facts),
            mapped: vec![
                ("image", facts.image.clone()),
                ("ipc buffer", facts.ipc_buffer..facts.ipc_buffer + PAGE),
                ("boot info", facts.boot_info..facts.boot_info + 2 * PAGE),
            ],
            tables: tables.collect(),
            pool: facts.image.end - pool_pages * PAGE..facts.image.end,
        }
    }

    /// The same, as the manager takes it.
    pub fn info(&self) -> BootInfo<'_> {
        BootInfo {
            stack: None,
            untypeds: &self.untypeds,
            cspace: self.cspace,
            vspace: CPtr::new(slot::VSPACE),
            asid_pool: CPtr::new(slot::ASID_POOL),
            mapped: &self.mapped,
            tables: &self.tables,
            pool: self.pool.clone(),
        }
    }
}
