// SPDX-License-Identifier: BSD-2-Clause
//! aarch64: which description the kernel's configuration makes it, a page fault's words, the
//! address of a symbol.

use sel4::sys;

use crate::types::architecture::Architecture;
use crate::types::fault::PageFault;

/// The description of the architecture that the program runs on. The root's entries and where user
/// space ends say whether the kernel is the hypervisor, and on which processor; the bindings'
/// number of levels is 4 in all cases.
pub const ARCHITECTURE: Architecture = {
    const END: usize = sys::seL4_UserTop as usize + 1;
    let all = [
        Architecture::AARCH64,
        Architecture::AARCH64_HYPERVISOR_44,
        Architecture::AARCH64_HYPERVISOR_40,
    ];
    let mut index = 0;
    while all[index].geometry.user_end != END
        || all[index].geometry.levels[0].index_bits as usize != sys::seL4_VSpaceIndexBits as usize
    {
        index += 1;
        assert!(index < all.len(), "the kernel has another root or user space than is known");
    }
    all[index]
};

/// The fault that a message's words tell of.
///
/// # Errors
/// The exception that it is where no mapping could mend it: the exception class and the whole
/// syndrome (`ESR_ELx`).
pub fn page_fault(
    ip: usize,
    address: usize,
    prefetch: usize,
    fsr: usize,
) -> Result<PageFault, (usize, usize)> {
    PageFault::from_aarch64_words(ip, address, prefetch, fsr).ok_or((fsr >> 26 & 0x3f, fsr))
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
                concat!("movz {0}, #:abs_g3:", $symbol),
                concat!("movk {0}, #:abs_g2_nc:", $symbol),
                concat!("movk {0}, #:abs_g1_nc:", $symbol),
                concat!("movk {0}, #:abs_g0_nc:", $symbol),
                out(reg) address,
                options(nomem, nostack, preserves_flags)
            );
        }
        address
    }};
}
pub(in crate::sel4) use symbol_address;
