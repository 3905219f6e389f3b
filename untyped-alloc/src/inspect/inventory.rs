// SPDX-License-Identifier: BSD-2-Clause
//! The inventory of physical memory: what each part of it is used for.

use crate::allocator::Allocator;
use crate::state::{BlockState, Chunk};
use crate::types::{Blueprint, CPtr, Mobility, ObjectState};

/// What is known about an untyped that is not split any further.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlockInfo<'p> {
    /// Its physical address, in bytes; a multiple of its size.
    pub paddr: usize,
    /// Logarithm of its size in bytes.
    pub size_bits: u8,
    /// Whether it is device memory.
    pub device: bool,
    /// What became of it.
    pub usage: Usage<'p>,
}

/// What became of an untyped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Usage<'p> {
    /// Nothing is made of it.
    Free {
        /// Whether its next retype needs no clearing.
        clean: bool,
    },
    /// The kernel clears it, or is about to.
    Clearing,
    /// It was retyped into objects of one kind.
    Objects(Batch<'p>),
}

/// Objects that were made by one retype. They lie one behind the other from the start of their
/// untyped on, which can be larger than they are together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Batch<'p> {
    /// What they are.
    pub blueprint: Blueprint,
    /// How many were made, those that are gone included.
    pub count: usize,
    /// Logarithm of the size of one, in bytes.
    pub size_bits: u8,
    /// Whether what may be moved is allocated from it, or what must stay; `None` where both are.
    /// Only frames of the smallest size may be moved.
    pub mobility: Option<Mobility>,
    chunk: &'p Chunk<'p>,
}

impl Batch<'_> {
    /// The capability slot of object number `index`, and its state; `None` beyond the last.
    pub fn object(&self, index: usize) -> Option<(CPtr, ObjectState)> {
        if index >= self.count {
            return None;
        }
        Some((self.chunk.slot_of(index), self.chunk.state(index)))
    }
}

impl<'p> Allocator<'p> {
    /// All memory that came in, as untypeds that do not overlap, by rising physical address. Memory
    /// between two of them did not come in. No kernel call; a step is O(log untypeds) at the most.
    pub fn inventory(&self) -> impl Iterator<Item = BlockInfo<'p>> + '_ {
        self.blocks.leaves().map(|block| BlockInfo {
            paddr: block.paddr(),
            size_bits: block.size_bits(),
            device: block.is_device(),
            usage: match block.state() {
                BlockState::Used(chunk) => Usage::Objects(self.batch(chunk)),
                BlockState::Clearing => Usage::Clearing,
                // A leaf is not split.
                BlockState::Free | BlockState::Split { .. } => {
                    Usage::Free { clean: !block.is_dirty() }
                }
            },
        })
    }

    fn batch(&self, chunk: &'p Chunk<'p>) -> Batch<'p> {
        let blueprint = chunk.blueprint();
        Batch {
            blueprint,
            count: chunk.count(),
            size_bits: self.sizes.size_bits(blueprint).unwrap_or(0),
            mobility: chunk.mobility(),
            chunk,
        }
    }
}
