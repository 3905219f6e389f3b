// SPDX-License-Identifier: BSD-2-Clause
//! Capabilities copied, minted and deleted for callers: counted, unlike what is invoked on
//! [`Vmm::kernel_mut`].

use untyped_alloc::{CPtr, CapPath, Counted, Kernel, KernelError, Memory, Refused, Rights};

use crate::manager::vmm::Vmm;
use crate::types::error::{Error, Result};

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Puts a capability into a slot that was just allocated. Where the kernel finds it occupied,
    /// it is emptied first: who gave it back left something there.
    #[inline(always)]
    pub(crate) fn fill_slot(
        &mut self,
        slot: CPtr,
        mut fill: impl FnMut(&mut Counted<K>, CapPath) -> Result<(), Refused>,
    ) -> Result {
        let path = self.alloc.path(slot);
        match fill(&mut self.kernel, path) {
            Err(Refused { error: KernelError::DeleteFirst, .. }) => {
                self.alloc.empty_slots(&mut self.kernel, slot, 1)?;
                fill(&mut self.kernel, path).map_err(Error::from)
            }
            filled => filled.map_err(Error::from),
        }
    }

    /// Copies the capability in the slot `src` of the manager's CSpace, with at most `rights`, to
    /// an empty slot of any CNode. One kernel call.
    ///
    /// A copy of the capability to a page of the manager's ([`crate::Mapping::frame`], an IPC
    /// buffer's) lasts as long as the page has that frame: before the frame is anybody else's, the
    /// kernel deletes all copies, wherever they are. That costs one more kernel call for each frame
    /// that is given back of those that came with it. Unmap a copy that you mapped before that: the
    /// kernel unmaps a page only with the last capability to its frame. Copies made on
    /// [`Vmm::kernel_mut`] are not known here.
    ///
    /// # Errors
    /// [`Error::Kernel`]: `DeleteFirst` when `dst` is occupied, `FailedLookup` or `RangeError` when
    /// it is no slot.
    pub fn copy_cap(&mut self, dst: CapPath, src: CPtr, rights: Rights) -> Result {
        self.note_copied(src);
        let src = self.alloc.path(self.capability_of(src));
        self.kernel.cnode_copy(dst, src, rights).map_err(Error::from)
    }

    /// As [`Vmm::copy_cap`], of a capability to an endpoint or a notification, with a badge.
    ///
    /// # Errors
    /// As for [`Vmm::copy_cap`]; a capability that has a badge cannot be given another.
    pub fn mint_cap(&mut self, dst: CapPath, src: CPtr, rights: Rights, badge: usize) -> Result {
        self.note_copied(src);
        let src = self.alloc.path(src);
        let minted = self.kernel.cnode_mint_badge(dst, src, rights, badge);
        minted.map_err(Error::from)
    }

    /// As [`Vmm::copy_cap`], of a capability to a CNode, with a guard of `guard_bits` zeros (1 to
    /// the bits of a word): in a pointer that leads through it, so many come before the slot.
    ///
    /// # Errors
    /// As for [`Vmm::copy_cap`].
    pub fn mount_cnode(&mut self, dst: CapPath, src: CPtr, guard_bits: u8) -> Result {
        let src = self.alloc.path(src);
        self.kernel.cnode_mint_guard(dst, src, 0, guard_bits).map_err(Error::from)
    }

    /// A caller gets a copy of the capability in `src`, which may be a frame's own or a copy.
    fn note_copied(&mut self, src: CPtr) {
        let own = self.refcounts.origin(src).unwrap_or(src);
        self.alloc.note_copied(own);
    }

    /// Deletes the capability in a slot of any CNode. One kernel call, which succeeds for an empty
    /// slot too.
    ///
    /// # Errors
    /// [`Error::Kernel`]; for a slot of the manager's CSpace that [`Vmm::alloc_slots`] did not give
    /// [`Error::Allocator`]; [`Error::InUse`] for a frame that is mapped.
    pub fn delete_cap(&mut self, slot: CapPath) -> Result {
        self.check_callers_path(slot)?;
        self.kernel.cnode_delete(slot).map_err(Error::from)
    }

    /// Deletes the capability in a slot that [`Vmm::alloc_slots`] or [`Vmm::end_request`] gave, if
    /// there is one, and gives the slot back. One kernel call.
    ///
    /// # Errors
    /// [`Error::Kernel`], and then the slot is still the caller's; [`Error::Allocator`] for a slot
    /// that is not the caller's, or no more; [`Error::InUse`] for a frame that is mapped.
    pub fn release_slot(&mut self, slot: CPtr) -> Result {
        self.check_callers_slot(slot)?;
        self.kernel.cnode_delete(self.alloc.path(slot))?;
        self.free_slots(slot, 1)
    }
}
