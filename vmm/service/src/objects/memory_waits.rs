// SPDX-License-Identifier: BSD-2-Clause
//! Threads that touch memory for which there is none, of accounts that are no guarantee and whose
//! maker asked for that.
//!
//! ```text
//!   touch ──► no memory ──► a fault, unless an account that pays is one of those that wait
//!                       └─► the thread is suspended ──► who is told of the account is told
//!   more is free than before ──► the first is tried again ──► there: it goes on; the next is tried
//!                                                        └──► it waits on, and so do all behind it
//! ```
//!
//! What such a touch lacks is the machine's: the account has paid. So all of them wait for the same,
//! in the order in which they came, and are tried again whoever has given memory back, also one who
//! is no program. A wait ends as one for a page does (`page_waits`).

use vmm::{Blame, Error, Kernel, Memory, Violation, Vmm};

use super::service::Objects;
use super::state::mapping::Mapping;
use super::state::object::Object;
use super::state::supplied::Phase;
use super::state::thread::Thread;
use super::state::waits::Free;
use super::types::Touched;

impl<'p> Objects<'p> {
    /// Has the thread whose touch is served wait for memory.
    ///
    /// # Errors
    /// `error`, where that is none that memory helps against, no account waits, or it has waited
    /// for too long.
    #[cold]
    pub(super) fn wait_for_memory<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &Vmm<'p, K>,
        mapping: &'p Mapping<'p>,
        (page, write): (u32, bool),
        error: Error,
    ) -> vmm::Result<Touched> {
        let payer = patient_payer(mapping).filter(|_| is_lack(&error));
        let Some(payer) = payer else { return Err(error) };
        let free = match self.waits.lacking() {
            0 => [usize::MAX; 2],
            _ => self.least_free,
        };
        match self.begin_wait(mapping, (page, write), Phase::Lacks, false) {
            Touched::Fault => Err(error),
            Touched::Waits(tcb) => {
                self.least_free = least(free, free_now(vmm));
                self.set_threshold_due(payer, true);
                Ok(Touched::Waits(tcb))
            }
            other => Ok(other),
        }
    }

    /// Tries those again that wait for memory, if more is free than was, until there is none for the
    /// first of them.
    pub(super) fn try_touches<K: Kernel + Memory<'p>>(&mut self, vmm: &mut Vmm<'p, K>) {
        if self.waits.lacking() == 0 {
            return;
        }
        let now = free_now(vmm);
        if now.iter().zip(self.least_free).all(|(now, least)| *now <= least) {
            self.least_free = least(now, self.least_free);
            return;
        }
        while let Some(thread) = self.waits.first_lacking() {
            self.steps.set(self.steps.get() + 1);
            if !self.try_touch(vmm, thread) {
                break;
            }
            self.wake(thread, Phase::GoesOn);
        }
        self.least_free = free_now(vmm);
    }

    /// Brings the page that a thread waits for, if there is memory; returns whether it goes on. What
    /// else is refused it finds out when it touches the page.
    fn try_touch<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        thread: &'p Thread<'p>,
    ) -> bool {
        let Some(wait) = thread.paging.get() else { return true };
        let mapping = self.tables.mapping(wait.token, wait.asked);
        let Some(mapping) = mapping else { return true };
        let page = wait.asked - mapping.base.get();
        let brought = match mapping.is_paged() {
            true => self.bring_supplied(vmm, mapping, page, wait.write).map(|_| ()),
            false => self.bring(vmm, mapping, (page, 1)),
        };
        !brought.is_err_and(|error| is_lack(&error))
    }

    /// I76: who waits for memory lives, has touched a mapping of an account that waits, and is found
    /// in the order in which they came.
    pub(super) fn validate_lacking(&self) -> Result<(), Violation> {
        let hold = |rule, at: u32, holds: bool| {
            holds.then_some(()).ok_or(Violation { rule, at: at as usize })
        };
        let lacks = |thread: &&Thread<'p>| thread.paging.get().is_some_and(|it| it.lacks());
        let mut count = 0;
        for thread in self.threads.iter().filter(lacks) {
            count += 1;
            let Some(wait) = thread.paging.get() else { continue };
            let mapping = self.tables.mapping(wait.token, wait.asked);
            let waits = mapping.is_some_and(|mapping| patient_payer(mapping).is_some());
            hold("who waits for memory has an account that does", wait.token, waits)?;
            hold("who ends waits for no memory", wait.token, !thread.is_ending())?;
        }
        hold("who waits for memory is counted", count, count == self.waits.lacking())?;
        let first = self.waits.first_lacking().and_then(|thread| thread.paging.get());
        let turns = self.threads.iter().filter(lacks).filter_map(|thread| thread.paging.get());
        let least = turns.map(|wait| wait.turn).min();
        hold("who waits longest for memory is first", count, first.map(|it| it.turn) == least)
    }
}

/// The account because of which a touch waits that finds no memory: the one that pays for the memory
/// object, or for the mapping.
fn patient_payer<'p>(mapping: &Mapping<'p>) -> Option<&'p Object<'p>> {
    let of_memory = mapping.memory.get().and_then(|memory| memory.payer.get());
    let both = [of_memory, mapping.payer.get()].into_iter().flatten();
    let waits = |payer: &&Object<'p>| {
        payer.account().is_some_and(|account| account.overcommit && account.waits)
    };
    both.into_iter().find(waits)
}

/// Whether it is for want of what others may give back.
fn is_lack(error: &Error) -> bool {
    match error {
        Error::Allocator(error) => error.blame() == Blame::Resource,
        Error::OutOfNodes(_) | Error::OutOfMemoryToCut { .. } => true,
        _ => false,
    }
}

fn free_now<'p, K: Kernel + Memory<'p>>(vmm: &Vmm<'p, K>) -> Free {
    let allocator = vmm.allocator();
    [allocator.free_block_bytes(), allocator.most_frame_bytes()]
}

fn least(one: Free, other: Free) -> Free {
    [one[0].min(other[0]), one[1].min(other[1])]
}
