// SPDX-License-Identifier: BSD-2-Clause
//! aarch32 and aarch64: caching and execution, caches that do not agree by themselves.

use sel4::sys::seL4_Error;
use sel4::{cap, Error, VmAttributes, Word};
use untyped_alloc::{CachePolicy, Rights};

use super::PAGE_BITS;

/// How memory is cached, and whether instructions are fetched from it. The kernel has two kinds:
/// memory that is cached, and that of devices, which stands for all policies but write-back.
pub fn attributes(cache: CachePolicy, allowed: Rights) -> VmAttributes {
    let cached = match cache {
        CachePolicy::WriteBack => VmAttributes::DEFAULT,
        CachePolicy::WriteThrough | CachePolicy::Uncached | CachePolicy::WriteCombining => {
            VmAttributes::NONE
        }
    };
    match allowed.contains(Rights::EXECUTE) {
        true => cached,
        false => cached | VmAttributes::EXECUTE_NEVER,
    }
}

/// Has caches agree about a page that was just mapped: instructions are fetched as they were
/// written through other mappings, and memory that is not cached here has what caches still held of
/// it.
#[inline]
pub fn make_coherent(
    page: cap::UnspecifiedPage,
    vaddr: usize,
    allowed: Rights,
    cache: CachePolicy,
) {
    let for_all = |clean: fn(cap::UnspecifiedPage, usize) -> bool| {
        // A page begins at a multiple of its size.
        let mut sizes = PAGE_BITS.iter().map(|&bits| 1usize << bits);
        sizes.any(|bytes| vaddr % bytes == 0 && clean(page, bytes));
    };
    if cache != CachePolicy::WriteBack {
        for_all(|page, bytes| {
            is_of_page(sel4::with_ipc_buffer_mut(|buffer| {
                buffer.inner_mut().seL4_ARM_Page_CleanInvalidate_Data(page.bits(), 0, bytes as Word)
            }))
        });
    }
    if allowed.contains(Rights::EXECUTE) {
        for_all(unify);
    }
}

/// Makes what was written to a mapped page what is fetched from it, for its first `bytes` bytes;
/// says whether it has as many.
pub fn unify(page: cap::UnspecifiedPage, bytes: usize) -> bool {
    is_of_page(sel4::with_ipc_buffer_mut(|buffer| {
        buffer.inner_mut().seL4_ARM_Page_Unify_Instruction(page.bits(), 0, bytes as Word)
    }))
}

/// Whether the kernel took the bytes for some of the page. Any other refusal is of what is no RAM,
/// of which nothing is in caches.
fn is_of_page(answer: seL4_Error::Type) -> bool {
    Error::from_sys(answer) != Some(Error::InvalidArgument)
}
