// SPDX-License-Identifier: BSD-2-Clause
//! Memory objects mapped in spaces: pages appear when they are touched, or before, by request.

use vmm::{Backing, CachePolicy, Kernel, Memory, Pages, RegionId, RegionOptions, SpaceId, Vmm};
use vmm_client::objects::{Amounts, Answer, Refusal, Resource, Rights, MAX_PAGES};

use super::answers::{
    large_bits, narrow, page_rights, refuse, short, tables_above, Answered, Refused, NODE,
};
use super::large::{most, unit};
use super::memory::cache_policy;
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
    /// The most that those can become.
    pub ceiling: Rights,
    /// Whether a page that is written is a copy of the mapping's own from then on.
    pub private: bool,
    /// What its pages are like: what is mapped anew has those of its memory object.
    pub like: PageKind,
}

/// What pages are like.
#[derive(Clone, Copy, Default)]
pub(super) struct PageKind {
    /// Logarithm of their bytes.
    bits: u8,
    /// How they are cached.
    cache: CachePolicy,
}

/// What a memory object's pages are like.
pub(super) fn pages_of<'p, K: Kernel + Memory<'p>>(
    vmm: &Vmm<'p, K>,
    memory: &Object<'p>,
) -> PageKind {
    let cache = match memory.what.get() {
        What::Physical { options, .. } => cache_policy(options),
        _ => CachePolicy::WriteBack,
    };
    PageKind { bits: page_bits(vmm, memory), cache }
}

/// Logarithm of the bytes of a memory object's pages.
fn page_bits<'p, K: Kernel + Memory<'p>>(vmm: &Vmm<'p, K>, of: &Object<'p>) -> u8 {
    match of.is_large() {
        true => large_bits(vmm.geometry()),
        false => vmm.geometry().page_bits,
    }
}

