// SPDX-License-Identifier: BSD-2-Clause
//! The two kinds of nodes that point at each other: a block, which is one untyped capability, and a
//! chunk, which is the objects that one block was retyped into.

use core::cell::Cell;

use intrusive_collections::RBTreeLink;

use super::aliases::Aliases;
use super::object_map::{Class, ObjectMap};
use super::room::Room;
use crate::types::{Blueprint, CPtr, Mobility, ObjectState};

/// The state of a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BlockState<'p> {
    /// In the tree of free blocks; no capability is derived from it.
    Free,
    /// It is about to be retyped into one block of its size, which the kernel clears for that.
    Clearing,
    /// Retyped into blocks of this size: smaller ones, or one that was cleared.
    Split {
        /// Logarithm of the size of one of them, in bytes.
        child_bits: u8,
    },
    /// Retyped into the objects of a chunk.
    Used(&'p Chunk<'p>),
}

/// What a block is for. Blocks that lie in the place of one large page are all for the same, as
/// long as there is memory: so what must stay keeps no more places from being emptied than it
/// takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Group {
    /// Whatever comes first: it is whole places of large pages, or was a boot untyped.
    Neutral,
    /// What may be moved, or what must stay where it is.
    For(Mobility),
    /// The registers of a device.
    Device,
}

/// One untyped capability.
pub struct Block<'p> {
    pub(super) next_free: Cell<Option<&'p Block<'p>>>,
    by_fit: RBTreeLink,
    by_address: RBTreeLink,
    pub(super) parent: Cell<Option<&'p Block<'p>>>,
    pub(super) state: Cell<BlockState<'p>>,
    pub(super) slot: Cell<CPtr>,
    pub(super) paddr: Cell<usize>,
    pub(super) size_bits: Cell<u8>,
    pub(super) dirty: Cell<bool>,
    pub(super) group: Cell<Group>,
    /// Children that are not free, for a split block: 0 to 4.
    pub(super) busy: Cell<u8>,
}

impl Default for Block<'_> {
    fn default() -> Self {
        Block {
            next_free: Cell::new(None),
            by_fit: RBTreeLink::new(),
            by_address: RBTreeLink::new(),
            parent: Cell::new(None),
            state: Cell::new(BlockState::Free),
            slot: Cell::new(CPtr::NULL),
            paddr: Cell::new(0),
            size_bits: Cell::new(0),
            dirty: Cell::new(false),
            group: Cell::new(Group::Neutral),
            busy: Cell::new(0),
        }
    }
}

impl core::fmt::Debug for Block<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "untyped {:#x}+2^{}", self.paddr(), self.size_bits())
    }
}

impl PartialEq for Block<'_> {
    fn eq(&self, other: &Self) -> bool {
        core::ptr::eq(self, other)
    }
}

impl Eq for Block<'_> {}

impl<'p> Block<'p> {
    /// The block that it was split off; `None` for an untyped of the boot information.
    pub fn parent(&self) -> Option<&'p Block<'p>> {
        self.parent.get()
    }

    /// What became of it.
    pub fn state(&self) -> BlockState<'p> {
        self.state.get()
    }

    /// The slot of its capability.
    pub fn slot(&self) -> CPtr {
        self.slot.get()
    }

    /// Its physical address, in bytes; a multiple of its size.
    pub fn paddr(&self) -> usize {
        self.paddr.get()
    }

    /// Logarithm of its size in bytes.
    pub fn size_bits(&self) -> u8 {
        self.size_bits.get()
    }

    /// Its size in bytes.
    pub fn bytes(&self) -> usize {
        1 << self.size_bits()
    }

    /// Whether its next retype makes the kernel clear it.
    pub fn is_dirty(&self) -> bool {
        self.dirty.get()
    }

    /// Whether it is device memory.
    pub fn is_device(&self) -> bool {
        self.group() == Group::Device
    }

    /// What it is for.
    pub fn group(&self) -> Group {
        self.group.get()
    }

    /// How many of its children are not free, for a split block.
    pub fn busy_children(&self) -> u8 {
        self.busy.get()
    }

    /// Whether the physical address lies in it.
    pub fn contains(&self, paddr: usize) -> bool {
        paddr >= self.paddr() && paddr - self.paddr() < self.bytes()
    }
}

/// Why nothing is allocated from a chunk that has room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Apart {
    /// It is to be emptied.
    Evacuating,
    /// It stays as it is: it is held back.
    Held,
}

