// SPDX-License-Identifier: BSD-2-Clause
//! What today's kernels have on one architecture alone.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "riscv64")]
mod riscv64;
#[cfg(target_arch = "x86_64")]
mod x86_64;

/// What a PC has.
#[cfg(target_arch = "x86_64")]
pub mod pc;
/// What a PC has, which these machines are not.
#[cfg(not(target_arch = "x86_64"))]
pub mod pc {}

#[cfg(target_arch = "aarch64")]
pub use aarch64::*;
#[cfg(target_arch = "riscv64")]
pub use riscv64::*;
#[cfg(target_arch = "x86_64")]
pub use x86_64::*;

/// The number of the system call `Recv`, of a kernel without MCS.
const RECV: isize = -5;

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
compile_error!(
    "the feature kernel-16 of vmm is for x86_64, aarch64 and riscv64: build for one of them, \
     or without the feature"
);
