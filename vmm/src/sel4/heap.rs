// SPDX-License-Identifier: BSD-2-Clause
//! The manager as the source of the root task's heap.

use growing_heap::{Piece, Source};

use super::faults::{ManagerGuard, SharedManager};
use crate::types::options::RegionOptions;

/// Memory for the heap of a root task whose manager is shared, for
/// `sel4_root_task::grow_heap_from`:
///
/// ```ignore
/// static MANAGER: SharedManager = SharedManager::new();
/// static HEAP_MEMORY: ManagerHeap = ManagerHeap::of(&MANAGER);
///
/// MANAGER.share(vmm)?;
/// sel4_root_task::grow_heap_from(&HEAP_MEMORY);
/// ```
///
/// The heap grows by regions of the manager's own space, whose pages are there at once. While the
/// thread that allocates has the manager locked, or nobody has shared one yet, there are none: what
/// does not fit in the heap as it is then is an allocation error.
pub struct ManagerHeap {
    manager: &'static SharedManager,
}

impl ManagerHeap {
    /// Memory of this manager.
    pub const fn of(manager: &'static SharedManager) -> ManagerHeap {
        ManagerHeap { manager }
    }

    fn lock(&self) -> Option<ManagerGuard<'static>> {
        self.manager.lock_unless_own()
    }
}

impl Source for ManagerHeap {
    fn more(&self, bytes: usize) -> Option<Piece> {
        let mut vmm = self.lock()?;
        let space = vmm.own_space();
        let pages = bytes >> vmm.geometry().page_bits;
        let region = vmm.map(space, &RegionOptions::new(pages).named("heap")).ok()?;
        Some(Piece { start: region.start().bits(), bytes, token: 0 })
    }

    fn less(&self, piece: Piece) -> bool {
        let Some(mut vmm) = self.lock() else { return false };
        let space = vmm.own_space();
        // What the kernel refused of it is done by the next try; a part is missing meanwhile, so it
        // is no piece any more.
        match vmm.region_at(space, piece.start) {
            Ok(Some(region)) => vmm.release(region.id).is_ok(),
            _ => true,
        }
    }
}
