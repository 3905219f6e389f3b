// SPDX-License-Identifier: BSD-2-Clause
//! What a new chunk is to be, and how large.

use super::Allocator;
use crate::types::MAX_BATCH;
use crate::types::{Blueprint, Error, Mobility, Result};

/// What a new chunk is to be.
#[derive(Clone, Copy)]
pub(crate) struct ChunkPlan {
    /// What its objects are.
    pub blueprint: Blueprint,
    /// How many, 1 to 256.
    pub count: usize,
    /// Whether objects that come back are allocated again, rather than destroyed.
    pub recycles: bool,
    /// Whether what is allocated of them first may be moved.
    pub mobility: Mobility,
}

impl Allocator<'_> {
    /// The size of the block that `count` objects need, in bits.
    ///
    /// # Errors
    /// [`Error::NoSuchObject`], [`Error::ZeroCount`], [`Error::TooMany`]; [`Error::OutOfMemory`]
    /// when no untyped is that large.
    pub(crate) fn chunk_bits(&self, blueprint: Blueprint, count: usize) -> Result<u8> {
        let size_bits = self.sizes.size_bits(blueprint).ok_or(Error::NoSuchObject(blueprint))?;
        if count == 0 {
            return Err(Error::ZeroCount);
        }
        let limit = MAX_BATCH.min(self.sizes.retype_limit);
        if count > limit {
            return Err(Error::TooMany { count, limit });
        }
        let bits = size_bits + count.next_power_of_two().trailing_zeros() as u8;
        if bits > self.sizes.untyped_max_bits {
            return Err(self.out_of_memory(bits));
        }
        Ok(bits.max(self.sizes.untyped_min_bits))
    }

    /// The error that says a block of 2^`size_bits` bytes is not to be had, with what is free now.
    pub fn out_of_memory(&self, size_bits: u8) -> Error {
        let bytes = 1usize.checked_shl(size_bits.into()).unwrap_or(usize::MAX);
        Error::OutOfMemory { size_bits, bytes, free_bytes: self.blocks.free_bytes() }
    }

    /// How many objects may be made at once although fewer are needed: an eighth of what is free,
    /// since memory in a chunk that is partly used can be had for nothing else.
    pub(crate) fn max_spare(&self, blueprint: Blueprint) -> usize {
        let size_bits = self.sizes.size_bits(blueprint).unwrap_or(0);
        (self.blocks.free_bytes() >> size_bits >> 3).max(1)
    }

    /// How many objects one chunk has at the most, so that its memory can be cleared again.
    pub(crate) fn most_at_once(&self, blueprint: Blueprint) -> usize {
        let size_bits = self.sizes.size_bits(blueprint).unwrap_or(0);
        (self.most_cleared >> size_bits).clamp(1, self.sizes.retype_limit)
    }

    /// How many objects to make at once where `count` are needed, and the size of the block for
    /// them in bits.
    ///
    /// # Errors
    /// As for [`Allocator::chunk_bits`].
    pub(crate) fn batch_for(&self, blueprint: Blueprint, count: usize) -> Result<(usize, u8)> {
        let count = self.round(blueprint, count.min(self.most_at_once(blueprint)));
        Ok((count, self.chunk_bits(blueprint, count)?))
    }

    /// The number of objects to make where `count` are needed: a power of two, the next higher one
    /// unless that is too many more.
    pub(crate) fn round(&self, blueprint: Blueprint, count: usize) -> usize {
        let up = count.next_power_of_two();
        let too_many = up - count > self.max_spare(blueprint);
        if too_many {
            up / 2
        } else {
            up
        }
    }
}
