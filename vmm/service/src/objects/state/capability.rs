// SPDX-License-Identifier: BSD-2-Clause
//! The record of a capability to an object: a badge of the service's endpoint.

use core::cell::Cell;

use intrusive_collections::{KeyAdapter, RBTreeLink};
use vmm::CPtr;
use vmm_client::objects::Rights;

use super::object::Object;

/// A capability's node.
#[derive(Default)]
pub(crate) struct Capability<'p> {
    pub next_free: Cell<Option<&'p Capability<'p>>>,
    by_badge: RBTreeLink,
    by_object: RBTreeLink,
    by_parent: RBTreeLink,
    by_payer: RBTreeLink,
    by_unwanted: RBTreeLink,
    /// No other capability has it.
    pub badge: Cell<u32>,
    /// The object that it leads to.
    pub object: Cell<Option<&'p Object<'p>>>,
    pub rights: Cell<Rights>,
    /// The capability that it was derived from.
    pub parent: Cell<Option<&'p Capability<'p>>>,
    /// The account that pays for it.
    pub payer: Cell<Option<&'p Object<'p>>>,
    /// Where the service has the kernel's capability, of which all others with this badge are
    /// copies; the null slot before there is one.
    pub slot: Cell<CPtr>,
    /// How many requests wait that came with it.
    pub waiters: Cell<u32>,
    /// Whether it is to be gone, but the kernel refused that: it names nothing any more.
    pub unwanted: Cell<bool>,
    /// The slot that was named for another in its place, if that is so because it was revoked: who
    /// asks for the same again goes on with it.
    pub revoked: Cell<Option<u32>>,
}

#[allow(unsafe_code)] // what the adapter macro expands to
mod adapters {
    use super::*;
    use intrusive_collections::intrusive_adapter;

    intrusive_adapter!(
        pub(crate) ByBadge<'p> = &'p Capability<'p>: Capability<'p> { by_badge => RBTreeLink }
    );
    intrusive_adapter!(
        pub(crate) ByObject<'p> = &'p Capability<'p>: Capability<'p> { by_object => RBTreeLink }
    );
    intrusive_adapter!(
        pub(crate) ByParent<'p> = &'p Capability<'p>: Capability<'p> { by_parent => RBTreeLink }
    );
    intrusive_adapter!(
        pub(crate) ByPayer<'p> = &'p Capability<'p>: Capability<'p> { by_payer => RBTreeLink }
    );
    intrusive_adapter!(
        pub(crate) Unwanted<'p> = &'p Capability<'p>: Capability<'p> { by_unwanted => RBTreeLink }
    );
}

pub(crate) use adapters::{ByBadge, ByObject, ByParent, ByPayer, Unwanted};

impl<'a> KeyAdapter<'a> for ByBadge<'_> {
    type Key = u32;

    fn get_key(&self, capability: &'a Capability<'_>) -> u32 {
        capability.badge.get()
    }
}

impl<'a> KeyAdapter<'a> for Unwanted<'_> {
    type Key = u32;

    fn get_key(&self, capability: &'a Capability<'_>) -> u32 {
        capability.badge.get()
    }
}

impl<'a> KeyAdapter<'a> for ByObject<'_> {
    /// The object's number, and the badge.
    type Key = (u32, u32);

    fn get_key(&self, capability: &'a Capability<'_>) -> (u32, u32) {
        (capability.object.get().map_or(0, |object| object.number.get()), capability.badge.get())
    }
}

impl<'a> KeyAdapter<'a> for ByParent<'_> {
    /// The parent's badge, 0 without one, and the badge.
    type Key = (u32, u32);

    fn get_key(&self, capability: &'a Capability<'_>) -> (u32, u32) {
        (capability.parent.get().map_or(0, |parent| parent.badge.get()), capability.badge.get())
    }
}

impl<'a> KeyAdapter<'a> for ByPayer<'_> {
    /// The account's number, and the badge.
    type Key = (u32, u32);

    fn get_key(&self, capability: &'a Capability<'_>) -> (u32, u32) {
        (capability.payer.get().map_or(0, |payer| payer.number.get()), capability.badge.get())
    }
}
