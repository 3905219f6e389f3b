// SPDX-License-Identifier: BSD-2-Clause
//! Allocating and freeing runs of frames.

use crate::allocator::{Allocator, NoClean};
use crate::kernel::Kernel;
use crate::state::{Chunk, Class, Room};
use crate::types::MAX_BATCH;
use crate::types::{
    AllocatedFrames, Blueprint, CPtr, Dirty, Error, Frames, Mobility, Result, Zeroed,
};

/// The fewest frames that are made at once: one retype for one frame costs 1103 instructions, for
/// 16 about 150 each.
const MIN_FRAMES: usize = 16;

impl<'p> Allocator<'p> {
    /// Allocates up to `want` frames of 2^`size_bits` bytes, as one run of consecutive slots: at
    /// least one, and at most 256. Call again for the rest.
    ///
    /// Zeroed frames that are ready come first, then fresh ones from memory that need not be
    /// cleared, then dirty ones (zeroing costs about 1.1 thousand instructions for 4 KiB), and
    /// memory that the kernel must clear (1.5 thousand, in one call) last. No kernel call when
    /// frames are ready; a retype for up to 256 of them otherwise, besides splitting. Frames larger
    /// than the smallest are made and handed out singly, so that the memory of each comes back with
    /// it. Those that must stay come from other batches than those that may be moved, as long as
    /// there is memory.
    pub fn alloc_frames(
        &mut self,
        kernel: &mut impl Kernel,
        size_bits: u8,
        want: usize,
        mobility: Mobility,
    ) -> Result<AllocatedFrames> {
        let blueprint = Blueprint::Frame { size_bits };
        // Larger ones are singly in their chunks.
        let small = size_bits == self.sizes.frame_bits[0];
        let mobility = if small { mobility } else { Mobility::Fixed };
        let kind = Room::new(true, blueprint).with_mobility(mobility);
        if self.no_clean.is_some() && want == 1 {
            if let Some(frames) = self.alloc_dirty_again(kind) {
                return Ok(AllocatedFrames::Dirty(Dirty::new(frames)));
            }
        }
        let zeroed = self.chunks.with_room(Class::Zeroed, kind);
        // One more of a batch in use, which has the mobility that it was found by and keeps it: the
        // commonest request, and so the shortest way.
        if want == 1 {
            if let Some(frame) = zeroed.and_then(|chunk| self.alloc_zeroed_of(chunk, size_bits)) {
                return Ok(AllocatedFrames::Zeroed(frame));
            }
        }
        self.alloc_frames_of(kernel, kind, zeroed, want)
    }

    /// Allocates one frame of the smallest size that is zeroed and ready, if one is at hand in a
    /// batch in use: as [`Allocator::alloc_frames`] does, but without a node or a kernel call.
    /// O(log batches).
    #[inline(always)]
    pub fn alloc_zeroed_at_hand(&mut self, mobility: Mobility) -> Option<Zeroed> {
        if self.no_clean.is_some() {
            // There may be some again, but nobody has looked.
            return None;
        }
        let size_bits = self.sizes.frame_bits[0];
        let kind = Room::new(true, Blueprint::Frame { size_bits }).with_mobility(mobility);
        let first = self.alloc_zeroed_of_kind(kind)?;
        self.live.frames[0] += 1;
        Some(Zeroed::new(Frames { first, count: 1, size_bits }))
    }

    /// The slot alone, which is handed over in a register.
    #[inline(never)]
    fn alloc_zeroed_of_kind(&mut self, kind: Room) -> Option<CPtr> {
        let chunk = self.chunks.with_room(Class::Zeroed, kind)?;
        self.chunks.alloc_zeroed(chunk).map(|index| chunk.slot_of(index))
    }

    /// Allocates the first zeroed frame of a batch, unless it is the last one at hand.
    #[inline(always)]
    fn alloc_zeroed_of(&mut self, chunk: &'p Chunk<'p>, size_bits: u8) -> Option<Zeroed> {
        let index = self.chunks.alloc_zeroed(chunk)?;
        self.live.add(&self.sizes, Blueprint::Frame { size_bits }, 1);
        Some(Zeroed::new(Frames { first: chunk.slot_of(index), count: 1, size_bits }))
    }

    /// Allocates one frame of the smallest size that is dirty, where it is known that there is no
    /// clean one and none would be made: as [`Allocator::alloc_frames`] does, but without a node or
    /// a kernel call. The frame that was freed last comes first.
    #[inline(always)]
    pub fn alloc_dirty_at_hand(&mut self, mobility: Mobility) -> Option<Dirty> {
        self.no_clean?;
        let size_bits = self.sizes.frame_bits[0];
        let kind = Room::new(true, Blueprint::Frame { size_bits }).with_mobility(mobility);
        self.alloc_dirty_again(kind).map(Dirty::new)
    }

