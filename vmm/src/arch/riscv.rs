// SPDX-License-Identifier: BSD-2-Clause
//! What riscv32 and riscv64 have in common: the words of a page fault.
//!
//! Source: RISC-V Privileged Architecture, "Supervisor Cause Register".

use crate::types::fault::{Access, PageFault};

impl PageFault {
    /// From the words of the message: instruction pointer, address, whether it was a fetch, and the
    /// fault status: the cause of the exception (`scause`), 12 for a page fault of a fetch, 13 of a
    /// load, 15 of a store. The kernel of 16.0.0 gives the access fault of the same kind for it (1,
    /// 5, 7), so the two are not told apart.
    ///
    /// The cause does not say whether a page is there: `present` is false always, and the manager's
    /// records say. `None` for another cause, which no mapping mends.
    pub fn from_riscv_words(
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
