// SPDX-License-Identifier: BSD-2-Clause
//! aarch32: its description, a page fault's words, the address of a symbol.

use page_tables::Geometry;
use sel4::sys;

use crate::types::architecture::Architecture;
use crate::types::fault::PageFault;

/// The description of the architecture that the program runs on. Where user space ends depends on
/// the platform.
pub const ARCHITECTURE: Architecture = {
    const END: usize = sys::seL4_UserTop as usize;
    let Architecture { sizes, geometry, tls } = Architecture::AARCH32;
    Architecture { sizes, geometry: Geometry { user_end: END, fault_end: END, ..geometry }, tls }
};

/// The fault that a message's words tell of.
///
/// # Errors
/// The exception that it is where no mapping could mend it: the bits of the fault status register
/// that say which (10 and 3:0), and all of it.
pub fn page_fault(
    ip: usize,
    address: usize,
    prefetch: usize,
    fsr: usize,
) -> Result<PageFault, (usize, usize)> {
    PageFault::from_aarch32_words(ip, address, prefetch, fsr).ok_or((fsr & 0x40f, fsr))
}

/// The address of a symbol that the linker fills in, 0 where there is none: it is weak in each
/// object that asks for it.
macro_rules! symbol_address {
    ($symbol:literal) => {{
        let address: usize;
        // SAFETY: makes an address that the linker fills in, of parts that it has for a weak symbol
        // too: one relative to the instruction would not be 0.
        unsafe {
            core::arch::asm!(
                concat!(".weak ", $symbol),
                concat!("movw {0}, #:lower16:", $symbol),
                concat!("movt {0}, #:upper16:", $symbol),
                out(reg) address,
                options(nomem, nostack, preserves_flags)
            );
        }
        address
    }};
}
pub(in crate::sel4) use symbol_address;
