// SPDX-License-Identifier: BSD-2-Clause
//! Capability slots in use, by their physical addresses, as in the kernel. So a CNode needs no
//! book-keeping beyond the slots in use, and a destroyed one leaves nothing behind.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::cap::Cap;

/// A slot: its physical address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SlotId(pub(in crate::model) usize);

/// What a slot holds: a capability and its place in the derivation order (see `model/mdb.rs`).
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::model) struct Slot {
    pub(in crate::model) cap: Cap,
    pub(in crate::model) prev: Option<SlotId>,
    pub(in crate::model) next: Option<SlotId>,
    pub(in crate::model) revocable: bool,
    pub(in crate::model) first_badged: bool,
}

/// Slots in use and those around them, in chunks of [`CHUNK`].
#[derive(Clone, Debug)]
pub(in crate::model) struct Slots {
    chunks: HashMap<usize, Vec<Slot>, AddressHash>,
    slot_bits: u8,
}

const CHUNK_BITS: u8 = 5;
const CHUNK: usize = 1 << CHUNK_BITS;
static EMPTY: Slot =
    Slot { cap: Cap::Null, prev: None, next: None, revocable: false, first_badged: false };

impl Slots {
    pub(in crate::model) fn new(slot_bits: u8) -> Slots {
        Slots { chunks: HashMap::default(), slot_bits }
    }

    /// The slot `index` of the CNode or thread at `base`.
    pub(in crate::model) fn id(&self, base: usize, index: usize) -> SlotId {
        SlotId(base + (index << self.slot_bits))
    }

    pub(in crate::model) fn get(&self, id: SlotId) -> &Slot {
        let number = id.0 >> self.slot_bits;
        self.chunks.get(&(number >> CHUNK_BITS)).map_or(&EMPTY, |chunk| &chunk[number % CHUNK])
    }

    pub(in crate::model) fn get_mut(&mut self, id: SlotId) -> &mut Slot {
        let number = id.0 >> self.slot_bits;
        let chunk = self.chunks.entry(number >> CHUNK_BITS);
        &mut chunk.or_insert_with(|| vec![EMPTY; CHUNK])[number % CHUNK]
    }

    /// Forgets the chunk around an emptied slot, if it was the last in it: CNodes come and go, at
    /// other addresses each time.
    pub(in crate::model) fn release(&mut self, id: SlotId) {
        let chunk = id.0 >> self.slot_bits >> CHUNK_BITS;
        let empty = |slots: &Vec<Slot>| slots.iter().all(|slot| slot.cap.is_null());
        if self.chunks.get(&chunk).is_some_and(empty) {
            self.chunks.remove(&chunk);
        }
    }

    /// Every slot that holds a capability, in no order.
    pub(in crate::model) fn occupied(&self) -> impl Iterator<Item = (SlotId, &Slot)> {
        self.chunks.iter().flat_map(move |(&chunk, slots)| {
            slots
                .iter()
                .enumerate()
                .filter(|(_, slot)| !slot.cap.is_null())
                .map(move |(i, slot)| (SlotId(((chunk << CHUNK_BITS) + i) << self.slot_bits), slot))
        })
    }
}

/// Hashes addresses: one multiplication, as maps by address are on every path here.
#[derive(Clone, Copy, Default, Debug)]
pub(in crate::model) struct AddressHasher(u64);

/// The hash for maps keyed by an address.
pub(in crate::model) type AddressHash = BuildHasherDefault<AddressHasher>;

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_usize(usize::from(byte));
        }
    }

    fn write_usize(&mut self, value: usize) {
        self.0 = (self.0 ^ value as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}
