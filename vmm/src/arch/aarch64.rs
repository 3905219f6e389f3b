// SPDX-License-Identifier: BSD-2-Clause
//! aarch64: three or four levels of tables, pages of 4 KiB, 2 MiB and 1 GiB; the words of a page
//! fault.
//!
//! Sources: Arm Architecture Reference Manual for A-profile, `ESR_ELx`, "ISS encoding for an
//! exception from a Data Abort" and "from an Instruction Abort"; ELF for the Arm 64-bit
//! Architecture, "Thread Local Storage".

use page_tables::Geometry;
use untyped_alloc::ObjectSizes;

use crate::types::architecture::{Architecture, TlsVariant};
use crate::types::fault::{Access, PageFault};

impl Architecture {
    /// aarch64 with the kernel at EL1.
    pub const AARCH64: Architecture = Architecture {
        sizes: ObjectSizes::AARCH64,
        geometry: Geometry::AARCH64,
        tls: TlsVariant::Above { words: 2 },
    };

    /// aarch64 with the kernel as hypervisor, physical addresses of 44 bits.
    pub const AARCH64_HYPERVISOR_44: Architecture =
        Architecture { geometry: Geometry::AARCH64_HYPERVISOR_44, ..Architecture::AARCH64 };

    /// aarch64 with the kernel as hypervisor, physical addresses of 40 bits.
    pub const AARCH64_HYPERVISOR_40: Architecture = Architecture {
        sizes: ObjectSizes::AARCH64_HYPERVISOR_40,
        geometry: Geometry::AARCH64_HYPERVISOR_40,
        ..Architecture::AARCH64
    };
}

/// The fault status code of either kind of abort.
const STATUS: usize = 0x3f;
/// Write, not Read: in the syndrome of a data abort.
const WNR: usize = 1 << 6;
/// The abort is of a cache maintenance or address translation instruction, of which `WNR` says that
/// it writes.
const CM: usize = 1 << 8;

impl PageFault {
    /// From the words of the message: instruction pointer, address, whether it was a fetch, and the
    /// fault status: the exception syndrome register (`ESR_ELx`).
    ///
    /// `None` when it is an abort that no mapping mends: of alignment, of an access that the memory
    /// did not answer, and what else is neither of translation nor of permission.
    pub fn from_aarch64_words(
        ip: usize,
        address: usize,
        prefetch: usize,
        fsr: usize,
    ) -> Option<PageFault> {
        let present = match fsr & STATUS {
            // Address size fault, translation fault, of levels 0 to 3.
            0b000000..=0b000111 => false,
            // Access flag fault, permission fault.
            0b001000..=0b001111 => true,
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
