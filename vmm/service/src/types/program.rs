// SPDX-License-Identifier: BSD-2-Clause
//! A client's program, and a thread of it that is ready to run.

use vmm::CPtr;

/// What a client's program is to be.
#[derive(Clone, Copy, Debug)]
pub struct Program<'a> {
    /// Its ELF file.
    pub file: &'a [u8],
    /// Pages of its stack.
    pub stack_pages: usize,
    /// Whether it may have pages that can be written and run. As a rule that is no program's wish,
    /// but a way in for others: say `false`.
    pub writable_code: bool,
}

/// What the registers of a new thread are to be. It does not run before they are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Start {
    /// Its thread control block.
    pub tcb: CPtr,
    /// Its first instruction.
    pub entry: usize,
    /// The address behind its stack, page-aligned.
    pub stack_top: usize,
    /// The address of its IPC buffer.
    pub ipc_buffer: usize,
    /// Its thread pointer, or 0: its program has no thread-local storage.
    pub thread_pointer: usize,
}
