// SPDX-License-Identifier: BSD-2-Clause
//! The seam: the kernel's invocations, in the kernel's own terms.
//!
//! The memory crates reach seL4 through the one trait [`Kernel`] and touch mapped memory through
//! the one trait [`Memory`]. `vmm`'s adapter implements both on the `sel4` bindings; the model
//! kernel of `tests/` implements both on the host. Nothing else in these crates knows how a system
//! call is made, so nothing else in them needs `unsafe`.
//!
//! Each method is one invocation of the seL4 manual (its chapter on the API), refuses what the
//! kernel refuses, and returns the kernel's own error. What the kernel does not check (that a
//! virtual address lies in a region of ours, that a slot is ours) is the caller's business.
//!
//! - `seam.rs`: the two traits.
//! - `counted.rs`: [`Counted`], a kernel that counts the calls made through it.

mod counted;
mod seam;

pub use crate::types::{
    Blueprint, CPtr, CachePolicy, CapPath, KernelError, KernelResult, ObjectSizes, Refused, Rights,
};
pub use counted::{CallCounts, Counted};
pub use seam::{Kernel, Memory};
