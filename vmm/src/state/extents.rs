// SPDX-License-Identifier: BSD-2-Clause
//! The extents of one space, ordered by address.
//!
//! An extent is what the manager remembers about mapped pages: 28 bytes on IA32 for up to 256 of
//! them. Where pages are mapped one by one at scattered addresses, each costs one extent. Extents
//! never overlap.

use core::cell::Cell;

use intrusive_collections::{Bound, KeyAdapter, RBTree, RBTreeLink};
use page_tables::{PageRange, VirtAddr};
use untyped_alloc::{CPtr, CachePolicy, Frames, Rights, MAX_BATCH};

use super::extent::Extent;
use crate::types::mapping::Source;

/// The node of one extent.
#[derive(Default)]
pub(crate) struct ExtentNode<'p> {
    pub next_free: Cell<Option<&'p ExtentNode<'p>>>,
    by_start: RBTreeLink,
    start: Cell<VirtAddr>,
    /// The capability mapped at `start`; the others follow.
    first: Cell<CPtr>,
    count: Cell<u16>,
    /// Logarithm of a frame's bytes, and the marks [`ABANDONED`] and [`EXECUTABLE`].
    size_bits: Cell<u8>,
    attributes: Cell<Attributes>,
}

/// Set beside the size of an extent's frames: it is abandoned.
const ABANDONED: u8 = 1 << 7;

/// Set there, too: its pages may be run. The right itself, moved.
const EXECUTABLE: u8 = Rights::EXECUTE.bits() << EXECUTE_SHIFT;
const EXECUTE_SHIFT: u8 = 3;
const _: () = assert!(EXECUTABLE == 1 << 6);

#[cfg(target_pointer_width = "32")]
const _: () = assert!(core::mem::size_of::<ExtentNode<'_>>() <= 28);

/// Rights (two bits: frames know no grant, and running is marked elsewhere), copy-on-write, cache policy, source and whether its
/// pages lie apart, in one byte.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
struct Attributes(u8);

impl Attributes {
    fn new(info: &Extent) -> Attributes {
        let rights = info.rights.bits() & Rights::READ_WRITE.bits();
        let (cow, cache, source) = (info.cow as u8, info.cache as u8, info.source as u8);
        Attributes(rights | cow << 2 | cache << 3 | source << 5 | (info.strided as u8) << 7)
    }

    fn rights(self) -> Rights {
        Rights::from_bits_truncate(self.0 & Rights::READ_WRITE.bits())
    }

    fn cow(self) -> bool {
        self.0 & 1 << 2 != 0
    }

    fn cache(self) -> CachePolicy {
        match self.0 >> 3 & 3 {
            0 => CachePolicy::WriteBack,
            1 => CachePolicy::WriteThrough,
            2 => CachePolicy::Uncached,
            _ => CachePolicy::WriteCombining,
        }
    }

    fn source(self) -> Source {
        match self.0 >> 5 & 3 {
            0 => Source::Owned,
            1 => Source::Copy,
            2 => Source::Borrowed,
            _ => Source::Physical,
        }
    }

    fn strided(self) -> bool {
        self.0 & 1 << 7 != 0
    }
}

fn size_and_marks(extent: &Extent) -> u8 {
    let abandoned = if extent.abandoned { ABANDONED } else { 0 };
    extent.frames.size_bits | abandoned | extent.rights.bits() << EXECUTE_SHIFT & EXECUTABLE
}

impl ExtentNode<'_> {
    /// Its frames.
    pub fn frames(&self) -> Frames {
        Frames {
            first: self.first.get(),
            count: usize::from(self.count.get()),
            size_bits: self.bits(),
        }
    }

    /// How many they are.
    #[inline(always)]
    pub fn count(&self) -> usize {
        usize::from(self.count.get())
    }

    fn end(&self) -> usize {
        self.start.get().bits() + (usize::from(self.count.get()) << self.step_bits())
    }

    fn bits(&self) -> u8 {
        self.size_bits.get() & !(ABANDONED | EXECUTABLE)
    }

    fn step_bits(&self) -> u8 {
        self.bits() + u8::from(self.attributes.get().strided())
    }

    fn covers(&self, address: VirtAddr) -> bool {
        self.start.get() <= address && address.bits() < self.end()
    }

    /// Whether one of its pages is at `address`, which it covers.
    fn maps(&self, address: VirtAddr) -> bool {
        let distance = address.bits() - self.start.get().bits();
        !self.attributes.get().strided() || distance >> self.bits() & 1 == 0
    }

    /// By how many fresh frames mapped like this it could become longer; `None` if it is not alike.
    pub fn room_for_more(
        &self,
        rights: Rights,
        cache: CachePolicy,
        size_bits: u8,
        strided: bool,
    ) -> Option<usize> {
        let frames = Frames { first: CPtr::NULL, count: 1, size_bits };
        let like = Extent { strided, ..Extent::fresh(self.start.get(), frames, rights, cache) };
        let alike = self.size_bits.get() == size_and_marks(&like)
            && self.attributes.get() == Attributes::new(&like);
        alike.then(|| MAX_BATCH - usize::from(self.count.get()))
    }

    /// Whether `next` goes on where this one ends, in address, capability and everything else.
    fn continues_with(&self, next: &Extent) -> bool {
        let count = usize::from(self.count.get());
        self.end() == next.start.bits()
            && self.first.get().offset(count) == next.frames.first
            && count + next.frames.count <= MAX_BATCH
            && self.size_bits.get() == size_and_marks(next)
            && self.attributes.get() == Attributes::new(next)
    }

    pub fn info(&self) -> Extent {
        let attributes = self.attributes.get();
        let execute = (self.size_bits.get() & EXECUTABLE) >> EXECUTE_SHIFT;
        Extent {
            start: self.start.get(),
            frames: self.frames(),
            rights: Rights::from_bits_retain(attributes.rights().bits() | execute),
            cow: attributes.cow(),
            cache: attributes.cache(),
            source: attributes.source(),
            strided: attributes.strided(),
            abandoned: self.size_bits.get() & ABANDONED != 0,
        }
    }

    fn write(&self, info: Extent) {
        self.start.set(info.start);
        self.first.set(info.frames.first);
        self.count.set(info.frames.count as u16);
        self.size_bits.set(size_and_marks(&info));
        self.attributes.set(Attributes::new(&info));
    }
}

