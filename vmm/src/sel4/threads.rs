// SPDX-License-Identifier: BSD-2-Clause
//! Threads of the program itself: a closure that runs beside its maker, and is joined.
//!
//! ```text
//!   spawn  memory, TCB, endpoint ─► the closure and room for its result at the top of the stack ─► run
//!   join   wait at the endpoint: the end, or a fault ─► take the result ─► give everything back
//! ```

use core::mem::MaybeUninit;

use sel4::{cap, MessageInfoBuilder, Word};

use super::bindings;
use super::error::{Error, Result};
use super::kernel::Sel4;
use super::run::{first_registers, let_run};
use crate::manager::vmm::Vmm;
use crate::types::architecture::PAGE_BYTES;
use crate::types::ids::ThreadId;
use crate::types::thread::{ThreadMemory, ThreadOptions, TlsImage};
use crate::types::thread_parts::{FaultEndpoint, ThreadCSpace, ThreadParts, ThreadSpec};
use untyped_alloc::{Blueprint, Object};

/// The label of the message that a thread ends with: no fault has it.
pub(super) const ENDED: Word = 0xe4d;

/// That of what a receiver has where a signal ended its wait: no message has it.
const SIGNALLED: Word = 0;

/// What a thread is to be. Start with [`SpawnOptions::new`] and change what differs.
#[derive(Clone, Copy, Debug)]
#[must_use = "each method returns the options changed"]
pub struct SpawnOptions<'a> {
    stack_pages: usize,
    guard_pages: u16,
    priority: u8,
    faults: Option<FaultEndpoint>,
    name: &'a str,
}

impl<'a> SpawnOptions<'a> {
    /// Eight pages of stack with one guard page below, and the priority 254: the root task's first
    /// thread has 255, so the new one runs when that waits. A fault ends the thread, and is told to
    /// whoever joins it.
    pub fn new() -> SpawnOptions<'a> {
        SpawnOptions { stack_pages: 8, guard_pages: 1, priority: 254, faults: None, name: "" }
    }

    /// A name for people, of the stack and of the thread: its first 15 bytes.
    pub fn named(self, name: &'a str) -> Self {
        SpawnOptions { name, ..self }
    }

    /// Pages of stack for what the closure calls: it and its result have more.
    pub fn stack(self, pages: usize) -> Self {
        SpawnOptions { stack_pages: pages, ..self }
    }

    /// Guard pages below the stack, 1 at least.
    pub fn guarded(self, pages: u16) -> Self {
        SpawnOptions { guard_pages: pages, ..self }
    }

    /// Its priority, at most that of the root task's first thread.
    pub fn priority(self, priority: u8) -> Self {
        SpawnOptions { priority, ..self }
    }

    /// Has its faults answered at `endpoint`, a capability without a badge in the manager's CSpace,
    /// such as that of a fault handler: it is registered there. Whoever joins it is not told of
    /// them then, and waits for as long as the handler lets it be stopped.
    pub fn answered_at(self, endpoint: untyped_alloc::CPtr) -> Self {
        SpawnOptions { faults: Some(FaultEndpoint::Registered { endpoint, at: None }), ..self }
    }
}

impl Default for SpawnOptions<'_> {
    fn default() -> Self {
        SpawnOptions::new()
    }
}

/// Why a thread has no result.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum JoinError {
    /// It faulted, and was ended there. What its closure had captured is not dropped.
    Faulted(sel4::Fault),
    /// The manager could not give back what the thread had. It stays in use.
    Manager(crate::Error),
}

impl core::fmt::Display for JoinError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            JoinError::Faulted(sel4::Fault::VmFault(fault)) => {
                write!(
                    f,
                    "the thread faulted at {:#x}, touching {:#x}",
                    fault.inner().get_IP(),
                    fault.inner().get_Addr()
                )
            }
            JoinError::Faulted(sel4::Fault::CapFault(fault)) => {
                let (ip, cptr) = (fault.inner().get_IP(), fault.inner().get_Addr());
                write!(f, "the thread faulted at {ip:#x}, using capability {cptr:#x}")
            }
            JoinError::Faulted(sel4::Fault::UnknownSyscall(fault)) => {
                let (ip, number) = (fault.inner().get_FaultIP(), fault.inner().get_Syscall());
                write!(f, "the thread faulted at {ip:#x}, making system call {number:#x}")
            }
            JoinError::Faulted(sel4::Fault::UserException(fault)) => {
                let (ip, number) = (fault.inner().get_FaultIP(), fault.inner().get_Number());
                write!(f, "the thread faulted at {ip:#x}, raising exception {number}")
            }
            JoinError::Faulted(fault) => write!(f, "the thread faulted: {fault:x?}"),
            JoinError::Manager(error) => write!(f, "the manager refused: {error}"),
        }
    }
}

