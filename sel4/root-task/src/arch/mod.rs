// SPDX-License-Identifier: BSD-2-Clause
//! What differs between the architectures: the first instructions of a root task.
//!
//! The program's TLS block, if it has one, lies at the top of the stack. `tls::block_size` says how
//! much that takes; it runs on the same stack and is done with it by then.

#[cfg(target_arch = "x86")]
mod ia32;
#[cfg(target_arch = "x86_64")]
mod x86_64;
