// SPDX-License-Identifier: BSD-2-Clause
//! Thread-local storage, for a program that has any. The initial thread's is there when `main`
//! starts; for other threads there are [`block_size`] and [`lay_out`].
//!
//! The layout of x86 (the ABI's variant II): the thread pointer (the base of GS on IA32, of FS on
//! x86_64) points just behind the block, at a word that holds its own address, and variables lie at
//! negative offsets from it.
//!
//! ```text
//!     block  data                                  thread pointer
//!     │      │ ◄───────────── below ─────────────► │ own address │ 0 … │
//!     │      │ .tdata (filesz bytes) │ .tbss │     │
//!            ▲ as vaddr, modulo align              ▲ 0, modulo align
//! ```
//!
//! The offsets are the linker's, from the thread pointer: [`Layout`] says what they follow from.
//!
//! seL4 5.0.0 sets that base from `tls_base` of the thread's registers, which a thread cannot write
//! for itself. It can copy them from another thread: so a TCB is made for the purpose, given the
//! registers, copied from, and deleted.

use core::cell::UnsafeCell;

use sel4::init_thread::{slot, Slot};
use sel4::{cap_type, BootInfoPtr, ObjectBlueprint, TlsSegment, UserContext, Word};

use crate::panicking::abort_with;

/// The words at the thread pointer: its own address, and what C compilers expect behind it.
const THREAD_CONTROL_BLOCK: usize = 64;

/// Where a thread's variables and its thread pointer lie, as the linker took for granted when it
/// filled in the offsets. Beyond upstream.
///
/// The thread pointer is a multiple of the segment's alignment, and each variable has its address
/// in the segment modulo that: so the segment's own address counts, where it is not aligned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    /// Bytes from the first variable to the thread pointer: the least that are enough.
    below: usize,
    /// The alignment of the thread pointer: the segment's, or that of the word there.
    align: usize,
    /// Bytes for a block that may begin anywhere.
    size: usize,
}

impl Layout {
    /// The layout for a segment at `vaddr`, of `memsz` bytes, aligned to `align` (a power of two;
    /// 0 is 1): the fields of its program header.
    pub const fn new(vaddr: usize, memsz: usize, align: usize) -> Layout {
        let segment_align = if align == 0 { 1 } else { align };
        let missing = vaddr.wrapping_add(memsz).wrapping_neg() & (segment_align - 1);
        let below = memsz + missing;
        let word = align_of::<Word>();
        let align = if segment_align < word { word } else { segment_align };
        Layout { below, align, size: below + align - 1 + THREAD_CONTROL_BLOCK }
    }

    /// The bytes of a block, wherever it begins.
    pub const fn block_size(self) -> usize {
        self.size
    }

    /// The thread pointer in the block that begins at `block`.
    pub const fn thread_pointer(self, block: usize) -> usize {
        (block + self.below).next_multiple_of(self.align)
    }

    /// The address of the first variable in that block.
    pub const fn data(self, block: usize) -> usize {
        self.thread_pointer(block) - self.below
    }
}

fn layout(segment: &TlsSegment) -> Layout {
    Layout::new(segment.address, segment.memory_bytes, segment.align)
}

/// The most bytes of thread-local variables without an initial value.
const MAX_CLEAR: usize = 2048;

/// The loader of seL4 5.0.0 takes every program header for a segment to be loaded (elf32_load,
/// elf64_load): of thread-local variables it clears, behind the initial values, as many bytes as
/// there are variables without one. The linker gives these bytes no place, so what comes next in
/// the image would be lost: this does, as linkers place it there (where they make a part of the
/// image read-only after relocation, so `-z norelro` must not be given). Writable, as that part is.
#[used]
#[unsafe(link_section = ".data.rel.ro")]
static CLEARED_BY_THE_KERNEL: Cleared = Cleared(UnsafeCell::new([0; MAX_CLEAR]));

