// SPDX-License-Identifier: BSD-2-Clause
//! Memory objects of large pages: of those that the service has reserved, as many as the account
//! has.
//!
//! ```text
//!   reserved, zero ── a touch, a request ──► the object's, mapped wherever that is ──┐
//!        ▲                                                                           │ its end
//!        └── the account's again, once all are back ◄── zeroed, 64 pages at a time ◄─┘
//! ```
//!
//! What an object was charged with is free or its own, so a touch always finds one. Whoever ends
//! it pays for clearing, with his time; who gets the page next does not wait for that.

use vmm::{AllocatorError, Kernel, Memory, Pages, RegionId, Source, Violation, Vmm};
use vmm_client::objects::{
    Amounts, Answer, Kind, Malformed, MemoryOptions, Refusal, Resource, MAX_PAGES, PAGE_BYTES,
};

use super::answers::{large_bits, page_rights, refuse, short, Answered, Refused, NODE};
use super::capabilities::Place;
use super::service::Objects;
use super::state::charge::{charge, refund};
use super::state::counts::{add, sub};
use super::state::large::LargePage;
use super::state::mapping::Mapping;
use super::state::object::{Object, What};

/// The most large pages that one request maps, unmaps or gives other rights: each costs as much as
/// four small ones at the most.
pub(super) const MAX_LARGE: u32 = 16;

/// How many of the smallest pages a large page is as long as.
pub(super) fn pages_of_large<'p, K: Kernel + Memory<'p>>(vmm: &Vmm<'p, K>) -> u32 {
    1 << (large_bits(vmm.geometry()) - vmm.geometry().page_bits)
}

/// How many of the smallest pages of a memory object are mapped together.
pub(super) fn unit<'p, K: Kernel + Memory<'p>>(vmm: &Vmm<'p, K>, memory: &Object<'_>) -> u32 {
    match memory.is_large() {
        true => pages_of_large(vmm),
        false => 1,
    }
}

/// What a memory object of large pages costs.
pub(super) fn cost<'p, K: Kernel + Memory<'p>>(vmm: &Vmm<'p, K>, pages: u32) -> Amounts {
    NODE.with(Resource::LargePages, pages / pages_of_large(vmm))
}

/// The most of the smallest pages of a memory object that one request maps, unmaps, or gives other
/// rights.
pub(super) fn most<'p, K: Kernel + Memory<'p>>(vmm: &Vmm<'p, K>, memory: &Object<'_>) -> u32 {
    match memory.is_large() {
        true => MAX_LARGE * pages_of_large(vmm),
        false => MAX_PAGES,
    }
}

/// Refuses pages of a mapping, from its page number `page` at an address on, that would cut a large
/// page of it.
pub(super) fn check_whole<'p, K: Kernel + Memory<'p>>(
    vmm: &Vmm<'p, K>,
    memory: &Object<'_>,
    (address, page): (usize, u32),
    pages: u32,
) -> Result<(), Refused> {
    let unit = unit(vmm, memory);
    match (page % unit, pages % unit) {
        (0, 0) => Ok(()),
        (0, _) => Err(Refusal::BadLength { pages }),
        _ => Err(Refusal::BadAddress { address }),
    }
}

