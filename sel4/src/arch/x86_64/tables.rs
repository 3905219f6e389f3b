// SPDX-License-Identifier: BSD-2-Clause
//! Paging structures of x86_64: a PML4 of PDPTs of page directories of page tables, each with 512
//! entries.

use crate::invocations::sys::number as sys_number;
use crate::sys::{seL4_CPtr, seL4_Error, seL4_IPCBuffer};
use crate::sys::{X86PDPTMap, X86PDPTUnmap, X86PageDirectoryMap, X86PageDirectoryUnmap};
use crate::{
    cap, cap_type, CapTypeForTranslationTableObject, Error, InvocationContext, ObjectBlueprint,
    ObjectBlueprintX64, ObjectBlueprintX86, Result, VmAttributes, Word,
};

/// How many levels there are.
pub(crate) const NUM_LEVELS: usize = 4;
/// The level nearest the root whose entries can be pages. (1 with pages of 1 GiB.)
pub(crate) const HIGHEST_LEVEL_WITH_PAGE_ENTRIES: usize = 2;

/// The paging structures there are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum TranslationTableObjectType {
    /// Level 0, the root.
    PML4,
    /// Level 1.
    PDPT,
    /// Level 2.
    PageDirectory,
    /// Level 3.
    PageTable,
}

impl TranslationTableObjectType {
    /// The paging structure of `level`, 0 being the root.
    pub const fn from_level(level: usize) -> Option<Self> {
        match level {
            0 => Some(Self::PML4),
            1 => Some(Self::PDPT),
            2 => Some(Self::PageDirectory),
            3 => Some(Self::PageTable),
            _ => None,
        }
    }

    /// What to retype into.
    pub const fn blueprint(&self) -> ObjectBlueprint {
        ObjectBlueprint::Arch(match self {
            Self::PML4 => ObjectBlueprintX86::SeL4Arch(ObjectBlueprintX64::PML4),
            Self::PDPT => ObjectBlueprintX86::SeL4Arch(ObjectBlueprintX64::PDPT),
            Self::PageDirectory => ObjectBlueprintX86::PageDirectory,
            Self::PageTable => ObjectBlueprintX86::PageTable,
        })
    }

    /// The logarithm of its number of entries: they are words.
    pub const fn index_bits(&self) -> usize {
        self.blueprint().physical_size_bits() - size_of::<Word>().ilog2() as usize
    }
}

impl CapTypeForTranslationTableObject for cap_type::PML4 {
    const TRANSLATION_TABLE_OBJECT_TYPE: TranslationTableObjectType =
        TranslationTableObjectType::PML4;
}
impl CapTypeForTranslationTableObject for cap_type::PDPT {
    const TRANSLATION_TABLE_OBJECT_TYPE: TranslationTableObjectType =
        TranslationTableObjectType::PDPT;
}
impl CapTypeForTranslationTableObject for cap_type::PageDirectory {
    const TRANSLATION_TABLE_OBJECT_TYPE: TranslationTableObjectType =
        TranslationTableObjectType::PageDirectory;
}
impl CapTypeForTranslationTableObject for cap_type::PageTable {
    const TRANSLATION_TABLE_OBJECT_TYPE: TranslationTableObjectType =
        TranslationTableObjectType::PageTable;
}

impl<C: InvocationContext> cap::PDPT<C> {
    /// Maps the PDPT over `vaddr`, rounded down to what it spans (`PDPT_Map`).
    ///
    /// # Errors
    /// As [`page_table_map`](cap::PageTable::page_table_map).
    #[inline]
    pub fn pdpt_map(self, vspace: cap::VSpace, vaddr: usize, attr: VmAttributes) -> Result<()> {
        self.invoke_with(X86PDPTMap, [vaddr as Word, attr.into_inner()], [vspace.bits()])?;
        Ok(())
    }

    /// Unmaps the PDPT and clears it (`PDPT_Unmap`). Beyond upstream.
    ///
    /// # Errors
    /// As [`page_table_unmap`](cap::PageTable::page_table_unmap).
    #[inline]
    pub fn pdpt_unmap(self) -> Result<()> {
        self.invoke_with(X86PDPTUnmap, [], [])?;
        Ok(())
    }
}

impl<C: InvocationContext> cap::PageDirectory<C> {
    /// Maps the page directory over `vaddr`, rounded down to what it spans (`PageDirectory_Map`).
    ///
    /// # Errors
    /// As [`page_table_map`](cap::PageTable::page_table_map).
    #[inline]
    pub fn page_directory_map(
        self,
        vspace: cap::VSpace,
        vaddr: usize,
        attr: VmAttributes,
    ) -> Result<()> {
        self.invoke_with(X86PageDirectoryMap, [vaddr as Word, attr.into_inner()], [vspace.bits()])?;
        Ok(())
    }

    /// Unmaps the page directory and clears it (`PageDirectory_Unmap`). Beyond upstream.
    ///
    /// # Errors
    /// As [`page_table_unmap`](cap::PageTable::page_table_unmap).
    #[inline]
    pub fn page_directory_unmap(self) -> Result<()> {
        self.invoke_with(X86PageDirectoryUnmap, [], [])?;
        Ok(())
    }
}

/// Maps a structure of type `ty`; the root is not mapped into anything.
#[inline(always)]
pub(crate) fn map_table<C: InvocationContext>(
    table: cap::UnspecifiedIntermediateTranslationTable<C>,
    ty: TranslationTableObjectType,
    vspace: cap::VSpace,
    vaddr: usize,
    attr: VmAttributes,
) -> Result<()> {
    match ty {
        TranslationTableObjectType::PML4 => Err(Error::IllegalOperation),
        TranslationTableObjectType::PDPT => {
            table.cast::<cap_type::PDPT>().pdpt_map(vspace, vaddr, attr)
        }
        TranslationTableObjectType::PageDirectory => {
            table.cast::<cap_type::PageDirectory>().page_directory_map(vspace, vaddr, attr)
        }
        TranslationTableObjectType::PageTable => {
            table.cast::<cap_type::PageTable>().page_table_map(vspace, vaddr, attr)
        }
    }
}

/// Unmaps a structure of type `ty`.
#[inline(always)]
pub(crate) fn unmap_table<C: InvocationContext>(
    table: cap::UnspecifiedIntermediateTranslationTable<C>,
    ty: TranslationTableObjectType,
) -> Result<()> {
    match ty {
        TranslationTableObjectType::PML4 => Err(Error::IllegalOperation),
        TranslationTableObjectType::PDPT => table.cast::<cap_type::PDPT>().pdpt_unmap(),
        TranslationTableObjectType::PageDirectory => {
            table.cast::<cap_type::PageDirectory>().page_directory_unmap()
        }
        TranslationTableObjectType::PageTable => {
            table.cast::<cap_type::PageTable>().page_table_unmap()
        }
    }
}

#[allow(non_snake_case)]
impl seL4_IPCBuffer {
    /// As [`page_directory_unmap`](crate::cap::PageDirectory::page_directory_unmap).
    pub fn seL4_X86_PageDirectory_Unmap(&mut self, service: seL4_CPtr) -> seL4_Error::Type {
        sys_number(self.capability::<cap_type::PageDirectory>(service).page_directory_unmap())
    }

    /// As [`pdpt_unmap`](crate::cap::PDPT::pdpt_unmap).
    pub fn seL4_X86_PDPT_Unmap(&mut self, service: seL4_CPtr) -> seL4_Error::Type {
        sys_number(self.capability::<cap_type::PDPT>(service).pdpt_unmap())
    }
}
