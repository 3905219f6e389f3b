//! What callers hold: small copyable ids that go stale with what they name.

use core::fmt;

use page_tables::VirtAddr;

/// A registered thread: the badge of its fault messages. Never reused while the manager lives, up
/// to 2^27 registrations.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ThreadId(pub(crate) u32);

impl ThreadId {
    /// The badge of its fault messages.
    pub fn badge(self) -> usize {
        self.0 as usize
    }

    /// The thread whose badge this would be. Any number makes an id; only registered ones are
    /// accepted.
    pub fn from_badge(badge: usize) -> ThreadId {
        ThreadId(badge as u32)
    }
}

/// An address space. Never reused, so a stale one is refused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpaceId(pub(crate) u32);

/// A region: its space, where it starts, and a serial number that no other region has had.
///
/// It stays valid through partial unmaps and protects, and through splits (for the lower part).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RegionId {
    pub(crate) space: SpaceId,
    pub(crate) start: VirtAddr,
    pub(crate) serial: u32,
}

impl SpaceId {
    /// The id as a number, to be passed through a message.
    pub fn number(self) -> u32 {
        self.0
    }

    /// The id that [`SpaceId::number`] gave. Any number makes an id; only those handed out are
    /// accepted.
    pub fn from_number(number: u32) -> SpaceId {
        SpaceId(number)
    }
}

impl RegionId {
    /// The address space it lies in.
    pub fn space(self) -> SpaceId {
        self.space
    }

    /// Where it starts, guard pages included.
    pub fn start(self) -> VirtAddr {
        self.start
    }

    /// Its serial number, to be passed through a message together with [`RegionId::start`].
    pub fn serial(self) -> u32 {
        self.serial
    }

    /// The id of the region of `space` with this start and serial number. Any numbers make an id;
    /// only those of a region that exists are accepted.
    pub fn from_parts(space: SpaceId, start: VirtAddr, serial: u32) -> RegionId {
        RegionId { space, start, serial }
    }
}

impl fmt::Debug for SpaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "space {}", self.0)
    }
}

impl fmt::Debug for RegionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "region {:#x}#{} of {:?}", self.start.bits(), self.serial, self.space)
    }
}