impl<'p> Objects<'p> {
    /// Serves [`vmm_client::objects::Request::CreateMemory`] for large pages.
    pub(super) fn create_large<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        place: Place<'p>,
        pages: u32,
        options: MemoryOptions,
    ) -> Result<&'p Object<'p>, Refused> {
        if !(MemoryOptions::WRITABLE | MemoryOptions::LARGE).contains(options) {
            return Err(Refusal::Malformed { what: Malformed::Bits });
        }
        let unit = pages_of_large(vmm);
        if pages == 0 || pages % unit != 0 {
            return Err(Refusal::BadLength { pages });
        }
        let cost = cost(vmm, pages);
        let rights = Object::all_rights(Kind::Memory, options);
        self.create(vmm, place, (Kind::Memory, rights, cost), |_, _, _| {
            Ok(What::Large { pages, options })
        })
    }

    /// Has a large page of a memory object, to be mapped or written: zero, if it was not there. No
    /// kernel call.
    pub(super) fn commit_large<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &Vmm<'p, K>,
        memory: &'p Object<'p>,
        number: u32,
    ) -> vmm::Result<&'p LargePage<'p>> {
        let of = memory.number.get();
        if let Some(page) = self.large.at(of, number) {
            // What was cleared of it to be given back is cleared again then.
            page.zeroed.set(0);
            return Ok(page);
        }
        let page = self.large.take(of, number);
        debug_assert!(page.is_some(), "what an object is charged with is there");
        let size_bits = large_bits(vmm.geometry());
        let (bytes, free_bytes) = (1 << size_bits, 0);
        let page = page.ok_or(AllocatorError::OutOfMemory { size_bits, bytes, free_bytes })?;
        add(&memory.committed, pages_of_large(vmm));
        Ok(page)
    }

    /// The large page of a memory object that has a byte, and where that is in the manager's own
    /// space; `None` where it was never touched.
    pub(super) fn large_byte<K: Kernel + Memory<'p>>(
        &self,
        vmm: &Vmm<'p, K>,
        memory: &Object<'p>,
        offset: usize,
    ) -> Option<usize> {
        let bits = large_bits(vmm.geometry());
        let page = self.large.at(memory.number.get(), (offset >> bits) as u32)?;
        Some(page.address() + (offset & ((1 << bits) - 1)))
    }

    /// Maps the large pages of a memory object that these pages of a mapping, which is that
    /// region, lie in and that are not mapped yet. Two kernel calls each. What is to be cleared for
    /// that is its caller's matter.
    pub(super) fn bring_large<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        (mapping, memory, into): (&'p Mapping<'p>, &'p Object<'p>, RegionId),
        (page, pages): (u32, u32),
    ) -> vmm::Result {
        let (unit, own) = (pages_of_large(vmm), vmm.own_space());
        let (bits, rights) = (vmm.geometry().page_bits, page_rights(mapping.rights.get()));
        let mut at = page - page % unit;
        while at < page + pages {
            let address = mapping.start.get() + ((at as usize) << bits);
            if vmm.mapping_at(into.space(), address)?.is_none() {
                let large = self.commit_large(vmm, memory, (mapping.first.get() + at) / unit)?;
                let all = Pages::at(large.address()).count(unit as usize);
                vmm.share_into_with(own, all, (into, at as usize), rights)?;
            }
            at += unit;
        }
        Ok(())
    }

    /// Clears a piece of what a memory object has that nobody has mapped, and makes each large page
    /// free again that is all zero; returns whether the object is empty.
    pub(super) fn empty_large_step<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        memory: &'p Object<'p>,
    ) -> vmm::Result<bool> {
        let empty = self.give_large_back_step(vmm, memory, 0)?;
        if empty {
            memory.what.set(What::Nothing);
        }
        Ok(empty)
    }

    /// The same of its large pages from number `from` on; returns whether none of those is there.
    fn give_large_back_step<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        memory: &'p Object<'p>,
        from: u32,
    ) -> vmm::Result<bool> {
        let Some(page) = self.large.first_of(memory.number.get(), from) else { return Ok(true) };
        let (own, zeroed) = (vmm.own_space(), page.zeroed.get());
        let (all, piece) = (1 << large_bits(vmm.geometry()), MAX_PAGES as usize);
        let piece = (piece << vmm.geometry().page_bits).min(all - zeroed);
        vmm.zero(own, page.address() + zeroed, piece)?;
        self.given_back = self.given_back.saturating_add(MAX_PAGES);
        page.zeroed.set(zeroed + piece);
        if page.zeroed.get() == all {
            self.large.give_back(page);
            sub(&memory.committed, pages_of_large(vmm));
        }
        Ok(false)
    }

    /// Serves [`vmm_client::objects::Request::Resize`] for a memory object of large pages. Each of
    /// those that go is cleared as at the object's end.
    pub(super) fn resize_large<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        (memory, payer): (&'p Object<'p>, &'p Object<'p>),
        (options, new): (MemoryOptions, u32),
    ) -> Answered {
        let unit = pages_of_large(vmm);
        if new % unit != 0 {
            return Err(Refusal::BadLength { pages: new });
        }
        if !self.give_large_back_step(vmm, memory, new / unit).map_err(refuse)? {
            return Ok(Answer::More {});
        }
        let after = cost(vmm, new);
        match after.minus(memory.charge.get()) {
            Ok(more) => charge(payer, more).map_err(short)?,
            Err(_) => {
                let less = memory.charge.get().minus(after).map_err(|_| Refusal::Internal {})?;
                refund(payer, less);
            }
        }
        memory.what.set(What::Large { pages: new, options });
        memory.charge.set(after);
        Ok(Answer::Done {})
    }

    /// Copies what one memory object of large pages holds to another, so much as one request does
    /// from page number `done` on; returns how many are done.
    #[inline(never)]
    pub(super) fn copy_large_step<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        (from, into): (&'p Object<'p>, &'p Object<'p>),
        (done, pages, most): (u32, u32, u32),
    ) -> vmm::Result<u32> {
        let (unit, own) = (pages_of_large(vmm), vmm.own_space());
        let (mut page, mut copied) = (done, 0);
        while page < pages && copied < most {
            let offset = (page as usize) << vmm.geometry().page_bits;
            let Some(at) = self.large_byte(vmm, from, offset) else {
                // None of this large page was ever touched.
                page += unit - page % unit;
                continue;
            };
            let within = at & ((1 << large_bits(vmm.geometry())) - 1);
            let to = self.commit_large(vmm, into, page / unit)?.address() + within;
            let mut bytes = [0; PAGE_BYTES];
            vmm.read(own, at, &mut bytes)?;
            vmm.write(own, to, &bytes)?;
            (page, copied) = (page + 1, copied + 1);
        }
        Ok(page)
    }

    /// I51: each large page that was reserved is mapped as one in the manager's own space, and is
    /// free or one memory object's, which is charged with it; those that are free are as many as
    /// what nobody was charged with, or more.
    pub(super) fn validate_large<K: Kernel + Memory<'p>>(
        &self,
        vmm: &Vmm<'p, K>,
    ) -> Result<(), Violation> {
        let hold = |rule, at: u32, holds: bool| {
            holds.then_some(()).ok_or(Violation { rule, at: at as usize })
        };
        let (taken, free) = (self.large.taken.iter().count(), self.large.free.available());
        let all = self.amounts().0.of(Resource::LargePages) as usize;
        hold("a large page is free or somebody's", all as u32, taken + free == all)?;
        let unit = pages_of_large(vmm);
        for page in self.large.taken.iter() {
            let at = page.memory.get();
            let object = self.tables.objects.find(&at).clone_pointer();
            let pages = object.map_or(0, |object| object.large_pages());
            hold("a large page is one of a memory object's", at, page.number.get() < pages / unit)?;
            let mapped = vmm.mapping_at(vmm.own_space(), page.address()).ok().flatten();
            let whole = mapped.is_some_and(|mapped| {
                mapped.size_bits == large_bits(vmm.geometry()) && mapped.page == page.address()
            });
            hold("a large page is one in the manager's own space", at, whole)?;
        }
        for object in self.tables.objects.iter().filter(|object| object.is_large()) {
            let at = object.number.get();
            let has = self.large.taken.iter().filter(|page| page.memory.get() == at).count();
            let committed = has * unit as usize;
            hold("large pages are counted", at, committed == object.committed.get() as usize)?;
            let charged = object.charge.get().of(Resource::LargePages);
            hold("large pages are charged", at, charged * unit == object.large_pages())?;
        }
        for mapping in self.tables.mappings.iter() {
            let memory = mapping.memory.get().filter(|memory| memory.is_large());
            let Some(memory) = memory else { continue };
            self.validate_large_mapping(vmm, (memory, mapping))?;
        }
        Ok(())
    }

    /// I52: what is mapped of large pages are whole ones, where the mapping says they are.
    fn validate_large_mapping<K: Kernel + Memory<'p>>(
        &self,
        vmm: &Vmm<'p, K>,
        (memory, mapping): (&Object<'p>, &Mapping<'p>),
    ) -> Result<(), Violation> {
        let (unit, bits) = (pages_of_large(vmm), vmm.geometry().page_bits);
        let token = mapping.token.get() as usize;
        let (first, pages) = (mapping.first.get(), mapping.pages.get());
        let start = mapping.start.get();
        let whole = first % unit == 0
            && pages % unit == 0
            && start % (1 << large_bits(vmm.geometry())) == 0;
        let rule = "a mapping of large pages is of whole ones";
        whole.then_some(()).ok_or(Violation { rule, at: token })?;
        let Some(region) = mapping.region.get() else { return Ok(()) };
        for nth in 0..pages / unit {
            let address = start + (((nth * unit) as usize) << bits);
            let Ok(Some(mapped)) = vmm.mapping_at(region.space(), address) else { continue };
            let there = self.large.at(memory.number.get(), first / unit + nth).is_some();
            let copy = mapped.page == address && mapped.source == Source::Copy;
            let rule = "what is mapped of large pages are copies of the object's";
            (there && copy).then_some(()).ok_or(Violation { rule, at: address })?;
        }
        Ok(())
    }
}
