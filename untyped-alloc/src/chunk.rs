//! Chunks: objects made by one retype, in consecutive slots.
//!
//! Retyping one frame a call costs 1103 instructions, 256 in one call 93 each. So objects are made
//! in batches and handed out from a bitmap. There are two kinds of chunk:
//!
//! - one that *recycles*: its objects (frames, page tables) are handed out again after they come
//!   back; a frame that comes back is dirty;
//! - one that *destroys*: an object that comes back is deleted, and its memory returns when no
//!   object of the chunk is left.
//!
//! ```text
//!             handed out            given back
//!   ready ──────────────────► live ──────────────► ready, dirty   (recycling)
//!   (free, flag)              (–, –) ────────────► dead           (destroying)
//!                                                  (–, flag)
//! ```

use core::cell::Cell;

use intrusive_collections::{Bound, KeyAdapter, RBTree, RBTreeLink};

use crate::block::Block;
use crate::pool::Pool;
use crate::types::{Blueprint, CPtr};

/// The most objects of one chunk: as many as one retype makes.
pub(crate) const CHUNK_LIMIT: usize = 256;

/// 256 bits, shared by reference.
#[derive(Default)]
pub(crate) struct Bits([Cell<u32>; CHUNK_LIMIT / 32]);

impl Bits {
    pub fn get(&self, bit: usize) -> bool {
        self.0[bit / 32].get() >> (bit % 32) & 1 == 1
    }

    /// Calls `f` for each word that some of `count` bits from `first` on lie in, with a mask of them.
    #[inline]
    fn each_word(&self, first: usize, count: usize, mut f: impl FnMut(&Cell<u32>, u32)) {
        let (mut at, end) = (first, first + count);
        while at < end {
            let (low, bits) = (at % 32, (32 - at % 32).min(end - at));
            f(&self.0[at / 32], (u32::MAX >> (32 - bits)) << low);
            at += bits;
        }
    }

    /// Sets or clears `count` bits from `first` on.
    pub fn set(&self, first: usize, count: usize, value: bool) {
        self.each_word(first, count, |word, mask| {
            word.set(if value { word.get() | mask } else { word.get() & !mask });
        });
    }

    /// Sets the first `count` bits and clears the others.
    fn set_first(&self, count: usize) {
        for (index, word) in self.0.iter().enumerate() {
            let bits = count.saturating_sub(index * 32).min(32) as u32;
            word.set(u32::MAX.checked_shr(32 - bits).unwrap_or(0));
        }
    }

    /// Whether `count` bits from `first` on are all clear.
    fn none(&self, first: usize, count: usize) -> bool {
        let mut any = 0;
        self.each_word(first, count, |word, mask| any |= word.get() & mask);
        any == 0
    }

    pub fn count(&self) -> usize {
        self.0.iter().map(|word| word.get().count_ones() as usize).sum()
    }
}

/// A batch of objects. Costs its 112 bytes for 256 frames: under half a byte a page.
#[derive(Default)]
pub(crate) struct Chunk<'p> {
    next_free: Cell<Option<&'p Chunk<'p>>>,
    by_slot: RBTreeLink,
    by_room: RBTreeLink,
    pub block: Cell<Option<&'p Block<'p>>>,
    pub blueprint: Cell<Option<Blueprint>>,
    pub first: Cell<CPtr>,
    pub serial: Cell<u32>,
    pub count: Cell<u16>,
    pub live: Cell<u16>,
    pub recycles: Cell<bool>,
    /// What its place in the tree of room is sorted by; `None` when it is not in it.
    class: Cell<Option<Class>>,
    /// A set bit: the object can be handed out.
    pub free: Bits,
    /// With `free`: the object is clean. Without: it is dead.
    pub flag: Bits,
}

#[cfg(target_pointer_width = "32")]
const _: () = assert!(core::mem::size_of::<Chunk<'_>>() <= 120);

/// Why a chunk is worth finding.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Class {
    /// Partly used, with a clean object to hand out.
    Clean,
    /// Partly used, with only dirty objects to hand out.
    Dirty,
    /// Unused; its first free object is clean.
    EmptyClean,
    /// Unused, all dirty.
    EmptyDirty,
    /// Unused and with nothing to hand out, but the kernel refused to take it back: retried.
    Quarantine,
}

