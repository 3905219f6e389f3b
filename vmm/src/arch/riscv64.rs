// SPDX-License-Identifier: BSD-2-Clause
//! riscv64 with Sv39: three levels of tables, pages of 4 KiB, 2 MiB and 1 GiB; the words of a page
//! fault.
//!
//! Sources: RISC-V Privileged Architecture, "Supervisor Cause Register"; RISC-V ELF psABI, "Thread
//! Local Storage".

use page_tables::Geometry;
use untyped_alloc::ObjectSizes;

use crate::types::architecture::{Architecture, TlsVariant};
use crate::types::fault::{Access, PageFault};

impl Architecture {
    /// riscv64 with Sv39.
    pub const RISCV64_SV39: Architecture = Architecture {
        sizes: ObjectSizes::RISCV64_SV39,
        geometry: Geometry::RISCV64_SV39,
        tls: TlsVariant::Above { words: 0 },
    };
}

impl PageFault {
    /// From the words of the message: instruction pointer, address, whether it was a fetch, and the
    /// fault status: the cause of the exception (`scause`), 12 for a page fault of a fetch, 13 of a
    /// load, 15 of a store. The kernel of 16.0.0 gives the access fault of the same kind for it (1,
    /// 5, 7), so the two are not told apart.
    ///
    /// The cause does not say whether a page is there: `present` is false always, and the manager's
    /// records say. `None` for another cause, which no mapping mends.
    pub fn from_riscv64_words(
        ip: usize,
        address: usize,
        prefetch: usize,
        fsr: usize,
    ) -> Option<PageFault> {
        let access = match fsr {
            _ if prefetch != 0 => Access::Execute,
            1 | 12 => Access::Execute,
            5 | 13 => Access::Read,
            7 | 15 => Access::Write,
            _ => return None,
        };
        Some(PageFault { address, access, present: false, ip })
    }
}
