// SPDX-License-Identifier: BSD-2-Clause
//! Spaces, endpoints and notifications: made of kernel objects whose originals stay with the
//! manager.

use vmm::{Blueprint, Kernel, Memory, Rights as CapRights, Vmm};
use vmm_client::objects::{Amounts, Kind, MemoryOptions, Refusal, Resource};

use super::answers::{refuse, refuse_slot, Refused, NODE};
use super::capabilities::{slot_path, Place};
use super::service::{clearing, Objects};
use super::state::object::{Object, What};

/// A space: its record, its ASID, its root table.
pub(super) const SPACE: Amounts = NODE.with(Resource::Spaces, 1).with(Resource::Pages, 1);
/// A small kernel object: its record, its slot.
const SMALL: Amounts = NODE.with(Resource::Objects, 1).with(Resource::Slots, 1);

impl<'p> Objects<'p> {
    /// Serves [`vmm_client::objects::Request::CreateSpace`].
    pub(super) fn create_space<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        place: Place<'p>,
    ) -> Result<&'p Object<'p>, Refused> {
        let rights = Object::all_rights(Kind::Space, MemoryOptions::empty());
        self.create(vmm, place, (Kind::Space, rights, SPACE), |_, vmm, _| {
            clearing(vmm, Vmm::create_space).map(What::Space).map_err(refuse)
        })
    }

    /// Serves [`vmm_client::objects::Request::CreateEndpoint`], and the same for notifications:
    /// the kernel's own capability goes into `slot`, where its holder can mint from it.
    pub(super) fn create_kernel_object<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        place: Place<'p>,
        (kind, slot): (Kind, u32),
    ) -> Result<&'p Object<'p>, Refused> {
        let (blueprint, what): (_, fn(vmm::Object) -> What) = match kind {
            Kind::Endpoint => (Blueprint::Endpoint, What::Endpoint),
            Kind::Notification => (Blueprint::Notification, What::Notification),
            _ => return Err(Refusal::Internal {}),
        };
        let path = slot_path(place.program, slot)?;
        if slot == place.slot {
            return Err(Refusal::SlotOccupied { slot });
        }
        let rights = Object::all_rights(kind, MemoryOptions::empty());
        self.create(vmm, place, (kind, rights, SMALL), |_, vmm, object| {
            let made = clearing(vmm, |vmm| vmm.allocate(blueprint)).map_err(refuse)?;
            // Whoever takes the record apart frees it.
            object.what.set(what(made));
            let copied = vmm.copy_cap(path, made.slot(), CapRights::all());
            copied.map_err(|error| refuse_slot(error, slot))?;
            Ok(what(made))
        })
    }
}
