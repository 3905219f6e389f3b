// SPDX-License-Identifier: BSD-2-Clause
//! Waiting for a message of which a signal of a bound notification can be told. The kernel sets the
//! badge alone for a signal, and rust-sel4's `recv` has the message's description then from a
//! register that it has not set: anything. So the system call is made here, with none in it.

use sel4::{cap, MessageInfo, MessageInfoBuilder, Word};

use super::super::arch;

/// Words of a message that travel in registers.
const IN_REGISTERS: usize = 4;
/// A message's description: its length in words in the lowest bits, its label from a bit on
/// (`seL4_MessageInfo`).
const LENGTH: Word = 0x7f;
const LABEL_AT: u32 = 12;

/// Waits for a message without capabilities: its words are in the calling thread's IPC buffer then.
/// Where a signal has come in its place, the label is 0.
pub fn receive(endpoint: cap::Endpoint) -> MessageInfo {
    sel4::with_ipc_buffer_mut(|buffer| {
        let mut words = [0; IN_REGISTERS];
        // SAFETY: the kernel writes to the IPC buffer only, which is borrowed here.
        let info = unsafe { arch::recv(endpoint.bits(), &mut words) };
        buffer.msg_regs_mut()[..IN_REGISTERS].copy_from_slice(&words);
        let length = (info & LENGTH) as usize;
        MessageInfoBuilder::default().label(info >> LABEL_AT).length(length).build()
    })
}
