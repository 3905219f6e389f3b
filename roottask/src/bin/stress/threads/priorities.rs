// SPDX-License-Identifier: BSD-2-Clause
//! Priorities of threads, and our own beside them.
//!
//! Two threads never have the same priority, and none has that of the thread that answers their
//! faults. So who runs is never decided by a timer, and the same seed gives the same course.

use alloc::vec::Vec;

use roottask::Outcome;
use sel4::init_thread::slot;
use sel4::Word;

use crate::engine::Stress;

/// Our own priority outside of phases that have threads.
const HIGHEST: Word = 255;
/// The lowest priority that is given.
const LOWEST: Word = 100;

/// Gives the thread that answers faults a priority.
pub fn set_own_priority(priority: Word) -> Outcome {
    Ok(slot::TCB.cap().tcb_set_priority(slot::TCB.cap(), priority)?)
}

/// Gives it the usual one again.
pub fn restore_own_priority() -> Outcome {
    set_own_priority(HIGHEST)
}

impl Stress {
    /// Different priorities for as many threads, in any order.
    pub fn priorities(&mut self, count: usize) -> Vec<Word> {
        let mut priorities: Vec<Word> = (0..count).map(|rank| LOWEST + 2 * rank as Word).collect();
        self.random.shuffle(&mut priorities);
        priorities
    }

    /// A priority for ourselves beside as many threads: below all of them as a rule, so that all of
    /// them wait to be answered at once, or between them.
    pub fn own_priority(&mut self, count: usize) -> Word {
        match self.random.once_in(3) {
            true => LOWEST - 1 + 2 * self.random.below(count + 1) as Word,
            false => self.lowest_priority(),
        }
    }

    /// A priority for ourselves below all threads: when we run, none of them can.
    pub fn lowest_priority(&self) -> Word {
        LOWEST - 1
    }
}
