// SPDX-License-Identifier: BSD-2-Clause
//! A message in, an answer out.

use sel4::{cap_type, Badge, MessageInfo, MessageInfoBuilder, Word};
use untyped_alloc::CPtr;

use super::backtrace::backtrace;
use super::message::{other_fault, page_fault, ThreadFault};
use super::pager_table::{Pagers, PAGER_BADGE};
use super::policy::{registers, Incident, Verdict};
use super::Manager;
use crate::types::error::{Error, Result};
use crate::types::fault::{PageFault, Resolution};
use crate::types::ids::ThreadId;
use crate::types::thread::ThreadInfo;

/// Answers the messages of one endpoint: faults of registered threads, and calls of pagers. What it
/// cannot resolve goes to `P`, which says what becomes of the thread.
pub struct FaultHandler<P> {
    pub(super) endpoint: CPtr,
    pub(super) pagers: Pagers,
    policy: P,
}

impl<P: FnMut(&mut Manager, &Incident<'_>) -> Verdict> FaultHandler<P> {
    /// A handler for the messages that `endpoint` receives.
    pub fn new(endpoint: CPtr, policy: P) -> FaultHandler<P> {
        FaultHandler { endpoint, pagers: Pagers::new(), policy }
    }

    /// The endpoint: what [`crate::Vmm::register_thread`] is given.
    pub fn endpoint(&self) -> CPtr {
        self.endpoint
    }

    /// Takes a message that was received with this badge. Returns the answer to be sent to whoever
    /// sent it, if one is to be sent: its words are in the IPC buffer.
    ///
    /// No other call may be received, and none answered, between the message and this.
    #[inline]
    pub fn handle(
        &mut self,
        vmm: &mut Manager,
        info: &MessageInfo,
        badge: Badge,
    ) -> Option<MessageInfo> {
        let badge = badge as usize;
        if badge & PAGER_BADGE != 0 {
            return Some(self.pager_call(vmm, info, badge));
        }
        match receive(vmm, info, badge) {
            Received::Resolved => Some(MessageInfoBuilder::default().build()),
            Received::Nothing => None,
            Received::Unresolved { thread, fault, error } => {
                self.unresolved(vmm, thread, fault, error, false)
            }
            Received::AskPager { thread, fault, token, page } => {
                let error = match self.ask(vmm, thread, fault, token, page) {
                    Ok(true) => return None,
                    Ok(false) => None,
                    Err(error) => Some(error),
                };
                self.unresolved(vmm, thread, ThreadFault::Page(fault), error, false)
            }
        }
    }

    /// Keeps the right to answer a thread, and tells its pager what it waits for. Returns `false`
    /// when there is no such pager.
    fn ask(
        &mut self,
        vmm: &mut Manager,
        thread: ThreadId,
        fault: PageFault,
        token: u32,
        page: usize,
    ) -> Result<bool> {
        if !self.pagers.has(token) {
            return Ok(false);
        }
        // The queue of a pager of the root task is that of its token.
        let (request, reply) = vmm.wait_for_page(token, thread, fault, (token, page))?;
        if keep_caller(vmm, reply).is_err() {
            vmm.remove_request_of(thread)?;
            return Ok(false);
        }
        self.pagers.tell(&request);
        Ok(true)
    }

    /// A fault that cannot be resolved: asks the policy, and does what it says.
    pub(super) fn unresolved(
        &mut self,
        vmm: &mut Manager,
        thread: ThreadId,
        fault: ThreadFault,
        error: Option<Error>,
        refused_by_pager: bool,
    ) -> Option<MessageInfo> {
        let policy = &mut self.policy;
        // Of a thread that is not registered (any more) nothing is known, and nobody asks.
        report(vmm, thread, (fault, error, refused_by_pager), |vmm, incident| {
            let tcb = incident.thread.tcb.cap::<cap_type::Tcb>();
            match policy(vmm, incident) {
                Verdict::Resume => return Some(MessageInfoBuilder::default().build()),
                Verdict::Killed => {}
                // A TCB capability that is not one any more has nothing to suspend.
                Verdict::Suspend => {
                    let _ = tcb.tcb_suspend();
                }
                Verdict::HandTo(endpoint) => {
                    let _ = tcb.tcb_suspend();
                    incident.hand_to(endpoint);
                }
            }
            None
        })?
    }
}

