// SPDX-License-Identifier: BSD-2-Clause
//! Numbers of faults, errors and attributes, in modules as upstream has them. (All of them are in
//! [`sys`](crate::sys) itself, too.)

use super::interface::constants;

/// Which fault a message tells of: its label.
pub mod seL4_Fault_tag {
    pub use super::constants::{
        seL4_Fault_CapFault, seL4_Fault_NullFault, seL4_Fault_UnknownSyscall,
        seL4_Fault_UserException, seL4_Fault_VMFault,
    };
}

/// The words of a page fault's message, and how many they are.
pub mod seL4_VMFault_Msg {
    pub use super::constants::{
        seL4_VMFault_Addr, seL4_VMFault_FSR, seL4_VMFault_IP, seL4_VMFault_Length,
        seL4_VMFault_PrefetchFault,
    };
}

/// The words of the message of a fault in a look-up of a capability.
pub mod seL4_CapFault_Msg {
    pub use super::constants::{
        seL4_CapFault_Addr, seL4_CapFault_BitsLeft, seL4_CapFault_DepthMismatch_BitsFound,
        seL4_CapFault_GuardMismatch_BitsFound, seL4_CapFault_GuardMismatch_GuardFound,
        seL4_CapFault_IP, seL4_CapFault_InRecvPhase, seL4_CapFault_LookupFailureType,
    };
}

/// The words of a processor exception's message, and how many they are.
pub mod seL4_UserException_Msg {
    pub use super::constants::{
        seL4_UserException_Code, seL4_UserException_FLAGS, seL4_UserException_FaultIP,
        seL4_UserException_Length, seL4_UserException_Number, seL4_UserException_SP,
    };
}

/// What an invocation came to.
pub mod seL4_Error {
    /// The type of these numbers.
    pub type Type = crate::sys::seL4_Word;

    pub use super::constants::{
        seL4_AlignmentError, seL4_DeleteFirst, seL4_FailedLookup, seL4_IllegalOperation,
        seL4_InvalidArgument, seL4_InvalidCapability, seL4_NoError, seL4_NotEnoughMemory,
        seL4_RangeError, seL4_RevokeFirst, seL4_TruncatedMessage,
    };
}

/// How a mapping is cached.
pub mod seL4_X86_VMAttributes {
    pub use super::constants::{
        seL4_X86_CacheDisabled, seL4_X86_Default_VMAttributes, seL4_X86_Uncacheable,
        seL4_X86_WriteCombining, seL4_X86_WriteThrough,
    };
}
