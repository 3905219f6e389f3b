// SPDX-License-Identifier: BSD-2-Clause
//! The programs' ELF files. `lib.sh` builds them first, and says where in `VMM_CLIENTS`.

/// Sends random messages.
pub static STORM: &[u8] = include_bytes!(concat!(env!("VMM_CLIENTS"), "/storm"));
/// Uses its guarantee.
pub static WITNESS: &[u8] = include_bytes!(concat!(env!("VMM_CLIENTS"), "/witness"));
