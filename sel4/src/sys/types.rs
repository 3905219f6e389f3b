// SPDX-License-Identifier: BSD-2-Clause
//! The kernel's structures, as libsel4 declares them. Those that differ between architectures in
//! more than the size of a word are in `arch/*/types.rs`.
//!
//! The generated part of [`sys`](crate::sys) asserts the size of each and the offset of every
//! field.
#![allow(missing_docs)]

use core::cell::UnsafeCell;

use super::{seL4_MsgMaxExtraCaps, seL4_MsgMaxLength};
use crate::arch;
use crate::arch::types::IpcBufferAlignment;

pub use crate::arch::types::seL4_UserContext;

/// A machine word.
pub type seL4_Word = arch::WordBits;
/// The address of a slot in the caller's CSpace.
pub type seL4_CPtr = seL4_Word;

/// A range of slots, `end` excluded.
#[repr(C, packed)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct seL4_SlotRegion {
    pub start: seL4_Word,
    pub end: seL4_Word,
}

/// What the boot information says of one untyped.
#[repr(C, packed)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct seL4_UntypedDesc {
    pub paddr: seL4_Word,
    pub padding1: u8,
    pub padding2: u8,
    pub sizeBits: u8,
    pub isDevice: u8,
}

/// What the kernel tells the initial thread. Packed: the fields behind the byte are unaligned.
#[repr(C, packed)]
#[derive(Clone, Copy)]
pub struct seL4_BootInfo {
    pub extraLen: seL4_Word,
    pub nodeID: seL4_Word,
    pub numNodes: seL4_Word,
    pub numIOPTLevels: seL4_Word,
    pub ipcBuffer: *mut seL4_IPCBuffer,
    pub empty: seL4_SlotRegion,
    pub sharedFrames: seL4_SlotRegion,
    pub userImageFrames: seL4_SlotRegion,
    pub userImagePaging: seL4_SlotRegion,
    pub ioSpaceCaps: seL4_SlotRegion,
    pub extraBIPages: seL4_SlotRegion,
    pub initThreadCNodeSizeBits: u8,
    pub initThreadDomain: seL4_Word,
    pub archInfo: seL4_Word,
    pub untyped: seL4_SlotRegion,
    pub untypedList:
        [seL4_UntypedDesc; sel4_config::sel4_cfg_usize!(MAX_NUM_BOOTINFO_UNTYPED_CAPS)],
}

/// The head of one additional chunk of boot information.
#[repr(C, packed)]
#[derive(Clone, Copy, Debug)]
pub struct seL4_BootInfoHeader {
    pub id: seL4_Word,
    pub len: seL4_Word,
}

/// A thread's IPC buffer: 128 words, aligned to their size, in one mapped 4K frame.
///
/// The kernel reads and writes everything but `tag` and `userData`, which are the thread's own
/// (no file of the 5.0.0 kernel touches them: it counts words from the buffer's start, from 1 on).
/// The feature `state` keeps its word in `tag`.
#[repr(C)]
pub struct seL4_IPCBuffer {
    pub tag: UnsafeCell<seL4_Word>,
    pub msg: [seL4_Word; seL4_MsgMaxLength as usize],
    pub userData: seL4_Word,
    pub caps_or_badges: [seL4_Word; seL4_MsgMaxExtraCaps as usize],
    pub receiveCNode: seL4_CPtr,
    pub receiveIndex: seL4_CPtr,
    pub receiveDepth: seL4_Word,
    /// Takes no space.
    pub alignment: [IpcBufferAlignment; 0],
}
