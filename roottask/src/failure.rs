// SPDX-License-Identifier: BSD-2-Clause
//! What can go wrong in a program.

use core::fmt;

use vmm::sel4::pacer::PacerError;
use vmm_service::server::ServerError;

use crate::arguments::ArgumentsError;
use crate::device_words::DeviceError;

/// Why a program, or a test, did not come to its end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// A check did not hold.
    Check {
        /// What was checked, in source text.
        what: &'static str,
        /// The source file.
        file: &'static str,
        /// The line in it.
        line: u32,
    },
    /// The manager refused a request.
    Manager(vmm::Error),
    /// The kernel refused an invocation.
    Kernel(sel4::Error),
    /// The pacer refused.
    Pacer(PacerError),
    /// The service refused, or its server.
    Server(ServerError),
    /// The manager's state contradicts itself.
    Broken(vmm::Violation),
    /// A device that was asked for is none.
    Device(DeviceError),
    /// The program's arguments cannot be had.
    Arguments(ArgumentsError),
}

/// What a program's parts return.
pub type Outcome<T = ()> = Result<T, Failure>;

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Check { what, file, line } => write!(f, "{file}:{line}: not so: {what}"),
            Failure::Manager(error) => write!(f, "the manager refused: {error}"),
            Failure::Kernel(error) => write!(f, "the kernel refused: {error}"),
            Failure::Pacer(error) => write!(f, "the pacer refused: {error}"),
            Failure::Server(error) => write!(f, "the service refused: {error}"),
            Failure::Device(error) => error.fmt(f),
            Failure::Arguments(error) => error.fmt(f),
            Failure::Broken(violation) => write!(f, "the manager is broken: {violation:?}"),
        }
    }
}

/// In words: this is what the runtime prints of a failed `main`.
impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<vmm::Error> for Failure {
    fn from(error: vmm::Error) -> Failure {
        Failure::Manager(error)
    }
}

impl From<sel4::Error> for Failure {
    fn from(error: sel4::Error) -> Failure {
        Failure::Kernel(error)
    }
}

impl From<vmm::sel4::Error> for Failure {
    fn from(error: vmm::sel4::Error) -> Failure {
        match error {
            vmm::sel4::Error::Manager(error) => Failure::Manager(error),
            vmm::sel4::Error::Kernel(error) => Failure::Kernel(error),
        }
    }
}

impl From<DeviceError> for Failure {
    fn from(error: DeviceError) -> Failure {
        Failure::Device(error)
    }
}

impl From<PacerError> for Failure {
    fn from(error: PacerError) -> Failure {
        Failure::Pacer(error)
    }
}

/// What the manager or the kernel refused beneath the service is theirs.
impl From<vmm_service::Error> for Failure {
    fn from(error: vmm_service::Error) -> Failure {
        match error {
            vmm_service::Error::Manager(error) => Failure::Manager(error),
            error => Failure::Server(ServerError::Service(error)),
        }
    }
}

/// As above.
impl From<ServerError> for Failure {
    fn from(error: ServerError) -> Failure {
        match error {
            ServerError::Service(error) => error.into(),
            ServerError::Kernel(error) => Failure::Kernel(error),
            error => Failure::Server(error),
        }
    }
}

impl From<ArgumentsError> for Failure {
    fn from(error: ArgumentsError) -> Failure {
        Failure::Arguments(error)
    }
}

impl From<vmm::Violation> for Failure {
    fn from(violation: vmm::Violation) -> Failure {
        Failure::Broken(violation)
    }
}

/// Returns a [`Failure`] from the function around it unless the condition holds.
#[macro_export]
macro_rules! check {
    ($condition:expr) => {
        if !$condition {
            return ::core::result::Result::Err($crate::Failure::Check {
                what: ::core::stringify!($condition),
                file: ::core::file!(),
                line: ::core::line!(),
            });
        }
    };
}

/// Prints the two values and returns a [`Failure`] from the function around it unless they are
/// equal.
#[macro_export]
macro_rules! check_eq {
    ($left:expr, $right:expr) => {
        match (&$left, &$right) {
            (left, right) => {
                if !(*left == *right) {
                    ::sel4_root_task::debug_println!("  left:  {left:x?}\n  right: {right:x?}");
                    return ::core::result::Result::Err($crate::Failure::Check {
                        what: ::core::concat!(
                            ::core::stringify!($left),
                            " == ",
                            ::core::stringify!($right)
                        ),
                        file: ::core::file!(),
                        line: ::core::line!(),
                    });
                }
            }
        }
    };
}
