// SPDX-License-Identifier: BSD-2-Clause
//! The objects that are alive, by address: what `ModelKernel::check` holds capabilities against.

use std::collections::BTreeMap;

use untyped_alloc::kernel::Blueprint;

use super::arch::mask;
use super::cap::Cap;

/// What kinds of objects are counted. An untyped is no object, as it has no last capability.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ObjectKind {
    /// Thread control blocks.
    Tcb,
    /// Endpoints.
    Endpoint,
    /// Notifications.
    Notification,
    /// CNodes.
    CNode,
    /// Frames, of all sizes.
    Frame,
    /// Paging structures, of all levels.
    Table,
    /// ASID pools.
    AsidPool,
}

/// An object that is alive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::model) struct Object {
    pub(in crate::model) kind: ObjectKind,
    pub(in crate::model) size_bits: u8,
}

/// All objects alive, by address.
#[derive(Clone, Debug, Default)]
pub(in crate::model) struct Objects {
    by_base: BTreeMap<usize, Object>,
}

impl Objects {
    /// # Panics
    /// When it overlaps another: the model has lost its own watermark.
    pub(in crate::model) fn create(&mut self, base: usize, kind: ObjectKind, size_bits: u8) {
        // Its end may be the end of the word.
        let last = base | mask(size_bits);
        if let Some((&other, object)) = self.by_base.range(..=last).next_back() {
            let before = other | mask(object.size_bits);
            assert!(before < base, "{kind:?} {base:#x} on {object:?}");
        }
        self.by_base.insert(base, Object { kind, size_bits });
    }

    pub(in crate::model) fn destroy(&mut self, base: usize) {
        assert!(self.by_base.remove(&base).is_some(), "no object at {base:#x} to destroy");
    }

    pub(in crate::model) fn get(&self, base: usize) -> Option<&Object> {
        self.by_base.get(&base)
    }

    pub(in crate::model) fn iter(&self) -> impl Iterator<Item = (usize, &Object)> {
        self.by_base.iter().map(|(&base, object)| (base, object))
    }
}

impl Cap {
    /// The kind of the object it stands for, if it stands for one.
    pub fn object_kind(&self) -> Option<ObjectKind> {
        use super::cap::Remains;
        Some(match self {
            Cap::Tcb { .. } | Cap::Zombie { remains: Remains::Tcb, .. } => ObjectKind::Tcb,
            Cap::CNode { .. } | Cap::Zombie { .. } => ObjectKind::CNode,
            Cap::Endpoint { .. } => ObjectKind::Endpoint,
            Cap::Notification { .. } => ObjectKind::Notification,
            Cap::Frame { .. } => ObjectKind::Frame,
            Cap::Table { .. } => ObjectKind::Table,
            Cap::AsidPool { .. } => ObjectKind::AsidPool,
            _ => return None,
        })
    }
}

/// The capability a retype makes for a new object at `base` (`createObject`).
pub(in crate::model) fn new_cap(blueprint: Blueprint, base: usize, device: bool) -> Cap {
    use super::cap::VmRights::ReadWrite;
    use untyped_alloc::kernel::Rights;
    match blueprint {
        Blueprint::Untyped { size_bits } => Cap::Untyped { base, size_bits, used: 0, device },
        Blueprint::Tcb => Cap::Tcb { base },
        Blueprint::Endpoint => Cap::Endpoint { base, badge: 0, rights: Rights::all() },
        Blueprint::Notification => Cap::Notification { base, badge: 0, rights: Rights::READ_WRITE },
        Blueprint::CNode { radix_bits } => {
            Cap::CNode { base, radix: radix_bits, guard: 0, guard_bits: 0 }
        }
        Blueprint::Frame { size_bits } => {
            Cap::Frame { base, size_bits, rights: ReadWrite, device, mapped: None }
        }
        Blueprint::Table { level } => Cap::Table { base, level, mapped: None },
    }
}
