// SPDX-License-Identifier: BSD-2-Clause
//! The state of each object of a chunk, in two bitmaps.
//!
//! ```text
//!                          alloc                 free
//!   ready, zeroed or dirty ─────► live ──────────────► ready, dirty     (objects are recycled)
//!   free = 1, flag: zeroed        free = 0, flag = 0
//!                                       ──────────────► retired         (objects are destroyed)
//!                                                       free = 0, flag = 1
//! ```

use core::cell::Cell;

use crate::types::{ObjectState, MAX_BATCH};

/// Objects of which a word of each bitmap knows.
pub(super) const WORD: usize = 32;
const WORDS: usize = MAX_BATCH / WORD;

/// Why a chunk is worth finding.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Class {
    /// Partly used, with a zeroed object to allocate.
    Zeroed,
    /// Partly used, with only dirty objects to allocate.
    Dirty,
    /// Unused; its first ready object is zeroed.
    EmptyZeroed,
    /// Unused, all dirty.
    EmptyDirty,
    /// Unused and with nothing to allocate, but the kernel refused to destroy it: retried.
    Quarantine,
}

/// 256 bits, shared by reference.
#[derive(Default)]
pub(super) struct Bits([Cell<u32>; WORDS]);

impl Bits {
    /// Whether a bit is set.
    pub fn get(&self, bit: usize) -> bool {
        self.0[bit / 32].get() >> (bit % 32) & 1 == 1
    }

    /// Sets or clears the bits of a mask in a word.
    #[inline]
    fn put(&self, word: usize, mask: u32, value: bool) {
        let old = self.0[word].get();
        self.0[word].set(if value { old | mask } else { old & !mask });
    }

    /// Sets or clears one bit.
    pub fn set(&self, bit: usize, value: bool) {
        self.put(bit / 32, 1 << (bit % 32), value);
    }

    /// Sets the first `count` bits and clears the others.
    pub fn set_first(&self, count: usize) {
        for (index, word) in self.0.iter().enumerate() {
            let bits = count.saturating_sub(index * 32).min(32) as u32;
            word.set(u32::MAX.checked_shr(32 - bits).unwrap_or(0));
        }
    }

    /// How many bits are set.
    pub fn count(&self) -> usize {
        self.0.iter().map(|word| word.get().count_ones() as usize).sum()
    }
}

/// Calls `f` for each word that some of `count` bits from `first` on lie in, with a mask of them.
#[inline]
fn each_word(first: usize, count: usize, mut f: impl FnMut(usize, u32)) {
    if count == 1 {
        return f(first / 32, 1 << (first % 32));
    }
    let (mut at, end) = (first, first + count);
    while at < end {
        let (low, bits) = (at % 32, (32 - at % 32).min(end - at));
        f(at / 32, (u32::MAX >> (32 - bits)) << low);
        at += bits;
    }
}

/// The states of up to 256 objects. Those from the chunk's count on are neither ready nor retired.
#[derive(Default)]
pub struct ObjectMap {
    /// A set bit: the object is ready to be allocated.
    free: Bits,
    /// With `free`: the object is full of zeros. Without: it is retired.
    flag: Bits,
}

impl ObjectMap {
    /// Starts over: the first `count` objects are ready and zeroed.
    pub fn reset(&self, count: usize) {
        self.free.set_first(count);
        self.flag.set_first(count);
    }

    /// The state of object number `index` (below 256).
    pub fn state(&self, index: usize) -> ObjectState {
        match (self.free.get(index), self.flag.get(index)) {
            (true, clean) => ObjectState::Ready { clean },
            (false, false) => ObjectState::Live,
            (false, true) => ObjectState::Gone,
        }
    }

    /// Gives `count` objects from number `first` on a state.
    #[inline]
    pub fn set(&self, first: usize, count: usize, state: ObjectState) {
        let (free, flag) = match state {
            ObjectState::Ready { clean } => (true, clean),
            ObjectState::Live => (false, false),
            ObjectState::Gone => (false, true),
        };
        each_word(first, count, |word, mask| {
            self.free.put(word, mask, free);
            self.flag.put(word, mask, flag);
        });
    }

    /// Whether `count` objects from number `first` on are neither ready nor retired.
    pub fn none_ready_or_retired(&self, first: usize, count: usize) -> bool {
        let mut any = 0;
        each_word(first, count, |word, mask| {
            any |= (self.free.0[word].get() | self.flag.0[word].get()) & mask;
        });
        any == 0
    }

    /// How many objects are ready.
    pub fn ready(&self) -> usize {
        self.free.count()
    }

    /// How many objects are ready and not zeroed.
    pub fn ready_dirty(&self) -> usize {
        let words = self.free.0.iter().zip(&self.flag.0);
        words.map(|(free, flag)| (free.get() & !flag.get()).count_ones() as usize).sum()
    }

    /// How many objects are flagged: the retired ones, where no object is ready.
    pub fn flagged(&self) -> usize {
        self.flag.count()
    }

    /// Whether some object is ready, and whether some ready object is zeroed.
    pub fn room(&self) -> (bool, bool) {
        let (mut ready, mut zeroed) = (0, 0);
        for (free, flag) in self.free.0.iter().zip(&self.flag.0) {
            ready |= free.get();
            zeroed |= free.get() & flag.get();
            if zeroed != 0 {
                break;
            }
        }
        (ready != 0, zeroed != 0)
    }

