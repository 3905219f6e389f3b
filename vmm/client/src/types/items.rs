// SPDX-License-Identifier: BSD-2-Clause
//! The values that requests, answers and refusals have in common.

use bitflags::bitflags;

bitflags! {
    /// Rights on pages, in the kernel's bits (`seL4_CapRights`), as the manager has them too.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Rights: u32 {
        /// The pages can be written.
        const WRITE = 1;
        /// The pages can be read, and executed: the kernel does not tell the one from the other.
        const READ = 2;
    }

    /// Properties of a region beside its rights.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Options: u32 {
        /// The region is a stack, which grows down when it is mapped on demand.
        const STACK = 1;
    }
}

impl Rights {
    /// Reading and writing.
    pub const READ_WRITE: Rights = Rights::READ.union(Rights::WRITE);
}

/// The resources that a client has a limit for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Resource {
    /// Pages of its own.
    Frames = 1,
    /// Page tables.
    Tables = 2,
    /// Capability slots: those of objects, and those of pages that other clients share with it.
    Slots = 3,
    /// Kernel objects other than pages and page tables.
    Objects = 4,
}

/// An amount of each [`Resource`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Amounts {
    /// Pages.
    pub frames: u32,
    /// Page tables.
    pub tables: u32,
    /// Capability slots.
    pub slots: u32,
    /// Kernel objects.
    pub objects: u32,
}

/// Names a region of the sender's. It is stale as soon as the region is released.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RegionHandle {
    /// The address of its first page, guards included.
    pub start: usize,
    /// A number that no other region has had.
    pub serial: u64,
}
