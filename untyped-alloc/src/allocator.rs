//! The allocator: what it is made of, how it starts, how a chunk comes to be and goes.

use crate::kernel::{Kernel, Memory};
use crate::state::CSpace;
use crate::state::Slots;
use crate::state::{Block, BlockState, Blocks};
use crate::state::{Chunk, Chunks, NewChunk, MAX_OBJECTS};
use crate::types::Invocation;
use crate::types::{Blueprint, CPtr, ObjectSizes};
use crate::types::{CSpaceInfo, Error, LiveObjects, NodeKind, Result, UntypedInfo};

/// How many children a split makes at the most, in bits. Four at once halve the calls and the
/// capability slots that splitting in two would cost on the way down, and still leave blocks of
/// every size behind.
const SPLIT_BITS: u8 = 2;

/// Where a chunk's capabilities are put.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum SlotsFrom {
    /// Ordinary slots; the CSpace grows when there is need.
    Anywhere,
    /// Slots kept for growing the CSpace itself.
    Reserve,
}

/// What a new chunk is to be.
#[derive(Clone, Copy)]
pub(crate) struct ChunkPlan {
    pub blueprint: Blueprint,
    pub count: usize,
    pub recycles: bool,
    pub slots_from: SlotsFrom,
}

/// Untyped memory and capability slots of one CSpace.
///
/// Everything is O(log n) in the number of untypeds, chunks and slots, unless it says otherwise.
/// An operation that fails leaves what was there before, and can be repeated.
pub struct Allocator<'p> {
    pub(crate) sizes: ObjectSizes,
    pub(crate) cspace: CSpace,
    pub(crate) slots: Slots<'p>,
    pub(crate) blocks: Blocks<'p>,
    pub(crate) chunks: Chunks<'p>,
    pub(crate) live: LiveObjects,
    pub(crate) cleared_bytes: u64,
    serial: u32,
}

impl<'p> Allocator<'p> {
    /// An allocator that owns nothing yet: give it book-keeping pages and untypeds next.
    pub fn new(sizes: ObjectSizes, cspace: CSpaceInfo) -> Self {
        Allocator {
            sizes,
            cspace: CSpace::new(cspace, sizes.word_bits),
            slots: Slots::new(),
            blocks: Blocks::new(),
            chunks: Chunks::new(),
            live: LiveObjects::default(),
            cleared_bytes: 0,
            serial: 0,
        }
    }

    /// The object sizes of the architecture.
    pub fn sizes(&self) -> &ObjectSizes {
        &self.sizes
    }

    /// Makes the mapped page at `vaddr` (4 KiB) into book-keeping nodes of one kind.
    pub fn adopt_page(&mut self, memory: &mut impl Memory<'p>, vaddr: usize, kind: NodeKind) {
        match kind {
            NodeKind::Block => self.blocks.pool.adopt(memory, vaddr),
            NodeKind::Chunk => self.chunks.pool.adopt(memory, vaddr),
            NodeKind::SlotWindow => self.slots.pool.adopt(memory, vaddr),
        }
    }

    /// Which kind of node has fallen below what one more page of nodes can cost to make: adopt a
    /// page for it before the next operation, while there is enough left to get that page.
    ///
    /// A page costs one chunk, a split from the largest block down (4 blocks for each 2 bits), and
    /// a CNode if the slots run out at that moment, with a split and a chunk of its own.
    pub fn wanting(&self) -> Option<NodeKind> {
        if self.blocks.pool.free() < 96 {
            Some(NodeKind::Block)
        } else if self.chunks.pool.free() < 6 {
            Some(NodeKind::Chunk)
        } else if self.slots.pool.free() < 1 {
            Some(NodeKind::SlotWindow)
        } else {
            None
        }
    }

    /// Enters an untyped of the boot information. No kernel call.
    ///
    /// # Errors
    /// [`Error::BadUntyped`] when its size or alignment is impossible or it overlaps one that is
    /// known; [`Error::OutOfNodes`] when a page of blocks must be adopted first.
    pub fn add_untyped(&mut self, info: UntypedInfo) -> Result<()> {
        let bits = info.size_bits;
        let sizes = self.sizes.untyped_min_bits..=self.sizes.untyped_max_bits;
        let bad = Error::BadUntyped(info.paddr);
        if !sizes.contains(&bits) || info.paddr & ((1 << bits) - 1) != 0 {
            return Err(bad);
        }
        let last = info.paddr.checked_add((1 << bits) - 1).ok_or(bad)?;
        let below = self.blocks.leaf_at(info.paddr);
        let above = self.blocks.leaf_from(info.paddr);
        if below.is_some() || above.is_some_and(|block| block.paddr() <= last) {
            return Err(bad);
        }
        let node = self.blocks.pool.take().ok_or(Error::OutOfNodes(NodeKind::Block))?;
        self.blocks.insert_boot(node, info);
        Ok(())
    }

