// SPDX-License-Identifier: BSD-2-Clause
//! The end of objects: all that hangs on them goes first, in pieces, between other requests.
//!
//! ```text
//!   account ── mappings it pays for ── objects charged to it, each in this way ── capabilities
//!   memory ─── its mappings ── its pages, 64 at a time ──┐
//!   space ──── its mappings, reservations, all else ─────┤── capabilities to it, with all derived
//!   endpoint ─ the kernel object, with all copies ───────┤   ── the record; the charge comes back
//!   program ── its thread and CNodes ── its account ─────┘
//! ```
//!
//! A step that the kernel refuses has done nothing and is made again.

use vmm::{Kernel, Kind as RegionKind, Memory, SpaceId, Vmm};
use vmm_client::objects::MAX_PAGES;

use super::service::Objects;
use super::state::charge::{refund, take_back};
use super::state::object::{Object, What};

/// The most steps of one request. In each a capability ends, with all its copies, or
/// [`MAX_PAGES`] pages are given back.
pub(super) const MAX_STEPS: usize = 16;
/// The pages that one request gives back, or a few more: so it is answered within some 500,000
/// instructions.
pub(super) const MAX_GIVEN_BACK: u32 = 2 * MAX_PAGES;

impl<'p> Objects<'p> {
    /// Marks an object as one that is taken apart: from now on capabilities to it name nothing.
    pub(super) fn retire(&mut self, object: &'p Object<'p>) {
        if !object.dying.replace(true) {
            self.list_dying(object);
        }
    }

    /// Puts an object before the others that are taken apart, unless it is one.
    fn list_dying(&mut self, object: &'p Object<'p>) {
        if !object.listed.replace(true) {
            if let Some(next) = self.dying.replace(object) {
                object.next_dying.set(Some(next));
                next.last_dying.set(Some(object));
            }
        }
    }

