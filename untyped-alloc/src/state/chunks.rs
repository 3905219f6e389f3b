// SPDX-License-Identifier: BSD-2-Clause
//! All chunks, by slot and by room.
//!
//! A chunk is the objects that one untyped was retyped into in one call, in consecutive slots:
//! retyping one frame a call costs 1103 instructions, 256 in one call 93 each. It is no slab, which
//! promises objects that keep their constructed state while they are free; a free object here is
//! zeroed, dirty or destroyed. There are two kinds:
//!
//! - one that *recycles*: its objects (frames, page tables) are allocated again after they come
//!   back; a frame that comes back is dirty;
//! - one that *destroys*: an object that comes back is deleted and retired, and its memory returns
//!   when no object of the chunk is left. A single one that comes back as it was made may be kept.

use core::cell::Cell;

use intrusive_collections::{Bound, KeyAdapter, RBTree};

use super::aliases::Aliases;
use super::nodes::{Apart, Block, ByRoom, BySlot, Chunk};
use super::object_map::{Class, WORD};
use super::pool::Pool;
use super::room::Room;
use crate::types::MAX_BATCH;
use crate::types::{Blueprint, CPtr, Mobility, ObjectState};

impl<'a, 'p> KeyAdapter<'a> for BySlot<'p> {
    type Key = CPtr;
    fn get_key(&self, chunk: &'a Chunk<'p>) -> CPtr {
        chunk.first()
    }
}

type RoomKey = (Room, CPtr);

impl<'a, 'p> KeyAdapter<'a> for ByRoom<'p> {
    type Key = RoomKey;
    fn get_key(&self, chunk: &'a Chunk<'p>) -> RoomKey {
        room_key(chunk)
    }
}

fn room_key(chunk: &Chunk<'_>) -> RoomKey {
    (chunk.room.get(), chunk.first())
}

/// What is recorded of a chunk when it is made.
#[derive(Clone, Copy)]
pub struct NewChunk<'p> {
    /// The block that was retyped.
    pub block: &'p Block<'p>,
    /// What into.
    pub blueprint: Blueprint,
    /// Whether objects that come back are allocated again.
    pub recycles: bool,
    /// The slot of the first object.
    pub first: CPtr,
    /// How many objects, 1 to 256.
    pub count: usize,
    /// A number that no chunk in these slots had before; not 0.
    pub serial: u64,
}

/// How many chunks are found without a search.
const RECENT: usize = 32;
/// The slots that one of them stands for. Chunks in use have eight times as many, mostly, so that
/// few places are of two chunks.
const RECENT_SLOTS: usize = 32;

/// An object that was freed.
#[derive(Clone, Copy)]
struct Freed<'p> {
    chunk: &'p Chunk<'p>,
    index: usize,
    /// If it is dirty now, no other object of its chunk is ready.
    alone: bool,
}

/// All chunks.
pub struct Chunks<'p> {
    /// Spare nodes.
    pub pool: Pool<'p, Chunk<'p>>,
    /// Spare nodes of aliases.
    pub alias_pool: Pool<'p, Aliases<'p>>,
    by_slot: RBTree<BySlot<'p>>,
    by_room: RBTree<ByRoom<'p>>,
    /// The chunk that was found last, to be looked at first. A node that is in no tree has neither
    /// class nor block.
    ///
    /// Looking up moves it, and objects are taken of it first, so a look-up can change *which*
    /// ready object comes next: never whether one comes, nor any answer. Kept all the same, because
    /// both ways without that cost more. Moved by changes alone, it made unmapping and protecting
    /// single pages 2 % dearer, as what is checked before them is searched for; as two fields, it
    /// made unmapping 2 % and destroying a space 3 % dearer.
    last: Cell<Option<&'p Chunk<'p>>>,
    /// The chunks that were looked up last for slots here and there: which, a slot's number says.
    /// Nodes that are in no tree may be among them.
    recent: [Cell<Option<&'p Chunk<'p>>>; RECENT],
    /// The chunk in use whose last dirty object was allocated last. It stays in the tree of room,
    /// as one with dirty objects, and is passed over there: what is freed next is often one of its
    /// own, and then it need not have left.
    exhausted: Option<&'p Chunk<'p>>,
    /// The chunk of which a zeroed object was allocated last, and the word of its objects that it
    /// was in: none before that is zeroed.
    zeroed_from: Option<(&'p Chunk<'p>, usize)>,
    /// The object that was freed last, if it was of a chunk in use and is dirty. It may be none any
    /// more, or of another chunk whose node that is.
    freed: Option<Freed<'p>>,
    /// Changes whenever a chunk comes to have zeroed objects to allocate.
    zeroed_supplies: u32,
    /// Goes up whenever objects may have become ready in chunks that are in use, and whenever what
    /// kept a block from being emptied may be gone.
    supplies: u32,
    /// Chunks of which a capability was copied for a caller.
    told: usize,
}

