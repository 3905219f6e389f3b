// SPDX-License-Identifier: BSD-2-Clause
//! riscv64: its description, a page fault's words, the address of a symbol.

use crate::types::architecture::Architecture;
use crate::types::fault::PageFault;

/// The description of the architecture that the program runs on.
pub const ARCHITECTURE: Architecture = Architecture::RISCV64_SV39;

/// The fault that a message's words tell of.
///
/// # Errors
/// The exception that it is where no mapping could mend it: its cause.
pub fn page_fault(
    ip: usize,
    address: usize,
    prefetch: usize,
    fsr: usize,
) -> Result<PageFault, (usize, usize)> {
    PageFault::from_riscv64_words(ip, address, prefetch, fsr).ok_or((fsr, 0))
}

/// The address of a symbol that the linker fills in, 0 where a weak one is not there.
macro_rules! symbol_address {
    ($symbol:literal) => {{
        let address: usize;
        // SAFETY: reads an address that the linker fills in, from a word beside the instructions:
        // one relative to them would not be 0.
        unsafe {
            core::arch::asm!(
                "la {0}, 2f",
                "ld {0}, 0({0})",
                "j 3f",
                ".balign 8",
                "2:",
                concat!(".dword ", $symbol),
                "3:",
                out(reg) address,
                options(nomem, nostack, preserves_flags)
            );
        }
        address
    }};
}
pub(in crate::sel4) use symbol_address;
