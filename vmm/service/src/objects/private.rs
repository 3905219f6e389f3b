// SPDX-License-Identifier: BSD-2-Clause
//! Paged memory mapped privately: a page that is written is a copy of the mapping's own from then
//! on.
//!
//! ```text
//!   read ───► the page that its pager supplied, which can only be read here
//!   write ──► a copy in its place: the pager is not told, and does not take it back
//! ```
//!
//! Copies lie where they are used, in the space, and nowhere else. They are paid for when it is
//! mapped, all that there can be, and so a write is never refused for want of them.

use vmm::{Kernel, Memory, Pages, Placement, Violation, Vmm};
use vmm_client::objects::{Answer, Refusal, Rights};

use super::answers::{page_rights, refuse, Answered};
use super::mappings::{area, refuse_place, Wanted};
use super::memory::{at, copy_page, region};
use super::parts::set_rights;
use super::service::{clearing, Objects};
use super::state::mapping::Mapping;
use super::state::object::Object;

impl<'p> Objects<'p> {
    /// Maps a page of a private mapping where it was touched: one that it has copied, or one that
    /// is there, and a copy of that where it is to be written. Returns whether it is mapped so.
    pub(super) fn bring_private<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        mapping: &'p Mapping<'p>,
        page: u32,
        write: bool,
    ) -> vmm::Result<bool> {
        let parts = mapping.memory.get().zip(mapping.region.get());
        let Some((memory, into)) = parts else { return Ok(false) };
        let rights = page_rights(mapping.rights.get());
        if write && !mapping.rights.get().contains(Rights::WRITE) {
            return Ok(false);
        }
        let here = at(into, page);
        let mapped = vmm.mapping_at(into.space(), here)?;
        if let Some(own) = mapped.filter(|page| mapping.owns(page)) {
            // It was to be read alone for a while.
            if write && !own.rights.contains(rights) {
                clearing(vmm, |vmm| vmm.protect(into.space(), Pages::at(here), rights))?;
            }
            return Ok(true);
        }
        let number = mapping.first.get() + page;
        let there = self.tables.there(memory, number).and(region(memory));
        let Some(from) = there else { return Ok(false) };
        if write {
            if mapped.is_some() {
                vmm.decommit_some(into.space(), Pages::at(here), 1)?;
            }
            copy_page(vmm, (from.space(), at(from, number)), (into, page))?;
        } else if mapped.is_none() {
            let (pages, only) = (Pages::at(at(from, number)), page_rights(Rights::READ));
            let to = (into, page as usize);
            clearing(vmm, |vmm| vmm.share_into_with(from.space(), pages, to, only))?;
        }
        Ok(true)
    }

    /// Moves a private mapping, with all that is mapped in it: at most as many pages as one request
    /// does. It is known by the same number as before.
    pub(super) fn move_private<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        (space, part): (&'p Object<'p>, &'p Mapping<'p>),
        wanted: Wanted,
    ) -> Answered {
        let old = part.region.get().ok_or(Refusal::Internal {})?;
        let placement = match wanted.address {
            0 => Placement::anywhere(),
            address => Placement::at(address),
        };
        let (_, inside) = area(space)?;
        let placement = inside.map_or(placement, |around| placement.inside(around));
        if !wanted.rights.contains(Rights::WRITE) {
            // Where it then is not moved, a touch gives the right back.
            set_rights(vmm, part, wanted.rights).map_err(refuse)?;
        }
        let moved = clearing(vmm, |vmm| vmm.move_region(old, placement));
        let new = moved.map_err(|error| refuse_place(error, wanted.address))?;
        let within = space.outer.get().map(|_| space);
        self.tables.move_mapping(part, part.token.get(), (new, wanted.rights), within);
        Ok(Answer::Mapped { address: new.start().bits() })
    }

    /// I43: a page of a private mapping is its own, or one that was supplied to its memory object
    /// and cannot be written there.
    pub(super) fn validate_private<K: Kernel + Memory<'p>>(
        &self,
        vmm: &Vmm<'p, K>,
        mapping: &Mapping<'p>,
    ) -> Result<(), Violation> {
        let parts = mapping.memory.get().zip(mapping.region.get());
        let Some((memory, into)) = parts.filter(|_| mapping.private.get()) else { return Ok(()) };
        for page in 0..mapping.pages.get() {
            let address = at(into, page);
            let Ok(Some(mapped)) = vmm.mapping_at(into.space(), address) else { continue };
            let number = mapping.first.get() + page;
            let supplied = self.tables.supplied(memory.number.get(), number).is_some();
            let read = supplied && !mapped.rights.contains(vmm::Rights::WRITE);
            if !mapping.owns(&mapped) && !read {
                return Err(Violation { rule: "a private page is its own, or read", at: address });
            }
        }
        Ok(())
    }
}
