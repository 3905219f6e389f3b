// SPDX-License-Identifier: BSD-2-Clause
//! Time: who sleeps, and how long threads wait for pages.
//!
//! ```text
//!   a server's clock ──► set_time ──► who has slept long enough is answered
//!                    ◄── next_deadline └► who has waited for a page for too long has a fault
//! ```
//!
//! Without a clock both are refused. Who is due first is found by the time.

use intrusive_collections::Bound;
use vmm::{CPtr, Kernel, Memory, Violation, Vmm};
use vmm_client::objects::{Answer, Refusal};

use super::answers::{Answered, Refused};
use super::service::Objects;
use super::state::object::Object;
use super::state::place::Queue;
use super::state::program::Program;
use super::state::supplied::{PageWait, Phase};
use super::state::thread::{Due, Held, Thread, NO_TURNSTILE};

impl<'p> Objects<'p> {
    /// Says how late it is: milliseconds since any moment, which stays the same. From the first
    /// time on there is a clock, and before each message this is to be called: what a message asks
    /// for begins at the time that was said last. [`Objects::next_answer`] and
    /// [`Objects::next_thread`] say who goes on for that. An earlier time than the one before
    /// changes nothing.
    pub fn set_time(&mut self, ms: u64) {
        let now = self.time.map_or(ms, |time| time.max(ms));
        self.time = Some(now);
        let is_due = |until: Option<u64>| until.is_some_and(|until| until <= now);
        while let Some(thread) = self.queues.first(Queue::Asleep) {
            let Some(held) = thread.held.get().filter(|held| is_due(held.until)) else { break };
            self.give_now(thread, held);
        }
        while let Some((thread, _)) = self.waits.next_late().filter(|(_, until)| *until <= now) {
            self.wake(thread, Phase::IsRefused { late: true });
        }
    }

    /// Says that there is no clock any more: who sleeps is refused, and who waits for a page waits
    /// for as long as it takes.
    pub fn stop_time(&mut self) {
        self.time = None;
        let mut next = self.threads.front().clone_pointer();
        while let Some(thread) = next {
            next = self.threads.lower_bound(Bound::Excluded(&thread.key())).clone_pointer();
            let Some(held) = waits_for_time(thread) else { continue };
            thread.message.set(held.in_vain(Refusal::NoClock {}));
            // Whose turn is over too has to wait for that.
            let due = if held.turnstile == NO_TURNSTILE { Due::Now } else { Due::Later };
            self.set_held(thread, Some(Held { due, until: None, tells: None, ..held }));
        }
        while let Some((thread, _)) = self.waits.next_late() {
            let wait = thread.paging.get();
            self.waits.set(thread, wait.map(|wait| PageWait { until: None, ..wait }));
        }
    }

    /// The time at which [`Objects::set_time`] is to be called next at the latest, if anybody waits
    /// for that. It may be that nothing is due then.
    pub fn next_deadline(&self) -> Option<u64> {
        let asleep = self.queues.first(Queue::Asleep).and_then(|thread| thread.held.get());
        let late = self.waits.next_late().map(|(_, until)| until);
        earlier(late, asleep.and_then(|held| held.until))
    }

    /// The time, if there is a clock.
    pub(super) fn clock(&self) -> Result<u64, Refused> {
        self.time.ok_or(Refusal::NoClock {})
    }

    /// When so many milliseconds have passed: the one that is under way has passed in part.
    pub(super) fn after(&self, ms: u32) -> Option<u64> {
        self.time.map(|now| now.saturating_add(u64::from(ms)).saturating_add(1))
    }

    /// Until when a thread of a program waits for a page that it touches now.
    pub(super) fn limit_of(&self, program: &Program<'p>) -> Option<u64> {
        match program.patience.get() {
            0 => None,
            ms => self.after(ms),
        }
    }

    /// Serves [`vmm_client::objects::Request::LimitWaits`].
    pub(super) fn limit_waits(&mut self, object: &'p Object<'p>, ms: u32) -> Answered {
        let program = self.alive(object)?;
        if ms != 0 {
            self.clock()?;
        }
        program.patience.set(ms);
        let until = self.limit_of(program);
        let mut next = self.first_thread(program);
        while let Some(thread) = next {
            next = self.thread_behind(thread);
            if let Some(wait) = thread.paging.get().filter(PageWait::waits) {
                self.waits.set(thread, Some(PageWait { until, ..wait }));
            }
        }
        Ok(Answer::Done {})
    }

    /// Serves [`vmm_client::objects::Request::Sleep`]. Returns the slot in which the right to
    /// answer is to be kept.
    pub(super) fn sleep<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        sender: &'p Program<'p>,
        ms: u32,
    ) -> Result<CPtr, Refused> {
        let thread = self.slot_to_wait(vmm, sender);
        let thread = thread.ok_or_else(|| Refusal::TooManyWaiting { most: self.places() })?;
        thread.message.set(Answer::Done {}.encode());
        let (answers, until) = (true, self.after(ms));
        let (whose, turnstile, due, tells) = (sender.number(), NO_TURNSTILE, Due::Later, None);
        self.set_held(thread, Some(Held { whose, answers, turnstile, due, until, tells }));
        self.last_kept = Some(thread);
        Ok(thread.reply.get())
    }

    /// Says that nobody waits for the answer for which [`Outcome::waits`](super::Outcome::waits)
    /// named this slot: there is no right to answer to be kept.
    pub fn nobody_waits(&mut self, slot: CPtr) {
        let is = |thread: &Thread<'p>| thread.reply.get() == slot;
        let thread = self.last_kept.take().filter(|thread| is(thread));
        let Some(thread) = thread.or_else(|| self.find_thread(is)) else { return };
        self.wait_no_more(thread);
        if thread.held.get().is_some_and(|held| held.is_asked_for()) {
            self.set_held(thread, None);
        }
    }

    /// I44: nothing is due before the time that is known as the first, and without a clock nothing
    /// waits for one.
    pub(super) fn validate_time(&self) -> Result<(), Violation> {
        let hold = |rule, holds: bool| holds.then_some(()).ok_or(Violation { rule, at: 0 });
        let timed = || self.threads.iter().filter_map(waits_for_time);
        let asleep = timed().filter(|held| held.turnstile == NO_TURNSTILE);
        let asleep = asleep.filter_map(|held| held.until).min();
        let waits = self.threads.iter().filter_map(|thread| thread.paging.get());
        let late = waits.filter_map(|wait| wait.deadline()).min();
        let has_clock = self.time.is_some() || late.is_none() && timed().next().is_none();
        hold("what waits for a time has a clock", has_clock)?;
        let Some(first) = earlier(late, asleep) else { return Ok(()) };
        hold(
            "nothing is due before the first deadline",
            self.next_deadline().is_some_and(|it| it <= first),
        )
    }
}

/// The earlier of two times, where there are such.
fn earlier(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    [one, other].into_iter().flatten().min()
}

/// What the slot of a thread keeps for one that waits for a time. What that of one that ends keeps is
/// given at its end.
fn waits_for_time(thread: &Thread<'_>) -> Option<Held> {
    let held = thread.held.get().filter(|held| held.due == Due::Later && held.until.is_some());
    held.filter(|_| !thread.is_ending())
}
