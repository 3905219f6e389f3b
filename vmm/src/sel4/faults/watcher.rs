// SPDX-License-Identifier: BSD-2-Clause
//! A thread that waits for the fault handler's own fault: the one that the handler cannot answer.
//!
//! The handler's fault endpoint is the watcher's. What arrives there (a policy that touched what is
//! not mapped, or used up the handler's stack) means that no fault is answered any more, so the
//! watcher says what happened and ends the program. It uses neither the manager nor its lock, which
//! the handler may have.

use core::mem::{align_of, size_of};

use sel4::{cap_type, Word};
use untyped_alloc::{Blueprint, CPtr, Object};

use super::handler_error::HandlerError;
use super::message::{decode, ThreadFault};
use super::Manager;
use crate::sel4::bindings;
use crate::sel4::run::{first_registers, let_run};
use crate::types::error::Result;
use crate::types::region::Name;
use crate::types::thread::{Stack, ThreadOptions};
use crate::types::thread_parts::{FaultEndpoint, ThreadCSpace, ThreadParts, ThreadSpec};

/// Pages of its stack: it formats a message, and runs the program's panic hook.
const STACK_PAGES: usize = 8;

/// The watcher of a fault handler's thread.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Watcher {
    endpoint: Option<Object>,
    parts: ThreadParts,
}

/// What the thread starts with: at the top of its stack.
struct Watched {
    endpoint: CPtr,
    name: Name,
    stack: Stack,
}

impl Watcher {
    /// Makes the endpoint: what the handler's thread has for its fault endpoint.
    pub fn make_endpoint(&mut self, vmm: &mut Manager) -> Result<CPtr> {
        let endpoint = vmm.allocate(Blueprint::Endpoint)?;
        self.endpoint = Some(endpoint);
        Ok(endpoint.slot())
    }

    /// Makes the thread and lets it run: it watches at `endpoint` over a handler of this name and
    /// stack.
    pub fn run(
        &mut self,
        vmm: &mut Manager,
        endpoint: CPtr,
        (name, stack): (&str, Stack),
        priority: Word,
    ) -> core::result::Result<(), HandlerError> {
        let new = ThreadSpec {
            space: vmm.own_space(),
            memory: ThreadOptions {
                stack_pages: STACK_PAGES,
                guard_pages: 1,
                growing: None,
                tls: bindings::tls_for_invocations(),
                name: "watcher",
            },
            tls_copy: None,
            cspace: ThreadCSpace::Manager,
            faults: FaultEndpoint::None,
        };
        let made = vmm.allocate_thread(&new, &mut self.parts)?;
        vmm.pin_thread_memory(made.memory)?;
        const { assert!(size_of::<Watched>() <= 2048 && align_of::<Watched>() <= 16) };
        let at = (made.memory.stack.top() - size_of::<Watched>()) & !15;
        let watched = Watched { endpoint, name: Name::new(name), stack };
        // SAFETY: the upper end of a stack that is mapped, writable and not in use yet.
        unsafe { (at as *mut Watched).write(watched) };
        let buffer = made.memory.ipc_buffer.address();
        // SAFETY: the manager mapped the buffer writable for this thread, which does not run yet.
        unsafe { bindings::prepare_ipc_buffer(buffer) };
        let entry = watch as *const () as usize;
        let thread_pointer = made.memory.tls.map_or(0, |tls| tls.thread_pointer());
        let mut registers = first_registers(entry, at, [at, buffer], thread_pointer);
        Ok(let_run(made.tcb.slot(), priority, &mut registers)?)
    }

    /// Gives the thread the CSpace that the manager has now.
    pub fn follow_cspace(&self, vmm: &mut Manager) -> Result {
        let Some(tcb) = self.parts.tcb() else { return Ok(()) };
        let own = vmm.own_space();
        vmm.set_thread_space(tcb.slot(), own, ThreadCSpace::Manager, CPtr::NULL)
    }

    /// The fault endpoint of the handler's thread.
    pub fn endpoint(&self) -> CPtr {
        self.endpoint.map_or(CPtr::NULL, Object::slot)
    }

    /// Stops it, and gives back all it was given.
    pub fn stop(&mut self, vmm: &mut Manager) -> Result {
        release_pinned(vmm, &mut self.parts)?;
        match self.endpoint.take() {
            Some(endpoint) => vmm.free(endpoint),
            None => Ok(()),
        }
    }
}

/// Gives back all that is left of a thread whose memory is pinned.
pub(super) fn release_pinned(vmm: &mut Manager, parts: &mut ThreadParts) -> Result {
    // It must not run any more when its memory is not pinned any more.
    vmm.stop_thread(parts)?;
    if let Some(memory) = parts.memory() {
        vmm.unpin_thread_memory(memory);
    }
    vmm.release_thread(parts)
}

bindings::thread_entry! {
    /// Where the thread starts.
    fn watch(start: usize, ipc_buffer: usize) -> ! {
        // SAFETY: `run` made the buffer for this thread.
        unsafe { bindings::begin_thread(ipc_buffer) };
        // SAFETY: `run` wrote it there, above this thread's stack pointer, and nobody changes it.
        let Watched { endpoint, name, stack } = unsafe { &*(start as *const Watched) };
        let endpoint = endpoint.cap::<cap_type::Endpoint>();
        let fault = loop {
            let (info, _) = endpoint.recv(());
            if let Some(fault) = sel4::with_ipc_buffer(|buffer| decode(buffer, &info)) {
                break fault;
            }
        };
        let name = name.as_str();
        let policy = "a policy must touch mapped memory only, and fit in HandlerOptions::stack_pages";
        match fault {
            ThreadFault::Page(fault) if (stack.guard()..stack.bottom()).contains(&fault.address) => {
                panic!(
                    "the thread \"{name}\", which answers faults, has used up its stack of {} bytes: \
                     {:#x} is in the guard below, instruction at {:#x}; {policy}",
                    stack.top() - stack.bottom(),
                    fault.address,
                    fault.ip
                )
            }
            ThreadFault::Page(fault) => panic!(
                "the thread \"{name}\", which answers faults, has faulted itself: {:?} {:#x}, \
                 instruction at {:#x}; {policy}",
                fault.access, fault.address, fault.ip
            ),
            other => {
                panic!("the thread \"{name}\", which answers faults, has faulted itself: {other:x?}")
            }
        }
    }
}
