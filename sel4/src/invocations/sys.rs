// SPDX-License-Identifier: BSD-2-Clause
//! Invocations in the kernel's own terms, as methods of its IPC buffer: those that typed
//! capabilities of rust-sel4 do not have, by the names that its `sys` has for them.
#![allow(non_snake_case)]

use crate::sys::{seL4_CPtr, seL4_Error, seL4_IPCBuffer, seL4_NoError, seL4_Word};
use crate::{cap_type, CPtrWithDepth, Cap, CapType, Error, IpcBuffer, Result};

/// The kernel's number for what an invocation came to.
pub(crate) fn number(made: Result<()>) -> seL4_Error::Type {
    made.map_or_else(|error| error.into_sys(), |()| seL4_NoError)
}

impl seL4_IPCBuffer {
    /// A capability whose invocations go through this buffer.
    pub(crate) fn capability<T: CapType>(&mut self, service: seL4_CPtr) -> Cap<T, &mut IpcBuffer> {
        // SAFETY: an `IpcBuffer` is this structure and nothing else; borrowed for as long.
        let buffer = unsafe { &mut *core::ptr::from_mut(self).cast::<IpcBuffer>() };
        Cap::from_bits(service).with(buffer)
    }

    /// As [`tcb_set_ipc_buffer`](crate::cap::Tcb::tcb_set_ipc_buffer).
    pub fn seL4_TCB_SetIPCBuffer(
        &mut self,
        service: seL4_CPtr,
        buffer: seL4_Word,
        bufferFrame: seL4_CPtr,
    ) -> seL4_Error::Type {
        let tcb = self.capability::<cap_type::Tcb>(service);
        number(tcb.tcb_set_ipc_buffer(buffer, Cap::from_bits(bufferFrame)))
    }

    /// As [`cancel_badged_sends`](crate::AbsoluteCPtr::cancel_badged_sends).
    pub fn seL4_CNode_CancelBadgedSends(
        &mut self,
        service: seL4_CPtr,
        index: seL4_Word,
        depth: u8,
    ) -> seL4_Error::Type {
        let path = CPtrWithDepth::from_bits_with_depth(index, depth.into());
        let node = self.capability::<cap_type::CNode>(service);
        number(node.absolute_cptr(path).cancel_badged_sends())
    }

    /// As [`ioport_out8`](crate::cap::IOPort::ioport_out8); `InvalidArgument` for what is no port
    /// or no byte.
    pub fn seL4_X86_IOPort_Out8(
        &mut self,
        service: seL4_CPtr,
        port: seL4_Word,
        data: seL4_Word,
    ) -> seL4_Error::Type {
        let (Ok(port), Ok(data)) = (port.try_into(), data.try_into()) else {
            return Error::InvalidArgument.into_sys();
        };
        number(self.capability::<cap_type::IOPort>(service).ioport_out8(port, data))
    }

    /// As [`page_table_unmap`](crate::cap::PageTable::page_table_unmap).
    pub fn seL4_X86_PageTable_Unmap(&mut self, service: seL4_CPtr) -> seL4_Error::Type {
        number(self.capability::<cap_type::PageTable>(service).page_table_unmap())
    }
}
