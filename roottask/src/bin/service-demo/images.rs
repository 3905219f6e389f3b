//! The client programs' ELF files. `lib.sh` builds them first, and says where in `VMM_CLIENTS`.

/// An ELF file at an address that suits its headers.
#[repr(C, align(16))]
struct File<const BYTES: usize>([u8; BYTES]);

macro_rules! file {
    ($name:literal) => {{
        const BYTES: &[u8] = include_bytes!(concat!(env!("VMM_CLIENTS"), "/", $name));
        static FILE: File<{ BYTES.len() }> =
            File(*include_bytes!(concat!(env!("VMM_CLIENTS"), "/", $name)));
        &FILE.0
    }};
}

/// Shares memory and ends first.
pub static GIVER: &[u8] = file!("giver");
/// Its child.
pub static TAKER: &[u8] = file!("taker");
/// Breaks the rules.
pub static ROGUE: &[u8] = file!("rogue");
