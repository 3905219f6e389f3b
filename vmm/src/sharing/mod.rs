// SPDX-License-Identifier: BSD-2-Clause
//! Frames with several users: shared, cloned copy-on-write, looked at and written through.
//!
//! Invariant I16: a frame's users are under copy-on-write all together or not at all. A share ends
//! copy-on-write for its pages first; a clone refuses pages that are shared without it.

pub(crate) mod break_cow;
mod by_passage;
pub(crate) mod clone;
pub(crate) mod prepare;
pub(crate) mod read;
pub(crate) mod share;
pub(crate) mod write;
pub(crate) mod write_access;
