// SPDX-License-Identifier: BSD-2-Clause
//! What an allocator is made of, and how it starts.

use crate::state::{BeingCleared, Blocks, CSpace, Chunk, Chunks, Room, Slots};
use crate::types::MAX_TABLE_LEVELS;
use crate::types::{CSpaceInfo, Error, LiveObjects, NodeKind, ObjectSizes, Result, UntypedInfo};

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
    pub(crate) left_out_bytes: usize,
    /// By level: page tables that are held back.
    pub(crate) held_tables: [Option<&'p Chunk<'p>>; MAX_TABLE_LEVELS],
    /// Small frames that are held back.
    pub(crate) held_frames: Option<&'p Chunk<'p>>,
    /// The most bytes that one kernel call may clear, unless the caller asks for more in words.
    pub(crate) most_cleared: usize,
    pub(crate) clearing: BeingCleared,
    pub(crate) no_clean: Option<NoClean>,
    serial: u64,
}

/// When it was found that nothing clean is to be had for a small frame: none is zeroed, and of no
/// clean block one would be made. While it is so, a search comes to a dirty one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoClean {
    /// What was looked for.
    pub kind: Room,
    /// From how many live ones to how many as many would be made where one is wanted.
    pub live: (usize, usize),
    /// How many bytes one call might clear.
    pub most_cleared: usize,
    /// [`Chunks::zeroed_supplies`] and [`Blocks::changes`] then.
    pub supplies: (u32, u32),
}

impl<'p> Allocator<'p> {
    /// An allocator that owns nothing yet: give it book-keeping pages and untypeds next.
    pub fn new(sizes: ObjectSizes, cspace: CSpaceInfo) -> Self {
        Allocator {
            sizes,
            cspace: CSpace::new(cspace, sizes.word_bits),
            slots: Slots::new(),
            blocks: Blocks::new(sizes.frame_bits[1]),
            chunks: Chunks::new(),
            live: LiveObjects::default(),
            cleared_bytes: 0,
            left_out_bytes: 0,
            held_tables: [None; MAX_TABLE_LEVELS],
            held_frames: None,
            most_cleared: usize::MAX,
            clearing: BeingCleared::new(),
            no_clean: None,
            serial: 0,
        }
    }

    /// The object sizes of the architecture.
    pub fn sizes(&self) -> &ObjectSizes {
        &self.sizes
    }

    /// Adds an untyped of the boot information. No kernel call.
    ///
    /// Device memory that is not aligned to its size is left out, and counted as
    /// [`Stats::left_out_bytes`](crate::Stats): kernels align it in addresses of their own, and so
    /// have such untypeds far above all RAM (on x86_64 from 2^39 on).
    ///
    /// # Errors
    /// [`Error::BadUntyped`] when its size or alignment is impossible or it overlaps one that is
    /// known; [`Error::OutOfNodes`] when a page of blocks must be adopted first.
    pub fn add_untyped(&mut self, info: UntypedInfo) -> Result<()> {
        let bits = info.size_bits;
        let sizes = self.sizes.untyped_min_bits..=self.sizes.untyped_max_bits;
        let bad = Error::BadUntyped(info.paddr);
        if !sizes.contains(&bits) {
            return Err(bad);
        }
        let last = info.paddr.checked_add((1 << bits) - 1).ok_or(bad)?;
        if info.paddr & ((1 << bits) - 1) != 0 {
            if !info.is_device {
                return Err(bad);
            }
            self.left_out_bytes = self.left_out_bytes.saturating_add(1 << bits);
            return Ok(());
        }
        let below = self.blocks.leaf_at(info.paddr);
        let above = self.blocks.leaf_from(info.paddr);
        if below.is_some() || above.is_some_and(|block| block.paddr() <= last) {
            return Err(bad);
        }
        let node = self.blocks.pool.alloc().ok_or(Error::OutOfNodes(NodeKind::Block))?;
        self.blocks.insert_boot(node, info);
        self.cspace.fit_root(self.blocks.total_bytes() >> self.sizes.frame_bits[0]);
        Ok(())
    }

    /// A number that no chunk had before. 0 is never one: nodes that are in no tree have it.
    pub(crate) fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }
}
