// SPDX-License-Identifier: BSD-2-Clause
//! Parts of mappings: given other rights in place, unmapped, moved. A mapping is cut into several
//! for that, and those that are alike again become one.
//!
//! ```text
//!   token 7:   0 ─────────────────────────── 99      one mapping, one region of the manager
//!   cut:       0 ──── 9 │ 10 ─ 19 │ 20 ───── 99      three, by the manager's numbers of pages
//! ```
//!
//! A cut makes no kernel call. It takes a record, which the mapping's payer pays, and page tables
//! as many as both parts can need. What was cut for a request that is then refused is joined again.

use vmm::{Kernel, Memory, Pages, Vmm};
use vmm_client::objects::{Amounts, Answer, Refusal, Rights, MAX_PAGES};

use super::answers::{narrow, page_rights, refuse, short, Answered, Refused};
use super::large::{check_whole, most, unit};
use super::mappings::{area, area_ceiling, check_rights, cost, pages_of, reserve, Wanted};
use super::service::{clearing, Objects};
use super::state::charge::{charge, refund};
use super::state::mapping::Mapping;
use super::state::object::{Object, What};
use super::state::tables::NewMapping;

/// Pages that are a mapping of their own, and where that was cut for them.
#[derive(Clone, Copy)]
struct Part<'p> {
    mapping: &'p Mapping<'p>,
    below: bool,
    above: bool,
}

