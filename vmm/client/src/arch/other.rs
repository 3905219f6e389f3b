// SPDX-License-Identifier: BSD-2-Clause
//! Architectures whose registers have no names here.

/// Bytes of a large page: the next size above the smallest.
pub const LARGE_PAGE_BYTES: usize = if cfg!(target_arch = "arm") {
    64 << 10
} else if cfg!(target_arch = "riscv32") {
    4 << 20
} else {
    2 << 20
};
