// SPDX-License-Identifier: BSD-2-Clause
//! Ids of kernel objects that were handed out.

use super::blueprint::Blueprint;
use super::capability::CPtr;

/// An object handed out: a small id that goes stale when the object is freed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Object {
    slot: CPtr,
    serial: u64,
    account: u32,
}

impl Object {
    pub(crate) const fn new(slot: CPtr, serial: u64) -> Object {
        Object { slot, serial, account: 0 }
    }

    pub(crate) const fn charged_to(self, account: u32) -> Object {
        Object { account, ..self }
    }

    /// The number of the account that it is charged to; 0 for none.
    pub const fn account(self) -> u32 {
        self.account
    }

    /// The serial number of the chunk that it was handed out from. Where the slot's chunk has
    /// another one, the id is stale.
    pub const fn serial(self) -> u64 {
        self.serial
    }

    /// The id with this slot and serial number, charged to nobody. Any numbers make an id; only
    /// those of an object that is handed out are accepted.
    pub const fn from_parts(slot: CPtr, serial: u64) -> Object {
        Object::new(slot, serial)
    }

    /// The slot of its capability.
    pub fn slot(self) -> CPtr {
        self.slot
    }
}

/// Objects of one type in consecutive slots, made by one retype and freed together.
///
/// Frames among them are physically contiguous, in the order of their slots.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Objects {
    first: CPtr,
    count: usize,
    serial: u64,
}

impl Objects {
    pub(crate) const fn new(first: CPtr, count: usize, serial: u64) -> Objects {
        Objects { first, count, serial }
    }

    /// The serial number of the chunk that they were handed out from.
    pub(crate) const fn serial(self) -> u64 {
        self.serial
    }

    /// The slot of the first object's capability.
    pub fn first_slot(self) -> CPtr {
        self.first
    }

    /// How many they are.
    #[allow(clippy::len_without_is_empty)] // never empty: zero objects are refused
    pub fn len(self) -> usize {
        self.count
    }

    /// One of them, to be freed by itself; `None` past the end.
    pub fn get(self, index: usize) -> Option<Object> {
        let slot = self.first.offset(index);
        (index < self.count).then_some(Object::new(slot, self.serial))
    }
}

/// What the capability in a slot is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SlotUse {
    /// A live object of a caller's.
    Object(Blueprint),
    /// Whatever a caller put into a slot that was handed to it.
    Lent,
    /// The allocator's own, or that of whoever builds on it.
    Kept,
    /// None: the slot is free or does not exist, or its object was destroyed.
    Gone,
    /// Not known: a slot of the initial CNode that was in use at boot.
    Foreign,
}

/// The state of an object that a retype made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ObjectState {
    /// Handed out.
    Live,
    /// Ready to be handed out.
    Ready {
        /// Whether it is full of zeros.
        clean: bool,
    },
    /// Destroyed; its memory comes back when the last of its batch is.
    Gone,
}
