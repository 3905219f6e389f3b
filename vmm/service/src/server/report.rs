// SPDX-License-Identifier: BSD-2-Clause
//! How clients end, what a server counts, what it tells, and why it refuses.

use core::fmt;

use vmm::sel4::faults::Incident;
use vmm::sel4::pacer::PacerError;
use vmm::Escaped;
use vmm_client::protocol::Line;

use crate::types::error::Error;

/// How a client ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// By itself, with this code.
    Exited(u32),
    /// For a fault.
    Fault,
    /// By its parent, or by whoever has the server.
    Killed,
    /// Before it began: its program was refused.
    NotLoaded,
}

/// What a server has counted since it was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Messages of clients.
    pub requests: u64,
    /// Those of them that were refused.
    pub refused: u64,
    /// Faults after which the thread went on.
    pub resolved: u64,
    /// Faults that ended a client.
    pub unresolved: u64,
}

/// Something that people may want to know of. Its `Display` is one line or several, each ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum Notice<'a> {
    /// A client has a line for people.
    Said {
        /// Its name.
        name: &'a str,
        /// The line, without its end.
        line: &'a Line,
    },
    /// A client has ended.
    Ended {
        /// Its name.
        name: &'a str,
        /// How.
        end: End,
    },
    /// A fault that cannot be resolved: the client whose it is, if there is one, ends for it.
    Fault(&'a Incident<'a>),
}

impl fmt::Display for Notice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Notice::Said { name, line } => writeln!(f, "{}: {line}", Escaped(name)),
            Notice::Ended { name, end: End::Exited(code) } => {
                writeln!(f, "server: {} exits with {code}", Escaped(name))
            }
            Notice::Ended { name, end: End::Fault } => {
                writeln!(f, "server: {} is ended for its fault", Escaped(name))
            }
            Notice::Ended { name, end: End::Killed } => {
                writeln!(f, "server: {} is killed", Escaped(name))
            }
            Notice::Ended { name, end: End::NotLoaded } => {
                writeln!(f, "server: {} is ended, as its program was refused", Escaped(name))
            }
            Notice::Fault(incident) => incident.fmt(f),
        }
    }
}

/// Why a server could not do what it was asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ServerError {
    /// The service, or the manager beneath it, refused.
    Service(Error),
    /// The kernel refused to set up or answer a thread.
    Kernel(sel4::Error),
    /// As many clients run as a server can have at a time.
    TooManyClients {
        /// How many those are.
        most: usize,
    },
    /// The pacer that a server was to tell the time by refused.
    Pacer(PacerError),
}

impl From<Error> for ServerError {
    fn from(error: Error) -> ServerError {
        ServerError::Service(error)
    }
}

impl From<vmm::Error> for ServerError {
    fn from(error: vmm::Error) -> ServerError {
        ServerError::Service(Error::Manager(error))
    }
}

impl From<vmm::sel4::Error> for ServerError {
    fn from(error: vmm::sel4::Error) -> ServerError {
        match error {
            vmm::sel4::Error::Manager(error) => error.into(),
            vmm::sel4::Error::Kernel(error) => error.into(),
        }
    }
}

impl From<PacerError> for ServerError {
    fn from(error: PacerError) -> ServerError {
        ServerError::Pacer(error)
    }
}

impl From<sel4::Error> for ServerError {
    fn from(error: sel4::Error) -> ServerError {
        ServerError::Kernel(error)
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServerError::Service(error) => error.fmt(f),
            ServerError::Kernel(error) => write!(f, "the kernel refused: {error}"),
            ServerError::TooManyClients { most } => write!(f, "{most} clients run already"),
            ServerError::Pacer(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for ServerError {}
