// SPDX-License-Identifier: BSD-2-Clause
//! What is promised when the service starts: whether there is as much, and large pages, which are
//! set aside.
//!
//! ```text
//!   manager's own space   │ large │ large │ large │   mapped here as long as there is the service
//!   memory object                  ▲ number 0   ▲ 1       they need not lie side by side
//!   a program's space              └ mapped by a copy of its capability
//! ```
//!
//! No other request gets their memory, and they are never cut: what an account was guaranteed of
//! them is there, however scattered all other memory is.

use vmm::{AllocatorError, Kernel, Memory, PageSize, RegionOptions, Vmm};
use vmm_client::objects::{Amounts, Resource};

use super::answers::large_bits;
use super::state::large::LargePages;
use crate::clearing::clearing;

/// Refuses to promise more pages or slots than there are. What accounts have besides is made of
/// these. Of what there is without limit, nothing is promised.
///
/// # Errors
/// [`vmm::Error::Allocator`] with `OutOfMemory` or `OutOfSlots`.
pub(super) fn check_there_are<'p, K: Kernel + Memory<'p>>(
    vmm: &Vmm<'p, K>,
    amounts: Amounts,
) -> vmm::Result {
    let (memory, geometry) = (vmm.stats().allocator, vmm.geometry());
    let promised = |resource| match amounts.of(resource) {
        u32::MAX => 0,
        amount => u64::from(amount),
    };
    let (page_bits, free_bytes) = (geometry.page_bits, memory.free_bytes());
    let large = promised(Resource::LargePages) << large_bits(geometry);
    let bytes = (promised(Resource::Pages) << page_bits) + large;
    if bytes > free_bytes as u64 {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        return Err(AllocatorError::OutOfMemory { size_bits: page_bits, bytes, free_bytes }.into());
    }
    let (count, free) = (promised(Resource::Slots) as usize, memory.obtainable_slots);
    if count > free {
        return Err(AllocatorError::OutOfSlots { count, free }.into());
    }
    Ok(())
}

/// Sets so many large pages aside, cleared, and records for them; or none.
///
/// # Errors
/// Those of [`Vmm::map`] for large pages: [`vmm::Error::NoSuchFrameSize`] on a machine that has
/// none. What is taken for records stays.
pub(super) fn reserve_large<'p, K: Kernel + Memory<'p>>(
    vmm: &mut Vmm<'p, K>,
    count: u32,
) -> vmm::Result<LargePages<'p>> {
    let mut large = LargePages::new();
    while large.unused.available() < count as usize {
        clearing(vmm, |vmm| vmm.adopt_bookkeeping_page(&mut large.unused))?;
    }
    let bits = large_bits(vmm.geometry());
    let one = RegionOptions::new(1 << (bits - vmm.geometry().page_bits));
    let one = one.page_size(PageSize::Large { bits }).named("large page");
    for _ in 0..count {
        let own = vmm.own_space();
        match clearing(vmm, |vmm| vmm.map(own, &one)) {
            Ok(region) => {
                // It was seen that there are nodes.
                let Some(node) = large.unused.alloc() else { break };
                node.region.set(Some(region));
                large.free.free(node);
            }
            Err(error) => {
                release_large(vmm, &mut large)?;
                return Err(error);
            }
        }
    }
    Ok(large)
}

/// Gives the large pages back that are nobody's.
///
/// # Errors
/// Those of [`Vmm::release`]: those that are left can be given back later.
pub(super) fn release_large<'p, K: Kernel + Memory<'p>>(
    vmm: &mut Vmm<'p, K>,
    large: &mut LargePages<'p>,
) -> vmm::Result {
    while let Some(page) = large.free.alloc() {
        if let Some(region) = page.region.get() {
            if let Err(error) = vmm.release(region) {
                large.free.free(page);
                return Err(error);
            }
        }
        page.region.set(None);
        large.unused.free(page);
    }
    Ok(())
}
