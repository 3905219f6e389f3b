// SPDX-License-Identifier: BSD-2-Clause
//! Today's seL4 without MCS, with rust-sel4's bindings. Where those have no typed method, their
//! `sys` has the invocation, as a method of the IPC buffer. What our bindings have for threads and
//! those have not is here: how a thread begins, a lock that knows its owner, the program's
//! thread-local storage.

mod backtrace;
mod lock;
mod program;
mod receive;
mod threads;

use page_tables::Geometry;
use sel4::{cap, AbsoluteCPtr, BootInfoExtraId, BootInfoPtr, CapRights, ObjectBlueprint, Result};
use sel4::{TranslationTableObjectType, VmAttributes, Word};
use untyped_alloc::{CachePolicy, ObjectSizes, Rights};

use super::arch;
use super::invoke::invoke;
use crate::types::architecture::Architecture;

#[allow(unused_imports)] // where there is no PC
pub use super::arch::pc;
pub use super::arch::{attributes, named, thread_pointer, USER_TOP};
pub use backtrace::Backtrace;
pub use lock::NotificationLock;
pub use program::tls_segment;
pub use receive::receive;
pub use threads::{begin_thread, first_registers, prepare_ipc_buffer, tls_for_invocations};
pub(crate) use threads::{thread_entry, ThreadEntry};

/// The architecture as this kernel has it: a fault's address is told whole, and of sizes those that
/// depend on the configuration are the bindings'.
pub const fn as_configured(architecture: Architecture) -> Architecture {
    let Architecture { sizes, geometry, tls } = architecture;
    let sizes = ObjectSizes {
        tcb_bits: ObjectBlueprint::Tcb.physical_size_bits() as u8,
        notification_bits: ObjectBlueprint::Notification.physical_size_bits() as u8,
        ..sizes
    };
    let geometry = Geometry { fault_end: geometry.user_end, ..geometry };
    Architecture { sizes, geometry, tls }
}

/// The frequency of the processor's time-stamp counter in MHz as the kernel measured it, 0 where it
/// did not.
pub fn counter_mhz(bootinfo: &BootInfoPtr) -> Word {
    let told = bootinfo.extra().find(|extra| extra.id == BootInfoExtraId::X86TscFreq);
    let bytes = told.and_then(|told| told.content().first_chunk().copied());
    bytes.map_or(0, |bytes| Word::from(u32::from_ne_bytes(bytes)))
}

/// Gives a mapped page new rights and attributes where it is: by mapping it again.
#[inline(always)]
pub fn remap(
    page: cap::UnspecifiedPage,
    vspace: cap::VSpace,
    vaddr: usize,
    rights: CapRights,
    attributes: VmAttributes,
) -> Result<()> {
    page.frame_map(vspace, vaddr, rights, attributes)
}

/// Has caches agree about a page that was mapped at an address with these rights and this policy,
/// as far as the machine does not do that by itself.
#[inline(always)]
pub fn make_coherent(
    page: cap::UnspecifiedPage,
    vaddr: usize,
    allowed: Rights,
    cache: CachePolicy,
) {
    arch::make_coherent(page, vaddr, allowed, cache)
}

/// Makes what was written to a mapped page of `bytes` bytes what is fetched from it as
/// instructions.
pub fn unify(page: cap::UnspecifiedPage, bytes: usize) {
    arch::unify(page, bytes);
}

/// Unmaps a paging structure.
pub fn unmap_table(
    table: cap::UnspecifiedIntermediateTranslationTable,
    ty: TranslationTableObjectType,
) -> Result<()> {
    invoke(|buffer| arch::unmap_table(buffer, table.bits(), ty))
}

/// Sets a thread's IPC buffer: at `vaddr`, in this frame.
pub fn set_ipc_buffer(tcb: cap::Tcb, vaddr: Word, frame: cap::Granule) -> Result<()> {
    invoke(|buffer| buffer.seL4_TCB_SetIPCBuffer(tcb.bits(), vaddr, frame.bits()))
}

/// Takes messages that wait with this capability's badge out of their queue.
pub fn cancel_badged_sends(slot: AbsoluteCPtr) -> Result<()> {
    let (root, path) = (slot.root().bits(), *slot.path());
    invoke(|buffer| buffer.seL4_CNode_CancelBadgedSends(root, path.bits(), path.depth() as u8))
}
