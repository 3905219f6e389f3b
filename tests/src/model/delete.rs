// SPDX-License-Identifier: BSD-2-Clause
//! Deleting and revoking: rules from `src/object/cnode.c`, `finaliseCap` and its kin.
//!
//! A CNode or thread holds slots that must be emptied after its last capability is deleted. Until
//! then a *zombie* stands in the slot of that capability. What is emptied goes one level deep only:
//! a CNode or thread whose last capability lay in an emptied slot is not destroyed with it. Its
//! zombie moves into the first of its own slots and stays there, and what its other slots hold
//! lives on, until the untyped it was made from is revoked.

use super::kernel::ModelKernel;
use super::state::arch::mask;
use super::state::cap::{Cap, Remains};
use super::state::slots::SlotId;

/// How far a deletion goes. The kernel deletes what user space named to the end, and does not
/// recurse for what it finds on the way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    Exposed,
    Inner,
}

/// Slots of a thread control block: CSpace, VSpace, reply, caller, IPC buffer.
pub(super) const TCB_SLOTS: usize = 5;

impl ModelKernel<'_> {
    /// `cteRevoke`.
    pub(super) fn revoke(&mut self, slot: SlotId) {
        while let Some(child) = self.child(slot) {
            self.delete(child);
        }
    }

    /// `cteDelete` of a slot that user space named or that an object holds.
    pub(super) fn delete(&mut self, slot: SlotId) {
        self.delete_to(slot, Depth::Exposed);
    }

    fn delete_to(&mut self, slot: SlotId, depth: Depth) {
        if self.finalise_slot(slot, depth) || depth == Depth::Exposed {
            self.empty(slot);
        }
    }

    /// Brings the slot to where it can be emptied; false where a zombie has to stay.
    fn finalise_slot(&mut self, slot: SlotId, depth: Depth) -> bool {
        loop {
            let cap = self.cap_in(slot);
            if cap.is_null() {
                return true;
            }
            let last = self.is_final(slot);
            let rest = self.finalise(cap, last);
            let Cap::Zombie { base, left, .. } = rest else {
                return true;
            };
            let in_itself = self.slots.id(base, 0) == slot;
            if left == 0 || left == 1 && in_itself {
                return true;
            }
            self.slots.get_mut(slot).cap = rest;
            match depth {
                Depth::Inner if in_itself => return false,
                Depth::Inner => self.swap(self.slots.id(base, 0), slot),
                Depth::Exposed => self.empty_last_of(slot, rest),
            }
        }
    }

    /// Empties the last slot that the zombie `rest` in `slot` still has, and counts it off.
    fn empty_last_of(&mut self, slot: SlotId, rest: Cap) {
        let Cap::Zombie { base, remains, left } = rest else { unreachable!("not a zombie") };
        let end = self.slots.id(base, left - 1);
        self.delete_to(end, Depth::Inner);
        // The deletion may have changed this very slot: emptied it, or put another zombie here.
        if self.cap_in(slot) == rest {
            assert!(self.cap_in(end).is_null(), "a zombie's last slot is empty when counted off");
            self.slots.get_mut(slot).cap = Cap::Zombie { base, remains, left: left - 1 };
        }
    }

    /// What the loss of this capability does to its object, and what is left of it
    /// (`finaliseCap`).
    ///
    /// Only the **last** capability to a frame unmaps it (`Mode_finaliseCap`): a mapped copy that
    /// is deleted while another capability remains leaves its mapping behind, with no capability
    /// that knows of it.
    fn finalise(&mut self, cap: Cap, last: bool) -> Cap {
        match cap {
            Cap::Zombie { .. } => return cap,
            _ if !last => {}
            Cap::CNode { base, radix, .. } => {
                let left = mask(radix) + 1;
                return Cap::Zombie { base, remains: Remains::CNode { radix }, left };
            }
            Cap::Tcb { base } => {
                assert_ne!(base, self.caller, "the calling thread was deleted");
                return Cap::Zombie { base, remains: Remains::Tcb, left: TCB_SLOTS };
            }
            Cap::Frame { base, size_bits, mapped, .. } => {
                if let Some(place) = mapped {
                    self.unmap_frame(base, size_bits, place);
                }
                self.objects.destroy(base);
            }
            Cap::Table { base, level: 0, mapped } => {
                if let Some(place) = mapped {
                    self.asids.remove(place.asid, base);
                }
                self.tables.clear(base);
                self.objects.destroy(base);
            }
            Cap::Table { base, level, mapped } => {
                if let Some(place) = mapped {
                    self.unmap_table(base, level, place);
                }
                self.objects.destroy(base);
            }
            Cap::AsidPool { base, first } => {
                self.asids.delete_pool(base, first);
                self.objects.destroy(base);
            }
            Cap::Endpoint { base, .. } | Cap::Notification { base, .. } => {
                self.cancel_all_sends(base);
                self.objects.destroy(base);
            }
            Cap::Null
            | Cap::Untyped { .. }
            | Cap::AsidControl
            | Cap::IrqControl
            | Cap::IoPort { .. }
            | Cap::Domain => {}
        }
        Cap::Null
    }

    /// Empties a slot whose capability is finalised. With a zombie the object is gone at last.
    fn empty(&mut self, slot: SlotId) {
        match self.cap_in(slot) {
            Cap::Null => return,
            Cap::Zombie { base, remains, .. } => {
                if remains == Remains::Tcb {
                    self.tcbs.remove(&base);
                }
                self.objects.destroy(base);
            }
            // Final CNodes and threads are zombies by now, unless they had no slot to empty.
            _ => {}
        }
        self.meter.count_deleted();
        self.unlink(slot);
    }
}
