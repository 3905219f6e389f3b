// SPDX-License-Identifier: BSD-2-Clause
//! The programs' ELF files. `lib.sh` builds them first, and says where in `VMM_CLIENTS`.

/// Lends memory.
pub static LENDER: &[u8] = include_bytes!(concat!(env!("VMM_CLIENTS"), "/lender"));
/// Is lent memory.
pub static BORROWER: &[u8] = include_bytes!(concat!(env!("VMM_CLIENTS"), "/borrower"));
/// Destroys its own capabilities.
pub static VANDAL: &[u8] = include_bytes!(concat!(env!("VMM_CLIENTS"), "/vandal"));
/// Looks after threads.
pub static OVERSEER: &[u8] = include_bytes!(concat!(env!("VMM_CLIENTS"), "/overseer"));
/// Has a heap that grows and shrinks.
pub static HOARDER: &[u8] = include_bytes!(concat!(env!("VMM_CLIENTS"), "/hoarder"));
/// Counts with several threads.
pub static RUNNER: &[u8] = include_bytes!(concat!(env!("VMM_CLIENTS"), "/runner"));
