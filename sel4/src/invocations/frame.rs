// SPDX-License-Identifier: BSD-2-Clause
//! Invocations of frames.

use crate::sys::{X86PageGetAddress, X86PageMap, X86PageRemap, X86PageUnmap};
use crate::Word;
use crate::{cap, Cap, CapRights, CapTypeForFrameObject, InvocationContext, Result, VmAttributes};

impl<T: CapTypeForFrameObject, C: InvocationContext> Cap<T, C> {
    /// Maps the frame at `vaddr` with `rights`, less what its capability lacks (`Page_Map`). About
    /// 970 instructions.
    ///
    /// A frame capability remembers one mapping: mapping a frame twice takes a second capability.
    ///
    /// # Errors
    /// `FailedLookup` when a page table is missing there (word 2 of the IPC buffer: the bits it
    /// would span) or the VSpace has no ASID; `DeleteFirst` when something is mapped there;
    /// `AlignmentError`; `InvalidArgument` above user space; `InvalidCapability` when this
    /// capability is mapped already (newer kernels then change the mapping; here
    /// [`frame_remap`](Self::frame_remap) does) or `vspace` is no VSpace.
    #[inline]
    pub fn frame_map(
        self,
        vspace: cap::VSpace,
        vaddr: usize,
        rights: CapRights,
        attrs: VmAttributes,
    ) -> Result<()> {
        self.invoke_with(
            X86PageMap,
            [vaddr as Word, rights.into_inner(), attrs.into_inner()],
            [vspace.bits()],
        )?;
        Ok(())
    }

    /// Gives the mapping of this capability new rights and attributes, where it is (`Page_Remap`).
    /// Beyond upstream, whose kernels fold it into `frame_map`.
    ///
    /// `vaddr` is the address it is mapped at. The kernel remembers it and does not ask; the
    /// argument keeps the signature the same as `frame_map`'s, and is not checked.
    ///
    /// # Errors
    /// `IllegalOperation` when this capability is not mapped; `InvalidCapability` when it is mapped
    /// in another VSpace; `FailedLookup` when the page table it was mapped through is gone;
    /// `DeleteFirst` when a page table has taken a large page's place. What else may be mapped
    /// there by now is not checked: it is overwritten.
    #[inline]
    pub fn frame_remap(
        self,
        vspace: cap::VSpace,
        vaddr: usize,
        rights: CapRights,
        attrs: VmAttributes,
    ) -> Result<()> {
        let _ = vaddr;
        self.invoke_with(X86PageRemap, [rights.into_inner(), attrs.into_inner()], [vspace.bits()])?;
        Ok(())
    }

    /// Takes the mapping of this capability away (`Page_Unmap`); succeeds when there is none. About
    /// 830 instructions. The contents stay.
    ///
    /// # Errors
    /// None on a frame capability.
    #[inline]
    pub fn frame_unmap(self) -> Result<()> {
        self.invoke_with(X86PageUnmap, [], [])?;
        Ok(())
    }

    /// The physical address of the frame, in bytes (`Page_GetAddress`). About 675 instructions, the
    /// cheapest invocation there is.
    ///
    /// # Errors
    /// None on a frame capability.
    #[inline]
    pub fn frame_get_address(self) -> Result<usize> {
        let (paddr, _) = self.invoke_with(X86PageGetAddress, [], [])?;
        Ok(paddr as usize)
    }
}
