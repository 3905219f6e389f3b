// SPDX-License-Identifier: BSD-2-Clause
//! aarch32: paging structures; the registers.

use sel4::sys::{self, seL4_Error, seL4_IPCBuffer};
use sel4::{CPtrBits, TranslationTableObjectType, UserContext, Word};

/// Where addresses of user space end, which depends on the platform.
pub const USER_TOP: usize = sys::seL4_UserTop as usize;

/// The sizes of pages, in bits: the kernel refuses more than a page has.
pub const PAGE_BITS: [u8; 2] = [20, 12];

/// What a function finds above its stack pointer: nothing, as R14 has the address that it returns
/// to.
pub const CALL_BYTES: usize = 0;

/// Where a thread's thread-local storage is; 0 for none.
pub fn thread_pointer(registers: &UserContext) -> Word {
    registers.inner().tpidrurw
}

/// Says where a thread's thread-local storage is.
pub fn set_thread_pointer(registers: &mut UserContext, pointer: Word) {
    registers.inner_mut().tpidrurw = pointer;
}

/// Where a frame's two words lie, seen from the frame pointer.
pub const FRAME_AT: Word = 0;

/// The frame pointer, where the program was compiled with one.
pub fn frame_pointer(registers: &UserContext) -> Word {
    registers.inner().r11
}

/// The name and the value of each register, the first four those that say where a thread was.
pub fn named(registers: &UserContext) -> impl AsRef<[(&'static str, Word)]> {
    let r = registers.inner();
    [
        ("pc", r.pc),
        ("sp", r.sp),
        ("r11", r.r11),
        ("cpsr", r.cpsr),
        ("r0", r.r0),
        ("r1", r.r1),
        ("r2", r.r2),
        ("r3", r.r3),
        ("r4", r.r4),
        ("r5", r.r5),
        ("r6", r.r6),
        ("r7", r.r7),
        ("r8", r.r8),
        ("r9", r.r9),
        ("r10", r.r10),
        ("r12", r.r12),
        ("r14", r.r14),
    ]
}

super::receives!(["svc 0"], "r7", ["r0", "r1"], ["r2", "r3", "r4", "r5"], []);

/// Unmaps a paging structure; the root, which is not mapped anywhere, is none to be unmapped.
pub fn unmap_table(
    buffer: &mut seL4_IPCBuffer,
    table: CPtrBits,
    ty: TranslationTableObjectType,
) -> seL4_Error::Type {
    match ty {
        TranslationTableObjectType::PT => buffer.seL4_ARM_PageTable_Unmap(table),
        TranslationTableObjectType::PD => seL4_Error::seL4_IllegalOperation,
    }
}
