//! Threads of our own space, and who hears of their ends.

use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use roottask::{check_eq, Failure, Manager, Outcome};
use sel4::init_thread::slot;
use sel4::{cap, UserContext, Word};
use sel4_root_task::{debug_print, debug_println};
use vmm::sel4::faults::{HandlerError, HandlerThread, Incident, Verdict};
use vmm::{Blueprint, IpcBuffer, Kernel, Object, Stack, ThreadId};

use crate::MANAGER;

/// What is signalled when a worker is done or was stopped.
static NEWS: AtomicU32 = AtomicU32::new(0);
/// The badge of the worker that was stopped last.
static STOPPED: AtomicUsize = AtomicUsize::new(0);
/// What the worker that is done has to say.
static RESULT: AtomicUsize = AtomicUsize::new(0);

fn news() -> cap::Notification {
    cap::Notification::from_bits(NEWS.load(Ordering::Relaxed))
}

/// Makes what workers signal.
pub fn prepare(vmm: &mut Manager) -> Outcome {
    let object = vmm.allocate(Blueprint::Notification)?;
    NEWS.store(object.slot().bits() as Word, Ordering::Relaxed);
    // Kept as an object too, to be freed.
    // SAFETY: only the first thread gets here and to `release`.
    unsafe { *OBJECT.0.get() = Some(object) };
    Ok(())
}

struct Kept(core::cell::UnsafeCell<Option<Object>>);
// SAFETY: used by the first thread alone.
unsafe impl Sync for Kept {}
static OBJECT: Kept = Kept(core::cell::UnsafeCell::new(None));

/// Gives it back.
pub fn release(vmm: &mut Manager) -> Outcome {
    // SAFETY: as in `prepare`.
    match unsafe { (*OBJECT.0.get()).take() } {
        Some(object) => Ok(vmm.free(object)?),
        None => Ok(()),
    }
}

/// A fault that cannot be resolved: the report is printed, and the thread stops.
pub fn policy(_: &mut Manager, incident: &Incident<'_>) -> Verdict {
    debug_print!("{incident}");
    STOPPED.store(incident.id.badge(), Ordering::Release);
    news().signal();
    Verdict::Suspend
}

/// Says what a worker found, at its end.
pub fn done(result: usize) -> ! {
    RESULT.store(result, Ordering::Release);
    news().signal();
    loop {
        sel4::r#yield();
    }
}

/// A failure of the handler's thread.
pub fn refused(error: HandlerError) -> Failure {
    match error {
        HandlerError::Manager(error) => Failure::Manager(error),
        HandlerError::Kernel(error) => Failure::Kernel(error),
    }
}

/// A thread of our own space.
pub struct Worker {
    tcb: Object,
    stack: Stack,
    buffer: IpcBuffer,
    id: ThreadId,
}

/// How a worker came to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// With a result.
    Done(usize),
    /// Stopped by the policy.
    Stopped,
}

impl Worker {
    /// Makes a thread on this stack; the handler answers its faults.
    pub fn new(
        vmm: &mut Manager,
        handler: &HandlerThread,
        stack: Stack,
        name: &str,
    ) -> Outcome<Worker> {
        let own = vmm.own_space();
        let tcb = vmm.allocate(Blueprint::Tcb)?;
        let buffer = vmm.allocate_ipc_buffer(own)?;
        let id = vmm.register_thread(own, tcb.slot(), handler.endpoint(), name)?;
        let fault_endpoint = vmm.thread(id)?.fault_endpoint;
        let (root, vspace) = (vmm.cspace_root(), vmm.vspace(own)?);
        let set = vmm.kernel_mut().tcb_set_space(tcb.slot(), fault_endpoint, root, vspace);
        check_eq!(set, Ok(()));
        vmm.set_ipc_buffer(tcb.slot(), buffer)?;
        let worker = Worker { tcb, stack, buffer, id };
        worker.control().tcb_set_sched_params(slot::TCB.cap(), 254, 254)?;
        Ok(worker)
    }

    /// Its badge.
    pub fn badge(&self) -> usize {
        self.id.badge()
    }

    fn control(&self) -> cap::Tcb {
        cap::Tcb::from_bits(self.tcb.slot().bits() as Word)
    }

    /// Lets it run, when we wait.
    pub fn start(&self, entry: roottask::Entry, arguments: [usize; 2]) -> Outcome {
        // SAFETY: the manager mapped the buffer writable for this thread, which does not run yet.
        unsafe { sel4::init_ipc_buffer(self.buffer.address() as *mut sel4::IpcBuffer) };
        let mut context = UserContext::default();
        *context.pc_mut() = entry as usize as Word;
        // As after a call: 4 below a multiple of 16.
        *context.sp_mut() = (self.stack.top() - 4) as Word;
        for (index, argument) in arguments.into_iter().enumerate() {
            *context.fastcall_param_mut(index) = argument as Word;
        }
        Ok(self.control().tcb_write_all_registers(true, &mut context)?)
    }

    /// Waits until it is done or stopped. Nothing else may be running that ends.
    pub fn wait(&self) -> End {
        STOPPED.store(0, Ordering::Relaxed);
        news().wait();
        match STOPPED.load(Ordering::Acquire) == self.id.badge() {
            true => End::Stopped,
            false => End::Done(RESULT.load(Ordering::Acquire)),
        }
    }

    /// Stops it and gives back all it was given, with its stack.
    pub fn release(self) -> Outcome {
        self.control().tcb_suspend()?;
        let vmm = &mut *MANAGER.lock();
        vmm.unregister_thread(self.id)?;
        vmm.release_ipc_buffer(self.buffer)?;
        vmm.release(self.stack.region())?;
        Ok(vmm.free(self.tcb)?)
    }
}

/// Makes a worker on a small stack that is there, lets it run to its end, and gives it back.
pub fn run(
    handler: &HandlerThread,
    name: &str,
    entry: roottask::Entry,
    arguments: [usize; 2],
) -> Outcome<End> {
    let worker = {
        let vmm = &mut *MANAGER.lock();
        let own = vmm.own_space();
        let stack = vmm.allocate_stack(own, 4, name)?;
        Worker::new(vmm, handler, stack, name)?
    };
    worker.start(entry, arguments)?;
    let end = worker.wait();
    worker.release()?;
    if end == End::Stopped {
        debug_println!("  {name} was stopped; everybody else goes on");
    }
    Ok(end)
}
