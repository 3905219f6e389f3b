//! Objects of any type, by blueprint: allocated one or many, destroyed when freed.

use crate::allocator::{Allocator, ChunkPlan, SlotsFrom};
use crate::kernel::Kernel;
use crate::state::BlockState;
use crate::state::{Chunk, Class};
use crate::types::Invocation;
use crate::types::{Blueprint, CPtr};
use crate::types::{Error, Object, ObjectState, Objects, Result};

/// How many small objects are made at once; larger ones are made singly, so that their memory comes
/// back with each.
fn batch(size_bits: u8) -> usize {
    if size_bits <= 6 {
        32
    } else {
        1
    }
}

impl<'p> Allocator<'p> {
    /// Allocates one object. Usually one kernel call, none for most endpoints and notifications
    /// (made 32 at a time), up to 13 more when a large untyped must be split.
    ///
    /// Its memory is clear. A frame obtained here is destroyed when freed, never recycled.
    pub fn allocate(&mut self, kernel: &mut impl Kernel, blueprint: Blueprint) -> Result<Object> {
        for class in [Class::Zeroed, Class::EmptyZeroed] {
            if let Some(chunk) = self.chunks.with_room(class, false, blueprint) {
                return Ok(self.hand_out_one(chunk));
            }
        }
        let size_bits = self.sizes.size_bits(blueprint).ok_or(Error::NoSuchObject(blueprint))?;
        let plan = |count| ChunkPlan {
            blueprint,
            count,
            recycles: false,
            slots_from: SlotsFrom::Anywhere,
        };
        let chunk = match self.obtain_chunk(kernel, plan(batch(size_bits))) {
            Err(Error::OutOfMemory { .. }) => self.obtain_chunk(kernel, plan(1))?,
            made => made?,
        };
        Ok(self.hand_out_one(chunk))
    }

    /// Allocates `count` (1 to 256) objects with one retype. The block behind them is rounded up to
    /// a power of two.
    pub fn allocate_many(
        &mut self,
        kernel: &mut impl Kernel,
        blueprint: Blueprint,
        count: usize,
    ) -> Result<Objects> {
        let slots_from = SlotsFrom::Anywhere;
        let plan = ChunkPlan { blueprint, count, recycles: false, slots_from };
        let chunk = self.obtain_chunk(kernel, plan)?;
        Ok(self.hand_out_all(chunk))
    }

    /// Allocates `count` (1 to 256, a power of two) objects at the physical address `paddr`, which
    /// is aligned to their total size: frames of RAM or of device memory, or untypeds.
    ///
    /// # Errors
    /// [`Error::Misaligned`], [`Error::NoUntypedAt`], [`Error::AddressInUse`],
    /// [`Error::DeviceMemory`].
    pub fn allocate_at(
        &mut self,
        kernel: &mut impl Kernel,
        blueprint: Blueprint,
        paddr: usize,
        count: usize,
    ) -> Result<Objects> {
        let bits = self.chunk_bits(blueprint, count)?;
        if paddr & ((1 << bits) - 1) != 0 {
            return Err(Error::Misaligned { paddr, size_bits: bits });
        }
        let plain = matches!(blueprint, Blueprint::Frame { .. } | Blueprint::Untyped { .. });
        if !plain && self.blocks.leaf_at(paddr).is_some_and(|leaf| leaf.is_device()) {
            return Err(Error::DeviceMemory(paddr));
        }
        // Slots first: growing the CSpace could take the very memory.
        let first = self.take_object_slots(kernel, count)?;
        let slots_from = SlotsFrom::Anywhere;
        let plan = ChunkPlan { blueprint, count, recycles: false, slots_from };
        let made = self
            .free_up(kernel, paddr, bits)
            .and_then(|block| self.split_down(kernel, block, paddr, bits))
            .and_then(|block| self.retype_into_chunk(kernel, block, plan, first));
        match made {
            Ok(chunk) => Ok(self.hand_out_all(chunk)),
            Err(error) => {
                self.slots.free(first, count);
                if let Some(leaf) = self.blocks.leaf_at(paddr).filter(|leaf| leaf.is_device()) {
                    let _ = self.unite_device(kernel, leaf);
                }
                Err(error)
            }
        }
    }

    /// Destroys an object and everything derived from its capability. One kernel call, or two while
    /// others of its batch live.
    ///
    /// # Errors
    /// [`Error::NotAllocated`] or [`Error::Stale`] when there is no such object;
    /// [`Error::Kernel`] when the kernel refuses: the object is still there, free it again.
    pub fn free(&mut self, kernel: &mut impl Kernel, object: Object) -> Result<()> {
        let (chunk, index) = self.find_live(object.slot(), object.serial())?;
        if chunk.live() == 1 && chunk.ready() == 0 {
            self.release_chunk(kernel, chunk)?;
        } else {
            let path = self.path(object.slot());
            kernel
                .cnode_revoke(path)
                .map_err(|error| Error::Kernel { invocation: Invocation::CNodeRevoke, error })?;
            kernel
                .cnode_delete(path)
                .map_err(|error| Error::Kernel { invocation: Invocation::CNodeDelete, error })?;
            self.bury(chunk, index);
        }
        Ok(())
    }