impl<'p> Objects<'p> {
    /// The mapping that an address lies in, or the last that begins below it: in a space, or in a
    /// reservation.
    pub(super) fn mapping_in<K: Kernel + Memory<'p>>(
        &self,
        vmm: &Vmm<'p, K>,
        area: &'p Object<'p>,
        address: usize,
    ) -> Option<&'p Mapping<'p>> {
        let mapping = self.tables.mapping_at(area.space().0, address)?;
        let What::Reservation { region, pages, .. } = area.what.get() else { return Some(mapping) };
        let first = region.start().bits();
        let behind = first + ((pages as usize) << vmm.geometry().page_bits);
        (first..behind).contains(&mapping.start.get()).then_some(mapping)
    }

    /// The mapping that an address lies in, and the number of its page there. So many pages from
    /// there on are of what was mapped as one, as far as one request does.
    pub(super) fn part_at<K: Kernel + Memory<'p>>(
        &self,
        vmm: &Vmm<'p, K>,
        area: &'p Object<'p>,
        (address, pages): (usize, u32),
    ) -> Result<(&'p Mapping<'p>, u32), Refused> {
        let none = Refusal::NoMapping { address };
        let mapping = self.mapping_in(vmm, area, address).ok_or(none)?;
        let offset = address - mapping.start.get();
        if offset & (vmm.geometry().page_bytes() - 1) != 0 {
            return Err(Refusal::BadAddress { address });
        }
        let page = narrow(offset >> vmm.geometry().page_bits);
        let mut left =
            mapping.pages.get().checked_sub(page).filter(|&left| left != 0).ok_or(none)?;
        let mut last = mapping;
        while left < pages.min(MAX_PAGES) {
            let next = self.tables.mapping_behind(last);
            last = next.ok_or(Refusal::BeyondEnd { pages: left })?;
            left += last.pages.get();
        }
        match left < pages && self.tables.mapping_behind(last).is_none() {
            true => Err(Refusal::BeyondEnd { pages: left }),
            false => Ok((mapping, page)),
        }
    }

    /// Cuts a mapping before its page number `page`, which the new one begins with.
    fn cut<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        lower: &'p Mapping<'p>,
        page: u32,
    ) -> Result<&'p Mapping<'p>, Refused> {
        let parts = (lower.space.get(), lower.memory.get(), lower.payer.get(), lower.region.get());
        let (Some(space), Some(memory), Some(payer), Some(region)) = parts else {
            return Err(Refusal::Internal {});
        };
        let pages = lower.pages.get() - page;
        let of = (memory, lower.private.get());
        let costs = (cost(vmm, of, page), cost(vmm, of, pages));
        let more = beyond(costs, lower.charge.get())?;
        charge(payer, more).map_err(short)?;
        let split = self.a_mapping_more(vmm).and_then(|()| {
            let upper =
                clearing(vmm, |vmm| vmm.split_region(region, page as usize)).map_err(refuse)?;
            let new = NewMapping {
                space,
                within: lower.within.get(),
                memory,
                through: lower.through.get(),
                payer,
                charge: costs.1,
                region: upper,
                start: upper.start().bits(),
                first: lower.first.get() + page,
                pages,
                rights: lower.rights.get(),
                private: lower.private.get(),
            };
            let made = self.tables.split_mapping(lower, costs.0, &new);
            made.ok_or(Refusal::Internal {})
        });
        if split.is_err() {
            refund(payer, more);
        }
        split
    }

    /// Cuts pages of a mapping out of it, so that they are one of their own.
    fn cut_out<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        mapping: &'p Mapping<'p>,
        (page, pages): (u32, u32),
    ) -> Result<Part<'p>, Refused> {
        let below = page != 0;
        let mapping = if below { self.cut(vmm, mapping, page)? } else { mapping };
        let above = pages < mapping.pages.get();
        let cut = if above { self.cut(vmm, mapping, pages).map(|_| ()) } else { Ok(()) };
        if let Err(refusal) = cut {
            self.rejoin(vmm, Part { mapping, below, above: false });
            return Err(refusal);
        }
        Ok(Part { mapping, below, above })
    }

    /// Joins what was cut for a request that is refused: nothing else.
    fn rejoin<K: Kernel + Memory<'p>>(&mut self, vmm: &mut Vmm<'p, K>, part: Part<'p>) {
        let tables = &self.tables;
        let behind = part.above.then(|| tables.mapping_behind(part.mapping)).flatten();
        let before = part.below.then(|| tables.mapping_before(part.mapping)).flatten();
        if let Some(behind) = behind {
            self.join_two(vmm, part.mapping, behind);
        }
        if let Some(before) = before {
            self.join_two(vmm, before, part.mapping);
        }
    }

    /// Joins a mapping with what lies before and behind it, where it was cut from that and is like
    /// it. No kernel call.
    fn join<K: Kernel + Memory<'p>>(&mut self, vmm: &mut Vmm<'p, K>, part: &'p Mapping<'p>) {
        if let Some(behind) = self.tables.mapping_behind(part) {
            self.join_two(vmm, part, behind);
        }
        if let Some(before) = self.tables.mapping_before(part) {
            self.join_two(vmm, before, part);
        }
    }

    fn join_two<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        lower: &'p Mapping<'p>,
        upper: &'p Mapping<'p>,
    ) {
        let parts = (lower.region.get().zip(upper.region.get()), lower.memory.get());
        let (Some(regions), Some(memory)) = parts else { return };
        let Some(payer) = lower.payer.get() else { return };
        if lower.rights != upper.rights || vmm.merge_regions(regions.0, regions.1).is_err() {
            return;
        }
        let of = (memory, lower.private.get());
        let one = cost(vmm, of, lower.pages.get() + upper.pages.get());
        let less = beyond((lower.charge.get(), upper.charge.get()), one);
        self.tables.join_mapping(lower, upper, one);
        // Both are charged with no less than one is.
        refund(payer, less.unwrap_or(Amounts::NONE));
    }

    /// Serves [`vmm_client::objects::Request::Protect`].
    pub(super) fn protect<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        space: &'p Object<'p>,
        (address, pages): (usize, u32),
        rights: Rights,
    ) -> Answered {
        if pages == 0 {
            return Err(Refusal::BadLength { pages });
        }
        let (mapping, page) = self.part_at(vmm, space, (address, pages))?;
        let parts = mapping.region.get().zip(mapping.memory.get());
        let (region, memory) = parts.ok_or(Refusal::Internal {})?;
        check_rights(rights, ceiling(vmm, region)?)?;
        check_whole(vmm, memory, (address, page), pages)?;
        let pages = pages.min(mapping.pages.get() - page).min(most(vmm, memory));
        let before = mapping.rights.get();
        if before == rights {
            return Ok(Answer::Pages { pages });
        }
        let cut = self.cut_out(vmm, mapping, (page, pages))?;
        let part = cut.mapping;
        // A page of paged memory gets the right to be written by its first write, which is noted.
        let adds = memory.paged.get().is_some() && rights.contains(Rights::WRITE);
        let changed = if adds { Ok(()) } else { set_rights(vmm, part, rights) };
        if let Err(error) = changed {
            // Those that were done have their old rights again. Of paged memory they get them by a
            // touch: a page that may not be written, or was not yet, had fewer.
            let undone = match memory.paged.get() {
                Some(_) => Ok(()),
                None => set_rights(vmm, part, before),
            };
            self.rejoin(vmm, cut);
            return undone.and(Err(error)).map_err(refuse);
        }
        part.rights.set(rights);
        self.join(vmm, part);
        Ok(Answer::Pages { pages })
    }

    /// Serves [`vmm_client::objects::Request::UnmapPart`].
    pub(super) fn unmap_part<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        space: &'p Object<'p>,
        (address, pages): (usize, u32),
    ) -> Answered {
        if pages == 0 {
            return Err(Refusal::BadLength { pages });
        }
        let (mapping, page) = self.part_at(vmm, space, (address, pages))?;
        let memory = mapping.memory.get().ok_or(Refusal::Internal {})?;
        check_whole(vmm, memory, (address, page), pages)?;
        let pages = pages.min(mapping.pages.get() - page);
        let part = self.cut_out(vmm, mapping, (page, pages))?;
        match self.unmap_step(vmm, part.mapping) {
            Ok(true) => Ok(Answer::Pages { pages }),
            Ok(false) => Ok(Answer::More {}),
            Err(error) => {
                self.rejoin(vmm, part);
                Err(refuse(error))
            }
        }
    }

    /// Serves [`vmm_client::objects::Request::Move`].
    pub(super) fn move_mapping<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        space: &'p Object<'p>,
        (address, pages): (usize, u32),
        (to, rights): (usize, Rights),
    ) -> Answered {
        if pages == 0 {
            return Err(Refusal::BadLength { pages });
        }
        let (mapping, page) = self.part_at(vmm, space, (address, pages))?;
        let parts = mapping.memory.get().zip(mapping.region.get());
        let (memory, old) = parts.ok_or(Refusal::Internal {})?;
        let left = mapping.pages.get() - page;
        if pages > left {
            return Err(Refusal::BeyondEnd { pages: left });
        }
        let ceiling = ceiling(vmm, old)? & area_ceiling(space);
        check_rights(rights, ceiling)?;
        check_whole(vmm, memory, (address, page), pages)?;
        let private = mapping.private.get();
        if private && pages > MAX_PAGES {
            return Err(Refusal::BadLength { pages });
        }
        let part = self.cut_out(vmm, mapping, (page, pages))?;
        let first = part.mapping.first.get();
        let like = pages_of(vmm, memory);
        let wanted = Wanted { address: to, first, pages, rights, ceiling, private, like };
        let moved = match private {
            true => self.move_private(vmm, (space, part.mapping), wanted),
            false => self.move_step(vmm, (space, part.mapping), memory, wanted),
        };
        if moved.is_err() {
            self.rejoin(vmm, part);
        }
        moved
    }

    /// Moves a mapping to where nothing lies yet, once none of its pages is mapped: it unmaps some.
    fn move_step<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        (space, part): (&'p Object<'p>, &'p Mapping<'p>),
        memory: &'p Object<'p>,
        wanted: Wanted,
    ) -> Answered {
        let old = part.region.get().ok_or(Refusal::Internal {})?;
        let token = self.tables.token_to_move(part).ok_or(Refusal::OutOfMemory {})?;
        // What is there now is refused before anything is done.
        let new = reserve(vmm, area(space)?, token, wanted)?;
        let all = Pages::at(part.start.get()).count(wanted.pages as usize);
        let gone = self.unmap_some(vmm, part, (old.space(), all)).and_then(|all| {
            if all {
                vmm.release(old)?;
            }
            Ok(all)
        });
        match gone {
            Ok(true) => {
                if token != part.token.get() {
                    self.end_waits_at(memory, part);
                }
                let within = space.outer.get().map(|_| space);
                self.tables.move_mapping(part, token, (new, wanted.rights), within);
                Ok(Answer::Mapped { address: new.start().bits() })
            }
            other => {
                // Nothing is in it.
                vmm.release(new).map_err(refuse)?;
                other.map(|_| Answer::More {}).map_err(refuse)
            }
        }
    }

    /// Has a record for one mapping more.
    fn a_mapping_more<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
    ) -> Result<(), Refused> {
        match self.tables.free_mappings.available() {
            0 => {
                let pool = &mut self.tables.free_mappings;
                clearing(vmm, |vmm| vmm.adopt_bookkeeping_page(pool)).map_err(refuse)
            }
            _ => Ok(()),
        }
    }
}

