// SPDX-License-Identifier: BSD-2-Clause
//! The node of an extent, or of a window of pages that are extents of one page each.

use core::cell::Cell;
use core::ops::Range;

use intrusive_collections::RBTreeLink;
use page_tables::VirtAddr;
use untyped_alloc::{CPtr, CachePolicy, Frames, Rights, MAX_BATCH};

use super::extent::{offset, Extent};
use super::run::Run;
use super::window::{Attributes, Window, WindowPage, BLOCK_BITS, BLOCK_PAGES};
use crate::types::mapping::Source;

/// The node of one extent, or of a window.
#[derive(Default)]
pub(crate) struct ExtentNode<'p> {
    pub next_free: Cell<Option<&'p ExtentNode<'p>>>,
    pub(super) by_start: RBTreeLink,
    start: Cell<VirtAddr>,
    content: Cell<Content<'p>>,
}

#[derive(Clone, Copy)]
enum Content<'p> {
    Run(Run),
    /// It begins with its first page, and has one.
    Window(&'p Window<'p>),
}

impl Default for Content<'_> {
    fn default() -> Self {
        Content::Run(Run::default())
    }
}

// On IA32: elsewhere words of 64 bits lie apart by as many.
#[cfg(target_pointer_width = "32")]
const _: () = assert!(core::mem::size_of::<ExtentNode<'_>>() <= 28 || align_of::<u64>() == 8);

/// The extent of a window's page. Windows have no strided pages: there, the bit says that the page
/// may be run.
#[inline(always)]
fn extent_of_page(page: WindowPage, start: VirtAddr, size_bits: u8) -> Extent {
    let WindowPage { frame, attributes, abandoned } = page;
    let execute = if attributes.last() { Rights::EXECUTE } else { Rights::empty() };
    Extent {
        start,
        frames: Frames { first: frame, count: 1, size_bits },
        rights: attributes.rights() | execute,
        cow: attributes.cow(),
        cache: attributes.cache(),
        source: attributes.source(),
        strided: false,
        abandoned,
    }
}

#[inline(always)]
fn page_of_extent(extent: &Extent) -> WindowPage {
    let Extent { rights, cow, cache, source, abandoned, .. } = *extent;
    let attributes = Attributes::new(rights, cow, cache, source, rights.contains(Rights::EXECUTE));
    WindowPage { frame: extent.frames.first, attributes, abandoned }
}

/// The number in its block of the page at `address`.
#[inline(always)]
fn index_in_block(address: VirtAddr, size_bits: u8) -> usize {
    address.bits() >> size_bits & ((1 << BLOCK_BITS) - 1)
}

impl<'p> ExtentNode<'p> {
    /// Where its first page is.
    #[inline(always)]
    pub fn start(&self) -> VirtAddr {
        self.start.get()
    }

    /// The frames of an extent; of a window, its first page's.
    #[inline(always)]
    pub fn frames(&self) -> Frames {
        match self.content.get() {
            Content::Run(run) => run.frames(),
            Content::Window(_) => self.info().frames,
        }
    }

    /// How many frames an extent has; 0 for a window.
    #[inline(always)]
    pub fn count(&self) -> usize {
        match self.content.get() {
            Content::Run(run) => run.count(),
            Content::Window(_) => 0,
        }
    }

    /// The extent, or the first one of a window.
    pub fn info(&self) -> Extent {
        self.from(self.start.get())
    }

    /// The address behind its last page, or the gap behind that, in bytes.
    #[inline(always)]
    pub(super) fn end(&self) -> usize {
        let start = self.start.get();
        match self.content.get() {
            Content::Run(run) => start.bits() + (run.count() << run.step_bits()),
            Content::Window(window) => {
                let size_bits = window.size_bits();
                let pages = window.end() - index_in_block(start, size_bits);
                start.bits() + (pages << size_bits)
            }
        }
    }

    #[inline(always)]
    pub(super) fn size_bits(&self) -> u8 {
        match self.content.get() {
            Content::Run(run) => run.size_bits(),
            Content::Window(window) => window.size_bits(),
        }
    }

    /// Whether it ends where an address is.
    pub fn ends_at(&self, address: VirtAddr) -> bool {
        self.end() == address.bits()
    }

    #[inline(always)]
    pub(super) fn covers(&self, address: VirtAddr) -> bool {
        self.start.get() <= address && address.bits() < self.end()
    }

    #[inline(always)]
    pub fn is_window(&self) -> bool {
        matches!(self.content.get(), Content::Window(_))
    }

    /// Whether a page, or the gap behind one, is at `address`, which the node covers.
    #[inline(always)]
    pub(super) fn has(&self, address: VirtAddr) -> bool {
        match self.content.get() {
            Content::Run(_) => true,
            Content::Window(window) => window.has(index_in_block(address, window.size_bits())),
        }
    }

    /// Whether page number `index` of a window's block is there; so it is for an extent.
    #[inline(always)]
    pub fn has_page(&self, index: usize) -> bool {
        match self.content.get() {
            Content::Run(_) => true,
            Content::Window(window) => window.has(index),
        }
    }

    /// The extent of which a page is at `address`, which the node covers.
    #[inline(always)]
    pub(super) fn at(&self, address: VirtAddr) -> Option<Extent> {
        let start = self.start.get();
        match self.content.get() {
            Content::Run(run) => {
                let in_gap = run.has_gap_at(address.bits() - start.bits());
                (!in_gap).then(|| run.extent(start))
            }
            Content::Window(window) => {
                let size_bits = window.size_bits();
                let page = window.get(index_in_block(address, size_bits))?;
                Some(extent_of_page(page, address.align_down(size_bits), size_bits))
            }
        }
    }

    /// The first extent that ends behind `address`, which the node covers.
    #[inline(always)]
    pub(super) fn from(&self, address: VirtAddr) -> Extent {
        match self.content.get() {
            Content::Run(run) => run.extent(self.start.get()),
            Content::Window(window) => {
                let size_bits = window.size_bits();
                // The last page is behind it, or at it.
                let index = index_in_block(address, size_bits);
                let found = window.first_from(index).unwrap_or(index);
                let page = window.get(found).unwrap_or_default();
                let start = offset(address.align_down(size_bits), (found - index) << size_bits);
                extent_of_page(page, start, size_bits)
            }
        }
    }

    /// The extents of the node, lowest first.
    pub(super) fn extents(&self) -> impl Iterator<Item = Extent> + use<'p> {
        let (mut at, content) = (Some(self.start.get()), self.content.get());
        core::iter::from_fn(move || {
            let start = at?;
            match content {
                Content::Run(run) => {
                    at = None;
                    Some(run.extent(start))
                }
                Content::Window(window) => {
                    let size_bits = window.size_bits();
                    let index = index_in_block(start, size_bits);
                    let page = window.get(index)?;
                    let next = window.first_from(index + 1).map(|next| next - index);
                    at = next.map(|pages| offset(start, pages << size_bits));
                    Some(extent_of_page(page, start, size_bits))
                }
            }
        })
    }

    /// The capability of the frame at `address`, which the node covers.
    #[inline(always)]
    pub(super) fn frame_at(&self, address: VirtAddr) -> Option<CPtr> {
        match self.content.get() {
            Content::Run(run) => {
                let distance = address.bits() - self.start.get().bits();
                run.frame_at(distance)
            }
            Content::Window(window) => {
                let size_bits = window.size_bits();
                Some(window.get(index_in_block(address, size_bits))?.frame)
            }
        }
    }

    /// The frame of an extent of one, of 2^`size_bits` bytes and the space's own.
    #[inline(always)]
    pub(super) fn single(&self, size_bits: u8) -> Option<CPtr> {
        let Content::Run(run) = self.content.get() else { return None };
        let extent = run.extent(self.start.get());
        let single = extent.frames.count == 1 && extent.frames.size_bits == size_bits;
        let own = extent.source == Source::Owned && !extent.abandoned;
        (single && own).then_some(extent.frames.first)
    }

    /// The frame at `address`, which the node covers, and whose it is, if it is of a size and not
    /// under copy-on-write.
    #[inline(always)]
    pub(super) fn plain_frame_at(
        &self,
        address: VirtAddr,
        size_bits: u8,
    ) -> Option<(CPtr, Source)> {
        match self.content.get() {
            Content::Run(run) => {
                run.plain_frame_at(address.bits() - self.start.get().bits(), size_bits)
            }
            Content::Window(window) => {
                let page = window.get(index_in_block(address, window.size_bits()))?;
                let plain = window.size_bits() == size_bits && !page.attributes.cow();
                plain.then(|| (page.frame, page.attributes.source()))
            }
        }
    }

    /// By how many fresh frames mapped like this it could become longer; `None` if it is not alike.
    pub fn room_for_more(
        &self,
        rights: Rights,
        cache: CachePolicy,
        size_bits: u8,
        strided: bool,
    ) -> Option<usize> {
        let Content::Run(run) = self.content.get() else { return None };
        let frames = Frames { first: CPtr::NULL, count: 1, size_bits };
        let like = Extent { strided, ..Extent::fresh(self.start.get(), frames, rights, cache) };
        run.is_alike(&Run::of(&like)).then(|| MAX_BATCH - run.count())
    }

    /// Whether this one, which has `run`, ends where `start` is, and before capability `first`.
    #[inline(always)]
    fn ends_before(&self, run: &Run, first: CPtr, start: VirtAddr) -> bool {
        run.first().offset(run.count()) == first && self.end() == start.bits()
    }

    /// Whether `next` goes on where this one ends, in address, capability and everything else.
    #[inline(always)]
    pub(super) fn continues_with(&self, next: &Extent) -> bool {
        let Content::Run(run) = self.content.get() else { return false };
        self.ends_before(&run, next.frames.first, next.start) && run.is_continued_by(&Run::of(next))
    }

    /// The same for the extent of a node, both of the space's own frames: that of the two together.
    #[inline(always)]
    pub(super) fn joined_with(&self, next: &ExtentNode<'_>) -> Option<Extent> {
        let (Content::Run(run), Content::Run(after)) = (self.content.get(), next.content.get())
        else {
            return None;
        };
        let one =
            self.ends_before(&run, after.first(), next.start.get()) && run.is_continued_by(&after);
        let before = one.then(|| run.extent(self.start.get()));
        let before = before.filter(|before| before.source == Source::Owned)?;
        let frames = Frames { count: run.count() + after.count(), ..before.frames };
        Some(Extent { frames, ..before })
    }

    /// Makes it an extent.
    #[inline(always)]
    pub(super) fn write(&self, extent: Extent) {
        self.start.set(extent.start);
        self.content.set(Content::Run(Run::of(&extent)));
    }

    /// Makes an extent longer by so many frames; nothing for a window.
    #[inline(always)]
    pub(super) fn lengthen(&self, frames: usize) {
        if let Content::Run(run) = self.content.get() {
            self.content.set(Content::Run(run.longer(frames)));
        }
    }

    /// Changes what is known of the extent that starts at `start`, if one does.
    pub(super) fn update(&self, start: VirtAddr, change: impl Fn(Extent) -> Extent) {
        match self.content.get() {
            Content::Run(run) => {
                if self.start.get() == start {
                    self.write(change(run.extent(start)));
                }
            }
            Content::Window(window) => {
                let size_bits = window.size_bits();
                let index = index_in_block(start, size_bits);
                if let Some(page) = window.get(index).filter(|_| start.is_aligned(size_bits)) {
                    let extent = extent_of_page(page, start, size_bits);
                    window.set(index, page_of_extent(&change(extent)));
                }
            }
        }
    }

    /// Whether one page, with a capability of its own, can be in one window with what is here:
    /// pages of the same size in the same block, of which each is known by itself or the only one.
    #[inline(always)]
    pub(super) fn takes(&self, page: &Extent) -> bool {
        let size_bits = match self.content.get() {
            Content::Run(run) if run.is_single() => run.size_bits(),
            Content::Run(_) => return false,
            Content::Window(window) => window.size_bits(),
        };
        let block_bits = size_bits + BLOCK_BITS;
        size_bits == page.frames.size_bits
            && self.start.get().bits() >> block_bits == page.start.bits() >> block_bits
    }

    /// Enters the pages of an extent that lies in the block of this window.
    #[inline(always)]
    pub(super) fn enter(&self, extent: &Extent) {
        let Content::Window(window) = self.content.get() else { return };
        let size_bits = window.size_bits();
        let (first, page) = (index_in_block(extent.start, size_bits), page_of_extent(extent));
        let step = usize::from(extent.step_bits() - size_bits);
        window.set_all((0..extent.frames.count).map(|number| first + (number << step)), page);
        self.start.set(self.start.get().min(extent.start));
    }

    /// As [`ExtentNode::enter`], for an extent of one page.
    #[inline(always)]
    pub(super) fn enter_one(&self, extent: &Extent) {
        self.enter_at(index_in_block(extent.start, extent.frames.size_bits), extent);
    }

    /// The same, where the number of its page in its block is known.
    #[inline(always)]
    pub(super) fn enter_at(&self, index: usize, extent: &Extent) {
        let Content::Window(window) = self.content.get() else { return };
        window.set(index, page_of_extent(extent));
        self.start.set(self.start.get().min(extent.start));
    }

    /// Makes an extent a window, of one block, in which it lies.
    pub(super) fn widen(&self, window: &'p Window<'p>) {
        let Content::Run(run) = self.content.get() else { return };
        let extent = run.extent(self.start.get());
        window.begin(run.size_bits());
        self.content.set(Content::Window(window));
        match run.is_single() {
            true => self.enter_one(&extent),
            false => self.enter(&extent),
        }
    }

    /// Takes the pages of an extent out of a window; says whether that has pages left.
    #[inline(always)]
    pub(super) fn leave(&self, extent: &Extent) -> bool {
        let Content::Window(window) = self.content.get() else { return true };
        let size_bits = window.size_bits();
        let pages = (0..extent.frames.count).fold(0, |pages, number| {
            pages | 1 << index_in_block(extent.address(number), size_bits)
        });
        self.leave_pages(pages)
    }

    /// Takes pages out of a window, number n where bit n is set; says whether that has pages left.
    #[inline(always)]
    pub(super) fn leave_pages(&self, pages: u16) -> bool {
        let Content::Window(window) = self.content.get() else { return true };
        window.remove(pages);
        let (start, size_bits) = (self.start.get(), window.size_bits());
        let index = index_in_block(start, size_bits);
        if window.has(index) {
            return true;
        }
        // What it began with is gone.
        let first = window.first_from(index);
        if let Some(first) = first {
            self.start.set(offset(start, (first - index) << size_bits));
        }
        first.is_some()
    }

    /// The pages of a window that lie, even in part, in a range of addresses (bytes): bit n is set
    /// for page n of the block. None for an extent.
    #[inline(always)]
    pub fn pages_in(&self, range: Range<usize>) -> u16 {
        let Content::Window(window) = self.content.get() else { return 0 };
        let size_bits = window.size_bits();
        let block = self.start.get().align_down(size_bits + BLOCK_BITS).bits();
        let page = |bytes: usize| (bytes >> size_bits).min(BLOCK_PAGES);
        let (from, to) = (range.start.saturating_sub(block), range.end.saturating_sub(block));
        let below = |page: usize| (1u32 << page) - 1;
        let inside = below(page(to.saturating_add((1 << size_bits) - 1))) & !below(page(from));
        window.present() & inside as u16
    }

    /// The frame of page number `index` of a window's block, and whose it is, if it is there.
    #[inline(always)]
    pub fn frame_of_page(&self, index: usize) -> Option<(CPtr, Source)> {
        let Content::Window(window) = self.content.get() else { return None };
        window.get(index).map(|page| (page.frame, page.attributes.source()))
    }

    /// The frame of page number `index` of a window's block, if that is there, of this source, and
    /// not abandoned.
    #[inline(always)]
    pub fn plain_frame(&self, index: usize, source: Source) -> Option<CPtr> {
        let Content::Window(window) = self.content.get() else { return None };
        let page = window.get(index)?;
        (page.attributes.source() == source && !page.abandoned).then_some(page.frame)
    }

    /// Whether page number `index` of a window's block is its first or its last.
    #[inline(always)]
    pub fn is_edge(&self, index: usize) -> bool {
        let Content::Window(window) = self.content.get() else { return false };
        window.first_from(0) == Some(index) || window.end() == index + 1
    }

    /// The extent that a window's pages are, if they lie together, are alike, and have consecutive
    /// capabilities.
    pub fn as_extent(&self) -> Option<Extent> {
        let Content::Window(window) = self.content.get() else { return None };
        let count = window.run()?;
        let first = self.info();
        Some(Extent { frames: Frames { count, ..first.frames }, ..first })
    }

    /// What is recorded of page number `index` of a window's block, if it is there.
    #[inline(always)]
    pub fn page(&self, index: usize) -> Option<Extent> {
        let Content::Window(window) = self.content.get() else { return None };
        let (page, size_bits) = (window.get(index)?, window.size_bits());
        let block = self.start.get().align_down(size_bits + BLOCK_BITS);
        Some(extent_of_page(page, offset(block, index << size_bits), size_bits))
    }

    /// What is wrong with a node of a tree, if anything is (invariant I22).
    pub(super) fn check(&self) -> Option<&'static str> {
        let Content::Window(window) = self.content.get() else { return None };
        let size_bits = window.size_bits();
        let start = self.start.get();
        let first = window.first_from(0);
        match first {
            None => Some("a window has a page"),
            Some(first) if first != index_in_block(start, size_bits) => {
                Some("a window begins with its first page")
            }
            Some(_) if !start.is_aligned(size_bits) => Some("a window's pages are aligned"),
            Some(_) => None,
        }
    }

    /// The window of a node that is in no tree any more; the node has none then.
    #[inline(always)]
    pub fn take_window(&self) -> Option<&'p Window<'p>> {
        let Content::Window(window) = self.content.get() else { return None };
        self.content.set(Content::default());
        Some(window)
    }
}
