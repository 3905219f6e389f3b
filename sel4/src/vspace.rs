// SPDX-License-Identifier: BSD-2-Clause
//! Frames, paging structures and the geometry of an address space, without naming either. What
//! paging structures there are is said in `arch/*/tables.rs`.

use crate::{
    cap_type, CapType, CapTypeForObject, CapTypeForObjectOfFixedSize, ObjectBlueprint,
    ObjectBlueprintX86,
};

pub use crate::arch::tables::TranslationTableObjectType;

/// The frame sizes there are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum FrameObjectType {
    /// 4 KiB.
    _4k,
    /// 4 MiB on IA32, 2 MiB on x86_64.
    LargePage,
}

impl FrameObjectType {
    /// The smallest frame.
    pub const GRANULE: Self = Self::_4k;

    /// What to retype into.
    pub const fn blueprint(self) -> ObjectBlueprint {
        ObjectBlueprint::Arch(match self {
            Self::_4k => ObjectBlueprintX86::_4k,
            Self::LargePage => ObjectBlueprintX86::LargePage,
        })
    }

    /// The frame of 2^`bits` bytes, if there is one.
    pub const fn from_bits(bits: usize) -> Option<Self> {
        const SMALL: usize = FrameObjectType::_4k.bits();
        const LARGE: usize = FrameObjectType::LargePage.bits();
        match bits {
            SMALL => Some(Self::_4k),
            LARGE => Some(Self::LargePage),
            _ => None,
        }
    }

    /// The logarithm of its bytes.
    pub const fn bits(self) -> usize {
        self.blueprint().physical_size_bits()
    }

    /// Its bytes.
    pub const fn bytes(self) -> usize {
        1 << self.bits()
    }
}

/// The levels of paging structures, 0 being the root.
pub mod vspace_levels {
    use super::TranslationTableObjectType;
    use crate::{arch, FrameObjectType, WORD_SIZE};

    /// How many levels there are.
    pub const NUM_LEVELS: usize = arch::tables::NUM_LEVELS;

    /// The level nearest the root whose entries can be pages.
    pub const HIGHEST_LEVEL_WITH_PAGE_ENTRIES: usize =
        arch::tables::HIGHEST_LEVEL_WITH_PAGE_ENTRIES;

    /// The logarithm of the bytes one structure of `level` spans. For the root that may be the bits
    /// of a word (on IA32): `1usize <<` that overflows.
    ///
    /// # Panics
    /// When there is no such level.
    pub const fn span_bits(level: usize) -> usize {
        match TranslationTableObjectType::from_level(level) {
            Some(ty) => ty.index_bits() + step_bits(level),
            None => panic!("no such level of paging structures"),
        }
    }

    /// The logarithm of the bytes one entry of a structure of `level` spans.
    ///
    /// # Panics
    /// When there is no such level.
    pub const fn step_bits(level: usize) -> usize {
        assert!(level < NUM_LEVELS, "no such level of paging structures");
        if level + 1 == NUM_LEVELS {
            FrameObjectType::GRANULE.bits()
        } else {
            span_bits(level + 1)
        }
    }

    const LOWEST: usize = NUM_LEVELS - 1;
    const _: () = assert!(span_bits(0) <= WORD_SIZE);
    const _: () =
        assert!(step_bits(HIGHEST_LEVEL_WITH_PAGE_ENTRIES) == FrameObjectType::LargePage.bits());
    const _: () = assert!(span_bits(LOWEST) == FrameObjectType::LargePage.bits());
    const _: () = assert!(step_bits(LOWEST) == FrameObjectType::GRANULE.bits());
}

/// A type of capability that belongs to frames.
pub trait CapTypeForFrameObject: CapType {}

/// A type of capability that belongs to frames of one size.
pub trait CapTypeForFrameObjectOfFixedSize:
    CapTypeForObjectOfFixedSize + CapTypeForFrameObject
{
    /// The size.
    const FRAME_OBJECT_TYPE: FrameObjectType;
}

/// A type of capability that belongs to paging structures.
pub trait CapTypeForTranslationTableObject: CapTypeForObject {
    /// The structure.
    const TRANSLATION_TABLE_OBJECT_TYPE: TranslationTableObjectType;
}

impl CapTypeForFrameObject for cap_type::UnspecifiedPage {}
impl CapTypeForFrameObject for cap_type::_4k {}
impl CapTypeForFrameObject for cap_type::LargePage {}

impl CapTypeForFrameObjectOfFixedSize for cap_type::_4k {
    const FRAME_OBJECT_TYPE: FrameObjectType = FrameObjectType::_4k;
}
impl CapTypeForFrameObjectOfFixedSize for cap_type::LargePage {
    const FRAME_OBJECT_TYPE: FrameObjectType = FrameObjectType::LargePage;
}
