// SPDX-License-Identifier: BSD-2-Clause
//! Calls that clear, made by the clearing thread for a thread that waits for their ends.

use core::fmt;
use core::sync::atomic::Ordering;

use sel4::cap::Notification;
use untyped_alloc::{KernelError, KernelResult};

use super::shared::{kernel_error, work, Call, PacerParts};

/// The clearing thread, for who hands it a call and waits.
#[derive(Clone, Copy)]
pub(in crate::sel4) struct PacedCalls {
    pub(super) parts: &'static PacerParts,
    pub(super) wanted: Notification,
    pub(super) done: Notification,
}

impl PacedCalls {
    /// Has a call made, and waits for its end; what the kernel answered. `None` where it was not
    /// made: the thread has another one, or has faulted, ticks are lost, or the thread has the
    /// CSpace of before and cannot name what the call is about.
    pub fn make(&self, call: Call) -> Option<KernelResult> {
        let parts = self.parts;
        if parts.work.load(Ordering::Acquire) != work::NONE || !parts.paces() {
            return None;
        }
        parts.put_call(call);
        self.wanted.signal();
        while parts.work.load(Ordering::Acquire) != work::DONE {
            if parts.faulted.load(Ordering::Acquire) {
                parts.work.store(work::NONE, Ordering::Relaxed);
                // It may have been made: what is in the slot is deleted, and the call made again.
                return Some(Err(KernelError::DeleteFirst));
            }
            parts.ask_for_timer();
            self.done.wait();
        }
        let answer = parts.answer.load(Ordering::Relaxed);
        parts.work.store(work::NONE, Ordering::Relaxed);
        match answer {
            0 => Some(Ok(())),
            number => match KernelError::from(kernel_error(number)) {
                KernelError::FailedLookup | KernelError::InvalidCapability => None,
                error => Some(Err(error)),
            },
        }
    }
}

impl fmt::Debug for PacedCalls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PacedCalls").finish_non_exhaustive()
    }
}
