// SPDX-License-Identifier: BSD-2-Clause
//! The pacer: a device timer's interrupt lets others run while the kernel clears memory.
//!
//! While the kernel clears an untyped nobody else runs, whatever his priority, unless a device
//! interrupt wakes him. So a thread of the highest priority waits for the interrupts of the PC's
//! programmable interval timer, which the kernel leaves alone, and a second thread makes the calls
//! that clear. At each tick the first lets the second go on, or suspends it; the call keeps what it
//! has done. A third, of the lowest priority, says when nobody else runs: then the second goes on
//! before the next tick, and also when no tick comes any more. A fourth is woken when the timer's
//! interrupt is revoked, so that nobody waits for ticks that do not come. The first hears of faults
//! of the second, and a fifth of those of the first.
//!
//! ```text
//!   root task ── begin_clearing ──► clearing thread: Untyped_Retype ───────────► its end: poll, wait
//!                                     ▲ suspended and resumed, a tick each
//!   timer ──── every 0.5 ms ────────► pacing thread ──► sleepers whose time has come
//!                                     ▲ nobody else runs: idling thread
//! ```
//!
//! The clearing thread holds no lock and nothing of the manager's state: it is handed one prepared
//! call, whose block is marked as being cleared, and its end is recorded when the root task looks.
//!
//! - `options.rs`: how often, and what share clearing has.
//! - `timer.rs`: what is asked of a timer ([`Timer`]).
//! - `arch/`: the one that all machines of an architecture have.
//! - `shared.rs`: what the threads and the root task share ([`PacerParts`]): numbers, no lock.
//! - `loops.rs`: what the threads do.
//! - `calls.rs`: calls of the manager's own that the clearing thread makes.
//! - `capabilities.rs`: putting capabilities into slots, and taking them out.
//! - `clock.rs`: sleeping, and time-outs ([`Clock`]).
//! - `error.rs`: why it does not do what it was asked for.
//! - `control.rs`: starting, and clearing ([`Pacer`]).
//! - `sentinel.rs`: a thread that is woken when the interrupts are revoked.
//! - `ending.rs`: stopping.

mod arch;
mod calls;
mod capabilities;
mod clock;
mod control;
mod ending;
mod error;
mod loops;
mod options;
mod sentinel;
mod shared;
mod timer;

pub(super) use calls::PacedCalls;
pub use clock::Clock;
pub use control::Pacer;
pub use error::PacerError;
pub use options::PacerOptions;
pub(super) use shared::Call;
pub use shared::PacerParts;
pub use timer::Timer;
