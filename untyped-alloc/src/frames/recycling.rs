// SPDX-License-Identifier: BSD-2-Clause
//! What frames and paging structures have in common: chunks that recycle.

use crate::allocator::{Allocator, ChunkPlan};
use crate::chunks::FEWEST;
use crate::kernel::Kernel;
use crate::state::{Chunk, Class, Room};
use crate::types::{Blueprint, CPtr, Frames, Mobility, ObjectState, Result};

/// A kind of room, and the same for the other mobility, if it has one: paging structures all stay.
pub(super) fn either_mobility(kind: Room) -> impl Iterator<Item = Room> {
    let other = match kind.mobility() {
        Mobility::Fixed => Mobility::Movable,
        Mobility::Movable => Mobility::Fixed,
    };
    let both = matches!(kind.blueprint(), Blueprint::Frame { .. });
    [kind, kind.with_mobility(other)].into_iter().take(1 + usize::from(both))
}

impl<'p> Allocator<'p> {
    /// A recycling chunk of this kind with a zeroed object, or an unused one, if there is one.
    #[inline]
    pub(super) fn chunk_with_zeroed(&mut self, kind: Room) -> Option<&'p Chunk<'p>> {
        let used = self.chunks.with_room(Class::Zeroed, kind);
        used.or_else(|| self.unused_chunk(Class::EmptyZeroed, kind))
    }

    /// The same with an object that is ready and dirty.
    fn chunk_with_dirty(&mut self, kind: Room) -> Option<&'p Chunk<'p>> {
        let used = self.chunks.with_room(Class::Dirty, kind);
        used.or_else(|| self.unused_chunk(Class::EmptyDirty, kind))
    }

    /// An unused chunk, whatever was allocated from it before; what is allocated from it from now
    /// on is of this kind.
    fn unused_chunk(&mut self, class: Class, kind: Room) -> Option<&'p Chunk<'p>> {
        let chunk = either_mobility(kind).find_map(|kind| self.chunks.with_room(class, kind))?;
        self.chunks.set_mobility(chunk, kind.mobility());
        Some(chunk)
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
        let count = self.round(blueprint, count.min(self.most_at_once(blueprint)));
        let bits = self.chunk_bits(blueprint, count)?;
        let fresh = self.fit(bits).is_some_and(|block| !block.is_dirty());
        if let Some(chunk) = (!fresh).then(|| self.chunk_with_dirty(kind)).flatten() {
            return Ok((chunk, false));
        }
        let plan = ChunkPlan { blueprint, count, recycles: true };
        if let Some((chunk, clean)) = self.chunk_of_others(kind) {
            // Others are mixed with these only where nothing else is to be had at once.
            let few = self.chunk_bits(blueprint, count.min(FEWEST)).ok();
            if few.is_none_or(|bits| self.cheap_fit(bits).is_none()) {
                return Ok(self.mix(chunk, clean, kind));
            }
        }
        match self.obtain_largest_chunk(kernel, plan) {
            Ok(chunk) => {
                self.chunks.set_mobility(chunk, kind.mobility());
                Ok((chunk, true))
            }
            Err(error) => {
                if let Some(chunk) = self.chunk_with_dirty(kind) {
                    return Ok((chunk, false));
                }
                let (chunk, clean) = self.chunk_of_others(kind).ok_or(error)?;
                Ok(self.mix(chunk, clean, kind))
            }
        }
    }

    /// A chunk in use from which frames of the other mobility are allocated, and whether one is
    /// zeroed.
    fn chunk_of_others(&self, kind: Room) -> Option<(&'p Chunk<'p>, bool)> {
        let other = either_mobility(kind).nth(1)?;
        [(Class::Zeroed, true), (Class::Dirty, false)]
            .into_iter()
            .find_map(|(class, clean)| Some((self.chunks.with_room(class, other)?, clean)))
    }

    /// Has a chunk serve what comes from others as a rule. Once something in it may be moved, what
    /// must stay is not put beside that while there is memory: it may be all that is left in it.
    fn mix(&mut self, chunk: &'p Chunk<'p>, clean: bool, kind: Room) -> (&'p Chunk<'p>, bool) {
        if kind.mobility() == Mobility::Movable {
            self.chunks.set_mobility(chunk, Mobility::Movable);
        }
        (chunk, clean)
    }

    /// Allocates the first run of at most `want` ready objects of a chunk that has one, all of them
    /// `clean` or none: the first slot and how many.
    pub(super) fn alloc_run(
        &mut self,
        chunk: &'p Chunk<'p>,
        want: usize,
        clean: bool,
    ) -> (CPtr, usize) {
        if let Some(index) = (want == 1 && clean).then(|| chunk.alloc_zeroed()).flatten() {
            self.live.add(&self.sizes, chunk.blueprint(), 1);
            return (chunk.slot_of(index), 1);
        }
        // A chunk is found by its class, so there is such a run.
        let (first, count) = chunk.first_run(want, clean).unwrap_or((0, 1));
        self.chunks.alloc(chunk, first, count);
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
