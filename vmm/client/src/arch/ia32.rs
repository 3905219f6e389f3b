// SPDX-License-Identifier: BSD-2-Clause
//! A thread's registers on IA32.

use crate::objects::{Registers, REGISTERS};

/// Bytes of a large page.
pub const LARGE_PAGE_BYTES: usize = 4 << 20;

/// How many words of a message they are.
const USED: usize = 10;

/// A thread's registers, in the order in which they are in a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[allow(missing_docs)] // those that are called what the processor's manual calls them
pub struct UserRegisters {
    /// The instruction pointer.
    pub eip: usize,
    /// The stack pointer.
    pub esp: usize,
    /// The flags: of these those of arithmetic and direction can be changed.
    pub eflags: usize,
    pub eax: usize,
    pub ebx: usize,
    pub ecx: usize,
    pub edx: usize,
    pub esi: usize,
    pub edi: usize,
    pub ebp: usize,
}

impl UserRegisters {
    /// The instruction pointer.
    pub const fn pc(&self) -> usize {
        self.eip
    }

    /// The stack pointer.
    pub const fn sp(&self) -> usize {
        self.esp
    }

    /// Has it go on elsewhere.
    pub fn set_pc(&mut self, address: usize) {
        self.eip = address;
    }

    /// Gives it another stack pointer.
    pub fn set_sp(&mut self, address: usize) {
        self.esp = address;
    }
}

impl From<Registers> for UserRegisters {
    fn from(Registers(words): Registers) -> Self {
        let [eip, esp, eflags, eax, ebx, ecx, edx, esi, edi, ebp, ..] = words;
        UserRegisters { eip, esp, eflags, eax, ebx, ecx, edx, esi, edi, ebp }
    }
}

impl From<UserRegisters> for Registers {
    fn from(of: UserRegisters) -> Self {
        let UserRegisters { eip, esp, eflags, eax, ebx, ecx, edx, esi, edi, ebp } = of;
        let mut words = [0; REGISTERS];
        words[..USED].copy_from_slice(&[eip, esp, eflags, eax, ebx, ecx, edx, esi, edi, ebp]);
        Registers(words)
    }
}
