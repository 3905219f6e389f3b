// SPDX-License-Identifier: BSD-2-Clause
//! Memory objects mapped in spaces: pages appear when they are touched, or before, by request.

use vmm::{Backing, Kernel, Memory, Pages, RegionOptions, Vmm};
use vmm_client::objects::{Amounts, Answer, Refusal, Resource, Rights, MAX_PAGES};

use super::answers::{narrow, page_rights, refuse, short, tables, Answered, Refused, NODE};
use super::service::{clearing, Objects};
use super::state::capability::Capability;
use super::state::charge::{charge, refund};
use super::state::mapping::Mapping;
use super::state::object::{Object, What};
use super::state::tables::NewMapping;
use super::types::Touched;

/// What is to be mapped, and where.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    pub address: usize,
    pub first: u32,
    pub pages: u32,
    pub rights: Rights,
}

/// What a mapping costs: a slot for each page that can be there, and tables for all of them.
fn cost<'p, K: Kernel + Memory<'p>>(vmm: &Vmm<'p, K>, memory: &Object<'p>, pages: u32) -> Amounts {
    let there = memory.paged.get().map_or(pages, |paged| paged.most.min(pages));
    let tables = tables(vmm.geometry(), pages);
    NODE.with(Resource::Slots, there).with(Resource::Tables, tables)
}