#[allow(unsafe_code)] // what the adapter macro expands to
mod adapters {
    use super::*;
    use intrusive_collections::intrusive_adapter;
    intrusive_adapter!(
        pub(crate) ByStart<'p> = &'p ExtentNode<'p>: ExtentNode<'p> { by_start => RBTreeLink }
    );
}
use adapters::ByStart;

impl<'a> KeyAdapter<'a> for ByStart<'_> {
    type Key = VirtAddr;
    fn get_key(&self, extent: &'a ExtentNode<'_>) -> VirtAddr {
        extent.start.get()
    }
}

/// The extents of one space.
pub(crate) struct Extents<'p> {
    by_start: RBTree<ByStart<'p>>,
    /// The extent used last, and an address up to which nothing lies behind it: what comes next is
    /// often behind it or in it. Always in the tree.
    last: Cell<Option<(&'p ExtentNode<'p>, usize)>>,
    /// Bytes in frames of the space's own.
    owned_bytes: Cell<usize>,
    /// Copied capabilities.
    copies: Cell<usize>,
    /// Bytes in their frames.
    copied_bytes: Cell<usize>,
}

impl<'p> Extents<'p> {
    pub fn new() -> Self {
        Extents {
            by_start: RBTree::new(ByStart::new()),
            last: Cell::new(None),
            owned_bytes: Cell::new(0),
            copies: Cell::new(0),
            copied_bytes: Cell::new(0),
        }
    }

    /// Bytes in frames of the space's own.
    pub fn owned_bytes(&self) -> usize {
        self.owned_bytes.get()
    }

    /// Capabilities that are copies.
    pub fn copies(&self) -> usize {
        self.copies.get()
    }

    /// Bytes in the frames of copied capabilities.
    pub fn copied_bytes(&self) -> usize {
        self.copied_bytes.get()
    }

    /// Counts `count` frames of an extent, in or out.
    fn count(&self, extent: &Extent, count: usize, into: bool) {
        let change = |total: &Cell<usize>, by: usize| {
            total.set(if into { total.get() + by } else { total.get() - by });
        };
        let bytes = count << extent.frames.size_bits;
        match extent.source {
            Source::Owned => change(&self.owned_bytes, bytes),
            Source::Copy => {
                change(&self.copies, count);
                change(&self.copied_bytes, bytes);
            }
            Source::Borrowed | Source::Physical => {}
        }
    }

