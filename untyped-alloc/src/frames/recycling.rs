// SPDX-License-Identifier: BSD-2-Clause
//! What frames and paging structures have in common: chunks that recycle.

use crate::allocator::{Allocator, ChunkPlan};
use crate::chunks::FEWEST;
use crate::kernel::Kernel;
use crate::state::{Chunk, Class, Room};
use crate::types::{Blueprint, CPtr, Frames, Mobility, ObjectState, Result};

impl<'p> Allocator<'p> {
    /// A recycling chunk of this kind with a zeroed object, or an unused one, if there is one.
    #[inline]
    pub(super) fn chunk_with_zeroed(&self, kind: Room) -> Option<&'p Chunk<'p>> {
        let used = self.chunks.with_room(Class::Zeroed, kind);
        used.or_else(|| self.unused_chunk(Class::EmptyZeroed, kind))
    }

    /// The same with an object that is ready and dirty.
    pub(super) fn chunk_with_dirty(&self, kind: Room) -> Option<&'p Chunk<'p>> {
        let used = self.chunks.with_room(Class::Dirty, kind);
        used.or_else(|| self.unused_chunk(Class::EmptyDirty, kind))
    }

    /// An unused chunk: it serves what may be moved and what must stay.
    pub(super) fn unused_chunk(&self, class: Class, kind: Room) -> Option<&'p Chunk<'p>> {
        self.chunks.with_room(class, kind.with_mobility(Mobility::Fixed))
    }

    /// A recycling chunk with a ready object where no object is zeroed in one of this kind, and
    /// whether that object is zeroed after all: makes a chunk of about `count` objects unless a
    /// dirty one is cheaper.
    ///
    /// Where there is no memory for [`FEWEST`] objects, what must stay and what may be moved come
    /// from one chunk.
    pub(super) fn chunk_with_room(
        &mut self,
        kernel: &mut impl Kernel,
        kind: Room,
        count: usize,
    ) -> Result<(&'p Chunk<'p>, bool)> {
        let blueprint = kind.blueprint();
        let asked = count;
        let (count, bits) = self.batch_for(blueprint, count)?;
        let mobility = kind.mobility().unwrap_or(Mobility::Fixed);
        // What is clean is cheap.
        let fresh = self.cheap_fit(bits, mobility).is_some_and(|block| !block.is_dirty());
        if let Some(chunk) = (!fresh).then(|| self.chunk_with_dirty(kind)).flatten() {
            if asked == self.frames_at_once(blueprint, 1) {
                self.no_clean = self.no_clean_now(kind);
            }
            return Ok((chunk, false));
        }
        let plan = ChunkPlan { blueprint, count, recycles: true, mobility };
        if let Some(others) = self.chunk_of_others(kind) {
            // Others are mixed with these only where nothing else is to be had at once.
            let few = self.chunk_bits(blueprint, count.min(FEWEST)).ok();
            if few.is_none_or(|bits| self.cheap_fit(bits, mobility).is_none()) {
                return Ok(others);
            }
        }
        match self.obtain_largest_chunk(kernel, plan) {
            Ok(chunk) => Ok((chunk, true)),
            Err(error) => {
                let dirty = self.chunk_with_dirty(kind).map(|chunk| (chunk, false));
                dirty.or_else(|| self.chunk_of_others(kind)).ok_or(error)
            }
        }
    }

    /// A chunk in use from which frames of the other mobility are allocated, or of both, and
    /// whether one is zeroed. Paging structures and larger frames all stay.
    fn chunk_of_others(&self, kind: Room) -> Option<(&'p Chunk<'p>, bool)> {
        let small = Blueprint::Frame { size_bits: self.sizes.frame_bits[0] };
        if kind.blueprint() != small {
            return None;
        }
        let other = match kind.mobility() {
            Some(Mobility::Fixed) => Mobility::Movable,
            _ => Mobility::Fixed,
        };
        let kinds = [kind.mixed(), kind.with_mobility(other)];
        let classes = [(Class::Zeroed, true), (Class::Dirty, false)];
        let each = kinds.into_iter().flat_map(|kind| classes.map(|class| (kind, class)));
        let mut found = each.filter_map(|(kind, (class, clean))| {
            Some((self.chunks.with_room(class, kind)?, clean))
        });
        found.next()
    }

    /// Allocates the first run of at most `want` ready objects of a chunk that has one, all of them
    /// `clean` or none: the first slot and how many.
    pub(super) fn alloc_run(
        &mut self,
        chunk: &'p Chunk<'p>,
        mobility: Mobility,
        want: usize,
        clean: bool,
    ) -> (CPtr, usize) {
        // A chunk is found by its class, so there is such a run.
        let (first, count) = chunk.first_run(want, clean).unwrap_or((0, 1));
        self.chunks.alloc(chunk, first, count, mobility);
        self.live.add(&self.sizes, chunk.blueprint(), count);
        (chunk.slot_of(first), count)
    }

    /// Frees a run of live objects, which are ready from now on, `clean` or dirty.
    ///
    /// # Errors
    /// [`Error::NotAllocated`](crate::Error::NotAllocated), and nothing is freed then.
    pub(super) fn free_run(
        &mut self,
        blueprint: Blueprint,
        run: Frames,
        clean: bool,
    ) -> Result<()> {
        let (chunk, index) = self.recycling_run(blueprint, run)?;
        self.live.sub(&self.sizes, blueprint, run.count);
        self.chunks.free(chunk, index, run.count, ObjectState::Ready { clean });
        Ok(())
    }
}
