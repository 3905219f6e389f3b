// SPDX-License-Identifier: BSD-2-Clause
//! IA32.

use core::arch::global_asm;

use vmm_client::UserRegisters;

/// Replaces the thread's own variable of this name, of 32 bits, by a value; its old value.
#[macro_export]
macro_rules! exchange_thread_local {
    ($name:literal, $value:expr) => {{
        let found: u32;
        // SAFETY: GS leads to the thread's own block, which no other thread accesses.
        unsafe {
            ::core::arch::asm!(
                concat!("mov {0:e}, dword ptr gs:[", $name, "@ntpoff]"),
                concat!("mov dword ptr gs:[", $name, "@ntpoff], {1:e}"),
                out(reg) found, in(reg) $value, options(nostack),
            );
        }
        found
    }};
}

global_asm!(
    ".text",
    ".global clients_load",
    "clients_load: mov eax, [ecx]",
    ".global clients_behind_load",
    "clients_behind_load: ret",
);

extern "fastcall" {
    fn clients_load(address: usize) -> usize;
    fn clients_behind_load();
}

/// What is in memory: one instruction.
pub fn load(address: usize) -> usize {
    // SAFETY: it reads a word, or has a fault.
    unsafe { clients_load(address) }
}

/// The address of this instruction, and of the one behind it.
pub fn load_instruction() -> (usize, usize) {
    (clients_load as *const () as usize, clients_behind_load as *const () as usize)
}

/// Has the instruction loaded a value in a thread with these registers.
pub fn set_loaded(registers: &mut UserRegisters, value: usize) {
    registers.eax = value;
}

/// Raises the exception of an instruction that there is not: vector 6.
pub fn undefined_instruction() {
    // SAFETY: the thread is suspended at it.
    unsafe { core::arch::asm!("ud2", options(nomem, nostack)) }
}
