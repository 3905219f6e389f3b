// SPDX-License-Identifier: BSD-2-Clause
//! What the extents of a space are together: counted as they come and go.

use core::cell::Cell;

use super::extent::Extent;
use crate::types::mapping::Source;

/// What the extents of one space are together.
#[derive(Default)]
pub(crate) struct Totals {
    owned_bytes: Cell<usize>,
    copies: Cell<usize>,
    copied_bytes: Cell<usize>,
}

impl Totals {
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
    #[inline(always)]
    pub(super) fn count(&self, extent: &Extent, count: usize, into: bool) {
        self.count_frames(extent.source, count << extent.frames.size_bits, count, into);
    }

    /// Counts `count` frames of `bytes` together, in or out.
    #[inline(always)]
    pub(super) fn count_frames(&self, source: Source, bytes: usize, count: usize, into: bool) {
        let change = |total: &Cell<usize>, by: usize| {
            total.set(if into { total.get() + by } else { total.get() - by });
        };
        match source {
            Source::Owned => change(&self.owned_bytes, bytes),
            Source::Copy => {
                change(&self.copies, count);
                change(&self.copied_bytes, bytes);
            }
            Source::Borrowed | Source::Physical => {}
        }
    }

    /// Counts bytes more in frames of the space's own.
    #[inline(always)]
    pub(super) fn own_more(&self, bytes: usize) {
        self.owned_bytes.set(self.owned_bytes.get() + bytes);
    }

    /// Counts bytes less in frames of the space's own.
    #[inline(always)]
    pub(super) fn own_less(&self, bytes: usize) {
        self.owned_bytes.set(self.owned_bytes.get() - bytes);
    }
}
