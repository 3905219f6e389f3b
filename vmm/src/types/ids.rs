// SPDX-License-Identifier: BSD-2-Clause
//! What callers hold: small copyable ids that go stale with what they name.

use core::fmt;

use page_tables::VirtAddr;

/// The greatest number of a space, and the greatest badge of a thread: badges have 28 bits, and the
/// highest tells those of pagers and of a server's clients from those of threads.
pub(crate) const MAX_NUMBER: u32 = (1 << 27) - 1;

/// A registered thread: the badge of its fault messages, and a serial number that no other thread
/// has had. A badge is another thread's later; an id never is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ThreadId {
    pub(crate) badge: u32,
    pub(crate) serial: u64,
}

impl ThreadId {
    /// The badge of its fault messages: 1 to 2^27 - 1.
    pub fn badge(self) -> usize {
        self.badge as usize
    }

    /// Its serial number.
    pub fn serial(self) -> u64 {
        self.serial
    }

    /// The id with this badge and serial number. Any numbers make an id; only those of a thread
    /// that is registered are accepted.
    pub fn from_parts(badge: usize, serial: u64) -> ThreadId {
        // No thread has the badge 0.
        ThreadId { badge: u32::try_from(badge).unwrap_or(0), serial }
    }
}

/// An address space: a number that tells it from those that are there beside it, and a serial
/// number that no other space has had. A number is another space's later; an id never is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpaceId {
    pub(crate) number: u32,
    pub(crate) serial: u64,
}

/// A region: its space, where it starts, and a serial number that no other region has had.
///
/// It stays valid through partial unmaps and protects, and through splits (for the lower part).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RegionId {
    pub(crate) space: SpaceId,
    pub(crate) start: VirtAddr,
    pub(crate) serial: u64,
}

impl SpaceId {
    /// Its number, 1 to 2^27 - 1: short enough for a badge or a word of a message.
    pub fn number(self) -> u32 {
        self.number
    }

    /// Its serial number.
    pub fn serial(self) -> u64 {
        self.serial
    }

    /// The id with this number and serial number. Any numbers make an id; only those of a space
    /// that exists are accepted.
    pub fn from_parts(number: u32, serial: u64) -> SpaceId {
        SpaceId { number, serial }
    }
}

impl RegionId {
    /// The address space it lies in.
    pub fn space(self) -> SpaceId {
        self.space
    }

    /// Where it starts, guard pages included. Where the first page is that can be used says
    /// [`crate::Vmm::pages_of`].
    pub fn start(self) -> VirtAddr {
        self.start
    }

    /// Its serial number, to be passed through a message together with [`RegionId::start`].
    pub fn serial(self) -> u64 {
        self.serial
    }

    /// The id of the region of `space` with this start and serial number. Any numbers make an id;
    /// only those of a region that exists are accepted.
    pub fn from_parts(space: SpaceId, start: VirtAddr, serial: u64) -> RegionId {
        RegionId { space, start, serial }
    }
}

impl fmt::Debug for SpaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "space {}", self.number)
    }
}

impl fmt::Debug for RegionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "region {:#x}#{} of {:?}", self.start.bits(), self.serial, self.space)
    }
}
