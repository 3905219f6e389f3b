// SPDX-License-Identifier: BSD-2-Clause
//! Who called whom, by the chain of frames on a stack. Beyond upstream.
//!
//! Programs are compiled with frame pointers (`-C force-frame-pointers`), so each function begins
//! with a frame that leads to its caller's:
//!
//! ```text
//!    higher ┌────────────────┐
//!           │ return address │
//!       ┌──►│ 0              │  the first function of a thread
//!       │   ├────────────────┤
//!       │   │ its variables  │
//!       │   │ return address │ ─► in the first function
//!       └── │ caller's frame │◄── frame pointer
//!           └────────────────┘
//! ```
//!
//! A stack that was overwritten, and code without frame pointers, leave anything in these words. So
//! nothing is read of which it is not known that it is mapped: whoever reads says so, and for the
//! calling thread it is what lies between its stack pointer and the frame of its first function.

use core::fmt;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use crate::arch::frames::{frame_pointer, stack_pointer, FRAME_IN_SYSCALL};
use crate::{FrameObjectType, UserContext, Word, WORD_SIZE};

/// The most callers that are named.
const MAX: usize = 24;
const WORD_BYTES: usize = WORD_SIZE / 8;
/// The most that a stack is taken to have.
const STACK_BYTES: usize = 16 << 20;
/// Of how many threads the first frame is remembered: of the program's first one, and of those that
/// began last.
const THREADS: usize = 128;
/// Stacks that share a page share an entry, too.
const PAGE_BYTES: usize = 1 << FrameObjectType::GRANULE.bits();

/// The addresses of the first frames, a page's each: stacks have pages of their own. The program's
/// first thread is the first to come, and keeps its entry. The end of a thread is not told here, so
/// of the others the oldest makes room: a thread older than so many others has a shorter backtrace,
/// or none.
static FIRST_FRAMES: [AtomicUsize; THREADS] = [const { AtomicUsize::new(0) }; THREADS];
/// When each was put there, as a number that grows. Apart, for want of room: every client has
/// these.
static BEGAN: [AtomicU32; THREADS] = [const { AtomicU32::new(0) }; THREADS];
/// How many threads have begun.
static BEGUN: AtomicU32 = AtomicU32::new(0);

/// Makes the calling function the one at which backtraces of the calling thread end: to be called
/// in the first function that a thread runs, as [`thread_entry!`](crate::thread_entry) without type
/// parameters does itself. Beyond upstream.
#[inline(always)]
pub fn begin_backtraces() {
    let (frame, stack) = (frame_pointer() as usize, stack_pointer() as usize);
    // In a program without frame pointers the register holds anything.
    if frame % WORD_BYTES == 0 && (stack..stack.saturating_add(STACK_BYTES)).contains(&frame) {
        remember(frame);
    }
}

/// Puts a first frame where one of its page is, or where none is yet; if there is no such place, in
/// that of the oldest.
#[inline(never)]
fn remember(frame: usize) {
    let is_free = |entry: usize| entry == 0 || entry / PAGE_BYTES == frame / PAGE_BYTES;
    let began = BEGUN.fetch_add(1, Ordering::Relaxed);
    let replace = |first| is_free(first).then_some(frame);
    let taken = FIRST_FRAMES.iter().position(|entry| {
        entry.fetch_update(Ordering::Relaxed, Ordering::Relaxed, replace).is_ok()
    });
    let age = |&index: &usize| began.wrapping_sub(BEGAN[index].load(Ordering::Relaxed));
    if let Some(index) = taken.or_else(|| (1..THREADS).max_by_key(age)) {
        FIRST_FRAMES[index].store(frame, Ordering::Relaxed);
        BEGAN[index].store(began, Ordering::Relaxed);
    }
}

/// Where a thread was, and the functions that had called each other to come there. Its `Display`
/// has addresses alone; `run.sh` has the names. Beyond upstream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Backtrace {
    instruction: Option<Word>,
    callers: [Word; MAX],
    count: u8,
    more: bool,
}

impl Backtrace {
    /// Of the calling thread, beginning with who called the calling function.
    #[inline(never)]
    pub fn of_this_thread() -> Backtrace {
        let (frame, stack) = (frame_pointer(), stack_pointer() as usize);
        let firsts = FIRST_FRAMES.iter().map(|first| first.load(Ordering::Relaxed));
        let firsts = firsts.filter(|first| (stack..stack + STACK_BYTES).contains(first));
        let first = firsts.min().unwrap_or(0);
        Backtrace::walk(None, frame, |at| {
            let inside = (stack..first).contains(&(at as usize));
            // SAFETY: between the stack pointer and the first frame of this very stack, which has
            // two words at least.
            inside.then(|| unsafe { *(at as *const [Word; 2]) })
        })
    }

    /// Of a thread that stopped with these registers; `in_syscall` says whether in a system call.
    /// `read` is asked for the two words at an address, a multiple of a word's bytes.
    pub fn of_registers(
        registers: &UserContext,
        in_syscall: bool,
        mut read: impl FnMut(Word) -> Option<[Word; 2]>,
    ) -> Backtrace {
        let frame = match FRAME_IN_SYSCALL.filter(|_| in_syscall) {
            None => *registers.fp(),
            Some(above) => read(registers.sp().wrapping_add(above)).map_or(0, |[frame, _]| frame),
        };
        Backtrace::walk(Some(*registers.pc()), frame, read)
    }

    fn walk(
        instruction: Option<Word>,
        mut frame: Word,
        mut read: impl FnMut(Word) -> Option<[Word; 2]>,
    ) -> Backtrace {
        let mut made = Backtrace { instruction, callers: [0; MAX], count: 0, more: false };
        while frame as usize % WORD_BYTES == 0 {
            // What called the first function is nothing.
            let Some([callers, back]) = read(frame).filter(|&[callers, _]| callers != 0) else {
                break;
            };
            if usize::from(made.count) == MAX {
                made.more = true;
                break;
            }
            made.callers[usize::from(made.count)] = back;
            made.count += 1;
            // A caller's frame lies above.
            if callers <= frame {
                break;
            }
            frame = callers;
        }
        made
    }

    /// Where it was, if that is not the function that asked.
    pub fn instruction(&self) -> Option<Word> {
        self.instruction
    }

    /// Where each function goes back to, the innermost first.
    pub fn callers(&self) -> &[Word] {
        &self.callers[..usize::from(self.count)]
    }

    /// Whether there are more callers than are named.
    pub fn has_more(&self) -> bool {
        self.more
    }
}

/// `0x401a2c, called from 0x4011d0 0x400f33`; without the callers if none is known.
impl fmt::Display for Backtrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.instruction, self.callers()) {
            (None, []) => return f.write_str("not known"),
            (Some(at), []) => return write!(f, "{at:#x}"),
            (None, _) => f.write_str("called from")?,
            (Some(at), _) => write!(f, "{at:#x}, called from")?,
        }
        self.callers().iter().try_for_each(|caller| write!(f, " {caller:#x}"))?;
        match self.more {
            true => f.write_str(" and more"),
            false => Ok(()),
        }
    }
}
