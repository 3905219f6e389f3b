//! ASID pools: rules from `src/arch/x86/kernel/vspace.c` (the ASID parts of
//! `decodeX86MMUInvocation`).
//!
//! An ASID is the name under which a frame's or table's capability remembers its VSpace. A pool's
//! deletion takes the names away, and a VSpace never gets a second one.

use std::collections::BTreeMap;

use untyped_alloc::kernel::{CPtr, CapPath, KernelError, KernelResult};

use super::ModelKernel;
use super::arch::{Arch, mask};
use super::boot::slot;
use super::cap::{Cap, Place};
use super::objects::ObjectKind;

/// All pools, and what their ASIDs name.
#[derive(Clone, Debug)]
pub(super) struct Asids {
    /// The pool of each range of ASIDs.
    pools: Vec<Option<usize>>,
    /// VSpace roots by ASID.
    roots: BTreeMap<usize, usize>,
    low_bits: u8,
}

impl Asids {
    pub(super) fn new(arch: &Arch) -> Asids {
        let pools = vec![None; 1 << arch.asid_high_bits];
        Asids { pools, roots: BTreeMap::new(), low_bits: arch.asid_low_bits }
    }

    /// The VSpace root that `asid` names (`findVSpaceForASID`).
    pub(super) fn root(&self, asid: usize) -> Option<usize> {
        self.roots.get(&asid).copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, usize)> {
        self.roots.iter().map(|(&asid, &root)| (asid, root))
    }

    pub(super) fn set(&mut self, asid: usize, root: usize) {
        self.roots.insert(asid, root);
    }

    pub(super) fn set_pool(&mut self, first: usize, pool: usize) {
        self.pools[first >> self.low_bits] = Some(pool);
    }

    /// The VSpace at `root` is gone (`deleteASID`).
    pub(super) fn forget(&mut self, asid: usize, root: usize) {
        if self.root(asid) == Some(root) {
            self.roots.remove(&asid);
        }
    }

    /// The pool is gone, and with it every ASID in it (`deleteASIDPool`).
    pub(super) fn delete_pool(&mut self, pool: usize, first: usize) {
        let entry = &mut self.pools[first >> self.low_bits];
        if *entry == Some(pool) {
            *entry = None;
            self.roots.retain(|&asid, _| asid >> self.low_bits != first >> self.low_bits);
        }
    }

    /// The lowest ASID of the pool from `first` on that names nothing. 0 is no ASID.
    fn first_free(&self, first: usize) -> Option<usize> {
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

impl ModelKernel<'_> {
    /// `X86ASIDControlMakePool`, invoked on the ASID control capability of the boot.
    pub(super) fn make_pool(&mut self, untyped: CPtr, dst: CapPath) -> KernelResult {
        let control = self.invoked(CPtr::new(slot::ASID_CONTROL));
        let source = self.invoked(untyped);
        let root = self.invoked(dst.root);
        if self.cap_in(control) != Cap::AsidControl {
            return self.refuse_label(control, 2);
        }
        let number = self.asids.pools.iter().position(Option::is_none);
        let first = number.ok_or(KernelError::DeleteFirst)? << self.arch.asid_low_bits;
        let pool_bits = self.arch.sizes.asid_pool_bits;
        let base = match self.cap_in(source) {
            Cap::Untyped { base, size_bits, device: false, .. } if size_bits == pool_bits => base,
            _ => return Err(KernelError::InvalidCapability),
        };
        self.must_be_childless(source)?;
        let slot = self.slot_at(self.cap_in(root), dst.index, dst.depth)?;
        self.must_be_empty(slot)?;

        self.slots.get_mut(source).cap =
            Cap::Untyped { base, size_bits: pool_bits, used: 1 << pool_bits, device: false };
        self.contents.clear(base, 1 << pool_bits);
        self.tables.clear_range(base, 1 << pool_bits);
        self.objects.create(base, ObjectKind::AsidPool, pool_bits);
        self.insert_copy(source, slot, Cap::AsidPool { base, first });
        self.asids.set_pool(first, base);
        Ok(())
    }

    /// `X86ASIDPoolAssign`.
    pub(super) fn assign(&mut self, pool: CPtr, vspace: CPtr) -> KernelResult {
        let pool = self.invoked(pool);
        let slot = self.invoked(vspace);
        let Cap::AsidPool { base: pool_base, first } = self.cap_in(pool) else {
            return self.refuse_label(pool, 0);
        };
        let Cap::Table { base, level: 0, mapped: None } = self.cap_in(slot) else {
            return Err(KernelError::InvalidCapability);
        };
        match self.asids.pools[first >> self.arch.asid_low_bits] {
            None => return Err(KernelError::FailedLookup),
            Some(pool) if pool != pool_base => return Err(KernelError::InvalidCapability),
            Some(_) => {}
        }
        let asid = self.asids.first_free(first).ok_or(KernelError::DeleteFirst)?;
        self.asids.set(asid, base);
        let mapped = Some(Place { asid, vaddr: 0 });
        self.slots.get_mut(slot).cap = Cap::Table { base, level: 0, mapped };
        Ok(())
    }
}
