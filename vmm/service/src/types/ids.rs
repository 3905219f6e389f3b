//! Who a client is.
//!
//! A client's number is its space's, which is never used again; its badge is that with the bit
//! [`CLIENT_BADGE`] set, which tells requests from faults on one endpoint.

use vmm::SpaceId;

/// The bit that is set in the badge of every client's capability to the service, and in no badge of
/// a fault: those count up from 1.
pub const CLIENT_BADGE: usize = 1 << 27;

/// A client. Never used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ClientId(pub(crate) u32);

impl ClientId {
    /// Its number: what other clients know it by.
    pub fn number(self) -> u32 {
        self.0
    }

    /// The badge of its capability to the service.
    pub fn badge(self) -> usize {
        CLIENT_BADGE | self.0 as usize
    }

    /// Its space.
    pub fn space(self) -> SpaceId {
        SpaceId::from_number(self.0)
    }
}
