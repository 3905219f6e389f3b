// SPDX-License-Identifier: BSD-2-Clause
//! System calls that only a debug kernel has.

use crate::sys::syscall::{self, NO_WORDS};
use crate::sys::{
    SysDebugCapIdentify, SysDebugHalt, SysDebugNameThread, SysDebugPutChar, SysDebugSnapshot,
};
use crate::{cap, Cap, CapType, InvocationContext};

/// Prints a byte through the kernel, from any thread.
pub fn debug_put_char(c: u8) {
    // SAFETY: changes no memory of this thread.
    unsafe { syscall::send::<SysDebugPutChar>(c.into(), 0, NO_WORDS) }
}

/// Stops the machine.
pub fn debug_halt() -> ! {
    // SAFETY: does not return.
    unsafe { syscall::send::<SysDebugHalt>(0, 0, NO_WORDS) };
    unreachable!("the kernel returned from its halt")
}

/// Prints all objects and capabilities in capDL.
pub fn debug_snapshot() {
    // SAFETY: changes no memory of this thread.
    unsafe { syscall::send::<SysDebugSnapshot>(0, 0, NO_WORDS) }
}

impl<T: CapType, C> Cap<T, C> {
    /// The kernel's own number for the type of the capability in the slot; 0 for an empty one.
    pub fn debug_identify(self) -> u32 {
        // SAFETY: changes no memory of this thread.
        unsafe { syscall::send_recv::<SysDebugCapIdentify>(self.bits(), 0, NO_WORDS) }.badge as u32
    }
}

impl<C: InvocationContext> cap::Tcb<C> {
    /// Gives the thread a name for the kernel's debugging output.
    ///
    /// # Panics
    /// When the name has 480 bytes or more.
    pub fn debug_name(self, name: &[u8]) {
        self.invoke(|cptr, ipc_buffer| {
            let msg = ipc_buffer.msg_bytes_mut();
            msg[..name.len()].copy_from_slice(name);
            msg[name.len()] = 0;
            syscall::publish(ipc_buffer.inner_mut());
            // SAFETY: the kernel copies the name, which ends, out of the IPC buffer.
            unsafe { syscall::send::<SysDebugNameThread>(cptr.bits(), 0, NO_WORDS) }
        })
    }
}
