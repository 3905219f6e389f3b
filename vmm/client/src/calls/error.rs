// SPDX-License-Identifier: BSD-2-Clause
//! Why a call fails.

use core::fmt;

use crate::protocol::{Malformed, Refusal};

/// Why a call failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The service refused the request.
    Refused(Refusal),
    /// The service's answer is not one of this protocol, or not one to this request.
    Answer,
}

/// The result of a call.
pub type Result<T = ()> = core::result::Result<T, Error>;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Refused(refusal) => refusal.fmt(f),
            Error::Answer => f.write_str("the service's answer makes no sense"),
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        Error::Refused(refusal)
    }
}

impl From<Malformed> for Error {
    fn from(_: Malformed) -> Error {
        Error::Answer
    }
}
