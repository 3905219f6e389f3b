// SPDX-License-Identifier: BSD-2-Clause
//! Extents: frames with consecutive capabilities, mapped at consecutive addresses with the same
//! rights.
//!
//! The pages of IPC buffers are *strided*: behind each comes one page where nothing is ever mapped,
//! the guard. It counts as the extent's, so that one extent does for many buffers too.
//!
//! ```text
//!   ├page├page├page┤           ├page├╌╌╌╌├page├╌╌╌╌├page├╌╌╌╌┤
//!   start          end         start         strided         end
//! ```

use page_tables::{PageRange, VirtAddr};
use untyped_alloc::{CPtr, CachePolicy, Frames, Rights};

use crate::types::mapping::Source;

/// Frames with consecutive capabilities that are mapped at consecutive addresses with the same
/// rights: what is remembered of them, as a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Extent {
    pub start: VirtAddr,
    pub frames: Frames,
    /// What its pages may be used for.
    pub rights: Rights,
    /// The frames may have other users who must not see writes: the pages are mapped without the
    /// right to write, and the first write gets a frame of its own.
    pub cow: bool,
    pub cache: CachePolicy,
    pub source: Source,
    /// Behind each page comes one where nothing is mapped.
    pub strided: bool,
    /// Whoever mapped it gave it up, and the kernel would not unmap it: that is tried again.
    pub abandoned: bool,
}

impl Extent {
    /// Fresh frames of a space's own, mapped page behind page.
    pub fn fresh(start: VirtAddr, frames: Frames, rights: Rights, cache: CachePolicy) -> Extent {
        let source = Source::Owned;
        let (cow, strided, abandoned) = (false, false, false);
        Extent { start, frames, rights, cow, cache, source, strided, abandoned }
    }

    /// Logarithm of the distance from one page to the next, in bytes.
    pub fn step_bits(&self) -> u8 {
        self.frames.size_bits + u8::from(self.strided)
    }

    /// The number of the frame that is mapped at `address`, which is in the extent.
    pub fn index_of(&self, address: VirtAddr) -> usize {
        (address.bits() - self.start.bits()) >> self.step_bits()
    }

    /// Whether one of its pages is at `address`, which it covers: not so in the gaps of a strided
    /// one.
    pub fn maps(&self, address: VirtAddr) -> bool {
        let distance = address.bits() - self.start.bits();
        !self.strided || distance >> self.frames.size_bits & 1 == 0
    }

    /// Its bytes of memory.
    pub fn bytes(&self) -> usize {
        self.frames.count << self.frames.size_bits
    }

    /// The rights its pages are mapped with.
    pub fn mapped_rights(&self) -> Rights {
        if self.cow {
            self.rights.difference(Rights::WRITE)
        } else {
            self.rights
        }
    }

    /// The address after the last byte, or, where it is strided, after the last gap.
    pub fn end(&self) -> usize {
        self.start.bits() + (self.frames.count << self.step_bits())
    }

    /// `count` frames from number `first` on.
    pub fn part(&self, first: usize, count: usize) -> Extent {
        Extent { start: self.address(first), frames: self.frames_part(first, count), ..*self }
    }

    /// Where frame number `index` is mapped.
    pub fn address(&self, index: usize) -> VirtAddr {
        offset(self.start, index << self.step_bits())
    }

    /// The capability of frame number `index`.
    pub fn frame(&self, index: usize) -> CPtr {
        self.frames.first.offset(index)
    }

    /// The same, with where it comes from.
    pub fn mapped(&self, index: usize) -> (CPtr, Source) {
        (self.frame(index), self.source)
    }

    fn frames_part(&self, first: usize, count: usize) -> Frames {
        Frames { first: self.frame(first), count, size_bits: self.frames.size_bits }
    }

    /// The numbers of the frames that lie, even in part, in `range`: first and count.
    pub fn indices_in(&self, range: PageRange) -> (usize, usize) {
        let bits = self.step_bits();
        let distance = range.start().bits().saturating_sub(self.start.bits());
        let behind_page = self.strided && distance >> self.frames.size_bits & 1 == 1;
        let from = (distance >> bits) + usize::from(behind_page);
        let to = (range.end().min(self.end()) - 1 - self.start.bits()) >> bits;
        (from, to + 1 - from)
    }
}

/// An address further on, known to stay in user space.
pub(crate) fn offset(address: VirtAddr, bytes: usize) -> VirtAddr {
    address.checked_add(bytes).unwrap_or(address)
}
