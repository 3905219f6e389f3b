// SPDX-License-Identifier: BSD-2-Clause
//! Memory that is promised: what was used before is cleared for it.

use vmm::{AllocatorError, Kernel, Memory, Vmm};

/// Does what takes promised memory: what must be cleared for it is cleared, also where that is more
/// than one call clears by itself.
pub(crate) fn clearing<'p, K: Kernel + Memory<'p>, T>(
    vmm: &mut Vmm<'p, K>,
    mut work: impl FnMut(&mut Vmm<'p, K>) -> vmm::Result<T>,
) -> vmm::Result<T> {
    loop {
        match work(vmm) {
            Err(vmm::Error::Allocator(AllocatorError::NeedsClearing { bytes })) => {
                if vmm.clear(bytes)? == 0 {
                    return Err(AllocatorError::NeedsClearing { bytes }.into());
                }
            }
            other => return other,
        }
    }
}

/// Does what takes memory, promised or not.
pub(crate) fn clearing_if<'p, K: Kernel + Memory<'p>, T>(
    promised: bool,
    vmm: &mut Vmm<'p, K>,
    mut work: impl FnMut(&mut Vmm<'p, K>) -> vmm::Result<T>,
) -> vmm::Result<T> {
    match promised {
        true => clearing(vmm, work),
        false => work(vmm),
    }
}
