// SPDX-License-Identifier: BSD-2-Clause
//! The kinds of kernel objects, and their sizes on each architecture.

use core::fmt;

/// The most objects that one retype makes (`CONFIG_RETYPE_FAN_OUT_LIMIT` of the kernel), and so the
/// most of one chunk, of one extent, and of the slots that one request can have.
pub const MAX_BATCH: usize = 256;

/// The most levels of paging structures that an architecture has.
pub(crate) const MAX_TABLE_LEVELS: usize = 4;

/// What an untyped is retyped into.
///
/// Sizes are in bits (the logarithm of bytes, or of slots for a CNode). Paging structures are named
/// by level, 0 being the root of a VSpace, so that one seam serves every architecture.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Blueprint {
    /// An untyped of 2^`size_bits` bytes: 4 ≤ `size_bits` ≤ 29 on IA32, ≤ 47 on x86_64.
    Untyped {
        /// Logarithm of its size in bytes.
        size_bits: u8,
    },
    /// A thread control block.
    Tcb,
    /// An endpoint.
    Endpoint,
    /// A notification.
    Notification,
    /// A CNode of 2^`radix_bits` slots, 1 ≤ `radix_bits`.
    CNode {
        /// Logarithm of its number of slots.
        radix_bits: u8,
    },
    /// A frame of 2^`size_bits` bytes; only the sizes the architecture has (12 and 22 on IA32,
    /// 12 and 21 on x86_64).
    Frame {
        /// Logarithm of its size in bytes.
        size_bits: u8,
    },
    /// A paging structure: level 0 is a VSpace root (IA32's page directory), 1 the next below it
    /// (IA32's page table), and so on.
    Table {
        /// Its level, counted from the root.
        level: u8,
    },
}

impl fmt::Display for Blueprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Blueprint::Untyped { size_bits } => write!(f, "untyped of 2^{size_bits} bytes"),
            Blueprint::Tcb => f.write_str("thread control block"),
            Blueprint::Endpoint => f.write_str("endpoint"),
            Blueprint::Notification => f.write_str("notification"),
            Blueprint::CNode { radix_bits } => write!(f, "CNode of 2^{radix_bits} slots"),
            Blueprint::Frame { size_bits } => write!(f, "frame of 2^{size_bits} bytes"),
            Blueprint::Table { level: 0 } => f.write_str("root of a VSpace"),
            Blueprint::Table { level } => write!(f, "page table of level {level}"),
        }
    }
}

/// The sizes of kernel objects on one architecture, in bits. Source: the `seL4_*Bits` constants of
/// libsel4 for that architecture.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ObjectSizes {
    /// Bits of a word, and so of a capability pointer.
    pub word_bits: u8,
    /// One CNode slot.
    pub slot_bits: u8,
    /// A thread control block.
    pub tcb_bits: u8,
    /// An endpoint.
    pub endpoint_bits: u8,
    /// A notification.
    pub notification_bits: u8,
    /// Any paging structure but the root.
    pub table_bits: u8,
    /// How many levels of paging structures there are.
    pub table_levels: u8,
    /// The root of an address space: larger than the other tables on some architectures.
    pub root_table_bits: u8,
    /// The frame sizes there are, smallest first; unused entries are 0.
    pub frame_bits: [u8; 3],
    /// The untyped an ASID pool is made of.
    pub asid_pool_bits: u8,
    /// An IPC buffer, which is no object: its size and alignment (`seL4_IPCBufferSizeBits`).
    pub ipc_buffer_bits: u8,
    /// The smallest untyped.
    pub untyped_min_bits: u8,
    /// The largest untyped.
    pub untyped_max_bits: u8,
    /// The most objects one retype makes (`CONFIG_RETYPE_FAN_OUT_LIMIT`).
    pub retype_limit: usize,
}

impl ObjectSizes {
    /// The bytes of an IPC buffer, and its alignment.
    pub const fn ipc_buffer_bytes(&self) -> usize {
        1 << self.ipc_buffer_bits
    }

    /// The size of what `blueprint` describes, in bits, or `None` where the architecture has no
    /// such object.
    pub fn size_bits(&self, blueprint: Blueprint) -> Option<u8> {
        match blueprint {
            Blueprint::Untyped { size_bits } => (self.untyped_min_bits..=self.untyped_max_bits)
                .contains(&size_bits)
                .then_some(size_bits),
            Blueprint::Tcb => Some(self.tcb_bits),
            Blueprint::Endpoint => Some(self.endpoint_bits),
            Blueprint::Notification => Some(self.notification_bits),
            Blueprint::CNode { radix_bits } => {
                let size_bits = radix_bits.checked_add(self.slot_bits)?;
                (radix_bits >= 1 && size_bits <= self.untyped_max_bits).then_some(size_bits)
            }
            Blueprint::Frame { size_bits } => {
                (size_bits != 0 && self.frame_bits.contains(&size_bits)).then_some(size_bits)
            }
            Blueprint::Table { level: 0 } => Some(self.root_table_bits),
            Blueprint::Table { level } => (level < self.table_levels).then_some(self.table_bits),
        }
    }
}