impl<'p> Chunks<'p> {
    /// No chunk at all.
    pub fn new() -> Self {
        Chunks {
            pool: Pool::new(|node| &node.next_free),
            alias_pool: Pool::new(|node| &node.next_free),
            by_slot: RBTree::new(BySlot::new()),
            by_room: RBTree::new(ByRoom::new()),
            last: Cell::new(None),
            recent: [const { Cell::new(None) }; RECENT],
            exhausted: None,
            zeroed_from: None,
            freed: None,
            zeroed_supplies: 0,
            supplies: 0,
            told: 0,
        }
    }

    /// Records a chunk that was just made; all its objects are ready and zeroed. `node` comes from
    /// the pool.
    pub fn insert(&mut self, node: &'p Chunk<'p>, new: NewChunk<'p>) {
        node.block.set(Some(new.block));
        node.room.set(Room::new(new.recycles, new.blueprint));
        node.told.set(false);
        node.aliases.set(None);
        node.first.set(new.first);
        node.serial.set(new.serial);
        node.count.set(new.count as u16);
        node.live.set(0);
        node.apart.set(None);
        node.movable.set(0);
        node.objects.reset(new.count);
        self.zeroed_from = None;
        self.supplies = self.supplies.wrapping_add(1);
        self.by_slot.insert(node);
        self.sort(node);
        self.last.set(Some(node));
    }

    /// Takes a chunk out of the trees and gives its node back.
    pub fn remove(&mut self, chunk: &'p Chunk<'p>) {
        // What lies beside it may be all that is left in a larger block.
        self.supplies = self.supplies.wrapping_add(1);
        self.by_slot.find_mut(&chunk.first()).remove();
        self.put(chunk, chunk.room.get().with_class(None));
        chunk.room.set(Room::default());
        chunk.block.set(None);
        chunk.serial.set(0);
        self.told -= usize::from(chunk.told.replace(false));
        self.pool.free(chunk);
    }

    /// Gives a chunk without a live object another serial number: ids of its objects are stale.
    pub fn renumber(&mut self, chunk: &Chunk<'p>, serial: u64) {
        chunk.serial.set(serial);
    }

    /// Records that a capability to an object of a chunk was copied for a caller. It is known of
    /// the chunk as a whole, for as long as the chunk lasts.
    pub fn tell(&mut self, chunk: &'p Chunk<'p>) {
        self.told += usize::from(!chunk.told.replace(true));
    }

    /// Makes room for aliases of a chunk's frames, which go into the slots from `first` on; `None`
    /// without a spare node.
    pub fn begin_aliases(&mut self, chunk: &Chunk<'p>, first: CPtr) -> Option<&'p Aliases<'p>> {
        let aliases = self.alias_pool.alloc()?;
        aliases.reset(first);
        chunk.aliases.set(Some(aliases));
        Some(aliases)
    }

    /// Takes the room for aliases from a chunk whose frames have none, and returns the first of
    /// their slots.
    pub fn end_aliases(&mut self, chunk: &Chunk<'p>) -> Option<CPtr> {
        let aliases = chunk.aliases.take()?;
        self.alias_pool.free(aliases);
        Some(aliases.first())
    }

