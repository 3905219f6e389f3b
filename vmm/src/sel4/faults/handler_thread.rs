// SPDX-License-Identifier: BSD-2-Clause
//! A thread that does nothing but answer faults.

use core::mem::{align_of, size_of};

use sel4::{cap_type, MessageInfo, Word};

use super::handler_error::HandlerError;
use super::message::{decode, ThreadFault};
use super::pager_table::{Pagers, PAGER_BADGE};
use super::watcher::{release_pinned, Watcher};
use super::{FaultHandler, Incident, Manager, SharedManager, Verdict};
use crate::sel4::bindings;
use crate::sel4::own_threads;
use crate::sel4::run::{first_registers, let_run};
use crate::types::error::Error;
use crate::types::fault::PageFault;
use crate::types::thread::ThreadOptions;
use crate::types::thread_parts::{FaultEndpoint, ThreadCSpace, ThreadParts, ThreadSpec};
use untyped_alloc::{Blueprint, CPtr, Object};

/// What the thread is to be.
#[derive(Clone, Copy, Debug)]
pub struct HandlerOptions<'a> {
    /// A name for people.
    pub name: &'a str,
    /// Its priority, 0 to 255: at least that of the threads whose faults it answers.
    pub priority: Word,
    /// Pages of its stack: 8 are enough, but for what the policy does.
    pub stack_pages: usize,
}

impl Default for HandlerOptions<'_> {
    fn default() -> Self {
        HandlerOptions { name: "fault handler", priority: 255, stack_pages: 8 }
    }
}

/// A thread that answers faults.
#[derive(Clone, Copy, Debug)]
pub struct HandlerThread {
    endpoint: Object,
    parts: ThreadParts,
    watcher: Watcher,
    /// Where its handler's pagers are, in its stack; 0 until they are there.
    pagers: usize,
}

impl HandlerThread {
    /// The endpoint it answers: what [`crate::Vmm::register_thread`] is given.
    pub fn endpoint(&self) -> CPtr {
        self.endpoint.slot()
    }

    /// Stops it, and gives back all it was given. Threads that are registered with its endpoint are
    /// not answered any more. `vmm` is from the lock: so the handler is not in the midst of
    /// anything.
    ///
    /// # Errors
    /// What the manager or the kernel refuses.
    pub fn stop(mut self, vmm: &mut Manager) -> Result<(), HandlerError> {
        vmm.stop_thread(&mut self.parts)?;
        if self.pagers != 0 {
            // SAFETY: `begin` put them there; the thread is gone, and was not in their midst, as
            // the caller holds the lock. The stack is there until it is released below.
            unsafe { &mut *(self.pagers as *mut Pagers) }.release(vmm)?;
        }
        release_pinned(vmm, &mut self.parts)?;
        self.watcher.stop(vmm)?;
        Ok(vmm.free(self.endpoint)?)
    }
}

/// What the thread starts with: at the top of its stack.
struct Start<P> {
    shared: &'static SharedManager,
    handler: FaultHandler<P>,
    tcb: CPtr,
    watcher: Watcher,
    cspace_root: CPtr,
}