impl PartialEq for Chunk<'_> {
    fn eq(&self, other: &Self) -> bool {
        core::ptr::eq(self, other)
    }
}

impl Eq for Chunk<'_> {}

impl core::fmt::Debug for Chunk<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "chunk of {} {:?} from {:?}", self.count.get(), self.blueprint(), self.first)
    }
}

impl Chunk<'_> {
    /// What its objects are.
    pub fn blueprint(&self) -> Blueprint {
        self.blueprint.get().unwrap_or(Blueprint::Untyped { size_bits: 0 })
    }

    /// The number of the object in `slot`.
    pub fn index_of(&self, slot: CPtr) -> Option<usize> {
        let index = slot.bits().checked_sub(self.first.get().bits())?;
        (index < usize::from(self.count.get())).then_some(index)
    }

    pub fn is_live(&self, index: usize) -> bool {
        !self.free.get(index) && !self.flag.get(index)
    }

    pub fn all_live(&self, first: usize, count: usize) -> bool {
        count != 0
            && first + count <= usize::from(self.count.get())
            && self.free.none(first, count)
            && self.flag.none(first, count)
    }

    /// The class it belongs to now.
    fn classify(&self) -> Option<Class> {
        let (mut room, mut clean) = (0, 0);
        for (free, flag) in self.free.0.iter().zip(&self.flag.0) {
            room |= free.get();
            clean |= free.get() & flag.get();
            if clean != 0 {
                break;
            }
        }
        match (self.live.get() == 0, room != 0, clean != 0) {
            (true, false, _) => Some(Class::Quarantine),
            (true, true, true) => Some(Class::EmptyClean),
            (true, true, false) => Some(Class::EmptyDirty),
            (false, false, _) => None,
            (false, true, true) => Some(Class::Clean),
            (false, true, false) => Some(Class::Dirty),
        }
    }

    /// Hands out the first clean object where that leaves the chunk in its class, which the rest of
    /// the word it lies in mostly tells.
    pub fn take_clean(&self) -> Option<usize> {
        if self.class.get() != Some(Class::Clean) {
            return None;
        }
        for (index, (free, flag)) in self.free.0.iter().zip(&self.flag.0).enumerate() {
            let clean = free.get() & flag.get();
            if clean == 0 {
                continue;
            }
            let rest = clean & (clean - 1);
            if rest == 0 {
                return None;
            }
            let taken = clean ^ rest;
            free.set(free.get() ^ taken);
            flag.set(flag.get() ^ taken);
            self.live.set(self.live.get() + 1);
            return Some(index * 32 + taken.trailing_zeros() as usize);
        }
        None
    }

    /// Hands out object number `index` if it is clean and that leaves the chunk in its class.
    #[inline(always)]
    pub fn take_clean_at(&self, index: usize) -> bool {
        let word = index / 32;
        let (Some(free), Some(flag)) = (self.free.0.get(word), self.flag.0.get(word)) else {
            return false;
        };
        let (clean, taken) = (free.get() & flag.get(), 1 << (index % 32));
        if self.class.get() != Some(Class::Clean) || clean & taken == 0 {
            return false;
        }
        if clean == taken && self.is_last_clean_word(word) {
            return false;
        }
        free.set(free.get() ^ taken);
        flag.set(flag.get() ^ taken);
        self.live.set(self.live.get() + 1);
        true
    }

    /// Whether no word but this one has a clean object.
    #[inline(never)]
    fn is_last_clean_word(&self, word: usize) -> bool {
        let words = CHUNK_LIMIT / 32;
        // The next one first, as objects are mostly handed out in order.
        let mut others = (1..words).map(|distance| (word + distance) % words);
        others.all(|other| self.free.0[other].get() & self.flag.0[other].get() == 0)
    }

    /// The longest run of at most `want` free objects that starts at the first free object that is
    /// `clean` (or not): its first number and length.
    pub fn first_run(&self, want: usize, clean: bool) -> Option<(usize, usize)> {
        let pick = |word: usize| {
            let (free, flag) = (self.free.0[word].get(), self.flag.0[word].get());
            free & if clean { flag } else { !flag }
        };
        let word = (0..CHUNK_LIMIT / 32).find(|&word| pick(word) != 0)?;
        let first = word * 32 + pick(word).trailing_zeros() as usize;
        let mut end = first;
        while end < CHUNK_LIMIT && end - first < want {
            // The run goes on for as many set bits as follow in this word.
            let ones = (pick(end / 32) >> (end % 32)).trailing_ones() as usize;
            if ones == 0 {
                break;
            }
            end += ones;
            if end % 32 != 0 {
                break;
            }
        }
        Some((first, (end - first).min(want)))
    }
}