impl<'p> Objects<'p> {
    /// Serves [`vmm_client::objects::Request::Map`].
    pub(super) fn map<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        (space, through): (&'p Object<'p>, &'p Capability<'p>),
        payer: &'p Object<'p>,
        wanted: Wanted,
    ) -> Answered {
        let memory = through.object.get().ok_or(Refusal::Internal {})?;
        let beyond = wanted.rights.difference(through.rights.get() & Rights::READ_WRITE);
        if !beyond.is_empty() || !wanted.rights.contains(Rights::READ) {
            return Err(Refusal::BeyondRights { asked: beyond });
        }
        let pages = match memory.what.get() {
            What::Memory { pages, .. } | What::Physical { pages, .. } => pages,
            _ => return Err(Refusal::Internal {}),
        };
        if wanted.pages == 0 {
            return Err(Refusal::BadLength { pages: 0 });
        }
        let end = wanted.first.checked_add(wanted.pages);
        if end.is_none_or(|end| end > pages) {
            return Err(Refusal::BeyondEnd { pages });
        }
        let cost = cost(vmm, memory, wanted.pages);
        charge(payer, cost).map_err(short)?;
        let new = self.place(vmm, space, memory, wanted).map(|region| NewMapping {
            space,
            memory,
            through: through.badge.get(),
            payer,
            charge: cost,
            region,
            start: region.start().bits(),
            first: wanted.first,
            pages: wanted.pages,
        });
        match new {
            Ok(new) if self.tables.insert_mapping(&new).is_some() => {
                Ok(Answer::Mapped { address: new.start })
            }
            Ok(new) => {
                refund(payer, cost);
                vmm.release(new.region).map_err(refuse)?;
                Err(Refusal::OutOfMemory {})
            }
            Err(refusal) => {
                refund(payer, cost);
                Err(refusal)
            }
        }
    }

    /// The region of a mapping that is to be recorded next.
    fn place<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        space: &'p Object<'p>,
        memory: &'p Object<'p>,
        wanted: Wanted,
    ) -> Result<vmm::RegionId, Refused> {
        let What::Space(space) = space.what.get() else { return Err(Refusal::Internal {}) };
        let token = self.tables.next_token().ok_or(Refusal::OutOfMemory {})?;
        let What::Physical { address, .. } = memory.what.get() else {
            return reserve(vmm, space, token, wanted);
        };
        let options = options(wanted);
        if memory.mappings.get() != 0 {
            return Err(Refusal::InUse { times: memory.mappings.get() });
        }
        let address = address + ((wanted.first as usize) << vmm.geometry().page_bits);
        let mapped = vmm.map_physical(space, address, &options.named("physical"));
        mapped.map_err(|error| match error {
            vmm::Error::Allocator(_) | vmm::Error::PhysicalInUse { .. } => {
                Refusal::NoSuchPhysical { address }
            }
            other => refuse(other),
        })
    }

    /// Serves [`vmm_client::objects::Request::Populate`].
    pub(super) fn populate<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        space: &'p Object<'p>,
        (address, pages): (usize, u32),
    ) -> Answered {
        let mapping = self.tables.mapping_at(space, address);
        let mapping = mapping.ok_or(Refusal::NoMapping { address })?;
        let bits = vmm.geometry().page_bits;
        let offset = address - mapping.start.get();
        if offset & (vmm.geometry().page_bytes() - 1) != 0 {
            return Err(Refusal::BadAddress { address });
        }
        let page = narrow(offset >> bits);
        let left = mapping.pages.get().checked_sub(page).filter(|&left| left != 0);
        let left = left.ok_or(Refusal::NoMapping { address })?;
        if pages > left {
            return Err(Refusal::BeyondEnd { pages: left });
        }
        let pages = pages.min(MAX_PAGES);
        if mapping.memory.get().is_some_and(|memory| memory.paged.get().is_some()) {
            return self.populate_paged(vmm, mapping, (page, pages));
        }
        self.bring(vmm, mapping, (page, pages)).map_err(refuse)?;
        Ok(Answer::Pages { pages })
    }

    /// Serves the touch of a page of a mapping that the manager knows by `token`: its page number
    /// `page` is there afterwards, if it is no page of paged memory; of a token of no mapping it is
    /// a fault. The thread is one of the program that [`Objects::note_fault`] was told of.
    ///
    /// # Errors
    /// Those of [`Vmm::populate`] and [`Vmm::share_into`].
    pub fn touch<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        (token, page): (u32, usize),
        write: bool,
    ) -> vmm::Result<Touched> {
        let Some(mapping) = self.tables.mapping(token) else { return Ok(Touched::Fault) };
        let page = narrow(page);
        if page >= mapping.pages.get() {
            return Ok(Touched::Fault);
        }
        if mapping.memory.get().is_some_and(|memory| memory.paged.get().is_some()) {
            return self.touch_paged(vmm, mapping, page, write);
        }
        self.bring(vmm, mapping, (page, 1))?;
        Ok(Touched::Done)
    }

    /// The same of paged memory: those of its first pages that are there.
    fn populate_paged<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        mapping: &'p Mapping<'p>,
        (first, pages): (u32, u32),
    ) -> Answered {
        let mut done = 0;
        while done < pages {
            match self.bring_supplied(vmm, mapping, first + done, false) {
                Ok(true) => done += 1,
                Err(error) if done == 0 => return Err(refuse(error)),
                Ok(false) | Err(_) => break,
            }
        }
        Ok(Answer::Pages { pages: done })
    }

    /// Maps pages of a mapping that are not mapped yet. What must be cleared for them is cleared,
    /// also where that is more than one call clears by itself: they are promised.
    pub(super) fn bring<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        mapping: &'p Mapping<'p>,
        pages: (u32, u32),
    ) -> vmm::Result {
        clearing(vmm, |vmm| self.try_bring(vmm, mapping, pages))
    }

    fn try_bring<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        mapping: &'p Mapping<'p>,
        (page, pages): (u32, u32),
    ) -> vmm::Result {
        let parts = mapping.memory.get().zip(mapping.region.get());
        let Some((memory, into)) = parts else { return Ok(()) };
        let What::Memory { region, .. } = memory.what.get() else { return Ok(()) };
        let first = mapping.first.get() + page;
        self.commit(vmm, memory, (first, pages))?;
        let (bits, end) = (vmm.geometry().page_bits, page + pages);
        let mut page = page;
        while page < end {
            let at = |page: u32| mapping.start.get() + ((page as usize) << bits);
            let begin = page;
            while page < end && vmm.mapping_at(into.space(), at(page))?.is_none() {
                page += 1;
            }
            if page > begin {
                let from = mapping.first.get() + begin;
                let from = region.start().bits() + ((from as usize) << bits);
                let piece = Pages::at(from).count((page - begin) as usize);
                vmm.share_into(region.space(), piece, into, begin as usize)?;
            } else {
                page += 1;
            }
        }
        Ok(())
    }

    /// Serves [`vmm_client::objects::Request::Move`].
    pub(super) fn move_mapping<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        space: &'p Object<'p>,
        address: usize,
        (to, rights): (usize, Rights),
    ) -> Answered {
        let mapping = self.tables.mapping_from(space, address);
        let mapping = mapping.ok_or(Refusal::NoMapping { address })?;
        let through = self.tables.capability(mapping.through.get());
        let parts = mapping.memory.get().zip(mapping.region.get()).zip(through);
        let ((memory, old), through) = parts.ok_or(Refusal::Internal {})?;
        let beyond = rights.difference(through.rights.get() & Rights::READ_WRITE);
        if !beyond.is_empty() || !rights.contains(Rights::READ) {
            return Err(Refusal::BeyondRights { asked: beyond });
        }
        if let What::Physical { .. } = memory.what.get() {
            return Err(Refusal::InUse { times: memory.mappings.get() });
        }
        let (first, pages) = (mapping.first.get(), mapping.pages.get());
        let wanted = Wanted { address: to, first, pages, rights };
        // What is there now is refused before anything is done.
        let new = reserve(vmm, old.space(), mapping.token.get(), wanted)?;
        let (all, most) = (Pages::at(address).count(pages as usize), MAX_PAGES as usize);
        let gone = vmm.decommit_some(old.space(), all, most).and_then(|done| {
            let all = done < most;
            if all {
                vmm.release(old)?;
            }
            Ok(all)
        });
        match gone {
            Ok(true) => {
                let address = new.start().bits();
                self.tables.move_mapping(mapping, new, address);
                Ok(Answer::Mapped { address })
            }
            other => {
                // Nothing is in it.
                vmm.release(new).map_err(refuse)?;
                other.map(|_| Answer::More {}).map_err(refuse)
            }
        }
    }

    /// Serves [`vmm_client::objects::Request::Unmap`].
    pub(super) fn unmap<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        space: &'p Object<'p>,
        address: usize,
    ) -> Answered {
        let mapping = self.tables.mapping_from(space, address);
        let mapping = mapping.ok_or(Refusal::NoMapping { address })?;
        match self.unmap_step(vmm, mapping).map_err(refuse)? {
            true => Ok(Answer::Done {}),
            false => Ok(Answer::More {}),
        }
    }

    /// Unmaps some pages of a mapping; returns whether it is gone.
    pub(super) fn unmap_step<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        mapping: &'p Mapping<'p>,
    ) -> vmm::Result<bool> {
        if let Some(region) = mapping.region.get() {
            let (start, pages) = (mapping.start.get(), mapping.pages.get() as usize);
            let most = MAX_PAGES as usize;
            if vmm.decommit_some(region.space(), Pages::at(start).count(pages), most)? >= most {
                return Ok(false);
            }
            vmm.release(region)?;
        }
        let (payer, charged) = (mapping.payer.get(), mapping.charge.get());
        if let Some(memory) = mapping.memory.get() {
            self.end_waits_at(memory, mapping.token.get());
        }
        self.tables.remove_mapping(mapping);
        if let Some(payer) = payer {
            refund(payer, charged);
        }
        Ok(true)
    }
}

/// What the region of a mapping is to be.
fn options(wanted: Wanted) -> RegionOptions {
    let rights = page_rights(wanted.rights);
    let options = RegionOptions::new(wanted.pages as usize).rights(rights).ceiling(rights);
    match wanted.address {
        0 => options,
        address => options.at(address),
    }
}

/// A region whose pages come when they are touched.
fn reserve<'p, K: Kernel + Memory<'p>>(
    vmm: &mut Vmm<'p, K>,
    space: vmm::SpaceId,
    token: u32,
    wanted: Wanted,
) -> Result<vmm::RegionId, Refused> {
    let options = options(wanted).backed(Backing::Pager { token }).named("mapping");
    vmm.reserve(space, &options).map_err(|error| match error {
        // The end may be what lies outside.
        vmm::Error::Address(_) => Refusal::BadAddress { address: wanted.address },
        // It was to go anywhere, and there is no room where touches are told.
        vmm::Error::FaultsNotTold { .. } if wanted.address == 0 => Refusal::NoRoom {},
        other => refuse(other),
    })
}
