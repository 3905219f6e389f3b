// SPDX-License-Identifier: BSD-2-Clause
//! Putting capabilities into slots, and taking them out.

use sel4::{cap, cap_type, AbsoluteCPtr, CapRights, Word};
use untyped_alloc::{CPtr, Kernel};

use super::error::PacerError;
use crate::manager::vmm::Vmm;
use crate::sel4::threads::JoinHandle;
use crate::sel4::Sel4;

/// The manager that a pacer works for.
pub(super) type Manager = Vmm<'static, Sel4>;

/// The place of a slot, for calls that name the CNode.
pub(super) fn place(vmm: &Manager, slot: CPtr) -> AbsoluteCPtr {
    let path = vmm.allocator().path(slot);
    let cnode = path.root.cap::<cap_type::CNode>();
    cnode.absolute_cptr_from_bits_with_depth(path.index as sel4::CPtrBits, usize::from(path.depth))
}

/// Takes slots next to each other, and deletes what their last owners left in them.
pub(super) fn take_slots(vmm: &mut Manager, count: usize) -> Result<CPtr, PacerError> {
    let first = vmm.alloc_slots(count)?;
    if let Err(error) = vmm.alloc.empty_slots(&mut vmm.kernel, first, count) {
        vmm.free_slots(first, count)?;
        return Err(error.into());
    }
    Ok(first)
}

/// Puts a capability to a notification into `slot`, with a badge.
pub(super) fn mint(
    vmm: &Manager,
    from: cap::Notification,
    badge: Word,
    slot: CPtr,
) -> sel4::Result<()> {
    let from = place(vmm, CPtr::new(from.bits() as usize));
    place(vmm, slot).mint(&from, CapRights::all(), badge)
}

/// Deletes what is in a slot, if anything.
pub(super) fn delete(vmm: &mut Manager, slot: CPtr) -> Result<(), PacerError> {
    let path = vmm.allocator().path(slot);
    let deleted = vmm.kernel_mut().cnode_delete(path);
    deleted.map_err(|error| PacerError::Kernel(error.into()))
}

/// Has the memory of a thread stay where it is.
pub(super) fn pin(vmm: &mut Manager, thread: &JoinHandle<()>) -> Result<(), PacerError> {
    match thread.memory() {
        Some(memory) => Ok(vmm.pin_thread_memory(memory)?),
        None => Ok(()),
    }
}
