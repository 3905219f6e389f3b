// SPDX-License-Identifier: BSD-2-Clause
//! How a capability pointer finds a slot: rules from `src/kernel/cspace.c`.

use untyped_alloc::kernel::{CPtr, CapPath, KernelError, KernelResult};

use super::kernel::ModelKernel;
use super::state::arch::mask;
use super::state::cap::Cap;
use super::state::slots::SlotId;

impl ModelKernel<'_> {
    pub(super) fn cap_in(&self, slot: SlotId) -> Cap {
        self.slots.get(slot).cap
    }

    /// Resolves up to `bits` bits of `index` from `root` on. Stops early, with bits left, at a
    /// slot that holds no CNode. `None` where a guard or the bits do not fit.
    fn resolve(&self, root: Cap, index: usize, bits: u8) -> Option<(SlotId, u8)> {
        let mut node = root;
        let mut bits = bits;
        let mut found = None;
        while let Cap::CNode { base, radix, guard, guard_bits } = node {
            if guard_bits > bits || radix + guard_bits > bits {
                return None;
            }
            let after_guard = bits - guard_bits;
            let seen = if guard_bits == 0 { 0 } else { index >> after_guard & mask(guard_bits) };
            if seen != guard {
                return None;
            }
            bits = after_guard - radix;
            let slot = self.slots.id(base, index >> bits & mask(radix));
            found = Some((slot, bits));
            if bits == 0 {
                break;
            }
            node = self.cap_in(slot);
        }
        found
    }

    /// The slot of an invoked or passed capability, in the calling thread's CSpace.
    ///
    /// # Panics
    /// When there is no such slot. The kernel does not answer that with an error: the thread
    /// faults (`handleInvocation` in `src/api/syscall.c`), which is the end of a root task.
    pub(super) fn invoked(&self, cptr: CPtr) -> SlotId {
        assert_eq!(cptr.bits() & !self.arch.word_mask(), 0, "{cptr:?} is wider than a word");
        match self.slot_of(cptr) {
            Some(slot) => slot,
            None => panic!("capability fault: {cptr:?} resolves to no slot"),
        }
    }

    /// The slot of a capability pointer, if any. Bits left over do not matter (`lookupSlot`).
    pub(super) fn slot_of(&self, cptr: CPtr) -> Option<SlotId> {
        let word_bits = self.arch.sizes.word_bits;
        self.resolve(self.caller_cspace(), cptr.bits(), word_bits).map(|(slot, _)| slot)
    }

    /// The slot at `index`, `depth` bits deep from the CNode capability `root`
    /// (`lookupSlotForCNodeOp`).
    pub(super) fn slot_at(&self, root: Cap, index: usize, depth: u8) -> KernelResult<SlotId> {
        if !matches!(root, Cap::CNode { .. }) {
            return Err(KernelError::FailedLookup);
        }
        if depth < 1 || depth > self.arch.sizes.word_bits {
            return Err(KernelError::RangeError);
        }
        match self.resolve(root, index, depth) {
            Some((slot, 0)) => Ok(slot),
            _ => Err(KernelError::FailedLookup),
        }
    }

    /// The slot a test's path leads to, if any.
    pub(super) fn slot_of_path(&self, path: CapPath) -> Option<SlotId> {
        let root = self.cap_in(self.slot_of(path.root)?);
        self.slot_at(root, path.index, path.depth).ok()
    }

    pub(super) fn must_be_empty(&self, slot: SlotId) -> KernelResult {
        if self.cap_in(slot).is_null() { Ok(()) } else { Err(KernelError::DeleteFirst) }
    }
}