    /// Whether a capability to an object of any chunk was copied for a caller. O(1).
    #[inline(always)]
    pub fn any_told(&self) -> bool {
        self.told != 0
    }

    /// Allocates `count` ready objects from number `first` on, which may be moved or must stay.
    /// Where others are in use in the chunk that are not alike, it has both from now on.
    pub fn alloc(&mut self, chunk: &'p Chunk<'p>, first: usize, count: usize, mobility: Mobility) {
        let room = chunk.room_with(mobility);
        // The others of a chunk that was unused are in one now that is used.
        self.supplies = self.supplies.wrapping_add(u32::from(chunk.live() == 0));
        chunk.objects.set(first, count, ObjectState::Live);
        chunk.live.set(chunk.live.get() + count as u16);
        if room != chunk.room.get() || !chunk.keeps_class_beside(first) {
            match chunk.classify() {
                None if room == chunk.room.get() && room.is_in(Class::Dirty) => {
                    self.keep_exhausted(chunk)
                }
                class => self.put(chunk, room.with_class(class)),
            }
        }
    }

    /// Allocates the first zeroed object of a chunk where that leaves the chunk in its class; its
    /// number. The words in which none can be are not looked at.
    #[inline(always)]
    pub fn alloc_zeroed(&mut self, chunk: &'p Chunk<'p>) -> Option<usize> {
        let from = match self.zeroed_from {
            Some((last, word)) if core::ptr::eq(last, chunk) => word,
            _ => 0,
        };
        let index = chunk.alloc_zeroed(from)?;
        self.zeroed_from = Some((chunk, index / WORD));
        Some(index)
    }

    /// Allocates the object that was freed last, if it is of a chunk in use with this kind of room,
    /// all whose ready objects are dirty; its slot.
    #[inline]
    pub fn alloc_freed(&mut self, kind: Room) -> Option<CPtr> {
        let Freed { chunk, index, alone } = self.freed.take()?;
        let dirty = ObjectState::Ready { clean: false };
        if chunk.room.get() != kind.with_class(Some(Class::Dirty)) || chunk.state(index) != dirty {
            return None;
        }
        if alone {
            chunk.objects.set(index, 1, ObjectState::Live);
            chunk.live.set(chunk.live.get() + 1);
            self.keep_exhausted(chunk);
        } else {
            self.alloc(chunk, index, 1, kind.mobility().unwrap_or(Mobility::Fixed));
        }
        Some(chunk.slot_of(index))
    }

    /// Leaves a chunk in the tree of room that has no dirty object any more; the one before it
    /// goes.
    fn keep_exhausted(&mut self, chunk: &'p Chunk<'p>) {
        if let Some(before) = self.exhausted {
            self.put(before, before.room.get().with_class(None));
        }
        self.exhausted = Some(chunk);
    }

    fn is_exhausted(&self, chunk: &Chunk<'p>) -> bool {
        self.exhausted.is_some_and(|exhausted| core::ptr::eq(exhausted, chunk))
    }

    /// Allocates object number `index` if it is zeroed; that may move the chunk to another class.
    #[cold]
    pub fn alloc_last_zeroed(&mut self, chunk: &'p Chunk<'p>, index: usize) -> bool {
        let zeroed = ObjectState::Ready { clean: true };
        let found = index < MAX_BATCH && chunk.state(index) == zeroed;
        if found {
            self.alloc(chunk, index, 1, chunk.mobility().unwrap_or(Mobility::Fixed));
        }
        found
    }

    /// Takes back `count` live objects from number `first` on, which are ready or gone from now on.
    #[inline]
    pub fn free(&mut self, chunk: &'p Chunk<'p>, first: usize, count: usize, state: ObjectState) {
        self.supplies = self.supplies.wrapping_add(1);
        self.freed = None;
        if state == (ObjectState::Ready { clean: true }) {
            self.zeroed_from = None;
        }
        chunk.objects.set(first, count, state);
        chunk.live.set(chunk.live.get() - count as u16);
        // Dirty objects more leave a chunk in its class that has room and is still in use.
        let dirty = state == ObjectState::Ready { clean: false };
        if !dirty || chunk.live() == 0 || !chunk.room.get().has_class() {
            self.sort(chunk);
        } else if self.is_exhausted(chunk) {
            self.exhausted = None;
        }
    }

