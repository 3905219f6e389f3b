//! Frames with several users: shared, cloned copy-on-write, written through.
//!
//! Invariant I16: a frame's users are under copy-on-write all together or not at all.

pub(crate) mod cow;
pub(crate) mod share;
pub(crate) mod write;
