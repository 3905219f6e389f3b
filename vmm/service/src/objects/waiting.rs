// SPDX-License-Identifier: BSD-2-Clause
//! Requests that wait until memory comes back: of accounts that are no guarantee, whose maker asked
//! for that.
//!
//! ```text
//!   request ──► Overcommitted ──► kept with its capabilities' badges; the sender is not answered
//!   whatever comes back ──► tried again, in the order in which they came ──► answered
//! ```
//!
//! A badge that ends meanwhile is struck out: it may soon be another capability's.

use vmm::{CPtr, Kernel, Memory, Vmm};
use vmm_client::objects::{Message, Refusal, Request};

use super::answers::{narrow, Answered};
use super::service::Objects;
use super::state::place::Queue;
use super::state::program::Program;
use super::state::thread::{Thread, Waiting};
use super::types::{Arrived, OBJECT_BADGE};

impl<'p> Objects<'p> {
    /// Keeps a request that is refused for now. Returns the slot in which the right to answer is to
    /// be kept.
    pub(super) fn wait(
        &mut self,
        thread: &'p Thread<'p>,
        request: Request,
        arrived: &[Arrived],
    ) -> CPtr {
        let mut badges = [None; vmm_client::objects::MAX_CAPABILITIES];
        for (badge, arrived) in badges.iter_mut().zip(arrived) {
            if let Arrived::Own(found) = arrived {
                *badge = Some(*found);
            }
        }
        self.last_turn += 1;
        let turn = self.last_turn;
        thread.waiting.set(Some(Waiting { request, badges, turn }));
        self.queues.update(thread);
        self.last_kept = Some(thread);
        self.waiting += 1;
        thread.reply.get()
    }

    /// The next request that waited and waits no longer, or whose answer was held and is held no
    /// longer: the slot with the right to answer it, and the answer. To be called after each
    /// message and each piece of work, until there is none. As many requests are tried again as
    /// wait.
    pub fn next_answer<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
    ) -> Option<(CPtr, Message)> {
        if let Some(held) = self.next_held() {
            return Some(held);
        }
        let mut after = 0;
        while let Some((thread, program, waiting)) = self.next_waiting(after) {
            after = waiting.turn;
            let answered = self.try_again(vmm, program, &waiting);
            if matches!(answered, Err(Refusal::Overcommitted { .. })) {
                continue;
            }
            self.wait_no_more(thread);
            let message = answered.map_or_else(|why| why.encode(), |answer| answer.encode());
            return Some((thread.reply.get(), message));
        }
        None
    }

    /// How many requests wait.
    pub fn waiting(&self) -> u32 {
        self.waiting
    }

    /// Forgets the request that waits by a thread's slot, if one does.
    pub(super) fn wait_no_more(&mut self, thread: &'p Thread<'p>) {
        if thread.waiting.take().is_some() {
            self.waiting -= 1;
            self.queues.update(thread);
        }
    }

    /// Strikes a badge that ends out of all requests that wait.
    pub(super) fn strike_out(&self, badge: u32) {
        if self.waiting == 0 {
            return;
        }
        let badge = OBJECT_BADGE | badge as usize;
        let mut behind = ((Queue::Waiting, 0), (0, 0));
        while let Some(thread) = self.queues.behind(behind) {
            behind = (thread.place(), thread.key());
            if let Some(mut waiting) = thread.waiting.get() {
                let named = waiting.badges.iter_mut().filter(|named| **named == Some(badge));
                named.for_each(|named| *named = None);
                thread.waiting.set(Some(waiting));
            }
        }
    }

    /// The one that waits since the turn after this, and whose it is.
    fn next_waiting(&self, after: u64) -> Option<(&'p Thread<'p>, &'p Program<'p>, Waiting)> {
        let thread = self.queues.behind(((Queue::Waiting, after), (u32::MAX, u32::MAX)))?;
        Some((thread, thread.program.get()?, thread.waiting.get()?))
    }

    fn try_again<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        program: &'p Program<'p>,
        waiting: &Waiting,
    ) -> Answered {
        let due = waiting.request.due();
        let mut arrived = [Arrived::Foreign; vmm_client::objects::MAX_CAPABILITIES];
        for (place, arrived) in arrived[..due.len()].iter_mut().enumerate() {
            let badge = waiting.badges[place].ok_or(Refusal::Gone { place: narrow(place) })?;
            *arrived = Arrived::Own(badge);
        }
        let given = self.given(&waiting.request, (&arrived[..due.len()], CPtr::NULL))?;
        self.answer_to(vmm, program, &waiting.request, &given)
    }
}