/// Objects made by one retype. Costs its 124 bytes for 256 frames: under half a byte a page.
#[derive(Default)]
pub struct Chunk<'p> {
    pub(super) next_free: Cell<Option<&'p Chunk<'p>>>,
    by_slot: RBTreeLink,
    by_room: RBTreeLink,
    pub(super) block: Cell<Option<&'p Block<'p>>>,
    pub(super) first: Cell<CPtr>,
    pub(super) serial: Cell<u64>,
    pub(super) count: Cell<u16>,
    pub(super) live: Cell<u16>,
    /// Live objects that can be replaced by others of their kind: counted by a survey.
    pub(super) movable: Cell<u16>,
    /// Why nothing is allocated from it, if so.
    pub(super) apart: Cell<Option<Apart>>,
    /// Whether a capability to one of its objects was copied for a caller.
    pub(super) told: Cell<bool>,
    /// Second capabilities to its frames, if there were ever any.
    pub(super) aliases: Cell<Option<&'p Aliases<'p>>>,
    /// What its place in the tree of room is sorted by. Without a class when it is not in it.
    pub(super) room: Cell<Room>,
    pub(super) objects: ObjectMap,
}

// On IA32: elsewhere words of 64 bits lie apart by as many.
#[cfg(target_pointer_width = "32")]
const _: () = assert!(core::mem::size_of::<Chunk<'_>>() <= 124 || align_of::<u64>() == 8);

impl PartialEq for Chunk<'_> {
    fn eq(&self, other: &Self) -> bool {
        core::ptr::eq(self, other)
    }
}

impl Eq for Chunk<'_> {}

impl core::fmt::Debug for Chunk<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "chunk of {} {:?} from {:?}", self.count(), self.blueprint(), self.first)
    }
}

impl<'p> Chunk<'p> {
    /// The block that its objects were made from; `None` for a node that is in no tree.
    pub fn block(&self) -> Option<&'p Block<'p>> {
        self.block.get()
    }

    /// Whether a capability to one of its objects was copied for a caller.
    pub fn was_told(&self) -> bool {
        self.told.get()
    }

    /// Second capabilities to its frames, if there were ever any.
    pub fn aliases(&self) -> Option<&'p Aliases<'p>> {
        self.aliases.get()
    }

    /// What its objects are.
    pub fn blueprint(&self) -> Blueprint {
        self.room.get().blueprint()
    }

    /// The slot of its first object.
    pub fn first(&self) -> CPtr {
        self.first.get()
    }

    /// The slot of object number `index`.
    pub fn slot_of(&self, index: usize) -> CPtr {
        self.first().offset(index)
    }

    /// A number that no other chunk has had; 0 for a node that is in no tree.
    pub fn serial(&self) -> u64 {
        self.serial.get()
    }

    /// How many objects were made, 1 to 256.
    pub fn count(&self) -> usize {
        usize::from(self.count.get())
    }

    /// How many of them are live.
    pub fn live(&self) -> usize {
        usize::from(self.live.get())
    }

    /// Whether objects that come back are allocated again, rather than destroyed.
    pub fn recycles(&self) -> bool {
        self.room.get().recycles()
    }

    /// Whether what is allocated from it may be moved; `None` where some of it may.
    pub fn mobility(&self) -> Option<Mobility> {
        self.room.get().mobility()
    }

    /// Its room once an object that may be moved, or one that must stay, is allocated from it.
    #[inline]
    pub(super) fn room_with(&self, mobility: Mobility) -> Room {
        let room = self.room.get();
        match self.live() == 0 || room.mobility() == Some(mobility) {
            true => room.with_mobility(mobility),
            false => room.mixed(),
        }
    }

    /// Whether objects of this kind that come back are allocated again.
    #[inline]
    pub fn recycles_as(&self, blueprint: Blueprint) -> bool {
        self.room.get().recycles_as(blueprint)
    }

    /// The number of the object in `slot`.
    pub fn index_of(&self, slot: CPtr) -> Option<usize> {
        let index = slot.bits().checked_sub(self.first().bits())?;
        (index < self.count()).then_some(index)
    }

    /// The state of object number `index`, which is less than their count.
    pub fn state(&self, index: usize) -> ObjectState {
        self.objects.state(index)
    }

    /// Whether object number `index`, which is less than their count, is live.
    pub fn is_live(&self, index: usize) -> bool {
        self.state(index) == ObjectState::Live
    }

    /// Whether `count` objects from number `first` on (below their count) exist and are all live,
    /// and `count` is not 0.
    pub fn all_live(&self, first: usize, count: usize) -> bool {
        count != 0
            && count <= self.count() - first
            && self.objects.none_ready_or_retired(first, count)
    }

