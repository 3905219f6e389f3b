// SPDX-License-Identifier: BSD-2-Clause
//! Who had called whom, by the chain of frames on a stack: as long as the program is compiled with
//! frame pointers (`-C force-frame-pointers=yes`), which the targets of rust-sel4 do not ask for.
//! In one that is not, the register holds anything, and the chain ends at the first word that is no
//! frame.
//!
//! A frame is two words on all architectures: its caller's frame, and the address that it returns
//! to.

use core::fmt;
use core::mem::size_of;

use sel4::{UserContext, Word};

use super::super::arch;

/// The most callers that are named.
const MAX: usize = 24;

/// Where a thread was, and the functions that had called each other to come there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Backtrace {
    instruction: Word,
    callers: [Word; MAX],
    count: usize,
    more: bool,
}

impl Backtrace {
    /// Of a thread that stopped with these registers. `read` is asked for the two words at an
    /// address, a multiple of a word's bytes.
    pub fn of_registers(
        registers: &UserContext,
        _in_syscall: bool,
        mut read: impl FnMut(Word) -> Option<[Word; 2]>,
    ) -> Backtrace {
        let instruction = *registers.pc();
        let mut made = Backtrace { instruction, callers: [0; MAX], count: 0, more: false };
        // What called the first function is nothing.
        let mut frame = arch::frame_pointer(registers);
        while frame != 0 && frame % size_of::<Word>() as Word == 0 {
            let Some([callers, back]) = read(frame.wrapping_add(arch::FRAME_AT)) else { break };
            if callers == 0 {
                break;
            }
            if made.count == MAX {
                made.more = true;
                break;
            }
            made.callers[made.count] = back;
            made.count += 1;
            // A caller's frame lies above.
            if callers <= frame {
                break;
            }
            frame = callers;
        }
        made
    }

    /// Where it was.
    pub fn instruction(&self) -> Option<Word> {
        Some(self.instruction)
    }

    /// Where each function goes back to, the innermost first; none where the program has no frame
    /// pointers.
    pub fn callers(&self) -> &[Word] {
        &self.callers[..self.count]
    }

    /// Whether there are more callers than are named.
    pub fn has_more(&self) -> bool {
        self.more
    }
}

/// `0x401a2c, called from 0x4011d0 0x400f33`; without the callers if none is known.
impl fmt::Display for Backtrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.instruction)?;
        if self.count > 0 {
            f.write_str(", called from")?;
        }
        self.callers().iter().try_for_each(|caller| write!(f, " {caller:#x}"))?;
        if self.more {
            f.write_str(" and more")?;
        }
        Ok(())
    }
}
