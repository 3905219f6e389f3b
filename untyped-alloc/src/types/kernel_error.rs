// SPDX-License-Identifier: BSD-2-Clause
//! The errors with which the kernel refuses an invocation.

use core::fmt;

use super::invocation::Invocation;

/// The kernel's answer to an invocation it refuses (`seL4_Error`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum KernelError {
    /// An argument that is no capability is wrong.
    InvalidArgument,
    /// A capability is of the wrong type or in the wrong state.
    InvalidCapability,
    /// The invocation is not allowed on this capability.
    IllegalOperation,
    /// A number is out of its range.
    RangeError,
    /// An address is not aligned.
    AlignmentError,
    /// A capability, or a paging structure above the address, is missing.
    FailedLookup,
    /// The message is too short.
    TruncatedMessage,
    /// The destination slot, or the page table's place, is occupied.
    DeleteFirst,
    /// The capability has children.
    RevokeFirst,
    /// The untyped has not enough room.
    NotEnoughMemory,
}

impl fmt::Display for KernelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            KernelError::InvalidArgument => "invalid argument",
            KernelError::InvalidCapability => "invalid capability",
            KernelError::IllegalOperation => "illegal operation",
            KernelError::RangeError => "range error",
            KernelError::AlignmentError => "alignment error",
            KernelError::FailedLookup => "failed lookup",
            KernelError::TruncatedMessage => "truncated message",
            KernelError::DeleteFirst => "delete first",
            KernelError::RevokeFirst => "revoke first",
            KernelError::NotEnoughMemory => "not enough memory",
        })
    }
}

impl core::error::Error for KernelError {}

/// What an invocation returns.
pub type KernelResult<T = ()> = Result<T, KernelError>;

/// An invocation that the kernel refused, and what it answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refused {
    /// The invocation.
    pub invocation: Invocation,
    /// The kernel's answer.
    pub error: KernelError,
}
