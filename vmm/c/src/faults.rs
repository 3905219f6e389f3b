// SPDX-License-Identifier: BSD-2-Clause
//! Page faults: a handler in a thread of its own, or a loop of the caller's.

use core::cell::UnsafeCell;
use core::ffi::{c_char, c_int, c_void};
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicU8, Ordering};

use untyped_alloc::CPtr;
use vmm::sel4::faults::{
    start, HandlerError, HandlerOptions, HandlerThread, Incident, Manager, ThreadFault, Verdict,
};
use vmm::{Access, PageFault, Resolution, ThreadCSpace};

use crate::manager::{answer, check_caller, in_policy, noted, short_name, with, MANAGER};
use crate::types::vmm_code_t::{self, *};
use crate::types::vmm_fault_kind_t::*;
use crate::types::*;

const NONE: u8 = 0;
const CHANGING: u8 = 1;
const RUNNING: u8 = 2;

/// The handler, and whether it is there.
struct Handler {
    state: AtomicU8,
    thread: UnsafeCell<Option<HandlerThread>>,
}

// SAFETY: `thread` is written by who has made `state` CHANGING, and read by who has seen it RUNNING
// and has the manager locked, for which whoever empties it waits.
unsafe impl Sync for Handler {}

static HANDLER: Handler = Handler { state: AtomicU8::new(NONE), thread: UnsafeCell::new(None) };

impl Handler {
    /// Leads from one state to another by `change`, which fills or empties the place.
    fn change(
        &self,
        (from, to): (u8, u8),
        otherwise: vmm_code_t,
        change: impl FnOnce(&mut Option<HandlerThread>) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let mine =
            self.state.compare_exchange(from, CHANGING, Ordering::Acquire, Ordering::Relaxed);
        mine.map_err(|_| otherwise)?;
        // SAFETY: the state was `from` and is CHANGING now, so nobody else is here.
        let done = change(unsafe { &mut *self.thread.get() });
        self.state.store(if done.is_ok() { to } else { from }, Ordering::Release);
        done
    }

    /// The handler's endpoint, for who has the manager locked.
    fn endpoint(&self) -> Result<CPtr, vmm_code_t> {
        if self.state.load(Ordering::Acquire) != RUNNING {
            return Err(VMM_NO_HANDLER);
        }
        // SAFETY: it is written before the state is RUNNING, and emptied by who has had the manager
        // locked since the state is not, which is after the caller.
        let thread = unsafe { *self.thread.get() };
        thread.map(|thread| thread.endpoint()).ok_or(VMM_NO_HANDLER)
    }
}

impl From<HandlerError> for Refusal {
    fn from(error: HandlerError) -> Refusal {
        match error {
            HandlerError::Manager(error) => error.into(),
            HandlerError::Kernel(_) => VMM_KERNEL_REFUSED.into(),
        }
    }
}

/// A policy of the caller's, for another thread.
struct Policy {
    function: vmm_policy_t,
    context: *mut c_void,
}

// SAFETY: by the header's word the policy runs in the handler's thread, with this context.
unsafe impl Send for Policy {}

impl Policy {
    fn decide(&self, vmm: &mut Manager, incident: &Incident<'_>) -> Verdict {
        let Some(function) = self.function else {
            sel4::debug_print!("{incident}");
            return Verdict::Suspend;
        };
        let (kind, value, ip, write) = match incident.fault {
            ThreadFault::Page(PageFault { address, access, ip, .. }) => {
                (VMM_PAGE_FAULT, address, ip, access == Access::Write)
            }
            ThreadFault::Capability { ip, cptr, .. } => (VMM_CAP_FAULT, cptr, ip, false),
            ThreadFault::UnknownSyscall { ip, number } => (VMM_UNKNOWN_SYSCALL, number, ip, false),
            ThreadFault::Exception { ip, number, .. } => (VMM_EXCEPTION, number, ip, false),
            // Of a kernel that knows more of them than the header.
            _ => {
                sel4::debug_print!("{incident}");
                return Verdict::Suspend;
            }
        };
        let fault = vmm_fault_t {
            thread: incident.id.into(),
            space: incident.thread.space.into(),
            value,
            ip,
            kind,
            code: incident.error.as_ref().map_or(VMM_OK, vmm_code_t::from),
            write,
        };
        let verdict: c_int = in_policy(vmm, || function(&fault, self.context));
        match verdict == vmm_verdict_t::VMM_RESUME as c_int {
            true => Verdict::Resume,
            false => Verdict::Suspend,
        }
    }
}

