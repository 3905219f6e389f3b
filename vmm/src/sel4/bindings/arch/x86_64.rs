// SPDX-License-Identifier: BSD-2-Clause
//! x86_64: the kinds of paging structures, and of caching; the registers.

use core::mem::offset_of;

use sel4::sys::{seL4_Error, seL4_IPCBuffer, seL4_UserContext, seL4_X86_VMAttributes as words};
use sel4::{cap, CPtrBits, TranslationTableObjectType, UserContext, VmAttributes, Word};
use untyped_alloc::{CachePolicy, Rights};

/// Where addresses of user space end: those of the lower half but for the last page.
pub const USER_TOP: usize = 0x7fff_ffff_f000;

/// Which of a thread's registers is the base of its thread-local storage: the one behind R15, which
/// bindings name after the register that it goes to or after what it is for.
const TLS_BASE: usize = offset_of!(seL4_UserContext, r15) / size_of::<Word>() + 1;

/// What a function finds above its stack pointer: the address that it returns to.
pub const CALL_BYTES: usize = size_of::<Word>();

/// Does nothing: caches agree.
#[inline(always)]
pub fn make_coherent(
    _page: cap::UnspecifiedPage,
    _vaddr: usize,
    _allowed: Rights,
    _cache: CachePolicy,
) {
}

/// Does nothing: what was written is what is fetched.
#[inline(always)]
pub fn unify(_page: cap::UnspecifiedPage, _bytes: usize) {}

/// Where a thread's thread-local storage is; 0 for none.
pub fn thread_pointer(registers: &UserContext) -> Word {
    let first = core::ptr::from_ref(registers.inner()).cast::<Word>();
    // SAFETY: the structure is words, and has one behind R15.
    unsafe { first.add(TLS_BASE).read() }
}

/// Says where a thread's thread-local storage is, and what else a thread's registers have at first.
pub fn set_thread_pointer(registers: &mut UserContext, pointer: Word) {
    let first = core::ptr::from_mut(registers.inner_mut()).cast::<Word>();
    // SAFETY: as above.
    unsafe { first.add(TLS_BASE).write(pointer) }
}

/// Where a frame's two words lie, seen from the frame pointer.
pub const FRAME_AT: Word = 0;

/// The frame pointer, where the program was compiled with one.
pub fn frame_pointer(registers: &UserContext) -> Word {
    registers.inner().rbp
}

/// The name and the value of each register, the first four those that say where a thread was.
pub fn named(registers: &UserContext) -> impl AsRef<[(&'static str, Word)]> {
    let r = registers.inner();
    [
        ("rip", r.rip),
        ("rsp", r.rsp),
        ("rbp", r.rbp),
        ("rflags", r.rflags),
        ("rax", r.rax),
        ("rbx", r.rbx),
        ("rcx", r.rcx),
        ("rdx", r.rdx),
        ("rsi", r.rsi),
        ("rdi", r.rdi),
        ("r8", r.r8),
        ("r9", r.r9),
        ("r10", r.r10),
        ("r11", r.r11),
        ("r12", r.r12),
        ("r13", r.r13),
        ("r14", r.r14),
        ("r15", r.r15),
    ]
}

// The stack pointer is put back.
super::receives!(
    ["mov r14, rsp", "syscall", "mov rsp, r14"],
    "rdx",
    ["rdi", "rsi"],
    ["r10", "r8", "r9", "r15"],
    ["rcx", "r11", "r14"]
);

/// Unmaps a paging structure; the root, which is not mapped anywhere, is none to be unmapped.
pub fn unmap_table(
    buffer: &mut seL4_IPCBuffer,
    table: CPtrBits,
    ty: TranslationTableObjectType,
) -> seL4_Error::Type {
    match ty {
        TranslationTableObjectType::PDPT => buffer.seL4_X86_PDPT_Unmap(table),
        TranslationTableObjectType::PageDirectory => buffer.seL4_X86_PageDirectory_Unmap(table),
        TranslationTableObjectType::PageTable => buffer.seL4_X86_PageTable_Unmap(table),
        // The root, and tables of an IOMMU.
        _ => seL4_Error::seL4_IllegalOperation,
    }
}

/// How memory is cached. Nothing is said of execution, which the kernel cannot forbid.
pub fn attributes(cache: CachePolicy, _allowed: Rights) -> VmAttributes {
    match cache {
        CachePolicy::WriteBack => VmAttributes::DEFAULT,
        CachePolicy::WriteThrough => VmAttributes::from_inner(words::seL4_X86_WriteThrough),
        CachePolicy::Uncached => VmAttributes::CACHE_DISABLED,
        CachePolicy::WriteCombining => VmAttributes::from_inner(words::seL4_X86_WriteCombining),
    }
}
