// SPDX-License-Identifier: BSD-2-Clause
//! aarch64: paging structures; the registers.

use sel4::sys::{self, seL4_Error, seL4_IPCBuffer};
use sel4::{CPtrBits, TranslationTableObjectType, UserContext, Word};

/// Where addresses of user space end.
pub const USER_TOP: usize = sys::seL4_UserTop as usize + 1;

/// The sizes of pages, in bits: the kernel refuses more than a page has.
pub const PAGE_BITS: [u8; 3] = [30, 21, 12];

/// What a function finds above its stack pointer: nothing, as X30 has the address that it returns
/// to.
pub const CALL_BYTES: usize = 0;

/// Where a thread's thread-local storage is; 0 for none.
pub fn thread_pointer(registers: &UserContext) -> Word {
    registers.inner().tpidr_el0
}

/// Says where a thread's thread-local storage is.
pub fn set_thread_pointer(registers: &mut UserContext, pointer: Word) {
    registers.inner_mut().tpidr_el0 = pointer;
}

/// Where a frame's two words lie, seen from the frame pointer.
pub const FRAME_AT: Word = 0;

/// The frame pointer, where the program was compiled with one.
pub fn frame_pointer(registers: &UserContext) -> Word {
    registers.inner().x29
}

/// The name and the value of each register, the first four those that say where a thread was.
pub fn named(registers: &UserContext) -> impl AsRef<[(&'static str, Word)]> {
    let r = registers.inner();
    [
        ("pc", r.pc),
        ("sp", r.sp),
        ("x29", r.x29),
        ("spsr", r.spsr),
        ("x0", r.x0),
        ("x1", r.x1),
        ("x2", r.x2),
        ("x3", r.x3),
        ("x4", r.x4),
        ("x5", r.x5),
        ("x6", r.x6),
        ("x7", r.x7),
        ("x8", r.x8),
        ("x9", r.x9),
        ("x10", r.x10),
        ("x11", r.x11),
        ("x12", r.x12),
        ("x13", r.x13),
        ("x14", r.x14),
        ("x15", r.x15),
        ("x16", r.x16),
        ("x17", r.x17),
        ("x18", r.x18),
        ("x19", r.x19),
        ("x20", r.x20),
        ("x21", r.x21),
        ("x22", r.x22),
        ("x23", r.x23),
        ("x24", r.x24),
        ("x25", r.x25),
        ("x26", r.x26),
        ("x27", r.x27),
        ("x28", r.x28),
        ("x30", r.x30),
    ]
}

super::receives!(["svc 0"], "x7", ["x0", "x1"], ["x2", "x3", "x4", "x5"], []);

/// Unmaps a paging structure; the root, which is not mapped anywhere, is none to be unmapped.
pub fn unmap_table(
    buffer: &mut seL4_IPCBuffer,
    table: CPtrBits,
    ty: TranslationTableObjectType,
) -> seL4_Error::Type {
    match ty {
        TranslationTableObjectType::PT => buffer.seL4_ARM_PageTable_Unmap(table),
        TranslationTableObjectType::VSpace => seL4_Error::seL4_IllegalOperation,
    }
}
