// SPDX-License-Identifier: BSD-2-Clause
//! Taking away the aliases of frames.
//!
//! They go before anything is revoked that they were copied of. The kernel unmaps a page with the
//! last capability to its frame and with no other (seL4 5.0.0, `Mode_finaliseCap`): an alias would
//! leave its mapping behind, or keep that of a frame that is destroyed while it is mapped.

use crate::allocator::Allocator;
use crate::kernel::Kernel;
use crate::state::Chunk;
use crate::types::{Error, Invocation, Result};

impl<'p> Allocator<'p> {
    /// Unmaps and deletes the alias of frame number `index`, if it has one. Two kernel calls.
    ///
    /// # Errors
    /// [`Error::Kernel`]: what was done is recorded, and the rest can be tried again.
    pub(crate) fn remove_alias(
        &mut self,
        kernel: &mut impl Kernel,
        chunk: &Chunk<'p>,
        index: usize,
    ) -> Result<()> {
        let Some(aliases) = chunk.aliases().filter(|aliases| aliases.is_there(index)) else {
            return Ok(());
        };
        let slot = aliases.slot_of(index);
        if aliases.is_mapped(index) {
            let unmapped = kernel.page_unmap(slot);
            unmapped.map_err(|error| Error::Kernel { invocation: Invocation::PageUnmap, error })?;
            aliases.set_mapped(index, false);
        }
        let deleted = kernel.cnode_delete(self.path(slot));
        deleted.map_err(|error| Error::Kernel { invocation: Invocation::CNodeDelete, error })?;
        aliases.set_there(index, false);
        Ok(())
    }

    /// Unmaps and deletes all aliases of a chunk's frames, and frees their slots. Two kernel calls
    /// for each.
    ///
    /// # Errors
    /// As [`Allocator::remove_alias`].
    pub(crate) fn remove_aliases(
        &mut self,
        kernel: &mut impl Kernel,
        chunk: &Chunk<'p>,
    ) -> Result<()> {
        if chunk.aliases().is_none() {
            return Ok(());
        }
        (0..chunk.count()).try_for_each(|index| self.remove_alias(kernel, chunk, index))?;
        if let Some(first) = self.chunks.end_aliases(chunk) {
            self.slots.free(first, chunk.count());
        }
        Ok(())
    }

    /// Unmaps and deletes all aliases, and frees their slots. Two kernel calls for each.
    ///
    /// # Errors
    /// [`Error::Kernel`] with the first refusal; all that was not refused is gone then.
    pub fn remove_all_aliases(&mut self, kernel: &mut impl Kernel) -> Result<()> {
        let (mut outcome, mut next) = (Ok(()), self.chunks.with_aliases(None));
        while let Some(chunk) = next {
            outcome = outcome.and(self.remove_aliases(kernel, chunk));
            next = self.chunks.with_aliases(Some(chunk));
        }
        outcome
    }
}
