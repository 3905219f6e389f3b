// SPDX-License-Identifier: BSD-2-Clause
//! A thread's registers on x86_64.

use crate::objects::{Registers, REGISTERS};

/// Bytes of a large page.
pub const LARGE_PAGE_BYTES: usize = 2 << 20;

/// How many words of a message they are.
const USED: usize = 18;

/// A thread's registers, in the order in which they are in a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[allow(missing_docs)] // those that are called what the processor's manual calls them
pub struct UserRegisters {
    /// The instruction pointer.
    pub rip: usize,
    /// The stack pointer. Behind a system call the kernel leaves none here: who makes one keeps it
    /// in another register (`sel4` in `r12`), and puts it back with the next instruction.
    pub rsp: usize,
    /// The flags: of these those of arithmetic and direction can be changed.
    pub rflags: usize,
    pub rax: usize,
    pub rbx: usize,
    pub rcx: usize,
    pub rdx: usize,
    pub rsi: usize,
    pub rdi: usize,
    pub rbp: usize,
    pub r8: usize,
    pub r9: usize,
    pub r10: usize,
    pub r11: usize,
    pub r12: usize,
    pub r13: usize,
    pub r14: usize,
    pub r15: usize,
}

impl UserRegisters {
    /// The instruction pointer.
    pub const fn pc(&self) -> usize {
        self.rip
    }

    /// The stack pointer.
    pub const fn sp(&self) -> usize {
        self.rsp
    }

    /// Has it go on elsewhere.
    pub fn set_pc(&mut self, address: usize) {
        self.rip = address;
    }

    /// Gives it another stack pointer.
    pub fn set_sp(&mut self, address: usize) {
        self.rsp = address;
    }
}

impl From<Registers> for UserRegisters {
    fn from(Registers(words): Registers) -> Self {
        let [rip, rsp, rflags, rax, rbx, rcx, rdx, rsi, rdi, rbp, ..] = words;
        let [.., r8, r9, r10, r11, r12, r13, r14, r15] = words;
        UserRegisters {
            rip,
            rsp,
            rflags,
            rax,
            rbx,
            rcx,
            rdx,
            rsi,
            rdi,
            rbp,
            r8,
            r9,
            r10,
            r11,
            r12,
            r13,
            r14,
            r15,
        }
    }
}

impl From<UserRegisters> for Registers {
    fn from(of: UserRegisters) -> Self {
        let UserRegisters {
            rip,
            rsp,
            rflags,
            rax,
            rbx,
            rcx,
            rdx,
            rsi,
            rdi,
            rbp,
            r8,
            r9,
            r10,
            r11,
            r12,
            r13,
            r14,
            r15,
        } = of;
        let mut words = [0; REGISTERS];
        words[..USED].copy_from_slice(&[
            rip, rsp, rflags, rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14,
            r15,
        ]);
        Registers(words)
    }
}
