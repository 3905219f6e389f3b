// SPDX-License-Identifier: BSD-2-Clause
//! The manager itself: its parts, its look-ups, and questions about what it remembers.
//!
//! Nothing here makes a kernel call but to destroy an object, and nothing here changes a mapping.

pub(crate) mod objects;
pub(crate) mod pinned;
pub(crate) mod pins;
pub(crate) mod pools;
pub(crate) mod query;
pub(crate) mod quota;
pub(crate) mod threads;
pub(crate) mod vmm;
