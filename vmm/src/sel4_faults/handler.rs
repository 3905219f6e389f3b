//! A message in, an answer out.

use sel4::{cap, Badge, MessageInfo, MessageInfoBuilder, Word};

use super::pagers::Pagers;
use super::policy::{registers, Incident, Verdict};
use super::{decode, Manager, ThreadFault, PAGER_BADGE};
use crate::error::{Error, Result};
use crate::fault::{PageFault, Resolution};
use crate::threads::{ThreadId, ThreadInfo};
use crate::CPtr;

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
        // Exclusively, which is the cheaper way to borrow it.
        let fault = sel4::with_ipc_buffer_mut(|buffer| decode(buffer, info))?;
        let ThreadFault::Page(page_fault) = fault else {
            return self.unresolved(vmm, badge, fault, None, false);
        };
        let space = vmm.space_of_thread(ThreadId::from_badge(badge)).ok()?;
        // The commonest, on the shortest way.
        if vmm.touch_next(space, &page_fault).is_some() {
            return Some(MessageInfoBuilder::default().build());
        }
        let error = match vmm.resolve_fault(space, &page_fault) {
            Ok(Resolution::Resolved(_)) => return Some(MessageInfoBuilder::default().build()),
            Ok(Resolution::Unresolved(_)) => None,
            Ok(Resolution::AskPager { token, page }) => {
                match self.ask(vmm, ThreadId::from_badge(badge), page_fault, token, page) {
                    Ok(true) => return None,
                    Ok(false) => None,
                    Err(error) => Some(error),
                }
            }
            Err(error) => Some(error),
        };
        self.unresolved(vmm, badge, fault, error, false)
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
        let reply = vmm.reply_slot(thread)?;
        let saved = place(vmm, reply).save_caller();
        if saved.is_err() {
            vmm.give_slots(reply, 1)?;
            return Ok(false);
        }
        let request = vmm.begin_request(thread, fault, token, page, reply)?;
        self.pagers.tell(&request);
        Ok(true)
    }

    /// A fault that cannot be resolved: asks the policy, and does what it says.
    pub(super) fn unresolved(
        &mut self,
        vmm: &mut Manager,
        badge: usize,
        fault: ThreadFault,
        error: Option<Error>,
        refused_by_pager: bool,
    ) -> Option<MessageInfo> {
        let id = ThreadId::from_badge(badge);
        // Of a thread that is not registered (any more) nothing is known, and nobody asks.
        let thread: ThreadInfo = vmm.thread(id).ok()?;
        let report = match fault {
            ThreadFault::Page(fault) => vmm.report_thread_fault(&thread, fault).ok(),
            _ => None,
        };
        let registers = registers(&thread);
        let incident =
            Incident { id, thread: &thread, fault, error, refused_by_pager, report, registers };
        let tcb = cap::Tcb::from_bits(thread.tcb.bits() as Word);
        match (self.policy)(vmm, &incident) {
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
    }
}

/// A slot of the manager's CSpace, as CNode invocations name it.
fn place(vmm: &Manager, slot: CPtr) -> sel4::AbsoluteCPtr {
    let path = vmm.allocator().path(slot);
    cap::CNode::from_bits(path.root.bits() as Word)
        .absolute_cptr_from_bits_with_depth(path.index as Word, usize::from(path.depth))
}
