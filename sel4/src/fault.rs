//! Faults, as their handler receives them (manual, "Faults").
//!
//! A thread's fault arrives as a message at the endpoint that is its fault endpoint; the label is
//! the fault's type. An empty answer (`MessageInfoBuilder::default().build()`) restarts the thread
//! where it faulted.

use crate::sys;
use crate::{IpcBuffer, MessageInfo};

pub use crate::arch::fault::UnknownSyscall;

macro_rules! faults {
    ($(
        $(#[$attr:meta])*
        $name:ident[$len:expr] {
            $($(#[$field_attr:meta])* $field:ident, $get:ident = $index:expr;)*
        }
    )*) => {$(
        $(#[$attr])*
        #[derive(Clone, PartialEq, Eq, Debug)]
        pub struct $name([$crate::Word; $len as usize]);

        impl $name {
            pub(crate) fn read(ipc_buffer: &$crate::IpcBuffer) -> Self {
                let mut words = [0; $len as usize];
                let len = words.len();
                words.copy_from_slice(&ipc_buffer.msg_regs()[..len]);
                Self(words)
            }

            /// The fault itself: here for upstream's sake, where it is another type.
            pub const fn inner(&self) -> &Self {
                self
            }

            $(
                $(#[$field_attr])*
                pub const fn $field(&self) -> $crate::Word {
                    self.0[$index as usize]
                }

                #[doc = concat!("As [`", stringify!($field), "`](Self::", stringify!($field), ").")]
                #[allow(non_snake_case)]
                pub const fn $get(&self) -> $crate::Word {
                    self.$field()
                }
            )*
        }
    )*};
}

pub(crate) use faults;

faults! {
    /// No fault.
    NullFault[0] {}

    /// The thread used a capability pointer that could not be resolved.
    CapFault[sys::seL4_CapFault_GuardMismatch_BitsFound + 1] {
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
    UserException[sys::seL4_UserException_Length] {
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
    VmFault[sys::seL4_VMFault_Length] {
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
