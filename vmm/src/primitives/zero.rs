// SPDX-License-Identifier: BSD-2-Clause
//! Zeroing dirty frames: only a zeroed frame is mapped for another owner.
//!
//! A frame is mapped at a temporary slot, filled with zeros and unmapped: about 2.8 thousand
//! instructions for 4 KiB, where having the kernel clear it (by revoking and retyping) costs 4.8
//! thousand; at its place in the direct map, where there is one, it is filled without a call. A
//! large frame does not fit the slot: it gets a region of its own for a moment.

use untyped_alloc::{CPtr, CachePolicy, Dirty, Frames, Kernel, Memory, Rights, Zeroed};

use crate::manager::vmm::Vmm;
use crate::state::extent::Extent;
use crate::state::region::Region;
use crate::state::reserve::Reserve;
use crate::state::temp_slots::TempSlot;
use crate::types::error::{Error, Result};
use crate::types::options::RegionOptions;
use crate::types::region::Kind;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Zeroes frames. Two kernel calls each, or none for one that is in the direct map.
    ///
    /// # Errors
    /// [`Error::Kernel`], or what making the temporary slot's page table can meet; the frames were
    /// freed then.
    pub(crate) fn zero_frames(&mut self, reserve: &mut Reserve, dirty: Dirty) -> Result<Zeroed> {
        let frames = dirty.frames();
        if frames.size_bits != self.geometry.page_bits {
            return self.zero_large(reserve, dirty);
        }
        for index in 0..frames.count {
            if let Err(error) = self.zero_small(reserve, frames.first.offset(index)) {
                self.free_or_defer(frames);
                return Err(error);
            }
        }
        Ok(dirty.zeroed())
    }

    fn zero_small(&mut self, reserve: &mut Reserve, frame: CPtr) -> Result {
        if let Some(address) = self.alias_address(frame) {
            self.kernel.zero(address, self.geometry.page_bytes());
            return Ok(());
        }
        let address = self.map_temporarily(reserve, TempSlot::Target, frame)?;
        self.kernel.zero(address, self.geometry.page_bytes());
        self.unmap_temporary(TempSlot::Target)
    }

    fn zero_large(&mut self, reserve: &mut Reserve, dirty: Dirty) -> Result<Zeroed> {
        let Frames { count, size_bits, .. } = dirty.frames();
        let options = RegionOptions::new(count << (size_bits - self.geometry.page_bits))
            .named("zeroing")
            .aligned(size_bits)
            .kind(Kind::Bookkeeping);
        let region = match self.place_region(reserve, self.own, &options) {
            Ok(region) => region,
            Err(error) => {
                self.alloc.free_frames(dirty.frames())?;
                return Err(error);
            }
        };
        let zeroed = self.zero_in(reserve, region, dirty.frames());
        self.free_region_or_quarantine(reserve, self.own, region);
        zeroed.map(|()| dirty.zeroed())
    }

    /// Zeroes frames in a region of our own that is as large. After a failure they were freed, or
    /// are mapped in the region still.
    fn zero_in(&mut self, reserve: &mut Reserve, region: &'p Region<'p>, frames: Frames) -> Result {
        let (start, rights, cache) = (region.start(), Rights::READ_WRITE, CachePolicy::WriteBack);
        let extent = Extent::fresh(start, frames, rights, cache);
        let bytes = frames.count << frames.size_bits;
        self.record_extent(reserve, self.own, extent)?;
        self.map_or_free_extent(reserve, self.own, extent)?;
        self.kernel.zero(start.bits(), bytes);
        for index in 0..frames.count {
            if let Err(error) = self.kernel.page_unmap(extent.frame(index)) {
                if index != 0 {
                    let done = extent.part(0, index);
                    self.record_unmapped(self.own, &done);
                    self.remove_extent(self.own, extent, 0, index);
                    self.alloc.free_frames(done.frames)?;
                }
                return Err(Error::from(error));
            }
        }
        self.record_unmapped(self.own, &extent);
        self.remove_extent(self.own, extent, 0, frames.count);
        Ok(())
    }
}