/// What a mapping costs: a slot for each page that can be there, and tables for all of them. A
/// private one, which may have copies of all its pages, is charged with those.
pub(super) fn cost<'p, K: Kernel + Memory<'p>>(
    vmm: &Vmm<'p, K>,
    (memory, private): (&Object<'p>, bool),
    pages: u32,
) -> Amounts {
    let copies = if private { pages } else { 0 };
    let there = memory.paged.get().map_or(pages, |paged| paged.most.min(pages));
    let there = there / unit(vmm, memory);
    let tables = tables_above(vmm.geometry(), pages, page_bits(vmm, memory));
    let own = NODE.with(Resource::Pages, copies);
    own.with(Resource::Slots, there).with(Resource::Tables, tables)
}

impl<'p> Objects<'p> {
    /// Serves [`vmm_client::objects::Request::Map`], and
    /// [`vmm_client::objects::Request::MapPrivate`].
    pub(super) fn map<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        (space, through): (&'p Object<'p>, &'p Capability<'p>),
        payer: &'p Object<'p>,
        wanted: Wanted,
    ) -> Answered {
        let memory = through.object.get().ok_or(Refusal::Internal {})?;
        let allowed = if wanted.private { Rights::READ_WRITE } else { through.rights.get() };
        let ceiling = wanted.ceiling & allowed & area_ceiling(space);
        let wanted = Wanted { ceiling, like: pages_of(vmm, memory), ..wanted };
        check_rights(wanted.rights, ceiling)?;
        let pages = match memory.what.get() {
            What::Memory { pages, .. }
            | What::Physical { pages, .. }
            | What::Large { pages, .. } => pages,
            _ => return Err(Refusal::Internal {}),
        };
        if wanted.pages == 0 {
            return Err(Refusal::BadLength { pages: 0 });
        }
        let end = wanted.first.checked_add(wanted.pages);
        if end.is_none_or(|end| end > pages) {
            return Err(Refusal::BeyondEnd { pages });
        }
        if wanted.private && memory.paged.get().is_none() {
            return Err(Refusal::Paged { place: 1 });
        }
        let unit = unit(vmm, memory);
        if let Some(cut) = [wanted.first, wanted.pages].into_iter().find(|pages| pages % unit != 0)
        {
            return Err(Refusal::BadLength { pages: cut });
        }
        let token = self.tables.next_token().ok_or(Refusal::OutOfMemory {})?;
        let cost = cost(vmm, (memory, wanted.private), wanted.pages);
        charge(payer, cost).map_err(short)?;
        let placed = self.place(vmm, space, (memory, token), wanted);
        let new = |region: RegionId| NewMapping {
            space: space.space().0,
            within: space.outer.get().map(|_| space),
            memory,
            through: through.badge.get(),
            payer,
            charge: cost,
            region,
            start: region.start().bits(),
            first: wanted.first,
            pages: wanted.pages,
            rights: wanted.rights,
            private: wanted.private,
        };
        match placed.map(|region| region.map(new)) {
            Ok(Some(new)) if self.tables.insert_mapping(token, &new).is_some() => {
                Ok(Answer::Mapped { address: new.start })
            }
            Ok(Some(new)) => {
                refund(payer, cost);
                vmm.release(new.region).map_err(refuse)?;
                Err(Refusal::OutOfMemory {})
            }
            Ok(None) => {
                refund(payer, cost);
                Ok(Answer::More {})
            }
            Err(refusal) => {
                refund(payer, cost);
                Err(refusal)
            }
        }
    }

    /// The region of a mapping that is to be recorded next. None where all of a memory object that
    /// is at a physical address is not there yet, and so much of it came as one request maps.
    fn place<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        space: &'p Object<'p>,
        (memory, token): (&'p Object<'p>, u32),
        wanted: Wanted,
    ) -> Result<Option<RegionId>, Refused> {
        // What is there now is refused before anything is taken.
        let region = reserve(vmm, area(space)?, token, wanted)?;
        match self.take_physical_step(vmm, memory) {
            Ok(true) => Ok(Some(region)),
            other => {
                // Nothing is in it.
                vmm.release(region).map_err(refuse)?;
                other.map(|_| None)
            }
        }
    }

    /// Serves [`vmm_client::objects::Request::Populate`].
    pub(super) fn populate<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        space: &'p Object<'p>,
        (address, pages): (usize, u32),
    ) -> Answered {
        let (mapping, page) = self.part_at(vmm, space, (address, pages))?;
        let memory = mapping.memory.get().ok_or(Refusal::Internal {})?;
        let pages = pages.min(mapping.pages.get() - page).min(most(vmm, memory));
        if mapping.is_paged() {
            return self.populate_paged(vmm, mapping, (page, pages));
        }
        self.bring(vmm, mapping, (page, pages)).map_err(refuse)?;
        Ok(Answer::Pages { pages })
    }

    /// Serves the touch of a page of a mapping that the manager knows by `token`: its page number
    /// `page` is there afterwards, if it is no page of paged memory; of a token of no mapping it is
    /// a fault. Where there is no memory the thread waits, if an account that pays says so
    /// ([`AccountOptions::WAIT`](vmm_client::objects::AccountOptions::WAIT)). The thread is one of
    /// the program that [`Objects::note_fault`] was told of.
    ///
    /// # Errors
    /// Those of [`Vmm::populate`] and [`Vmm::share_into`].
    pub fn touch<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        (token, page): (u32, usize),
        write: bool,
    ) -> vmm::Result<Touched> {
        let number = narrow(page);
        let mapping = self.tables.mapping(token, number);
        // The manager's region may have more rights, which it can be given.
        let allows =
            |mapping: &&Mapping<'p>| !write || mapping.rights.get().contains(Rights::WRITE);
        let Some(mapping) = mapping.filter(allows) else { return Ok(Touched::Fault) };
        let page = number - mapping.base.get();
        let touched = match mapping.is_paged() {
            true => self.touch_paged(vmm, mapping, page, write),
            false => self.bring(vmm, mapping, (page, 1)).map(|()| {
                self.page_was_had();
                Touched::Done
            }),
        };
        touched.or_else(|error| self.wait_for_memory(vmm, mapping, (page, write), error))
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
        if memory.is_large() {
            return self.bring_large(vmm, (mapping, memory, into), (page, pages));
        }
        let (What::Memory { region, .. } | What::Physical { region, .. }) = memory.what.get()
        else {
            return Ok(());
        };
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
                let rights = page_rights(mapping.rights.get());
                vmm.share_into_with(region.space(), piece, (into, begin as usize), rights)?;
            } else {
                page += 1;
            }
        }
        Ok(())
    }

    /// Serves [`vmm_client::objects::Request::Unmap`].
    pub(super) fn unmap<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        space: &'p Object<'p>,
        address: usize,
    ) -> Answered {
        let mapping = self.mapping_in(vmm, space, address);
        let mapping = mapping.filter(|mapping| mapping.start.get() == address);
        let mapping = mapping.ok_or(Refusal::NoMapping { address })?;
        match self.unmap_step(vmm, mapping).map_err(refuse)? {
            true => Ok(Answer::Done {}),
            false => Ok(Answer::More {}),
        }
    }

    /// Unmaps as many of a mapping's pages as one request does; returns whether none is mapped any
    /// more.
    pub(super) fn unmap_some<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        mapping: &Mapping<'p>,
        (space, all): (SpaceId, Pages),
    ) -> vmm::Result<bool> {
        let memory = mapping.memory.get();
        let (most, unit) = memory.map_or((MAX_PAGES, 1), |of| (most(vmm, of), unit(vmm, of)));
        let done = narrow(vmm.decommit_some(space, all, most as usize)?);
        self.given_back = self.given_back.saturating_add(done / unit);
        Ok(done < most)
    }

    /// Unmaps some pages of a mapping; returns whether it is gone.
    pub(super) fn unmap_step<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        mapping: &'p Mapping<'p>,
    ) -> vmm::Result<bool> {
        if let Some(region) = mapping.region.get() {
            let (start, pages) = (mapping.start.get(), mapping.pages.get() as usize);
            let all = Pages::at(start).count(pages);
            if !self.unmap_some(vmm, mapping, (region.space(), all))? {
                return Ok(false);
            }
            vmm.release(region)?;
        }
        let (payer, charged) = (mapping.payer.get(), mapping.charge.get());
        if let Some(memory) = mapping.memory.get() {
            self.end_waits_at(memory, mapping);
        }
        self.tables.remove_mapping(mapping);
        if let Some(payer) = payer {
            refund(payer, charged);
        }
        Ok(true)
    }
}

