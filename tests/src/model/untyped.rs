// SPDX-License-Identifier: BSD-2-Clause
//! Retyping untyped memory: rules from `src/object/untyped.c`.

use untyped_alloc::kernel::{Blueprint, CPtr, CapPath, KernelError, KernelResult};

use super::kernel::ModelKernel;
use super::state::arch::mask;
use super::state::cap::Cap;
use super::state::objects::new_cap;
use super::state::slots::SlotId;

/// Memory is cleared in steps of 2^12 bytes, from the top down (`CONFIG_RESET_CHUNK_BITS`).
const RESET_CHUNK_BITS: u8 = 12;

impl ModelKernel<'_> {
    /// `decodeUntypedInvocation`: the checks, in the kernel's order, then the retype.
    pub(super) fn retype(
        &mut self,
        untyped: CPtr,
        blueprint: Blueprint,
        node: CapPath,
        offset: usize,
        count: usize,
    ) -> KernelResult {
        let source = self.invoked(untyped);
        let root = self.invoked(node.root);
        let Cap::Untyped { base, size_bits, used, device } = self.cap_in(source) else {
            return self.refuse_label(source, 6);
        };
        self.check_blueprint(blueprint)?;
        let (node_base, slots) = self.destination(node, root)?;
        if offset > slots - 1 {
            return Err(KernelError::RangeError);
        }
        if count < 1 || count > self.arch.sizes.retype_limit || count > slots - offset {
            return Err(KernelError::RangeError);
        }
        for number in offset..offset + count {
            self.must_be_empty(self.slots.id(node_base, number))?;
        }
        let reset = self.child(source).is_none();
        let used_now = if reset { 0 } else { used };
        let object_bits = self.object_bits(blueprint);
        let free = (1usize << size_bits) - used_now;
        if object_bits >= self.arch.sizes.word_bits || free >> object_bits < count {
            return Err(KernelError::NotEnoughMemory);
        }
        let memory = matches!(blueprint, Blueprint::Frame { .. } | Blueprint::Untyped { .. });
        if device && !memory {
            return Err(KernelError::InvalidArgument);
        }

        if reset {
            self.reset(base, size_bits, used, device);
        }
        // Offsets, as the end of the untyped may be the end of the word; its base is aligned.
        let offset_of_first = used_now.next_multiple_of(1 << object_bits);
        let (first, used) = (base + offset_of_first, offset_of_first + (count << object_bits));
        self.slots.get_mut(source).cap = Cap::Untyped { base, size_bits, used, device };
        for i in 0..count {
            let object = first + (i << object_bits);
            let slot = self.slots.id(node_base, offset + i);
            self.create(source, slot, new_cap(blueprint, object, device));
        }
        Ok(())
    }

    /// Makes the object `cap` stands for, and puts it below `parent`.
    fn create(&mut self, parent: SlotId, slot: SlotId, cap: Cap) {
        if let (Some(kind), Some((base, bits))) = (cap.object_kind(), cap.memory(&self.arch)) {
            self.objects.create(base, kind, bits);
        }
        if let Cap::Tcb { base } = cap {
            self.tcbs.insert(base, Default::default());
        }
        self.insert_child(parent, slot, cap);
    }

    /// The checks of object type and size that come before any look at the destination. What an
    /// architecture has no object type for is refused as the kernel refuses a type it lacks.
    fn check_blueprint(&self, blueprint: Blueprint) -> KernelResult {
        let sizes = &self.arch.sizes;
        let (size, least) = match blueprint {
            Blueprint::Untyped { size_bits } => (size_bits, sizes.untyped_min_bits),
            Blueprint::CNode { radix_bits } => (radix_bits, 1),
            other if sizes.size_bits(other).is_none() => return Err(KernelError::InvalidArgument),
            _ => (0, 0),
        };
        if size > sizes.untyped_max_bits {
            return Err(KernelError::RangeError);
        }
        if size < least {
            return Err(KernelError::InvalidArgument);
        }
        Ok(())
    }

    /// `getObjectSize`: unlike [`ObjectSizes::size_bits`], of a CNode that is too large as well.
    ///
    /// [`ObjectSizes::size_bits`]: untyped_alloc::kernel::ObjectSizes::size_bits
    fn object_bits(&self, blueprint: Blueprint) -> u8 {
        match blueprint {
            Blueprint::CNode { radix_bits } => radix_bits + self.arch.sizes.slot_bits,
            other => self.arch.sizes.size_bits(other).expect("checked before"),
        }
    }

    /// The CNode that new capabilities go to: its address and number of slots.
    fn destination(&self, node: CapPath, root: SlotId) -> KernelResult<(usize, usize)> {
        let mut cap = self.cap_in(root);
        if node.depth != 0 {
            cap = self.cap_in(self.slot_at(cap, node.index, node.depth)?);
        }
        match cap {
            Cap::CNode { base, radix, .. } => Ok((base, mask(radix) + 1)),
            _ => Err(KernelError::FailedLookup),
        }
    }

    /// Clears what was used of an untyped without children (`resetUntypedCap`).
    fn reset(&mut self, base: usize, size_bits: u8, used: usize, device: bool) {
        if used == 0 || device {
            return;
        }
        let bytes = if size_bits < RESET_CHUNK_BITS {
            1 << size_bits
        } else {
            used.next_multiple_of(1 << RESET_CHUNK_BITS)
        };
        self.meter.count_cleared(bytes);
        self.contents.clear(base, bytes);
        self.tables.clear_range(base, bytes);
    }
}
