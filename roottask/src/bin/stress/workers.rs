//! Threads that do as a list says, and nothing else.
//!
//! ```text
//!   its stack:    list ── address, value │ address, value │ … │ 0
//!   its program:  edi ──► the entry it is at: everything before it is done
//! ```
//!
//! What a thread does is so known beforehand, and how far it got can be read from its registers. The
//! program is a few instructions that run in any space. It has two ends, both of which are exceptions:
//! one when the list is done, one when a word was not as the list said.
//!
//! Two threads never have the same priority, and none has that of the thread that answers their
//! faults. So who runs is never decided by a timer, and the same seed gives the same course.

use alloc::vec::Vec;
use core::arch::global_asm;
use core::mem::size_of;

use roottask::{check_eq, Outcome};
use sel4::init_thread::slot;
use sel4::{cap, UserContext, Word};
use vmm::sel4_faults::ThreadFault;
use vmm::{
    Blueprint, CPtr, Kernel, Object, RegionId, RegionOptions, Rights, SpaceId, Stack, ThreadId,
    ThreadMemory, ThreadOptions,
};

use crate::engine::Stress;
use crate::measure::Kind;
use crate::model::PAGE;

global_asm!(
    ".pushsection .rodata",
    ".global worker_touch",
    "worker_touch:", // edi: the list
    "mov eax, [edi]",
    "test eax, eax",
    "jz worker_done",
    "mov edx, [edi + 4]",
    "test al, 1",
    "jnz 2f",
    "mov [eax], edx",
    "add edi, 8",
    "jmp worker_touch",
    "2:",
    "cmp edx, [eax - 1]",
    "jne worker_wrong",
    "add edi, 8",
    "jmp worker_touch",
    ".global worker_done",
    "worker_done:",
    "ud2",
    ".global worker_wrong",
    "worker_wrong:",
    "ud2",
    ".global worker_dig",
    "worker_dig:", // ecx: bytes of a level, but for the two words that are pushed
    "sub esp, ecx",
    "push esp",
    "call worker_dig",
    ".global worker_end",
    "worker_end:",
    ".popsection",
);

extern "C" {
    static worker_touch: u8;
    static worker_done: u8;
    static worker_wrong: u8;
    static worker_dig: u8;
    static worker_end: u8;
}

/// The exception of an instruction that does not exist: how the program ends.
const UNDEFINED: usize = 6;

/// Where an instruction of the program lies in it, in bytes.
fn offset(instruction: *const u8) -> usize {
    instruction as usize - &raw const worker_touch as usize
}

/// The program's bytes.
fn program() -> &'static [u8] {
    // SAFETY: the bytes between the two symbols are the program, in a section that is never written.
    unsafe { core::slice::from_raw_parts(&raw const worker_touch, offset(&raw const worker_end)) }
}

/// The program, in a space.
pub struct Program(RegionId);

impl Program {
    /// Puts it into a space.
    pub fn load(stress: &mut Stress, space: SpaceId) -> Outcome<Option<Program>> {
        let options = RegionOptions::new(1).named("program").rights(Rights::READ);
        let made = stress.attempt(Kind::Map, |vmm| vmm.map(space, &options))?;
        let Some(region) = made else { return Ok(None) };
        let at = region.start().bits();
        if stress.attempt(Kind::Write, |vmm| vmm.write(space, at, program()))?.is_some() {
            return Ok(Some(Program(region)));
        }
        stress.must(Kind::Release, |vmm| vmm.release(region))?;
        Ok(None)
    }

    /// Its address, in bytes.
    pub fn address(&self) -> usize {
        self.0.start().bits()
    }

    /// Takes it away.
    pub fn release(self, stress: &mut Stress) -> Outcome {
        stress.must(Kind::Release, |vmm| vmm.release(self.0))
    }

    /// What a word is that a thread pushes when it goes a level deeper.
    pub fn return_address(&self) -> usize {
        self.address() + program().len()
    }
}

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
pub const MOST_TOUCHES: usize = PAGE / ENTRY - 1;

/// How a thread's program ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// All of its list is done.
    Done,
    /// A word was not what it must be.
    Wrong,
}

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
        let options = ThreadOptions { stack_pages, tls: None, name: "worker" };
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
        bytes.extend(list.iter().take(MOST_TOUCHES).flat_map(|touch| touch.encode()));
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
        *context.pc_mut() = (code + offset(&raw const worker_dig)) as Word;
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

/// Which of its ends a program that lies at `code` has come to, if it has.
pub fn end_of(code: usize, fault: &ThreadFault) -> Option<Ended> {
    let ThreadFault::Exception { ip, number: UNDEFINED, .. } = *fault else { return None };
    let ends = [(&raw const worker_done, Ended::Done), (&raw const worker_wrong, Ended::Wrong)];
    ends.into_iter().find(|&(at, _)| code + offset(at) == ip).map(|(_, end)| end)
}

/// Our own priority outside of phases that have threads.
const HIGHEST: Word = 255;
/// The lowest priority that is given.
const LOWEST: Word = 100;

/// Gives the thread that answers faults a priority.
pub fn set_own_priority(priority: Word) -> Outcome {
    Ok(slot::TCB.cap().tcb_set_priority(slot::TCB.cap(), priority)?)
}

/// Gives it the usual one again.
pub fn restore_own_priority() -> Outcome {
    set_own_priority(HIGHEST)
}

impl Stress {
    /// Different priorities for as many threads, in any order.
    pub fn priorities(&mut self, count: usize) -> Vec<Word> {
        let mut priorities: Vec<Word> = (0..count).map(|rank| LOWEST + 2 * rank as Word).collect();
        for last in (1..count).rev() {
            let other = self.random.below(last + 1);
            priorities.swap(last, other);
        }
        priorities
    }

    /// A priority for ourselves beside as many threads: below all of them as a rule, so that all of
    /// them wait to be answered at once, or between them.
    pub fn own_priority(&mut self, count: usize) -> Word {
        match self.random.once_in(3) {
            true => LOWEST - 1 + 2 * self.random.below(count + 1) as Word,
            false => self.lowest_priority(),
        }
    }

    /// A priority for ourselves below all threads: when we run, none of them can.
    pub fn lowest_priority(&self) -> Word {
        LOWEST - 1
    }
}
