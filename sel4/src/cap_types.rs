// SPDX-License-Identifier: BSD-2-Clause
//! The types of capabilities, as types.

use core::hash::Hash;

/// A type of capability.
pub trait CapType: Copy + Clone + Eq + PartialEq + Ord + PartialOrd + Hash {
    /// Its name, for debugging output.
    const NAME: &'static str;
}

macro_rules! declare_cap_types {
    ($($(#[$attr:meta])* $name:ident,)*) => {
        /// Markers for the types of capabilities.
        pub mod cap_type {
            use super::CapType;

            $(
                $(#[$attr])*
                #[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
                pub struct $name;

                impl CapType for $name {
                    const NAME: &'static str = stringify!($name);
                }
            )*

            pub use crate::arch::objects::cap_type::*;

            /// The smallest frame.
            pub type Granule = _4k;
        }

        /// Capability pointers by the type of their capability.
        pub mod cap {
            use crate::{cap_type, Cap, NoExplicitInvocationContext};

            $(
                $(#[$attr])*
                pub type $name<C = NoExplicitInvocationContext> = Cap<cap_type::$name, C>;
            )*

            #[allow(unused_imports)] // there may be none
            pub use crate::arch::objects::cap::*;

            /// The root of an address space.
            pub type VSpace<C = NoExplicitInvocationContext> = Cap<cap_type::VSpace, C>;
            /// The smallest frame.
            pub type Granule<C = NoExplicitInvocationContext> = Cap<cap_type::Granule, C>;
        }
    };
}

declare_cap_types! {
    /// Memory that objects can be made of.
    Untyped,
    /// A rendezvous for messages.
    Endpoint,
    /// A word of signals.
    Notification,
    /// A thread control block.
    Tcb,
    /// A table of capability slots.
    CNode,
    /// The right to make interrupt handlers.
    IrqControl,
    /// One interrupt line.
    IrqHandler,
    /// The right to make ASID pools.
    AsidControl,
    /// A pool of address-space identifiers.
    AsidPool,
    /// The right to move threads between scheduling domains.
    DomainSet,
    /// A range of x86 I/O ports. Upstream has no type for it.
    IOPort,
    /// The right to have ranges of x86 I/O ports, which is here the range of all.
    IOPortControl,
    /// A device's I/O address space (with an IOMMU).
    IOSpace,
    /// An empty slot.
    Null,
    /// Any type.
    Unspecified,
    /// A frame of any size.
    UnspecifiedPage,
    /// A paging structure of any level but the root.
    UnspecifiedIntermediateTranslationTable,
    /// A frame of 4 KiB.
    _4k,
    /// A large frame: 4 MiB on IA32, 2 MiB on x86_64.
    LargePage,
    /// The lowest level of paging structures, whose entries are pages of 4 KiB.
    PageTable,
    /// The level above page tables: on IA32 the root of a VSpace.
    PageDirectory,
}
