// SPDX-License-Identifier: BSD-2-Clause
//! Messages that wait at the service's endpoint while clients and threads end.
//!
//! A message is taken for one of whoever has its badge when it is received. It must be whoever had
//! it when it was sent, or nobody.

use vmm::{CPtr, CapPath, ThreadId};
use vmm_service::CLIENT_BADGE;
use vmm_service::protocol::{CNODE_BITS, SERVICE_SLOT};
use vmm_tests::model::Cap;

use super::world::{Sender, World};
use crate::bytes::Bytes;

impl World<'_> {
    /// Queues a message: through a client's own copy of its capability, or through a thread's.
    pub fn queue_message(&mut self, bytes: &mut Bytes<'_>) {
        let Some(client) = self.some_client(bytes) else { return };
        let Some(thread) = self.some_thread(client, bytes) else { return };
        let tag = self.sent.len();
        let (sender, through) = match bytes.below(2) {
            0 => match self.cnode_of(thread) {
                Some(root) => {
                    let index = SERVICE_SLOT as usize;
                    (Sender::Client(client), CapPath { root, index, depth: CNODE_BITS })
                }
                None => return,
            },
            _ => {
                let Ok(info) = self.host.vmm.thread(thread) else { return };
                let through = self.host.vmm.allocator().path(info.fault_endpoint);
                (Sender::Thread(thread), through)
            }
        };
        let queued = self.host.kernel().send(through, tag);
        assert!(queued, "{sender:?} has no capability to send through");
        self.sent.push(sender);
    }

    /// The first slot of a capability to the CNode that a thread has.
    fn cnode_of(&self, thread: ThreadId) -> Option<CPtr> {
        let tcb = self.host.vmm.thread(thread).ok()?.tcb;
        let kernel = self.host.kernel();
        let Cap::CNode { base: wanted, .. } = kernel.tcb(tcb)?.cspace else { return None };
        let is_it = |slot: &CPtr| match kernel.cap(*slot) {
            Cap::CNode { base, guard_bits: 0, .. } => base == wanted,
            _ => false,
        };
        kernel.facts().free.clone().map(CPtr::new).find(is_it)
    }

    /// Takes the first message that waits.
    pub fn receive_message(&mut self) {
        let received = self.host.kernel().receive(self.endpoint);
        let Some((badge, tag)) = received else { return };
        let sender = self.sent[tag];
        if badge & CLIENT_BADGE != 0 {
            let taken_for = self.service.client_of_badge(badge).map(Sender::Client);
            assert!(taken_for.is_none_or(|other| other == sender), "{sender:?}: {taken_for:?}");
            // What is in it does not matter.
            self.message(badge, 0, &[], 0);
        } else {
            let taken_for = self.host.vmm.thread_with_badge(badge).ok();
            let taken_for = taken_for.map(|info| Sender::Thread(info.id));
            assert!(taken_for.is_none_or(|other| other == sender), "{sender:?}: {taken_for:?}");
        }
    }
}
