// SPDX-License-Identifier: BSD-2-Clause
//! What the four threads do.

use core::sync::atomic::Ordering;

use sel4::{cap, cap_type, ObjectBlueprint, Word};
use untyped_alloc::CPtr;

use super::options::PacerOptions;
use super::shared::{pacing, work, Call, PacerParts};
use super::timer::Timer;
use crate::sel4::threads::ENDED;

/// What the pacing thread needs to have ticks. Its own notification is bound to it, and signalled
/// at each interrupt with the badge [`TICK`]; with the badge [`ASK`] by who asks whether interrupts
/// still come, or whether the clearing thread can go on.
#[derive(Clone, Copy)]
pub(super) struct Ticks {
    pub timer: &'static dyn Timer,
    pub handler: cap::IrqHandler,
    /// The slot of what the timer needs besides.
    pub own: CPtr,
    /// What the timer is set to for a period.
    pub count: u32,
}

/// The badge of an interrupt.
pub(super) const TICK: Word = 1;
/// The badge of who asks. What has none is a fault of the clearing thread.
pub(super) const ASK: Word = 2;

impl Ticks {
    /// Has the next interrupt come after a period from now, if the last one has come; says whether
    /// it will. An acknowledgement of none changes nothing. The timer is set after it: an interrupt
    /// that came before would be lost where a controller takes none for a line that is masked.
    fn goes_on(&self, parts: &PacerParts, ticked: bool) -> bool {
        let acknowledge = || note(parts, self.handler.irq_handler_ack());
        if !ticked {
            return acknowledge();
        }
        note(parts, self.timer.withdraw(self.own))
            && acknowledge()
            && note(parts, self.timer.set(self.own, self.count))
    }
}

/// The clearing thread, who waits for its work, and who says that nobody else runs.
#[derive(Clone, Copy)]
pub(super) struct ClearingThread {
    pub thread: cap::Tcb,
    pub done: cap::Notification,
    pub idle: cap::Notification,
    /// Where its faults go.
    pub faults: cap::Endpoint,
}

impl ClearingThread {
    /// Suspends it; says whether it is.
    fn suspend(&self, parts: &PacerParts) -> bool {
        let suspended = note(parts, self.thread.tcb_suspend());
        if suspended {
            parts.suspended.fetch_add(1, Ordering::Relaxed);
            self.idle.signal();
        }
        suspended
    }

    /// Records that it has faulted, and tells who waits for it.
    fn note_fault(&self, parts: &PacerParts) {
        parts.faulted.store(true, Ordering::Release);
        self.done.signal();
    }

    /// Lets it go on; says whether it does. Who waits for it is told if not.
    fn resume(&self, parts: &PacerParts) -> bool {
        let resumed = self.thread.tcb_resume();
        let error = resumed.map_or_else(|error| error as usize, |()| 0);
        parts.stuck.store(error, Ordering::Release);
        if error != 0 {
            self.done.signal();
        }
        note(parts, resumed)
    }
}

/// The most that ticks between two attempts are doubled while the kernel refuses.
const MAX_DOUBLED: u32 = 8;

/// Paces, until it is told to end: at each tick it lets the clearing thread go on, or suspends it,
/// and wakes who slept long enough. Once no tick comes any more the clearing thread runs always.
pub(super) fn pace(
    parts: &PacerParts,
    ticks: Ticks,
    clearing: &ClearingThread,
    options: PacerOptions,
) {
    // Ticks that the clearing thread was running or suspended for; and attempts in a row that the
    // kernel refused, after which it goes on as it is.
    let (mut runs, mut since, mut refused) = (true, 0u32, 0);
    let (mut lost, mut faulted) = (false, false);
    loop {
        let (_, badge) = clearing.faults.recv(());
        if parts.end.load(Ordering::Acquire) {
            break;
        }
        if badge == 0 {
            clearing.note_fault(parts);
            faulted = true;
            continue;
        }
        let ticked = badge & TICK != 0;
        let before = parts.ticks.fetch_add(ticked.into(), Ordering::Relaxed);
        let now = before.wrapping_add(ticked.into());
        let idle = parts.idle.swap(false, Ordering::Acquire);
        // First what others wait for; then the timer may interrupt again.
        since = since.saturating_add(ticked.into());
        let busy = !faulted && parts.work.load(Ordering::Acquire) == work::CALLING;
        let have = |wanted: u32| since >> refused >= wanted;
        let changed = match runs {
            true if ticked && busy && options.ticks_off != 0 && have(options.ticks_on) => {
                Some(clearing.suspend(parts))
            }
            // Whatever it was doing when it was suspended: it may have just come to its end.
            false if idle || lost || have(options.ticks_off) => Some(clearing.resume(parts)),
            _ => None,
        };
        match changed {
            Some(true) => (runs, since, refused) = (!runs, 0, 0),
            Some(false) => (since, refused) = (0, MAX_DOUBLED.min(refused + 1)),
            None => {}
        }
        if ticked {
            parts.wake(now);
        }
        if !lost && !ticks.goes_on(parts, ticked) {
            lost = true;
            parts.lose_timer();
            runs = runs || clearing.resume(parts);
        }
    }
    parts.lose_timer();
    if !runs {
        clearing.resume(parts);
    }
}

/// Waits for the end of the pacing thread, and tells of it. Where it has faulted, nobody is paced
/// any more: who sleeps is told, the clearing thread runs always, and its faults are heard of here.
pub(super) fn attend(parts: &PacerParts, ended: cap::Endpoint, clearing: &ClearingThread) {
    let (info, _) = ended.recv(());
    let faulted = info.label() != ENDED;
    parts.pacing.store(if faulted { pacing::FAULTED } else { pacing::ENDED }, Ordering::Release);
    parts.lose_timer();
    if !faulted {
        clearing.done.signal();
        return;
    }
    clearing.resume(parts);
    clearing.done.signal();
    loop {
        let _ = clearing.faults.recv(());
        clearing.note_fault(parts);
    }
}

/// Says when nobody else runs while the clearing thread is suspended, until it is told to end: has
/// the lowest priority.
pub(super) fn tell_idleness(parts: &PacerParts, ask: cap::Notification, idle: cap::Notification) {
    while !parts.end.load(Ordering::Acquire) {
        idle.wait();
        // Others of this priority have their turn first.
        sel4::r#yield();
        parts.idle.store(true, Ordering::Release);
        ask.signal();
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
