// SPDX-License-Identifier: BSD-2-Clause
//! Large pages that are promised: they are set aside when the service starts.
//!
//! ```text
//!   manager's own space   │ large │ large │ large │   mapped here as long as there is the service
//!   memory object                  ▲ number 0   ▲ 1       they need not lie side by side
//!   a program's space              └ mapped by a copy of its capability
//! ```
//!
//! No other request gets their memory, and they are never cut: what an account was guaranteed of
//! them is there, however scattered all other memory is.

use vmm::{Kernel, Memory, PageSize, RegionOptions, Vmm};

use super::answers::large_bits;
use super::state::large::LargePages;
use crate::clearing::clearing;

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
