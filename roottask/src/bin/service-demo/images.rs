//! The client programs' ELF files. `lib.sh` builds them first, and says where in `VMM_CLIENTS`.

/// Shares memory and ends first.
pub static GIVER: &[u8] = include_bytes!(concat!(env!("VMM_CLIENTS"), "/giver"));
/// Its child.
pub static TAKER: &[u8] = include_bytes!(concat!(env!("VMM_CLIENTS"), "/taker"));
/// Breaks the rules.
pub static ROGUE: &[u8] = include_bytes!(concat!(env!("VMM_CLIENTS"), "/rogue"));
