// SPDX-License-Identifier: BSD-2-Clause
//! The words of an unknown system call on x86_64.

use crate::sys;
use crate::sys::faults::faults;

faults! {
    /// The thread made a system call of a number that the kernel does not have.
    UnknownSyscall, seL4_Fault_UnknownSyscall[sys::seL4_UnknownSyscall_Length] {
        /// Its rax.
        rax, get_RAX = sys::seL4_UnknownSyscall_RAX;
        /// Its rbx.
        rbx, get_RBX = sys::seL4_UnknownSyscall_RBX;
        /// Its rcx.
        rcx, get_RCX = sys::seL4_UnknownSyscall_RCX;
        /// Its rdx: the number.
        rdx, get_RDX = sys::seL4_UnknownSyscall_RDX;
        /// Its rsi.
        rsi, get_RSI = sys::seL4_UnknownSyscall_RSI;
        /// Its rdi.
        rdi, get_RDI = sys::seL4_UnknownSyscall_RDI;
        /// Its rbp.
        rbp, get_RBP = sys::seL4_UnknownSyscall_RBP;
        /// Its r8.
        r8, get_R8 = sys::seL4_UnknownSyscall_R8;
        /// Its r9.
        r9, get_R9 = sys::seL4_UnknownSyscall_R9;
        /// Its r10.
        r10, get_R10 = sys::seL4_UnknownSyscall_R10;
        /// Its r11.
        r11, get_R11 = sys::seL4_UnknownSyscall_R11;
        /// Its r12.
        r12, get_R12 = sys::seL4_UnknownSyscall_R12;
        /// Its r13.
        r13, get_R13 = sys::seL4_UnknownSyscall_R13;
        /// Its r14.
        r14, get_R14 = sys::seL4_UnknownSyscall_R14;
        /// Its r15.
        r15, get_R15 = sys::seL4_UnknownSyscall_R15;
        /// Where it was.
        fault_ip, get_FaultIP = sys::seL4_UnknownSyscall_FaultIP;
        /// Its stack pointer.
        sp, get_RSP = sys::seL4_UnknownSyscall_SP;
        /// Its flags.
        flags, get_FLAGS = sys::seL4_UnknownSyscall_FLAGS;
        /// The number of the system call.
        syscall, get_Syscall = sys::seL4_UnknownSyscall_Syscall;
    }
}
