// SPDX-License-Identifier: BSD-2-Clause
//! Messages that wait at endpoints.

use untyped_alloc::kernel::CapPath;

/// A message in a queue: its sender is blocked.
#[derive(Clone, Copy, Debug)]
pub(in crate::model) struct Send {
    /// The address of the endpoint.
    pub(in crate::model) endpoint: usize,
    /// The badge of the capability that it is sent through.
    pub(in crate::model) badge: usize,
    /// That capability, where its sender looks it up.
    pub(in crate::model) through: CapPath,
    /// What the test knows it by.
    pub(in crate::model) tag: usize,
}

/// The queues of all endpoints, in the order in which messages came.
#[derive(Clone, Debug, Default)]
pub(in crate::model) struct Sends {
    waiting: Vec<Send>,
}

impl Sends {
    /// Puts a message behind all others.
    pub(in crate::model) fn push(&mut self, send: Send) {
        self.waiting.push(send);
    }

    /// Takes the first message out of an endpoint's queue.
    pub(in crate::model) fn take_first(&mut self, endpoint: usize) -> Option<Send> {
        let first = self.waiting.iter().position(|send| send.endpoint == endpoint)?;
        Some(self.waiting.remove(first))
    }

    /// Takes out the messages that `is_it` picks.
    pub(in crate::model) fn take_all(&mut self, is_it: impl Fn(&Send) -> bool) -> Vec<Send> {
        let (taken, left) = self.waiting.drain(..).partition(is_it);
        self.waiting = left;
        taken
    }
}