    /// Takes back the live object in a slot, which is dirty from now on; `false` if it is none of a
    /// chunk that recycles such objects, or if that is to be found out with a search, or moves the
    /// chunk to another class: nothing was done then.
    #[inline(always)]
    pub fn free_at_hand(&mut self, slot: CPtr, blueprint: Blueprint) -> bool {
        let Some((chunk, index)) = self.at_hand(slot) else { return false };
        // A node that is in no tree is of no kind.
        let stays = chunk.room.get().has_class() && chunk.live() > 1;
        if !stays || !chunk.recycles_as(blueprint) || !chunk.objects.free_live(index) {
            return false;
        }
        chunk.live.set(chunk.live.get() - 1);
        self.supplies = self.supplies.wrapping_add(1);
        self.last.set(Some(chunk));
        let alone = self.is_exhausted(chunk);
        if alone {
            self.exhausted = None;
        }
        self.freed = Some(Freed { chunk, index, alone });
        true
    }

    /// A number that is another one once objects may have become ready, or chunks came, went or
    /// were set apart; it is used again after 2^32 times.
    pub fn supplies(&self) -> u32 {
        self.supplies
    }

    /// Takes a chunk from where objects are allocated, and, if it has no live one, from where
    /// memory is taken back; or puts it there again.
    pub fn set_apart(&mut self, chunk: &'p Chunk<'p>, apart: Option<Apart>) {
        self.supplies = self.supplies.wrapping_add(1);
        chunk.apart.set(apart);
        self.sort(chunk);
    }

    fn sort(&mut self, chunk: &'p Chunk<'p>) {
        let room = chunk.room.get().with_class(chunk.classify());
        // Unused, it is for whatever is allocated from it next.
        self.put(chunk, if chunk.live() == 0 { room.with_mobility(Mobility::Fixed) } else { room });
    }

    /// A number that is another one once a chunk came to have zeroed objects to allocate that had
    /// none, or was set apart; it is used again after 2^32 times.
    pub fn zeroed_supplies(&self) -> u32 {
        self.zeroed_supplies
    }

    fn put(&mut self, chunk: &'p Chunk<'p>, new: Room) {
        if self.is_exhausted(chunk) {
            self.exhausted = None;
        }
        let old = chunk.room.get();
        if new == old {
            return;
        }
        // Out of the tree while its key is the one that it was put there by.
        if old.has_class() {
            self.by_room.find_mut(&room_key(chunk)).remove();
        }
        chunk.room.set(new);
        if new.has_class() {
            let zeroed = new.is_in(Class::Zeroed) || new.is_in(Class::EmptyZeroed);
            self.zeroed_supplies = self.zeroed_supplies.wrapping_add(u32::from(zeroed));
            self.by_room.insert(chunk);
        }
    }

    /// A chunk of a class with this kind of room: the last one again, else the first.
    #[inline(always)]
    pub fn with_room(&self, class: Class, kind: Room) -> Option<&'p Chunk<'p>> {
        let room = kind.with_class(Some(class));
        let last = self.last.get().filter(|chunk| self.has_room(chunk, room));
        last.or_else(|| self.search_room(room))
    }

    #[inline(always)]
    fn has_room(&self, chunk: &Chunk<'p>, room: Room) -> bool {
        chunk.room.get() == room && !self.is_exhausted(chunk)
    }

    #[inline(never)]
    fn search_room(&self, room: Room) -> Option<&'p Chunk<'p>> {
        let key = (room, CPtr::NULL);
        let mut first = self.by_room.lower_bound(Bound::Included(&key));
        if first.get().is_some_and(|chunk| self.is_exhausted(chunk)) {
            first.move_next();
        }
        let chunk = first.clone_pointer().filter(|chunk| self.has_room(chunk, room))?;
        self.last.set(Some(chunk));
        Some(chunk)
    }

