// SPDX-License-Identifier: BSD-2-Clause
//! What IA32 and x86_64 have in common: a page fault's words, the address of a symbol.

use crate::types::fault::PageFault;

/// The fault that a message's words tell of.
///
/// # Errors
/// Number and code of the exception that it is where no mapping could mend it: none is, here.
#[inline]
pub fn page_fault(
    ip: usize,
    address: usize,
    prefetch: usize,
    fsr: usize,
) -> Result<PageFault, (usize, usize)> {
    Ok(PageFault::from_x86_words(ip, address, prefetch, fsr))
}

/// The address of a symbol that the linker fills in, 0 where there is none: it is weak in each
/// object that asks for it.
macro_rules! symbol_address {
    ($symbol:literal) => {{
        let address: usize;
        // SAFETY: reads an address that the linker fills in.
        unsafe {
            core::arch::asm!(
                concat!(".weak ", $symbol),
                concat!("lea {}, [", $symbol, "]"),
                out(reg) address,
                options(nomem, nostack, preserves_flags)
            );
        }
        address
    }};
}
pub(in crate::sel4) use symbol_address;
