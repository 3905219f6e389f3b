// SPDX-License-Identifier: BSD-2-Clause
//! What a message at the fault endpoint says.

use sel4::sys::{seL4_Fault_tag as tag, seL4_VMFault_Msg as words};
use sel4::{Fault, IpcBuffer, MessageInfo};

use crate::sel4::arch;
use crate::types::fault::PageFault;

/// A fault of a thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ThreadFault {
    /// It touched memory that is not mapped, or not for that.
    Page(PageFault),
    /// It used a capability pointer that leads nowhere.
    Capability {
        /// The instruction's address.
        ip: usize,
        /// The capability pointer.
        cptr: usize,
        /// Whether it was receiving.
        receiving: bool,
    },
    /// It made a system call of a number that the kernel does not have.
    UnknownSyscall {
        /// The instruction's address.
        ip: usize,
        /// The number.
        number: usize,
    },
    /// It raised a processor exception that is no page fault, or that no mapping could mend.
    Exception {
        /// The instruction's address.
        ip: usize,
        /// The exception's number: on x86 the vector (6: undefined instruction, 13: general
        /// protection), on aarch64 the exception class (0x24: an access that is not aligned, or
        /// that nothing answered).
        number: usize,
        /// Its error code; on aarch64 the syndrome.
        code: usize,
    },
}

impl ThreadFault {
    /// The address of the instruction, as far as the kernel tells it.
    pub fn ip(&self) -> usize {
        match *self {
            ThreadFault::Page(fault) => fault.ip,
            ThreadFault::Capability { ip, .. }
            | ThreadFault::UnknownSyscall { ip, .. }
            | ThreadFault::Exception { ip, .. } => ip,
        }
    }

    /// The address that was touched; of a fault that is none of memory, the instruction's.
    pub fn address(&self) -> usize {
        match *self {
            ThreadFault::Page(fault) => fault.address,
            _ => self.ip(),
        }
    }
}

/// The fault that a received message tells of; `None` when it is no fault message: a thread that
/// has a capability to the endpoint can send anything by it.
#[inline]
pub fn decode(buffer: &IpcBuffer, info: &MessageInfo) -> Option<ThreadFault> {
    match page_fault(buffer, info) {
        Some(Ok(fault)) => Some(ThreadFault::Page(fault)),
        Some(Err(fault)) => Some(fault),
        None => other_fault(buffer, info),
    }
}

/// The VM fault that a message tells of, or what it is in truth; `None` when it tells of none. Its
/// words come in the order of `seL4_VMFault_Msg`: what [`sel4::VmFault`] copies out first.
#[inline(always)]
pub(super) fn page_fault(
    buffer: &IpcBuffer,
    info: &MessageInfo,
) -> Option<Result<PageFault, ThreadFault>> {
    if info.label() != tag::seL4_Fault_VMFault
        || info.length() != words::seL4_VMFault_Length as usize
    {
        return None;
    }
    let word = |index: usize| buffer.msg_regs()[index] as usize;
    let ip = word(words::seL4_VMFault_IP as usize);
    let told = arch::page_fault(
        ip,
        word(words::seL4_VMFault_Addr as usize),
        word(words::seL4_VMFault_PrefetchFault as usize),
        word(words::seL4_VMFault_FSR as usize),
    );
    Some(told.map_err(|(number, code)| ThreadFault::Exception { ip, number, code }))
}

/// The fault that a message tells of which is no VM fault; `None` when it tells of none.
#[inline(never)]
pub(super) fn other_fault(buffer: &IpcBuffer, info: &MessageInfo) -> Option<ThreadFault> {
    if !matches!(
        info.label(),
        tag::seL4_Fault_CapFault | tag::seL4_Fault_UnknownSyscall | tag::seL4_Fault_UserException
    ) {
        return None;
    }
    Some(match Fault::new(buffer, info) {
        Fault::CapFault(fault) => ThreadFault::Capability {
            ip: fault.inner().get_IP() as usize,
            cptr: fault.inner().get_Addr() as usize,
            receiving: fault.inner().get_InRecvPhase() != 0,
        },
        Fault::UnknownSyscall(fault) => ThreadFault::UnknownSyscall {
            ip: fault.inner().get_FaultIP() as usize,
            number: fault.inner().get_Syscall() as usize,
        },
        Fault::UserException(fault) => ThreadFault::Exception {
            ip: fault.inner().get_FaultIP() as usize,
            number: fault.inner().get_Number() as usize,
            code: fault.inner().get_Code() as usize,
        },
        // The label said that it is none of these; kernels for other machines have more.
        _ => return None,
    })
}