    /// Does a piece of the work that is left from programs and objects that ended, if there is
    /// any: at most [`MAX_PAGES`] pages. Returns whether there is more. To be followed by
    /// [`Objects::next_answer`] and [`Objects::next_notice`], without which there may be no progress.
    ///
    /// # Errors
    /// [`vmm::Error::Kernel`] when a call was refused: call again.
    pub fn reap_step<K: Kernel + Memory<'p>>(&mut self, vmm: &mut Vmm<'p, K>) -> vmm::Result<bool> {
        match self.dying_programs {
            _ if !self.tables.unwanted.is_empty() => self.end_unwanted_step(vmm)?,
            Some(program) => self.end_program_step(vmm, program)?,
            None if self.ending != 0 => self.end_threads_step(vmm)?,
            None => {
                self.dismantle_step(vmm)?;
            }
        }
        let busy = self.is_busy();
        if !busy {
            (self.works_for, self.rests_for) = (None, None);
        }
        Ok(busy)
    }

    /// Whether the next piece of work is to be done before anybody goes on: of a program of which a
    /// thread may still run.
    pub fn is_urgent(&self) -> bool {
        self.unstopped != 0
    }

    /// Whether there is work for [`Objects::reap_step`].
    pub fn is_busy(&self) -> bool {
        let ending = self.dying_programs.is_some() || self.ending != 0;
        !self.tables.unwanted.is_empty() || ending || self.dying.is_some()
    }

    /// Takes an object apart that a request has made and that is not to be: all of it at once,
    /// unless the kernel refuses something. That is left for [`Objects::reap_step`].
    pub(super) fn dismantle<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        object: &'p Object<'p>,
    ) {
        self.retire(object);
        self.given_back = 0;
        for _ in 0..MAX_STEPS {
            if self.given_back > MAX_GIVEN_BACK {
                break;
            }
            // It comes before the others, also before what the last step added.
            if !self.unlist_dying(object) {
                break;
            }
            self.list_dying(object);
            if self.dismantle_step(vmm).is_err() {
                break;
            }
        }
    }

    /// Does a piece of the end of the object that was retired last; returns whether any is left.
    pub(super) fn dismantle_step<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
    ) -> vmm::Result<bool> {
        let Some(object) = self.dying else { return Ok(false) };
        if self.end_object_step(vmm, object)? {
            self.unlist_dying(object);
            self.remove_record(object);
        }
        Ok(self.dying.is_some())
    }

    /// Takes an object apart by one step; returns whether only its record is left.
    pub(super) fn end_object_step<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        object: &'p Object<'p>,
    ) -> vmm::Result<bool> {
        if !self.end_contents_step(vmm, object)? {
            return Ok(false);
        }
        if let Some(capability) = self.tables.next_of_object(object, 0) {
            self.end_capability_step(vmm, capability)?;
        }
        Ok(self.tables.next_of_object(object, 0).is_none())
    }

    /// Takes apart what an object stands for, by one step; returns whether nothing is left of it.
    fn end_contents_step<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        object: &'p Object<'p>,
    ) -> vmm::Result<bool> {
        match object.what.get() {
            What::Nothing | What::Console => return Ok(true),
            What::Program(report) => return self.end_report_step(vmm, object, report),
            What::Thread(_, report) => return self.end_thread_object_step(vmm, object, report),
            _ if object.programs.get() != 0 => {
                // Of a space, of an account: who runs in it, or has it.
                return self.end_programs_of(vmm, object).map(|()| false);
            }
            What::Account(_) => return self.end_account_step(vmm, object),
            What::Memory { .. } | What::Physical { .. } | What::Large { .. } => {
                self.tell_in_vain(object, None);
                match self.tables.first_of_memory(object) {
                    Some(mapping) => self.unmap_step(vmm, mapping)?,
                    None => return self.empty_step(vmm, object),
                };
            }
            What::Space(space) => match self.tables.mapping_at(object, usize::MAX) {
                Some(mapping) => {
                    self.unmap_step(vmm, mapping)?;
                }
                None => {
                    if !self.end_reservations_step(vmm, object)? {
                        return Ok(false);
                    }
                    // It gives back as many pages as one step does, but the last time.
                    self.given_back = self.given_back.saturating_add(MAX_PAGES);
                    if empty_space_step(vmm, space)? {
                        vmm.destroy_space(space)?;
                        object.what.set(What::Nothing);
                    }
                }
            },
            What::Reservation { .. } => return self.end_reservation_step(vmm, object),
            What::Endpoint(made) | What::Notification(made) => {
                vmm.free(made)?;
                object.what.set(What::Nothing);
            }
        }
        Ok(object.what.get() == What::Nothing)
    }

    fn end_account_step<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        account: &'p Object<'p>,
    ) -> vmm::Result<bool> {
        if let Some(mapping) = self.tables.first_mapping_paid(account) {
            self.unmap_step(vmm, mapping)?;
            return Ok(false);
        }
        // The last of its children's children first: no account's end waits within another's.
        let mut last = self.tables.first_charged(account);
        while let Some(inner) = last.and_then(|object| self.tables.first_charged(object)) {
            last = Some(inner);
        }
        if let Some(object) = last {
            object.dying.set(true);
            if self.end_object_step(vmm, object)? {
                self.unlist_dying(object);
                self.remove_record(object);
            }
            return Ok(false);
        }
        if let Some(capability) = self.tables.first_paid(account) {
            self.end_capability_step(vmm, capability)?;
            return Ok(false);
        }
        if self.end_emptied(vmm, account)? {
            return Ok(false);
        }
        self.end_threshold(vmm, account)?;
        let Some(figures) = account.account() else { return Ok(true) };
        if let Some(store) = figures.store {
            vmm.destroy_space(store)?;
        }
        debug_assert_eq!(figures.used, Default::default(), "an account ends with nothing used");
        // Its guarantee is its parent's again.
        let _ = take_back(account, figures.limits);
        account.what.set(What::Nothing);
        Ok(true)
    }

    /// Takes an object off the list of those that are taken apart; returns whether it was on it.
    pub(super) fn unlist_dying(&mut self, object: &'p Object<'p>) -> bool {
        if !object.listed.replace(false) {
            return false;
        }
        let (last, next) = (object.last_dying.take(), object.next_dying.take());
        match last {
            Some(last) => last.next_dying.set(next),
            None => self.dying = next,
        }
        if let Some(next) = next {
            next.last_dying.set(last);
        }
        true
    }

    /// Takes a guarantee off the list of those to which something has come back.
    pub(super) fn unlist_relieved(&self, object: &Object<'p>) {
        if !object.relieved.replace(false) {
            return;
        }
        let next = object.next_relieved.take();
        let mut at = self.root;
        let mut link = &at.first_relieved;
        while let Some(listed) = link.get() {
            if listed.is(object) {
                return link.set(next);
            }
            at = listed;
            link = &at.next_relieved;
        }
    }

    /// Forgets the record of an object, and gives its charge back.
    pub(super) fn remove_record(&mut self, object: &'p Object<'p>) {
        self.unlist_relieved(object);
        self.unlist_low(object);
        let (payer, charged) = (object.payer.get(), object.charge.get());
        let program = object.partner.take();
        self.tables.remove_object(object);
        if let Some(payer) = payer {
            refund(payer, charged);
        }
        // It was the account of a program that another asked for.
        if let Some(program) = program {
            program.partner.set(None);
            self.note_gone(program);
        }
    }
}

/// Gives back some of what is mapped in a space beside memory objects; returns whether that was
/// all.
pub(super) fn empty_space_step<'p, K: Kernel + Memory<'p>>(
    vmm: &mut Vmm<'p, K>,
    space: SpaceId,
) -> vmm::Result<bool> {
    let most = MAX_PAGES as usize;
    let (mut at, mut done) = (0, 0);
    while let Some(region) = vmm.next_region(space, at)? {
        at = region.range.end();
        let start = region.range.start().bits();
        match region.kind {
            RegionKind::IpcBuffer => {
                let buffer = vmm.first_ipc_buffer_in(region.id)?;
                vmm.release_ipc_buffer(buffer)?;
                done += 1;
                // There may be others in it.
                at = start;
            }
            RegionKind::Memory | RegionKind::Stack | RegionKind::Quarantine => {
                done += vmm.decommit_some(space, region.range, most)?;
            }
            // The null page, in which nothing is mapped.
            RegionKind::Boot | RegionKind::Bookkeeping | RegionKind::Reservation => {}
        }
        if done >= most {
            return Ok(false);
        }
    }
    Ok(true)
}
