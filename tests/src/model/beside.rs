// SPDX-License-Identifier: BSD-2-Clause
//! A thread that writes beside the manager: what a page holds while it is copied may change.

use untyped_alloc::kernel::CPtr;

use super::kernel::ModelKernel;
use super::state::beside::Beside;

impl ModelKernel<'_> {
    /// Has a thread write at an address of a VSpace whenever the manager has copied a page: first
    /// 1, then 2, and so on. Where the page is absent or may not be written, it waits.
    pub fn write_beside(&mut self, vspace: CPtr, vaddr: usize) {
        self.beside = Some(Beside { vspace, vaddr, written: 0 });
    }

    /// The number that was written last; 0 if none was, or no thread writes. It writes no more.
    pub fn written_beside(&mut self) -> u64 {
        self.beside.take().map_or(0, |beside| beside.written)
    }

    /// The thread's turn.
    pub(super) fn run_beside(&mut self) {
        let Some(Beside { vspace, vaddr, written }) = self.beside else { return };
        let next = written + 1;
        if ModelKernel::write(self, vspace, vaddr, &next.to_le_bytes()).is_ok() {
            self.beside = Some(Beside { vspace, vaddr, written: next });
        }
    }
}
