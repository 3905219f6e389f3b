// SPDX-License-Identifier: BSD-2-Clause
//! Kernel objects and their sizes, as a retype needs them.
//!
//! As upstream, objects are named in three levels (any, architecture, mode); the second is
//! [`ObjectBlueprintX86`], and the third, [`ObjectBlueprintSeL4Arch`], is in `arch/*/objects.rs`.

use crate::sys;
use crate::{cap_type, CapType, Word};

pub use crate::arch::objects::{ObjectBlueprintSeL4Arch, ObjectTypeSeL4Arch};

/// The type of an object, as a retype names it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ObjectType {
    /// Untyped memory.
    Untyped,
    /// An endpoint.
    Endpoint,
    /// A notification.
    Notification,
    /// A table of capability slots.
    CNode,
    /// A thread control block.
    Tcb,
    /// An object of this architecture.
    Arch(ObjectTypeArch),
}

/// The types of objects that x86 has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ObjectTypeX86 {
    /// A frame of 4 KiB.
    _4k,
    /// A large frame: 4 MiB on IA32, 2 MiB on x86_64.
    LargePage,
    /// The lowest level of paging structures.
    PageTable,
    /// The level above page tables.
    PageDirectory,
    /// An object of this mode of x86; IA32 has none.
    SeL4Arch(ObjectTypeSeL4Arch),
}

/// The types of objects of this architecture.
pub type ObjectTypeArch = ObjectTypeX86;

impl ObjectType {
    /// The kernel's number for the type.
    pub const fn into_sys(self) -> Word {
        match self {
            Self::Untyped => sys::seL4_UntypedObject,
            Self::Endpoint => sys::seL4_EndpointObject,
            Self::Notification => sys::seL4_NotificationObject,
            Self::CNode => sys::seL4_CapTableObject,
            Self::Tcb => sys::seL4_TCBObject,
            Self::Arch(ObjectTypeX86::_4k) => sys::seL4_X86_4K,
            Self::Arch(ObjectTypeX86::LargePage) => sys::seL4_X86_LargePageObject,
            Self::Arch(ObjectTypeX86::PageTable) => sys::seL4_X86_PageTableObject,
            Self::Arch(ObjectTypeX86::PageDirectory) => sys::seL4_X86_PageDirectoryObject,
            Self::Arch(ObjectTypeX86::SeL4Arch(ty)) => ty.into_sys(),
        }
    }
}

impl From<ObjectTypeArch> for ObjectType {
    fn from(ty: ObjectTypeArch) -> Self {
        Self::Arch(ty)
    }
}

impl From<ObjectTypeSeL4Arch> for ObjectTypeArch {
    fn from(ty: ObjectTypeSeL4Arch) -> Self {
        Self::SeL4Arch(ty)
    }
}

impl From<ObjectTypeSeL4Arch> for ObjectType {
    fn from(ty: ObjectTypeSeL4Arch) -> Self {
        ObjectTypeArch::from(ty).into()
    }
}

/// What a retype makes: a type, and a size where the type has several.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ObjectBlueprint {
    /// Untyped memory of 2^`size_bits` bytes, from 2^`seL4_MinUntypedBits` to
    /// 2^`seL4_MaxUntypedBits`: 4 to 29 on IA32, 4 to 47 on x86_64.
    Untyped {
        /// Logarithm of its size in bytes.
        size_bits: usize,
    },
    /// An endpoint.
    Endpoint,
    /// A notification.
    Notification,
    /// A CNode of 2^`size_bits` slots, at least 2.
    CNode {
        /// Logarithm of its number of slots.
        size_bits: usize,
    },
    /// A thread control block.
    Tcb,
    /// An object of this architecture.
    Arch(ObjectBlueprintArch),
}

/// What a retype makes that x86 has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ObjectBlueprintX86 {
    /// A frame of 4 KiB.
    _4k,
    /// A large frame: 4 MiB on IA32, 2 MiB on x86_64.
    LargePage,
    /// The lowest level of paging structures.
    PageTable,
    /// The level above page tables.
    PageDirectory,
    /// An object of this mode of x86; IA32 has none.
    SeL4Arch(ObjectBlueprintSeL4Arch),
}

/// What a retype makes that this architecture has.
pub type ObjectBlueprintArch = ObjectBlueprintX86;

impl ObjectBlueprint {
    /// The type.
    pub const fn ty(self) -> ObjectType {
        match self {
            Self::Untyped { .. } => ObjectType::Untyped,
            Self::Endpoint => ObjectType::Endpoint,
            Self::Notification => ObjectType::Notification,
            Self::CNode { .. } => ObjectType::CNode,
            Self::Tcb => ObjectType::Tcb,
            Self::Arch(arch) => ObjectType::Arch(arch.ty()),
        }
    }

