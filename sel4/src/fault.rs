// SPDX-License-Identifier: BSD-2-Clause
//! Faults, as their handler receives them (manual, "Faults").
//!
//! A thread's fault arrives as a message at the endpoint that is its fault endpoint; the label is
//! the fault's type. An empty answer (`MessageInfoBuilder::default().build()`) restarts the thread
//! where it faulted.

use crate::sys;
use crate::{IpcBuffer, MessageInfo};

pub use crate::sys::faults::{CapFault, NullFault, UnknownSyscall, UserException, VmFault};

/// A fault.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Fault {
    NullFault(NullFault),
    CapFault(CapFault),
    UnknownSyscall(UnknownSyscall),
    UserException(UserException),
    VmFault(VmFault),
}

impl Fault {
    /// The fault in a received message.
    ///
    /// # Panics
    /// When the label is no fault's, or a VM fault has another length than the kernel gives it: the
    /// message is not the kernel's.
    pub fn new(ipc_buffer: &IpcBuffer, info: &MessageInfo) -> Self {
        let ipc_buffer = ipc_buffer.inner();
        match info.label() {
            sys::seL4_Fault_NullFault => Self::NullFault(NullFault::read(ipc_buffer)),
            sys::seL4_Fault_CapFault => Self::CapFault(CapFault::read(ipc_buffer)),
            sys::seL4_Fault_UnknownSyscall => {
                Self::UnknownSyscall(UnknownSyscall::read(ipc_buffer))
            }
            sys::seL4_Fault_UserException => Self::UserException(UserException::read(ipc_buffer)),
            sys::seL4_Fault_VMFault => {
                assert_eq!(info.length(), sys::seL4_VMFault_Length as usize, "VM fault's length");
                Self::VmFault(VmFault::read(ipc_buffer))
            }
            label => panic!("message label {label} is no fault's"),
        }
    }
}
