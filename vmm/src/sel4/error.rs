// SPDX-License-Identifier: BSD-2-Clause
//! What is returned where both the manager and the kernel are asked.

use core::fmt;

/// Why something was refused, by the manager or by the kernel: `?` makes either error one of these.
///
/// `Debug` says the same as `Display`: it is what the runtime of a root task prints when `main`
/// returns an error.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// The manager refused a request.
    Manager(crate::Error),
    /// The kernel refused an invocation that the program made itself.
    Kernel(sel4::Error),
}

/// What is returned where both are asked.
pub type Result<T = ()> = core::result::Result<T, Error>;

impl From<crate::Error> for Error {
    fn from(error: crate::Error) -> Error {
        Error::Manager(error)
    }
}

impl From<sel4::Error> for Error {
    fn from(error: sel4::Error) -> Error {
        Error::Kernel(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Manager(error) => write!(f, "the manager refused: {error}"),
            Error::Kernel(error) => write!(f, "the kernel refused: {error}"),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl core::error::Error for Error {}
