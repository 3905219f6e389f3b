// SPDX-License-Identifier: BSD-2-Clause
//! What today's kernels have on one architecture alone.

#[cfg(target_arch = "x86_64")]
mod x86_64;
#[cfg(target_arch = "x86_64")]
pub use x86_64::{attributes, named, set_thread_pointer, thread_pointer, unmap_table, USER_TOP};

#[cfg(not(target_arch = "x86_64"))]
compile_error!(
    "the feature kernel-16 of vmm is for x86_64 so far: build for it, or without the feature"
);