/// Starts a thread that answers the faults of registered threads: it maps memory that is mapped
/// when it is touched, and asks a policy about all else. `options` may be NULL, for all zero.
///
/// Errors: VMM_HANDLER_RUNNING; VMM_OUT_OF_MEMORY, VMM_OUT_OF_SLOTS, VMM_OUT_OF_NODES, VMM_NO_ROOM,
/// VMM_TOO_MANY_PINNED; VMM_KERNEL_REFUSED, for a priority above the calling thread's too. Nothing
/// is left behind.
#[no_mangle]
pub extern "C" fn vmm_start_fault_handler(options: Option<&vmm_handler_options_t>) -> vmm_code_t {
    let asked = options.copied().unwrap_or_default();
    let usual = HandlerOptions::default();
    let wanted = HandlerOptions {
        priority: if asked.priority == 0 { usual.priority } else { asked.priority.into() },
        stack_pages: if asked.stack_pages == 0 { usual.stack_pages } else { asked.stack_pages },
        ..usual
    };
    answer(HANDLER.change((NONE, RUNNING), VMM_HANDLER_RUNNING, |place| {
        check_caller()?;
        let policy = Policy { function: asked.policy, context: asked.context };
        let decide = move |vmm: &mut Manager, incident: &Incident<'_>| policy.decide(vmm, incident);
        let started = start(&MANAGER, &wanted, decide, |_, _| Ok(()));
        *place = Some(started.map_err(|error| noted(error.into()))?);
        Ok(())
    }))
}

/// Stops the fault handler and gives back all it was given. Faults of threads that are still
/// registered with it are not answered any more.
///
/// Errors: VMM_NO_HANDLER; VMM_IN_POLICY; VMM_KERNEL_REFUSED.
#[no_mangle]
pub extern "C" fn vmm_stop_fault_handler() -> vmm_code_t {
    answer(HANDLER.change((RUNNING, NONE), VMM_NO_HANDLER, |place| {
        check_caller()?;
        let Some(thread) = *place else { return Ok(()) };
        with(|vmm| thread.stop(vmm))?;
        *place = None;
        Ok(())
    }))
}

/// Registers the thread `tcb`, which runs in `space` and whose CSpace is the program's own (both
/// are set, by TCB_SetSpace): the faults it has from now on are answered, by the fault handler
/// where `endpoint` is 0, else by whoever receives at that endpoint, of which it is the capability
/// with all rights and without a badge. VMM_INITIAL_TCB is the first thread. `name` is for people,
/// or NULL.
///
/// Errors: VMM_NULL_POINTER for `thread`; VMM_NO_HANDLER; VMM_NO_SUCH_SPACE; VMM_OUT_OF_BADGES,
/// VMM_OUT_OF_SLOTS, VMM_OUT_OF_NODES, VMM_OUT_OF_MEMORY; VMM_KERNEL_REFUSED for what is no thread
/// control block or no such endpoint. Nothing is left behind.
#[no_mangle]
pub extern "C" fn vmm_register_thread(
    space: vmm_space_t,
    tcb: vmm_cptr_t,
    endpoint: vmm_cptr_t,
    name: *const c_char,
    thread: Option<&mut MaybeUninit<vmm_thread_t>>,
) -> vmm_code_t {
    let Some(thread) = thread else { return VMM_NULL_POINTER };
    let name = short_name(name);
    let made = with(|vmm| {
        let endpoint = match endpoint {
            0 => HANDLER.endpoint()?,
            endpoint => CPtr::new(endpoint),
        };
        let (space, tcb) = (space.id(vmm.own_space()), CPtr::new(tcb));
        let id = vmm.register_thread(space, tcb, endpoint, name.as_str())?;
        let faults = vmm.thread(id)?.fault_endpoint;
        if let Err(error) = vmm.set_thread_space(tcb, space, ThreadCSpace::Manager, faults) {
            vmm.unregister_thread(id)?;
            return Err(Refusal::from(error));
        }
        Ok(id)
    });
    answer(made.map(|id| {
        thread.write(id.into());
    }))
}

/// Forgets a thread: its faults are not answered any more, and a thread that has one stops. To be
/// called before its thread control block is freed.
///
/// Errors: VMM_NO_SUCH_THREAD, if it was forgotten before too; VMM_KERNEL_REFUSED, and then it is
/// still registered.
#[no_mangle]
pub extern "C" fn vmm_unregister_thread(thread: vmm_thread_t) -> vmm_code_t {
    answer(with(|vmm| vmm.unregister_thread(thread.id())))
}

/// Resolves a page fault, for a loop of the caller's that has received it at its own endpoint: with
/// the badge of the message and its four words. On VMM_OK the thread can go on: it is to be
/// answered with an empty message. Up to 16 pages are mapped.
///
/// Errors: VMM_NULL_POINTER; VMM_NO_SUCH_THREAD for a badge of no registered thread; VMM_NOT_MAPPED
/// for a fault that can never be resolved: an address that is not the thread's, a guard page, a
/// write to what may not be written; VMM_OUT_OF_MEMORY, VMM_OUT_OF_QUOTA and their like, for a
/// fault that can be resolved later; VMM_KERNEL_REFUSED.
#[no_mangle]
pub extern "C" fn vmm_resolve_fault(badge: usize, words: Option<&vmm_fault_words_t>) -> vmm_code_t {
    let Some(&vmm_fault_words_t { ip, address, prefetch, status }) = words else {
        return VMM_NULL_POINTER;
    };
    let fault = PageFault::from_x86_words(ip, address, prefetch, status);
    answer(with(|vmm| match vmm.handle_fault(badge, &fault)?.resolution {
        Resolution::Resolved(_) => Ok(()),
        Resolution::Unresolved(_) | Resolution::AskPager { .. } => {
            Err(Refusal::from(vmm::Error::NotMapped { address, name: vmm::Name::default() }))
        }
    }))
}
