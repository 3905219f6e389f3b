// SPDX-License-Identifier: BSD-2-Clause
//! A thread that writes beside the manager.

use untyped_alloc::kernel::CPtr;

/// Where a thread writes, and how often it has.
#[derive(Clone, Copy, Debug)]
pub(in crate::model) struct Beside {
    pub(in crate::model) vspace: CPtr,
    pub(in crate::model) vaddr: usize,
    pub(in crate::model) written: u64,
}
