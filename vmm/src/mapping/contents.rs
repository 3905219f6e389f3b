// SPDX-License-Identifier: BSD-2-Clause
//! Committing pages that begin with contents: how a program is loaded.
//!
//! A frame is written before it is mapped where it is to stay, so its own capability leads to it:
//! three kernel calls a page, where mapping and writing afterwards ([`Vmm::write`]) costs five, and
//! two more if the frame was to be zeroed.

use page_tables::{PageRange, Pages};
use untyped_alloc::{AllocatedFrames, Frames, Kernel, Memory};

use crate::manager::vmm::Vmm;
use crate::state::region::Region;
use crate::state::reserve::Reserve;
use crate::state::space::Space;
use crate::state::temp_slots::TempSlot;
use crate::types::error::{Error, Result};
use crate::types::ids::SpaceId;
use crate::types::quota::Resource;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Commits pages with contents: maps fresh memory in every page that has one of the bytes from
    /// the address `start` on, and `bytes` are in them; the rest of the first page and of the last
    /// is clear. They lie in one region and have nothing mapped. Rights and cache policy are the
    /// region's, which need not allow writing. Without bytes, nothing is mapped.
    ///
    /// Costs three kernel calls a page, and what [`Vmm::populate`] does for tables and frames.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> vmm::Result {
    /// # let vmm = &mut vmm_tests::support::manager();
    /// use vmm::{RegionOptions, Rights};
    ///
    /// let space = vmm.create_space()?;
    /// // A program may read them; 200 bytes lie over the line between the first two.
    /// let region = vmm.reserve(space, &RegionOptions::new(3).rights(Rights::READ))?;
    /// let start = region.start().bits();
    /// vmm.populate_from(space, start + 4000, &[7; 200])?;
    /// let mut there = [1; 202];
    /// vmm.read(space, start + 3999, &mut there)?;
    /// assert_eq!((there[0], there[1], there[200], there[201]), (0, 7, 7, 0));
    /// assert!(vmm.mapping_at(space, start + 8192)?.is_none());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Vmm::populate`]. Nothing is left behind.
    pub fn populate_from(&mut self, space: SpaceId, start: usize, bytes: &[u8]) -> Result {
        self.under_pressure_reclaiming(|vmm| vmm.try_populate_from(space, start, bytes))
    }

    fn try_populate_from(&mut self, space: SpaceId, start: usize, bytes: &[u8]) -> Result {
        let node = self.space(space)?;
        if bytes.is_empty() {
            return Ok(());
        }
        let page = self.geometry.page_bytes();
        let base = start & !(page - 1);
        let end = start.checked_add(bytes.len()).ok_or_else(|| node.outside(start))?;
        let (region, range) =
            self.caller_range(node, Pages::at(base).count((end - base).div_ceil(page)))?;
        if let Some(extent) = node.extents().first_in(range) {
            let (address, name) = (extent.start.bits().max(base), region.spec().name);
            return Err(Error::AlreadyMapped { address, name });
        }
        self.check_quota(node, Resource::Frames, range.pages())?;
        self.check_memory(range)?;
        let (mut rest, mut skipped) = (bytes, start - base);
        for index in 0..range.pages() {
            let (now, later) = rest.split_at(rest.len().min(page - skipped));
            let Some(at) = range.part(index, 1) else { break };
            if let Err(error) = self.commit_contents(node, region, at, skipped, now) {
                let mut reserve = self.refill_to_free();
                self.roll_back(&mut reserve, node, range, at.start());
                return Err(self.with_amounts(range, error));
            }
            (rest, skipped) = (later, 0);
        }
        Ok(())
    }

    /// Maps a page that holds `bytes` from its byte `skipped` on, and is clear besides.
    fn commit_contents(
        &mut self,
        space: &'p Space<'p>,
        region: &'p Region<'p>,
        page: PageRange,
        skipped: usize,
        bytes: &[u8],
    ) -> Result {
        let reserve = &mut self.refill_to_take()?;
        let size_bits = self.geometry.page_bits;
        let mobility = self.mobility(space, region);
        let taken = self
            .alloc_or_prune(|alloc, kernel| alloc.alloc_frames(kernel, size_bits, 1, mobility))?;
        let (frames, is_clear) = match taken {
            AllocatedFrames::Zeroed(clean) => (clean.frames(), true),
            AllocatedFrames::Dirty(dirty) => (dirty.frames(), false),
        };
        if let Err(error) = self.write_contents(reserve, frames, is_clear, skipped, bytes) {
            self.free_or_defer(frames);
            return Err(error);
        }
        let site = self.site(space, region);
        self.commit_frame(reserve, &site, page, (frames, is_clear))
    }

    /// Writes all of a frame that is mapped nowhere: `bytes` from its byte `skipped` on, and zeros
    /// where they are missing. Two kernel calls.
    fn write_contents(
        &mut self,
        reserve: &mut Reserve,
        frames: Frames,
        is_clear: bool,
        skipped: usize,
        bytes: &[u8],
    ) -> Result {
        let window = self.map_temporarily(reserve, TempSlot::Target, frames.first)?;
        let after = skipped + bytes.len();
        if !is_clear {
            self.kernel.zero(window, skipped);
            self.kernel.zero(window + after, self.geometry.page_bytes() - after);
        }
        self.kernel.write(window + skipped, bytes);
        self.unmap_temporary(TempSlot::Target)
    }
}
