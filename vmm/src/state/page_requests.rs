// SPDX-License-Identifier: BSD-2-Clause
//! Faults that wait for a pager.
//!
//! A thread has one fault at a time, so what waits is kept in the threads' own nodes: however many
//! faults a pager leaves unanswered, nobody else lacks room. The requests of each pager are a
//! queue, ordered by ticket, which grows with time. A pager with one token has the queue of that
//! number; one that has a token for each region (the service's pagers) has a queue of another
//! number.
//!
//! ```text
//!   fault ──► begin_request ──► ticket, token, page ──► the pager
//!                │  the right to answer the thread, in a slot of its own
//!                ▼
//!   end_request(ticket) ──► that slot: whoever runs the handler answers the thread by it
//! ```

use intrusive_collections::{Bound, KeyAdapter, RBTree, RBTreeLink};
use untyped_alloc::CPtr;

use crate::state::threads::{Thread, Waiting};
use crate::types::fault::PageRequest;

#[allow(unsafe_code)] // what the adapter macro expands to
mod adapters {
    use super::*;
    use intrusive_collections::intrusive_adapter;
    intrusive_adapter!(
        pub(crate) ByRequest<'p> = &'p Thread<'p>: Thread<'p> { by_request => RBTreeLink }
    );
}

use adapters::ByRequest;

impl<'a> KeyAdapter<'a> for ByRequest<'_> {
    /// Queue and ticket.
    type Key = (u32, u64);
    fn get_key(&self, thread: &'a Thread<'_>) -> (u32, u64) {
        let waiting = thread.waiting.get();
        waiting.map_or((0, 0), |waiting| {
            let (request, _) = waiting.parts();
            (request.queue, request.ticket)
        })
    }
}

/// All requests that wait.
pub(crate) struct Requests<'p> {
    by_request: RBTree<ByRequest<'p>>,
    pub(super) last_ticket: u64,
}

impl<'p> Requests<'p> {
    pub fn new() -> Self {
        Requests { by_request: RBTree::new(ByRequest::new()), last_ticket: 0 }
    }

    /// A ticket greater than all before it. Never 0.
    pub fn next_ticket(&mut self) -> u64 {
        self.last_ticket += 1;
        self.last_ticket
    }

    /// Has a thread, which does not wait, wait for `request`; the right to answer it is in `reply`.
    pub fn insert(&mut self, thread: &'p Thread<'p>, request: PageRequest, reply: CPtr) {
        thread.waiting.set(Some(Waiting::new(request, reply)));
        self.by_request.insert(thread);
    }

    /// The oldest request of a queue that is younger than `ticket`.
    pub fn after(&self, queue: u32, ticket: u64) -> Option<PageRequest> {
        let node = self.by_request.lower_bound(Bound::Excluded(&(queue, ticket))).get()?;
        let request = node.waiting.get()?.parts().0;
        (request.queue == queue).then_some(request)
    }

    /// The request of a queue with this ticket.
    pub fn find(&self, queue: u32, ticket: u64) -> Option<PageRequest> {
        let node = self.by_request.find(&(queue, ticket)).get()?;
        node.waiting.get().map(|waiting| waiting.parts().0)
    }

    /// Ends a request; returns it with the slot of the right to answer its thread.
    pub fn remove(&mut self, queue: u32, ticket: u64) -> Option<(PageRequest, CPtr)> {
        let node = self.by_request.find_mut(&(queue, ticket)).remove()?;
        node.waiting.take().map(|waiting| waiting.parts())
    }
}
