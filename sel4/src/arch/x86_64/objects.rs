// SPDX-License-Identifier: BSD-2-Clause
//! Kernel objects, and types of capabilities, that only x86_64 has: the upper levels of paging
//! structures. (Pages of 1 GiB are an option of the kernel that is not chosen here.)

use crate::sys;
use crate::{cap_type as all, CapTypeForObject, CapTypeForObjectOfFixedSize};
use crate::{ObjectBlueprint, ObjectType, Word};

/// The types of objects that only x86_64 has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ObjectTypeX64 {
    /// A table of page directories.
    PDPT,
    /// The root of an address space: a table of PDPTs.
    PML4,
}

/// What a retype makes that only x86_64 has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ObjectBlueprintX64 {
    /// A table of page directories.
    PDPT,
    /// The root of an address space: a table of PDPTs.
    PML4,
}

/// The types of objects of this mode of the architecture.
pub type ObjectTypeSeL4Arch = ObjectTypeX64;
/// What a retype makes that this mode of the architecture has.
pub type ObjectBlueprintSeL4Arch = ObjectBlueprintX64;

impl ObjectTypeX64 {
    /// The kernel's number for the type.
    pub const fn into_sys(self) -> Word {
        match self {
            Self::PDPT => sys::seL4_X86_PDPTObject,
            Self::PML4 => sys::seL4_X64_PML4Object,
        }
    }
}

impl ObjectBlueprintX64 {
    /// The type.
    pub const fn ty(self) -> ObjectTypeX64 {
        match self {
            Self::PDPT => ObjectTypeX64::PDPT,
            Self::PML4 => ObjectTypeX64::PML4,
        }
    }

    /// The logarithm of the bytes it takes of an untyped.
    pub const fn physical_size_bits(self) -> usize {
        (match self {
            Self::PDPT => sys::seL4_PDPTBits,
            Self::PML4 => sys::seL4_PML4Bits,
        }) as usize
    }
}

/// Markers for the types of capabilities that this architecture adds.
pub mod cap_type {
    use crate::CapType;

    /// A table of page directories.
    #[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct PDPT;
    /// The root of an address space: a table of PDPTs.
    #[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct PML4;

    /// The root of an address space.
    pub type VSpace = PML4;

    impl CapType for PDPT {
        const NAME: &'static str = "PDPT";
    }
    impl CapType for PML4 {
        const NAME: &'static str = "PML4";
    }
}

/// Capability pointers by the type of their capability that this architecture adds.
pub mod cap {
    use crate::{cap_type, Cap, NoExplicitInvocationContext};

    /// A table of page directories.
    pub type PDPT<C = NoExplicitInvocationContext> = Cap<cap_type::PDPT, C>;
    /// The root of an address space: a table of PDPTs.
    pub type PML4<C = NoExplicitInvocationContext> = Cap<cap_type::PML4, C>;
}

impl CapTypeForObject for all::PDPT {
    fn object_type() -> ObjectType {
        Self::object_blueprint().ty()
    }
}
impl CapTypeForObjectOfFixedSize for all::PDPT {
    fn object_blueprint() -> ObjectBlueprint {
        ObjectBlueprintX64::PDPT.into()
    }
}

impl CapTypeForObject for all::PML4 {
    fn object_type() -> ObjectType {
        Self::object_blueprint().ty()
    }
}
impl CapTypeForObjectOfFixedSize for all::PML4 {
    fn object_blueprint() -> ObjectBlueprint {
        ObjectBlueprintX64::PML4.into()
    }
}
