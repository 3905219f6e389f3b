// SPDX-License-Identifier: BSD-2-Clause
//! The programs' ELF files. `lib.sh` builds them first, and says where in `VMM_CLIENTS`.

/// Starts all others.
pub static INIT: &[u8] = include_bytes!(concat!(env!("VMM_CLIENTS"), "/init"));
/// Does as its arguments say.
pub static WORKER: &[u8] = include_bytes!(concat!(env!("VMM_CLIENTS"), "/worker"));
