// SPDX-License-Identifier: BSD-2-Clause
//! Faults as the kernel tells them, for who holds the thread.

use vmm::sel4::faults::ThreadFault;
use vmm::Access;
use vmm_client::objects::FaultKind;

use super::types::Fault;

/// What is told of a fault.
pub(super) fn told(fault: ThreadFault) -> Fault {
    let (kind, code) = match fault {
        ThreadFault::Page(fault) => {
            let kind = match fault.access {
                Access::Read => FaultKind::Read,
                Access::Write => FaultKind::Write,
                Access::Execute => FaultKind::Execute,
            };
            (kind, 0)
        }
        ThreadFault::Capability { cptr, .. } => (FaultKind::Capability, cptr),
        ThreadFault::UnknownSyscall { number, .. } => (FaultKind::SystemCall, number),
        ThreadFault::Exception { number, .. } => (FaultKind::Exception, number),
        // Of a kind that this service does not know.
        _ => (FaultKind::Exception, usize::MAX),
    };
    // Its lower half.
    Fault { kind, code: code as u32, address: fault.address(), instruction: fault.ip() }
}
