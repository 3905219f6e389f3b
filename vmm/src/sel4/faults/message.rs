//! What a message at the fault endpoint says.

use sel4::sys;
use sel4::{Fault, IpcBuffer, MessageInfo};

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
    /// It raised a processor exception that is no page fault.
    Exception {
        /// The instruction's address.
        ip: usize,
        /// The exception's number (6: undefined instruction, 13: general protection).
        number: usize,
        /// Its error code.
        code: usize,
    },
}

/// The fault that a received message tells of; `None` when it is no fault message: a thread that
/// has a capability to the endpoint can send anything by it.
#[inline]
pub fn decode(buffer: &IpcBuffer, info: &MessageInfo) -> Option<ThreadFault> {
    if info.label() == sys::seL4_Fault_VMFault {
        return (info.length() == sys::seL4_VMFault_Length as usize).then(|| page_fault(buffer));
    }
    other_fault(buffer, info)
}

/// A VM fault's words, in the order of `seL4_VMFault_Msg`: what [`sel4::VmFault`] copies out first.
#[inline]
fn page_fault(buffer: &IpcBuffer) -> ThreadFault {
    let words = buffer.msg_regs();
    let word = |index: sel4::Word| words[index as usize] as usize;
    ThreadFault::Page(PageFault::from_x86_words(
        word(sys::seL4_VMFault_IP),
        word(sys::seL4_VMFault_Addr),
        word(sys::seL4_VMFault_PrefetchFault),
        word(sys::seL4_VMFault_FSR),
    ))
}

#[inline(never)]
fn other_fault(buffer: &IpcBuffer, info: &MessageInfo) -> Option<ThreadFault> {
    if !matches!(
        info.label(),
        sys::seL4_Fault_CapFault | sys::seL4_Fault_UnknownSyscall | sys::seL4_Fault_UserException
    ) {
        return None;
    }
    Some(match Fault::new(buffer, info) {
        Fault::NullFault(_) | Fault::VmFault(_) => return None,
        Fault::CapFault(fault) => ThreadFault::Capability {
            ip: fault.ip() as usize,
            cptr: fault.addr() as usize,
            receiving: fault.in_recv_phase() != 0,
        },
        Fault::UnknownSyscall(fault) => ThreadFault::UnknownSyscall {
            ip: fault.fault_ip() as usize,
            number: fault.syscall() as usize,
        },
        Fault::UserException(fault) => ThreadFault::Exception {
            ip: fault.fault_ip() as usize,
            number: fault.number() as usize,
            code: fault.code() as usize,
        },
    })
}