    /// A chunk without a live object, if there is one.
    pub fn unused(&self) -> Option<&'p Chunk<'p>> {
        let key = (Room::default().with_class(Some(Class::EmptyZeroed)), CPtr::NULL);
        self.by_room.lower_bound(Bound::Included(&key)).clone_pointer()
    }

    /// The next chunk without a live object after this one.
    pub fn unused_after(&self, chunk: &'p Chunk<'p>) -> Option<&'p Chunk<'p>> {
        self.by_room.lower_bound(Bound::Excluded(&room_key(chunk))).clone_pointer()
    }

    /// The chunk and the number of the object in `slot`, where others will be wanted next.
    pub fn find(&self, slot: CPtr) -> Option<(&'p Chunk<'p>, usize)> {
        let found @ (chunk, _) = self.look_up(slot)?;
        self.last.set(Some(chunk));
        Some(found)
    }

    /// The chunk and the number of the object in `slot`.
    #[inline]
    pub fn look_up(&self, slot: CPtr) -> Option<(&'p Chunk<'p>, usize)> {
        let found = self.at_hand(slot).filter(|(chunk, _)| chunk.block().is_some());
        found.or_else(|| self.search(slot))
    }

    /// The chunk and the number of the object in `slot`, if it was looked up of late. A node that
    /// is in no tree may be what is found, and is of no kind.
    #[inline(always)]
    fn at_hand(&self, slot: CPtr) -> Option<(&'p Chunk<'p>, usize)> {
        let place = slot.bits() / RECENT_SLOTS;
        let in_place = |place: usize| {
            let chunk = self.recent[place % RECENT].get()?;
            Some((chunk, chunk.index_of(slot)?))
        };
        // Where one chunk ends and another begins in a place, each is known in the next one, too.
        in_place(place).or_else(|| in_place(place + 1)).or_else(|| in_place(place.wrapping_sub(1)))
    }

    #[inline(never)]
    fn search(&self, slot: CPtr) -> Option<(&'p Chunk<'p>, usize)> {
        let chunk = self.by_slot.upper_bound(Bound::Included(&slot)).clone_pointer()?;
        let index = chunk.index_of(slot)?;
        self.recent[slot.bits() / RECENT_SLOTS % RECENT].set(Some(chunk));
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

    /// The first chunk after this one, or of all, by slot, that has room for aliases. O(chunks).
    pub fn with_aliases(&self, after: Option<&Chunk<'p>>) -> Option<&'p Chunk<'p>> {
        let mut cursor = match after {
            Some(chunk) => self.by_slot.lower_bound(Bound::Excluded(&chunk.first())),
            None => self.by_slot.front(),
        };
        while cursor.get().is_some_and(|chunk| chunk.aliases().is_none()) {
            cursor.move_next();
        }
        cursor.clone_pointer()
    }

    /// Whether no object is zeroed before where one was found last, as it is known to be.
    pub fn knows_where_zeroed_begin(&self) -> bool {
        self.zeroed_from.is_none_or(|(chunk, word)| !chunk.has_zeroed_before(word))
    }

    /// Whether the object that was freed last is alone in its chunk where it is known to be.
    pub fn knows_what_was_freed(&self) -> bool {
        self.freed.is_none_or(|Freed { chunk, index, alone }| {
            let dirty = ObjectState::Ready { clean: false };
            !alone || chunk.state(index) != dirty || chunk.ready() == 1
        })
    }

    /// How many chunks the tree of room holds, without the one that is exhausted, and how many
    /// ought to be in it.
    pub fn room_counts(&self) -> (usize, usize) {
        let expected = self.iter().filter(|chunk| chunk.classify().is_some()).count();
        (self.by_room.iter().filter(|chunk| !self.is_exhausted(chunk)).count(), expected)
    }
}

impl Default for Chunks<'_> {
    fn default() -> Self {
        Chunks::new()
    }
}
