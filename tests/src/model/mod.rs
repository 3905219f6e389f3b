//! The model kernel: what seL4 5.0.0 answers to the invocations of memory management.
//!
//! ```text
//!            invoke ── counts, fails on purpose (inject), then decodes:
//!               │
//!     untyped · delete · vspace · asid · tcb          one file per kind of invocation
//!               │
//!     cspace (slots, look-up) · mdb (derivation) · cap     what they are made of
//!     objects · contents · sends          what is alive, what frames hold, messages that wait
//!     boot (how it starts) · access (user mode) · check    what tests use
//! ```
//!
//! It is strict: checks come in the kernel's order, so that the error that wins is the kernel's;
//! what would crash or block a root task panics; what the kernel gets wrong it gets wrong too.
//! Every file names the kernel's files its rules come from.
//!
//! It is held to the real kernel by [`transcript`](crate::transcript): on some 800,000 random calls
//! and a dozen written scenarios both gave the same answers and left the same pages mapped.
//!
//! What it leaves out:
//! - Time. Long invocations are not preempted, which changes nothing but their length; nothing of
//!   scheduling or IPC is there, so no reply capabilities, and the threads made never run; but
//!   messages can be put into an endpoint's queue ([`ModelKernel::send`]).
//! - What is no invocation of the seam: moving capabilities, interrupts, I/O.
//! - Limits of fields that IA32's memory cannot exceed.
//! - The TLB, but for [`ModelKernel::stale_translations`].
//! - x86_64 was read from the sources, and never compared with a kernel.

mod access;
mod arch;
mod asid;
mod boot;
mod cap;
mod check;
mod contents;
mod cspace;
mod delete;
mod fingerprint;
mod inject;
mod invoke;
mod mdb;
mod objects;
mod paging;
mod sends;
mod shared;
mod tcb;
mod untyped;
mod vspace;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

pub use bumpalo::Bump as Arena;
use untyped_alloc::kernel::{CPtr, CapPath};

pub use access::AccessFault;
pub use arch::Arch;
pub use boot::{BootConfig, BootFacts, BootUntyped, slot, split_region};
pub use cap::{Cap, Place, Remains, VmRights};
pub use check::Dangling;
pub use inject::CallKind;
pub use objects::ObjectKind;
pub use paging::Mapping;
pub use shared::SharedModel;
pub use tcb::TcbView;

use cspace::AddressHash;

/// The kernel after boot, and the machine below it. See the [module](self).
///
/// A clone is a snapshot. Book-keeping memory that was adopted is shared by all clones, as it is in
/// the arena.
#[derive(Clone, Debug)]
pub struct ModelKernel<'p> {
    arch: Arch,
    slots: cspace::Slots,
    objects: objects::Objects,
    tables: paging::Tables,
    asids: asid::Asids,
    tcbs: HashMap<usize, tcb::TcbState, AddressHash>,
    contents: contents::Contents,
    meter: inject::Meter,
    /// Messages that wait, in the order in which they came.
    sends: Vec<sends::Send>,
    /// The thread that makes all invocations.
    caller: usize,
    facts: BootFacts,
    arena: &'p Arena,
    /// Pages of book-keeping: where each frame was adopted.
    adopted: BTreeMap<usize, usize>,
    /// Translations of the caller's that were replaced and not flushed.
    stale: BTreeMap<usize, Mapping>,
}

impl ModelKernel<'_> {
    /// What the boot left where.
    pub fn facts(&self) -> &BootFacts {
        &self.facts
    }

    /// The architecture.
    pub fn arch(&self) -> &Arch {
        &self.arch
    }

    /// The capability at `cptr` in the caller's CSpace; `Null` where there is none or no slot.
    pub fn cap(&self, cptr: CPtr) -> Cap {
        self.slot_of(cptr).map(|slot| self.cap_in(slot)).unwrap_or_default()
    }

    /// The capability at the end of `path`; `None` where that is no slot.
    pub fn cap_at(&self, path: CapPath) -> Option<Cap> {
        self.slot_of_path(path).map(|slot| self.cap_in(slot))
    }

    /// Whether the slot at `cptr` in the caller's CSpace is empty.
    pub fn is_empty_slot(&self, cptr: CPtr) -> bool {
        self.cap(cptr).is_null()
    }
}
