//! Frames and paging structures: taken in runs, given back one by one, recycled.
//!
//! Memory fresh from a retype is zero. A frame that was used is not, and a client that got it would
//! read another's data. So what [`Allocator::take_frames`] returns is [`Clean`] or [`Dirty`] by
//! type, and whoever maps frames for an owner asks for [`Clean`] ones.

use crate::allocator::{Allocator, ChunkPlan, SlotsFrom};
use crate::kernel::Kernel;
use crate::state::{Chunk, Class};
use crate::types::{Blueprint, CPtr};
use crate::types::{Clean, Dirty, Error, Frames, ObjectState, Result, Taken};

/// A batch of frames, to take more of. When it is gone there is nothing more to be had of it.
#[derive(Clone, Copy)]
pub struct FrameBatch<'p> {
    chunk: &'p Chunk<'p>,
    serial: u32,
    /// The number, in the batch, of the first frame of the run that it was found by.
    origin: usize,
    size_bits: u8,
}

/// The fewest frames that are made at once: one retype for one frame costs 1103 instructions, for
/// 16 about 150 each.
const LEAST_FRAMES: usize = 16;

impl<'p> Allocator<'p> {
    /// Takes up to `want` frames of 2^`size_bits` bytes, as one run of consecutive slots: at least
    /// one, and at most 256. Call again for the rest.
    ///
    /// Clean frames that are at hand come first, then fresh ones from memory that need not be
    /// cleared, then dirty ones (scrubbing costs about 1.1 thousand instructions for 4 KiB), and
    /// memory that the kernel must clear (4.8 thousand) last. No kernel call when frames are at
    /// hand; a retype for up to 256 of them otherwise, besides splitting.
    pub fn take_frames(
        &mut self,
        kernel: &mut impl Kernel,
        size_bits: u8,
        want: usize,
    ) -> Result<Taken> {
        if want == 0 {
            return Err(Error::ZeroCount);
        }
        let blueprint = Blueprint::Frame { size_bits };
        let (chunk, clean) = match self.clean_chunk(blueprint) {
            Some(chunk) => (chunk, true),
            None => {
                let least = if size_bits == self.sizes.frame_bits[0] {
                    let frames = self.live.of(&self.sizes, blueprint);
                    (frames / 8).next_power_of_two().clamp(LEAST_FRAMES, 256)
                } else {
                    1
                };
                let least = least.min(self.most_spare(blueprint));
                self.chunk_with_room(kernel, blueprint, want.max(least))?
            }
        };
        let (first, count) = self.take_run(chunk, want, clean);
        let frames = Frames { first, count, size_bits };
        Ok(if clean { Taken::Clean(Clean::new(frames)) } else { Taken::Dirty(Dirty::new(frames)) })
    }

