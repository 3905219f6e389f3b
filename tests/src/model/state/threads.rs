// SPDX-License-Identifier: BSD-2-Clause
//! What is remembered of a thread.

use super::cap::Cap;

/// What a thread control block holds beside its slots.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::model) struct TcbState {
    pub(in crate::model) fault_endpoint: usize,
    pub(in crate::model) ipc_buffer: usize,
    pub(in crate::model) priority: u8,
}

/// Slots of a thread control block, by number.
pub(in crate::model) mod tcb_slot {
    pub(in crate::model) const CSPACE: usize = 0;
    pub(in crate::model) const VSPACE: usize = 1;
    pub(in crate::model) const IPC_BUFFER: usize = 4;
}

/// A thread as a test sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TcbView {
    /// The fault endpoint's CPtr, in the thread's own CSpace.
    pub fault_endpoint: usize,
    /// The CSpace root, or `Null`.
    pub cspace: Cap,
    /// The VSpace root, or `Null`.
    pub vspace: Cap,
    /// The frame of the IPC buffer, or `Null`.
    pub ipc_frame: Cap,
    /// The virtual address of the IPC buffer.
    pub ipc_buffer: usize,
}
