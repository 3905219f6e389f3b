// SPDX-License-Identifier: BSD-2-Clause
//! Capabilities to objects: made, put into slots, and ended with all that hangs on them.
//!
//! ```text
//!   service's slot   badge 17, minted once ──► copies: in the slot that the request named,
//!                                              and wherever its holder passed them on to
//! ```
//!
//! The kernel deletes all copies when the service's is revoked. A badge is another capability's
//! only after that, and after what was sent by it and not received yet was cancelled.

use vmm::{CapPath, Kernel, Memory, Rights as CapRights, Vmm};
use vmm_client::objects::{Amounts, Kind, Refusal, Rights};

use super::answers::{refuse, refuse_slot, short, Refused};
use super::service::{clearing, Objects};
use super::state::capability::Capability;
use super::state::charge::{charge, refund};
use super::state::object::{Object, What};
use super::state::program::Program;
use super::state::validate::CAPABILITY;
use super::types::OBJECT_BADGE;

/// A new capability: where it goes, and who pays.
#[derive(Clone, Copy)]
pub(super) struct Place<'p> {
    pub program: &'p Program<'p>,
    pub payer: &'p Object<'p>,
    pub slot: u32,
}

/// The path of a slot in a program's own CNode.
pub(super) fn slot_path(program: &Program<'_>, slot: u32) -> Result<CapPath, Refused> {
    let cnode = program.cnode.get().ok_or(Refusal::Internal {})?;
    let depth = program.cnode_bits();
    match slot {
        1.. if slot < 1 << depth => Ok(CapPath { root: cnode.slot(), index: slot as usize, depth }),
        _ => Err(Refusal::BadSlot { slot }),
    }
}

impl<'p> Objects<'p> {
    /// Makes a capability to an object and puts a copy of it into a program's slot. Two
    /// kernel calls. After a refusal there is none.
    pub(super) fn hand_out<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        object: &'p Object<'p>,
        rights: Rights,
        parent: Option<&'p Capability<'p>>,
        place: Place<'p>,
    ) -> Result<&'p Capability<'p>, Refused> {
        let path = slot_path(place.program, place.slot)?;
        charge(place.payer, CAPABILITY).map_err(short)?;
        if !place.program.account.get().is_some_and(|own| own.is(place.payer)) {
            place.program.shares.set(true);
        }
        let node = self.tables.insert_capability(object, rights, parent, place.payer);
        let Some(node) = node else {
            refund(place.payer, CAPABILITY);
            return Err(Refusal::OutOfMemory {});
        };
        let badge = OBJECT_BADGE | node.badge.get() as usize;
        let minted = clearing(vmm, |vmm| vmm.mint_ascending_badge(self.endpoint, badge));
        let made = minted.map_err(refuse).and_then(|slot| {
            node.slot.set(slot);
            let to_send = CapRights::WRITE | CapRights::GRANT;
            vmm.copy_cap(path, slot, to_send).map_err(|error| refuse_slot(error, place.slot))
        });
        match made {
            Ok(()) => Ok(node),
            Err(refusal) => {
                let _ = self.take_back(vmm, node);
                Err(refusal)
            }
        }
    }

    /// Records an object that is nothing yet, and charges an account for it: both, or neither.
    pub(super) fn charged_object(
        &mut self,
        kind: Kind,
        payer: &'p Object<'p>,
        cost: Amounts,
    ) -> Result<&'p Object<'p>, Refused> {
        charge(payer, cost).map_err(short)?;
        let object = self.tables.insert_object(kind, Some(payer), cost);
        object.ok_or_else(|| {
            refund(payer, cost);
            Refusal::OutOfMemory {}
        })
    }

    /// Makes an object, with a capability to it in the slot that was named; `make` says what it is.
    /// After a refusal there is none, and nothing is charged.
    pub(super) fn create<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        place: Place<'p>,
        (kind, rights, cost): (Kind, Rights, Amounts),
        make: impl FnOnce(&mut Self, &mut Vmm<'p, K>, &'p Object<'p>) -> Result<What, Refused>,
    ) -> Result<&'p Object<'p>, Refused> {
        let object = self.charged_object(kind, place.payer, cost)?;
        // The slot first: what is in the way of it is found before anything else is made.
        let made = self.hand_out(vmm, object, rights, None, place);
        match made.and_then(|_| make(self, vmm, object)) {
            Ok(what) => {
                object.what.set(what);
                Ok(object)
            }
            Err(refusal) => {
                self.dismantle(vmm, object);
                Err(refusal)
            }
        }
    }

    /// Deletes a capability with all its copies, and forgets it. None is derived from it.
    pub(super) fn end_badge<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        node: &'p Capability<'p>,
    ) -> vmm::Result {
        if node.slot.get() != vmm::CPtr::NULL {
            vmm.end_badge(node.slot.get())?;
            node.slot.set(vmm::CPtr::NULL);
        }
        self.strike_out(node);
        let payer = node.payer.get();
        let object = node.object.get();
        self.tables.remove_capability(node);
        if let Some(payer) = payer {
            refund(payer, CAPABILITY);
        }
        if let Some(object) = object {
            self.retire_unheld(object);
        }
        Ok(())
    }

    /// Ends a capability that was just made and is not to be. If the kernel refuses that, it is
    /// left for [`Objects::reap_step`].
    pub(super) fn take_back<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        node: &'p Capability<'p>,
    ) -> vmm::Result {
        let ended = self.end_badge(vmm, node);
        if ended.is_err() {
            self.leave(node);
        }
        ended
    }

    /// Leaves the end of a capability to [`Objects::reap_step`]. It names nothing from now on.
    pub(super) fn leave(&mut self, node: &'p Capability<'p>) {
        self.tables.leave(node);
    }

    /// Ends a capability that nobody was to have, if there is one.
    pub(super) fn end_unwanted_step<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
    ) -> vmm::Result {
        match self.tables.unwanted.front().clone_pointer() {
            Some(node) => self.end_capability_step(vmm, node).map(|_| ()),
            None => Ok(()),
        }
    }

    /// Ends a capability, or first something that hangs on it: one that was derived from it, a
    /// mapping that was made by one of them. Returns whether it is gone itself.
    pub(super) fn end_capability_step<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        node: &'p Capability<'p>,
    ) -> vmm::Result<bool> {
        let mut last = node;
        while let Some(derived) = self.tables.first_derived(last) {
            last = derived;
        }
        if let Some(mapping) = self.tables.first_through(last.badge.get()) {
            self.unmap_step(vmm, mapping)?;
            return Ok(false);
        }
        let done = core::ptr::eq(last, node);
        self.end_badge(vmm, last)?;
        Ok(done)
    }
}