#[repr(transparent)]
struct Cleared(#[allow(dead_code)] UnsafeCell<[u8; MAX_CLEAR]>);

// SAFETY: nobody reads or writes it.
unsafe impl Sync for Cleared {}

/// The bytes that [`lay_out`] needs for one thread; 0 when the program has no thread-local
/// variables. Beyond upstream.
pub fn block_size() -> usize {
    sel4::tls_segment().map_or(0, |segment| layout(&segment).block_size())
}

/// Lays out the thread-local variables of a new thread at `block`, with their initial values, and
/// says what its `tls_base` must be: set it in the thread's [`UserContext`]. Beyond upstream.
///
/// Nothing is written, and the answer is 0, when the program has no thread-local variables.
///
/// # Safety
/// `block` must be writable for [`block_size`] bytes, and for that thread alone from now on.
pub unsafe fn lay_out(block: *mut u8) -> Word {
    let Some(segment) = sel4::tls_segment() else {
        return 0;
    };
    let layout = layout(&segment);
    let thread_pointer = layout.thread_pointer(block as usize);
    // SAFETY: all of it lies in the block: `thread_pointer` is less than `align` above its lowest
    // possible place. The initial bytes are no more than all.
    unsafe {
        let data = block.with_addr(layout.data(block as usize));
        data.write_bytes(0, layout.below + THREAD_CONTROL_BLOCK);
        data.copy_from_nonoverlapping(segment.init.as_ptr(), segment.init.len());
        block.with_addr(thread_pointer).cast::<usize>().write(thread_pointer);
    }
    thread_pointer as Word
}

/// Lays out the initial thread's TLS block, if the program has thread-local variables, and makes
/// the thread pointer point at it.
///
/// Costs one TCB of the smallest RAM untyped that has room for it, and the last empty slot; both
/// are free again afterwards.
///
/// # Safety
/// As [`lay_out`].
pub(crate) unsafe fn initialize(bootinfo: &BootInfoPtr, block: *mut u8) {
    let clear = sel4::tls_segment().map_or(0, |it| it.memory_bytes - it.init.len());
    if clear > MAX_CLEAR {
        // Not by a panic: its hook may be among what was lost.
        abort_with(format_args!(
            "{clear} bytes of thread-local variables without an initial value: the kernel's loader \
             spoils what lies behind more than {MAX_CLEAR}; give some of them a value"
        ));
    }
    // SAFETY: the caller's promise.
    let thread_pointer = unsafe { lay_out(block) };
    if thread_pointer == 0 {
        return;
    }
    if let Err(error) = set_tls_base(bootinfo, thread_pointer) {
        panic!("cannot set up thread-local storage: {error}");
    }
}

/// Makes the thread pointer of the calling thread, the initial one, `thread_pointer`.
fn set_tls_base(bootinfo: &BootInfoPtr, thread_pointer: Word) -> sel4::Result<()> {
    let tcb_bits = ObjectBlueprint::Tcb.physical_size_bits();
    let (i, _) = bootinfo
        .untyped_list()
        .iter()
        .enumerate()
        .filter(|(_, untyped)| !untyped.is_device() && untyped.size_bits() >= tcb_bits)
        .min_by_key(|(_, untyped)| untyped.size_bits())
        .ok_or(sel4::Error::NotEnoughMemory)?;
    let untyped = bootinfo.untyped().index(i).cap();
    let free: Slot<cap_type::Tcb> =
        bootinfo.empty().range().last().map(Slot::from_index).ok_or(sel4::Error::DeleteFirst)?;

    let cnode = slot::CNODE.cap();
    let cnode_itself = cnode.absolute_cptr_for_self();
    untyped.untyped_retype(&ObjectBlueprint::Tcb, &cnode_itself, free.index(), 1)?;
    let mut registers = UserContext::default();
    registers.inner_mut().tls_base = thread_pointer;
    free.cap().tcb_write_all_registers(false, &mut registers)?;
    slot::TCB.cap().tcb_copy_registers(free.cap(), false, false, false, true)?;
    cnode.absolute_cptr(free.cptr()).delete()
}
