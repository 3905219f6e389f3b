// SPDX-License-Identifier: BSD-2-Clause
//! IA32.

use core::arch::{asm, global_asm};

pub use core::arch::x86::{__m128, _mm_add_ps, _mm_mul_ps, _mm_set1_ps, _mm_storeu_ps};

use sel4::{UnknownSyscall, UserContext, Word};

use super::InRegisters;

/// The logarithm of a large page's bytes, which are those that a page table spans.
pub const LARGE_BITS: u8 = 22;
/// The first address that is not user space.
pub const USER_END: usize = 0xe000_0000;
/// Bytes of an IPC buffer, and its alignment.
pub const IPC_BUFFER_BYTES: usize = 512;

global_asm!(
    ".globl probe_load",
    "probe_load: mov eax, dword ptr [ecx]",
    "    ret",
    ".globl probe_store",
    "probe_store: mov dword ptr [ecx], edx",
    "    mov eax, edx",
    "    ret",
    ".globl probe_undefined",
    "probe_undefined: ud2",
    "    ret",
    ".globl probe_syscall",
    "probe_syscall:",
    "    push ebp",
    "    push ebx",
    "    push esi",
    "    push edi",
    "    mov eax, ecx",
    "    mov ecx, esp",
    "    lea edx, [2f]",
    "2:  sysenter",
    "    pop edi",
    "    pop esi",
    "    pop ebx",
    "    pop ebp",
    "    ret",
    ".globl probe_call_from",
    "probe_call_from: push ebp",
    "    mov ebp, edx",
    "    sub esp, 8",
    "    call ecx",
    "    add esp, 8",
    "    pop ebp",
    "    ret",
);

extern "fastcall" {
    /// Loads a word.
    pub fn probe_load(address: usize) -> Word;
    /// Stores a word, and returns it.
    pub fn probe_store(address: usize, value: Word) -> Word;
    /// Executes an instruction that no processor has.
    pub fn probe_undefined(argument: usize) -> Word;
    /// Makes the system call of this number.
    pub fn probe_syscall(number: Word) -> Word;
    /// Calls a function as one would whose frame lies at this address.
    pub fn probe_call_from(function: extern "C" fn() -> Word, frame: usize) -> Word;
}

/// The register in which an unknown system call had its number.
pub fn number_of(fault: &UnknownSyscall) -> Word {
    fault.eax()
}

/// Puts a value into an SSE register, lets others run, and reads the register.
pub fn keep_in_register(value: Word) -> Word {
    // SAFETY: the template uses its operands only, and a system call between the two moves is
    // seL4_Yield, which keeps all registers but those named.
    unsafe { asm!("movd xmm7, {0:e}", in(reg) value, out("xmm7") _, options(nostack)) };
    let kept: Word;
    // SAFETY: as above.
    unsafe {
        asm!(
            "movd xmm7, {value:e}",
            "push ebx",
            "push esi",
            "push edi",
            "push ebp",
            "xor esi, esi",
            "xor edi, edi",
            "mov ecx, esp",
            "lea edx, [2f]",
            "2: sysenter",
            "pop ebp",
            "pop edi",
            "pop esi",
            "pop ebx",
            "movd eax, xmm7",
            value = in(reg) value,
            inout("eax") sel4::sys::SysYield => kept,
            out("ecx") _,
            out("edx") _,
            out("xmm7") _,
        );
    }
    kept
}

/// The word `userData` (behind tag and message) of the calling thread's IPC buffer, by what leads
/// to it: FS, which must have its selector.
pub fn own_buffer_word() -> Word {
    let (selector, word): (Word, Word);
    // SAFETY: reads a selector, and a word of the IPC buffer.
    unsafe {
        asm!("mov {0:e}, fs", "mov {1:e}, dword ptr fs:[4 + 4 * 120]",
            out(reg) selector, out(reg) word, options(nostack, readonly));
    }
    assert!(selector == sel4::sys::IPCBUF_GDT_SELECTOR);
    word
}

/// The first word at the thread pointer.
pub fn first_tls_word() -> Word {
    let word;
    // SAFETY: the test gave the thread a TLS base that leads to a word.
    unsafe { asm!("mov {}, dword ptr gs:[0]", out(reg) word, options(nostack, readonly)) };
    word
}

/// The values of the three thread-local variables, and the address of the third.
pub fn thread_locals() -> ([u32; 3], usize) {
    let (first, second, clear, base);
    // SAFETY: GS leads to the thread's own block, with its own address in the first word.
    unsafe {
        asm!(
            "mov {0:e}, dword ptr gs:[guest_tests_tls_first@ntpoff]",
            "mov {1:e}, dword ptr gs:[guest_tests_tls_second@ntpoff]",
            "mov {2:e}, dword ptr gs:[guest_tests_tls_clear@ntpoff]",
            "mov {3:e}, dword ptr gs:[0]",
            "lea {3:e}, [{3:e} + guest_tests_tls_clear@ntpoff]",
            out(reg) first, out(reg) second, out(reg) clear, out(reg) base,
            options(nostack, readonly),
        );
    }
    ([first, second, clear], base)
}

/// Writes the first thread-local variable.
pub fn set_first(value: u32) {
    // SAFETY: as above; the variable is the thread's own.
    unsafe {
        asm!("mov dword ptr gs:[guest_tests_tls_first@ntpoff], {0:e}", in(reg) value,
            options(nostack));
    }
}

/// Gives each register that a thread may have a number of its own.
pub fn number_registers(context: &mut UserContext) {
    let r = context.inner_mut();
    (r.eax, r.ebx, r.ecx, r.edx) = (1, 2, 3, 4);
    (r.esi, r.edi, r.ebp, r.eip, r.esp) = (5, 6, 7, 0x8000, 0x9000);
}

/// The register of the first result.
pub fn result(context: &UserContext) -> Word {
    context.inner().eax
}

/// `mov eax, [address]; ud2`, and where in it the second is.
pub fn code_that_loads(address: usize) -> ([u8; 16], usize) {
    let mut code = [0; 16];
    code[0] = 0xa1;
    code[1..5].copy_from_slice(&address.to_le_bytes());
    code[5..7].copy_from_slice(&[0x0f, 0x0b]);
    (code, 5)
}

/// There are registers for two words only.
pub const IN_REGISTERS: Option<InRegisters> = None;