    /// The size as the kernel's interface wants it; `None` where the type has one size only.
    pub const fn api_size_bits(self) -> Option<usize> {
        match self {
            Self::Untyped { size_bits } | Self::CNode { size_bits } => Some(size_bits),
            _ => None,
        }
    }

    /// The logarithm of the bytes it takes of an untyped.
    pub const fn physical_size_bits(self) -> usize {
        match self {
            Self::Untyped { size_bits } => size_bits,
            Self::Endpoint => sys::seL4_EndpointBits as usize,
            Self::Notification => sys::seL4_NotificationBits as usize,
            Self::CNode { size_bits } => sys::seL4_SlotBits as usize + size_bits,
            Self::Tcb => sys::seL4_TCBBits as usize,
            Self::Arch(arch) => arch.physical_size_bits(),
        }
    }

    /// The untyped that an ASID pool is made of.
    pub const fn asid_pool() -> Self {
        Self::Untyped { size_bits: sys::seL4_ASIDPoolBits as usize }
    }
}

impl ObjectBlueprintX86 {
    /// The type.
    #[allow(unreachable_code)] // where the mode adds none
    pub const fn ty(self) -> ObjectTypeX86 {
        match self {
            Self::_4k => ObjectTypeX86::_4k,
            Self::LargePage => ObjectTypeX86::LargePage,
            Self::PageTable => ObjectTypeX86::PageTable,
            Self::PageDirectory => ObjectTypeX86::PageDirectory,
            Self::SeL4Arch(blueprint) => ObjectTypeX86::SeL4Arch(blueprint.ty()),
        }
    }

    /// The logarithm of the bytes it takes of an untyped.
    pub const fn physical_size_bits(self) -> usize {
        (match self {
            Self::_4k => sys::seL4_PageBits,
            Self::LargePage => sys::seL4_LargePageBits,
            Self::PageTable => sys::seL4_PageTableBits,
            Self::PageDirectory => sys::seL4_PageDirBits,
            Self::SeL4Arch(blueprint) => return blueprint.physical_size_bits(),
        }) as usize
    }
}

impl From<ObjectBlueprintArch> for ObjectBlueprint {
    fn from(blueprint: ObjectBlueprintArch) -> Self {
        Self::Arch(blueprint)
    }
}

impl From<ObjectBlueprintSeL4Arch> for ObjectBlueprintArch {
    fn from(blueprint: ObjectBlueprintSeL4Arch) -> Self {
        Self::SeL4Arch(blueprint)
    }
}

impl From<ObjectBlueprintSeL4Arch> for ObjectBlueprint {
    fn from(blueprint: ObjectBlueprintSeL4Arch) -> Self {
        ObjectBlueprintArch::from(blueprint).into()
    }
}

/// A type of capability that belongs to a type of object.
pub trait CapTypeForObject: CapType {
    /// The type of object.
    fn object_type() -> ObjectType;
}

/// A type of capability whose objects have one size.
pub trait CapTypeForObjectOfFixedSize: CapTypeForObject {
    /// What to retype into.
    fn object_blueprint() -> ObjectBlueprint;
}

/// A type of capability whose objects have several sizes.
pub trait CapTypeForObjectOfVariableSize: CapTypeForObject {
    /// What to retype into, with the size as [`ObjectBlueprint`] counts it.
    fn object_blueprint(size_bits: usize) -> ObjectBlueprint;
}

macro_rules! fixed_size {
    ($($name:ident => $blueprint:expr,)*) => {$(
        impl CapTypeForObject for cap_type::$name {
            fn object_type() -> ObjectType {
                $blueprint.ty()
            }
        }
        impl CapTypeForObjectOfFixedSize for cap_type::$name {
            fn object_blueprint() -> ObjectBlueprint {
                $blueprint
            }
        }
    )*};
}

macro_rules! variable_size {
    ($($name:ident,)*) => {$(
        impl CapTypeForObject for cap_type::$name {
            fn object_type() -> ObjectType {
                ObjectType::$name
            }
        }
        impl CapTypeForObjectOfVariableSize for cap_type::$name {
            fn object_blueprint(size_bits: usize) -> ObjectBlueprint {
                ObjectBlueprint::$name { size_bits }
            }
        }
    )*};
}

fixed_size! {
    Endpoint => ObjectBlueprint::Endpoint,
    Notification => ObjectBlueprint::Notification,
    Tcb => ObjectBlueprint::Tcb,
    _4k => ObjectBlueprint::Arch(ObjectBlueprintX86::_4k),
    LargePage => ObjectBlueprint::Arch(ObjectBlueprintX86::LargePage),
    PageTable => ObjectBlueprint::Arch(ObjectBlueprintX86::PageTable),
    PageDirectory => ObjectBlueprint::Arch(ObjectBlueprintX86::PageDirectory),
}

variable_size! {
    Untyped,
    CNode,
}
