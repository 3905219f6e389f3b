// SPDX-License-Identifier: BSD-2-Clause
//! Slots of the program's CNode that are free, as far as its own handles know: a bit for each,
//! which threads may set at the same time.

use core::sync::atomic::{AtomicU32, Ordering};

use sel4::{cap, Word};

use super::error::{Error, Result};
use crate::objects::{CNODE_BITS, CNODE_SLOT, FIRST_FREE_SLOT};

const WORDS: usize = (1 << CNODE_BITS) / 32;

/// The bits of slots that are taken.
static TAKEN: [AtomicU32; WORDS] = {
    let mut taken = [const { AtomicU32::new(0) }; WORDS];
    taken[0] = AtomicU32::new((1 << FIRST_FREE_SLOT) - 1);
    taken
};

/// Takes a slot that no handle has.
///
/// # Errors
/// [`Error::OutOfSlots`].
pub fn take_slot() -> Result<u32> {
    for (index, word) in TAKEN.iter().enumerate() {
        let take = |bits: u32| (bits != u32::MAX).then(|| bits | 1 << bits.trailing_ones());
        if let Ok(before) = word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
            return Ok(index as u32 * 32 + before.trailing_ones());
        }
    }
    Err(Error::OutOfSlots)
}

/// Takes a slot in which something is already.
pub(super) fn mark_taken(slot: u32) {
    if let Some(word) = TAKEN.get(slot as usize / 32) {
        word.fetch_or(1 << (slot % 32), Ordering::Relaxed);
    }
}

/// Deletes the capability in a slot, if there is one, and gives the slot back. One kernel call.
pub fn empty_slot(slot: u32) {
    let own = cap::CNode::from_bits(CNODE_SLOT as Word);
    let path = own.absolute_cptr_from_bits_with_depth(slot as Word, CNODE_BITS.into());
    // A slot that is not there has nothing in it.
    if path.delete().is_ok() {
        free_slot(slot);
    }
}

/// Gives a slot back, which is empty.
pub fn free_slot(slot: u32) {
    if let Some(word) = TAKEN.get(slot as usize / 32).filter(|_| slot >= FIRST_FREE_SLOT) {
        word.fetch_and(!(1 << (slot % 32)), Ordering::Relaxed);
    }
}
