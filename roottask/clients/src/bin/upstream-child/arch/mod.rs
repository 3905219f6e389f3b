// SPDX-License-Identifier: BSD-2-Clause
//! What differs between the architectures: the first instructions, which make the program's own
//! memory the stack, as it is started without one.

#[cfg(target_arch = "x86")]
mod ia32;
#[cfg(target_arch = "x86_64")]
mod x86_64;