    /// The batch that a run of frames, which are taken, is of.
    pub fn batch_of(&self, run: Frames) -> Option<FrameBatch<'p>> {
        let (chunk, origin) = self.chunks.find(run.first)?;
        let blueprint = Blueprint::Frame { size_bits: run.size_bits };
        let ours = chunk.recycles() && chunk.blueprint() == blueprint;
        let (serial, size_bits) = (chunk.serial(), run.size_bits);
        ours.then_some(FrameBatch { chunk, serial, origin, size_bits })
    }

    /// Takes the frame that comes `distance` after the first of the run that the batch was found by, if
    /// it is clean and at hand. O(1).
    #[inline(always)]
    pub fn take_of_batch(&mut self, batch: FrameBatch<'p>, distance: usize) -> Option<Clean> {
        let FrameBatch { chunk, serial, origin, size_bits } = batch;
        let index = origin + distance;
        let taken = chunk.serial() == serial
            && (chunk.alloc_zeroed_at(index) || self.chunks.alloc_last_zeroed(chunk, index));
        if !taken {
            return None;
        }
        self.live.add(&self.sizes, Blueprint::Frame { size_bits }, 1);
        Some(Clean::new(Frames { first: chunk.slot_of(index), count: 1, size_bits }))
    }

    /// Gives frames back. They must be mapped nowhere, and are dirty from now on.
    ///
    /// # Errors
    /// [`Error::NotAllocated`] unless every one of them was taken: none is given back then.
    pub fn give_frames(&mut self, frames: Frames) -> Result<()> {
        self.give_run(Blueprint::Frame { size_bits: frames.size_bits }, frames, false)
    }

    /// Gives frames back that were never mapped since they were taken or scrubbed: they stay clean.
    ///
    /// # Errors
    /// As [`Allocator::give_frames`].
    pub fn give_unused_frames(&mut self, frames: Frames) -> Result<()> {
        self.give_run(Blueprint::Frame { size_bits: frames.size_bits }, frames, true)
    }

    /// Whether a frame of 2^`size_bits` bytes can be had without reclaiming anything.
    pub fn has_frames(&self, size_bits: u8) -> bool {
        let blueprint = Blueprint::Frame { size_bits };
        let ready = [Class::Zeroed, Class::EmptyZeroed, Class::Dirty, Class::EmptyDirty]
            .into_iter()
            .any(|class| self.chunks.with_room(class, true, blueprint).is_some());
        ready || self.blocks.best_fit(size_bits).is_some()
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

    /// Takes a paging structure of a level below the root. It is empty: the kernel clears one when
    /// it is made and when it is unmapped.
    pub fn take_table(&mut self, kernel: &mut impl Kernel, level: u8) -> Result<CPtr> {
        let blueprint = Blueprint::Table { level };
        let (chunk, clean) = match self.clean_chunk(blueprint) {
            Some(chunk) => (chunk, true),
            None => {
                let tables = self.live.of(&self.sizes, blueprint);
                let least = (tables / 2).next_power_of_two().clamp(1, 32);
                let least = least.min(self.most_spare(blueprint));
                self.chunk_with_room(kernel, blueprint, least)?
            }
        };
        Ok(self.take_run(chunk, 1, clean).0)
    }

    /// Gives a paging structure back, which is mapped nowhere.
    ///
    /// # Errors
    /// [`Error::NotAllocated`] unless it was taken.
    pub fn give_table(&mut self, table: CPtr, level: u8) -> Result<()> {
        let run = Frames { first: table, count: 1, size_bits: 0 };
        self.give_run(Blueprint::Table { level }, run, true)
    }

    /// Whether two frames came with one retype, so that their memory goes back together.
    pub fn came_together(&self, one: CPtr, other: CPtr) -> bool {
        let found = self.chunks.find(one);
        found.is_some_and(|(chunk, _)| chunk.recycles() && chunk.index_of(other).is_some())
    }

    /// Whether `frames` are all handed out.
    pub fn frames_are_taken(&self, frames: Frames) -> bool {
        self.recycling_run(Blueprint::Frame { size_bits: frames.size_bits }, frames).is_ok()
    }

    /// How many objects may be made at once although fewer are needed: an eighth of what is free,
    /// since memory in a chunk that is partly used can be had for nothing else.
    fn most_spare(&self, blueprint: Blueprint) -> usize {
        let size_bits = self.sizes.size_bits(blueprint).unwrap_or(0);
        (self.blocks.free_bytes() >> size_bits >> 3).max(1)
    }

    /// A recycling chunk with a clean object to hand out, if there is one.
    #[inline]
    fn clean_chunk(&self, blueprint: Blueprint) -> Option<&'p Chunk<'p>> {
        [Class::Zeroed, Class::EmptyZeroed]
            .into_iter()
            .find_map(|class| self.chunks.with_room(class, true, blueprint))
    }

    /// The number of objects to make where `count` are needed: a power of two, the next higher one
    /// unless that is too many more.
    fn round(&self, blueprint: Blueprint, count: usize) -> usize {
        let up = count.next_power_of_two();
        let too_many = up - count > self.most_spare(blueprint);
        if too_many {
            up / 2
        } else {
            up
        }
    }

    /// A recycling chunk with an object to hand out where no object is clean, and whether that
    /// object is after all: makes a chunk of about `count` objects unless a dirty one is cheaper.
    fn chunk_with_room(
        &mut self,
        kernel: &mut impl Kernel,
        blueprint: Blueprint,
        count: usize,
    ) -> Result<(&'p Chunk<'p>, bool)> {
        let recycled = [Class::Dirty, Class::EmptyDirty]
            .into_iter()
            .find_map(|class| self.chunks.with_room(class, true, blueprint));
        let count = self.round(blueprint, count.min(self.sizes.retype_limit));
        let bits = self.chunk_bits(blueprint, count)?;
        let fresh = self.blocks.best_fit(bits).is_some_and(|block| !block.is_dirty());
        if let (Some(chunk), false) = (recycled, fresh) {
            return Ok((chunk, false));
        }
        let slots_from = SlotsFrom::Anywhere;
        let plan = ChunkPlan { blueprint, count, recycles: true, slots_from };
        match self.obtain_largest_chunk(kernel, plan) {
            Ok(chunk) => Ok((chunk, true)),
            Err(error) => recycled.map(|chunk| (chunk, false)).ok_or(error),
        }
    }

    fn take_run(&mut self, chunk: &'p Chunk<'p>, want: usize, clean: bool) -> (CPtr, usize) {
        if let Some(index) = (want == 1 && clean).then(|| chunk.alloc_zeroed()).flatten() {
            self.live.add(&self.sizes, chunk.blueprint(), 1);
            return (chunk.slot_of(index), 1);
        }
        // A chunk is found by its class, so there is such a run.
        let (first, count) = chunk.first_run(want, clean).unwrap_or((0, 1));
        self.chunks.alloc(chunk, first, count);
        self.live.add(&self.sizes, chunk.blueprint(), count);
        (chunk.first().offset(first), count)
    }

    fn recycling_run(&self, blueprint: Blueprint, run: Frames) -> Result<(&'p Chunk<'p>, usize)> {
        let refused = Error::NotAllocated(run.first);
        let (chunk, index) = self.chunks.find(run.first).ok_or(refused)?;
        let ours = chunk.recycles() && chunk.blueprint() == blueprint;
        (ours && run.count != 0 && chunk.all_live(index, run.count))
            .then_some((chunk, index))
            .ok_or(refused)
    }

    fn give_run(&mut self, blueprint: Blueprint, run: Frames, clean: bool) -> Result<()> {
        let (chunk, index) = self.recycling_run(blueprint, run)?;
        self.live.sub(&self.sizes, blueprint, run.count);
        self.chunks.free(chunk, index, run.count, ObjectState::Ready { clean });
        Ok(())
    }
}
