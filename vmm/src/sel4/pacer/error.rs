// SPDX-License-Identifier: BSD-2-Clause
//! Why a pacer does not do what it was asked for.

use core::fmt;

use crate::types::error::Error;

/// Why a pacer does not what it was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum PacerError {
    /// The timer has no such period, in microseconds: the PC's has 100 to 54,925.
    BadPeriod(u32),
    /// The parts belong to another pacer.
    PartsInUse,
    /// The timer's interrupt cannot be had: somebody has it, or there is none.
    NoTimer(sel4::Error),
    /// No timer is known that all machines of this architecture have:
    /// [`Pacer::start_with`](super::Pacer::start_with) takes one of the program's own.
    NoKnownTimer,
    /// Something is being cleared already: one thing at a time.
    Busy,
    /// So many microseconds cannot be counted.
    TooLong(u64),
    /// As many threads sleep as can.
    TooManySleepers {
        /// How many those are.
        most: usize,
    },
    /// The kernel refused a call to the timer, or to its interrupt: no tick comes any more. Nobody
    /// is woken by time, and what is cleared is not paced.
    TimerLost,
    /// One of its threads has faulted, and does nothing any more.
    ThreadFaulted,
    /// The kernel refused.
    Kernel(sel4::Error),
    /// The manager refused.
    Manager(Error),
}

impl fmt::Display for PacerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PacerError::BadPeriod(us) => {
                write!(f, "the timer has no period of {us} microseconds: the PC's has 100 to 54925")
            }
            PacerError::PartsInUse => f.write_str("the parts belong to a pacer already"),
            PacerError::NoTimer(error) => {
                write!(f, "the timer's interrupt is not to be had: {error}")
            }
            PacerError::NoKnownTimer => f.write_str(
                "no timer is common to this architecture: Pacer::start_with takes the program's",
            ),
            PacerError::Busy => f.write_str("something is being cleared already"),
            PacerError::TooLong(us) => {
                write!(f, "{us} microseconds are half of the ticks that the clock counts, or more")
            }
            PacerError::TooManySleepers { most } => {
                write!(f, "{most} threads sleep, and no more can")
            }
            PacerError::TimerLost => f.write_str("the timer does not answer any more"),
            PacerError::ThreadFaulted => f.write_str("a thread of the pacer's has faulted"),
            PacerError::Kernel(error) => write!(f, "the kernel refused: {error}"),
            PacerError::Manager(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for PacerError {}

impl From<Error> for PacerError {
    fn from(error: Error) -> PacerError {
        PacerError::Manager(error)
    }
}

impl From<untyped_alloc::Error> for PacerError {
    fn from(error: untyped_alloc::Error) -> PacerError {
        PacerError::Manager(error.into())
    }
}

impl From<crate::sel4::Error> for PacerError {
    fn from(error: crate::sel4::Error) -> PacerError {
        match error {
            crate::sel4::Error::Kernel(error) => PacerError::Kernel(error),
            crate::sel4::Error::Manager(error) => PacerError::Manager(error),
        }
    }
}
