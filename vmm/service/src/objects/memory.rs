// SPDX-License-Identifier: BSD-2-Clause
//! Memory objects: their pages lie in a region of the store of the account that pays, whether they
//! are mapped anywhere or not.

use vmm::{Blame, CachePolicy, Kernel, Memory, Pages, RegionOptions, SpaceId, Vmm};
use vmm_client::objects::{
    Amounts, Answer, Kind, Malformed, MemoryOptions, Refusal, Resource, Rights, MAX_PAGES,
    PAGE_BYTES,
};

use super::answers::{narrow, page_rights, refuse, tables, Answered, Refused, NODE};
use super::capabilities::Place;
use super::large::unit;
use super::service::{clearing, Objects};
use super::state::account::Account;
use super::state::counts::add;
use super::state::object::{Object, What};

/// What a memory object costs: its pages, and tables for them in the store.
pub(super) fn cost<'p, K: Kernel + Memory<'p>>(vmm: &Vmm<'p, K>, pages: u32) -> Amounts {
    let tables = tables(vmm.geometry(), pages);
    NODE.with(Resource::Pages, pages).with(Resource::Tables, tables)
}

/// How pages of a memory object are cached: those at a physical address, in another way perhaps.
pub(super) fn cache_policy(options: MemoryOptions) -> CachePolicy {
    let policies = [
        (MemoryOptions::UNCACHED, CachePolicy::Uncached),
        (MemoryOptions::WRITE_COMBINING, CachePolicy::WriteCombining),
        (MemoryOptions::WRITE_THROUGH, CachePolicy::WriteThrough),
    ];
    let chosen = policies.into_iter().find(|(option, _)| options.contains(*option));
    chosen.map_or(CachePolicy::WriteBack, |(_, policy)| policy)
}

/// The rights of pages in the store.
pub(super) fn stored(options: MemoryOptions) -> vmm::Rights {
    page_rights(match options.contains(MemoryOptions::WRITABLE) {
        true => Rights::READ_WRITE,
        false => Rights::READ,
    })
}

