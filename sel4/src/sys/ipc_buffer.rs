// SPDX-License-Identifier: BSD-2-Clause
//! Words and capabilities of an IPC buffer, by upstream's names.

use super::{seL4_CPtr, seL4_IPCBuffer, seL4_Word};

impl seL4_IPCBuffer {
    /// Message word `i`.
    ///
    /// # Panics
    /// When there are not that many.
    pub fn get_mr(&self, i: usize) -> seL4_Word {
        self.msg[i]
    }

    /// Sets message word `i`.
    ///
    /// # Panics
    /// When there are not that many.
    pub fn set_mr(&mut self, i: usize, value: seL4_Word) {
        self.msg[i] = value;
    }

    /// Capability `i` to pass on, or the badge of the one that was received.
    ///
    /// # Panics
    /// When there are not that many.
    pub fn get_cap(&self, i: usize) -> seL4_CPtr {
        self.caps_or_badges[i]
    }

    /// Sets capability `i` to pass on.
    ///
    /// # Panics
    /// When there are not that many.
    pub fn set_cap(&mut self, i: usize, cptr: seL4_CPtr) {
        self.caps_or_badges[i] = cptr;
    }

    /// The message words as bytes, in memory order.
    pub fn msg_bytes(&self) -> &[u8] {
        // SAFETY: the same memory, for as long; every byte of a word is a valid byte.
        unsafe { core::slice::from_raw_parts(self.msg.as_ptr().cast(), size_of_val(&self.msg)) }
    }

    /// The message words as bytes, in memory order.
    pub fn msg_bytes_mut(&mut self) -> &mut [u8] {
        let bytes = size_of_val(&self.msg);
        // SAFETY: the same memory, for as long and as exclusively; any bytes make a valid word.
        unsafe { core::slice::from_raw_parts_mut(self.msg.as_mut_ptr().cast(), bytes) }
    }
}