    /// How many objects are ready to be allocated.
    pub fn ready(&self) -> usize {
        self.objects.ready()
    }

    /// How many of these are dirty.
    pub fn ready_dirty(&self) -> usize {
        self.objects.ready_dirty()
    }

    /// How many objects are retired but not destroyed, for a chunk of class
    /// [`Class::Quarantine`]; 0 for another.
    pub fn quarantined(&self) -> usize {
        let waits = self.live() == 0 && self.ready() == 0;
        if waits {
            self.objects.flagged()
        } else {
            0
        }
    }

    /// The longest run of at most `want` ready objects of one kind (`zeroed` or not) that starts at
    /// the first of that kind: its first number and length.
    pub fn first_run(&self, want: usize, zeroed: bool) -> Option<(usize, usize)> {
        self.objects.first_run(want, zeroed)
    }

    /// Allocates the first zeroed object where that leaves the chunk in its class, which the rest
    /// of the word it lies in mostly tells. None is in a word before number `from`.
    #[inline(always)]
    pub fn alloc_zeroed(&self, from: usize) -> Option<usize> {
        if !self.room.get().is_in(Class::Zeroed) {
            return None;
        }
        let index = self.objects.alloc_zeroed(from)?;
        self.live.set(self.live.get() + 1);
        Some(index)
    }

    /// Allocates the first dirty object of a chunk with no zeroed ones where that is known to leave
    /// it in its class.
    #[inline(always)]
    pub fn alloc_dirty(&self) -> Option<usize> {
        if !self.room.get().is_in(Class::Dirty) {
            return None;
        }
        let index = self.objects.alloc_dirty()?;
        self.live.set(self.live.get() + 1);
        Some(index)
    }

    /// Whether an object in a word before number `word` is zeroed.
    pub fn has_zeroed_before(&self, word: usize) -> bool {
        self.objects.has_zeroed_before(word)
    }

    /// Whether it is known to be in its class still, without a look at all of it, once object
    /// number `index` was allocated: it is in use, and one of the kind that its class is for is
    /// beside it.
    #[inline]
    pub fn keeps_class_beside(&self, index: usize) -> bool {
        let room = self.room.get();
        let zeroed = room.is_in(Class::Zeroed);
        (zeroed || room.is_in(Class::Dirty)) && self.objects.has_ready_beside(index, zeroed)
    }

    /// Allocates `count` objects from number `first` on where that is known without a look at all of
    /// it: all are zeroed, and the chunk stays in its class.
    #[inline(always)]
    pub fn alloc_zeroed_run(&self, first: usize, count: usize) -> bool {
        let zeroed = self.room.get().is_in(Class::Zeroed);
        if !zeroed || !self.objects.alloc_zeroed_run(first, count) {
            return false;
        }
        // At most as many as a word has bits.
        self.live.set(self.live.get() + count as u16);
        true
    }

    /// How many of its live objects the last survey found to be movable.
    pub fn movable(&self) -> usize {
        usize::from(self.movable.get())
    }

    /// Begins a survey with `count` of 0, or goes on with one: `count` more live objects are
    /// movable.
    pub fn set_movable(&self, count: usize) {
        self.movable.set(count as u16);
    }

    /// Whether nothing is allocated from it because it is to be emptied.
    pub fn is_evacuating(&self) -> bool {
        self.apart.get() == Some(Apart::Evacuating)
    }

    /// Whether nothing is allocated from it because it is held back.
    pub fn is_held(&self) -> bool {
        self.apart.get() == Some(Apart::Held)
    }

    /// The class it belongs to now.
    pub(super) fn classify(&self) -> Option<Class> {
        match self.apart.get() {
            Some(_) => None,
            None => self.objects.classify(self.live() == 0),
        }
    }
}

#[allow(unsafe_code)] // what the adapter macro expands to
mod adapters {
    use super::*;
    use intrusive_collections::{intrusive_adapter, RBTreeLink};
    intrusive_adapter!(
        pub ByFit<'p> = &'p Block<'p>: Block<'p> { by_fit => RBTreeLink }
    );
    intrusive_adapter!(
        pub ByAddress<'p> = &'p Block<'p>: Block<'p> { by_address => RBTreeLink }
    );
    intrusive_adapter!(
        pub BySlot<'p> = &'p Chunk<'p>: Chunk<'p> { by_slot => RBTreeLink }
    );
    intrusive_adapter!(
        pub ByRoom<'p> = &'p Chunk<'p>: Chunk<'p> { by_room => RBTreeLink }
    );
}
pub(super) use adapters::{ByAddress, ByFit, ByRoom, BySlot};
