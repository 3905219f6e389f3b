//! What IA32 and x86_64 have in common: the words of a page fault.

use crate::types::fault::{Access, PageFault};

impl PageFault {
    /// From the words of the message: instruction pointer, address, whether it was a fetch, and the
    /// fault status register: on x86 the page-fault error code (bit 0 present, 1 write, 4 fetch).
    pub fn from_x86_words(ip: usize, address: usize, prefetch: usize, fsr: usize) -> PageFault {
        let access = match (prefetch != 0 || fsr & 16 != 0, fsr & 2 != 0) {
            (true, _) => Access::Execute,
            (false, true) => Access::Write,
            (false, false) => Access::Read,
        };
        PageFault { address, access, present: fsr & 1 != 0, ip }
    }
}
