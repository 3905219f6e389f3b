// SPDX-License-Identifier: BSD-2-Clause
//! Why a call failed.

use core::fmt;

use crate::objects::Refusal;

/// Why a call failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The service refused a request.
    Refused {
        /// The request's name.
        request: &'static str,
        /// The slots of the capabilities that went with it, 0 for none.
        slots: [u32; 3],
        /// Why.
        refusal: Refusal,
    },
    /// The kernel did: the program's own capability is not there.
    Kernel {
        /// The request's name.
        request: &'static str,
        /// The kernel's error number.
        error: u32,
    },
    /// The answer is not one of this protocol, or not one to this request.
    Answer {
        /// The request's name.
        request: &'static str,
    },
    /// All slots of the program's CNode are taken.
    OutOfSlots,
    /// A thread would wait for its own end.
    JoinsItself,
    /// The page that tells a program what it was given has no room for something.
    NoRoom {
        /// For what.
        what: &'static str,
    },
}

/// The result of a call.
pub type Result<T = ()> = core::result::Result<T, Error>;

impl Error {
    /// Why the service refused, if it did.
    pub fn refusal(&self) -> Option<Refusal> {
        match *self {
            Error::Refused { refusal, .. } => Some(refusal),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Refused { request, slots, refusal } => {
                write!(f, "{request} of {slots:?}: {refusal}")
            }
            Error::Kernel { request, error } => {
                write!(f, "{request}: the kernel refused with its error {error}")
            }
            Error::Answer { request } => write!(f, "{request}: the answer makes no sense"),
            Error::NoRoom { what } => write!(f, "no room for {what} in a program's first page"),
            Error::JoinsItself => f.write_str("a thread would wait for its own end"),
            Error::OutOfSlots => f.write_str("all slots of the program's CNode are taken"),
        }
    }
}

impl core::error::Error for Error {}