impl core::error::Error for JoinError {}

/// How a thread ended.
enum End {
    Returned,
    Faulted(sel4::Fault),
}

/// A thread that runs, or has ended. If this is dropped, the thread goes on and keeps what it has
/// for as long as the program runs.
#[must_use = "a thread that is not joined keeps its memory"]
pub struct JoinHandle<T> {
    parts: ThreadParts,
    ended: Object,
    end: Option<End>,
    /// On the thread's stack; written when the end is [`End::Returned`].
    result: *mut MaybeUninit<T>,
}

// SAFETY: it reaches the result alone, after the thread's end, which is moved to whoever joins.
unsafe impl<T: Send> Send for JoinHandle<T> {}

impl<T> JoinHandle<T> {
    /// Waits until the thread has ended, without the manager: where that is behind a lock which the
    /// thread or the handler of its faults may want, this goes before the lock is taken to join.
    /// Signals of a notification that is bound to the calling thread are passed over, and lost.
    pub fn wait(&mut self) {
        while self.end.is_none() {
            let info = bindings::receive(self.ended.cap());
            self.end = match info.label() {
                ENDED => Some(End::Returned),
                SIGNALLED => None,
                _ => {
                    let fault = sel4::with_ipc_buffer(|buffer| sel4::Fault::new(buffer, &info));
                    Some(End::Faulted(fault))
                }
            };
        }
    }

    /// Waits until the thread has ended, gives back all it had, and returns its result.
    ///
    /// # Errors
    /// [`JoinError::Faulted`]; [`JoinError::Manager`] with [`crate::Error::Kernel`].
    // The fault is returned whole: a thread ends once.
    #[allow(clippy::result_large_err)]
    pub fn join(mut self, vmm: &mut Vmm<'static, Sel4>) -> core::result::Result<T, JoinError> {
        self.wait();
        let result = match self.end {
            // SAFETY: the thread wrote it before it said that it has ended; its stack is mapped
            // until it is released below; and `self` is consumed, so it is read once.
            Some(End::Returned) => Ok(unsafe { self.result.read().assume_init() }),
            Some(End::Faulted(fault)) => Err(JoinError::Faulted(fault)),
            None => unreachable!("it was waited for"),
        };
        vmm.release_thread(&mut self.parts).map_err(JoinError::Manager)?;
        vmm.free(self.ended).map_err(JoinError::Manager)?;
        result
    }

    /// Ends the thread wherever it is, and gives back all it had: for one that has faulted, which
    /// was told to somebody else, or that nobody could end otherwise. What it captured is not
    /// dropped.
    ///
    /// # Errors
    /// [`crate::Error::Kernel`].
    pub(super) fn end(mut self, vmm: &mut Vmm<'static, Sel4>) -> crate::Result {
        vmm.release_thread(&mut self.parts)?;
        vmm.free(self.ended)
    }

    /// Its thread control block.
    pub fn tcb(&self) -> cap::Tcb {
        self.parts.tcb().map_or(cap::Tcb::from_bits(0), Object::cap)
    }

    /// The endpoint that its faults go to, unless they are answered elsewhere.
    pub(super) fn fault_endpoint(&self) -> untyped_alloc::CPtr {
        self.ended.slot()
    }

    /// Its stack, IPC buffer and thread-local storage.
    pub fn memory(&self) -> Option<ThreadMemory> {
        self.parts.memory()
    }

    /// What it is registered as, if its faults are [answered](SpawnOptions::answered_at).
    pub fn id(&self) -> Option<ThreadId> {
        self.parts.id()
    }
}

/// What lies at the top of a thread's stack.
struct Packet<F, T> {
    main: MaybeUninit<F>,
    result: MaybeUninit<T>,
    ended: cap::Endpoint,
    tcb: cap::Tcb,
}

