// SPDX-License-Identifier: BSD-2-Clause
//! riscv32: its description, the address of a symbol.

use crate::types::architecture::Architecture;

/// The description of the architecture that the program runs on.
pub const ARCHITECTURE: Architecture = Architecture::RISCV32_SV32;

/// The address of a symbol that the linker fills in, 0 where there is none: it is weak in each
/// object that asks for it.
macro_rules! symbol_address {
    ($symbol:literal) => {{
        let address: usize;
        // SAFETY: reads an address that the linker fills in, from a word beside the instructions:
        // one relative to them would not be 0.
        unsafe {
            core::arch::asm!(
                concat!(".weak ", $symbol),
                "la {0}, 2f",
                "lw {0}, 0({0})",
                "j 3f",
                ".balign 4",
                "2:",
                concat!(".word ", $symbol),
                "3:",
                out(reg) address,
                options(nomem, nostack, preserves_flags)
            );
        }
        address
    }};
}
pub(in crate::sel4) use symbol_address;
