// SPDX-License-Identifier: BSD-2-Clause
//! Results as text, for a transcript that is printed on one kernel and compared on another.

use core::fmt;

use untyped_alloc::kernel::{KernelError, KernelResult};

/// A result as text: `.` for success, `=1f000,` for success with a number, a letter for an error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answer(pub KernelResult<usize>);

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = match self.0 {
            Ok(0) => return f.write_str("."),
            Ok(number) => return write!(f, "={number:x},"),
            Err(error) => error,
        };
        f.write_str(match error {
            KernelError::InvalidArgument => "a",
            KernelError::InvalidCapability => "c",
            KernelError::IllegalOperation => "i",
            KernelError::RangeError => "r",
            KernelError::AlignmentError => "l",
            KernelError::FailedLookup => "f",
            KernelError::TruncatedMessage => "t",
            KernelError::DeleteFirst => "d",
            KernelError::RevokeFirst => "v",
            KernelError::NotEnoughMemory => "m",
        })
    }
}