impl<'p> Objects<'p> {
    /// Serves [`vmm_client::objects::Request::CreateMemory`].
    pub(super) fn create_memory<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        place: Place<'p>,
        pages: u32,
        options: MemoryOptions,
    ) -> Result<&'p Object<'p>, Refused> {
        if options.contains(MemoryOptions::LARGE) {
            return self.create_large(vmm, place, pages, options);
        }
        if !MemoryOptions::WRITABLE.contains(options) {
            return Err(Refusal::Malformed { what: Malformed::Bits });
        }
        if pages == 0 {
            return Err(Refusal::BadLength { pages });
        }
        let (rights, cost) = (Object::all_rights(Kind::Memory, options), cost(vmm, pages));
        self.create(vmm, place, (Kind::Memory, rights, cost), |_, vmm, object| {
            let like = RegionOptions::new(pages as usize).rights(stored(options)).named("memory");
            let region = in_store(vmm, object, |vmm, store| {
                clearing(vmm, |vmm| vmm.reserve(store, &like)).map_err(refuse)
            })?;
            Ok(What::Memory { region, pages, options })
        })
    }

    /// Serves [`vmm_client::objects::Request::CreatePhysical`]. What lies there is looked at, and
    /// taken, when it is mapped.
    pub(super) fn create_physical<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        place: Place<'p>,
        (address, pages): (usize, u32),
        options: MemoryOptions,
    ) -> Result<&'p Object<'p>, Refused> {
        // One policy at the most, and no pager.
        let cached = options.difference(MemoryOptions::WRITABLE);
        if !MemoryOptions::CACHED.contains(cached) || cached.bits().count_ones() > 1 {
            return Err(Refusal::Malformed { what: Malformed::Bits });
        }
        if pages == 0 {
            return Err(Refusal::BadLength { pages });
        }
        if address % vmm.geometry().page_bytes() != 0 {
            return Err(Refusal::BadAddress { address });
        }
        let behind = u64::from(pages - 1) << vmm.geometry().page_bits;
        let last = usize::try_from(behind).ok().and_then(|behind| address.checked_add(behind));
        last.ok_or(Refusal::NoSuchPhysical { address })?;
        let rights = Object::all_rights(Kind::Memory, options).difference(Rights::USE);
        let tables = tables(vmm.geometry(), pages);
        let cost = NODE.with(Resource::Slots, pages).with(Resource::Tables, tables);
        self.create(vmm, place, (Kind::Memory, rights, cost), |_, vmm, object| {
            let like = RegionOptions::new(pages as usize).rights(stored(options));
            let like = like.cached(cache_policy(options)).named("physical");
            let region = in_store(vmm, object, |vmm, store| {
                clearing(vmm, |vmm| vmm.reserve(store, &like)).map_err(refuse)
            })?;
            Ok(What::Physical { region, address, pages, options })
        })
    }

    /// Has the pages of a memory object that is at a physical address in its store: at most so many
    /// more as one request maps. Returns whether all are there; always for other memory.
    pub(super) fn take_physical_step<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        memory: &Object<'p>,
    ) -> Result<bool, Refused> {
        let What::Physical { region, address, pages, .. } = memory.what.get() else {
            return Ok(true);
        };
        // From the first one on, and none goes before the end.
        let first = memory.committed.get();
        let more = (pages - first).min(MAX_PAGES);
        if more != 0 {
            let from = address + ((first as usize) << vmm.geometry().page_bits);
            clearing(vmm, |vmm| vmm.map_physical_into(region, first as usize, from, more as usize))
                .map_err(|error| match error {
                    vmm::Error::PhysicalInUse { paddr, .. } => {
                        Refusal::NoSuchPhysical { address: paddr }
                    }
                    vmm::Error::Allocator(error) if error.blame() == Blame::Caller => {
                        Refusal::NoSuchPhysical { address: from }
                    }
                    // For want of memory or slots.
                    other => refuse(other),
                })?;
            add(&memory.committed, more);
        }
        Ok(first + more == pages)
    }

    /// Has pages of a memory object, from `first` on, in its store: zero, if they were not there.
    pub(super) fn commit<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        memory: &'p Object<'p>,
        (first, pages): (u32, u32),
    ) -> vmm::Result {
        if memory.is_large() {
            let unit = unit(vmm, memory);
            let mut numbers = first / unit..(first + pages).div_ceil(unit);
            return numbers.try_for_each(|nth| self.commit_large(vmm, memory, nth).map(|_| ()));
        }
        let What::Memory { region, .. } = memory.what.get() else { return Ok(()) };
        let (space, bits) = (region.space(), vmm.geometry().page_bits);
        let at = |page: u32| region.start().bits() + ((page as usize) << bits);
        let mut page = first;
        while page < first + pages {
            if vmm.mapping_at(space, at(page))?.is_some() {
                page += 1;
                continue;
            }
            let begin = page;
            while page < first + pages && vmm.mapping_at(space, at(page))?.is_none() {
                page += 1;
            }
            vmm.populate(space, Pages::at(at(begin)).count((page - begin) as usize))?;
            add(&memory.committed, page - begin);
        }
        Ok(())
    }

    /// Serves [`vmm_client::objects::Request::Locate`].
    pub(super) fn locate<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        memory: &'p Object<'p>,
        page: u32,
    ) -> Answered {
        // Paged memory and such at a physical address have no capability with the right for this.
        let (What::Memory { pages, .. } | What::Large { pages, .. }) = memory.what.get() else {
            return Err(Refusal::Internal {});
        };
        if page >= pages {
            return Err(Refusal::BeyondEnd { pages });
        }
        let What::Memory { region, .. } = memory.what.get() else {
            let (own, unit) = (vmm.own_space(), unit(vmm, memory));
            let large = self.commit_large(vmm, memory, page / unit).map_err(refuse)?;
            let within = ((page % unit) as usize) << vmm.geometry().page_bits;
            let address = vmm.physical_address(own, large.address() + within).map_err(refuse)?;
            memory.located.set(true);
            return Ok(Answer::Located { address });
        };
        let at = region.start().bits() + ((page as usize) << vmm.geometry().page_bits);
        let address = clearing(vmm, |vmm| {
            self.commit(vmm, memory, (page, 1))?;
            // One that others have, too, is theirs: this object is to have its own.
            vmm.break_copy_on_write(region.space(), Pages::at(at))?;
            vmm.physical_address(region.space(), at)
        });
        let address = address.map_err(refuse)?;
        memory.located.set(true);
        Ok(Answer::Located { address })
    }

    /// Gives back pages of a memory object that nobody has mapped; returns whether it is empty.
    pub(super) fn empty_step<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        memory: &'p Object<'p>,
    ) -> vmm::Result<bool> {
        if memory.is_large() {
            return self.empty_large_step(vmm, memory);
        }
        let (What::Memory { region, pages, .. } | What::Physical { region, pages, .. }) =
            memory.what.get()
        else {
            memory.what.set(What::Nothing);
            return Ok(true);
        };
        self.end_cloning(memory);
        self.end_paged(vmm, memory)?;
        let (all, most) = (Pages::at(region.start().bits()), MAX_PAGES as usize);
        let done = vmm.decommit_some(region.space(), all.count(pages as usize), most)?;
        self.given_back = self.given_back.saturating_add(narrow(done));
        memory.committed.set(memory.committed.get().saturating_sub(narrow(done)));
        if done < most {
            vmm.release(region)?;
            memory.what.set(What::Nothing);
        }
        Ok(done < most)
    }
}

