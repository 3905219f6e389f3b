// SPDX-License-Identifier: BSD-2-Clause
//! The client programs' ELF files. `lib.sh` builds them first, and says where in `VMM_CLIENTS`.

/// Shares memory and ends first.
pub static GIVER: &[u8] = include_bytes!(concat!(env!("VMM_CLIENTS"), "/giver"));
/// Its child.
pub static TAKER: &[u8] = include_bytes!(concat!(env!("VMM_CLIENTS"), "/taker"));
/// Breaks the rules.
pub static ROGUE: &[u8] = include_bytes!(concat!(env!("VMM_CLIENTS"), "/rogue"));
/// Supplies others with pages.
pub static PAGER: &[u8] = include_bytes!(concat!(env!("VMM_CLIENTS"), "/pager"));
/// Has its pages from the pager.
pub static READER: &[u8] = include_bytes!(concat!(env!("VMM_CLIENTS"), "/reader"));
/// Falls, in either of two ways.
pub static FALLER: &[u8] = include_bytes!(concat!(env!("VMM_CLIENTS"), "/faller"));
/// Has two threads.
pub static TWINS: &[u8] = include_bytes!(concat!(env!("VMM_CLIENTS"), "/twins"));
