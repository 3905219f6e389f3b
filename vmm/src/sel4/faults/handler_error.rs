// SPDX-License-Identifier: BSD-2-Clause
//! Why no fault handler was started.

use core::fmt;

use crate::types::error::Error;

/// Why no thread was started.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HandlerError {
    /// The manager refused.
    Manager(Error),
    /// The kernel refused to set up the thread.
    Kernel(sel4::Error),
}

impl From<Error> for HandlerError {
    fn from(error: Error) -> Self {
        HandlerError::Manager(error)
    }
}

impl From<sel4::Error> for HandlerError {
    fn from(error: sel4::Error) -> Self {
        HandlerError::Kernel(error)
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HandlerError::Manager(error) => error.fmt(f),
            HandlerError::Kernel(error) => write!(f, "the kernel refused: {error}"),
        }
    }
}

impl core::error::Error for HandlerError {}
