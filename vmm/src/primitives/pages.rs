// SPDX-License-Identifier: BSD-2-Clause
//! The kernel calls that map a page, unmap it and give it other rights.
//!
//! Nothing is touched in a store, so its pages are recorded as any others and mapped nowhere: there
//! each of these is done at once, without a call.

use untyped_alloc::{CPtr, CachePolicy, Kernel, Memory, Refused, Rights};

use crate::manager::vmm::Vmm;
use crate::state::space::Space;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Maps a frame at `address` (bytes) of a space, where its page table is. One kernel call.
    #[inline(always)]
    pub(crate) fn page_map(
        &mut self,
        space: &Space<'p>,
        (frame, address): (CPtr, usize),
        rights: Rights,
        cache: CachePolicy,
    ) -> Result<(), Refused> {
        match space.store.get() {
            true => Ok(()),
            false => self.kernel.page_map(frame, space.root.get(), address, rights, cache),
        }
    }

    /// Unmaps a frame that is recorded in a space, mapped there or not. One kernel call.
    #[inline(always)]
    pub(crate) fn page_unmap(&mut self, space: &Space<'p>, frame: CPtr) -> Result<(), Refused> {
        match space.store.get() {
            true => self.unmap_looked_at(frame),
            false => self.kernel.page_unmap(frame),
        }
    }

    /// Unmaps a page of a store where somebody has looked at it, if the kernel would not do that
    /// then.
    #[inline(never)]
    fn unmap_looked_at(&mut self, frame: CPtr) -> Result<(), Refused> {
        match self.temp_slots.holding(frame) {
            None => Ok(()),
            Some(slot) => self.kernel.page_unmap(frame).map(|()| self.temp_slots.remove(slot)),
        }
    }

    /// Gives a frame that is mapped at `address` (bytes) of a space other rights. One kernel call.
    #[inline(always)]
    pub(crate) fn page_remap(
        &mut self,
        space: &Space<'p>,
        (frame, address): (CPtr, usize),
        rights: Rights,
        cache: CachePolicy,
    ) -> Result<(), Refused> {
        match space.store.get() {
            true => Ok(()),
            false => self.kernel.page_remap(frame, space.root.get(), address, rights, cache),
        }
    }
}
