// SPDX-License-Identifier: BSD-2-Clause
//! Parts of spaces that are reserved: whoever has a capability to one maps in it, and reaches
//! nothing outside; nobody else maps in it but by a capability to what is around it.
//!
//! ```text
//!   space        ├───────────────────────────────────────────────────────────┤
//!   reservation        ├── ceiling: read and write ───────────┤
//!   in it                    ├── read ──┤      ├ mapping ┤
//! ```

use vmm::{Kernel, Memory, RegionOptions, Vmm};
use vmm_client::objects::{Kind, MemoryOptions, Refusal, Rights};

use super::answers::{page_rights, refuse, Refused, NODE};
use super::capabilities::Place;
use super::mappings::{area, area_ceiling, check_rights};
use super::service::{clearing, Objects};
use super::state::account::MAX_DEPTH;
use super::state::object::{Object, What};

/// A reservation that is to be made.
#[derive(Clone, Copy)]
pub(super) struct NewReservation {
    pub address: usize,
    pub pages: u32,
    pub ceiling: Rights,
}

impl<'p> Objects<'p> {
    /// Serves [`vmm_client::objects::Request::Reserve`].
    pub(super) fn reserve<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        place: Place<'p>,
        outer: &'p Object<'p>,
        new: NewReservation,
    ) -> Result<&'p Object<'p>, Refused> {
        let NewReservation { address, pages, ceiling } = new;
        if pages == 0 {
            return Err(Refusal::BadLength { pages });
        }
        check_rights(ceiling, area_ceiling(outer))?;
        if outer.space().1 >= MAX_DEPTH {
            return Err(Refusal::TooDeep { most: MAX_DEPTH });
        }
        let rights = Object::all_rights(Kind::Space, MemoryOptions::empty());
        self.create(vmm, place, (Kind::Space, rights, NODE), |objects, vmm, object| {
            let (space, inside) = area(outer)?;
            let options = RegionOptions::new(pages as usize).ceiling(page_rights(ceiling));
            let options = options.rights(page_rights(Rights::READ)).named("reservation");
            let options = inside.map_or(options, |around| options.inside(around));
            let told = vmm.geometry().fault_end;
            let options = match address {
                // Where touches are told: nothing can be mapped elsewhere.
                0 if told < vmm.geometry().user_end => options.within(0..told),
                0 => options,
                address => options.at(address),
            };
            let made =
                clearing(vmm, |vmm| vmm.create_reservation(space, &options)).map_err(|error| {
                    match error {
                        // The end may be what lies outside.
                        vmm::Error::Address(_) => Refusal::BadAddress { address },
                        other => refuse(other),
                    }
                });
            let region = made?;
            objects.tables.insert_reservation(object, outer);
            Ok(What::Reservation { region, pages, ceiling })
        })
    }

    /// Ends what lies in a space or a reservation of reservations, by one step: those that lie in
    /// others first. Returns whether none is left.
    pub(super) fn end_reservations_step<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        outer: &'p Object<'p>,
    ) -> vmm::Result<bool> {
        let Some(mut last) = self.tables.first_inside(outer) else { return Ok(true) };
        while let Some(inner) = self.tables.first_inside(last) {
            last = inner;
        }
        last.dying.set(true);
        if self.end_object_step(vmm, last)? {
            self.unlist_dying(last);
            self.remove_record(last);
        }
        Ok(false)
    }

    /// Takes a reservation apart by one step: what is mapped in it, what is reserved in it, itself.
    /// Returns whether nothing is left of it.
    pub(super) fn end_reservation_step<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        object: &'p Object<'p>,
    ) -> vmm::Result<bool> {
        let What::Reservation { region, pages, .. } = object.what.get() else { return Ok(true) };
        let bytes = (pages as usize) << vmm.geometry().page_bits;
        let last = region.start().bits() + (bytes - 1);
        if let Some(mapping) = self.mapping_in(vmm, object, last) {
            self.unmap_step(vmm, mapping)?;
            return Ok(false);
        }
        if !self.end_reservations_step(vmm, object)? {
            return Ok(false);
        }
        vmm.release(region)?;
        object.what.set(What::Nothing);
        Ok(true)
    }
}
