// SPDX-License-Identifier: BSD-2-Clause
//! Who had called whom in a thread that faulted: its stack is looked at, in whatever space it is.

use core::mem::size_of;

use sel4::{UserContext, Word};

use super::{Manager, ThreadFault};
use crate::sel4::bindings::Backtrace;
use crate::types::ids::SpaceId;

/// What is read of a stack at a time, in bytes: as a rule all frames lie in one such piece.
const PIECE: usize = 512;
const WORD: usize = size_of::<Word>();

/// The backtrace of a thread with these registers. Takes no kernel calls where it runs in the
/// manager's space, elsewhere [`crate::Vmm::read`]'s for each piece of the stack. What is not
/// mapped is not touched: there the backtrace ends.
pub(super) fn backtrace(
    vmm: &mut Manager,
    space: SpaceId,
    registers: &UserContext,
    fault: ThreadFault,
) -> Backtrace {
    let in_syscall =
        matches!(fault, ThreadFault::Capability { .. } | ThreadFault::UnknownSyscall { .. });
    let mut piece = [0; PIECE];
    // Where the piece was read, and how much of it.
    let (mut start, mut length) = (0, 0);
    Backtrace::of_registers(registers, in_syscall, |at| {
        let at = at as usize;
        let held = |start: usize, length: usize| at >= start && at - start + 2 * WORD <= length;
        if !held(start, length) {
            let page_bytes = vmm.geometry().page_bytes();
            let in_page = PIECE.min(page_bytes - at % page_bytes);
            // A frame that lies across the end of a page.
            (start, length) = (at, in_page.max(2 * WORD));
            if vmm.read(space, start, &mut piece[..length]).is_err() {
                length = 0;
                return None;
            }
        }
        let word = |at: usize| {
            let bytes = piece[at..at + WORD].try_into().unwrap_or_default();
            Word::from_ne_bytes(bytes)
        };
        Some([word(at - start), word(at - start + WORD)])
    })
}
