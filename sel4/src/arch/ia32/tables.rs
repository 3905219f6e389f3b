// SPDX-License-Identifier: BSD-2-Clause
//! Paging structures of IA32: a page directory of page tables.

use crate::sys;
use crate::{
    cap, cap_type, CapTypeForTranslationTableObject, Error, InvocationContext, ObjectBlueprint,
    ObjectBlueprintX86, Result, VmAttributes, WORD_SIZE,
};

/// How many levels there are.
pub(crate) const NUM_LEVELS: usize = 2;
/// The level nearest the root whose entries can be pages.
pub(crate) const HIGHEST_LEVEL_WITH_PAGE_ENTRIES: usize = 0;

/// The paging structures there are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum TranslationTableObjectType {
    /// Level 0, the root.
    PageDirectory,
    /// Level 1.
    PageTable,
}

impl TranslationTableObjectType {
    /// The paging structure of `level`, 0 being the root.
    pub const fn from_level(level: usize) -> Option<Self> {
        match level {
            0 => Some(Self::PageDirectory),
            1 => Some(Self::PageTable),
            _ => None,
        }
    }

    /// What to retype into.
    pub const fn blueprint(&self) -> ObjectBlueprint {
        ObjectBlueprint::Arch(match self {
            Self::PageDirectory => ObjectBlueprintX86::PageDirectory,
            Self::PageTable => ObjectBlueprintX86::PageTable,
        })
    }

    /// The logarithm of its number of entries.
    pub const fn index_bits(&self) -> usize {
        match self {
            Self::PageDirectory => WORD_SIZE - sys::seL4_LargePageBits as usize,
            Self::PageTable => (sys::seL4_LargePageBits - sys::seL4_PageBits) as usize,
        }
    }
}

impl CapTypeForTranslationTableObject for cap_type::PageDirectory {
    const TRANSLATION_TABLE_OBJECT_TYPE: TranslationTableObjectType =
        TranslationTableObjectType::PageDirectory;
}
impl CapTypeForTranslationTableObject for cap_type::PageTable {
    const TRANSLATION_TABLE_OBJECT_TYPE: TranslationTableObjectType =
        TranslationTableObjectType::PageTable;
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
        TranslationTableObjectType::PageDirectory => Err(Error::IllegalOperation),
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
        TranslationTableObjectType::PageDirectory => Err(Error::IllegalOperation),
        TranslationTableObjectType::PageTable => {
            table.cast::<cap_type::PageTable>().page_table_unmap()
        }
    }
}