    /// The class of a chunk with these objects, of which none is live if it is `unused`.
    pub fn classify(&self, unused: bool) -> Option<Class> {
        let (ready, zeroed) = self.room();
        match (unused, ready, zeroed) {
            (true, false, _) => Some(Class::Quarantine),
            (true, true, true) => Some(Class::EmptyZeroed),
            (true, true, false) => Some(Class::EmptyDirty),
            (false, false, _) => None,
            (false, true, true) => Some(Class::Zeroed),
            (false, true, false) => Some(Class::Dirty),
        }
    }

    /// Allocates the first zeroed object, unless there is no other. None is in a word before number
    /// `from`.
    #[inline(always)]
    pub fn alloc_zeroed(&self, from: usize) -> Option<usize> {
        // Mostly it is in that word.
        let mut word = from % WORDS;
        if self.zeroed(word) == 0 {
            word = (word..WORDS).find(|&word| self.zeroed(word) != 0)?;
        }
        let zeroed = self.zeroed(word);
        let rest = zeroed & (zeroed - 1);
        if rest == 0 && self.is_last_zeroed_word(word) {
            return None;
        }
        let taken = zeroed ^ rest;
        let (free, flag) = (&self.free.0[word], &self.flag.0[word]);
        free.set(free.get() ^ taken);
        flag.set(flag.get() ^ taken);
        Some(word * 32 + taken.trailing_zeros() as usize)
    }

    /// Allocates the first dirty object, unless there is no other in its word of the bitmaps.
    #[inline(always)]
    pub fn alloc_dirty(&self) -> Option<usize> {
        let word = (0..WORDS).find(|&word| self.dirty(word) != 0)?;
        let dirty = self.dirty(word);
        let rest = dirty & (dirty - 1);
        if rest == 0 {
            return None;
        }
        let (taken, free) = (dirty ^ rest, &self.free.0[word]);
        free.set(free.get() ^ taken);
        Some(word * WORD + taken.trailing_zeros() as usize)
    }

    /// The dirty objects of a word, by bits.
    #[inline(always)]
    fn dirty(&self, word: usize) -> u32 {
        self.free.0[word].get() & !self.flag.0[word].get()
    }

    /// Whether an object in a word before number `word` is zeroed.
    pub fn has_zeroed_before(&self, word: usize) -> bool {
        (0..word).any(|word| self.zeroed(word) != 0)
    }

    /// The zeroed objects of a word, by bits.
    #[inline(always)]
    fn zeroed(&self, word: usize) -> u32 {
        self.free.0[word].get() & self.flag.0[word].get()
    }

    /// Whether an object of one kind (`zeroed` or not) is ready in the word that number `index` is
    /// in.
    #[inline]
    pub fn has_ready_beside(&self, index: usize, zeroed: bool) -> bool {
        let (free, flag) = (self.free.0[index / 32].get(), self.flag.0[index / 32].get());
        free & if zeroed { flag } else { !flag } != 0
    }

    /// Allocates `count` objects from number `first` on if all are zeroed, one word of a bitmap
    /// knows of them all, and they are not the last zeroed ones.
    #[inline(always)]
    pub fn alloc_zeroed_run(&self, first: usize, count: usize) -> bool {
        let (word, low) = (first / WORD, first % WORD);
        let (Some(free), Some(flag)) = (self.free.0.get(word), self.flag.0.get(word)) else {
            return false;
        };
        if count == 0 || low + count > WORD {
            return false;
        }
        let (zeroed, taken) = (free.get() & flag.get(), u32::MAX >> (WORD - count) << low);
        if zeroed & taken != taken || (zeroed == taken && self.is_last_zeroed_word(word)) {
            return false;
        }
        free.set(free.get() ^ taken);
        flag.set(flag.get() ^ taken);
        true
    }

    /// Makes object number `index` ready and dirty if it is live.
    #[inline(always)]
    pub fn free_live(&self, index: usize) -> bool {
        let (word, freed) = (index / 32, 1 << (index % 32));
        let (Some(free), Some(flag)) = (self.free.0.get(word), self.flag.0.get(word)) else {
            return false;
        };
        let live = (free.get() | flag.get()) & freed == 0;
        if live {
            free.set(free.get() | freed);
        }
        live
    }

    /// Whether no word but this one has a zeroed object.
    #[inline(never)]
    fn is_last_zeroed_word(&self, word: usize) -> bool {
        // The next one first, as objects are mostly allocated in order.
        let mut others = (1..WORDS).map(|distance| (word + distance) % WORDS);
        others.all(|other| self.free.0[other].get() & self.flag.0[other].get() == 0)
    }

    /// The longest run of at most `want` ready objects of one kind (`zeroed` or not) that starts at
    /// the first of that kind: its first number and length.
    pub fn first_run(&self, want: usize, zeroed: bool) -> Option<(usize, usize)> {
        let pick = |word: usize| {
            let (free, flag) = (self.free.0[word].get(), self.flag.0[word].get());
            free & if zeroed { flag } else { !flag }
        };
        let word = (0..WORDS).find(|&word| pick(word) != 0)?;
        let first = word * 32 + pick(word).trailing_zeros() as usize;
        let mut end = first;
        while end < MAX_BATCH && end - first < want {
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
