// SPDX-License-Identifier: BSD-2-Clause
//! Reclaiming the memory at a physical address.

use crate::allocator::Allocator;
use crate::kernel::Kernel;
use crate::state::{Block, BlockState};
use crate::types::{Error, Result};

impl<'p> Allocator<'p> {
    /// Makes the memory at `paddr` one free block of at least 2^`bits` bytes, coalescing and
    /// releasing just what stands in its way.
    ///
    /// # Errors
    /// [`Error::NeedsClearing`] where a block of more than `most` bytes would have to be coalesced;
    /// [`Error::AddressInUse`], [`Error::NoUntypedAt`], [`Error::Kernel`].
    pub(crate) fn free_up(
        &mut self,
        kernel: &mut impl Kernel,
        paddr: usize,
        bits: u8,
        most: usize,
    ) -> Result<&'p Block<'p>> {
        let end = paddr + ((1 << bits) - 1);
        let mut at = paddr;
        loop {
            let leaf = self.blocks.leaf_at(at).ok_or(Error::NoUntypedAt(at))?;
            match leaf.state() {
                BlockState::Used(chunk) if chunk.live() == 0 => {
                    self.release_chunk(kernel, chunk)?;
                }
                BlockState::Clearing => return Err(Error::NeedsClearing { bytes: leaf.bytes() }),
                BlockState::Used(_) => return Err(Error::AddressInUse(at)),
                _ if leaf.size_bits() >= bits => return Ok(leaf),
                _ => {
                    let parent = leaf.parent().ok_or(Error::NoUntypedAt(end))?;
                    if parent.busy_children() == 0 {
                        if !parent.is_device() && parent.bytes() > most {
                            return Err(Error::NeedsClearing { bytes: parent.bytes() });
                        }
                        self.coalesce(kernel, parent)?;
                        at = paddr;
                    } else {
                        // A sibling further on, or one before, is in the way: look at each in turn.
                        // Where memory ends with the address space, nothing is further on.
                        let next = leaf.paddr().checked_add(leaf.bytes());
                        let inside = next.filter(|&next| parent.contains(next));
                        at = inside.unwrap_or(parent.paddr());
                    }
                }
            }
        }
    }
}
