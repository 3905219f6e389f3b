// SPDX-License-Identifier: BSD-2-Clause
//! The words of an unknown system call on IA32.

use crate::sys;
use crate::sys::faults::faults;

faults! {
    /// The thread made a system call of a number that the kernel does not have.
    UnknownSyscall, seL4_Fault_UnknownSyscall[sys::seL4_UnknownSyscall_Length] {
        /// Its eax: the number.
        eax, get_EAX = sys::seL4_UnknownSyscall_EAX;
        /// Its ebx.
        ebx, get_EBX = sys::seL4_UnknownSyscall_EBX;
        /// Its ecx.
        ecx, get_ECX = sys::seL4_UnknownSyscall_ECX;
        /// Its edx.
        edx, get_EDX = sys::seL4_UnknownSyscall_EDX;
        /// Its esi.
        esi, get_ESI = sys::seL4_UnknownSyscall_ESI;
        /// Its edi.
        edi, get_EDI = sys::seL4_UnknownSyscall_EDI;
        /// Its ebp.
        ebp, get_EBP = sys::seL4_UnknownSyscall_EBP;
        /// Where it was.
        fault_ip, get_FaultIP = sys::seL4_UnknownSyscall_FaultIP;
        /// Its stack pointer.
        sp, get_ESP = sys::seL4_UnknownSyscall_SP;
        /// Its flags.
        flags, get_EFLAGS = sys::seL4_UnknownSyscall_FLAGS;
        /// The number of the system call.
        syscall, get_Syscall = sys::seL4_UnknownSyscall_Syscall;
    }
}