    /// Allocates a dirty frame where it is known that a search would come to one.
    fn alloc_dirty_again(&mut self, kind: Room) -> Option<Frames> {
        if !self.no_clean.is_some_and(|known| known.kind == kind && self.is_so(&known)) {
            self.no_clean = None;
            return None;
        }
        if let Some(first) = self.chunks.alloc_freed(kind) {
            self.live.add(&self.sizes, kind.blueprint(), 1);
            return Some(Frames { first, count: 1, size_bits: kind.size() });
        }
        let chunk = self.chunk_with_dirty(kind)?;
        Some(self.alloc_dirty_of(chunk, kind))
    }

    /// Allocates a dirty frame of a batch that has one.
    #[inline]
    fn alloc_dirty_of(&mut self, chunk: &'p Chunk<'p>, kind: Room) -> Frames {
        let size_bits = kind.size();
        if let Some(index) = chunk.alloc_dirty() {
            self.live.add(&self.sizes, kind.blueprint(), 1);
            return Frames { first: chunk.slot_of(index), count: 1, size_bits };
        }
        let mobility = kind.mobility().unwrap_or(Mobility::Fixed);
        let (first, count) = self.alloc_run(chunk, mobility, 1, false);
        Frames { first, count, size_bits }
    }

    /// The same, of a batch in use with a zeroed frame of this kind, if there is one.
    #[inline(always)]
    fn alloc_frames_of(
        &mut self,
        kernel: &mut impl Kernel,
        kind: Room,
        zeroed: Option<&'p Chunk<'p>>,
        want: usize,
    ) -> Result<AllocatedFrames> {
        if want == 0 {
            return Err(Error::ZeroCount);
        }
        let (chunk, clean) = match zeroed.or_else(|| self.unused_chunk(Class::EmptyZeroed, kind)) {
            Some(chunk) => (chunk, true),
            None => {
                let count = self.frames_at_once(kind.blueprint(), want);
                self.chunk_with_room(kernel, kind, count)?
            }
        };
        let (mobility, size_bits) = (kind.mobility().unwrap_or(Mobility::Fixed), kind.size());
        let (first, count) = self.alloc_run(chunk, mobility, want, clean);
        let frames = Frames { first, count, size_bits };
        Ok(match clean {
            true => AllocatedFrames::Zeroed(Zeroed::new(frames)),
            false => AllocatedFrames::Dirty(Dirty::new(frames)),
        })
    }

    /// Allocates one frame of 2^`size_bits` bytes, all of which will be overwritten: one that is
    /// ready and dirty, if there is one, as the one that was freed a moment ago; else one as by
    /// [`Allocator::alloc_frames`].
    ///
    /// # Errors
    /// As for [`Allocator::alloc_frames`].
    pub fn alloc_frame_to_fill(
        &mut self,
        kernel: &mut impl Kernel,
        size_bits: u8,
        mobility: Mobility,
    ) -> Result<Frames> {
        let small = size_bits == self.sizes.frame_bits[0];
        let kept = if small { mobility } else { Mobility::Fixed };
        let kind = Room::new(true, Blueprint::Frame { size_bits }).with_mobility(kept);
        if let Some(chunk) = self.chunk_with_dirty(kind) {
            return Ok(self.alloc_dirty_of(chunk, kind));
        }
        Ok(match self.alloc_frames(kernel, size_bits, 1, mobility)? {
            AllocatedFrames::Zeroed(clean) => clean.frames(),
            AllocatedFrames::Dirty(dirty) => dirty.frames(),
        })
    }

    /// How many frames to make where `want` are needed and none is ready.
    ///
    /// Small ones come in batches, as one retype costs more than most of its frames do. A large one
    /// costs its clearing, 1024 times that of a page, so a retype for each is nothing; and in a
    /// batch it would keep all the others' memory from any other use.
    pub(super) fn frames_at_once(&self, blueprint: Blueprint, want: usize) -> usize {
        if blueprint != (Blueprint::Frame { size_bits: self.sizes.frame_bits[0] }) {
            return 1;
        }
        let frames = self.live.of(&self.sizes, blueprint);
        let least = (frames / 8).next_power_of_two().clamp(MIN_FRAMES, MAX_BATCH);
        want.max(least.min(self.max_spare(blueprint)))
    }

    /// From how many live small frames to how many [`Allocator::frames_at_once`] answers as it does
    /// now, while free memory is as it is.
    fn live_alike(&self, frames: usize) -> (usize, usize) {
        let eighth = (frames / 8).next_power_of_two();
        (if eighth == 1 { 0 } else { (eighth / 2 + 1) * 8 }, eighth * 8 + 7)
    }

    /// What is known where a search for one clean frame of this kind came to a dirty one.
    pub(super) fn no_clean_now(&self, kind: Room) -> Option<NoClean> {
        let blueprint = kind.blueprint();
        let small = blueprint == (Blueprint::Frame { size_bits: self.sizes.frame_bits[0] });
        small.then(|| NoClean {
            kind,
            live: self.live_alike(self.live.of(&self.sizes, blueprint)),
            most_cleared: self.most_cleared,
            supplies: (self.chunks.zeroed_supplies(), self.blocks.changes()),
        })
    }

