// SPDX-License-Identifier: BSD-2-Clause
//! seL4 5.0.0, with the bindings of this repository.

pub mod pc;

use sel4::{
    cap, AbsoluteCPtr, BootInfoPtr, CapRights, IpcBuffer, MessageInfo, Result,
    TranslationTableObjectType,
};
use sel4::{UserContext, VmAttributes, Word};
use untyped_alloc::{CachePolicy, Rights};

use crate::types::architecture::Architecture;
use crate::types::thread::TlsImage;

pub use sel4::{thread_entry, Backtrace, NotificationLock, ThreadEntry};

/// Where addresses of user space end.
pub const USER_TOP: usize = sel4::sys::PPTR_USER_TOP as usize;

/// The architecture as this kernel has it: as it is described.
pub const fn as_configured(architecture: Architecture) -> Architecture {
    architecture
}

/// The frequency of the processor's time-stamp counter in MHz as the kernel measured it, 0 where it
/// did not.
pub fn counter_mhz(bootinfo: &BootInfoPtr) -> Word {
    bootinfo.inner().archInfo
}

/// Gives a mapped page new rights and attributes where it is.
#[inline(always)]
pub fn remap(
    page: cap::UnspecifiedPage,
    vspace: cap::VSpace,
    vaddr: usize,
    rights: CapRights,
    attributes: VmAttributes,
) -> Result<()> {
    page.frame_remap(vspace, vaddr, rights, attributes)
}

/// Unmaps a paging structure.
pub fn unmap_table(
    table: cap::UnspecifiedIntermediateTranslationTable,
    ty: TranslationTableObjectType,
) -> Result<()> {
    table.generic_intermediate_translation_table_unmap(ty)
}

/// Sets a thread's IPC buffer: at `vaddr`, in this frame.
pub fn set_ipc_buffer(tcb: cap::Tcb, vaddr: Word, frame: cap::Granule) -> Result<()> {
    tcb.tcb_set_ipc_buffer(vaddr, frame)
}

/// Takes messages that wait with this capability's badge out of their queue.
pub fn cancel_badged_sends(slot: AbsoluteCPtr) -> Result<()> {
    slot.cancel_badged_sends()
}

/// Waits for a message. Where a signal of a bound notification has come in its place, its label is
/// 0: these bindings see to that.
pub fn receive(endpoint: cap::Endpoint) -> MessageInfo {
    endpoint.recv(()).0
}

/// How memory is cached. Nothing is said of execution, which the kernel cannot forbid.
#[inline]
pub fn attributes(cache: CachePolicy, _allowed: Rights) -> VmAttributes {
    match cache {
        CachePolicy::WriteBack => VmAttributes::DEFAULT,
        CachePolicy::WriteThrough => VmAttributes::WRITE_THROUGH,
        CachePolicy::Uncached => VmAttributes::CACHE_DISABLED,
        CachePolicy::WriteCombining => VmAttributes::WRITE_COMBINING,
    }
}

/// Has caches agree about a page that was mapped at an address with these rights and this policy:
/// they do.
#[inline(always)]
pub fn make_coherent(
    _page: cap::UnspecifiedPage,
    _vaddr: usize,
    _allowed: Rights,
    _cache: CachePolicy,
) {
}

/// Makes what was written to a mapped page what is fetched from it: it is.
#[inline(always)]
pub fn unify(_page: cap::UnspecifiedPage, _bytes: usize) {}

/// Prepares the IPC buffer at `address` for a thread that does not run yet.
///
/// # Safety
/// It must be mapped writable there, and in use by no running thread.
pub unsafe fn prepare_ipc_buffer(address: usize) {
    // SAFETY: the caller's promise.
    unsafe { sel4::init_ipc_buffer(address as *mut IpcBuffer) };
}

/// What a thread does first, in its entry.
///
/// # Safety
/// Its IPC buffer must be the one at `_ipc_buffer`, and have been prepared.
#[inline(always)]
pub unsafe fn begin_thread(_ipc_buffer: usize) {
    sel4::begin_backtraces();
}

/// The thread-local storage that a thread needs for invocations: none, as it finds its IPC buffer
/// by a segment register.
pub fn tls_for_invocations() -> Option<TlsImage<'static>> {
    None
}

/// The registers of a thread that begins with `entry`.
pub fn first_registers(
    entry: usize,
    stack_top: usize,
    arguments: [Word; 2],
    thread_pointer: usize,
) -> UserContext {
    let mut registers = UserContext::start(entry as Word, stack_top, arguments);
    registers.inner_mut().tls_base = thread_pointer as Word;
    registers
}

/// Where a thread's thread-local storage is; 0 for none.
pub fn thread_pointer(registers: &UserContext) -> Word {
    registers.inner().tls_base
}

/// The name and the value of each register, the first four those that say where a thread was.
pub fn named(registers: &UserContext) -> impl AsRef<[(&'static str, Word)]> {
    registers.named()
}

/// The program's segment of thread-local variables.
pub fn tls_segment() -> Option<TlsImage<'static>> {
    let sel4::TlsSegment { init, memory_bytes, align, address } = sel4::tls_segment()?;
    Some(TlsImage { init, memory_bytes, align, address })
}
