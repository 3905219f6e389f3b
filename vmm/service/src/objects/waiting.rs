// SPDX-License-Identifier: BSD-2-Clause
//! Requests that wait until memory comes back: of accounts that are no guarantee, whose maker asked
//! for that.
//!
//! ```text
//!   request ──► Overcommitted ──► kept with its capabilities' badges; the sender is not answered
//!   what the guarantee lacks comes back ──► tried again, in the order in which they came ──► answered
//! ```
//!
//! What comes back to other guarantees has none of them tried. A badge that ends meanwhile is struck
//! out: it may soon be another capability's.

use vmm::{CPtr, Kernel, Memory, Violation, Vmm};
use vmm_client::objects::{Message, Refusal, Request};

use super::answers::{narrow, Answered};
use super::service::Objects;
use super::state::capability::Capability;
use super::state::charge::guarantee;
use super::state::counts::{add, sub};
use super::state::object::Object;
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
        payer: &'p Object<'p>,
    ) -> CPtr {
        let mut badges = [None; vmm_client::objects::MAX_CAPABILITIES];
        for (badge, arrived) in badges.iter_mut().zip(arrived) {
            if let Arrived::Own(found) = arrived {
                *badge = Some(*found);
            }
        }
        for capability in self.named(&badges) {
            add(&capability.waiters, 1);
        }
        let bears = guarantee(payer);
        add(&bears.waiters, 1);
        let lacks = bears.number.get();
        self.last_turn += 1;
        let turn = self.last_turn;
        thread.waiting.set(Some(Waiting { request, badges, turn, lacks }));
        self.queues.update(thread);
        self.last_kept = Some(thread);
        self.waiting += 1;
        thread.reply.get()
    }

    /// The next request that waited and waits no longer, or whose answer was held and is held no
    /// longer: the slot with the right to answer it, and the answer. To be called after each
    /// message and each piece of work, until there is none. Those are tried again that wait for
    /// what has come back to the guarantee which lacked it.
    pub fn next_answer<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
    ) -> Option<(CPtr, Message)> {
        if let Some(held) = self.next_held() {
            return Some(held);
        }
        self.try_touches(vmm);
        if self.waiting == 0 {
            return None;
        }
        // A capability of theirs has ended.
        if let Some(answer) = self.try_waiting(vmm, 0) {
            return Some(answer);
        }
        while let Some(bears) = self.root.first_relieved.get() {
            if let Some(answer) = self.try_waiting(vmm, bears.number.get()) {
                return Some(answer);
            }
            // What their tries have taken and given back is nothing new.
            self.unlist_relieved(bears);
        }
        None
    }

    /// Tries those again that wait for what a guarantee lacks, until one is answered.
    fn try_waiting<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        lacks: u32,
    ) -> Option<(CPtr, Message)> {
        let mut after = 0;
        while let Some((thread, program, waiting)) = self.next_waiting(lacks, after) {
            after = waiting.turn;
            self.steps.set(self.steps.get() + 1);
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

    /// The capabilities with these badges.
    fn named<'a>(
        &'a self,
        badges: &'a [Option<usize>],
    ) -> impl Iterator<Item = &'p Capability<'p>> + use<'a, 'p> {
        let number = |badge: usize| u32::try_from(badge ^ OBJECT_BADGE).ok();
        let badges = badges.iter().flatten().filter_map(move |&badge| number(badge));
        badges.filter_map(|badge| self.tables.capability(badge))
    }

    /// A request waits no longer for what a guarantee lacks.
    fn lacks_no_more(&self, lacks: u32) {
        if let Some(bears) = self.tables.objects.find(&lacks).get() {
            sub(&bears.waiters, 1);
        }
    }

    /// How many requests wait.
    pub fn waiting(&self) -> u32 {
        self.waiting
    }

    /// How many threads wait for memory that they have touched.
    pub fn lacking(&self) -> u32 {
        self.waits.lacking()
    }

    /// Forgets the request that waits by a thread's slot, if one does.
    pub(super) fn wait_no_more(&mut self, thread: &'p Thread<'p>) {
        if let Some(waiting) = thread.waiting.take() {
            for capability in self.named(&waiting.badges) {
                sub(&capability.waiters, 1);
            }
            self.lacks_no_more(waiting.lacks);
            self.waiting -= 1;
            self.queues.update(thread);
        }
    }

    /// I36: guarantees and capabilities count the requests that wait for them, and came with them.
    pub(super) fn validate_waiting(&self) -> Result<(), Violation> {
        let all = || self.threads.iter().filter_map(|thread| thread.waiting.get());
        let hold = |rule, at: u32, holds: bool| {
            holds.then_some(()).ok_or(Violation { rule, at: at as usize })
        };
        for object in self.tables.objects.iter() {
            let number = object.number.get();
            let count = all().filter(|waiting| waiting.lacks == number).count();
            hold("a guarantee counts who waits", number, count == object.waiters.get() as usize)?;
        }
        for node in self.tables.capabilities.iter() {
            let badge = Some(OBJECT_BADGE | node.badge.get() as usize);
            let count = all().flat_map(|it| it.badges).filter(|it| *it == badge).count();
            let same = count == node.waiters.get() as usize;
            hold("a capability counts who waits", node.badge.get(), same)?;
        }
        hold("those who wait are counted", self.waiting, all().count() == self.waiting as usize)
    }

    /// Strikes the badge of a capability that ends out of all requests that came with it: those are
    /// refused.
    pub(super) fn strike_out(&mut self, node: &Capability<'p>) {
        if let Some(memory) = node.object.get() {
            self.tell_in_vain(memory, Some(node.badge.get()));
        }
        let badge = OBJECT_BADGE | node.badge.get() as usize;
        let mut behind = ((Queue::Waiting(0), 0), (0, 0));
        while node.waiters.get() != 0 {
            let Some(thread) = self.queues.next_waiting(behind) else { break };
            behind = (thread.place(), thread.key());
            let Some(mut waiting) = thread.waiting.get() else { break };
            for named in waiting.badges.iter_mut().filter(|named| **named == Some(badge)) {
                *named = None;
                sub(&node.waiters, 1);
                self.lacks_no_more(core::mem::take(&mut waiting.lacks));
            }
            thread.waiting.set(Some(waiting));
            self.queues.update(thread);
        }
    }

    /// The one that waits for what a guarantee lacks since the turn after this, and whose it is.
    fn next_waiting(
        &self,
        lacks: u32,
        after: u64,
    ) -> Option<(&'p Thread<'p>, &'p Program<'p>, Waiting)> {
        let thread = self.queues.behind(((Queue::Waiting(lacks), after), (u32::MAX, u32::MAX)))?;
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
