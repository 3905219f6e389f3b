// SPDX-License-Identifier: BSD-2-Clause
//! The kernel's errors.

use core::fmt;

use crate::{sys, Word};

/// The kernel's answer to an invocation that it refuses (`seL4_Error`; manual, "Errors").
///
/// What the kernel says beyond the number (which argument, which level of a look-up) is left in the
/// first message words of the IPC buffer, see [`IpcBuffer::msg_regs`](crate::IpcBuffer::msg_regs).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u32)]
pub enum Error {
    /// An argument that is no capability is wrong; word 0 says which.
    InvalidArgument = sys::seL4_InvalidArgument as u32,
    /// A capability is of the wrong type or state; word 0 says which, 0 being the invoked one.
    InvalidCapability = sys::seL4_InvalidCapability as u32,
    /// The invocation is not allowed on this capability or in this state.
    IllegalOperation = sys::seL4_IllegalOperation as u32,
    /// A number is out of range; words 0 and 1 are the least and the greatest allowed.
    RangeError = sys::seL4_RangeError as u32,
    /// An address is not aligned.
    AlignmentError = sys::seL4_AlignmentError as u32,
    /// A capability or paging structure was not found. Word 0 is 1 when it was the source, word 1
    /// the kind of failure, word 2 the bits that were left.
    FailedLookup = sys::seL4_FailedLookup as u32,
    /// The message has too few words or capabilities.
    TruncatedMessage = sys::seL4_TruncatedMessage as u32,
    /// The destination is occupied.
    DeleteFirst = sys::seL4_DeleteFirst as u32,
    /// The capability has children.
    RevokeFirst = sys::seL4_RevokeFirst as u32,
    /// The untyped has not enough room; word 0 is how many bytes are left.
    NotEnoughMemory = sys::seL4_NotEnoughMemory as u32,
}

const _: () =
    assert!(sys::seL4_NumErrors == 11, "the kernel has an error this crate does not know");

/// The result of an invocation.
pub type Result<T> = core::result::Result<T, Error>;

impl Error {
    /// The kernel's number for this error.
    pub const fn into_sys(self) -> Word {
        self as Word
    }

    /// The error of this number; `None` for 0 (no error) and for a number the kernel does not have.
    pub const fn from_sys(number: Word) -> Option<Self> {
        Some(match number {
            sys::seL4_InvalidArgument => Error::InvalidArgument,
            sys::seL4_InvalidCapability => Error::InvalidCapability,
            sys::seL4_IllegalOperation => Error::IllegalOperation,
            sys::seL4_RangeError => Error::RangeError,
            sys::seL4_AlignmentError => Error::AlignmentError,
            sys::seL4_FailedLookup => Error::FailedLookup,
            sys::seL4_TruncatedMessage => Error::TruncatedMessage,
            sys::seL4_DeleteFirst => Error::DeleteFirst,
            sys::seL4_RevokeFirst => Error::RevokeFirst,
            sys::seL4_NotEnoughMemory => Error::NotEnoughMemory,
            _ => return None,
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Error::InvalidArgument => "invalid argument",
            Error::InvalidCapability => "invalid capability",
            Error::IllegalOperation => "illegal operation",
            Error::RangeError => "range error",
            Error::AlignmentError => "alignment error",
            Error::FailedLookup => "failed lookup",
            Error::TruncatedMessage => "truncated message",
            Error::DeleteFirst => "delete first",
            Error::RevokeFirst => "revoke first",
            Error::NotEnoughMemory => "not enough memory",
        })
    }
}
