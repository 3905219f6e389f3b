// SPDX-License-Identifier: BSD-2-Clause
//! What differs between architectures: one file for each. All of them are compiled on every machine
//! whose words are wide enough, so that tests on a host reach them.

mod aarch32;
mod ia32;
mod riscv;
mod riscv32;
mod x86;

#[cfg(target_pointer_width = "64")]
mod aarch64;
#[cfg(target_pointer_width = "64")]
mod riscv64;
#[cfg(target_pointer_width = "64")]
mod x86_64;
