// SPDX-License-Identifier: BSD-2-Clause
//! A thread's place in the queues, as it is noted with its record.

use core::cell::Cell;

/// What the slot of a thread for a right to answer is there for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(crate) enum Queue {
    /// For nothing: there is none, or what it keeps waits for the end of its thread; or without a
    /// limit for a page to be told of, by which it is found.
    #[default]
    None,
    /// It can keep a right.
    Free,
    /// It keeps one that is to be used now.
    Answers,
    /// It keeps none: the thread itself is held, and goes on now.
    Threads,
    /// What it keeps waits for this turnstile.
    Turnstile(u8),
    /// Whose right it keeps sleeps, or waits for no longer than so: the order is the time of its
    /// end.
    Asleep,
    /// Whose right it keeps waits for memory that this guarantee lacks: the order is its turn.
    Waiting(u32),
}

impl Queue {
    /// Whether what it is there for is done now.
    pub fn is_due(self) -> bool {
        matches!(self, Queue::Answers | Queue::Threads)
    }
}

/// A place in a queue.
pub(crate) type Place = (Queue, u64);

/// What a thread is in the course of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(crate) enum Course {
    /// Of nothing.
    #[default]
    None,
    /// It goes on that was suspended.
    GoesOn,
    /// It is being taken apart alone.
    Ends,
}

/// What the trees know of a thread: for its record.
#[derive(Default)]
pub(crate) struct Noted {
    pub place: Cell<Place>,
    /// The number of the program of which its slot keeps something; 0: of none.
    pub whose: Cell<u32>,
    pub course: Cell<Course>,
    /// The memory object of whose pages is to be told by its slot, and the turn; 0: of none.
    pub tells: Cell<(u32, u64)>,
    /// Whether it is counted as one with a slot.
    pub counted: Cell<bool>,
}