/// Starts a thread that answers the faults of all threads that are registered with its endpoint: it
/// makes endpoint, stack, IPC buffer and TCB by means of the manager, in the manager's own VSpace
/// and CSpace. `prepare` can add pagers before it runs.
///
/// The thread has no thread-local storage, so `policy` must use none (with the feature `kernel-16`
/// it has a block of its own, as invocations need it). Its memory is pinned
/// ([`crate::Vmm::pin_thread_memory`]). A second thread, with a stack
/// of its own, waits for a fault of this one (a policy that touches what is not mapped, or needs
/// more stack): it says what happened and ends the program by a panic, since no fault would be
/// answered any more. So does this thread for a fault of a thread that has the manager locked and
/// runs in the manager's own space: the page that is wanted could only be mapped after it has let
/// the manager go.
///
/// # Errors
/// What the manager or the kernel refuses; what was made before that is given back.
pub fn start<P>(
    shared: &'static SharedManager,
    options: &HandlerOptions<'_>,
    policy: P,
    prepare: impl FnOnce(&mut Manager, &mut FaultHandler<P>) -> Result<(), Error>,
) -> Result<HandlerThread, HandlerError>
where
    P: FnMut(&mut Manager, &Incident<'_>) -> Verdict + Send + 'static,
{
    let vmm = &mut *shared.lock();
    let endpoint = vmm.allocate(Blueprint::Endpoint)?;
    let (parts, watcher) = (ThreadParts::default(), Watcher::default());
    let mut thread = HandlerThread { endpoint, parts, watcher, pagers: 0 };
    match begin(vmm, &mut thread, (shared, options), policy, prepare) {
        Ok(()) => Ok(thread),
        Err(error) => {
            thread.stop(vmm)?;
            Err(error)
        }
    }
}

/// Makes the thread and lets it run. `thread` is what was made, also when that fails.
fn begin<P>(
    vmm: &mut Manager,
    thread: &mut HandlerThread,
    (shared, options): (&'static SharedManager, &HandlerOptions<'_>),
    policy: P,
    prepare: impl FnOnce(&mut Manager, &mut FaultHandler<P>) -> Result<(), Error>,
) -> Result<(), HandlerError>
where
    P: FnMut(&mut Manager, &Incident<'_>) -> Verdict + Send + 'static,
{
    let HandlerOptions { name, priority, stack_pages } = *options;
    let own_faults = thread.watcher.make_endpoint(vmm)?;
    let tls = bindings::tls_for_invocations();
    let new = ThreadSpec {
        space: vmm.own_space(),
        memory: ThreadOptions { stack_pages, guard_pages: 1, growing: None, tls, name },
        tls_copy: None,
        cspace: ThreadCSpace::Manager,
        faults: FaultEndpoint::At(own_faults),
    };
    let made = vmm.allocate_thread(&new, &mut thread.parts)?;
    vmm.pin_thread_memory(made.memory)?;
    thread.watcher.run(vmm, own_faults, (name, made.memory.stack), priority)?;
    let mut handler = FaultHandler::new(thread.endpoint(), policy);
    if let Err(error) = prepare(vmm, &mut handler) {
        handler.release(vmm)?;
        return Err(error.into());
    }

    let cspace_root = vmm.cspace_root();
    let (tcb, watcher) = (made.tcb.slot(), thread.watcher);
    let start = Start { shared, handler, tcb, watcher, cspace_root };
    const { assert!(size_of::<Start<P>>() <= 2048 && align_of::<Start<P>>() <= 16) };
    let at = (made.memory.stack.top() - size_of::<Start<P>>()) & !15;
    // SAFETY: the upper end of a stack that is mapped, writable and not in use yet; half a page of
    // it at the most. The value stays there for as long as the thread runs.
    let start = unsafe {
        (at as *mut Start<P>).write(start);
        &mut *(at as *mut Start<P>)
    };
    thread.pagers = &raw mut start.handler.pagers as usize;
    let buffer = made.memory.ipc_buffer.address();
    // SAFETY: the manager mapped the buffer writable for this thread, which does not run yet.
    unsafe { bindings::prepare_ipc_buffer(buffer) };
    let entry = run::<P> as *const () as usize;
    let thread_pointer = made.memory.tls.map_or(0, |tls| tls.thread_pointer());
    let registers = &mut first_registers(entry, at, [at, buffer], thread_pointer);
    Ok(let_run(tcb, priority, registers)?)
}

bindings::thread_entry! {
    /// Where the thread starts.
    fn run<P>(start: usize, ipc_buffer: usize) -> !
    where
        P: FnMut(&mut Manager, &Incident<'_>) -> Verdict,
    {
        // SAFETY: `begin` made the buffer for this thread.
        unsafe { bindings::begin_thread(ipc_buffer) };
        // SAFETY: `start` wrote it there, above this thread's stack pointer, for this thread alone
        // while it runs.
        let Start { shared, handler, tcb, watcher, cspace_root } =
            unsafe { &mut *(start as *mut Start<P>) };
        let endpoint = handler.endpoint.cap::<cap_type::Endpoint>();
        let (mut info, mut badge) = endpoint.recv(());
        loop {
            let answer = {
                let pagers = &handler.pagers;
                let vmm = &mut *shared.lock_or(|owner| {
                    refuse_call_of(owner, pagers, badge);
                    refuse_fault_of(owner, &info, badge);
                });
                follow_cspace(vmm, (*tcb, watcher), cspace_root);
                handler.handle(vmm, &info, badge)
            };
            (info, badge) = match answer {
                Some(answer) => endpoint.reply_recv(answer, ()),
                None => endpoint.recv(()),
            };
        }
    }
}

/// Ends the program when the thread that has the manager, whose IPC buffer is at `owner`, is the
/// one whose fault has come: it cannot let the manager go before the fault is answered, and the
/// fault cannot be answered before.
#[cold]
fn refuse_fault_of(owner: Word, info: &MessageInfo, badge: Word) {
    if own_threads::buffer_of(badge as usize) != Some(owner as usize) {
        return;
    }
    match sel4::with_ipc_buffer(|buffer| decode(buffer, info)) {
        Some(ThreadFault::Page(PageFault { address, access, ip, .. })) => panic!(
            "a thread (badge {badge}) has the manager locked and faulted: {access:?} {address:#x}, \
             instruction at {ip:#x}; nobody else can map the page before it drops its guard: it \
             must touch such memory before it locks the manager"
        ),
        Some(fault) => {
            panic!("a thread (badge {badge}) has the manager locked and faulted: {fault:x?}")
        }
        None => {}
    }
}

/// The same for a call of a pager that has the manager: it waits for the answer, and cannot let the
/// manager go before it.
#[cold]
fn refuse_call_of(owner: Word, pagers: &Pagers, badge: Word) {
    let badge = badge as usize;
    let thread = (badge & PAGER_BADGE != 0).then(|| pagers.thread_of(badge)).flatten();
    if let Some(thread) = thread.filter(|&it| own_threads::buffer_of(it) == Some(owner as usize)) {
        panic!(
            "a pager (badge {thread}) has the manager locked and called the fault handler, which \
             cannot answer before the pager drops its guard: it must do that before it calls"
        );
    }
}

/// Gives the thread and its watcher the CSpace that the manager has now: it grows by a new root.
fn follow_cspace(vmm: &mut Manager, (tcb, watcher): (CPtr, &Watcher), known: &mut CPtr) {
    let root = vmm.cspace_root();
    if root != *known {
        let (own, faults) = (vmm.own_space(), watcher.endpoint());
        let followed = vmm.set_thread_space(tcb, own, ThreadCSpace::Manager, faults);
        if followed.and_then(|()| watcher.follow_cspace(vmm)).is_ok() {
            *known = root;
        }
    }
}