    /// Destroys objects that were allocated together. One kernel call.
    ///
    /// # Errors
    /// As [`Allocator::free`]. Those of them that were freed singly before are passed over.
    pub fn free_many(&mut self, kernel: &mut impl Kernel, objects: Objects) -> Result<()> {
        let (chunk, index) = self
            .chunks
            .find(objects.first_slot())
            .ok_or(Error::NotAllocated(objects.first_slot()))?;
        if chunk.serial() != objects.serial() || index != 0 || chunk.recycles() {
            return Err(Error::Stale(objects.first_slot()));
        }
        self.release_chunk(kernel, chunk)
    }

    /// Whether the id still names an object.
    pub fn is_allocated(&self, object: Object) -> bool {
        self.find_live(object.slot(), object.serial()).is_ok()
    }

    /// Makes an object that growing the CSpace needs.
    pub(crate) fn make_internal(
        &mut self,
        kernel: &mut impl Kernel,
        blueprint: Blueprint,
    ) -> Result<Object> {
        let slots_from = SlotsFrom::Reserve;
        let plan = ChunkPlan { blueprint, count: 1, recycles: false, slots_from };
        let chunk = self.obtain_chunk(kernel, plan)?;
        Ok(self.hand_out_one(chunk))
    }

    /// Destroys an object on a path that must not fail: if the kernel refuses, it goes to the
    /// quarantine, is counted there and retried. Returns whether it is gone.
    pub fn abandon(&mut self, kernel: &mut impl Kernel, object: Object) -> bool {
        if self.free(kernel, object).is_ok() {
            return true;
        }
        if let Ok((chunk, index)) = self.find_live(object.slot(), object.serial()) {
            self.bury(chunk, index);
        }
        false
    }

    /// Destroys `count` objects in consecutive slots from `first` on, on a path that must not fail:
    /// with one kernel call when they are all that is left of what they were allocated with.
    pub fn abandon_run(&mut self, kernel: &mut impl Kernel, first: CPtr, count: usize) {
        let Some((chunk, index)) = self.chunks.find(first) else { return };
        if chunk.recycles() || !chunk.all_live(index, count) {
            return;
        }
        let whole = chunk.live() == count;
        if whole && self.release_chunk(kernel, chunk).is_ok() {
            return;
        }
        for slot in (0..count).map(|index| first.offset(index)) {
            self.abandon(kernel, Object::new(slot, chunk.serial()));
        }
    }

    fn find_live(&self, slot: CPtr, serial: u32) -> Result<(&'p Chunk<'p>, usize)> {
        let (chunk, index) = self.chunks.find(slot).ok_or(Error::NotAllocated(slot))?;
        if chunk.serial() != serial || chunk.recycles() || !chunk.is_live(index) {
            return Err(Error::Stale(slot));
        }
        Ok((chunk, index))
    }

    /// Marks a live object dead.
    fn bury(&mut self, chunk: &'p Chunk<'p>, index: usize) {
        self.live.sub(&self.sizes, chunk.blueprint(), 1);
        self.chunks.free(chunk, index, 1, ObjectState::Gone);
    }

    fn hand_out_one(&mut self, chunk: &'p Chunk<'p>) -> Object {
        let (index, _) = chunk.first_run(1, true).unwrap_or((0, 1));
        self.chunks.alloc(chunk, index, 1);
        self.live.add(&self.sizes, chunk.blueprint(), 1);
        Object::new(chunk.slot_of(index), chunk.serial())
    }

    fn hand_out_all(&mut self, chunk: &'p Chunk<'p>) -> Objects {
        let count = chunk.count();
        self.chunks.alloc(chunk, 0, count);
        self.live.add(&self.sizes, chunk.blueprint(), count);
        Objects::new(chunk.first(), count, chunk.serial())
    }

    /// Destroys all objects of a chunk with one call and makes its block and slots free.
    pub(crate) fn release_chunk(
        &mut self,
        kernel: &mut impl Kernel,
        chunk: &'p Chunk<'p>,
    ) -> Result<()> {
        let Some(block) = chunk.block() else {
            return Ok(());
        };
        debug_assert_eq!(block.state(), BlockState::Used(chunk));
        kernel
            .cnode_revoke(self.path(block.slot()))
            .map_err(|error| Error::Kernel { invocation: Invocation::CNodeRevoke, error })?;
        self.live.sub(&self.sizes, chunk.blueprint(), chunk.live());
        self.slots.free(chunk.first(), chunk.count());
        self.chunks.remove(chunk);
        self.blocks.mark_free(block);
        if block.is_device() {
            // The objects are gone whatever comes of this; what stays cut is united when a request
            // is for more of it.
            let _ = self.unite_device(kernel, block);
        }
        Ok(())
    }
}
