// SPDX-License-Identifier: BSD-2-Clause
//! seL4 5.0.0, with the bindings of this repository.

use sel4::{cap, AbsoluteCPtr, CapRights, Result, TranslationTableObjectType, VmAttributes, Word};
use untyped_alloc::CachePolicy;

/// Gives a mapped page new rights and attributes where it is.
#[inline(always)]
pub fn remap(
    page: cap::UnspecifiedPage,
    vspace: cap::VSpace,
    vaddr: usize,
    rights: CapRights,
    attributes: VmAttributes,
) -> Result<()> {
    page.frame_remap(vspace, vaddr, rights, attributes)
}

/// Unmaps a paging structure.
pub fn unmap_table(
    table: cap::UnspecifiedIntermediateTranslationTable,
    ty: TranslationTableObjectType,
) -> Result<()> {
    table.generic_intermediate_translation_table_unmap(ty)
}

/// Sets a thread's IPC buffer: at `vaddr`, in this frame.
pub fn set_ipc_buffer(tcb: cap::Tcb, vaddr: Word, frame: cap::Granule) -> Result<()> {
    tcb.tcb_set_ipc_buffer(vaddr, frame)
}

/// Takes messages that wait with this capability's badge out of their queue.
pub fn cancel_badged_sends(slot: AbsoluteCPtr) -> Result<()> {
    slot.cancel_badged_sends()
}

/// How memory is cached.
#[inline]
pub fn attributes(cache: CachePolicy) -> VmAttributes {
    match cache {
        CachePolicy::WriteBack => VmAttributes::DEFAULT,
        CachePolicy::WriteThrough => VmAttributes::WRITE_THROUGH,
        CachePolicy::Uncached => VmAttributes::CACHE_DISABLED,
        CachePolicy::WriteCombining => VmAttributes::WRITE_COMBINING,
    }
}