#[allow(unsafe_code)] // what the adapter macro expands to
mod adapters {
    use super::*;
    use intrusive_collections::intrusive_adapter;
    intrusive_adapter!(
        pub(crate) BySlot<'p> = &'p Chunk<'p>: Chunk<'p> { by_slot => RBTreeLink }
    );
    intrusive_adapter!(
        pub(crate) ByRoom<'p> = &'p Chunk<'p>: Chunk<'p> { by_room => RBTreeLink }
    );
}
use adapters::{ByRoom, BySlot};

impl<'a, 'p> KeyAdapter<'a> for BySlot<'p> {
    type Key = CPtr;
    fn get_key(&self, chunk: &'a Chunk<'p>) -> CPtr {
        chunk.first.get()
    }
}

type RoomKey = (Option<Class>, bool, Blueprint, CPtr);

impl<'a, 'p> KeyAdapter<'a> for ByRoom<'p> {
    type Key = RoomKey;
    fn get_key(&self, chunk: &'a Chunk<'p>) -> RoomKey {
        room_key(chunk)
    }
}

fn room_key(chunk: &Chunk<'_>) -> RoomKey {
    (chunk.class.get(), chunk.recycles.get(), chunk.blueprint(), chunk.first.get())
}

/// Less than every blueprint there is.
const LEAST: Blueprint = Blueprint::Untyped { size_bits: 0 };

/// All chunks.
pub(crate) struct Chunks<'p> {
    pub pool: Pool<'p, Chunk<'p>>,
    by_slot: RBTree<BySlot<'p>>,
    by_room: RBTree<ByRoom<'p>>,
    /// The chunk that was found last, to be looked at first. A node that is in no tree has neither
    /// class nor block.
    last: Cell<Option<&'p Chunk<'p>>>,
}

impl<'p> Chunks<'p> {
    pub fn new() -> Self {
        Chunks {
            pool: Pool::new(|node| &node.next_free),
            by_slot: RBTree::new(BySlot::new()),
            by_room: RBTree::new(ByRoom::new()),
            last: Cell::new(None),
        }
    }

    /// Enters the chunk that a retype of `block` has just made; all its objects are ready and
    /// clean.
    pub fn enter(
        &mut self,
        chunk: &'p Chunk<'p>,
        block: &'p Block<'p>,
        blueprint: Blueprint,
        recycles: bool,
        first: CPtr,
        count: usize,
    ) {
        chunk.block.set(Some(block));
        chunk.blueprint.set(Some(blueprint));
        chunk.recycles.set(recycles);
        chunk.first.set(first);
        chunk.count.set(count as u16);
        chunk.live.set(0);
        chunk.class.set(None);
        for bits in [&chunk.free, &chunk.flag] {
            bits.set_first(count);
        }
        self.by_slot.insert(chunk);
        self.sort(chunk);
        self.last.set(Some(chunk));
    }

    /// Takes a chunk out of the trees and gives its node back.
    pub fn remove(&mut self, chunk: &'p Chunk<'p>) {
        self.by_slot.find_mut(&chunk.first.get()).remove();
        if chunk.class.get().is_some() {
            self.by_room.find_mut(&room_key(chunk)).remove();
        }
        chunk.class.set(None);
        chunk.block.set(None);
        chunk.serial.set(0);
        self.pool.give(chunk);
    }