/// What a message at a fault endpoint came to, for loops that have a policy and pagers of their
/// own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Received {
    /// A fault that is resolved: the thread is to be answered with an empty message.
    Resolved,
    /// A fault that a pager is to be asked for: keep the right to answer the thread meanwhile, with
    /// [`keep_caller`].
    AskPager {
        /// The thread.
        thread: ThreadId,
        /// The fault.
        fault: PageFault,
        /// What the pager knows the region by.
        token: u32,
        /// The page's number in the region, guards not counted.
        page: usize,
    },
    /// A fault that cannot be resolved: see [`report`].
    Unresolved {
        /// The thread.
        thread: ThreadId,
        /// The fault.
        fault: ThreadFault,
        /// Why a fault that could be resolved was not.
        error: Option<Error>,
    },
    /// No fault, or one of no thread that is registered: nobody is to be answered.
    Nothing,
}

/// Takes a message that was received with a thread's badge, and resolves the fault it tells of if
/// that can be done. Its words are still in the IPC buffer.
#[inline]
pub fn receive(vmm: &mut Manager, info: &MessageInfo, badge: usize) -> Received {
    // Exclusively, which is the cheaper way to borrow it.
    let Some(told) = sel4::with_ipc_buffer_mut(|buffer| page_fault(buffer, info)) else {
        return receive_other(vmm, info, badge);
    };
    // By value, and no more of it: all that is known of a thread would be copied out.
    let Ok(ThreadInfo { id: thread, space, .. }) = vmm.thread_with_badge(badge) else {
        return Received::Nothing;
    };
    let page_fault = match told {
        Ok(page_fault) => page_fault,
        Err(fault) => return Received::Unresolved { thread, fault, error: None },
    };
    // Of memory that is touched in order nothing more than that need be known.
    if vmm.append_touched(space, &page_fault).is_some() {
        return Received::Resolved;
    }
    let fault = ThreadFault::Page(page_fault);
    match vmm.resolve_fault_of(thread, space, &page_fault) {
        Ok(Resolution::Resolved(_)) => Received::Resolved,
        Ok(Resolution::AskPager { token, page }) => {
            Received::AskPager { thread, fault: page_fault, token, page }
        }
        Ok(Resolution::Unresolved(_)) => Received::Unresolved { thread, fault, error: None },
        Err(error) => Received::Unresolved { thread, fault, error: Some(error) },
    }
}

/// Tells `to` of a fault that cannot be resolved: what it is, why not, and whether a pager refused
/// the page. `None` when the thread is not registered (any more).
pub fn report<T>(
    vmm: &mut Manager,
    id: ThreadId,
    (fault, error, refused_by_pager): (ThreadFault, Option<Error>, bool),
    to: impl FnOnce(&mut Manager, &Incident<'_>) -> T,
) -> Option<T> {
    let thread: ThreadInfo = vmm.thread(id).ok()?;
    let report = match fault {
        ThreadFault::Page(fault) => vmm.report_thread_fault(&thread, fault).ok(),
        _ => None,
    };
    let registers = registers(&thread);
    let backtrace = registers.as_ref().map(|it| backtrace(vmm, thread.space, it, fault));
    let thread = &thread;
    let incident =
        Incident { id, thread, fault, error, refused_by_pager, report, registers, backtrace };
    Some(to(vmm, &incident))
}

/// Keeps the right to answer the caller whose message was received last in an empty slot of the
/// manager's, to be used later with [`answer_kept`]. One kernel call.
///
/// # Errors
/// What the kernel refuses: the slot is not empty.
pub fn keep_caller(vmm: &Manager, slot: CPtr) -> sel4::Result<()> {
    let path = vmm.allocator().path(slot);
    path.root
        .cap()
        .absolute_cptr_from_bits_with_depth(path.index as Word, usize::from(path.depth))
        .save_caller()
}

/// Answers whom a slot keeps the right to answer, with what is in the IPC buffer; the slot is empty
/// afterwards. A thread that faulted repeats its instruction. If whoever it was is gone, so is the
/// right, and the kernel ignores a message to an empty slot.
pub fn answer_kept(slot: CPtr, answer: MessageInfo) {
    slot.cap::<cap_type::Endpoint>().nb_send(answer);
}

/// As [`receive`], for a message that tells of no page fault.
#[inline(never)]
fn receive_other(vmm: &Manager, info: &MessageInfo, badge: usize) -> Received {
    let fault = sel4::with_ipc_buffer(|buffer| other_fault(buffer, info));
    match (fault, vmm.thread_with_badge(badge)) {
        (Some(fault), Ok(ThreadInfo { id: thread, .. })) => {
            Received::Unresolved { thread, fault, error: None }
        }
        _ => Received::Nothing,
    }
}