bindings::thread_entry! {
    fn run<F: FnOnce() -> T, T>(packet: usize, ipc_buffer: usize) -> ! {
        // SAFETY: `spawn` made the buffer for this thread.
        unsafe { bindings::begin_thread(ipc_buffer) };
        let packet = packet as *mut Packet<F, T>;
        // SAFETY: `spawn` wrote it for this thread, which alone uses it until it says that it has
        // ended. The closure is moved out once.
        let (ended, tcb) = unsafe {
            let main = (&raw const (*packet).main).read().assume_init();
            (&raw mut (*packet).result).write(MaybeUninit::new(main()));
            ((*packet).ended, (*packet).tcb)
        };
        ended.send(MessageInfoBuilder::default().label(ENDED).build());
        loop {
            // It is received, and whoever did destroys this thread.
            let _ = tcb.tcb_suspend();
        }
    }
}

impl Vmm<'static, Sel4> {
    /// Runs a closure in a thread of its own, in the manager's space and CSpace: with a stack
    /// between guards, an IPC buffer and thread-local storage. A panic in it ends the program.
    ///
    /// Costs what [`Vmm::allocate_thread`] does, an endpoint and two kernel calls.
    ///
    /// # Errors
    /// Those of [`Vmm::allocate_thread`]; what the kernel refuses. Everything is given back then,
    /// and the closure is dropped.
    pub fn spawn<T: Send + 'static>(
        &mut self,
        options: &SpawnOptions<'_>,
        main: impl FnOnce() -> T + Send + 'static,
    ) -> Result<JoinHandle<T>> {
        let ended = self.allocate(Blueprint::Endpoint)?;
        let mut parts = ThreadParts::default();
        let made = self.spawn_with(options, main, ended, &mut parts);
        made.inspect_err(|_| {
            // What the kernel would not take back stays recorded as in use.
            let _ = self.release_thread(&mut parts);
            let _ = self.free(ended);
        })
    }

    fn spawn_with<T, F: FnOnce() -> T>(
        &mut self,
        options: &SpawnOptions<'_>,
        main: F,
        ended: Object,
        parts: &mut ThreadParts,
    ) -> Result<JoinHandle<T>> {
        let extra = size_of::<Packet<F, T>>() + align_of::<Packet<F, T>>();
        let spec = ThreadSpec {
            space: self.own_space(),
            memory: ThreadOptions {
                stack_pages: options.stack_pages.max(1).saturating_add(extra.div_ceil(PAGE_BYTES)),
                guard_pages: options.guard_pages,
                growing: None,
                tls: TlsImage::of_this_program(),
                name: options.name,
            },
            tls_copy: None,
            cspace: ThreadCSpace::Manager,
            faults: options.faults.unwrap_or(FaultEndpoint::At(ended.slot())),
        };
        let made = self.allocate_thread(&spec, parts)?;
        let ThreadMemory { stack, ipc_buffer, tls } = made.memory;
        let at = (stack.top() - size_of::<Packet<F, T>>()) & !(align_of::<Packet<F, T>>() - 1);
        let packet = at as *mut Packet<F, T>;
        let (ended_cap, tcb) = (ended.cap(), made.tcb.cap());
        let main = MaybeUninit::new(main);
        // SAFETY: the manager mapped the stack, writable, with room for this, and the buffer, for
        // this thread, which does not run yet.
        unsafe {
            packet.write(Packet { main, result: MaybeUninit::uninit(), ended: ended_cap, tcb });
            bindings::prepare_ipc_buffer(ipc_buffer.address());
        }
        let entry: bindings::ThreadEntry = run::<F, T>;
        let thread_pointer = tls.map_or(0, |tls| tls.thread_pointer());
        let arguments = [at, ipc_buffer.address()];
        let registers = &mut first_registers(entry as usize, at, arguments, thread_pointer);
        if let Err(error) = let_run(made.tcb.slot(), options.priority.into(), registers) {
            // SAFETY: the thread has not run, so the closure is still there.
            unsafe { (&raw mut (*packet).main).read().assume_init_drop() };
            return Err(Error::Kernel(error));
        }
        // SAFETY: within what was written above.
        let result = unsafe { &raw mut (*packet).result };
        Ok(JoinHandle { parts: *parts, ended, end: None, result })
    }
}
