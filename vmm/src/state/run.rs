// SPDX-License-Identifier: BSD-2-Clause
//! What the node of an extent remembers of it, packed.

use core::num::NonZeroU16;

use page_tables::VirtAddr;
use untyped_alloc::{CPtr, Frames, Rights, MAX_BATCH};

use super::extent::Extent;
use super::window::Attributes;
use crate::types::mapping::Source;

/// An extent, but for where it starts.
#[derive(Clone, Copy)]
pub(super) struct Run {
    /// The capability mapped at its start; the others follow.
    first: CPtr,
    count: NonZeroU16,
    /// Logarithm of a frame's bytes, and the marks [`ABANDONED`] and [`EXECUTABLE`].
    size_and_marks: u8,
    /// The last bit is set where it is strided.
    attributes: Attributes,
}

impl Default for Run {
    fn default() -> Self {
        let (count, attributes) = (NonZeroU16::MIN, Attributes::default());
        Run { first: CPtr::NULL, count, size_and_marks: 0, attributes }
    }
}

/// Set beside the size of an extent's frames: it is abandoned.
const ABANDONED: u8 = 1 << 7;

/// Set there, too: its pages may be run. The right itself, moved.
const EXECUTABLE: u8 = Rights::EXECUTE.bits() << EXECUTE_SHIFT;
const EXECUTE_SHIFT: u8 = 3;
const _: () = assert!(EXECUTABLE == 1 << 6);

impl Run {
    /// What is packed of an extent.
    #[inline(always)]
    pub fn of(extent: &Extent) -> Run {
        let Extent { rights, cow, cache, source, strided, abandoned, .. } = *extent;
        let abandoned = if abandoned { ABANDONED } else { 0 };
        let execute = rights.bits() << EXECUTE_SHIFT & EXECUTABLE;
        Run {
            first: extent.frames.first,
            count: NonZeroU16::new(extent.frames.count as u16).unwrap_or(NonZeroU16::MIN),
            size_and_marks: extent.frames.size_bits | abandoned | execute,
            attributes: Attributes::new(rights, cow, cache, source, strided),
        }
    }

    /// How many frames it has.
    #[inline(always)]
    pub fn count(&self) -> usize {
        usize::from(self.count.get())
    }

    /// Logarithm of a frame's bytes.
    #[inline(always)]
    pub fn size_bits(&self) -> u8 {
        self.size_and_marks & !(ABANDONED | EXECUTABLE)
    }

    /// Logarithm of the distance from one page to the next, in bytes.
    #[inline(always)]
    pub fn step_bits(&self) -> u8 {
        self.size_bits() + u8::from(self.attributes.last())
    }

    /// The capability mapped at its start.
    #[inline(always)]
    pub fn first(&self) -> CPtr {
        self.first
    }

    /// Whether it is one page, with no gap behind it.
    #[inline(always)]
    pub fn is_single(&self) -> bool {
        self.count.get() == 1 && !self.attributes.last()
    }

    /// The capability of the frame at a distance from its start, in bytes, unless a gap is there.
    #[inline(always)]
    pub fn frame_at(&self, distance: usize) -> Option<CPtr> {
        (!self.has_gap_at(distance)).then(|| self.first.offset(distance >> self.step_bits()))
    }

    /// The frame at a distance from its start, in bytes, and whose it is, if it is of a size and
    /// not under copy-on-write.
    #[inline(always)]
    pub fn plain_frame_at(&self, distance: usize, size_bits: u8) -> Option<(CPtr, Source)> {
        let fits = self.size_bits() == size_bits && !self.attributes.cow();
        let frame = if fits { self.frame_at(distance) } else { None };
        frame.map(|frame| (frame, self.attributes.source()))
    }

    /// The run that is `frames` longer.
    #[inline(always)]
    pub fn longer(self, frames: usize) -> Run {
        // At most as many as a batch has, so the number always fits.
        Run { count: self.count.saturating_add(frames as u16), ..self }
    }

    /// Whether a gap, and no page, is at this distance from the start, in bytes.
    #[inline(always)]
    pub fn has_gap_at(&self, distance: usize) -> bool {
        self.attributes.last() && distance >> self.size_bits() & 1 != 0
    }

    /// Whether its frames are mapped as another's are.
    #[inline(always)]
    pub fn is_alike(&self, other: &Run) -> bool {
        (self.size_and_marks, self.attributes) == (other.size_and_marks, other.attributes)
    }

    /// Whether one extent can be made of this and `next`, which goes on where it ends.
    #[inline(always)]
    pub fn is_continued_by(&self, next: &Run) -> bool {
        self.is_alike(next) && self.count() + next.count() <= MAX_BATCH
    }

    /// Its frames.
    pub fn frames(&self) -> Frames {
        Frames { first: self.first, count: self.count(), size_bits: self.size_bits() }
    }

    /// The extent that begins with it at `start`.
    pub fn extent(&self, start: VirtAddr) -> Extent {
        let execute = (self.size_and_marks & EXECUTABLE) >> EXECUTE_SHIFT;
        Extent {
            start,
            frames: self.frames(),
            rights: Rights::from_bits_retain(self.attributes.rights().bits() | execute),
            cow: self.attributes.cow(),
            cache: self.attributes.cache(),
            source: self.attributes.source(),
            strided: self.attributes.last(),
            abandoned: self.size_and_marks & ABANDONED != 0,
        }
    }
}