    /// Hands out `count` free objects from number `first` on.
    pub fn hand_out(&mut self, chunk: &'p Chunk<'p>, first: usize, count: usize) {
        chunk.free.set(first, count, false);
        chunk.flag.set(first, count, false);
        chunk.live.set(chunk.live.get() + count as u16);
        self.sort(chunk);
    }

    /// Hands out object number `index` if it is clean; that may move the chunk to another class.
    #[cold]
    pub fn take_last_clean(&mut self, chunk: &'p Chunk<'p>, index: usize) -> bool {
        let clean = index < CHUNK_LIMIT && chunk.free.get(index) && chunk.flag.get(index);
        if clean {
            self.hand_out(chunk, index, 1);
        }
        clean
    }

    /// Takes back `count` live objects from number `first` on: into `free` and `flag`, as given.
    pub fn take_back(
        &mut self,
        chunk: &'p Chunk<'p>,
        first: usize,
        count: usize,
        free: bool,
        flag: bool,
    ) {
        chunk.free.set(first, count, free);
        chunk.flag.set(first, count, flag);
        chunk.live.set(chunk.live.get() - count as u16);
        self.sort(chunk);
    }

    fn sort(&mut self, chunk: &'p Chunk<'p>) {
        let class = chunk.classify();
        if class == chunk.class.get() {
            return;
        }
        if chunk.class.get().is_some() {
            self.by_room.find_mut(&room_key(chunk)).remove();
        }
        chunk.class.set(class);
        if class.is_some() {
            self.by_room.insert(chunk);
        }
    }

    /// A chunk of a class with this kind of object: the last one again, else the first.
    pub fn with_room(
        &self,
        class: Class,
        recycles: bool,
        blueprint: Blueprint,
    ) -> Option<&'p Chunk<'p>> {
        let fits = |chunk: &&'p Chunk<'p>| {
            let found = (chunk.class.get(), chunk.recycles.get(), chunk.blueprint());
            found == (Some(class), recycles, blueprint)
        };
        if let Some(chunk) = self.last.get().filter(fits) {
            return Some(chunk);
        }
        let key = (Some(class), recycles, blueprint, CPtr::NULL);
        let first = self.by_room.lower_bound(Bound::Included(&key)).clone_pointer();
        let chunk = first.filter(fits)?;
        self.last.set(Some(chunk));
        Some(chunk)
    }

    /// A chunk without a live object, if there is one.
    pub fn unused(&self) -> Option<&'p Chunk<'p>> {
        let key = (Some(Class::EmptyClean), false, LEAST, CPtr::NULL);
        self.by_room.lower_bound(Bound::Included(&key)).clone_pointer()
    }

    /// The next chunk without a live object after this one.
    pub fn unused_after(&self, chunk: &'p Chunk<'p>) -> Option<&'p Chunk<'p>> {
        self.by_room.lower_bound(Bound::Excluded(&room_key(chunk))).clone_pointer()
    }

    /// The chunk and the number of the object in `slot`.
    pub fn find(&self, slot: CPtr) -> Option<(&'p Chunk<'p>, usize)> {
        let again = self.last.get().filter(|chunk| chunk.block.get().is_some());
        if let Some((chunk, index)) = again.and_then(|chunk| Some((chunk, chunk.index_of(slot)?))) {
            return Some((chunk, index));
        }
        let chunk = self.by_slot.upper_bound(Bound::Included(&slot)).clone_pointer()?;
        let index = chunk.index_of(slot)?;
        self.last.set(Some(chunk));
        Some((chunk, index))
    }

    /// Every chunk, by slot.
    pub fn iter(&self) -> impl Iterator<Item = &'p Chunk<'p>> + '_ {
        let mut cursor = self.by_slot.front();
        core::iter::from_fn(move || {
            let chunk = cursor.clone_pointer();
            cursor.move_next();
            chunk
        })
    }

    /// How many chunks the tree of room holds, and how many ought to be in it.
    pub fn room_counts(&self) -> (usize, usize) {
        let expected = self.iter().filter(|chunk| chunk.classify().is_some()).count();
        (self.by_room.iter().count(), expected)
    }
}
