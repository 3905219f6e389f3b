// SPDX-License-Identifier: BSD-2-Clause
//! What differs between architectures: the names of a thread's registers, one file for each, and
//! how large a large page is.

#[cfg(target_arch = "x86")]
mod ia32;
#[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
mod other;
#[cfg(target_arch = "x86_64")]
mod x86_64;

/// A thread's registers, where they have no names: the words of a message. There a server has no
/// requests about them.
#[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
pub use crate::objects::Registers as UserRegisters;
#[cfg(target_arch = "x86")]
pub use ia32::{UserRegisters, LARGE_PAGE_BYTES};
#[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
pub use other::LARGE_PAGE_BYTES;
#[cfg(target_arch = "x86_64")]
pub use x86_64::{UserRegisters, LARGE_PAGE_BYTES};
