// SPDX-License-Identifier: BSD-2-Clause
//! The words of faults, and faults by upstream's names over them. Those of an unknown system call
//! are registers: `arch/*/fault.rs`.

use crate::sys;

pub use crate::arch::fault::{seL4_Fault_UnknownSyscall, UnknownSyscall};

macro_rules! faults {
    ($(
        $(#[$attr:meta])*
        $name:ident, $sys:ident[$len:expr] {
            $($(#[$field_attr:meta])* $field:ident, $get:ident = $index:expr;)*
        }
    )*) => {$(
        #[doc = concat!("The words of [`", stringify!($name), "`](crate::", stringify!($name), ").")]
        #[derive(Clone, PartialEq, Eq, Debug)]
        #[allow(non_camel_case_types)]
        pub struct $sys {
            words: [$crate::Word; $len as usize],
        }

        impl $sys {
            $(
                $(#[$field_attr])*
                #[allow(non_snake_case)]
                pub const fn $get(&self) -> $crate::Word {
                    self.words[$index as usize]
                }
            )*
        }

        $(#[$attr])*
        #[derive(Clone, PartialEq, Eq, Debug)]
        pub struct $name($sys);

        impl $name {
            pub(crate) fn read(ipc_buffer: &$crate::sys::seL4_IPCBuffer) -> Self {
                let mut words = [0; $len as usize];
                let len = words.len();
                words.copy_from_slice(&ipc_buffer.msg[..len]);
                Self($sys { words })
            }

            /// From its words.
            pub const fn from_inner(inner: $sys) -> Self {
                Self(inner)
            }

            /// Its words.
            pub fn into_inner(self) -> $sys {
                self.0
            }

            /// Its words, by libsel4's names.
            pub const fn inner(&self) -> &$sys {
                &self.0
            }

            $(
                $(#[$field_attr])*
                pub const fn $field(&self) -> $crate::Word {
                    self.0.$get()
                }
            )*
        }
    )*};
}

pub(crate) use faults;

faults! {
    /// No fault.
    NullFault, seL4_Fault_NullFault[0] {}

    /// The thread used a capability pointer that could not be resolved.
    CapFault, seL4_Fault_CapFault[sys::seL4_CapFault_GuardMismatch_BitsFound + 1] {
        /// Where it was.
        ip, get_IP = sys::seL4_CapFault_IP;
        /// The capability pointer.
        addr, get_Addr = sys::seL4_CapFault_Addr;
        /// 1 when it was receiving, 0 when it was sending.
        in_recv_phase, get_InRecvPhase = sys::seL4_CapFault_InRecvPhase;
        /// How resolving failed (`seL4_LookupFailureType`).
        lookup_failure_type, get_LookupFailureType = sys::seL4_CapFault_LookupFailureType;
        /// The bits that were left to resolve.
        bits_left, get_MR4 = sys::seL4_CapFault_BitsLeft;
        /// Depth mismatch: the bits the CNode had. Guard mismatch: its guard.
        found, get_MR5 = sys::seL4_CapFault_GuardMismatch_GuardFound;
        /// Guard mismatch: the bits of the guard.
        guard_bits_found, get_MR6 = sys::seL4_CapFault_GuardMismatch_BitsFound;
    }

    /// The thread raised a processor exception that is no page fault.
    UserException, seL4_Fault_UserException[sys::seL4_UserException_Length] {
        /// Where it was.
        fault_ip, get_FaultIP = sys::seL4_UserException_FaultIP;
        /// Its stack pointer.
        sp, get_Stack = sys::seL4_UserException_SP;
        /// Its flags.
        flags, get_EFLAGS = sys::seL4_UserException_FLAGS;
        /// The exception's number (13: general protection).
        number, get_Number = sys::seL4_UserException_Number;
        /// The exception's error code.
        code, get_Code = sys::seL4_UserException_Code;
    }

    /// The thread touched memory it has no mapping, or no right, for: a page fault.
    VmFault, seL4_Fault_VMFault[sys::seL4_VMFault_Length] {
        /// Where it was.
        ip, get_IP = sys::seL4_VMFault_IP;
        /// The address it touched.
        addr, get_Addr = sys::seL4_VMFault_Addr;
        /// 1 when it was fetching instructions there, 0 otherwise.
        prefetch_fault, get_PrefetchFault = sys::seL4_VMFault_PrefetchFault;
        /// The x86 page-fault error code: bit 0 a page was present, 1 writing, 2 from user mode.
        fsr, get_FSR = sys::seL4_VMFault_FSR;
    }
}
