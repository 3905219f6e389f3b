// SPDX-License-Identifier: BSD-2-Clause
//! What the two threads do.

use core::sync::atomic::Ordering;

use sel4::{cap, cap_type, ObjectBlueprint};

use super::options::PacerOptions;
use super::shared::{work, Call, PacerParts};
use super::timer;

/// What the pacing thread has capabilities to.
#[derive(Clone, Copy)]
pub(super) struct Timer {
    /// Signalled at each interrupt.
    pub tick: cap::Notification,
    pub handler: cap::IrqHandler,
    /// Its inputs from one interrupt to the next.
    pub count: u16,
}

impl Timer {
    /// Has the next interrupt come after a period from now; says whether it will.
    fn again(&self, parts: &PacerParts) -> bool {
        note(parts, timer::again(self.count)) && note(parts, self.handler.irq_handler_ack())
    }
}

/// The clearing thread, and who waits for its work.
struct Clearing<'p> {
    parts: &'p PacerParts,
    thread: cap::Tcb,
    done: cap::Notification,
}

impl Clearing<'_> {
    /// Suspends it; says whether it is.
    fn suspend(&self) -> bool {
        let suspended = note(self.parts, self.thread.tcb_suspend());
        self.parts.suspended.fetch_add(suspended.into(), Ordering::Relaxed);
        suspended
    }

    /// Lets it go on; says whether it does. Who waits for it is told if not.
    fn resume(&self) -> bool {
        let resumed = self.thread.tcb_resume();
        let error = resumed.map_or_else(|error| error as usize, |()| 0);
        self.parts.stuck.store(error, Ordering::Release);
        if error != 0 {
            self.done.signal();
        }
        note(self.parts, resumed)
    }
}

/// Paces, until it is told to end: at each tick it lets the clearing thread go on, or suspends it,
/// and wakes who slept long enough.
pub(super) fn pace(
    parts: &PacerParts,
    timer: Timer,
    done: cap::Notification,
    options: PacerOptions,
) {
    let thread = sel4::Cap::from_bits(parts.clearing_thread.load(Ordering::Relaxed) as sel4::Word);
    let clearing = Clearing { parts, thread, done };
    // Ticks that the clearing thread was running or suspended for.
    let (mut runs, mut since) = (true, 0);
    while !parts.end.load(Ordering::Acquire) {
        timer.tick.wait();
        let now = parts.ticks.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        // First what others wait for; then the timer may interrupt again.
        since += 1;
        let busy = parts.work.load(Ordering::Acquire) == work::CALLING;
        // Where the kernel refuses, the thread goes on as it is, and that is tried again.
        let changed = match runs {
            true if busy && since >= options.ticks_on && options.ticks_off != 0 => {
                clearing.suspend()
            }
            // Whatever it was doing when it was suspended: it may have just come to its end.
            false if since >= options.ticks_off => clearing.resume(),
            _ => false,
        };
        if changed {
            (runs, since) = (!runs, 0);
        }
        parts.wake(now);
        if !timer.again(parts) {
            parts.lose_timer();
            break;
        }
    }
    if !runs {
        clearing.resume();
    }
}

/// Counts a call that was refused; says whether it was not.
fn note(parts: &PacerParts, done: sel4::Result<()>) -> bool {
    parts.refused.fetch_add(done.is_err().into(), Ordering::Relaxed);
    done.is_ok()
}

/// Makes the calls that clear, one at a time, until it is told to end.
pub(super) fn clear(parts: &PacerParts, wanted: cap::Notification, done: cap::Notification) {
    loop {
        match parts.work.load(Ordering::Acquire) {
            work::WANTED => {}
            _ if parts.end.load(Ordering::Acquire) => return,
            _ => {
                wanted.wait();
                continue;
            }
        }
        let Call { untyped, size_bits, node, offset } = parts.call();
        parts.work.store(work::CALLING, Ordering::Release);
        let cnode = node.root.cap::<cap_type::CNode>();
        let place = cnode.absolute_cptr_from_bits_with_depth(
            node.index as sel4::CPtrBits,
            usize::from(node.depth),
        );
        let what = ObjectBlueprint::Untyped { size_bits: usize::from(size_bits) };
        let untyped = untyped.cap::<cap_type::Untyped>();
        let answer = match untyped.untyped_retype(&what, &place, offset, 1) {
            Ok(()) => 0,
            Err(error) => error as usize,
        };
        parts.answer.store(answer, Ordering::Relaxed);
        parts.work.store(work::DONE, Ordering::Release);
        done.signal();
    }
}
