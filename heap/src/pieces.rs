// SPDX-License-Identifier: BSD-2-Clause
//! The pieces that a heap has, by address.

use talc::Span;

/// The most pieces of a heap. Each is an eighth of what there is at least, unless there is not that
/// much to be had: 128 of them are more than any address space.
pub const MAX_PIECES: usize = 128;

/// Memory that a heap has from a source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Piece {
    /// The address of its first byte.
    pub start: usize,
    /// Bytes.
    pub bytes: usize,
    /// What the source knows it by.
    pub token: usize,
}

/// A piece, and what of it can be handed out.
#[derive(Clone, Copy)]
pub(crate) struct Claimed {
    pub piece: Piece,
    pub span: Span,
}

/// Pieces in the order of their addresses.
pub(crate) struct Pieces {
    all: [Claimed; MAX_PIECES],
    count: usize,
    bytes: usize,
}

impl Pieces {
    pub const fn new() -> Pieces {
        let none = Claimed { piece: Piece { start: 0, bytes: 0, token: 0 }, span: Span::empty() };
        Pieces { all: [none; MAX_PIECES], count: 0, bytes: 0 }
    }

    /// Bytes of all of them.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn is_full(&self) -> bool {
        self.count == MAX_PIECES
    }

    pub fn iter(&self) -> impl Iterator<Item = &Claimed> {
        self.all[..self.count].iter()
    }

    /// Adds one; there is room for it.
    pub fn insert(&mut self, claimed: Claimed) {
        let at = self.behind(claimed.piece.start);
        self.all.copy_within(at..self.count, at + 1);
        self.all[at] = claimed;
        self.count += 1;
        self.bytes += claimed.piece.bytes;
    }

    /// The one in which an address lies, if it lies in any.
    pub fn at(&self, address: usize) -> Option<Claimed> {
        let last = self.all[..self.behind(address)].last()?;
        (address - last.piece.start < last.piece.bytes).then_some(*last)
    }

    /// Takes out the one that begins at an address.
    pub fn remove(&mut self, start: usize) -> Option<Piece> {
        let at = self.behind(start).checked_sub(1)?;
        let piece = self.all[at].piece;
        if piece.start != start {
            return None;
        }
        self.all.copy_within(at + 1..self.count, at);
        self.count -= 1;
        self.bytes -= piece.bytes;
        Some(piece)
    }

    /// How many begin at an address or below it.
    fn behind(&self, address: usize) -> usize {
        self.all[..self.count].partition_point(|claimed| claimed.piece.start <= address)
    }
}