/// Refuses rights of pages that are beyond a ceiling, or without reading.
pub(super) fn check_rights(rights: Rights, ceiling: Rights) -> Result<(), Refused> {
    let beyond = rights.difference(ceiling & Rights::READ_WRITE);
    match rights.contains(Rights::READ) {
        _ if !beyond.is_empty() => Err(Refusal::BeyondRights { asked: beyond }),
        true => Ok(()),
        false => Err(Refusal::NotReadable {}),
    }
}

/// The most rights of what is mapped in a space, or in a reservation.
pub(super) fn area_ceiling(area: &Object<'_>) -> Rights {
    match area.what.get() {
        What::Reservation { ceiling, .. } => ceiling,
        _ => Rights::READ_WRITE,
    }
}

/// The manager's space in which a request by a capability to a space or to a reservation maps; and
/// that one's region.
pub(super) fn area(area: &Object<'_>) -> Result<(SpaceId, Option<RegionId>), Refused> {
    match area.what.get() {
        What::Space(space) => Ok((space, None)),
        What::Reservation { region, .. } => Ok((region.space(), Some(region))),
        _ => Err(Refusal::Internal {}),
    }
}

/// What the region of a mapping is to be, in a reservation or in none.
fn options(inside: Option<RegionId>, wanted: Wanted) -> RegionOptions {
    let (rights, ceiling) = (page_rights(wanted.rights), page_rights(wanted.ceiling));
    let options = RegionOptions::new(wanted.pages as usize).rights(rights).ceiling(ceiling);
    let options = options.aligned(wanted.like.bits).cached(wanted.like.cache);
    let options = inside.map_or(options, |reservation| options.inside(reservation));
    match wanted.address {
        0 => options,
        address => options.at(address),
    }
}

/// A region whose pages come when they are touched: it has all rights that they can have, and each
/// page is mapped with those of its mapping.
pub(super) fn reserve<'p, K: Kernel + Memory<'p>>(
    vmm: &mut Vmm<'p, K>,
    (space, inside): (SpaceId, Option<RegionId>),
    token: u32,
    wanted: Wanted,
) -> Result<RegionId, Refused> {
    let wanted = Wanted { rights: wanted.ceiling, ..wanted };
    let options = options(inside, wanted).backed(Backing::Pager { token }).named("mapping");
    clearing(vmm, |vmm| vmm.reserve(space, &options))
        .map_err(|error| refuse_place(error, wanted.address))
}

/// What a client is told of an error about the place of a mapping, which was to be at an address,
/// or anywhere for 0.
pub(super) fn refuse_place(error: vmm::Error, address: usize) -> Refused {
    match error {
        // The end may be what lies outside.
        vmm::Error::Address(_) => Refusal::BadAddress { address },
        // It was to go anywhere, and there is no room where touches are told.
        vmm::Error::FaultsNotTold { .. } if address == 0 => Refusal::NoRoom {},
        other => refuse(other),
    }
}
