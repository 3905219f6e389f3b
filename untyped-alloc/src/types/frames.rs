// SPDX-License-Identifier: BSD-2-Clause
//! Runs of frames that were handed out, clean or dirty by type.

use super::capability::CPtr;

/// A run of frames: capabilities in consecutive slots.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frames {
    /// The first frame's capability.
    pub first: CPtr,
    /// How many there are, 1 to 256.
    pub count: usize,
    /// Logarithm of the size of one, in bytes.
    pub size_bits: u8,
}

/// Whether frames may be replaced by others while they are in use.
///
/// A batch of frames comes back only as a whole. So those that may be replaced are taken from other
/// batches than those that must stay, as long as there is memory: what stays keeps its own batch
/// from coming back, and no other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mobility {
    /// They stay until they are freed.
    Fixed,
    /// Whoever maps them can put others in their place.
    Movable,
}

/// Frames full of zeros that nobody has used.
#[must_use = "frames that are dropped are lost: map them or free them"]
#[derive(PartialEq, Eq, Debug)]
pub struct Zeroed(Frames);

/// Frames with somebody's data in them.
#[must_use = "frames that are dropped are lost: zero them or free them"]
#[derive(PartialEq, Eq, Debug)]
pub struct Dirty(Frames);

impl Zeroed {
    /// Whoever calls this knows that every byte of the frames is zero.
    pub(crate) const fn new(frames: Frames) -> Zeroed {
        Zeroed(frames)
    }

    /// The frames, to be mapped.
    pub fn frames(&self) -> Frames {
        self.0
    }
}

impl Dirty {
    pub(crate) const fn new(frames: Frames) -> Dirty {
        Dirty(frames)
    }

    /// The frames, to be zeroed.
    pub fn frames(&self) -> Frames {
        self.0
    }

    /// The frames, now that every byte of them has been set to zero. Whoever calls this has done
    /// so.
    pub fn zeroed(self) -> Zeroed {
        Zeroed(self.0)
    }
}

/// Frames that were allocated.
#[derive(PartialEq, Eq, Debug)]
pub enum AllocatedFrames {
    /// Frames that can be mapped as they are.
    Zeroed(Zeroed),
    /// Frames that must be zeroed first.
    Dirty(Dirty),
}
