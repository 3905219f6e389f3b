// SPDX-License-Identifier: BSD-2-Clause
//! ASID pools: rules from `src/arch/x86/kernel/vspace.c` (the ASID parts of
//! `decodeX86MMUInvocation`).
//!
//! An ASID is the name under which a frame's or table's capability remembers its VSpace. A pool's
//! deletion takes the names away, and a VSpace never gets a second one.

use untyped_alloc::kernel::{CPtr, CapPath, KernelError, KernelResult};

use super::kernel::ModelKernel;
use super::state::cap::{Cap, Place};
use super::state::machine::slot;
use super::state::objects::ObjectKind;

impl ModelKernel<'_> {
    /// `X86ASIDControlMakePool`, invoked on the ASID control capability of the boot.
    pub(super) fn make_pool(&mut self, untyped: CPtr, dst: CapPath) -> KernelResult {
        let control = self.invoked(CPtr::new(slot::ASID_CONTROL));
        let source = self.invoked(untyped);
        let root = self.invoked(dst.root);
        if self.cap_in(control) != Cap::AsidControl {
            return self.refuse_label(control, 2);
        }
        let first = self.asids.first_free_pool();
        let first = first.ok_or(KernelError::DeleteFirst)?;
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
        match self.asids.pool(first) {
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
