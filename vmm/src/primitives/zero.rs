//! Dirty frames made clean: only a clean frame is mapped for another owner.
//!
//! A frame is mapped at the window, filled with zeros and unmapped: about 2.8 thousand instructions
//! for 4 KiB, where having the kernel clear it (by revoking and retyping) costs 4.8 thousand. A
//! large frame does not fit the window: it gets a place of its own for a moment.

use untyped_alloc::{CPtr, CachePolicy, Clean, Dirty, Frames, Invocation, Kernel, Memory, Rights};

use crate::manager::vmm::Vmm;
use crate::state::extent::RunInfo;
use crate::state::region::Region;
use crate::state::temp_slots::Window;
use crate::types::error::{Error, Result};
use crate::types::options::RegionOptions;
use crate::types::region::Kind;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Scrubs frames. Two kernel calls each.
    ///
    /// # Errors
    /// [`Error::Kernel`], or what making the window's page table can meet; the frames were given
    /// back then.
    pub(crate) fn scrub(&mut self, dirty: Dirty) -> Result<Clean> {
        let frames = dirty.frames();
        if frames.size_bits != self.geometry.page_bits {
            return self.scrub_large(dirty);
        }
        for index in 0..frames.count {
            if let Err(error) = self.scrub_one(frames.first.offset(index)) {
                self.give_or_leave(frames);
                return Err(error);
            }
        }
        Ok(dirty.scrubbed())
    }

    fn scrub_one(&mut self, frame: CPtr) -> Result {
        let address = self.map_at(Window::Target, frame)?;
        self.kernel.zero(address, self.geometry.page_bytes());
        self.clear_window(Window::Target)
    }

    fn scrub_large(&mut self, dirty: Dirty) -> Result<Clean> {
        let Frames { count, size_bits, .. } = dirty.frames();
        let options = RegionOptions::new(count << (size_bits - self.geometry.page_bits))
            .named("scrubbing")
            .aligned(size_bits)
            .kind(Kind::Bookkeeping);
        let region = match self.place_region(self.own, &options) {
            Ok(region) => region,
            Err(error) => {
                self.alloc.give_frames(dirty.frames())?;
                return Err(error);
            }
        };
        let scrubbed = self.scrub_in(region, dirty.frames());
        self.abandon_region(self.own, region);
        scrubbed.map(|()| dirty.scrubbed())
    }

    /// Scrubs frames in a region of our own that is as large. After a failure they were given back,
    /// or are mapped in the region still.
    fn scrub_in(&mut self, region: &'p Region<'p>, frames: Frames) -> Result {
        let (start, rights, cache) = (region.start(), Rights::READ_WRITE, CachePolicy::WriteBack);
        let run = RunInfo::fresh(start, frames, rights, cache);
        let bytes = frames.count << frames.size_bits;
        let pages = bytes >> self.geometry.page_bits;
        let range = self.geometry.range(start.bits(), pages)?;
        self.enter(self.own, run)?;
        self.install(self.own, range)?;
        self.kernel.zero(start.bits(), bytes);
        for index in 0..frames.count {
            if let Err(error) = self.kernel.page_unmap(run.frame(index)) {
                if index != 0 {
                    let done = run.part(0, index);
                    self.record_unmapped(self.own, &done);
                    self.forget_run(self.own, run, 0, index);
                    self.alloc.give_frames(done.frames)?;
                }
                return Err(Error::kernel(Invocation::PageUnmap)(error));
            }
        }
        self.record_unmapped(self.own, &run);
        self.forget_run(self.own, run, 0, frames.count);
        Ok(())
    }
}
