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
    /// Has the next interrupt come after a period from now.
    fn again(&self, parts: &PacerParts) {
        note(parts, timer::again(self.count));
        note(parts, self.handler.irq_handler_ack());
    }
}

/// Paces, until it is told to end: at each tick it lets the clearing thread go on, or suspends it,
/// and wakes who slept long enough.
pub(super) fn pace(parts: &PacerParts, timer: Timer, options: PacerOptions) {
    let clearing_thread = parts.clearing_thread.load(Ordering::Relaxed) as sel4::Word;
    let clearing_thread = sel4::Cap::<cap_type::Tcb>::from_bits(clearing_thread);
    // Ticks that the clearing thread was running or suspended for.
    let (mut runs, mut since) = (true, 0);
    while !parts.end.load(Ordering::Acquire) {
        timer.tick.wait();
        let now = parts.ticks.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        // First what others wait for; then the timer may interrupt again.
        since += 1;
        let busy = parts.work.load(Ordering::Acquire) == work::CALLING;
        let changed = match runs {
            true if busy && since >= options.ticks_on && options.ticks_off != 0 => {
                parts.suspended.fetch_add(1, Ordering::Relaxed);
                clearing_thread.tcb_suspend()
            }
            // Whatever it was doing when it was suspended: it may have just come to its end.
            false if since >= options.ticks_off => clearing_thread.tcb_resume(),
            _ => {
                parts.wake(now);
                timer.again(parts);
                continue;
            }
        };
        // Where the kernel refuses, the thread goes on as it is, and that is tried again.
        if changed.is_ok() {
            (runs, since) = (!runs, 0);
        }
        note(parts, changed);
        parts.wake(now);
        timer.again(parts);
    }
    if !runs {
        note(parts, clearing_thread.tcb_resume());
    }
}

fn note(parts: &PacerParts, done: sel4::Result<()>) {
    if done.is_err() {
        parts.refused.fetch_add(1, Ordering::Relaxed);
    }
}

/// Makes the calls that clear, one at a time, until it is told to end.
pub(super) fn clear(parts: &PacerParts, wanted: cap::Notification, done: cap::Notification) {
    loop {
        match parts.work.load(Ordering::Acquire) {
            work::WANTED => {}
            work::END => return,
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
