// SPDX-License-Identifier: BSD-2-Clause
//! riscv32 and riscv64: paging structures, execution; the registers.

use core::arch::asm;

use sel4::sys::{self, seL4_Error, seL4_IPCBuffer};
use sel4::{cap, CPtrBits, TranslationTableObjectType, UserContext, VmAttributes, Word};
use untyped_alloc::{CachePolicy, Rights};

/// Where addresses of user space end.
pub const USER_TOP: usize = sys::seL4_UserTop as usize;

/// What a function finds above its stack pointer: nothing, as `ra` has the address that it returns
/// to.
pub const CALL_BYTES: usize = 0;

/// Where a thread's thread-local storage is; 0 for none.
pub fn thread_pointer(registers: &UserContext) -> Word {
    registers.inner().tp
}

/// Says where a thread's thread-local storage is; and its global pointer, which is the program's.
pub fn set_thread_pointer(registers: &mut UserContext, pointer: Word) {
    let global: Word;
    // SAFETY: reads a register.
    unsafe { asm!("mv {}, gp", out(reg) global, options(nomem, nostack, preserves_flags)) };
    registers.inner_mut().tp = pointer;
    registers.inner_mut().gp = global;
}

/// Where a frame's two words lie, seen from the frame pointer: below it.
pub const FRAME_AT: Word = 0usize.wrapping_sub(2 * size_of::<Word>()) as Word;

/// The frame pointer, where the program was compiled with one.
pub fn frame_pointer(registers: &UserContext) -> Word {
    registers.inner().s0
}

/// The name and the value of each register, the first four those that say where a thread was.
pub fn named(registers: &UserContext) -> impl AsRef<[(&'static str, Word)]> {
    let r = registers.inner();
    [
        ("pc", r.pc),
        ("sp", r.sp),
        ("s0", r.s0),
        ("ra", r.ra),
        ("a0", r.a0),
        ("a1", r.a1),
        ("a2", r.a2),
        ("a3", r.a3),
        ("a4", r.a4),
        ("a5", r.a5),
        ("a6", r.a6),
        ("a7", r.a7),
        ("t0", r.t0),
        ("t1", r.t1),
        ("t2", r.t2),
        ("t3", r.t3),
        ("t4", r.t4),
        ("t5", r.t5),
        ("t6", r.t6),
        ("s1", r.s1),
        ("s2", r.s2),
        ("s3", r.s3),
        ("s4", r.s4),
        ("s5", r.s5),
        ("s6", r.s6),
        ("s7", r.s7),
        ("s8", r.s8),
        ("s9", r.s9),
        ("s10", r.s10),
        ("s11", r.s11),
    ]
}

super::receives!(["ecall"], "a7", ["a0", "a1"], ["a2", "a3", "a4", "a5"], []);

/// Unmaps a paging structure. The kernel refuses to unmap the root.
pub fn unmap_table(
    buffer: &mut seL4_IPCBuffer,
    table: CPtrBits,
    ty: TranslationTableObjectType,
) -> seL4_Error::Type {
    match ty {
        TranslationTableObjectType::PageTable => buffer.seL4_RISCV_PageTable_Unmap(table),
    }
}

/// Whether instructions are fetched from memory. How it is cached is the machine's to say: the
/// kernel has no policies.
pub fn attributes(_cache: CachePolicy, allowed: Rights) -> VmAttributes {
    match allowed.contains(Rights::EXECUTE) {
        true => VmAttributes::DEFAULT,
        false => VmAttributes::DEFAULT | VmAttributes::EXECUTE_NEVER,
    }
}

/// Has instructions be fetched from a page that was just mapped as they were written.
#[inline]
pub fn make_coherent(
    page: cap::UnspecifiedPage,
    _vaddr: usize,
    allowed: Rights,
    _cache: CachePolicy,
) {
    if allowed.contains(Rights::EXECUTE) {
        unify(page, 0);
    }
}

/// Makes what was written to a mapped page what is fetched from it, by this processor.
pub fn unify(_page: cap::UnspecifiedPage, _bytes: usize) {
    // SAFETY: orders this processor's fetches after its writes; the kernel runs on one processor.
    unsafe { asm!("fence.i", options(nostack, preserves_flags)) };
}
