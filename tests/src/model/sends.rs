// SPDX-License-Identifier: BSD-2-Clause
//! Messages that wait at endpoints, as far as capabilities matter: rules from
//! `src/object/endpoint.c`.
//!
//! Nothing runs here, so nobody sends and nobody waits: a test queues a message through a
//! capability, and receives what is first in the queue.

use untyped_alloc::kernel::{CPtr, CapPath, KernelError, KernelResult, Rights};

use super::kernel::ModelKernel;
use super::state::cap::Cap;
use super::state::sends::Send;
use super::state::slots::SlotId;

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
        let Send { badge, tag, .. } = self.sends.take_first(base)?;
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
        for send in self.sends.take_all(is_it) {
            self.send(send.through, send.tag);
        }
        Ok(())
    }

    /// `cancelAllIPC`, when an endpoint goes.
    pub(super) fn cancel_all_sends(&mut self, endpoint: usize) {
        self.sends.take_all(|send| send.endpoint == endpoint);
    }
}
