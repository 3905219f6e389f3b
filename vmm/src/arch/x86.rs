// SPDX-License-Identifier: BSD-2-Clause
//! What IA32 and x86_64 have in common: the words of a page fault.

use crate::types::fault::{Access, PageFault};

impl PageFault {
    /// The longest instruction, in bytes.
    const MAX_INSTRUCTION: usize = 15;
    const PAGE_BITS: u32 = 12;

    /// From the words of the message: instruction pointer, address, whether it was a fetch, and the
    /// fault status register: on x86 the page-fault error code (bit 0 present, 1 write, 4 fetch).
    ///
    /// On x86_64 the kernel of 5.0.0 gives the low 32 bits of `address` only (`handleVMFault`): see
    /// [`page_tables::Geometry::fault_end`].
    ///
    /// A processor without a no-execute attribute, such as IA32 without PAE, says of a fetch that
    /// it is a read. So a read at the instruction itself is one; and a read on the next page, of
    /// what may be the rest of the instruction.
    pub fn from_x86_words(ip: usize, address: usize, prefetch: usize, fsr: usize) -> PageFault {
        let ahead = address.wrapping_sub(ip);
        let access = if prefetch != 0 || fsr & 16 != 0 {
            Access::Execute
        } else if fsr & 2 != 0 {
            Access::Write
        } else if ahead < Self::MAX_INSTRUCTION
            && (ahead == 0 || ip >> Self::PAGE_BITS != address >> Self::PAGE_BITS)
        {
            Access::Execute
        } else {
            Access::Read
        };
        PageFault { address, access, present: fsr & 1 != 0, ip }
    }
}
