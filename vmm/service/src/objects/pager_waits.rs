// SPDX-License-Identifier: BSD-2-Clause
//! Pagers that wait to be told of a page: their answers are kept.
//!
//! ```text
//!   NextFault, Supply … ──► no page is waited for ──► the answer is kept ──► a touch: told of it
//!                                                          ├── its time is over: told of none
//!                                                          └── the memory or the capability to it
//!                                                              ends: refused, or told of none
//! ```
//!
//! Of several that wait for one memory object the first is told. Who had its turn waits for that of
//! others first (`held`), and does not hear of pages before.

use vmm::{CPtr, Kernel, Memory, Violation, Vmm};
use vmm_client::objects::{Answer, Refusal, Request, FOREVER};

use super::answers::{Answered, Refused};
use super::service::Objects;
use super::state::capability::Capability;
use super::state::object::Object;
use super::state::program::Program;
use super::state::thread::{Due, Held, Tells, Thread, NO_TURNSTILE};
use super::types::Turnstile;

impl<'p> Objects<'p> {
    /// Keeps the answer to a request that has found no page to tell its sender of, if it says to
    /// wait. Returns the slot in which the right to answer is to be kept, or the refusal of a
    /// request that has done nothing where there is none; `None` if it is to be answered at once.
    pub(super) fn keep_untold<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        sender: &'p Program<'p>,
        request: &Request,
        (memory, answered): (Option<(&Capability<'p>, &Object<'p>)>, Answered),
    ) -> Option<Result<CPtr, Refused>> {
        let wait = wait_of(request);
        let Ok(Answer::Wanted { done, waits: false, .. }) = answered else { return None };
        let (all, acted) = match *request {
            Request::NextFault { .. } => (0, false),
            Request::Supply { pages, .. } | Request::AllowWrite { pages, .. } => (pages, true),
            _ => (0, true),
        };
        if wait == 0 || done != all {
            return None;
        }
        let (node, memory) = memory?;
        let Some(thread) = self.slot_to_wait(vmm, sender) else {
            let none = Refusal::TooManyWaiting { most: self.places() };
            return (!acted).then_some(Err(none));
        };
        self.last_turn += 1;
        let (memory, badge, turn) = (memory.number.get(), node.badge.get(), self.last_turn);
        let until = if wait == FOREVER { None } else { self.after(wait) };
        let held = Held {
            whose: sender.number(),
            answers: true,
            turnstile: NO_TURNSTILE,
            due: Due::Later,
            until,
            tells: Some(Tells { memory, badge, done, acted, turn }),
        };
        self.set_held(thread, Some(held));
        self.last_kept = Some(thread);
        Some(Ok(thread.reply.get()))
    }

    /// Says that the program whose answer was kept last had its turn: if it waits to be told of a
    /// page it does so after the others had theirs. Returns whether it is held so; then the
    /// turnstile is to be sent.
    pub fn hold_kept(&mut self, turnstile: Turnstile) -> bool {
        let kept = self.last_kept.and_then(|thread| Some((thread, thread.held.get()?)));
        let Some((thread, held)) = kept.filter(|(_, held)| held.tells.is_some()) else {
            return false;
        };
        self.set_held(thread, Some(Held { turnstile: turnstile.0, ..held }));
        true
    }

    /// Tells of pages of a memory object that are waited for: those who wait for that, and if
    /// nobody does, by the notification of its pager.
    pub(super) fn tell_pager(&mut self, memory: &'p Object<'p>) {
        let number = memory.number.get();
        while let Some(pager) = self.ready_pager(number) {
            let Some(wanted) = self.next_wanted(memory) else { return };
            self.tell(pager, wanted);
        }
        if self.waits.untold(number).is_some() {
            self.set_pager_due(memory, true);
        }
    }

    /// The same of the memory object with a number.
    pub(super) fn tell_pager_of(&mut self, number: u32) {
        if let Some(memory) = self.tables.objects.find(&number).clone_pointer() {
            self.tell_pager(memory);
        }
    }

    /// The first that can be told of a page of the memory object with a number.
    pub(super) fn ready_pager(&self, number: u32) -> Option<&'p Thread<'p>> {
        let mut behind = 0;
        while let Some(thread) = self.queues.told_of(number, behind) {
            if is_ready(thread) {
                return Some(thread);
            }
            behind = thread.noted.tells.get().1;
        }
        None
    }

    /// Tells one that waits for that of a page, and whether it is to be written.
    pub(super) fn tell(&mut self, pager: &'p Thread<'p>, (page, write): (u32, bool)) {
        let Some((held, Tells { done, .. })) = waits_of(pager) else { return };
        pager.message.set(Answer::Wanted { done, waits: true, page, write }.encode());
        self.set_held(pager, Some(Held { due: Due::Now, tells: None, ..held }));
    }

    /// A memory object ends, or the capability to it with this badge: who waits to be told of its
    /// pages is told of none.
    pub(super) fn tell_in_vain(&mut self, memory: &Object<'p>, badge: Option<u32>) {
        let mut behind = 0;
        while let Some(thread) = self.queues.told_of(memory.number.get(), behind) {
            let Some((held, tells)) = waits_of(thread) else { break };
            behind = tells.turn;
            if badge.is_some_and(|badge| badge != tells.badge) {
                continue;
            }
            thread.message.set(held.in_vain(Refusal::Gone { place: 0 }));
            // The slot of one that ends is another's to give.
            let due = if thread.is_ending() { Due::AtEnd } else { Due::Now };
            let (turnstile, until, tells) = (NO_TURNSTILE, None, None);
            self.set_held(thread, Some(Held { due, turnstile, until, tells, ..held }));
        }
    }

    /// I65: who waits to be told of a page waits for one of paged memory that is there, by a
    /// capability to it that is there; and nobody does whose turn it is while a page is waited for
    /// that no pager was told of.
    pub(super) fn validate_told(&self) -> Result<(), Violation> {
        let hold = |rule, at: u32, holds: bool| {
            holds.then_some(()).ok_or(Violation { rule, at: at as usize })
        };
        for thread in self.all_threads() {
            let Some((_, tells)) = waits_of(thread) else { continue };
            let memory = self.tables.objects.find(&tells.memory).get();
            let paged = memory.is_some_and(|memory| memory.paged.get().is_some());
            hold("what is to be told of is paged memory", tells.memory, paged)?;
            let node = self.tables.capability(tells.badge);
            let leads = node.and_then(|node| node.object.get());
            let leads = leads.is_some_and(|object| object.number.get() == tells.memory);
            hold("who is to be told has a capability", tells.badge, leads)?;
            let untold = self.waits.untold(tells.memory).is_some();
            hold("who can be told of a page is", tells.memory, !(untold && is_ready(thread)))?;
        }
        Ok(())
    }
}

/// For how long the answer to a request is kept where there is no page to tell its sender of, in
/// milliseconds; 0: not at all.
pub(super) fn wait_of(request: &Request) -> u32 {
    match *request {
        Request::NextFault { wait }
        | Request::Supply { wait, .. }
        | Request::AllowWrite { wait, .. }
        | Request::Refuse { wait, .. } => wait,
        _ => 0,
    }
}

/// What is kept in the slot of a thread for one that waits to be told of a page.
fn waits_of(thread: &Thread<'_>) -> Option<(Held, Tells)> {
    let held = thread.held.get().filter(|held| held.due == Due::Later)?;
    Some((held, held.tells?))
}

/// Whether one that waits to be told of a page can be: its turn has come, and its right to be
/// answered is not to go with a thread that ends.
fn is_ready(thread: &Thread<'_>) -> bool {
    let in_turn = thread.held.get().is_some_and(|held| held.turnstile == NO_TURNSTILE);
    in_turn && !thread.is_ending()
}
