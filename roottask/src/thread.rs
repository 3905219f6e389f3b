//! A second thread: in the root task's VSpace and CSpace, with a stack and an IPC buffer that the
//! manager makes for it.

use sel4::init_thread::slot;
use sel4::{cap, CPtr, UserContext, Word};
use vmm::{FaultEndpoint, IpcBuffer, Object, Stack, ThreadCSpace, ThreadParts, ThreadSpec};

use crate::{Manager, Outcome};

/// Where a thread starts: a function of two words that are passed in registers.
pub type Entry = extern "fastcall" fn(usize, usize) -> !;

/// What a thread is to be.
#[derive(Clone, Copy, Debug)]
pub struct ThreadOptions {
    /// The name of its stack and IPC buffer, for people.
    pub name: &'static str,
    /// 0 to 255; the root task has 255.
    pub priority: Word,
    /// Pages of its stack.
    pub stack_pages: usize,
    /// Guard pages below its stack.
    pub guard_pages: u16,
    /// Where its faults go: an endpoint in its CSpace, which is the root task's. 0 for none.
    pub fault_endpoint: CPtr,
}

impl ThreadOptions {
    /// A thread just below the root task's priority, so that it runs when the root task waits.
    pub fn new(name: &'static str) -> ThreadOptions {
        let fault_endpoint = slot::NULL.cptr();
        ThreadOptions { name, priority: 254, stack_pages: 4, guard_pages: 1, fault_endpoint }
    }
}

/// A thread, with what it was given.
#[derive(Clone, Copy, Debug)]
pub struct Thread {
    parts: ThreadParts,
    tcb: Object,
    stack: Stack,
    buffer: IpcBuffer,
}

impl Thread {
    /// Makes a thread that does not run yet.
    ///
    /// # Errors
    /// What the manager or the kernel refuses; what was made before that is given back.
    pub fn new(vmm: &mut Manager, options: &ThreadOptions) -> Outcome<Thread> {
        let ThreadOptions { name, priority, stack_pages, guard_pages, fault_endpoint } = *options;
        let new = ThreadSpec {
            space: vmm.own_space(),
            memory: vmm::ThreadOptions { stack_pages, guard_pages, tls: None, name },
            tls_copy: None,
            cspace: ThreadCSpace::Manager,
            faults: FaultEndpoint::At(vmm::CPtr::new(fault_endpoint.bits() as usize)),
        };
        let mut parts = ThreadParts::default();
        let made = vmm.allocate_thread(&new, &mut parts)?;
        let (stack, buffer) = (made.memory.stack, made.memory.ipc_buffer);
        let thread = Thread { parts, tcb: made.tcb, stack, buffer };
        let set = thread.tcb().tcb_set_sched_params(slot::TCB.cap(), priority, priority);
        if let Err(error) = set {
            thread.release(vmm)?;
            return Err(error.into());
        }
        Ok(thread)
    }

    /// Lets it run, from `entry` on, with its whole stack before it.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn start(&self, entry: Entry, arguments: [usize; 2]) -> Outcome {
        // SAFETY: the manager mapped the buffer writable for this thread, which does not run yet.
        unsafe { sel4::init_ipc_buffer(self.buffer.address() as *mut sel4::IpcBuffer) };
        let mut context = UserContext::default();
        *context.pc_mut() = entry as usize as Word;
        // As after a call: 4 below a multiple of 16.
        *context.sp_mut() = (self.stack.top() - 4) as Word;
        for (index, argument) in arguments.into_iter().enumerate() {
            *context.fastcall_param_mut(index) = argument as Word;
        }
        Ok(self.tcb().tcb_write_all_registers(true, &mut context)?)
    }

    /// Its thread control block.
    pub fn tcb(&self) -> cap::Tcb {
        cap::Tcb::from_bits(self.tcb.slot().bits() as Word)
    }

    /// Its stack.
    pub fn stack(&self) -> Stack {
        self.stack
    }

    /// Its IPC buffer.
    pub fn buffer(&self) -> IpcBuffer {
        self.buffer
    }

    /// Stops it and gives back all it was given.
    ///
    /// # Errors
    /// What the manager or the kernel refuses.
    pub fn release(mut self, vmm: &mut Manager) -> Outcome {
        Ok(vmm.release_thread(&mut self.parts)?)
    }

    /// As [`Thread::release`], when the IPC buffer was released before.
    ///
    /// # Errors
    /// What the manager or the kernel refuses.
    pub fn release_without_buffer(mut self, vmm: &mut Manager) -> Outcome {
        vmm.stop_thread(&mut self.parts)?;
        Ok(vmm.release(self.stack.region())?)
    }
}