    /// Enters an extent in `node`.
    pub fn insert(&mut self, node: &'p ExtentNode<'p>, info: Extent) {
        node.write(info);
        self.by_start.insert(node);
        self.count(&info, info.frames.count, true);
        if let Some((last, clear_to)) = self.last.get() {
            // Elsewhere it changes nothing behind the last extent; there it is the last one now.
            if last.end() <= info.start.bits() && info.start.bits() < clear_to {
                self.last.set(Some((node, clear_to)));
            }
        }
    }

    /// The first extent that lies, even in part, in `range`.
    pub fn first_in(&self, range: PageRange) -> Option<Extent> {
        let start = range.start();
        if let Some((last, clear_to)) = self.last.get() {
            if last.covers(start) {
                return Some(last.info());
            }
            if last.end() <= start.bits() && range.end() <= clear_to {
                return None;
            }
        }
        let at = self.by_start.upper_bound(Bound::Included(&start));
        let next = match at.clone_pointer() {
            Some(extent) if extent.covers(start) => {
                self.last.set(Some((extent, extent.end())));
                return Some(extent.info());
            }
            Some(extent) => {
                let next = at.peek_next().get();
                let clear_to = next.map_or(usize::MAX, |next| next.start.get().bits());
                self.last.set(Some((extent, clear_to)));
                next
            }
            None => self.by_start.front().get(),
        };
        next.map(ExtentNode::info).filter(|extent| extent.start.bits() < range.end())
    }

    /// The extent that covers an address.
    pub fn at(&self, address: VirtAddr) -> Option<Extent> {
        if let Some((last, _)) = self.last.get().filter(|(last, _)| last.covers(address)) {
            return last.maps(address).then(|| last.info());
        }
        let extent = self.by_start.upper_bound(Bound::Included(&address)).clone_pointer()?;
        if !extent.covers(address) {
            return None;
        }
        self.last.set(Some((extent, extent.end())));
        extent.maps(address).then(|| extent.info())
    }

    /// The extent that goes on across an address: it begins before and ends behind it. Where one is
    /// known to begin or end there, nothing is searched.
    pub fn across(&self, address: VirtAddr) -> Option<Extent> {
        if let Some((last, _)) = self.last.get() {
            if last.start.get() == address || last.end() == address.bits() {
                return None;
            }
            if last.covers(address) {
                return Some(last.info());
            }
        }
        let before = self.by_start.upper_bound(Bound::Excluded(&address)).clone_pointer()?;
        before.covers(address).then(|| before.info())
    }

    /// The capability that is mapped at an address.
    pub fn frame_at(&self, address: VirtAddr) -> Option<CPtr> {
        if let Some((last, _)) = self.last.get().filter(|(last, _)| last.covers(address)) {
            let index = (address.bits() - last.start.get().bits()) >> last.step_bits();
            return last.maps(address).then(|| last.first.get().offset(index));
        }
        self.at(address).map(|extent| extent.frame(extent.index_of(address)))
    }

