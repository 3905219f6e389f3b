// SPDX-License-Identifier: BSD-2-Clause
//! Slots that keep rights to answer: one of each thread, for whoever waits.
//!
//! ```text
//!   who waits ──► an empty slot: of its program, of another ──► answered ──► empty
//!                     └─ none: what the kernel took away with its thread is forgotten
//!   a thread ends ──► what its slot keeps of others is kept by another
//! ```
//!
//! As many wait as there are threads, at the most, so there is a slot for each: as long as none is
//! taken for empty that keeps something, nor for full that keeps nothing.

use intrusive_collections::Bound;
use vmm::{CPtr, Kernel, KernelError, Memory, Rights as CapRights, Violation, Vmm};

use super::service::Objects;
use super::state::place::{Course, Queue};
use super::state::program::Program;
use super::state::thread::{Due, Held, Thread};

/// How many slots of others are looked at for one that keeps what nobody waits for.
const MAX_LOOKED_AT: u32 = 16;

impl<'p> Objects<'p> {
    /// Has another slot keep what the slot of a thread does that is gone, unless that is its
    /// program's: the slots change places, and nothing is said to the kernel.
    pub(super) fn hand_over(&mut self, thread: &'p Thread<'p>, held: Held) -> bool {
        let whose = self.programs.find(&held.whose).clone_pointer();
        let Some(whose) = whose.filter(|program| !program.dying.get()) else { return false };
        let Some(free) = self.free_slot(whose) else { return false };
        free.reply.swap(&thread.reply);
        free.message.set(thread.message.get());
        self.set_held(thread, None);
        self.set_held(free, Some(held));
        held.tells.into_iter().for_each(|tells| self.tell_pager_of(tells.memory));
        true
    }

    /// Has the request that waits by the slot of a thread that ends wait by an empty one of its
    /// program's; returns whether there is one.
    pub(super) fn wait_elsewhere(&mut self, thread: &'p Thread<'p>) -> bool {
        let program = thread.program.get().into_iter();
        let mut others = program.flat_map(|program| self.threads_of(program));
        let Some(free) = others.find(|other| other.has_slot()) else { return false };
        drop(others);
        free.reply.swap(&thread.reply);
        free.waiting.set(thread.waiting.take());
        self.queues.update(thread);
        self.queues.update(free);
        true
    }

    /// A thread whose slot is empty: of a program, or of another.
    pub(super) fn free_slot(&self, whose: &Program<'p>) -> Option<&'p Thread<'p>> {
        let own = self.threads_of(whose).find(|thread| thread.has_slot());
        own.or_else(|| self.queues.first(Queue::Free))
    }

    /// The same for a right to answer that is to wait. Where there is none, some keep rights to
    /// answer threads that have ended, with which the kernel has taken the rights away: of a thread
    /// of another program, which sent by this one's capability, nobody was told.
    pub(super) fn slot_to_wait<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        whose: &'p Program<'p>,
    ) -> Option<&'p Thread<'p>> {
        if let Some(free) = self.free_slot(whose) {
            return Some(free);
        }
        self.drop_gone(vmm, whose);
        for _ in 0..MAX_LOOKED_AT {
            if let Some(free) = self.free_slot(whose) {
                return Some(free);
            }
            let behind = Bound::Excluded(&self.looked_at);
            let next = self.threads.lower_bound(behind).clone_pointer();
            self.looked_at = next.map_or((0, 0), |thread| thread.key());
            if let Some(thread) = next.or_else(|| self.threads.front().clone_pointer()) {
                self.drop_if_gone(vmm, thread);
            }
        }
        self.free_slot(whose)
    }

    /// A thread of a program whose slot is empty, for a request of that program which waits.
    pub(super) fn own_slot_to_wait<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        whose: &'p Program<'p>,
    ) -> Option<&'p Thread<'p>> {
        let own = |this: &Self| this.threads_of(whose).find(|thread| thread.has_slot());
        own(self).or_else(|| {
            self.drop_gone(vmm, whose);
            own(self)
        })
    }

    /// Forgets what the slots of a program's threads keep for threads that have ended.
    pub(super) fn drop_gone<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        program: &Program<'p>,
    ) {
        let mut next = self.first_thread(program);
        while let Some(thread) = next {
            next = self.thread_behind(thread);
            self.drop_if_gone(vmm, thread);
        }
    }

    /// The same of one slot.
    fn drop_if_gone<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        thread: &'p Thread<'p>,
    ) {
        let held = thread.held.get();
        let keeps = held.is_some_and(|held| held.answers) || thread.waiting.get().is_some();
        let slot = thread.reply.get();
        if keeps && slot != CPtr::NULL && is_empty(vmm, slot) {
            self.wait_no_more(thread);
            self.set_held(thread, None);
        }
    }

    /// What the slot of a thread keeps is given now: to one that waits to be told of a page, that
    /// there is none.
    pub(super) fn give_now(&mut self, thread: &'p Thread<'p>, held: Held) {
        if let Some(tells) = held.tells {
            thread.message.set(tells.of_none());
        }
        self.set_held(thread, Some(Held { due: Due::Now, tells: None, ..held }));
    }

    /// Says what the slot of a thread keeps from now on.
    pub(super) fn set_held(&mut self, thread: &'p Thread<'p>, held: Option<Held>) {
        thread.held.set(held);
        self.queues.update(thread);
    }

    /// I36: each thread is where its record says, and once.
    pub(super) fn validate_queues(&self) -> Result<(), Violation> {
        let (mut placed, mut in_course, mut told, mut places) = (0, 0, 0, 0);
        for thread in self.all_threads() {
            let at = thread.program_number() as usize;
            let (place, whose) = (thread.noted.place.get(), thread.noted.whose.get());
            placed += usize::from(place.0 != Queue::None);
            let course = thread.noted.course.get();
            in_course += usize::from(course != Course::None);
            let tells = thread.noted.tells.get();
            told += usize::from(tells.0 != 0);
            places += u32::from(thread.has_place());
            let same =
                tells == thread.tells() && whose == thread.held.get().map_or(0, |held| held.whose);
            if place != thread.place() || !same || course != thread.course() {
                return Err(Violation { rule: "a thread is where its record says", at });
            }
        }
        match self.queues.counts() == [placed, in_course, told] && self.queues.places() == places {
            true => Ok(()),
            false => Err(Violation { rule: "nobody else is in a queue", at: placed }),
        }
    }
}

/// Whether there is nothing in a slot of the manager's. One kernel call, which is refused: a copy onto
/// itself, for which the kernel looks first whether it has a place (`decodeCNodeInvocation`).
fn is_empty<'p, K: Kernel + Memory<'p>>(vmm: &mut Vmm<'p, K>, slot: CPtr) -> bool {
    let path = vmm.allocator().path(slot);
    let copied = vmm.kernel_mut().cnode_copy(path, path, CapRights::all());
    copied == Err(KernelError::FailedLookup)
}
