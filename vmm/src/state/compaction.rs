// SPDX-License-Identifier: BSD-2-Clause
//! What is remembered of compaction between two requests.

/// How far compaction may go, how far it went, and what is left of it.
pub(crate) struct CompactionState {
    /// Pages that were moved so far.
    pub moved_pages: u64,
    /// The most pages that are moved for one request.
    pub most_pages: usize,
    /// The size, in bits, of the block that was being emptied when that limit was reached.
    pub due: Option<u8>,
    /// When a block was last looked for in vain: its size in bits, and the allocator's number of
    /// supplies then. A request that is refused again and again is to cost no survey each time.
    fruitless: Option<(u8, u32)>,
}

impl Default for CompactionState {
    fn default() -> Self {
        CompactionState { moved_pages: 0, most_pages: usize::MAX, due: None, fruitless: None }
    }
}

impl CompactionState {
    /// Remembers that no block of 2^`bits` bytes can be emptied.
    pub fn note_fruitless(&mut self, bits: u8, supplies: u32) {
        self.fruitless = Some((bits, supplies));
    }

    /// The least size, in bits, of which no block can be emptied, as far as is known.
    pub fn known_fruitless(&self, supplies: u32) -> Option<u8> {
        self.fruitless.filter(|&(_, then)| then == supplies).map(|(least, _)| least)
    }

    /// Whether it is known that no block of 2^`bits` bytes can be emptied.
    pub fn is_fruitless(&self, bits: u8, supplies: u32) -> bool {
        self.known_fruitless(supplies).is_some_and(|least| least <= bits)
    }

    /// Pages may move that could not, for another reason than that memory came back: a block is
    /// looked for anew.
    pub fn look_again(&mut self) {
        self.fruitless = None;
    }
}
