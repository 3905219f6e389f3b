//! What a message at the fault endpoint says.

use sel4::sys;
use sel4::{Fault, IpcBuffer, MessageInfo};

use crate::fault::PageFault;

/// A fault of a thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
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

/// The fault that a received message tells of; `None` when it is no fault message: a thread that has
/// a capability to the endpoint can send anything by it.
#[inline]
pub fn decode(buffer: &IpcBuffer, info: &MessageInfo) -> Option<ThreadFault> {
    let label = info.label();
    if label == sys::seL4_Fault_VMFault {
        if info.length() != sys::seL4_VMFault_Length as usize {
            return None;
        }
    } else if !matches!(
        label,
        sys::seL4_Fault_CapFault | sys::seL4_Fault_UnknownSyscall | sys::seL4_Fault_UserException
    ) {
        return None;
    }
    Some(match Fault::new(buffer, info) {
        Fault::NullFault(_) => return None,
        Fault::VmFault(fault) => ThreadFault::Page(PageFault::from_x86_words(
            fault.ip() as usize,
            fault.addr() as usize,
            fault.prefetch_fault() as usize,
            fault.fsr() as usize,
        )),
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
