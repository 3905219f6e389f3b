// SPDX-License-Identifier: BSD-2-Clause
//! What differs between the architectures: what programs' files are, and, behind the feature
//! `sel4`, the processor's counter of time and threads' registers.

mod files;
#[cfg(all(feature = "sel4", not(any(target_arch = "x86", target_arch = "x86_64"))))]
mod other;
#[cfg(all(feature = "sel4", any(target_arch = "x86", target_arch = "x86_64")))]
#[allow(unsafe_code)]
mod x86;

pub(crate) use files::{MACHINE_32, MACHINE_64, NOT_THIS_32, NOT_THIS_64};
#[cfg(all(feature = "sel4", not(any(target_arch = "x86", target_arch = "x86_64"))))]
pub(crate) use other::*;
#[cfg(all(feature = "sel4", any(target_arch = "x86", target_arch = "x86_64")))]
pub(crate) use x86::*;
