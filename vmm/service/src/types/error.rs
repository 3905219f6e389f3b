// SPDX-License-Identifier: BSD-2-Clause
//! Errors of the service: whose fault they are, with the offending value.

use core::fmt;

use vmm::Blame;

use crate::types::ids::ClientId;

/// Which kind of book-keeping node of the service.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum NodeKind {
    /// A client.
    Client,
    /// An offer.
    Offer,
    /// A region that another client pages.
    Paging,
}

/// Numbers that are given out again when what they stand for is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum NumberKind {
    /// Paged regions of one client.
    Token,
    /// Offers of one client.
    Ticket,
}

/// Why the service refused something to its server. Unless a method says otherwise, everything is
/// as it was before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Error {
    /// There is no such client, or it has ended.
    NoSuchClient(ClientId),
    /// The client has no program yet, and so no CSpace.
    NoProgram(ClientId),
    /// The client runs a program already.
    HasProgram(ClientId),
    /// The slot of the program's CNode is reserved, or there is none with this number.
    BadSlot {
        /// Its number.
        slot: u32,
    },
    /// Something is in the slot of the program's CNode.
    SlotOccupied {
        /// Its number.
        slot: u32,
    },
    /// The client has as many threads as it can have.
    TooManyThreads {
        /// How many those are.
        most: u32,
    },
    /// All numbers of a kind are in use.
    OutOfNumbers {
        /// The kind.
        kind: NumberKind,
        /// How many those are.
        most: u32,
    },
    /// Book-keeping memory ran out, and no page could be had for more.
    OutOfNodes(NodeKind),
    /// The program's file cannot be loaded.
    Image(ImageError),
    /// The service of objects refused.
    Refused(vmm_client::objects::Refusal),
    /// The manager refused.
    Manager(vmm::Error),
}

/// What the service returns.
pub type Result<T = (), E = Error> = core::result::Result<T, E>;

/// What is wrong with a program's file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ImageError {
    /// It does not begin as an ELF file does.
    NotElf {
        /// Its first bytes.
        magic: [u8; 4],
    },
    /// It is cut off: something would lie at these bytes of it.
    CutOff {
        /// The first of them.
        start: usize,
        /// The one behind the last.
        end: usize,
    },
    /// A field of its headers is not as ELF wants it.
    Malformed(&'static str),
    /// It is none for this machine, not an executable, or wants what is not here: an interpreter.
    Unsupported(&'static str),
    /// A segment does not lie in user space, or has more bytes than memory.
    BadSegment {
        /// Its address.
        address: u64,
        /// Its bytes in memory.
        bytes: u64,
    },
    /// A segment may be neither read, written nor run.
    NoRights {
        /// Its address.
        address: u64,
    },
    /// A page could be written and run, by a segment that may be or by two that meet in it, and the
    /// program is not to have such.
    WritableCode {
        /// Its address.
        address: u64,
    },
    /// A segment begins before the one below it ends.
    Overlap {
        /// Its address.
        address: u64,
    },
    /// The entry is in no segment that may be run.
    BadEntry {
        /// Its address.
        address: u64,
    },
    /// Its thread-local storage is larger than a thread can have.
    TooMuchTls {
        /// Its bytes.
        bytes: usize,
    },
}

impl Error {
    /// Whose fault it is.
    pub fn blame(&self) -> Blame {
        match self {
            Error::Manager(error) => error.blame(),
            Error::OutOfNodes(_) | Error::OutOfNumbers { .. } | Error::TooManyThreads { .. } => {
                Blame::Resource
            }
            _ => Blame::Caller,
        }
    }
}

impl From<vmm::Error> for Error {
    fn from(error: vmm::Error) -> Error {
        Error::Manager(error)
    }
}

impl From<vmm_client::objects::Refusal> for Error {
    fn from(refusal: vmm_client::objects::Refusal) -> Error {
        Error::Refused(refusal)
    }
}

impl From<ImageError> for Error {
    fn from(error: ImageError) -> Error {
        Error::Image(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NoSuchClient(client) => {
                write!(f, "no client has the number {}", client.number())
            }
            Error::NoProgram(client) => write!(f, "client {} has no program yet", client.number()),
            Error::HasProgram(client) => {
                write!(f, "client {} runs a program already", client.number())
            }
            Error::BadSlot { slot } => write!(f, "slot {slot} is not the program's"),
            Error::SlotOccupied { slot } => write!(f, "slot {slot} of the program is occupied"),
            Error::TooManyThreads { most } => write!(f, "a client has at most {most} threads"),
            Error::OutOfNumbers { kind, most } => {
                write!(f, "all {most} numbers for {kind:?} are in use")
            }
            Error::OutOfNodes(kind) => write!(f, "out of book-keeping memory for {kind:?} nodes"),
            Error::Image(error) => error.fmt(f),
            Error::Refused(refusal) => refusal.fmt(f),
            Error::Manager(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ImageError::NotElf { magic } => write!(f, "no ELF file: it begins with {magic:x?}"),
            ImageError::CutOff { start, end } => {
                write!(f, "the file is cut off before its bytes {start} to {end}")
            }
            ImageError::Malformed(what) => write!(f, "not as ELF wants it: {what}"),
            ImageError::Unsupported(what) => write!(f, "this file cannot run here: {what}"),
            ImageError::BadSegment { address, bytes } => {
                write!(f, "no segment of {bytes} bytes can be at {address:#x}")
            }
            ImageError::NoRights { address } => {
                write!(f, "the segment at {address:#x} may be neither read, written nor run")
            }
            ImageError::WritableCode { address } => write!(
                f,
                "the page at {address:#x} could be written and run: link code and data into pages of \
                 their own, or allow it (`Program::writable_code`)"
            ),
            ImageError::Overlap { address } => {
                write!(f, "the segment at {address:#x} begins before the one below it ends")
            }
            ImageError::BadEntry { address } => {
                write!(f, "the entry {address:#x} is in no segment that may be run")
            }
            ImageError::TooMuchTls { bytes } => {
                write!(f, "{bytes} bytes of thread-local storage are too much")
            }
        }
    }
}

impl core::error::Error for Error {}
impl core::error::Error for ImageError {}
