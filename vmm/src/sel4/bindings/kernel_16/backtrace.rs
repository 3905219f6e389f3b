// SPDX-License-Identifier: BSD-2-Clause
//! Who had called whom, as far as it is known: where a thread was, and no callers. The targets of
//! rust-sel4 are compiled without frame pointers.

use core::fmt;

use sel4::{UserContext, Word};

/// Where a thread was. With `kernel-5` it has the callers, too.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Backtrace {
    instruction: Word,
}

impl Backtrace {
    /// Of a thread that stopped with these registers. Its stack is not read.
    pub fn of_registers(
        registers: &UserContext,
        _in_syscall: bool,
        _read: impl FnMut(Word) -> Option<[Word; 2]>,
    ) -> Backtrace {
        Backtrace { instruction: *registers.pc() }
    }

    /// Where it was.
    pub fn instruction(&self) -> Option<Word> {
        Some(self.instruction)
    }
}

impl fmt::Display for Backtrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.instruction)
    }
}