/// Refuses what would give a memory object another page in the place of one whose physical address
/// was told.
pub(super) fn check_unlocated(memory: &Object<'_>, place: u32) -> Result<(), Refused> {
    match memory.located.get() {
        true => Err(Refusal::Pinned { place }),
        false => Ok(()),
    }
}

/// Makes something in the space in which the account that pays for an object has the pages of its
/// memory objects: that is made where this is the first, and goes where it cannot be made. The
/// account paid for it when it was made itself, and has it until its end.
pub(super) fn in_store<'p, K: Kernel + Memory<'p>, T>(
    vmm: &mut Vmm<'p, K>,
    object: &Object<'p>,
    make: impl FnOnce(&mut Vmm<'p, K>, SpaceId) -> Result<T, Refused>,
) -> Result<T, Refused> {
    let payer = object.payer.get().ok_or(Refusal::Internal {})?;
    let account = || payer.account().ok_or(Refusal::Internal {});
    if let Some(store) = account()?.store {
        return make(vmm, store);
    }
    let store = clearing(vmm, Vmm::create_store).map_err(refuse)?;
    let made = make(vmm, store);
    // What the kernel does not take back goes with the account.
    if made.is_ok() || vmm.destroy_space(store).is_err() {
        payer.what.set(What::Account(Account { store: Some(store), ..account()? }));
    }
    made
}

/// Where a memory object has its pages.
pub(super) fn region(memory: &Object<'_>) -> Option<vmm::RegionId> {
    match memory.what.get() {
        What::Memory { region, .. } => Some(region),
        _ => None,
    }
}

/// The address of a page in a store.
pub(super) fn at(region: vmm::RegionId, page: u32) -> usize {
    region.start().bits() + page as usize * PAGE_BYTES
}

/// Copies a page from one store into another; where there is none, what is copied is zero.
#[inline(never)]
pub(super) fn copy_page<'p, K: Kernel + Memory<'p>>(
    vmm: &mut Vmm<'p, K>,
    (from, page): (SpaceId, usize),
    (into, number): (vmm::RegionId, u32),
) -> vmm::Result {
    let mut bytes = [0; PAGE_BYTES];
    if vmm.mapping_at(from, page)?.is_some() {
        clearing(vmm, |vmm| vmm.read(from, page, &mut bytes))?;
    }
    clearing(vmm, |vmm| vmm.populate_from(into.space(), at(into, number), &bytes))
}
