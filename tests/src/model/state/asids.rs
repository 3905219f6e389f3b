// SPDX-License-Identifier: BSD-2-Clause
//! ASIDs: what VSpace each of them names, and the pools that they come from.

use std::collections::BTreeMap;

use super::arch::{Arch, mask};

/// All pools, and what their ASIDs name.
#[derive(Clone, Debug)]
pub(in crate::model) struct Asids {
    /// The pool of each range of ASIDs.
    pools: Vec<Option<usize>>,
    /// VSpace roots by ASID.
    roots: BTreeMap<usize, usize>,
    low_bits: u8,
}

impl Asids {
    pub(in crate::model) fn new(arch: &Arch) -> Asids {
        let pools = vec![None; 1 << arch.asid_high_bits];
        Asids { pools, roots: BTreeMap::new(), low_bits: arch.asid_low_bits }
    }

    /// The VSpace root that `asid` names (`findVSpaceForASID`).
    pub(in crate::model) fn root(&self, asid: usize) -> Option<usize> {
        self.roots.get(&asid).copied()
    }

    pub(in crate::model) fn iter(&self) -> impl Iterator<Item = (usize, usize)> {
        self.roots.iter().map(|(&asid, &root)| (asid, root))
    }

    pub(in crate::model) fn set(&mut self, asid: usize, root: usize) {
        self.roots.insert(asid, root);
    }

    /// The first ASID of the lowest range that has no pool.
    pub(in crate::model) fn first_free_pool(&self) -> Option<usize> {
        self.pools.iter().position(Option::is_none).map(|number| number << self.low_bits)
    }

    /// The pool of the ASIDs from `first` on.
    pub(in crate::model) fn pool(&self, first: usize) -> Option<usize> {
        self.pools[first >> self.low_bits]
    }

    pub(in crate::model) fn set_pool(&mut self, first: usize, pool: usize) {
        self.pools[first >> self.low_bits] = Some(pool);
    }

    /// The VSpace at `root` is gone (`deleteASID`).
    pub(in crate::model) fn remove(&mut self, asid: usize, root: usize) {
        if self.root(asid) == Some(root) {
            self.roots.remove(&asid);
        }
    }

    /// The pool is gone, and with it every ASID in it (`deleteASIDPool`).
    pub(in crate::model) fn delete_pool(&mut self, pool: usize, first: usize) {
        let entry = &mut self.pools[first >> self.low_bits];
        if *entry == Some(pool) {
            *entry = None;
            self.roots.retain(|&asid, _| asid >> self.low_bits != first >> self.low_bits);
        }
    }

    /// The lowest ASID of the pool from `first` on that names nothing. 0 is no ASID.
    pub(in crate::model) fn first_free(&self, first: usize) -> Option<usize> {
        let mut expected = first.max(1);
        for (&asid, _) in self.roots.range(expected..=first + mask(self.low_bits)) {
            if asid != expected {
                break;
            }
            expected += 1;
        }
        (expected <= first + mask(self.low_bits)).then_some(expected)
    }
}