    /// The extent before `next`, which lies in no extent, if `next` goes on where it ends in every
    /// respect that an extent knows of.
    pub fn before(&self, next: &Extent) -> Option<&'p ExtentNode<'p>> {
        let start = next.start.bits();
        let behind =
            |(last, clear_to): &(&ExtentNode<'_>, usize)| last.end() <= start && start < *clear_to;
        let before = match self.last.get().filter(behind) {
            Some((last, _)) => last,
            None => self.by_start.upper_bound(Bound::Included(&next.start)).clone_pointer()?,
        };
        before.continues_with(next).then_some(before)
    }

    /// The extent used last, if it ends at `address`; and up to where nothing lies behind it, as
    /// far as is known.
    pub fn last_ending_at(&self, address: VirtAddr) -> Option<(&'p ExtentNode<'p>, usize)> {
        self.last.get().filter(|(last, _)| last.end() == address.bits())
    }

    /// The extent that ends at `address`.
    pub fn ending_at(&self, address: VirtAddr) -> Option<&'p ExtentNode<'p>> {
        let before = match self.last_ending_at(address) {
            Some((last, _)) => last,
            None => self.by_start.upper_bound(Bound::Excluded(&address)).clone_pointer()?,
        };
        (before.end() == address.bits()).then_some(before)
    }

    /// Makes an extent of the space's own frames longer by the one that goes on where it ends, of
    /// `bytes`.
    #[inline(always)]
    pub fn extend(&self, extent: &'p ExtentNode<'p>, bytes: usize) {
        extent.count.set(extent.count.get() + 1);
        self.owned_bytes.set(self.owned_bytes.get() + bytes);
    }

    /// Takes frames `first..first + count` out of the extent that starts where `extent` does. What
    /// is left before them keeps the node; what is left after them needs `spare`. Returns the nodes
    /// that are free now: at the most one, and `spare` if it was not used.
    pub fn remove_range(
        &mut self,
        extent: &Extent,
        first: usize,
        count: usize,
        spare: &mut Option<&'p ExtentNode<'p>>,
    ) -> Option<&'p ExtentNode<'p>> {
        let node = self.by_start.find(&extent.start).clone_pointer()?;
        let after = extent.frames.count - first - count;
        let mut freed = None;
        // What follows is either kept in a node of its own, and counted anew, or part of it.
        // `insert` counts what gets a node of its own, so that is counted out here.
        let counted_anew = if first != 0 { after } else { 0 };
        self.count(extent, count + counted_anew, false);
        match (first, after) {
            (0, 0) => {
                freed = self.by_start.find_mut(&extent.start).remove();
                // The one used last is always in the tree, and it may be this one.
                self.last.set(None);
            }
            // The order among the extents stays: what is left starts inside the old extent.
            (0, _) => node.write(extent.part(count, after)),
            (_, 0) => node.write(extent.part(0, first)),
            _ => {
                node.write(extent.part(0, first));
                if let Some(rest) = spare.take() {
                    self.insert(rest, extent.part(first + count, after));
                }
            }
        }
        freed
    }

    /// Whether carving these frames out leaves something on both sides, and so needs a node.
    pub fn needs_spare(extent: &Extent, first: usize, count: usize) -> bool {
        first != 0 && first + count != extent.frames.count
    }

    /// Joins the extent at `start` with the one before it if they are really one, and if
    /// `one_batch` says that the frames of both came together; returns the node that is free then.
    pub fn join_before(
        &mut self,
        start: VirtAddr,
        one_batch: impl Fn(Frames) -> bool,
    ) -> Option<&'p ExtentNode<'p>> {
        let cursor = self.by_start.find(&start);
        let after = cursor.get()?.info();
        let before_node = cursor.peek_prev().clone_pointer()?;
        let before = before_node.info();
        let count = before.frames.count + after.frames.count;
        let frames = Frames { count, ..before.frames };
        let one = before.source == Source::Owned && before_node.continues_with(&after);
        if !one || !one_batch(frames) {
            return None;
        }
        let freed = self.by_start.find_mut(&start).remove();
        self.last.set(None);
        before_node.write(Extent { frames, ..before });
        freed
    }

    /// Records new rights for the whole extent that starts at `start`.
    pub fn set_rights(&mut self, start: VirtAddr, rights: Rights) {
        if let Some(extent) = self.by_start.find(&start).get() {
            extent.write(Extent { rights, ..extent.info() });
        }
    }

    /// Records that the whole extent that starts at `start` is given up.
    pub fn set_abandoned(&mut self, start: VirtAddr) {
        if let Some(extent) = self.by_start.find(&start).get() {
            extent.write(Extent { abandoned: true, ..extent.info() });
        }
    }

    /// Records whether the whole extent that starts at `start` is copy-on-write.
    pub fn set_cow(&mut self, start: VirtAddr, cow: bool) {
        if let Some(extent) = self.by_start.find(&start).get() {
            extent.write(Extent { cow, ..extent.info() });
        }
    }

    /// Takes every extent out, lowest first.
    pub fn pop(&mut self) -> Option<(&'p ExtentNode<'p>, Extent)> {
        let node = self.by_start.front_mut().remove()?;
        self.last.set(None);
        let info = node.info();
        self.count(&info, info.frames.count, false);
        Some((node, info))
    }

    /// Every extent, by address.
    pub fn iter(&self) -> impl Iterator<Item = Extent> + use<'_, 'p> {
        self.by_start.iter().map(ExtentNode::info)
    }
}
