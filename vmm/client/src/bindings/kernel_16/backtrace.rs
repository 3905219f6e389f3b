// SPDX-License-Identifier: BSD-2-Clause
//! Who had called whom, by the chain of frames on the calling thread's stack: as long as the
//! program is compiled with frame pointers (`-C force-frame-pointers=yes`), which the targets of
//! rust-sel4 do not ask for. Of one that is not, nothing is known.
//!
//! Nothing is read but what lies between a thread's stack pointer and the frame of its first
//! function, which is remembered when it begins.

use core::mem::size_of;
use core::sync::atomic::{AtomicUsize, Ordering};

use sel4::Word;

use super::super::arch;
use crate::types::limits::{MAX_THREADS, PAGE_BYTES};

/// The most callers that are named.
const MAX: usize = 24;
/// The most that a stack is taken to have.
const STACK_BYTES: usize = 16 << 20;

/// The first frames, of the threads that began last. Stacks have pages of their own.
static FIRST_FRAMES: [AtomicUsize; MAX_THREADS as usize] =
    [const { AtomicUsize::new(0) }; MAX_THREADS as usize];
/// How many threads had no place of their own: the next takes that of another.
static LATE: AtomicUsize = AtomicUsize::new(0);

/// Remembers the frame of a thread's first function. In a program without frame pointers the
/// register holds anything.
pub fn begin(frame: usize, stack: usize) {
    let is_frame = frame % size_of::<Word>() == 0
        && (stack..stack.saturating_add(STACK_BYTES)).contains(&frame);
    if is_frame {
        remember(frame);
    }
}

#[inline(never)]
fn remember(frame: usize) {
    let is_free = |entry: usize| entry == 0 || entry / PAGE_BYTES == frame / PAGE_BYTES;
    let taken = FIRST_FRAMES.iter().any(|entry| {
        let replace = |first| is_free(first).then_some(frame);
        entry.fetch_update(Ordering::Relaxed, Ordering::Relaxed, replace).is_ok()
    });
    if !taken {
        // That of the program's first thread stays.
        let late = LATE.fetch_add(1, Ordering::Relaxed) % (FIRST_FRAMES.len() - 1);
        FIRST_FRAMES[late + 1].store(frame, Ordering::Relaxed);
    }
}

/// The functions that had called each other to come where the calling thread is.
pub struct Backtrace {
    callers: [Word; MAX],
    count: usize,
}

impl Backtrace {
    /// Of the calling thread, beginning with who called the calling function.
    #[inline(never)]
    pub fn of_this_thread() -> Backtrace {
        let (mut frame, stack) = (arch::frame_pointer(), arch::stack_pointer());
        let stacks_end = stack.saturating_add(STACK_BYTES);
        let firsts = FIRST_FRAMES.iter().map(|first| first.load(Ordering::Relaxed));
        let mut made = Backtrace { callers: [0; MAX], count: 0 };
        let Some(first) = firsts.filter(|first| (stack..stacks_end).contains(first)).min() else {
            return made;
        };
        let last = first.wrapping_add_signed(arch::FRAME_AT);
        loop {
            let at = frame.wrapping_add_signed(arch::FRAME_AT);
            if at % size_of::<Word>() != 0 || !(stack..=last).contains(&at) {
                break;
            }
            // SAFETY: aligned, and from the stack pointer up to the first frame of this very stack,
            // which has both words.
            let [callers, back] = unsafe { *(at as *const [Word; 2]) };
            if callers == 0 || made.count == MAX {
                break;
            }
            made.callers[made.count] = back;
            made.count += 1;
            // A caller's frame lies above.
            if callers as usize <= frame {
                break;
            }
            frame = callers as usize;
        }
        made
    }

    /// Where each function goes back to, the innermost first.
    pub fn callers(&self) -> &[Word] {
        &self.callers[..self.count]
    }
}
