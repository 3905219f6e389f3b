// SPDX-License-Identifier: BSD-2-Clause
//! Invocations of paging structures; those of levels that not every architecture has are in
//! `arch/*/tables.rs`.

use crate::arch::tables;
use crate::sys::{X86PageDirectoryGetStatusBits, X86PageTableMap, X86PageTableUnmap};
use crate::{cap, InvocationContext, Result, TranslationTableObjectType, VmAttributes, Word};

impl<C: InvocationContext> cap::PageTable<C> {
    /// Maps the page table over `vaddr`, rounded down to what it spans (`PageTable_Map`). About
    /// 820 instructions.
    ///
    /// # Errors
    /// `DeleteFirst` when a page table or a large page is mapped there; `InvalidArgument` above
    /// user space; `InvalidCapability` when it is mapped already or `vspace` is no VSpace;
    /// `FailedLookup` when the VSpace has no ASID, or a structure of a higher level is missing.
    #[inline]
    pub fn page_table_map(
        self,
        vspace: cap::VSpace,
        vaddr: usize,
        attr: VmAttributes,
    ) -> Result<()> {
        self.invoke_with(X86PageTableMap, [vaddr as Word, attr.into_inner()], [vspace.bits()])?;
        Ok(())
    }

    /// Unmaps the page table and clears it: what was mapped through it no longer is, though the
    /// frames' capabilities still say so (`PageTable_Unmap`). Succeeds when it is not mapped.
    /// Beyond upstream.
    ///
    /// # Errors
    /// `RevokeFirst` when there is a copy of the capability.
    #[inline]
    pub fn page_table_unmap(self) -> Result<()> {
        self.invoke_with(X86PageTableUnmap, [], [])?;
        Ok(())
    }
}

impl<C: InvocationContext> cap::PageDirectory<C> {
    /// Whether the page mapped at `vaddr` has been accessed, and whether written to, since it was
    /// mapped (`PageDirectory_GetStatusBits`). Beyond upstream.
    ///
    /// # Errors
    /// `InvalidArgument` above user space or when nothing is mapped there.
    #[inline]
    pub fn page_directory_get_status_bits(self, vaddr: usize) -> Result<(bool, bool)> {
        let (accessed, dirty) =
            self.invoke_with(X86PageDirectoryGetStatusBits, [vaddr as Word], [])?;
        Ok((accessed != 0, dirty != 0))
    }
}

impl<C: InvocationContext> cap::UnspecifiedIntermediateTranslationTable<C> {
    /// Maps a paging structure of type `ty` over `vaddr`, whichever the architecture.
    ///
    /// # Errors
    /// As [`page_table_map`](cap::PageTable::page_table_map); `IllegalOperation` for the root,
    /// which is not mapped into anything.
    #[inline]
    pub fn generic_intermediate_translation_table_map(
        self,
        ty: TranslationTableObjectType,
        vspace: cap::VSpace,
        vaddr: usize,
        attr: VmAttributes,
    ) -> Result<()> {
        tables::map_table(self, ty, vspace, vaddr, attr)
    }

    /// Unmaps a paging structure of type `ty`, whichever the architecture. Beyond upstream.
    ///
    /// # Errors
    /// As [`page_table_unmap`](cap::PageTable::page_table_unmap); `IllegalOperation` for the root.
    #[inline]
    pub fn generic_intermediate_translation_table_unmap(
        self,
        ty: TranslationTableObjectType,
    ) -> Result<()> {
        tables::unmap_table(self, ty)
    }
}
