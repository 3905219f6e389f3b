// SPDX-License-Identifier: BSD-2-Clause
//! Threads of our own space, and who hears of their ends.

use core::sync::atomic::{AtomicUsize, Ordering};

use roottask::{Failure, Manager, Outcome, Thread, ThreadOptions};
use sel4::{cap, Word};
use sel4_root_task::{debug_print, debug_println};
use vmm::sel4::faults::{HandlerError, HandlerThread, Incident, Verdict};
use vmm::{Blueprint, Error, Object, Stack, ThreadId};

use crate::manager::MANAGER;

/// What is signalled when a worker is done or was stopped.
static NEWS: AtomicUsize = AtomicUsize::new(0);
/// The badge of the worker that was stopped last.
static STOPPED: AtomicUsize = AtomicUsize::new(0);
/// What the worker that is done has to say.
static RESULT: AtomicUsize = AtomicUsize::new(0);

fn news() -> cap::Notification {
    cap::Notification::from_bits(NEWS.load(Ordering::Relaxed) as Word)
}

/// Makes what workers signal.
pub fn prepare(vmm: &mut Manager) -> Outcome {
    let object = vmm.allocate(Blueprint::Notification)?;
    NEWS.store(object.slot().bits(), Ordering::Relaxed);
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
    thread: Thread,
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
    /// Makes a thread with four pages of stack; the handler answers its faults.
    pub fn new(vmm: &mut Manager, handler: &HandlerThread, name: &str) -> Outcome<Worker> {
        Worker::with(vmm, &ThreadOptions::new(name).answered_at(handler.endpoint()))
    }

    /// Makes a thread whose stack of so many pages is mapped page by page, when it is touched.
    pub fn growing(
        vmm: &mut Manager,
        handler: &HandlerThread,
        stack_pages: usize,
        name: &str,
    ) -> Outcome<Worker> {
        let options = ThreadOptions::new(name).answered_at(handler.endpoint());
        Worker::with(vmm, &ThreadOptions { stack_pages, growing: Some(1), ..options })
    }

    fn with(vmm: &mut Manager, options: &ThreadOptions<'_>) -> Outcome<Worker> {
        let thread = Thread::new(vmm, options)?;
        let id = thread.id().ok_or(Error::NoSuchThread(ThreadId::from_parts(0, 0)))?;
        Ok(Worker { thread, id })
    }

    /// Its badge.
    pub fn badge(&self) -> usize {
        self.id.badge()
    }

    /// Its stack.
    pub fn stack(&self) -> Stack {
        self.thread.stack()
    }

    /// Lets it run, when we wait.
    pub fn start(&self, entry: roottask::Entry, arguments: [usize; 2]) -> Outcome {
        self.thread.start(entry, arguments)
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

    /// Stops it and gives back all it was given.
    pub fn release(self) -> Outcome {
        Ok(self.thread.release(&mut MANAGER.lock())?)
    }
}

/// Makes a worker lets it run to its end, and gives it back.
pub fn run(
    handler: &HandlerThread,
    name: &str,
    entry: roottask::Entry,
    arguments: [usize; 2],
) -> Outcome<End> {
    let worker = Worker::new(&mut MANAGER.lock(), handler, name)?;
    worker.start(entry, arguments)?;
    let end = worker.wait();
    worker.release()?;
    if end == End::Stopped {
        debug_println!("  {name} was stopped; everybody else goes on");
    }
    Ok(end)
}
