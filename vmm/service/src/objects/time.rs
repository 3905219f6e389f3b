// SPDX-License-Identifier: BSD-2-Clause
//! Time: who sleeps, and how long threads wait for pages.
//!
//! ```text
//!   a server's clock ──► set_time ──► who has slept long enough is answered
//!                    ◄── next_deadline └► who has waited for a page for too long has a fault
//! ```
//!
//! Without a clock both are refused. What is due is looked for among all threads, no more often
//! than something is.

use vmm::{CPtr, Violation};
use vmm_client::objects::{Answer, Refusal};

use super::answers::{Answered, Refused};
use super::service::Objects;
use super::state::object::Object;
use super::state::program::Program;
use super::state::supplied::{PageWait, Phase};
use super::state::thread::Held;

impl<'p> Objects<'p> {
    /// Says how late it is: milliseconds since any moment, which stays the same. From the first
    /// time on there is a clock, and before each message this is to be called: what a message asks
    /// for begins at the time that was said last. [`Objects::next_answer`] and
    /// [`Objects::next_thread`] say who goes on for that. An earlier time than the one before
    /// changes nothing.
    pub fn set_time(&mut self, ms: u64) {
        let now = self.time.map_or(ms, |time| time.max(ms));
        self.time = Some(now);
        if self.deadline.is_none_or(|deadline| deadline > now) {
            return;
        }
        let is_due = |until: Option<u64>| until.is_some_and(|until| until <= now);
        for thread in self.threads.iter().filter(|thread| !thread.is_ending()) {
            if let Some(held) = thread.held.get().filter(|held| is_due(held.until) && !held.due) {
                thread.held.set(Some(Held { due: true, ..held }));
                self.due += 1;
            }
        }
        self.wake(Phase::IsRefused { late: true }, |wait| is_due(wait.until));
        self.deadline = self.first_deadline();
    }

    /// Says that there is no clock any more: who sleeps is refused, and who waits for a page waits
    /// for as long as it takes.
    pub fn stop_time(&mut self) {
        self.time = None;
        self.deadline = None;
        for thread in self.threads.iter() {
            if let Some(held) = thread.held.get().filter(|held| held.until.is_some()) {
                // One that ends gives it at its end.
                let due = held.due || !thread.is_ending();
                self.due += u32::from(due && !held.due);
                let answer =
                    if held.due { held.answer } else { Some(Refusal::NoClock {}.encode()) };
                thread.held.set(Some(Held { due, answer, until: None, ..held }));
            }
            let wait = thread.paging.get();
            thread.paging.set(wait.map(|wait| PageWait { until: None, ..wait }));
        }
    }

    /// The time at which [`Objects::set_time`] is to be called next at the latest, if anybody waits
    /// for that. It may be that nothing is due then.
    pub fn next_deadline(&self) -> Option<u64> {
        self.deadline
    }

    /// The time, if there is a clock.
    pub(super) fn clock(&self) -> Result<u64, Refused> {
        self.time.ok_or(Refusal::NoClock {})
    }

    /// When so many milliseconds have passed: the one that is under way has passed in part.
    fn after(&self, ms: u32) -> Option<u64> {
        self.time.map(|now| now.saturating_add(u64::from(ms)).saturating_add(1))
    }

    /// Until when a thread of a program waits for a page that it touches now.
    pub(super) fn limit_of(&self, program: &Program<'p>) -> Option<u64> {
        match program.patience.get() {
            0 => None,
            ms => self.after(ms),
        }
    }

    /// Notes that something is due then.
    pub(super) fn note_deadline(&mut self, until: Option<u64>) {
        self.deadline = earlier(self.deadline, until);
    }

    /// The first time at which something is due.
    fn first_deadline(&self) -> Option<u64> {
        let all = self.threads.iter().flat_map(|thread| {
            let held = thread.held.get().filter(|held| !held.due && !thread.is_ending());
            let wait = thread.paging.get().filter(PageWait::waits);
            [held.and_then(|held| held.until), wait.and_then(|wait| wait.until)]
        });
        all.flatten().min()
    }

    /// Serves [`vmm_client::objects::Request::LimitWaits`].
    pub(super) fn limit_waits(&mut self, object: &'p Object<'p>, ms: u32) -> Answered {
        let program = self.alive(object)?;
        if ms != 0 {
            self.clock()?;
        }
        program.patience.set(ms);
        let until = self.limit_of(program);
        let mut deadline = self.deadline;
        for thread in self.threads_of(program) {
            if let Some(wait) = thread.paging.get().filter(PageWait::waits) {
                thread.paging.set(Some(PageWait { until, ..wait }));
                deadline = earlier(deadline, until);
            }
        }
        self.deadline = deadline;
        Ok(Answer::Done {})
    }

    /// Serves [`vmm_client::objects::Request::Sleep`]. Returns the slot in which the right to
    /// answer is to be kept.
    pub(super) fn sleep(&mut self, sender: &Program<'p>, ms: u32) -> Result<CPtr, Refused> {
        // Its own may keep the answer of one that ended, which its account paid for.
        let own = self.threads_of(sender).find(|thread| thread.has_slot());
        let thread = own.or_else(|| self.find_thread(|thread| thread.has_slot()));
        let thread = thread.ok_or(Refusal::TooManyWaiting { most: self.places() })?;
        let (answer, until) = (Some(Answer::Done {}.encode()), self.after(ms));
        let (whose, turnstile, due) = (sender.number(), u8::MAX, false);
        thread.held.set(Some(Held { whose, answer, turnstile, due, until }));
        self.note_deadline(until);
        Ok(thread.reply.get())
    }

    /// Says that nobody waits for the answer for which [`Outcome::waits`](super::Outcome::waits)
    /// named this slot: there is no right to answer to be kept.
    pub fn nobody_waits(&mut self, slot: CPtr) {
        let Some(thread) = self.find_thread(|thread| thread.reply.get() == slot) else { return };
        self.wait_no_more(thread);
        if let Some(held) = thread.held.get().filter(|held| held.until.is_some()) {
            self.due -= u32::from(held.due);
            thread.held.set(None);
        }
    }

    /// I44: nothing is due before the time that is known as the first, and without a clock nothing
    /// waits for one.
    pub(super) fn validate_time(&self) -> Result<(), Violation> {
        let hold = |rule, holds: bool| holds.then_some(()).ok_or(Violation { rule, at: 0 });
        let Some(first) = self.first_deadline() else { return Ok(()) };
        hold("what waits for a time has a clock", self.time.is_some())?;
        hold(
            "nothing is due before the first deadline",
            self.deadline.is_some_and(|it| it <= first),
        )
    }
}

/// The earlier of two times, where there are such.
fn earlier(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    [one, other].into_iter().flatten().min()
}