    /// Whether what was known still is.
    #[inline]
    fn is_so(&self, known: &NoClean) -> bool {
        let live = self.live.frames[0];
        known.supplies == (self.chunks.zeroed_supplies(), self.blocks.changes())
            && (known.live.0..=known.live.1).contains(&live)
            && known.most_cleared == self.most_cleared
    }

    /// Whether a search would come to what is known without one (I25).
    pub(crate) fn knows_what_is_clean(&self) -> bool {
        let Some(known) = self.no_clean.filter(|known| self.is_so(known)) else { return true };
        let (blueprint, mobility) = (known.kind.blueprint(), known.kind.mobility());
        let batch = self.batch_for(blueprint, self.frames_at_once(blueprint, 1));
        let mobility = mobility.unwrap_or(Mobility::Fixed);
        let fit = batch.ok().and_then(|(_, bits)| self.cheap_fit(bits, mobility));
        self.chunk_with_zeroed(known.kind).is_none() && fit.is_none_or(|block| block.is_dirty())
    }

    /// Frees frames. They must be mapped nowhere, and are dirty from now on.
    ///
    /// # Errors
    /// [`Error::NotAllocated`] unless every one of them was allocated: none is freed then.
    pub fn free_frames(&mut self, frames: Frames) -> Result<()> {
        let blueprint = Blueprint::Frame { size_bits: frames.size_bits };
        if frames.count == 1 && self.chunks.free_at_hand(frames.first, blueprint) {
            self.live.sub(&self.sizes, blueprint, 1);
            return Ok(());
        }
        self.free_run(blueprint, frames, false)
    }

    /// Tells the allocator that the capability to a frame, in `slot`, is copied for a caller. The
    /// copy must not outlive what the frame is used for now: see [`Allocator::recall_frames`].
    pub fn note_copied(&mut self, slot: CPtr) {
        if let Some((chunk, _)) = self.chunks.find(slot).filter(|(chunk, _)| chunk.recycles()) {
            self.chunks.tell(chunk);
        }
    }

    /// Whether capabilities to any frames were copied for callers. O(1).
    #[inline(always)]
    pub fn any_copied(&self) -> bool {
        self.chunks.any_told()
    }

    /// Whether a frame, by its own capability, came with one whose capability was copied for a
    /// caller. O(log n).
    pub fn was_copied(&self, frame: CPtr) -> bool {
        self.chunks.find(frame).is_some_and(|(chunk, _)| chunk.was_told())
    }

    /// As [`Allocator::free_frames`], of frames whose capabilities may have been copied for
    /// callers: the copies are deleted first. One kernel call for each. A frame of which the kernel
    /// refuses that is retired.
    ///
    /// # Errors
    /// As [`Allocator::free_frames`].
    pub fn recall_frames(&mut self, kernel: &mut impl Kernel, frames: Frames) -> Result<()> {
        self.recycling_run(Blueprint::Frame { size_bits: frames.size_bits }, frames)?;
        for nth in 0..frames.count {
            let one = Frames { first: frames.first.offset(nth), count: 1, ..frames };
            match self.revoke_frame(kernel, one.first) {
                Ok(()) => self.free_frames(one)?,
                Err(_) => self.retire_frames(one)?,
            }
        }
        Ok(())
    }

    /// Retires frames: they are not used again before their memory is, with that of all that came
    /// with them. No kernel call.
    ///
    /// # Errors
    /// As [`Allocator::free_frames`].
    pub fn retire_frames(&mut self, frames: Frames) -> Result<()> {
        let blueprint = Blueprint::Frame { size_bits: frames.size_bits };
        let (chunk, index) = self.recycling_run(blueprint, frames)?;
        (0..frames.count).for_each(|nth| self.retire(chunk, index + nth));
        Ok(())
    }

    /// Frees frames that were never mapped since they were allocated or zeroed: they stay zeroed.
    ///
    /// # Errors
    /// As [`Allocator::free_frames`].
    pub fn free_unused_frames(&mut self, frames: Frames) -> Result<()> {
        self.free_run(Blueprint::Frame { size_bits: frames.size_bits }, frames, true)
    }

    /// Destroys frames with one kernel call, mapped or not, if they are all that is handed out of
    /// what came with them; says whether they were. Their memory goes back to the untyped.
    ///
    /// # Errors
    /// [`Error::NotAllocated`]; [`Error::Kernel`], and then they are still there.
    pub fn destroy_if_whole(&mut self, kernel: &mut impl Kernel, frames: Frames) -> Result<bool> {
        let blueprint = Blueprint::Frame { size_bits: frames.size_bits };
        let (chunk, _) = self.recycling_run(blueprint, frames)?;
        let whole = chunk.live() == frames.count;
        if whole {
            self.release_chunk(kernel, chunk)?;
        }
        Ok(whole)
    }
}
