// SPDX-License-Identifier: BSD-2-Clause
//! Rights of capabilities and mappings.

use crate::{sys, Word};

/// Rights (manual, "Access Rights"): write, read and grant.
///
/// seL4 5.0.0 has no right to grant replies only; the argument of that name is taken for upstream's
/// sake and has no effect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CapRights(Word);

impl CapRights {
    /// These rights. `grant_reply` has no effect.
    pub const fn new(grant_reply: bool, grant: bool, read: bool, write: bool) -> Self {
        let _ = grant_reply;
        let mut word = sys::seL4_NoRights;
        if grant {
            word |= sys::seL4_CanGrant;
        }
        if read {
            word |= sys::seL4_CanRead;
        }
        if write {
            word |= sys::seL4_CanWrite;
        }
        Self(word)
    }

    /// From the kernel's word.
    pub const fn from_inner(word: Word) -> Self {
        Self(word)
    }

    /// The kernel's word.
    pub const fn into_inner(self) -> Word {
        self.0
    }

    /// The kernel's word.
    pub const fn inner(&self) -> &Word {
        &self.0
    }

    /// No right.
    pub const fn none() -> Self {
        Self(sys::seL4_NoRights)
    }

    /// Every right.
    pub const fn all() -> Self {
        Self(sys::seL4_AllRights)
    }

    /// Reading and writing.
    pub const fn read_write() -> Self {
        Self(sys::seL4_ReadWrite)
    }

    /// Reading.
    pub const fn read_only() -> Self {
        Self(sys::seL4_CanRead)
    }

    /// Writing. No mapping on x86 can be written but not read.
    pub const fn write_only() -> Self {
        Self(sys::seL4_CanWrite)
    }
}

impl From<CapRightsBuilder> for CapRights {
    fn from(builder: CapRightsBuilder) -> Self {
        builder.build()
    }
}

/// Makes [`CapRights`] right by right.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[must_use = "each method returns the builder changed"]
pub struct CapRightsBuilder {
    grant_reply: bool,
    grant: bool,
    read: bool,
    write: bool,
}

impl CapRightsBuilder {
    /// Starts with no right.
    pub const fn none() -> Self {
        Self { grant_reply: false, grant: false, read: false, write: false }
    }

    /// Starts with every right.
    pub const fn all() -> Self {
        Self { grant_reply: true, grant: true, read: true, write: true }
    }

    /// Has no effect: see [`CapRights`].
    pub const fn grant_reply(self, can: bool) -> Self {
        Self { grant_reply: can, ..self }
    }

    /// Whether capabilities may be passed on.
    pub const fn grant(self, can: bool) -> Self {
        Self { grant: can, ..self }
    }

    /// Whether reading (receiving) is allowed.
    pub const fn read(self, can: bool) -> Self {
        Self { read: can, ..self }
    }

    /// Whether writing (sending) is allowed.
    pub const fn write(self, can: bool) -> Self {
        Self { write: can, ..self }
    }

    /// The rights.
    pub const fn build(self) -> CapRights {
        CapRights::new(self.grant_reply, self.grant, self.read, self.write)
    }
}
