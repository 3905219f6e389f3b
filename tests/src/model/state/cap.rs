// SPDX-License-Identifier: BSD-2-Clause
//! Capabilities, and when two of them mean the same memory or the same object.
//!
//! Rules from `src/object/objecttype.c` and `src/arch/x86/object/objecttype.c`.

use untyped_alloc::kernel::Rights;

use super::arch::{Arch, mask};

/// What user mode may do with a frame. Write without read is nothing at all on x86
/// (`maskVMRights` in `src/arch/x86/kernel/vspace.c`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum VmRights {
    /// Nothing: the mapping exists and faults.
    KernelOnly,
    /// Reading.
    ReadOnly,
    /// Reading and writing.
    ReadWrite,
}

impl VmRights {
    /// What remains of these rights under `rights`.
    #[must_use]
    pub fn masked(self, rights: Rights) -> VmRights {
        if self == VmRights::KernelOnly || !rights.contains(Rights::READ) {
            VmRights::KernelOnly
        } else if self == VmRights::ReadWrite && rights.contains(Rights::WRITE) {
            VmRights::ReadWrite
        } else {
            VmRights::ReadOnly
        }
    }

    /// The same as the seam says it.
    pub fn rights(self) -> Rights {
        match self {
            VmRights::KernelOnly => Rights::empty(),
            VmRights::ReadOnly => Rights::READ,
            VmRights::ReadWrite => Rights::READ_WRITE,
        }
    }
}

/// Where a frame or paging structure capability remembers to be mapped.
///
/// It is what was true when it was mapped. A paging structure unmapped above it, or a VSpace
/// destroyed, leaves it as it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Place {
    /// The address-space identifier of the VSpace, never 0.
    pub asid: usize,
    /// The virtual address in it.
    pub vaddr: usize,
}

/// What kind of object a zombie is the remains of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Remains {
    /// A CNode of 2^`radix` slots.
    CNode {
        /// Logarithm of its number of slots.
        radix: u8,
    },
    /// A thread control block.
    Tcb,
}

/// A capability. Addresses are physical.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Cap {
    /// Nothing: the slot is empty.
    #[default]
    Null,
    /// Untyped memory.
    Untyped {
        /// Its address.
        base: usize,
        /// Logarithm of its bytes.
        size_bits: u8,
        /// The watermark: how many bytes from `base` on count as used.
        used: usize,
        /// Whether it is device memory, which is never cleared and holds no kernel objects.
        device: bool,
    },
    /// An endpoint.
    Endpoint {
        /// Its address.
        base: usize,
        /// Its badge, 0 for none.
        badge: usize,
        /// WRITE to send, READ to receive, GRANT to pass capabilities on.
        rights: Rights,
    },
    /// A notification.
    Notification {
        /// Its address.
        base: usize,
        /// Its badge, 0 for none.
        badge: usize,
        /// WRITE to signal, READ to wait.
        rights: Rights,
    },
    /// A CNode.
    CNode {
        /// Its address.
        base: usize,
        /// Logarithm of its number of slots.
        radix: u8,
        /// The guard's value.
        guard: usize,
        /// The guard's width.
        guard_bits: u8,
    },
    /// A thread.
    Tcb {
        /// Its address.
        base: usize,
    },
    /// What is left of a CNode or thread whose last capability was deleted, while its slots are
    /// being emptied (and, in some cases, for as long as nobody revokes its untyped).
    Zombie {
        /// The object's address.
        base: usize,
        /// What it was.
        remains: Remains,
        /// Its first so many slots are not yet emptied.
        left: usize,
    },
    /// A frame.
    Frame {
        /// Its address.
        base: usize,
        /// Logarithm of its bytes.
        size_bits: u8,
        /// What the capability allows.
        rights: VmRights,
        /// Whether it is device memory.
        device: bool,
        /// Where it is mapped by this capability.
        mapped: Option<Place>,
    },
    /// A paging structure. One of level 0 is a VSpace root; `mapped` is then its ASID, at 0.
    Table {
        /// Its address.
        base: usize,
        /// Its level, counted from the root.
        level: u8,
        /// Where it is mapped.
        mapped: Option<Place>,
    },
    /// The right to make ASID pools.
    AsidControl,
    /// A pool of ASIDs.
    AsidPool {
        /// Its address.
        base: usize,
        /// Its first ASID.
        first: usize,
    },
    /// The right to make interrupt handlers.
    IrqControl,
    /// A range of I/O ports.
    IoPort {
        /// The first port.
        first: u16,
        /// The last port.
        last: u16,
    },
    /// The right to set scheduling domains.
    Domain,
}

impl Cap {
    /// Whether there is none.
    pub fn is_null(&self) -> bool {
        *self == Cap::Null
    }

