// SPDX-License-Identifier: BSD-2-Clause
//! Blocks in memory that comes and goes by pieces.

use core::alloc::Layout;
use core::ptr::NonNull;

use talc::{ErrOnOom, Span, Talc};

use crate::pieces::{Claimed, Piece, Pieces};

/// Pieces are a multiple of so many bytes long.
pub const PAGE_BYTES: usize = 4096;
/// The least bytes of a piece, as a rule: what the service and the manager map at one go.
const MIN_BYTES: usize = 64 * PAGE_BYTES;
/// What a piece has beside one block, in words: talc's marks at either end, and of the block.
const OVERHEAD: usize = 16 * size_of::<usize>();

/// A heap without a lock.
pub struct Heap {
    talc: Talc<ErrOnOom>,
    pieces: Pieces,
}

// SAFETY: its pointers lead to memory that is its own, which goes with it.
unsafe impl Send for Heap {}

impl Heap {
    /// One without memory.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Heap {
        Heap { talc: Talc::new(ErrOnOom), pieces: Pieces::new() }
    }

    /// Gives it memory that it keeps for ever; the first of it has to, since its lists are there.
    /// Returns whether there is enough of it.
    ///
    /// # Safety
    /// The memory must be nobody else's, for as long as the heap is used.
    pub unsafe fn keep(&mut self, start: *mut u8, bytes: usize) -> bool {
        // SAFETY: by the caller's promise.
        unsafe { self.talc.claim(Span::from_base_size(start, bytes)) }.is_ok()
    }

    /// Gives it a piece, in which blocks are handed out from now on.
    ///
    /// # Errors
    /// The piece, if it is too small, or there are too many.
    ///
    /// # Safety
    /// The memory must be nobody else's until the piece is returned, and not at address 0.
    pub unsafe fn add(&mut self, piece: Piece) -> Result<(), Piece> {
        if self.pieces.is_full() || piece.bytes < PAGE_BYTES {
            return Err(piece);
        }
        let memory = Span::from_base_size(piece.start as *mut u8, piece.bytes);
        // SAFETY: by the caller's promise.
        let span = unsafe { self.talc.claim(memory) }.map_err(|()| piece)?;
        self.pieces.insert(Claimed { piece, span });
        Ok(())
    }

    /// The bytes of a piece for a block that there is no room for: what is best, and the least that
    /// does; `None` if there can be no such piece.
    pub fn wanted(&self, layout: Layout) -> Option<(usize, usize)> {
        let least = layout.size().checked_add(layout.align())?.checked_add(OVERHEAD)?;
        let least = least.checked_next_multiple_of(PAGE_BYTES)?;
        // So that there are few: the heap grows by an eighth each time.
        let eighth = (self.pieces.bytes() / 8).next_multiple_of(PAGE_BYTES);
        (!self.pieces.is_full()).then(|| (least.max(MIN_BYTES).max(eighth), least))
    }

    /// A block, or `None` where there is no room.
    ///
    /// # Safety
    /// The size must not be 0.
    pub unsafe fn alloc(&mut self, layout: Layout) -> Option<NonNull<u8>> {
        // SAFETY: by the caller's promise.
        unsafe { self.talc.malloc(layout) }.ok()
    }

    /// Takes a block back. If nothing is left in its piece and another is empty too, that piece is
    /// the heap's no more: one stays for what is allocated next.
    ///
    /// # Safety
    /// The block must be one of this heap's and of this layout, and not used any more.
    pub unsafe fn free(&mut self, block: NonNull<u8>, layout: Layout) -> Option<Piece> {
        // SAFETY: by the caller's promise.
        unsafe { self.talc.free(block, layout) };
        let own = self.pieces.at(block.as_ptr() as usize)?;
        if !self.is_empty(&own) {
            return None;
        }
        let other = |other: &&Claimed| other.piece.start != own.piece.start && self.is_empty(other);
        let other = *self.pieces.iter().find(other)?;
        // The larger of the two.
        self.remove(if own.piece.bytes < other.piece.bytes { other } else { own })
    }

    /// Makes a block shorter, or longer where the memory behind it is free; returns whether it is.
    ///
    /// # Safety
    /// The block must be one of this heap's and of this layout; the new size must not be 0.
    pub unsafe fn resize(&mut self, block: NonNull<u8>, layout: Layout, size: usize) -> bool {
        if size <= layout.size() {
            // SAFETY: by the caller's promise.
            unsafe { self.talc.shrink(block, layout, size) };
            return true;
        }
        // SAFETY: by the caller's promise.
        unsafe { self.talc.grow_in_place(block, layout, size) }.is_ok()
    }

    /// A piece that nothing is left in, which is the heap's no more.
    pub fn take_empty(&mut self) -> Option<Piece> {
        let empty = *self.pieces.iter().find(|claimed| self.is_empty(claimed))?;
        self.remove(empty)
    }

    /// Bytes of all pieces.
    pub fn bytes(&self) -> usize {
        self.pieces.bytes()
    }

    fn is_empty(&self, claimed: &Claimed) -> bool {
        // SAFETY: the span is what `claim` returned, and was not changed since.
        unsafe { self.talc.get_allocated_span(claimed.span) }.is_empty()
    }

    fn remove(&mut self, empty: Claimed) -> Option<Piece> {
        let piece = self.pieces.remove(empty.piece.start)?;
        // SAFETY: the span is what `claim` returned, and no block is in it.
        unsafe { self.talc.truncate(empty.span, Span::empty()) };
        Some(piece)
    }
}
