// SPDX-License-Identifier: BSD-2-Clause
//! The derivation tree, kept as the kernel keeps it: one doubly linked list through all slots.
//!
//! ```text
//!   untyped ── frame ── copy of frame ── endpoint ── badged copy ── untyped …
//!      └────────┴─────────────┴─────────────┴───────────┘ children of the first untyped
//! ```
//!
//! A capability's descendants are those that follow it for as long as it is a parent of each. Who
//! is a parent is read from the two capabilities and two bits of the slots: *revocable* (it may
//! have children at all) and *first badged* (a new badge begins here). Rules from
//! `src/object/cnode.c`.

use untyped_alloc::kernel::{KernelError, KernelResult};

use super::kernel::ModelKernel;
use super::state::cap::Cap;
use super::state::slots::SlotId;

impl ModelKernel<'_> {
    /// Whether the capability in `slot` is an ancestor of the one in `other`, given that `other`
    /// follows it in the list (`isMDBParentOf`).
    pub(super) fn is_parent(&self, slot: SlotId, other: SlotId) -> bool {
        let (parent, child) = (self.slots.get(slot), self.slots.get(other));
        if !parent.revocable || !parent.cap.covers(&child.cap, &self.arch) {
            return false;
        }
        match (parent.cap, child.cap) {
            (Cap::Endpoint { badge, .. }, Cap::Endpoint { badge: of_child, .. })
            | (Cap::Notification { badge, .. }, Cap::Notification { badge: of_child, .. }) => {
                badge == 0 || badge == of_child && !child.first_badged
            }
            _ => true,
        }
    }

    /// The first child of the capability in `slot`, if it has children.
    pub(super) fn child(&self, slot: SlotId) -> Option<SlotId> {
        self.slots.get(slot).next.filter(|&next| self.is_parent(slot, next))
    }

    pub(super) fn must_be_childless(&self, slot: SlotId) -> KernelResult {
        if self.child(slot).is_none() { Ok(()) } else { Err(KernelError::RevokeFirst) }
    }

    /// Whether this is the last capability to its object. Copies are always neighbours, so the
    /// kernel looks no further (`isFinalCapability`).
    pub(super) fn is_final(&self, slot: SlotId) -> bool {
        let this = self.slots.get(slot);
        let same = |a: Cap, b: Cap| a.same_object(&b, &self.arch);
        !this.prev.is_some_and(|prev| same(self.cap_in(prev), this.cap))
            && !this.next.is_some_and(|next| same(this.cap, self.cap_in(next)))
    }

    /// Puts `cap` right after `parent`: how a retype makes children (`insertNewCap`).
    pub(super) fn insert_child(&mut self, parent: SlotId, slot: SlotId, cap: Cap) {
        self.link_after(parent, slot, cap, true);
    }

    /// Puts a copy of the capability in `source` into `slot` (`cteInsert`). A copy is a child of
    /// its source unless the source is a copy itself; it may have children of its own only if it
    /// is an untyped or has a new badge.
    pub(super) fn insert_copy(&mut self, source: SlotId, slot: SlotId, cap: Cap) {
        let original = self.cap_in(source);
        let revocable = match (original, cap) {
            (Cap::Endpoint { badge: old, .. }, Cap::Endpoint { badge: new, .. })
            | (Cap::Notification { badge: old, .. }, Cap::Notification { badge: new, .. }) => {
                old != new
            }
            (_, Cap::Untyped { .. }) => true,
            _ => false,
        };
        // A copied untyped owns the memory from here on: nothing more comes from the source.
        if let (
            Cap::Untyped { base: a, size_bits, device, .. },
            Cap::Untyped { base: b, size_bits: copy_bits, .. },
        ) = (original, cap)
            && (a, size_bits) == (b, copy_bits)
        {
            self.slots.get_mut(source).cap =
                Cap::Untyped { base: a, size_bits, used: 1 << size_bits, device };
        }
        self.link_after(source, slot, cap, revocable);
    }

    fn link_after(&mut self, before: SlotId, slot: SlotId, cap: Cap, revocable: bool) {
        let next = self.slots.get_mut(before).next.replace(slot);
        if let Some(next) = next {
            self.slots.get_mut(next).prev = Some(slot);
        }
        let into = self.slots.get_mut(slot);
        assert!(into.cap.is_null() && into.prev.is_none() && into.next.is_none());
        into.cap = cap;
        into.prev = Some(before);
        into.next = next;
        into.revocable = revocable;
        into.first_badged = revocable;
    }

    /// A capability of the boot: in no list, but revocable (`write_slot` in `src/kernel/boot.c`).
    pub(super) fn insert_original(&mut self, slot: SlotId, cap: Cap) {
        let into = self.slots.get_mut(slot);
        assert!(into.cap.is_null(), "two capabilities of the boot in one slot");
        into.cap = cap;
        into.revocable = true;
        into.first_badged = true;
    }

    /// Takes the capability out of `slot` and the slot out of the list (`emptySlot`).
    pub(super) fn unlink(&mut self, slot: SlotId) {
        let gone = std::mem::take(self.slots.get_mut(slot));
        if let Some(prev) = gone.prev {
            self.slots.get_mut(prev).next = gone.next;
        }
        if let Some(next) = gone.next {
            let next = self.slots.get_mut(next);
            next.prev = gone.prev;
            next.first_badged |= gone.first_badged;
        }
        self.slots.release(slot);
    }

    /// Exchanges two slots, places in the list included (`cteSwap`).
    pub(super) fn swap(&mut self, one: SlotId, other: SlotId) {
        let (a, b) = (*self.slots.get(one), *self.slots.get(other));
        // Where the two are neighbours, each other's name changes along with everyone else's.
        let renamed = |link: Option<SlotId>| {
            link.map(|id| match id {
                id if id == one => other,
                id if id == other => one,
                id => id,
            })
        };
        for (slot, mut content) in [(one, b), (other, a)] {
            content.prev = renamed(content.prev);
            content.next = renamed(content.next);
            if let Some(prev) = content.prev {
                self.slots.get_mut(prev).next = Some(slot);
            }
            if let Some(next) = content.next {
                self.slots.get_mut(next).prev = Some(slot);
            }
            *self.slots.get_mut(slot) = content;
        }
    }
}
