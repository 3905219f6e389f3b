// SPDX-License-Identifier: BSD-2-Clause
//! The pools that address-space identifiers come from.

use untyped_alloc::CPtr;

/// The most ASID pools any architecture here has.
const MAX_POOLS: usize = 8;

/// One ASID pool.
#[derive(Clone, Copy)]
pub(crate) struct AsidPool {
    capability: CPtr,
    /// Whether an assignment from it was refused since a space last gave its identifier back.
    full: bool,
}

/// The ASID pools there are.
pub(crate) struct AsidPools([Option<AsidPool>; MAX_POOLS]);

impl AsidPools {
    /// With the pool the kernel made at boot.
    pub fn new(initial: CPtr) -> AsidPools {
        let mut pools = [None; MAX_POOLS];
        pools[0] = Some(AsidPool { capability: initial, full: false });
        AsidPools(pools)
    }

    /// The number of the first pool that may have an identifier left, and its capability; that is
    /// none for one that is to be made first. `None` when all are full.
    pub fn usable(&self) -> Option<(u8, Option<CPtr>)> {
        let usable = |pool: &Option<AsidPool>| !pool.is_some_and(|pool| pool.full);
        let index = self.0.iter().position(usable)?;
        Some((index as u8, self.0[index].map(|pool| pool.capability)))
    }

    /// Records a pool that was just made.
    pub fn insert(&mut self, index: u8, capability: CPtr) {
        self.0[usize::from(index)] = Some(AsidPool { capability, full: false });
    }

    /// Records whether a pool has no identifier left.
    pub fn set_full(&mut self, index: u8, full: bool) {
        if let Some(pool) = &mut self.0[usize::from(index)] {
            pool.full = full;
        }
    }
}
