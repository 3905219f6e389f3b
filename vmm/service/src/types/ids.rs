// SPDX-License-Identifier: BSD-2-Clause
//! Who a client is.
//!
//! A client's number is its space's; its badge is that with the bit [`CLIENT_BADGE`] set, which
//! tells requests from faults on one endpoint. When it has ended, both may be another client's. By
//! then no capability with the badge is left, wherever copies of it went, and no message that was
//! sent by one; the service's own records have the whole id. Only a number that another client
//! wrote down says nothing of whom it meant: after 2^27 clients it can be one that came since.

use vmm::SpaceId;

/// The bit that is set in the badge of every client's capability to the service, and in no badge of
/// a fault.
pub const CLIENT_BADGE: usize = 1 << 27;

/// A client. An id is never another client's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ClientId(pub(crate) SpaceId);

impl ClientId {
    /// Its number: what other clients know it by while it lives.
    pub fn number(self) -> u32 {
        self.0.number()
    }

    /// The badge of its capability to the service.
    pub fn badge(self) -> usize {
        CLIENT_BADGE | self.number() as usize
    }

    /// The id with this number and serial number. Any numbers make an id; only those of a client
    /// that is there are accepted.
    pub fn from_parts(number: u32, serial: u64) -> ClientId {
        ClientId(SpaceId::from_parts(number, serial))
    }

    /// Its space.
    pub fn space(self) -> SpaceId {
        self.0
    }
}