    /// The memory the capability stands for, if any: base and logarithm of its bytes
    /// (`cap_get_capPtr`, `cap_get_capSizeBits` where `cap_get_capIsPhysical`).
    pub fn memory(&self, arch: &Arch) -> Option<(usize, u8)> {
        let sizes = &arch.sizes;
        match *self {
            Cap::Untyped { base, size_bits, .. } | Cap::Frame { base, size_bits, .. } => {
                Some((base, size_bits))
            }
            Cap::Endpoint { base, .. } => Some((base, sizes.endpoint_bits)),
            Cap::Notification { base, .. } => Some((base, sizes.notification_bits)),
            Cap::CNode { base, radix, .. }
            | Cap::Zombie { base, remains: Remains::CNode { radix }, .. } => {
                Some((base, radix + sizes.slot_bits))
            }
            Cap::Tcb { base } | Cap::Zombie { base, remains: Remains::Tcb, .. } => {
                Some((base, sizes.tcb_bits))
            }
            Cap::Table { base, level: 0, .. } => Some((base, sizes.root_table_bits)),
            Cap::Table { base, .. } => Some((base, sizes.table_bits)),
            Cap::AsidPool { base, .. } => Some((base, sizes.asid_pool_bits)),
            Cap::Null | Cap::AsidControl | Cap::IrqControl | Cap::IoPort { .. } | Cap::Domain => {
                None
            }
        }
    }

    /// Whether what `other` stands for lies within what this one stands for (`sameRegionAs`).
    pub fn covers(&self, other: &Cap, arch: &Arch) -> bool {
        let within = |bounds: (usize, u8), inner: (usize, u8)| {
            bounds.0 <= inner.0 && inner.0 + mask(inner.1) <= bounds.0 + mask(bounds.1)
        };
        match (*self, *other) {
            (Cap::Untyped { base, size_bits, .. }, _) => {
                other.memory(arch).is_some_and(|inner| within((base, size_bits), inner))
            }
            (
                Cap::Frame { base: outer, size_bits: outer_bits, .. },
                Cap::Frame { base: inner, size_bits: inner_bits, .. },
            ) => within((outer, outer_bits), (inner, inner_bits)),
            (Cap::Endpoint { base: a, .. }, Cap::Endpoint { base: b, .. })
            | (Cap::Notification { base: a, .. }, Cap::Notification { base: b, .. })
            | (Cap::Tcb { base: a }, Cap::Tcb { base: b })
            | (Cap::AsidPool { base: a, .. }, Cap::AsidPool { base: b, .. }) => a == b,
            (Cap::CNode { base: a, radix: m, .. }, Cap::CNode { base: b, radix: n, .. }) => {
                a == b && m == n
            }
            (Cap::Table { base: a, level: m, .. }, Cap::Table { base: b, level: n, .. }) => {
                a == b && m == n
            }
            (Cap::AsidControl, Cap::AsidControl)
            | (Cap::IrqControl, Cap::IrqControl)
            | (Cap::Domain, Cap::Domain) => true,
            (Cap::IoPort { first: a, last: z }, Cap::IoPort { first: b, last: y }) => {
                a <= b && y <= z
            }
            _ => false,
        }
    }

    /// Whether both stand for one object, so that neither is the last capability to it
    /// (`sameObjectAs`). Untypeds are never the same object.
    pub fn same_object(&self, other: &Cap, arch: &Arch) -> bool {
        match (*self, *other) {
            (Cap::Untyped { .. }, _) => false,
            (Cap::IoPort { .. }, Cap::IoPort { .. }) => true,
            (
                Cap::Frame { base: a, size_bits: m, .. },
                Cap::Frame { base: b, size_bits: n, .. },
            ) => a == b && m == n,
            _ => self.covers(other, arch),
        }
    }

    /// The capability with at most `rights` (`maskCapRights`). Only endpoints, notifications and
    /// frames have any.
    #[must_use]
    pub fn masked(self, rights: Rights) -> Cap {
        match self {
            Cap::Endpoint { base, badge, rights: had } => {
                Cap::Endpoint { base, badge, rights: had & rights }
            }
            Cap::Notification { base, badge, rights: had } => {
                Cap::Notification { base, badge, rights: had & rights }
            }
            Cap::Frame { base, size_bits, rights: had, device, mapped } => {
                Cap::Frame { base, size_bits, rights: had.masked(rights), device, mapped }
            }
            other => other,
        }
    }

    /// The capability with `word` as its badge or guard (`updateCapData`), or `Null` where that is
    /// not allowed: a badge on a badge, a guard that leaves too few bits. A capability that has
    /// neither stays as it is.
    #[must_use]
    pub fn with_data(self, word: usize, arch: &Arch) -> Cap {
        match self {
            Cap::Endpoint { base, badge: 0, rights } => {
                Cap::Endpoint { base, badge: word & mask(arch.badge_bits), rights }
            }
            Cap::Notification { base, badge: 0, rights } => {
                Cap::Notification { base, badge: word & mask(arch.badge_bits), rights }
            }
            Cap::CNode { base, radix, .. } => {
                let (guard, guard_bits) = arch.guard_of_word(word);
                if guard_bits + radix > arch.sizes.word_bits {
                    Cap::Null
                } else {
                    Cap::CNode { base, radix, guard, guard_bits }
                }
            }
            Cap::IoPort { first: least, last: most } => {
                let (first, last) = ((word >> 16) as u16, word as u16);
                if least <= first && first <= last && last <= most {
                    Cap::IoPort { first, last }
                } else {
                    Cap::Null
                }
            }
            Cap::Endpoint { .. } | Cap::Notification { .. } => Cap::Null,
            other => other,
        }
    }
}
