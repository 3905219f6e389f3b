// SPDX-License-Identifier: BSD-2-Clause
//! riscv32 and riscv64: a page fault's words.

use crate::types::fault::PageFault;

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
    PageFault::from_riscv_words(ip, address, prefetch, fsr).ok_or((fsr, 0))
}
