// SPDX-License-Identifier: BSD-2-Clause
//! A thread's IPC buffer.

use core::fmt;

use crate::sys::seL4_IPCBuffer;
use crate::{cap, AbsoluteCPtr, CPtrWithDepth, Word, NUM_MESSAGE_REGISTERS};

/// A thread's IPC buffer (manual, "IPC Buffer"): 128 words, aligned to their size, in one mapped
/// 4K frame.
///
/// The first words of a message travel in registers; the calls of this crate move them
/// here, so that after a receive [`msg_regs`](Self::msg_regs) is the whole message.
#[repr(transparent)]
pub struct IpcBuffer(seL4_IPCBuffer);

impl IpcBuffer {
    /// The kernel's own structure.
    pub const fn inner(&self) -> &seL4_IPCBuffer {
        &self.0
    }

    /// The kernel's own structure. Its `tag` belongs to the feature `state`.
    pub fn inner_mut(&mut self) -> &mut seL4_IPCBuffer {
        &mut self.0
    }

    /// The message words, 120 of them.
    pub const fn msg_regs(&self) -> &[Word; NUM_MESSAGE_REGISTERS] {
        &self.0.msg
    }

    /// The message words, 120 of them.
    pub fn msg_regs_mut(&mut self) -> &mut [Word; NUM_MESSAGE_REGISTERS] {
        &mut self.0.msg
    }

    /// The message words as bytes, in memory order.
    pub fn msg_bytes(&self) -> &[u8] {
        self.0.msg_bytes()
    }

    /// The message words as bytes, in memory order.
    pub fn msg_bytes_mut(&mut self) -> &mut [u8] {
        self.0.msg_bytes_mut()
    }

    /// A word of the thread's own that the kernel does not touch.
    pub const fn user_data(&self) -> Word {
        self.0.userData
    }

    /// Sets the word of the thread's own.
    pub fn set_user_data(&mut self, data: Word) {
        self.0.userData = data;
    }

    /// To send: the capabilities to pass on. Received: the badges of those that were unwrapped.
    pub const fn caps_or_badges(&self) -> &[Word; 3] {
        &self.0.caps_or_badges
    }

    /// To send: the capabilities to pass on, as many as the message info says.
    pub fn caps_or_badges_mut(&mut self) -> &mut [Word; 3] {
        &mut self.0.caps_or_badges
    }

    /// The slot that a received capability goes to.
    pub fn recv_slot(&self) -> AbsoluteCPtr {
        cap::CNode::from_bits(self.0.receiveCNode).absolute_cptr(
            CPtrWithDepth::from_bits_with_depth(self.0.receiveIndex, self.0.receiveDepth as usize),
        )
    }

    /// Sets the (empty) slot that a received capability goes to. It stays set.
    pub fn set_recv_slot(&mut self, slot: &AbsoluteCPtr) {
        self.0.receiveCNode = slot.root().bits();
        self.0.receiveIndex = slot.path().bits();
        self.0.receiveDepth = slot.path().depth() as Word;
    }
}

impl fmt::Debug for IpcBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IpcBuffer")
            .field("msg_regs", self.msg_regs())
            .field("user_data", &self.user_data())
            .field("caps_or_badges", self.caps_or_badges())
            .field("recv_slot", &self.recv_slot())
            .finish()
    }
}
