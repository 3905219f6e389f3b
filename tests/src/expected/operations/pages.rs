// SPDX-License-Identifier: BSD-2-Clause
//! Pages of a region: mapped, all at once or one by one, unmapped, protected.

use untyped_alloc::Rights;
use vmm::{Resource, SpaceId};

use super::super::answer::{Expected, Need, Outcome, Refusal};
use super::super::place::and_read;
use super::super::{Contents, Fill, Order, Origin, Pages, Run, Space, TestAddress};
use crate::support::{PAGE, already_mapped, beyond_ceiling, outside_region};

/// What pages that are touched one by one are filled with.
const TAG: u64 = 0x7a90;

impl Run<'_> {
    pub(super) fn populate(&mut self, space: u8, pages: Pages) -> Outcome {
        let (id, start, pages) = self.state.pages_by(space, pages);
        self.populate_at(id, start, pages)
    }

    pub(super) fn populate_at(&mut self, id: SpaceId, start: usize, pages: usize) -> Outcome {
        let expect = |run: &Self| run.may_populate(id, start, pages);
        let need = self.need_to_populate(id, start, pages);
        self.call(need, expect, |vmm| vmm.populate(id, vmm::Pages::at(start).count(pages)))?;
        let space = self.state.space(id).expect("pages were mapped in it");
        let region = *space.region_at(start).expect("pages were mapped in it");
        self.state.map_fresh(id, start..start + pages * PAGE, &region);
        Ok(())
    }

    /// A106: as populating, with bytes in the pages, and none where they are missing.
    pub(super) fn populate_from(
        &mut self,
        space: u8,
        pages: Pages,
        (off, cut): (u16, u16),
        value: u8,
    ) -> Outcome {
        let (id, start, pages) = self.state.pages_by(space, pages);
        let pages = pages.min(WALK);
        let start = start.saturating_add(usize::from(off));
        let bytes = (pages * PAGE).saturating_sub(usize::from(off) + usize::from(cut));
        let first = start & !(PAGE - 1);
        let count = (start - first + bytes).div_ceil(PAGE);
        let expect = |run: &Self| match run.space(id) {
            Err(expected) => expected,
            Ok(_) if bytes == 0 => Expected::success(),
            Ok(_) if start.checked_add(bytes).is_none() => Expected::refused(outside_region(start)),
            Ok(_) => run.may_populate(id, first, count),
        };
        let need = match bytes {
            0 => Need::NOTHING,
            _ => self.need_to_populate(id, first, count),
        };
        self.call(need, expect, |vmm| vmm.populate_from(id, start, &vec![value; bytes]))?;
        if bytes != 0 {
            let space = self.state.space(id).expect("pages were mapped in it");
            let region = *space.region_at(first).expect("pages were mapped in it");
            for at in (first..start + bytes).step_by(PAGE) {
                let word = |at: usize| {
                    let is_there = |byte: &usize| (start..start + bytes).contains(byte);
                    u64::from_le_bytes(
                        [0, 1, 2, 3, 4, 5, 6, 7]
                            .map(|byte| if is_there(&(at + byte)) { value } else { 0 }),
                    )
                };
                let holds = Contents::Ends([word(at), word(at + PAGE - 8)]);
                self.state.map_new(id, at..at + PAGE, &region, Origin::Owned, holds);
            }
        }
        Ok(())
    }

    fn may_populate(&self, id: SpaceId, start: usize, pages: usize) -> Expected {
        self.for_pages((id, start, pages), |space, _| {
            let expected = match space.pages.range(start..start + pages * PAGE).next() {
                Some((&address, _)) => Expected::refused(already_mapped(address)),
                None => Expected::unless(self.beyond(space, Resource::Frames, pages)),
            };
            self.perhaps_quota(expected, space)
        })
    }

    fn need_to_populate(&self, id: SpaceId, start: usize, pages: usize) -> Need {
        let tables = !self.has_tables(id, start, pages);
        Need { tables, ..Need::pages(pages) }
    }

    /// Whether there is a page table for each page of a range: another page is mapped through it.
    pub(super) fn has_tables(&self, id: SpaceId, start: usize, pages: usize) -> bool {
        let bits = self.state.target.large_bits();
        let Some(space) = self.state.space(id) else { return true };
        let spans = start >> bits..=start.saturating_add(pages.saturating_mul(PAGE)) >> bits;
        spans.take(64).all(|span| space.pages.keys().any(|page| page >> bits == span))
    }

    /// Maps pages one by one, as a heap or a stack grows: nothing is looked up in between, so short
    /// cuts for consecutive pages go on from one to the next.
    pub(super) fn page_by_page(
        &mut self,
        space: u8,
        pages: Pages,
        (fill, order): (Fill, Order),
        other: TestAddress,
    ) -> Outcome {
        let (id, start, pages) = self.state.pages_by(space, pages);
        let pages = pages.min(WALK);
        for step in 0..pages {
            let page = if order == Order::Down { pages - 1 - step } else { step };
            let turns = (order == Order::Turns).then_some(other.bits(self.state.target));
            for (number, base) in [Some(start), turns].into_iter().flatten().enumerate() {
                let at = base.saturating_add(page * PAGE);
                let there = |space: &Space| space.pages.contains_key(&at);
                if self.state.space(id).is_some_and(there) {
                    continue;
                }
                let touch = match fill {
                    Fill::Populate => false,
                    Fill::Touch => true,
                    Fill::Both => (step + number) % 2 == 1,
                };
                match touch {
                    true => self.touch_at(id, at, true, TAG + page as u64)?,
                    false => self.populate_at(id, at, 1)?,
                }
            }
        }
        Ok(())
    }

    pub(super) fn unmap(&mut self, space: u8, pages: Pages) -> Outcome {
        let (id, start, pages) = self.state.pages_by(space, pages);
        self.unmap_at(id, start, pages)
    }

    fn unmap_at(&mut self, id: SpaceId, start: usize, pages: usize) -> Outcome {
        let expect = |run: &Self| {
            run.for_pages((id, start, pages), |space, _| {
                run.cut(space, start, pages, Expected::unless(space.hole(start, pages)))
            })
        };
        let answer = self
            .call(Need::NOTHING, expect, |vmm| vmm.unmap(id, vmm::Pages::at(start).count(pages)));
        let done = done(&answer, pages);
        if done != 0 {
            let range = start..start + done * PAGE;
            self.state.space_mut(id).pages.retain(|at, _| !range.contains(at));
        }
        answer
    }

    /// A41: what is mapped in the range goes, the region stays, and holes are no error.
    pub(super) fn decommit(&mut self, space: u8, pages: Pages) -> Outcome {
        let (id, start, pages) = self.state.pages_by(space, pages);
        let expect = |run: &Self| {
            run.for_pages((id, start, pages), |space, _| {
                run.cut(space, start, pages, Expected::success())
            })
        };
        let answer = self.call(Need::NOTHING, expect, |vmm| {
            vmm.decommit(id, vmm::Pages::at(start).count(pages))
        });
        let done = done(&answer, pages);
        if done != 0 {
            // The lowest go first; holes between them are not counted.
            let range = start..start + pages * PAGE;
            let mapped = &mut self.state.space_mut(id).pages;
            let gone: Vec<usize> = mapped.range(range).map(|(&at, _)| at).take(done).collect();
            mapped.retain(|at, _| !gone.contains(at));
        }
        answer
    }

    /// Unmaps what is mapped of a range, page by page from the last.
    pub(super) fn shrink(&mut self, space: u8, pages: Pages) -> Outcome {
        let (id, start, pages) = self.state.pages_by(space, pages);
        for page in (0..pages.min(WALK)).rev() {
            let at = start.saturating_add(page * PAGE);
            if self.state.space(id).is_some_and(|space| space.pages.contains_key(&at)) {
                self.unmap_at(id, at, 1)?;
            }
        }
        Ok(())
    }

    /// Cutting a large page is refused where it is shared.
    fn cut(&self, space: &Space, start: usize, pages: usize, expected: Expected) -> Expected {
        let cut = [start, start + pages * PAGE].into_iter().any(|edge| {
            let bits = self.size_at(space.id, edge);
            bits.is_some_and(|bits| !edge.is_multiple_of(1 << bits))
        });
        expected.perhaps(cut.then_some("Shared"))
    }

    /// Logarithm of the bytes of the page that is mapped at an address.
    pub(super) fn size_at(&self, id: SpaceId, address: usize) -> Option<u8> {
        if !self.rules.lenient {
            return None;
        }
        let vspace = self.host.vmm.vspace(id).ok()?;
        self.host.kernel().mapping(vspace, address).map(|mapping| mapping.size_bits)
    }

    /// The refusal of large pages in a range, if there is one.
    pub(super) fn has_large(&self, id: SpaceId, start: usize, pages: usize) -> Option<Refusal> {
        let mut range = (0..pages).map(|page| start + page * PAGE);
        let large = range.any(|at| self.size_at(id, at).is_some_and(|bits| bits > 12));
        large.then_some(Refusal::Named("LargePage"))
    }

    pub(super) fn protect(
        &mut self,
        space: u8,
        pages: Pages,
        rights: Rights,
        on_demand: bool,
    ) -> Outcome {
        let (id, start, pages) = self.state.pages_by(space, pages);
        let (asked, rights) = (rights, and_read(rights));
        let expect = |run: &Self| {
            run.for_pages((id, start, pages), |space, region| {
                let ceiling = region.ceiling;
                if !ceiling.contains(rights) {
                    return Expected::refused(beyond_ceiling(rights, ceiling));
                }
                run.cut(space, start, pages, Expected::unless(space.hole(start, pages)))
            })
        };
        let answer = self.call(Need::NOTHING, expect, |vmm| {
            let pages = vmm::Pages::at(start).count(pages);
            match on_demand {
                true => vmm.protect_on_demand(id, pages, asked),
                false => vmm.protect(id, pages, asked),
            }
        });
        if on_demand {
            self.may_be_detached(id, start..start.saturating_add(pages.saturating_mul(PAGE)));
        }
        let done = done(&answer, pages);
        if done != 0 {
            let changed = start..start + done * PAGE;
            let pages = self.state.space_mut(id).pages.range_mut(changed);
            pages.for_each(|(_, page)| page.rights = rights);
        }
        answer
    }
}

/// How many of the pages a request was about it came to.
fn done(answer: &Outcome, pages: usize) -> usize {
    match answer {
        Ok(()) => pages,
        Err(halt) if halt.fired => halt.done(),
        Err(_) => 0,
    }
}

/// Pages that are mapped or unmapped one by one in one request at the most.
const WALK: usize = 24;
