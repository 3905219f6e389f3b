//! Threads that do as a list says, and nothing else.
//!
//! ```text
//!   its stack:    list ── address, value │ address, value │ … │ 0
//!   its program:  edi ──► the entry it is at: everything before it is done
//! ```
//!
//! So what a thread does is known beforehand, and how far it got can be read from its registers.

use alloc::vec::Vec;
use core::mem::size_of;

use roottask::{check_eq, Outcome};
use sel4::init_thread::slot;
use sel4::{cap, UserContext, Word};
use vmm::{Blueprint, CPtr, Kernel, Object, SpaceId, Stack, ThreadId, ThreadMemory, ThreadOptions};

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
        let address = self.address as u32 | u32::from(!self.write);
        entry[..4].copy_from_slice(&address.to_le_bytes());
        entry[4..].copy_from_slice(&self.value.to_le_bytes());
        entry
    }
}

/// Bytes of an entry of a list.
const ENTRY: usize = 2 * size_of::<u32>();
/// The longest list that a stack of one page has room for, with its end.
pub const MAX_TOUCHES: usize = PAGE / ENTRY - 1;

/// A thread.
pub struct Worker {
    tcb: Object,
    memory: ThreadMemory,
    id: ThreadId,
    priority: Word,
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
        let tcb = stress.attempt(Kind::Allocate, |vmm| vmm.allocate(Blueprint::Tcb))?;
        let Some(tcb) = tcb else { return Ok(None) };
        let options = ThreadOptions { stack_pages, guard_pages: 1, tls: None, name: "worker" };
        let memory = stress
            .attempt(Kind::ThreadMemory, |vmm| vmm.allocate_thread_memory(space, &options))?;
        let Some(memory) = memory else {
            stress.must(Kind::Free, |vmm| vmm.free(tcb))?;
            return Ok(None);
        };
        let id = stress.attempt(Kind::Register, |vmm| {
            vmm.register_thread(space, tcb.slot(), endpoint, "worker")
        })?;
        let Some(id) = id else {
            stress.must(Kind::ReleaseThread, |vmm| vmm.release_thread_memory(memory))?;
            stress.must(Kind::Free, |vmm| vmm.free(tcb))?;
            return Ok(None);
        };
        let worker = Worker { tcb, memory, id, priority };
        worker.set_up(stress, space)?;
        Ok(Some(worker))
    }

    fn set_up(&self, stress: &mut Stress, space: SpaceId) -> Outcome {
        let faults = stress.vmm.thread(self.id)?.fault_endpoint;
        let (root, vspace) = (stress.vmm.cspace_root(), stress.vmm.vspace(space)?);
        let slot = self.tcb.slot();
        check_eq!(stress.vmm.kernel_mut().tcb_set_space(slot, faults, root, vspace), Ok(()));
        let buffer = self.memory.ipc_buffer;
        stress.must(Kind::SetIpcBuffer, |vmm| vmm.set_ipc_buffer(slot, buffer))?;
        Ok(self.control().tcb_set_sched_params(slot::TCB.cap(), self.priority, self.priority)?)
    }

    /// Its badge.
    pub fn badge(&self) -> usize {
        self.id.badge()
    }

    /// What the manager knows it by.
    pub fn id(&self) -> ThreadId {
        self.id
    }

    fn control(&self) -> cap::Tcb {
        cap::Tcb::from_bits(self.tcb.slot().bits() as Word)
    }

    /// Puts a list into its stack; says whether that could be done.
    pub fn take_list(&self, stress: &mut Stress, list: &[Touch]) -> Outcome<bool> {
        let mut bytes: Vec<u8> = Vec::with_capacity(PAGE);
        bytes.extend(list.iter().take(MAX_TOUCHES).flat_map(|touch| touch.encode()));
        let (space, at) = (self.memory.stack.region().space(), self.memory.stack.bottom());
        Ok(stress.attempt(Kind::Write, |vmm| vmm.write(space, at, &bytes))?.is_some())
    }

    /// Lets it do its list.
    pub fn start_touching(&self, code: usize) -> Outcome {
        let mut context = UserContext::default();
        *context.pc_mut() = code as Word;
        context.inner_mut().edi = self.memory.stack.bottom() as Word;
        self.start(context)
    }

    /// Lets it recurse on a stack, `step` bytes and two words a level, until it is stopped.
    pub fn start_digging(&self, code: usize, stack: Stack, step: usize) -> Outcome {
        let mut context = UserContext::default();
        *context.pc_mut() = dig_entry(code) as Word;
        *context.sp_mut() = stack.top() as Word;
        context.inner_mut().ecx = step as Word;
        self.start(context)
    }

    /// Lets it run from `entry` on, in our own space.
    pub fn start_at(&self, entry: roottask::Entry, argument: usize) -> Outcome {
        let buffer = self.memory.ipc_buffer.address();
        // SAFETY: the manager mapped the buffer writable for this thread, which does not run yet.
        unsafe { sel4::init_ipc_buffer(buffer as *mut sel4::IpcBuffer) };
        let mut context = UserContext::default();
        *context.pc_mut() = entry as usize as Word;
        // As after a call: 4 below a multiple of 16.
        *context.sp_mut() = (self.memory.stack.top() - 4) as Word;
        *context.fastcall_param_mut(0) = argument as Word;
        self.start(context)
    }

    fn start(&self, mut context: UserContext) -> Outcome {
        Ok(self.control().tcb_write_all_registers(true, &mut context)?)
    }

    /// How many of its touches are done. It must not be running.
    pub fn progress(&self) -> Outcome<usize> {
        let at = self.control().tcb_read_all_registers(false)?.inner().edi as usize;
        Ok(at.saturating_sub(self.memory.stack.bottom()) / ENTRY)
    }

    /// Stops it where it is.
    pub fn stop(&self) -> Outcome {
        Ok(self.control().tcb_suspend()?)
    }

    /// Lets it repeat the instruction at which it was stopped.
    pub fn resume(&self) -> Outcome {
        Ok(self.control().tcb_resume()?)
    }

    /// Stops it and gives back all it was given.
    pub fn release(self, stress: &mut Stress) -> Outcome {
        self.stop()?;
        stress.must(Kind::Unregister, |vmm| vmm.unregister_thread(self.id))?;
        stress.must(Kind::ReleaseThread, |vmm| vmm.release_thread_memory(self.memory))?;
        stress.must(Kind::Free, |vmm| vmm.free(self.tcb))
    }
}
