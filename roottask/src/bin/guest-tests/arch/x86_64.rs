// SPDX-License-Identifier: BSD-2-Clause
//! x86_64.

use core::arch::{asm, global_asm};

pub use core::arch::x86_64::{__m128, _mm_add_ps, _mm_mul_ps, _mm_set1_ps, _mm_storeu_ps};

use sel4::{sys, UnknownSyscall, UserContext, Word};

use super::InRegisters;

/// The logarithm of a large page's bytes, which are those that a page table spans.
pub const LARGE_BITS: u8 = 21;
/// The first address that is not user space: the manager leaves the last page below the addresses
/// that there are not alone.
pub const USER_END: usize = 0x7fff_ffff_f000;
/// Bytes of an IPC buffer, and its alignment.
pub const IPC_BUFFER_BYTES: usize = 1024;

global_asm!(
    ".globl probe_load",
    "probe_load: mov rax, qword ptr [rdi]",
    "    ret",
    ".globl probe_store",
    "probe_store: mov qword ptr [rdi], rsi",
    "    mov rax, rsi",
    "    ret",
    ".globl probe_undefined",
    "probe_undefined: ud2",
    "    ret",
    ".globl probe_syscall",
    "probe_syscall:",
    "    mov rdx, rdi",
    "    push rbx",
    "    mov rbx, rsp",
    "    syscall",
    "    mov rsp, rbx",
    "    pop rbx",
    "    ret",
    ".globl probe_call_from",
    "probe_call_from: push rbp",
    "    mov rbp, rsi",
    "    call rdi",
    "    pop rbp",
    "    ret",
);

extern "C" {
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
    fault.rdx()
}

/// Puts a value into an SSE register, lets others run, and reads the register.
pub fn keep_in_register(value: Word) -> Word {
    let kept: Word;
    // SAFETY: the template uses its operands only, and the system call between the two moves is
    // seL4_Yield, which keeps all registers but those named.
    unsafe {
        asm!(
            "movq xmm7, {value}",
            "mov r12, rsp",
            "xor edi, edi",
            "xor esi, esi",
            "syscall",
            "mov rsp, r12",
            "movq {kept}, xmm7",
            value = in(reg) value,
            kept = lateout(reg) kept,
            in("rdx") sel4::sys::SysYield as isize,
            out("rdi") _, out("rsi") _, out("r10") _, out("r8") _, out("r9") _, out("r15") _,
            out("rcx") _, out("r11") _, out("r12") _, out("xmm7") _,
            options(nostack),
        );
    }
    kept
}

/// The word `userData` (behind tag and message) of the calling thread's IPC buffer, by what leads
/// to it: GS.
pub fn own_buffer_word() -> Word {
    let word: Word;
    // SAFETY: reads a word of the IPC buffer.
    unsafe {
        asm!("mov {}, qword ptr gs:[8 + 8 * 120]", out(reg) word, options(nostack, readonly));
    }
    word
}

/// The first word at the thread pointer.
pub fn first_tls_word() -> Word {
    let word;
    // SAFETY: the test gave the thread a TLS base that leads to a word.
    unsafe { asm!("mov {}, qword ptr fs:[0]", out(reg) word, options(nostack, readonly)) };
    word
}

/// The values of the three thread-local variables, and the address of the third.
pub fn thread_locals() -> ([u32; 3], usize) {
    let (first, second, clear, base);
    // SAFETY: FS leads to the thread's own block, with its own address in the first word.
    unsafe {
        asm!(
            "mov {0:e}, dword ptr fs:[guest_tests_tls_first@tpoff]",
            "mov {1:e}, dword ptr fs:[guest_tests_tls_second@tpoff]",
            "mov {2:e}, dword ptr fs:[guest_tests_tls_clear@tpoff]",
            "mov {3}, qword ptr fs:[0]",
            "lea {3}, [{3} + guest_tests_tls_clear@tpoff]",
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
        asm!("mov dword ptr fs:[guest_tests_tls_first@tpoff], {0:e}", in(reg) value,
            options(nostack));
    }
}

/// Gives each register that a thread may have a number of its own.
pub fn number_registers(context: &mut UserContext) {
    let r = context.inner_mut();
    (r.rax, r.rbx, r.rcx, r.rdx) = (1, 2, 3, 4);
    (r.rsi, r.rdi, r.rbp, r.rip, r.rsp) = (5, 6, 7, 0x8000, 0x9000);
    (r.r8, r.r9, r.r10, r.r11) = (8, 9, 10, 11);
    // More than 32 bits of one.
    (r.r12, r.r13, r.r14, r.r15) = (12, 13, 14, 0x8000_0000_0000_000f);
}

/// The register of the first result.
pub fn result(context: &UserContext) -> Word {
    context.inner().rax
}

/// System calls that take their messages in registers alone.
pub const IN_REGISTERS: Option<InRegisters> = Some(InRegisters {
    call: |dest, info, [a, b, c, d]| {
        sys::seL4_CallWithMRsWithoutIPCBuffer(dest, info, Some(a), Some(b), Some(c), Some(d))
    },
    receive: |src, [a, b, c, d]| {
        sys::seL4_RecvWithMRsWithoutIPCBuffer(src, Some(a), Some(b), Some(c), Some(d), ())
    },
    reply: |info, [a, b, c, d]| sys::seL4_ReplyWithMRsWithoutIPCBuffer(info, a, b, c, d),
    send: |dest, info, [a, b, c, d]| sys::seL4_SendWithMRsWithoutIPCBuffer(dest, info, a, b, c, d),
    nb_send: |dest, info, [a, b, c, d]| {
        sys::seL4_NBSendWithMRsWithoutIPCBuffer(dest, info, a, b, c, d)
    },
});

/// `mov rax, [address]; ud2`, and where in it the second is.
pub fn code_that_loads(address: usize) -> ([u8; 16], usize) {
    let mut code = [0; 16];
    code[..2].copy_from_slice(&[0x48, 0xa1]);
    code[2..10].copy_from_slice(&address.to_le_bytes());
    code[10..12].copy_from_slice(&[0x0f, 0x0b]);
    (code, 10)
}
