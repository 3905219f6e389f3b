// SPDX-License-Identifier: BSD-2-Clause
//! What a pacer asks of a timer.

use sel4::{AbsoluteCPtr, Error, Result};
use untyped_alloc::CPtr;

/// A timer that interrupts once, a while after it was set: the PC's, which
/// [`Pacer::start`](super::Pacer::start) uses, or one of a program's own, for
/// [`Pacer::start_with`](super::Pacer::start_with).
///
/// A pacer has two slots for it, `interrupt` and `own`, which are empty at first, and deletes what
/// is in them at the end: what has to be kept is kept there, or is the program's.
pub trait Timer: Sync {
    /// What it is set to for a period of `period_us` microseconds; `None` where it has no such
    /// period. No kernel call.
    fn count_for(&self, period_us: u32) -> Option<u32>;

    /// Makes the handler of its interrupt in the slot `interrupt`; and in `own` a capability that
    /// it needs besides, if any. Where it fails, what is in the two is deleted.
    ///
    /// # Errors
    /// What the kernel refuses: [`PacerError::NoTimer`](super::PacerError::NoTimer) says it.
    fn claim(&self, interrupt: &AbsoluteCPtr, own: &AbsoluteCPtr) -> Result<()>;

    /// Takes back its interrupt, where the line stays raised after it has come: else that would
    /// come again as soon as it is acknowledged. At each tick the pacing thread calls this,
    /// acknowledges the interrupt, and calls [`Timer::set`]; so both are to be short.
    ///
    /// # Errors
    /// What the kernel refuses: no tick comes any more then. It does nothing, unless it is
    /// implemented.
    fn withdraw(&self, _own: CPtr) -> Result<()> {
        Ok(())
    }

    /// Has it interrupt once, after `count`, and forget what it was set to before.
    ///
    /// # Errors
    /// What the kernel refuses: no tick comes any more then.
    fn set(&self, own: CPtr, count: u32) -> Result<()>;

    /// Has it not interrupt until it is set, in a mode in which it can be. Called before it is set
    /// for the first time, and at the end.
    ///
    /// # Errors
    /// What the kernel refuses.
    fn stop(&self, own: CPtr) -> Result<()>;

    /// Makes the handler of an interrupt that no device ever raises in an empty slot: by that,
    /// whoever sleeps is told at once when the program's interrupts are revoked.
    ///
    /// # Errors
    /// `IllegalOperation`, unless it is implemented: then he is told as soon as anybody sleeps,
    /// sets an alarm, waits for what is cleared, or stops the pacer.
    fn claim_unused(&self, _interrupt: &AbsoluteCPtr) -> Result<()> {
        Err(Error::IllegalOperation)
    }
}
