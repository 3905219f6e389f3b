// SPDX-License-Identifier: BSD-2-Clause
//! A thread beside the first: put together by the manager, set going by the registers that it
//! begins with.

use sel4::{cap, UserContext, Word};
use vmm::sel4::{first_registers, let_run};
use vmm::{
    FaultEndpoint, IpcBuffer, SpaceId, Stack, ThreadCSpace, ThreadId, ThreadMemory, ThreadParts,
    ThreadSpec, TlsImage,
};

use crate::failure::Outcome;
use crate::manager::Manager;

/// Where a thread starts: a function of two words that [`sel4::thread_entry!`] defines.
pub type Entry = sel4::ThreadEntry;

/// What a thread is to be. Start with [`ThreadOptions::new`] and change what differs.
#[derive(Clone, Copy, Debug)]
pub struct ThreadOptions<'a> {
    /// The name of its stack and of itself, for people.
    pub name: &'a str,
    /// 0 to 255; the root task has 255.
    pub priority: Word,
    /// Its space; `None` for the root task's.
    pub space: Option<SpaceId>,
    /// Pages of its stack.
    pub stack_pages: usize,
    /// Guard pages below its stack.
    pub guard_pages: u16,
    /// For a stack that is mapped when it is touched: how many pages for one fault.
    pub growing: Option<u8>,
    /// Its thread-local storage.
    pub tls: Option<TlsImage<'a>>,
    /// Where its faults go. Its CSpace is the root task's.
    pub faults: FaultEndpoint,
}

impl<'a> ThreadOptions<'a> {
    /// A thread just below the root task's priority, so that it runs when the root task waits; in
    /// the root task's space, with four pages of stack. Its faults go nowhere.
    pub fn new(name: &'a str) -> ThreadOptions<'a> {
        ThreadOptions {
            name,
            priority: 254,
            space: None,
            stack_pages: 4,
            guard_pages: 1,
            growing: None,
            tls: None,
            faults: FaultEndpoint::None,
        }
    }

    /// The same, with its faults answered at `endpoint`, a capability without a badge: it is
    /// registered.
    #[must_use]
    pub fn answered_at(self, endpoint: vmm::CPtr) -> Self {
        ThreadOptions { faults: FaultEndpoint::Registered { endpoint, at: None }, ..self }
    }
}

/// A thread, with what it was given.
#[derive(Clone, Copy, Debug)]
pub struct Thread {
    parts: ThreadParts,
    tcb: vmm::CPtr,
    memory: ThreadMemory,
    id: Option<ThreadId>,
    priority: Word,
}

impl Thread {
    /// Makes a thread that does not run yet.
    ///
    /// # Errors
    /// Those of [`vmm::Vmm::allocate_thread`]; what was made before is given back.
    pub fn new(vmm: &mut Manager, options: &ThreadOptions<'_>) -> vmm::Result<Thread> {
        let ThreadOptions { name, priority, space, stack_pages, guard_pages, .. } = *options;
        let ThreadOptions { growing, tls, faults, .. } = *options;
        let new = ThreadSpec {
            space: space.unwrap_or(vmm.own_space()),
            memory: vmm::ThreadOptions { stack_pages, guard_pages, growing, tls, name },
            tls_copy: None,
            cspace: ThreadCSpace::Manager,
            faults,
        };
        let mut parts = ThreadParts::default();
        let vmm::Thread { tcb, memory, registered } = vmm.allocate_thread(&new, &mut parts)?;
        let id = registered.map(|(id, _)| id);
        Ok(Thread { parts, tcb: tcb.slot(), memory, id, priority })
    }

    /// Lets it run, from `entry` on, with its whole stack before it. Its space must be the root
    /// task's.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn start(&self, entry: Entry, arguments: [usize; 2]) -> Outcome {
        let ThreadMemory { stack, ipc_buffer, tls } = self.memory;
        // SAFETY: the manager mapped the buffer writable for this thread, which does not run yet.
        unsafe { sel4::init_ipc_buffer(ipc_buffer.address() as *mut sel4::IpcBuffer) };
        let thread_pointer = tls.map_or(0, |tls| tls.thread_pointer());
        self.run(&mut first_registers(entry as usize, stack.top(), arguments, thread_pointer))
    }

    /// Lets it run with these registers, for programs that no function is.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn run(&self, registers: &mut UserContext) -> Outcome {
        Ok(let_run(self.tcb, self.priority, registers)?)
    }

    /// Its thread control block.
    pub fn tcb(&self) -> cap::Tcb {
        self.tcb.cap()
    }

    /// Its stack.
    pub fn stack(&self) -> Stack {
        self.memory.stack
    }

    /// Its IPC buffer.
    pub fn buffer(&self) -> IpcBuffer {
        self.memory.ipc_buffer
    }

    /// Its stack, IPC buffer and thread-local storage.
    pub fn memory(&self) -> ThreadMemory {
        self.memory
    }

    /// What it is registered as, if its faults are answered.
    pub fn id(&self) -> Option<ThreadId> {
        self.id
    }

    /// Stops it and gives back all it was given; what was released before, such as its IPC buffer,
    /// is passed over.
    ///
    /// # Errors
    /// What the manager refuses.
    pub fn release(mut self, vmm: &mut Manager) -> vmm::Result {
        vmm.release_thread(&mut self.parts)
    }
}
