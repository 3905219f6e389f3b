// SPDX-License-Identifier: BSD-2-Clause
//! A thread's memory as callers hold it: stack, IPC buffer, thread-local storage.

use untyped_alloc::CPtr;

use crate::types::ids::{RegionId, SpaceId, ThreadId};
use crate::types::region::Name;

/// A thread's IPC buffer: a small id. Give it back with [`crate::Vmm::release_ipc_buffer`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IpcBuffer {
    pub(crate) region: RegionId,
    pub(crate) address: usize,
    pub(crate) frame: CPtr,
}

impl IpcBuffer {
    /// Its virtual address, in bytes; page-aligned.
    pub fn address(self) -> usize {
        self.address
    }

    /// The capability of the frame it lies in: the one that is mapped there.
    pub fn frame(self) -> CPtr {
        self.frame
    }

    /// The region it lies in, with guards and perhaps with others.
    pub fn region(self) -> RegionId {
        self.region
    }
}

/// A program's thread-local storage, as its ELF segment `PT_TLS` describes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TlsImage<'a> {
    /// What its variables start with (`.tdata`).
    pub init: &'a [u8],
    /// Bytes of all its variables, `init` included; the rest is zero (`.tbss`).
    pub memory_bytes: usize,
    /// Its alignment in bytes: a power of two, at most a page.
    pub align: usize,
    /// Its address in the program (`p_vaddr`). Each variable has its address there modulo `align`,
    /// so this counts where it is not aligned.
    pub address: usize,
}

/// What a thread is given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ThreadOptions<'a> {
    /// Pages of its stack.
    pub stack_pages: usize,
    /// Guard pages below its stack, which are never mapped: 1 at least. A function whose frame is
    /// larger than them, and which touches the far end first, steps over them.
    pub guard_pages: u16,
    /// For a stack that is mapped page by page when it is touched: how many pages for one fault
    /// ([`crate::Backing::OnDemand`]). `None` for one that is mapped at once.
    pub growing: Option<u8>,
    /// Its program's thread-local storage, if it has any.
    pub tls: Option<TlsImage<'a>>,
    /// A name for people.
    pub name: &'a str,
}

/// What a stack is to be. Start with [`StackOptions::new`] and change what differs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "each method returns the options changed"]
pub struct StackOptions<'a> {
    pub(crate) pages: usize,
    pub(crate) guard_pages: u16,
    pub(crate) around: Option<u8>,
    pub(crate) name: &'a str,
}

impl<'a> StackOptions<'a> {
    /// `pages` pages that are mapped at once, with one guard page below, without a name.
    pub fn new(pages: usize) -> StackOptions<'a> {
        StackOptions { pages, guard_pages: 1, around: None, name: "" }
    }

    /// With this many guard pages below, 1 at least.
    pub fn guarded(self, guard_pages: u16) -> Self {
        StackOptions { guard_pages, ..self }
    }

    /// Mapped page by page when it is touched, with `around` pages for one fault
    /// ([`crate::Backing::OnDemand`]).
    pub fn growing(self, around: u8) -> Self {
        StackOptions { around: Some(around), ..self }
    }

    /// A name for people: its first 15 bytes.
    pub fn named(self, name: &'a str) -> Self {
        StackOptions { name, ..self }
    }
}

/// A thread's copy of the thread-local storage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tls {
    pub(crate) region: RegionId,
    pub(crate) thread_pointer: usize,
}

impl Tls {
    /// The thread pointer (GS base on IA32, FS base on x86_64, `TPIDR_EL0` on aarch64), in bytes.
    /// Where variables lie, seen from it, says [`crate::TlsVariant`].
    pub fn thread_pointer(self) -> usize {
        self.thread_pointer
    }
}

/// A thread's memory. Give it back with [`crate::Vmm::release_thread_memory`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ThreadMemory {
    /// Its stack.
    pub stack: Stack,
    /// Its IPC buffer, to be set with [`crate::Vmm::set_ipc_buffer`].
    pub ipc_buffer: IpcBuffer,
    /// Its thread-local storage.
    pub tls: Option<Tls>,
}

/// A stack that grows downwards.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stack {
    pub(crate) region: RegionId,
    pub(crate) bottom: usize,
    pub(crate) top: usize,
}

impl Stack {
    /// Its region: what [`crate::Vmm::release`] is given.
    pub fn region(self) -> RegionId {
        self.region
    }

    /// The lowest address that can be used, in bytes. The pages below are the guard.
    pub fn bottom(self) -> usize {
        self.bottom
    }

    /// Where the guard below begins, in bytes; page-aligned.
    pub fn guard(self) -> usize {
        self.region.start().bits()
    }

    /// The address after the highest, page-aligned: the first stack pointer.
    pub fn top(self) -> usize {
        self.top
    }
}

/// What is known of a registered thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ThreadInfo {
    /// What it is registered as.
    pub id: ThreadId,
    /// The space it runs in.
    pub space: SpaceId,
    /// Its thread control block.
    pub tcb: CPtr,
    /// The badged capability to the fault endpoint: what `TCB_SetSpace` is given, where the thread
    /// shares the manager's CSpace.
    pub fault_endpoint: CPtr,
    /// Its name.
    pub name: Name,
}
