// SPDX-License-Identifier: BSD-2-Clause
//! All that the kernel and the machine remember.

use std::collections::{BTreeMap, HashMap};

pub use bumpalo::Bump as Arena;
use untyped_alloc::kernel::{CPtr, CapPath};

use super::state::arch::Arch;
use super::state::asids::Asids;
use super::state::beside::Beside;
use super::state::cap::Cap;
use super::state::contents::Contents;
use super::state::machine::BootFacts;
use super::state::meter::Meter;
use super::state::objects::Objects;
use super::state::sends::Sends;
use super::state::slots::{AddressHash, Slots};
use super::state::tables::{Mapping, Tables};
use super::state::threads::TcbState;

/// The kernel after boot, and the machine below it. See the [module](super).
///
/// A clone is a snapshot. Book-keeping memory that was adopted is shared by all clones, as it is in
/// the arena.
#[derive(Clone, Debug)]
pub struct ModelKernel<'p> {
    pub(super) arch: Arch,
    pub(super) slots: Slots,
    pub(super) objects: Objects,
    pub(super) tables: Tables,
    pub(super) asids: Asids,
    pub(super) tcbs: HashMap<usize, TcbState, AddressHash>,
    pub(super) contents: Contents,
    pub(super) meter: Meter,
    /// A thread that writes while the manager copies.
    pub(super) beside: Option<Beside>,
    /// Messages that wait, in the order in which they came.
    pub(super) sends: Sends,
    /// The thread that makes all invocations.
    pub(super) caller: usize,
    pub(super) facts: BootFacts,
    pub(super) arena: &'p Arena,
    /// Pages of book-keeping: where each frame was adopted.
    pub(super) adopted: BTreeMap<usize, usize>,
    /// Translations of the caller's that were replaced and not flushed.
    pub(super) stale: BTreeMap<usize, Mapping>,
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