    /// Makes a chunk: one retype, besides what splitting down to its block costs. Reclaims nothing.
    pub(crate) fn make_chunk(
        &mut self,
        kernel: &mut impl Kernel,
        plan: ChunkPlan,
    ) -> Result<&'p Chunk<'p>> {
        let bits = self.chunk_bits(plan.blueprint, plan.count)?;
        let first = match plan.slots_from {
            SlotsFrom::Anywhere => self.take_object_slots(kernel, plan.count)?,
            SlotsFrom::Reserve => self.take_reserved_slots(plan.count)?,
        };
        let made = match self.cut_block(kernel, bits) {
            Ok(block) => self.retype_into_chunk(kernel, block, plan, first),
            Err(error) => Err(error),
        };
        if made.is_err() {
            self.slots.free(first, plan.count);
        }
        made
    }

    /// The size of the block that `count` objects need, in bits.
    pub(crate) fn chunk_bits(&self, blueprint: Blueprint, count: usize) -> Result<u8> {
        let size_bits = self.sizes.size_bits(blueprint).ok_or(Error::NoSuchObject(blueprint))?;
        if count == 0 {
            return Err(Error::ZeroCount);
        }
        let limit = MAX_OBJECTS.min(self.sizes.retype_limit);
        if count > limit {
            return Err(Error::TooMany { count, limit });
        }
        let bits = size_bits + count.next_power_of_two().trailing_zeros() as u8;
        if bits > self.sizes.untyped_max_bits {
            return Err(Error::OutOfMemory { size_bits: bits });
        }
        Ok(bits.max(self.sizes.untyped_min_bits))
    }

    /// Retypes the whole of a free block into a chunk whose capabilities go to the slots from
    /// `first` on.
    pub(crate) fn retype_into_chunk(
        &mut self,
        kernel: &mut impl Kernel,
        block: &'p Block<'p>,
        plan: ChunkPlan,
        first: CPtr,
    ) -> Result<&'p Chunk<'p>> {
        let chunk = self.chunks.pool.take().ok_or(Error::OutOfNodes(NodeKind::Chunk))?;
        if let Err(error) = self.retype(kernel, block, plan.blueprint, first, plan.count) {
            self.chunks.pool.give(chunk);
            return Err(error);
        }
        // 0 is no chunk's.
        self.serial = self.serial.checked_add(1).unwrap_or(1);
        self.blocks.mark_used(block, BlockState::Used(chunk));
        let ChunkPlan { blueprint, count, recycles, .. } = plan;
        let serial = self.serial;
        self.chunks.insert(chunk, NewChunk { block, blueprint, recycles, first, count, serial });
        Ok(chunk)
    }

    fn retype(
        &mut self,
        kernel: &mut impl Kernel,
        block: &'p Block<'p>,
        blueprint: Blueprint,
        first: CPtr,
        count: usize,
    ) -> Result<()> {
        let (node, offset) = self.cspace.node(first);
        kernel
            .untyped_retype(block.slot(), blueprint, node, offset, count)
            .map_err(|error| Error::Kernel { invocation: Invocation::UntypedRetype, error })?;
        if block.is_dirty() && !block.is_device() {
            self.cleared_bytes += block.bytes() as u64;
        }
        Ok(())
    }

    /// A free block of exactly 2^`bits` bytes, split off the best fit.
    fn cut_block(&mut self, kernel: &mut impl Kernel, bits: u8) -> Result<&'p Block<'p>> {
        let fit = self.blocks.best_fit(bits).ok_or(Error::OutOfMemory { size_bits: bits })?;
        let paddr = fit.paddr();
        self.split_down(kernel, fit, paddr, bits)
    }

    /// Splits a free block until there is a free one of 2^`bits` bytes that covers `paddr`.
    pub(crate) fn split_down(
        &mut self,
        kernel: &mut impl Kernel,
        mut block: &'p Block<'p>,
        paddr: usize,
        bits: u8,
    ) -> Result<&'p Block<'p>> {
        while block.size_bits() > bits {
            let step = SPLIT_BITS.min(block.size_bits() - bits);
            self.split(kernel, block, block.size_bits() - step)?;
            block = self.blocks.leaf_at(paddr).ok_or(Error::NoUntypedAt(paddr))?;
        }
        Ok(block)
    }

    fn split(
        &mut self,
        kernel: &mut impl Kernel,
        block: &'p Block<'p>,
        child_bits: u8,
    ) -> Result<()> {
        let count = 1usize << (block.size_bits() - child_bits);
        let first = self.take_reserved_slots(count)?;
        let mut children = [None; 1 << SPLIT_BITS];
        for child in &mut children[..count] {
            *child = self.blocks.pool.take();
        }
        let split = match children[count - 1] {
            None => Err(Error::OutOfNodes(NodeKind::Block)),
            Some(_) => {
                let blueprint = Blueprint::Untyped { size_bits: child_bits };
                self.retype(kernel, block, blueprint, first, count)
            }
        };
        match split {
            Ok(()) => self.blocks.split(block, child_bits, first, &children[..count]),
            Err(_) => {
                children.into_iter().flatten().for_each(|child| self.blocks.pool.give(child));
                self.slots.free(first, count);
            }
        }
        split
    }
}
