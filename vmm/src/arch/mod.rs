// SPDX-License-Identifier: BSD-2-Clause
//! What differs between architectures: one file for each.

mod ia32;
mod x86;
#[cfg(target_pointer_width = "64")]
mod x86_64;
