// SPDX-License-Identifier: BSD-2-Clause
//! What today's kernels have on one architecture alone.

#[cfg(target_arch = "arm")]
mod aarch32;
#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(any(target_arch = "arm", target_arch = "aarch64"))]
mod arm;
pub mod elf;
#[cfg(any(target_arch = "riscv32", target_arch = "riscv64"))]
mod riscv;
#[cfg(target_arch = "x86_64")]
mod x86_64;

/// What a PC has.
#[cfg(target_arch = "x86_64")]
pub mod pc;
/// What a PC has, which these machines are not.
#[cfg(not(target_arch = "x86_64"))]
pub mod pc {}

#[cfg(target_arch = "arm")]
pub use aarch32::*;
#[cfg(target_arch = "aarch64")]
pub use aarch64::*;
#[cfg(any(target_arch = "arm", target_arch = "aarch64"))]
pub use arm::*;
#[cfg(any(target_arch = "riscv32", target_arch = "riscv64"))]
pub use riscv::*;
#[cfg(target_arch = "x86_64")]
pub use x86_64::*;

/// The number of the system call `Recv`, of a kernel without MCS.
const RECV: isize = -5;

#[cfg(target_arch = "x86")]
compile_error!(
    "the feature kernel-16 of vmm is not for IA32, which rust-sel4 does not have: build for another \
     architecture, or without the feature"
);
