// SPDX-License-Identifier: BSD-2-Clause
//! aarch32: two levels of tables, pages of 4 KiB and 1 MiB; the words of a page fault.
//!
//! Sources: Arm Architecture Reference Manual for ARMv7-A, "Fault Status and Fault Address
//! registers in a VMSA implementation", with the short-descriptor translation table format; ELF for
//! the Arm Architecture, "Thread Local Storage".

use page_tables::Geometry;
use untyped_alloc::ObjectSizes;

use crate::types::architecture::{Architecture, TlsVariant};
use crate::types::fault::{Access, PageFault};

impl Architecture {
    /// aarch32 with the kernel at PL1.
    pub const AARCH32: Architecture = Architecture {
        sizes: ObjectSizes::AARCH32,
        geometry: Geometry::AARCH32,
        tls: TlsVariant::Above { words: 2 },
    };
}

/// Write, not Read: in the status of a data abort.
const WNR: usize = 1 << 11;
/// The abort is of a cache maintenance operation, of which `WNR` says that it writes.
const CM: usize = 1 << 13;

/// The status of a fault: bits 3:0, and bit 10 as the fifth.
const fn status(fsr: usize) -> usize {
    fsr & 0xf | fsr >> 6 & 0x10
}

impl PageFault {
    /// From the words of the message: instruction pointer, address, whether it was a fetch, and the
    /// fault status: the fault status register of data or instructions (`DFSR`, `IFSR`).
    ///
    /// `None` when it is an abort that no mapping mends: of alignment, of a domain, of an access
    /// that the memory did not answer.
    pub fn from_aarch32_words(
        ip: usize,
        address: usize,
        prefetch: usize,
        fsr: usize,
    ) -> Option<PageFault> {
        let present = match status(fsr) {
            // Translation fault, of a section or a page.
            0b00101 | 0b00111 => false,
            // Access flag fault, permission fault, of either.
            0b00011 | 0b00110 | 0b01101 | 0b01111 => true,
            _ => return None,
        };
        let access = match (prefetch != 0, fsr & WNR != 0 && fsr & CM == 0) {
            (true, _) => Access::Execute,
            (false, true) => Access::Write,
            (false, false) => Access::Read,
        };
        Some(PageFault { address, access, present, ip })
    }
}
