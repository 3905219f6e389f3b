// SPDX-License-Identifier: BSD-2-Clause
//! Checking the whole state against itself: regions, extents and page tables of every space, and
//! the allocator beneath.

use page_tables::{Pages, VirtAddr};
use untyped_alloc::{Blueprint, CachePolicy, Kernel, Memory, SlotUse, Violation, MAX_BATCH};

use crate::faults::demand::{class_ahead, class_of_touch};
use crate::manager::vmm::Vmm;
use crate::state::append_cursor::AppendCursor;
use crate::state::extent_cursor::{ExtentCursor, Visited};
use crate::state::open_blocks::Touch;
use crate::state::passage::Passage;
use crate::state::region::Region;
use crate::state::site::Site;
use crate::state::space::Space;
use crate::state::temp_slots::TempSlot;
use crate::state::window::BLOCK_PAGES;
use crate::types::error::Result;
use crate::types::mapping::Source;
use crate::types::quota::Resource;
use crate::types::region::Kind;

/// Frames that extents hold.
#[derive(Default)]
pub(crate) struct FramesBySource {
    owned: usize,
    copies: usize,
    borrowed: usize,
    physical: usize,
}

/// Checks one rule.
pub(crate) fn hold(rule: &'static str, at: usize, holds: bool) -> Result<(), Violation> {
    holds.then_some(()).ok_or(Violation { rule, at })
}

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Checks every invariant of the whole state. O(n log n); no kernel call.
    ///
    /// # Errors
    /// The first invariant found broken: a bug, or memory that was overwritten.
    pub fn validate(&self) -> Result<(), Violation> {
        self.alloc.validate()?;
        let (mut frames, mut tables) = (FramesBySource::default(), 0);
        for space in self.spaces.iter() {
            self.validate_regions(space)?;
            self.validate_extents(space, &mut frames)?;
            tables += self.validate_tables(space)?;
        }
        let (orphans, copies) = self.refcounts.totals();
        let left = self.physical_left;
        hold("frames asked for by address are left to sharers", left, left <= orphans)?;
        let (taken_frames, taken_tables) = self.alloc.recycling_objects_allocated();
        let held = frames.owned
            + (orphans - left)
            + self.temp_slots.left_behind()
            + self.bookkeeping.ready_frames_taken;
        hold(
            "every frame taken is in one extent, or left to its sharers",
            held,
            held == taken_frames,
        )?;
        hold("every copy is in one extent", frames.copies, frames.copies == copies)?;
        let callers = frames.borrowed - self.bookkeeping.mapped_pages;
        hold("frames that were brought are counted", callers, callers == self.borrowed)?;
        let physical = frames.physical;
        hold("pages asked for by address are counted", physical, physical == self.physical)?;
        let live = self.refcounts.live_copies();
        hold("copies that live are counted", live, live >= copies)?;
        self.validate_single_copies()?;
        let direct = self.direct_map.map_or(0, |map| map.tables);
        let known = tables + direct;
        hold("every table taken is in one space", known, known == taken_tables)?;
        self.validate_ids()?;
        self.validate_compaction()?;
        self.validate_promotion()?;
        self.validate_site()?;
        self.validate_passage()?;
        self.validate_open_blocks()?;
        self.validate_append_cursor()
    }

    /// I48, I59: what is known of copies that were made one by one, and of those that are deferred.
    fn validate_single_copies(&self) -> Result<(), Violation> {
        let kept = |slot| matches!(self.alloc.slot_use(slot), SlotUse::Kept);
        let counted = |frame| usize::from(self.refcounts.count(frame).copies());
        let singles = self.refcounts.singles.check(kept, counted);
        match singles.or_else(|| self.refcounts.runs.check()) {
            Some((slot, rule)) => hold(rule, slot.bits(), false),
            None => Ok(()),
        }
    }

    /// I48: a passage that is kept, and page tables of temporary slots that were found, are what
    /// would be found out now.
    fn validate_passage(&self) -> Result<(), Violation> {
        let deepest = self.geometry.levels.len() as u8 - 1;
        for slot in [TempSlot::Target, TempSlot::View] {
            let (at, reached) =
                (self.temp_slots.page(slot), self.temp_slots.is_reached(slot, self.own.changes()));
            let missing = self.own.shadow.borrow().missing(&self.geometry, deepest, at);
            hold(
                "a slot that was reached has its tables",
                at.bits(),
                !reached || missing.is_none(),
            )?;
        }
        let Some(kept) = self.passage.filter(Passage::is_valid) else { return Ok(()) };
        let (from, into, at) = (kept.from, kept.site.space, kept.site.low);
        for space in [from, into] {
            let there = self.spaces.find(space.id.get()).is_some_and(|it| core::ptr::eq(it, space));
            hold("a passage is between spaces that there are", at, there)?;
        }
        let plain = |region: &&Region<'p>| region.is_callers() && !region.is_edge();
        let region = into.regions().iter().find(|it| core::ptr::eq(*it, kept.site.region));
        let source = self.geometry.address(kept.from_low).ok();
        let source = source.and_then(|start| from.regions().at(start)).filter(plain);
        let Some((source, region)) = source.zip(region.filter(plain)) else {
            return hold("a passage is between regions of callers", at, false);
        };
        let limits = self.between_guards(source) == (kept.from_low, kept.from_high);
        hold("a passage knows where its pages come from", at, limits)?;
        let Site { low, high, rights, cache, .. } = self.site(into, region);
        let (now, then) = ((low, high, rights), (at, kept.site.high, kept.site.rights));
        hold("a passage leads to its region", at, self.id_of(into, region) == kept.region)?;
        hold("a passage is as its region", at, now == then)?;
        let alike = [cache, source.spec().cache] == [CachePolicy::WriteBack; 2];
        let under = source.spec().ceiling.contains(region.spec().ceiling);
        hold("pages of a passage may be shared", at, alike && under)
    }

    /// I18: what is known to be in vain is so.
    fn validate_compaction(&self) -> Result<(), Violation> {
        let Some(bits) = self.compaction.known_fruitless(self.alloc.supplies()) else {
            return Ok(());
        };
        self.survey();
        let in_vain = !self.alloc.can_evacuate(bits);
        hold("what cannot be emptied is remembered as such", bits.into(), in_vain)
    }

    /// I62: the large frame of a promotion is in the manager's own space, and just the space of its
    /// place is marked. I77: frames are held back only where large pages came.
    fn validate_promotion(&self) -> Result<(), Violation> {
        let under_way = self.promotions.under_way.as_ref();
        for space in self.spaces.iter() {
            let (id, at) = (space.id.get(), space.id.get().number as usize);
            let its = under_way.is_some_and(|promotion| promotion.space == id);
            let plain = !core::ptr::eq(space, self.own) && !space.store.get();
            let marked = space.in_transit.get();
            hold("the space of a promotion is marked, and no other", at, marked == its)?;
            hold("pages of a space in transit come back", at, !its || space.detached.get())?;
            hold("pages in transit are touched, and by others", at, !its || plain)?;
        }
        let wanted = self.promotions.may_reclaim;
        hold("frames are held back for large pages", 0, wanted || !self.alloc.holds_frames())?;
        let Some(promotion) = under_way else { return Ok(()) };
        let at = promotion.page.start.bits();
        let aligned = promotion.page.start.is_aligned(promotion.page.size_bits);
        hold("a page in transit is aligned", at, aligned)?;
        let view = self.own.regions().iter().find(|it| core::ptr::eq(*it, promotion.view));
        let view = view.filter(|view| view.spec().kind == Kind::Bookkeeping);
        let held = view.and_then(|view| self.own.extents().at(view.start()));
        let held = held.is_some_and(|held| held.frames == promotion.frames);
        hold("a page in transit has its large frame", at, held)
    }

    /// For tests: the pages that count as copied by a promotion that is under way, their space and
    /// the address of each, and where their copies are in the manager's own space.
    #[doc(hidden)]
    pub fn copied_pages(
        &self,
    ) -> impl Iterator<Item = (crate::SpaceId, usize, usize)> + use<'_, 'p, K> {
        self.promotions.under_way.iter().flat_map(|promotion| {
            let copied = (0..promotion.pages()).filter(|&page| promotion.is_copied(page));
            copied.map(|page| {
                let distance = page << self.geometry.page_bits;
                let [at, copy] = [promotion.page.start, promotion.view.start()];
                (promotion.space, at.bits() + distance, copy.bits() + distance)
            })
        })
    }

    /// I17: what a number leads to has it in its id, and no serial number is beyond the last. I41:
    /// no badge of a thread is above the highest.
    fn validate_ids(&self) -> Result<(), Violation> {
        for space in self.spaces.iter() {
            let (id, at) = (space.id.get(), space.id.get().number as usize);
            let found = self.spaces.find(id).is_some_and(|found| core::ptr::eq(found, space));
            hold("a space's number leads to it", at, found && id.serial <= self.last_space)?;
        }
        let mut next = self.threads.after(0);
        while let Some(id) = next {
            let info = self.threads.with_badge(id.badge);
            let found = info.is_some_and(|info| info.id == id && self.threads.was_given(id));
            hold("a thread's badge leads to it", id.badge(), found)?;
            next = self.threads.after(id.badge);
        }
        Ok(())
    }

    /// I29: a site that is kept is what would be found out now.
    fn validate_site(&self) -> Result<(), Violation> {
        let Some(kept) = self.site.filter(Site::is_valid) else { return Ok(()) };
        let (space, at) = (kept.space, kept.low);
        let there = self.spaces.find(space.id.get()).is_some_and(|it| core::ptr::eq(it, space));
        hold("a kept site is in a space that there is", at, there)?;
        let region = space.regions().iter().find(|region| core::ptr::eq(*region, kept.region));
        let region = region.filter(|region| region.is_callers() && !region.is_edge());
        let Some(region) = region else {
            return hold("a kept site is a region of a caller's", at, false);
        };
        let Site { low, high, rights, cache, mobility, strided, .. } = self.site(space, region);
        let now = (low, high, rights, cache, mobility, strided);
        let then = (at, kept.high, kept.rights, kept.cache, kept.mobility, kept.strided);
        hold("a kept site is as its region", at, now == then)
    }

    /// I46: an open block of which what was found out still holds is what would be found out now.
    fn validate_open_blocks(&self) -> Result<(), Violation> {
        for block in self.open_blocks.iter() {
            let Some(links) = block.links() else { continue };
            let (space, (at, usable)) = (links.space, block.pages(&self.geometry));
            let there = self.spaces.find(space.id.get()).is_some_and(|it| core::ptr::eq(it, space));
            hold("an open block is in a space that there is", at, there)?;
            let region = space.regions().iter().find(|it| core::ptr::eq(*it, links.region));
            let region = region.filter(|region| region.is_callers() && !region.is_edge());
            let Some(region) = region else {
                return hold("an open block is in a region of a caller's", at, false);
            };
            let Site { low, high, rights, cache, mobility, strided, .. } = self.site(space, region);
            let pages = 0..BLOCK_PAGES;
            let between = |page: &usize| {
                let address = at + (page << self.geometry.page_bits);
                low <= address && address < high
            };
            let now = pages.filter(between).fold(0u16, |pages, page| pages | 1 << page);
            hold("the pages of an open block lie between guards", at, usable & !now == 0)?;
            let alike = (rights, mobility) == (block.rights.get(), block.mobility.get());
            let plain = cache == CachePolicy::WriteBack && !strided;
            hold("pages of an open block are as their region's", at, alike && plain)?;
            let touch = class_of_touch(region, low, high).into();
            let known = [Touch::Unknown, touch].contains(&block.touch.get());
            hold("a touch in an open block is what it was found to be", at, known)?;
            let linked = space.extents().has_node(links.node);
            hold("the node of an open block is in the tree", at, linked)?;
            let behind = BLOCK_PAGES - usable.leading_zeros() as usize;
            let pages = usable.trailing_zeros() as usize..behind;
            let [from, to] =
                [pages.start, pages.end].map(|it| at + (it << self.geometry.page_bits));
            let alone = space.extents().are_alone(links.node, from..to);
            hold("nothing else is among the pages of an open block", at, alone)?;
            let start = links.node.info().start.bits();
            let inside = at <= start && start < at + (BLOCK_PAGES << self.geometry.page_bits);
            let one = links.node.is_window() || links.node.count() == 1;
            hold("a window is in its open block, or one page", at, inside && one)?;
            let ceiling = region.spec().ceiling;
            hold("a ceiling is its region's", at, ceiling == block.ceiling.get())?;
            let deepest = self.geometry.levels.len() as u8 - 1;
            let address = self.geometry.address(at.max(low));
            let address =
                address.map_err(|_| Violation { rule: "blocks are in user space", at })?;
            let table = space.shadow.borrow().find(&self.geometry, deepest, address);
            let same = table.is_some_and(|table| core::ptr::eq(table, links.table));
            hold("an open block knows its page table", at, same)?;
        }
        Ok(())
    }

    /// I14: what an append cursor takes for granted must be so for all of its pages, as long as its
    /// space is unchanged since its beginning.
    fn validate_append_cursor(&self) -> Result<(), Violation> {
        let Some(cursor) = self.append_cursor.filter(AppendCursor::is_valid) else { return Ok(()) };
        let (space, at) = (cursor.space, cursor.at);
        let there = self.spaces.find(space.id.get()).is_some_and(|it| core::ptr::eq(it, space));
        hold("an append cursor is in a space that there is", at, there)?;
        let bytes = cursor.end - at;
        let range =
            self.geometry.range(Pages::at(at).count((bytes >> self.geometry.page_bits).max(1)));
        let range =
            range.map_err(|_| Violation { rule: "appended pages are in user space", at })?;
        let extent = space.extents().iter().find(|extent| extent.end() == at);
        let goes_on = extent == Some(cursor.extent.info());
        hold("an append cursor is where its extent ends", at, goes_on)?;
        let pages = bytes.div_ceil(cursor.step);
        let room = cursor.extent.count() + pages <= MAX_BATCH;
        hold("the extent of an append cursor has room", at, room)?;
        let region = space.regions().at(range.start());
        let inside = region.is_some_and(|region| {
            let usable = self.usable(region).and_then(|usable| usable.intersection(range));
            core::ptr::eq(region, cursor.region) && usable == Some(range)
        });
        hold("appended pages stay in their region", at, inside)?;
        let spec = cursor.region.spec();
        let alike = (spec.rights, spec.cache) == (cursor.rights, cursor.cache);
        hold("appended pages have their region's rights", at, alike)?;
        let known = cursor.class.is_none_or(|class| class == class_ahead(&cursor));
        hold("a touch of appended pages is what it was found to be", at, known)?;
        let vacant = space.extents().first_in(range).is_none();
        hold("nothing is mapped where pages are appended", at, vacant)?;
        let deepest = self.geometry.levels.len() as u8 - 1;
        let table = space.shadow.borrow().find(&self.geometry, deepest, range.start());
        let covered = table.is_some_and(|table| core::ptr::eq(table, cursor.table))
            && self.geometry.table_end(deepest, range.start()) >= range.end();
        hold("appended pages stay in their page table", at, covered)?;
        hold("the page table of an append cursor is in use", at, !cursor.table.is_listed_empty())?;
        let left = self.quota_left(space, Resource::Frames);
        hold("appended pages stay under the quota", at, pages <= left)
    }

    fn validate_regions(&self, space: &Space<'p>) -> Result<(), Violation> {
        let regions = space.regions();
        let (mut end, mut count, mut holes) = (0, 0, 0);
        for region in regions.iter() {
            let at = region.start().bits();
            hold("regions and holes tile the space", at, at == end)?;
            let pages = if region.is_edge() { 0 } else { region.spec().pages };
            let hole = regions.hole_behind(region);
            end = at + ((pages + hole) << self.geometry.page_bits);
            holes += usize::from(hole != 0);
            count += 1;
            self.validate_arena(space, region)?;
            if !region.is_edge() {
                let spec = region.spec();
                let within = spec.ceiling.contains(spec.rights);
                hold("a region's rights are under its ceiling", at, within)?;
            }
        }
        hold("the last hole ends with user space", end, end == self.geometry.user_end)?;
        hold("nodes of regions are counted", count, count == regions.count())?;
        hold("every hole is found by its size", holes, holes == regions.holes_listed())?;
        let sound = regions.is_sound();
        hold("each region knows the largest hole of those below it in the tree", count, sound)
    }

    /// An arena has as many buffers as were handed out and not given back.
    fn validate_arena(&self, space: &Space<'p>, region: &Region<'p>) -> Result<(), Violation> {
        let at = region.start().bits();
        let open = space.open_arena.get().is_some_and(|open| core::ptr::eq(open, region));
        let Some((out, back)) = region.arena.get() else {
            return hold("only an arena is open as one", at, !open);
        };
        let usable = self.usable(region).ok_or(Violation { rule: "an arena has pages", at })?;
        let live = usize::from(out) - usize::from(back);
        hold("buffers are counted", at, live == self.mapped_in(space, usable))?;
        hold("an arena has a buffer", at, live != 0)?;
        hold("an open arena has room", at, !open || usize::from(out) < usable.pages() / 2)
    }

    /// Adds up what the extents of the space hold.
    fn validate_extents(
        &self,
        space: &Space<'p>,
        held: &mut FramesBySource,
    ) -> Result<(), Violation> {
        // I22
        if let Some((at, rule)) = space.extents().check_nodes() {
            return hold(rule, at.bits(), false);
        }
        // I34
        for page in space.cut.iter() {
            let at = page.start.bits();
            hold("a page that was cut is aligned", at, page.start.is_aligned(page.size_bits))?;
            let once = space.cut.iter().filter(|other| other.start == page.start).count() == 1;
            hold("a page that was cut is recorded once", at, once)?;
        }
        let (mut end, mut pages) = (0, 0);
        for extent in space.extents().iter() {
            let at = extent.start.bits();
            hold("extents do not overlap", at, at >= end)?;
            hold(
                "a page is aligned to its size",
                at,
                extent.start.is_aligned(extent.frames.size_bits),
            )?;
            end = extent.end();
            let region = space.regions().at(extent.start);
            let usable = region.and_then(|region| self.usable(region));
            let inside =
                usable.is_some_and(|usable| usable.contains(extent.start) && usable.end() >= end);
            hold("an extent lies in one region and outside its guards", at, inside)?;
            let ceiling = region.map(|region| region.spec().ceiling);
            let under = ceiling.is_some_and(|ceiling| ceiling.contains(extent.rights));
            hold("a page's rights are under its region's ceiling", at, under)?;
            match extent.source {
                Source::Owned => {
                    let taken = self.alloc.frames_are_allocated(extent.frames);
                    hold("an extent's frames are taken from the allocator", at, taken)?;
                    held.owned += extent.frames.count;
                }
                Source::Copy => held.copies += extent.frames.count,
                Source::Borrowed | Source::Physical => {
                    let ours = extent.source == Source::Physical;
                    // Book-keeping may come of the frames that were ready for callers.
                    let own = region.is_some_and(|region| region.spec().kind == Kind::Bookkeeping);
                    let taken = || own && self.alloc.frames_are_allocated(extent.frames);
                    let alive = |slot| match self.alloc.slot_use(slot) {
                        SlotUse::Object(Blueprint::Frame { size_bits }) => {
                            size_bits == extent.frames.size_bits
                        }
                        SlotUse::Lent | SlotUse::Foreign => !ours,
                        SlotUse::Kept => taken(),
                        SlotUse::Object(_) | SlotUse::Gone => false,
                    };
                    let all = (0..extent.frames.count).all(|index| alive(extent.frame(index)));
                    hold("a frame that was brought or asked for is alive", at, all)?;
                    match ours {
                        true => held.physical += extent.frames.count,
                        false => held.borrowed += extent.frames.count,
                    }
                }
            }
            pages += extent.bytes() >> self.geometry.page_bits;
        }
        let extents = space.extents();
        let of = |source| move |extent: &crate::state::extent::Extent| extent.source == source;
        let owned: usize =
            extents.iter().filter(of(Source::Owned)).map(|extent| extent.bytes()).sum();
        hold("owned pages are counted", owned, owned == extents.totals().owned_bytes())?;
        let copies: usize =
            extents.iter().filter(of(Source::Copy)).map(|extent| extent.frames.count).sum();
        hold("copies are counted", copies, copies == extents.totals().copies())?;
        hold("mapped pages are counted", pages, pages == space.mapped_pages.get())
    }

    /// Returns how many tables of the allocator the space holds.
    fn validate_tables(&self, space: &Space<'p>) -> Result<usize, Violation> {
        let shadow = space.shadow.borrow();
        let (mut ours, mut empty) = (0, 0);
        for table in shadow.iter() {
            let at = table.base().bits();
            hold(
                "a used count is the entries in use",
                at,
                self.entries(space, table) == table.used(),
            )?;
            ours += usize::from(!table.is_permanent());
            let is_empty = !table.is_permanent() && table.used() == 0;
            hold(
                "the empty tables are those on the list",
                at,
                is_empty == table.is_listed_empty(),
            )?;
            empty += usize::from(is_empty);
        }
        hold("empty tables are listed", empty, empty == shadow.empty_len())?;
        for extent in space.extents().iter() {
            let level = self.geometry.level_of_frame(extent.frames.size_bits).unwrap_or(0);
            let at = extent.start;
            let missing = shadow.missing(&self.geometry, level, at).is_some();
            hold("every mapped page has its tables", at.bits(), !missing)?;
        }
        Ok(ours)
    }

    /// Entries of a table that extents and other tables use, counted one by one.
    fn entries(&self, space: &Space<'p>, table: &page_tables::Table<'p>) -> usize {
        let level = table.level();
        let entry_bits = self.geometry.levels[usize::from(level)].entry_bits;
        let covers = |address: VirtAddr| self.geometry.table_base(level, address) == table.base();
        let of_run = |extent: crate::state::extent::Extent| {
            (0..extent.frames.count).filter(|&index| covers(extent.address(index))).count()
        };
        let pages =
            (1 << self.geometry.levels[usize::from(level)].span_bits()) >> self.geometry.page_bits;
        let end = self.geometry.table_end(level, table.base());
        let pages = pages.min((end - table.base().bits()) >> self.geometry.page_bits);
        let Ok(range) = self.geometry.range(Pages::at(table.base().bits()).count(pages)) else {
            return 0;
        };
        let (mut count, mut cursor) = (0, ExtentCursor::over(range));
        while let Some(Visited { extent, .. }) = cursor.next(space) {
            if extent.frames.size_bits == entry_bits {
                count += of_run(extent);
            }
        }
        let shadow = space.shadow.borrow();
        let below = shadow.iter().filter(|below| below.level() == level + 1);
        count + below.filter(|below| covers(below.base())).count()
    }
}
