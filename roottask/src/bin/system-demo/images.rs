// SPDX-License-Identifier: BSD-2-Clause
//! The programs' ELF files. `lib.sh` builds them first, and says where in `VMM_CLIENTS`.

/// Starts all others.
pub static INIT: &[u8] = include_bytes!(concat!(env!("VMM_CLIENTS"), "/init"));
/// A file server that is a pager.
pub static FILE_SERVER: &[u8] = include_bytes!(concat!(env!("VMM_CLIENTS"), "/file-server"));
/// Maps its file, and looks at every byte.
pub static FILE_READER: &[u8] = include_bytes!(concat!(env!("VMM_CLIENTS"), "/file-reader"));
/// Does as its arguments say.
pub static WORKER: &[u8] = include_bytes!(concat!(env!("VMM_CLIENTS"), "/worker"));
