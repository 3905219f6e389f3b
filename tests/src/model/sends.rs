//! Messages that wait at endpoints, as far as capabilities matter: rules from
//! `src/object/endpoint.c`.
//!
//! Nothing runs here, so nobody sends and nobody waits: a test queues a message through a
//! capability, and receives what is first in the queue.

use untyped_alloc::kernel::{CPtr, CapPath, KernelError, KernelResult, Rights};

use super::ModelKernel;
use super::cap::Cap;
use super::cspace::SlotId;

/// A message in a queue: its sender is blocked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Send {
    endpoint: usize,
    badge: usize,
    /// The capability that it is sent through, where its sender looks it up.
    through: CapPath,
    /// What the test knows it by.
    tag: usize,
}

impl ModelKernel<'_> {
    /// Queues a message through the capability at `through`, as a thread does that calls it, to be
    /// known by `tag`. Says whether there is a capability to send through.
    pub fn send(&mut self, through: CapPath, tag: usize) -> bool {
        match self.cap_at(through) {
            Some(Cap::Endpoint { base, badge, rights }) if rights.contains(Rights::WRITE) => {
                self.sends.push(Send { endpoint: base, badge, through, tag });
                true
            }
            _ => false,
        }
    }

    /// Takes the first message out of an endpoint's queue; returns its badge and its tag.
    pub fn receive(&mut self, endpoint: CPtr) -> Option<(usize, usize)> {
        let Cap::Endpoint { base, .. } = self.cap(endpoint) else { return None };
        let first = self.sends.iter().position(|send| send.endpoint == base)?;
        let Send { badge, tag, .. } = self.sends.remove(first);
        Some((badge, tag))
    }

    /// `cancelBadgedSends`: the senders start their system calls anew.
    pub(super) fn cancel_badged_sends(&mut self, slot: SlotId) -> KernelResult {
        let all = Rights::READ | Rights::WRITE | Rights::GRANT;
        let Cap::Endpoint { base, badge, rights } = self.cap_in(slot) else {
            return Err(KernelError::IllegalOperation);
        };
        // `hasCancelSendRights`.
        if !rights.contains(all) {
            return Err(KernelError::IllegalOperation);
        }
        let is_it = |send: &Send| badge != 0 && (send.endpoint, send.badge) == (base, badge);
        let (cancelled, left) = self.sends.iter().partition(|&send| is_it(send));
        self.sends = left;
        let cancelled: Vec<Send> = cancelled;
        for send in cancelled {
            self.send(send.through, send.tag);
        }
        Ok(())
    }

    /// `cancelAllIPC`, when an endpoint goes.
    pub(super) fn cancel_all_sends(&mut self, endpoint: usize) {
        self.sends.retain(|send| send.endpoint != endpoint);
    }
}
