// SPDX-License-Identifier: BSD-2-Clause
//! The programs' ELF files. `lib.sh` builds them first, and says where in `VMM_CLIENTS`.

/// Sends random messages.
pub static STORM: &[u8] = include_bytes!(concat!(env!("VMM_CLIENTS"), "/storm"));
/// Uses its guarantee.
pub static WITNESS: &[u8] = include_bytes!(concat!(env!("VMM_CLIENTS"), "/witness"));
/// Takes and scatters all of its pages.
pub static SCATTERER: &[u8] = include_bytes!(concat!(env!("VMM_CLIENTS"), "/scatterer"));
/// Has memory of large pages, and is lent it.
pub static BULK: &[u8] = include_bytes!(concat!(env!("VMM_CLIENTS"), "/bulk"));
/// Uses up numbers.
pub static CYCLER: &[u8] = include_bytes!(concat!(env!("VMM_CLIENTS"), "/cycler"));
/// Copies a capability, and revokes it.
pub static COPIER: &[u8] = include_bytes!(concat!(env!("VMM_CLIENTS"), "/copier"));
/// Has a CNode full of copies.
pub static COLLECTOR: &[u8] = include_bytes!(concat!(env!("VMM_CLIENTS"), "/collector"));
/// Destroys its own capabilities.
pub static VANDAL: &[u8] = include_bytes!(concat!(env!("VMM_CLIENTS"), "/vandal"));
/// Floods the service, or computes.
pub static FLOOD: &[u8] = include_bytes!(concat!(env!("VMM_CLIENTS"), "/flood"));
/// Waits for memory.
pub static PATIENT: &[u8] = include_bytes!(concat!(env!("VMM_CLIENTS"), "/patient"));
/// Touches memory for which there is none.
pub static TOUCHER: &[u8] = include_bytes!(concat!(env!("VMM_CLIENTS"), "/toucher"));
/// Ends memory that it is given.
pub static FRIEND: &[u8] = include_bytes!(concat!(env!("VMM_CLIENTS"), "/friend"));
/// Gives parts of mappings other rights, reserves, clones.
pub static SHAPER: &[u8] = include_bytes!(concat!(env!("VMM_CLIENTS"), "/shaper"));
/// Ends programs that do not end by themselves, and one of those.
pub static WARDEN: &[u8] = include_bytes!(concat!(env!("VMM_CLIENTS"), "/warden"));
pub static RUNNER: &[u8] = include_bytes!(concat!(env!("VMM_CLIENTS"), "/runner"));
/// Ends at once.
pub static BRIEF: &[u8] = include_bytes!(concat!(env!("VMM_CLIENTS"), "/brief"));
/// Starts hostile pagers and programs without end, and ends them.
pub static ARBITER: &[u8] = include_bytes!(concat!(env!("VMM_CLIENTS"), "/arbiter"));
/// Starts programs of all priorities.
pub static LADDER: &[u8] = include_bytes!(concat!(env!("VMM_CLIENTS"), "/ladder"));
/// Starts programs whose threads send all at once, and ends them.
pub static CROWD: &[u8] = include_bytes!(concat!(env!("VMM_CLIENTS"), "/crowd"));
