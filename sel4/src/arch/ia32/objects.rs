// SPDX-License-Identifier: BSD-2-Clause
//! Kernel objects, and types of capabilities, that only IA32 has: none.

use crate::Word;

/// The types of objects that only IA32 has: none.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ObjectTypeIA32 {}

/// What a retype makes that only IA32 has: nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ObjectBlueprintIA32 {}

/// The types of objects of this mode of the architecture.
pub type ObjectTypeSeL4Arch = ObjectTypeIA32;
/// What a retype makes that this mode of the architecture has.
pub type ObjectBlueprintSeL4Arch = ObjectBlueprintIA32;

impl ObjectTypeIA32 {
    /// The kernel's number for the type.
    pub const fn into_sys(self) -> Word {
        match self {}
    }
}

impl ObjectBlueprintIA32 {
    /// The type.
    pub const fn ty(self) -> ObjectTypeIA32 {
        match self {}
    }

    /// The logarithm of the bytes it takes of an untyped.
    pub const fn physical_size_bits(self) -> usize {
        match self {}
    }
}

/// Markers for the types of capabilities that this architecture adds.
pub mod cap_type {
    /// The root of an address space.
    pub type VSpace = crate::cap_type::PageDirectory;
}

/// Capability pointers by the type of their capability that this architecture adds.
pub mod cap {}