/// The most rights that pages of a mapping can have.
fn ceiling<'p, K: Kernel + Memory<'p>>(
    vmm: &Vmm<'p, K>,
    region: vmm::RegionId,
) -> Result<Rights, Refused> {
    let info = vmm.region_info(region).map_err(refuse)?;
    Ok(match info.ceiling.contains(page_rights(Rights::READ_WRITE)) {
        true => Rights::READ_WRITE,
        false => Rights::READ,
    })
}

/// What two amounts together are above one.
fn beyond((one, other): (Amounts, Amounts), all: Amounts) -> Result<Amounts, Refused> {
    let more = one.plus(other).and_then(|both| both.minus(all));
    more.map_err(|_| Refusal::Internal {})
}

/// Gives those pages of a mapping these rights that are there: at most as many as one request does.
pub(super) fn set_rights<'p, K: Kernel + Memory<'p>>(
    vmm: &mut Vmm<'p, K>,
    part: &Mapping<'p>,
    rights: Rights,
) -> vmm::Result {
    let parts = part.region.get().zip(part.memory.get());
    let Some((region, memory)) = parts else { return Ok(()) };
    let unit = unit(vmm, memory);
    let (space, bits) = (region.space(), vmm.geometry().page_bits);
    let at = |page: u32| part.start.get() + ((page as usize) << bits);
    let (mut page, end) = (0, part.pages.get());
    while page < end {
        let begin = page;
        while page < end && vmm.mapping_at(space, at(page))?.is_some() {
            page += unit;
        }
        if page > begin {
            let there = Pages::at(at(begin)).count((page - begin) as usize);
            // Neither end cuts an extent, so that it takes no memory: no page beside is there, or
            // the mapping was cut.
            vmm.protect(space, there, page_rights(rights))?;
        } else {
            page += unit;
        }
    }
    Ok(())
}
