// SPDX-License-Identifier: BSD-2-Clause
//! x86_64: the kinds of paging structures, and of caching.

use sel4::sys::{seL4_Error, seL4_IPCBuffer, seL4_X86_VMAttributes as words};
use sel4::{CPtrBits, TranslationTableObjectType, VmAttributes};
use untyped_alloc::CachePolicy;

/// Unmaps a paging structure; the root, which is not mapped anywhere, is none to be unmapped.
pub fn unmap_table(
    buffer: &mut seL4_IPCBuffer,
    table: CPtrBits,
    ty: TranslationTableObjectType,
) -> seL4_Error::Type {
    match ty {
        TranslationTableObjectType::PML4 => seL4_Error::seL4_IllegalOperation,
        TranslationTableObjectType::PDPT => buffer.seL4_X86_PDPT_Unmap(table),
        TranslationTableObjectType::PageDirectory => buffer.seL4_X86_PageDirectory_Unmap(table),
        TranslationTableObjectType::PageTable => buffer.seL4_X86_PageTable_Unmap(table),
    }
}

/// How memory is cached.
pub fn attributes(cache: CachePolicy) -> VmAttributes {
    match cache {
        CachePolicy::WriteBack => VmAttributes::DEFAULT,
        CachePolicy::WriteThrough => VmAttributes::from_inner(words::seL4_X86_WriteThrough),
        CachePolicy::Uncached => VmAttributes::CACHE_DISABLED,
        CachePolicy::WriteCombining => VmAttributes::from_inner(words::seL4_X86_WriteCombining),
    }
}
