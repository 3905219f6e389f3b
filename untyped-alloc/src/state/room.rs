// SPDX-License-Identifier: BSD-2-Clause
//! What the tree of chunks with room is sorted by, in one word: a step down that tree, and a look
//! whether a chunk is the one wanted, is one comparison.
//!
//! ```text
//!   bit  31        24        18        17        16         8         0
//!         │  class  │  mixed  │ movable │recycles │  kind   │  size   │
//! ```

use super::object_map::Class;
use crate::types::{Blueprint, Mobility};

const CLASS_SHIFT: u32 = 24;
const MIXED: u32 = 1 << 18;
const MOVABLE: u32 = 1 << 17;
const RECYCLES: u32 = 1 << 16;
const KIND_SHIFT: u32 = 8;

/// The class of a chunk (if it has one), whether what is allocated from it may be moved (or some of
/// it), whether it recycles, and what its objects are; ordered in this way. The default is less
/// than that of any chunk.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Room(u32);

impl Room {
    /// Of a chunk without a class, for what must stay where it is.
    #[inline]
    pub fn new(recycles: bool, blueprint: Blueprint) -> Room {
        Room((u32::from(recycles) * RECYCLES) | code(blueprint))
    }

    /// The same in another class.
    #[inline]
    pub fn with_class(self, class: Option<Class>) -> Room {
        let class = class.map_or(0, |class| class as u32 + 1);
        Room(self.0 & !(u32::MAX << CLASS_SHIFT) | class << CLASS_SHIFT)
    }

    /// The same for what may be moved, or for what must stay where it is.
    #[inline]
    pub fn with_mobility(self, mobility: Mobility) -> Room {
        let movable = u32::from(mobility == Mobility::Movable) * MOVABLE;
        Room(self.0 & !(MIXED | MOVABLE) | movable)
    }

    /// The same for chunks from which both were allocated.
    #[inline]
    pub fn mixed(self) -> Room {
        Room(self.0 & !MOVABLE | MIXED)
    }

    /// What is allocated there: what may be moved, or what must stay where it is; `None` where both
    /// were.
    #[inline]
    pub fn mobility(self) -> Option<Mobility> {
        match self.0 & (MIXED | MOVABLE) {
            0 => Some(Mobility::Fixed),
            MOVABLE => Some(Mobility::Movable),
            _ => None,
        }
    }

    /// Whether it is one of chunks that recycle objects of this kind.
    #[inline]
    pub fn recycles_as(self, blueprint: Blueprint) -> bool {
        self.with_class(None).with_mobility(Mobility::Fixed) == Room::new(true, blueprint)
    }

    /// Whether it has a class.
    #[inline]
    pub fn has_class(self) -> bool {
        self.0 >> CLASS_SHIFT != 0
    }

    /// Whether it is in this class.
    #[inline(always)]
    pub fn is_in(self, class: Class) -> bool {
        self.0 >> CLASS_SHIFT == class as u32 + 1
    }

    /// Whether objects that come back are allocated again.
    #[inline]
    pub fn recycles(self) -> bool {
        self.0 & RECYCLES != 0
    }

    /// The size of the objects, in bits, where they have different ones; a table's level.
    #[inline]
    pub fn size(self) -> u8 {
        self.0 as u8
    }

    /// What the objects are.
    #[inline]
    pub fn blueprint(self) -> Blueprint {
        let size = self.size();
        match self.0 >> KIND_SHIFT & 0xff {
            0 => Blueprint::Untyped { size_bits: size },
            1 => Blueprint::Tcb,
            2 => Blueprint::Endpoint,
            3 => Blueprint::Notification,
            4 => Blueprint::CNode { radix_bits: size },
            5 => Blueprint::Frame { size_bits: size },
            _ => Blueprint::Table { level: size },
        }
    }
}

/// A number for each blueprint, in their order.
fn code(blueprint: Blueprint) -> u32 {
    let (kind, size) = match blueprint {
        Blueprint::Untyped { size_bits } => (0, size_bits),
        Blueprint::Tcb => (1, 0),
        Blueprint::Endpoint => (2, 0),
        Blueprint::Notification => (3, 0),
        Blueprint::CNode { radix_bits } => (4, radix_bits),
        Blueprint::Frame { size_bits } => (5, size_bits),
        Blueprint::Table { level } => (6, level),
    };
    kind << KIND_SHIFT | u32::from(size)
}
