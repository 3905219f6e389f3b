// SPDX-License-Identifier: BSD-2-Clause
//! Threads that do as a list says, and nothing else.
//!
//! ```text
//!   its stack:    list ── address, value │ address, value │ … │ 0
//!   its program:  di ───► the entry it is at: everything before it is done
//! ```
//!
//! So what a thread does is known beforehand, and how far it got can be read from its registers.

use alloc::vec::Vec;
use core::mem::size_of;

use roottask::arch::{cx_mut, di, di_mut};
use roottask::{Outcome, Thread, ThreadOptions};
use sel4::{UserContext, Word};
use vmm::{CPtr, Error, SpaceId, Stack, ThreadId};

use super::program::dig_entry;
use crate::engine::Stress;
use crate::measure::Kind;
use crate::model::PAGE;

/// One thing a thread does: it writes a word, or reads one that must be there.
#[derive(Clone, Copy, Debug)]
pub struct Touch {
    /// The word's address, in bytes.
    pub address: usize,
    /// The word.
    pub value: u32,
    /// Whether it is written.
    pub write: bool,
}

impl Touch {
    fn encode(self) -> [u8; ENTRY] {
        let mut entry = [0; ENTRY];
        let address = self.address | usize::from(!self.write);
        let (first, second) = entry.split_at_mut(size_of::<usize>());
        first.copy_from_slice(&address.to_le_bytes());
        second.copy_from_slice(&(self.value as usize).to_le_bytes());
        entry
    }
}

/// Bytes of an entry of a list.
const ENTRY: usize = 2 * size_of::<usize>();
/// The longest list that a stack of one page has room for, with its end.
pub const MAX_TOUCHES: usize = PAGE / ENTRY - 1;

/// A thread.
pub struct Worker {
    thread: Thread,
    id: ThreadId,
}

impl Worker {
    /// Makes a thread that does not run yet. Its faults go to `endpoint`.
    pub fn make(
        stress: &mut Stress,
        endpoint: CPtr,
        space: SpaceId,
        stack_pages: usize,
        priority: Word,
    ) -> Outcome<Option<Worker>> {
        let options = ThreadOptions::new("worker").answered_at(endpoint);
        let options = ThreadOptions { space: Some(space), stack_pages, priority, ..options };
        let made = stress.attempt(Kind::AllocateThread, |vmm| Thread::new(vmm, &options))?;
        let Some(thread) = made else { return Ok(None) };
        let id = thread.id().ok_or(Error::NoSuchThread(ThreadId::from_parts(0, 0)))?;
        Ok(Some(Worker { thread, id }))
    }

    /// Its badge.
    pub fn badge(&self) -> usize {
        self.id.badge()
    }

    /// What the manager knows it by.
    pub fn id(&self) -> ThreadId {
        self.id
    }

    fn bottom(&self) -> usize {
        self.thread.stack().bottom()
    }

    /// Puts a list into its stack; says whether that could be done.
    pub fn take_list(&self, stress: &mut Stress, list: &[Touch]) -> Outcome<bool> {
        let mut bytes: Vec<u8> = Vec::with_capacity(PAGE);
        bytes.extend(list.iter().take(MAX_TOUCHES).flat_map(|touch| touch.encode()));
        let (space, at) = (self.thread.stack().region().space(), self.bottom());
        Ok(stress.attempt(Kind::Write, |vmm| vmm.write(space, at, &bytes))?.is_some())
    }

    /// Lets it do its list.
    pub fn start_touching(&self, code: usize) -> Outcome {
        let mut context = UserContext::default();
        *context.pc_mut() = code as Word;
        *di_mut(&mut context) = self.bottom() as Word;
        self.thread.run(&mut context)
    }

    /// Lets it recurse on a stack, `step` bytes and two words a level, until it is stopped.
    pub fn start_digging(&self, code: usize, stack: Stack, step: usize) -> Outcome {
        let mut context = UserContext::default();
        *context.pc_mut() = dig_entry(code) as Word;
        *context.sp_mut() = stack.top() as Word;
        *cx_mut(&mut context) = step as Word;
        self.thread.run(&mut context)
    }

    /// Lets it run from `entry` on, in our own space.
    pub fn start_at(&self, entry: roottask::Entry, argument: usize) -> Outcome {
        self.thread.start(entry, [argument, 0])
    }

    /// How many of its touches are done. It must not be running.
    pub fn progress(&self) -> Outcome<usize> {
        let at = di(&self.thread.tcb().tcb_read_all_registers(false)?) as usize;
        Ok(at.saturating_sub(self.bottom()) / ENTRY)
    }

    /// Stops it where it is.
    pub fn stop(&self) -> Outcome {
        Ok(self.thread.tcb().tcb_suspend()?)
    }

    /// Lets it repeat the instruction at which it was stopped.
    pub fn resume(&self) -> Outcome {
        Ok(self.thread.tcb().tcb_resume()?)
    }

    /// Stops it and gives back all it was given.
    pub fn release(self, stress: &mut Stress) -> Outcome {
        stress.must(Kind::ReleaseThread, |vmm| self.thread.release(vmm))
    }
}
