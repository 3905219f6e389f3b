//! Slots and how a capability pointer finds one: rules from `src/kernel/cspace.c`.
//!
//! A slot is known by its physical address, as in the kernel. So a CNode needs no book-keeping
//! beyond the slots in use, and a destroyed one leaves nothing behind.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use untyped_alloc::kernel::{CPtr, CapPath, KernelError, KernelResult};

use super::ModelKernel;
use super::arch::mask;
use super::cap::Cap;

/// A slot: its physical address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SlotId(pub(super) usize);

/// What a slot holds: a capability and its place in the derivation order (see [`super::mdb`]).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Slot {
    pub(super) cap: Cap,
    pub(super) prev: Option<SlotId>,
    pub(super) next: Option<SlotId>,
    pub(super) revocable: bool,
    pub(super) first_badged: bool,
}

/// Slots in use and those around them, in chunks of [`CHUNK`].
#[derive(Clone, Debug)]
pub(super) struct Slots {
    chunks: HashMap<usize, Vec<Slot>, AddressHash>,
    slot_bits: u8,
}

const CHUNK_BITS: u8 = 5;
const CHUNK: usize = 1 << CHUNK_BITS;
static EMPTY: Slot =
    Slot { cap: Cap::Null, prev: None, next: None, revocable: false, first_badged: false };

impl Slots {
    pub(super) fn new(slot_bits: u8) -> Slots {
        Slots { chunks: HashMap::default(), slot_bits }
    }

    /// The slot `index` of the CNode or thread at `base`.
    pub(super) fn id(&self, base: usize, index: usize) -> SlotId {
        SlotId(base + (index << self.slot_bits))
    }

    pub(super) fn get(&self, id: SlotId) -> &Slot {
        let number = id.0 >> self.slot_bits;
        self.chunks.get(&(number >> CHUNK_BITS)).map_or(&EMPTY, |chunk| &chunk[number % CHUNK])
    }

    pub(super) fn get_mut(&mut self, id: SlotId) -> &mut Slot {
        let number = id.0 >> self.slot_bits;
        let chunk = self.chunks.entry(number >> CHUNK_BITS);
        &mut chunk.or_insert_with(|| vec![EMPTY; CHUNK])[number % CHUNK]
    }

    /// Forgets the chunk around an emptied slot, if it was the last in it: CNodes come and go, at
    /// other addresses each time.
    pub(super) fn release(&mut self, id: SlotId) {
        let chunk = id.0 >> self.slot_bits >> CHUNK_BITS;
        let empty = |slots: &Vec<Slot>| slots.iter().all(|slot| slot.cap.is_null());
        if self.chunks.get(&chunk).is_some_and(empty) {
            self.chunks.remove(&chunk);
        }
    }

    /// Every slot that holds a capability, in no order.
    pub(super) fn occupied(&self) -> impl Iterator<Item = (SlotId, &Slot)> {
        self.chunks.iter().flat_map(move |(&chunk, slots)| {
            slots
                .iter()
                .enumerate()
                .filter(|(_, slot)| !slot.cap.is_null())
                .map(move |(i, slot)| (SlotId(((chunk << CHUNK_BITS) + i) << self.slot_bits), slot))
        })
    }
}

impl ModelKernel<'_> {
    pub(super) fn cap_in(&self, slot: SlotId) -> Cap {
        self.slots.get(slot).cap
    }

    /// Resolves up to `bits` bits of `index` from `root` on. Stops early, with bits left, at a
    /// slot that holds no CNode. `None` where a guard or the bits do not fit.
    fn resolve(&self, root: Cap, index: usize, bits: u8) -> Option<(SlotId, u8)> {
        let mut node = root;
        let mut bits = bits;
        let mut found = None;
        while let Cap::CNode { base, radix, guard, guard_bits } = node {
            if guard_bits > bits || radix + guard_bits > bits {
                return None;
            }
            let after_guard = bits - guard_bits;
            let seen = if guard_bits == 0 { 0 } else { index >> after_guard & mask(guard_bits) };
            if seen != guard {
                return None;
            }
            bits = after_guard - radix;
            let slot = self.slots.id(base, index >> bits & mask(radix));
            found = Some((slot, bits));
            if bits == 0 {
                break;
            }
            node = self.cap_in(slot);
        }
        found
    }

    /// The slot of an invoked or passed capability, in the calling thread's CSpace.
    ///
    /// # Panics
    /// When there is no such slot. The kernel does not answer that with an error: the thread
    /// faults (`handleInvocation` in `src/api/syscall.c`), which is the end of a root task.
    pub(super) fn invoked(&self, cptr: CPtr) -> SlotId {
        assert_eq!(cptr.bits() & !self.arch.word_mask(), 0, "{cptr:?} is wider than a word");
        match self.slot_of(cptr) {
            Some(slot) => slot,
            None => panic!("capability fault: {cptr:?} resolves to no slot"),
        }
    }

    /// The slot of a capability pointer, if any. Bits left over do not matter (`lookupSlot`).
    pub(super) fn slot_of(&self, cptr: CPtr) -> Option<SlotId> {
        let word_bits = self.arch.sizes.word_bits;
        self.resolve(self.caller_cspace(), cptr.bits(), word_bits).map(|(slot, _)| slot)
    }

    /// The slot at `index`, `depth` bits deep from the CNode capability `root`
    /// (`lookupSlotForCNodeOp`).
    pub(super) fn slot_at(&self, root: Cap, index: usize, depth: u8) -> KernelResult<SlotId> {
        if !matches!(root, Cap::CNode { .. }) {
            return Err(KernelError::FailedLookup);
        }
        if depth < 1 || depth > self.arch.sizes.word_bits {
            return Err(KernelError::RangeError);
        }
        match self.resolve(root, index, depth) {
            Some((slot, 0)) => Ok(slot),
            _ => Err(KernelError::FailedLookup),
        }
    }

    /// The slot a test's path leads to, if any.
    pub(super) fn slot_of_path(&self, path: CapPath) -> Option<SlotId> {
        let root = self.cap_in(self.slot_of(path.root)?);
        self.slot_at(root, path.index, path.depth).ok()
    }

    pub(super) fn must_be_empty(&self, slot: SlotId) -> KernelResult {
        if self.cap_in(slot).is_null() { Ok(()) } else { Err(KernelError::DeleteFirst) }
    }
}

/// Hashes addresses: one multiplication, as maps by address are on every path here.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct AddressHasher(u64);

/// The hash for maps keyed by an address.
pub(super) type AddressHash = BuildHasherDefault<AddressHasher>;

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
