//! Faults that wait for a pager.
//!
//! A thread has one fault at a time, so what waits is kept in the threads' own nodes: however many
//! faults a pager leaves unanswered, nobody else lacks room. The requests of each pager are a queue,
//! ordered by ticket, which grows with time. A pager with one token has the queue of that number; one
//! that has a token for each region (the service's pagers) has a queue of another number.
//!
//! ```text
//!   fault ──► begin_request ──► ticket, token, page ──► the pager
//!                │  the right to answer the thread, in a slot of its own
//!                ▼
//!   end_request(ticket) ──► that slot: whoever runs the handler answers the thread by it
//! ```

use intrusive_collections::{Bound, KeyAdapter, RBTree, RBTreeLink};
use untyped_alloc::{CPtr, Invocation, Kernel, Memory};

use crate::error::{Error, Result};
use crate::fault::PageFault;
use crate::threads::{Thread, ThreadId};
use crate::vmm::Vmm;

/// A page that a thread waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PageRequest {
    /// What it is answered by. Never 0, and greater than those of all requests before it.
    pub ticket: u32,
    /// The queue it is in.
    pub queue: u32,
    /// What the pager knows the region by.
    pub token: u32,
    /// The page's number in the region, guards not counted.
    pub page: usize,
    /// The thread.
    pub thread: ThreadId,
    /// Its fault.
    pub fault: PageFault,
}

/// A request, and where the right to answer its thread is kept.
#[derive(Clone, Copy)]
pub(crate) struct Waiting {
    request: PageRequest,
    reply: CPtr,
}

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
    type Key = (u32, u32);
    fn get_key(&self, thread: &'a Thread<'_>) -> (u32, u32) {
        let waiting = thread.waiting.get();
        waiting.map_or((0, 0), |waiting| (waiting.request.queue, waiting.request.ticket))
    }
}

/// All requests that wait.
pub(crate) struct Requests<'p> {
    by_request: RBTree<ByRequest<'p>>,
    last_ticket: u32,
}

impl<'p> Requests<'p> {
    pub fn new() -> Self {
        Requests { by_request: RBTree::new(ByRequest::new()), last_ticket: 0 }
    }

    /// A ticket greater than all before it. Never 0.
    pub fn next_ticket(&mut self) -> u32 {
        self.last_ticket = self.last_ticket.checked_add(1).unwrap_or(1);
        self.last_ticket
    }

    /// Has a thread, which does not wait, wait for `request`; the right to answer it is in `reply`.
    pub fn insert(&mut self, thread: &'p Thread<'p>, request: PageRequest, reply: CPtr) {
        thread.waiting.set(Some(Waiting { request, reply }));
        self.by_request.insert(thread);
    }

    /// The oldest request of a queue that is younger than `ticket`.
    pub fn after(&self, queue: u32, ticket: u32) -> Option<PageRequest> {
        let node = self.by_request.lower_bound(Bound::Excluded(&(queue, ticket))).get()?;
        let request = node.waiting.get()?.request;
        (request.queue == queue).then_some(request)
    }

    /// The request of a queue with this ticket.
    pub fn find(&self, queue: u32, ticket: u32) -> Option<PageRequest> {
        let node = self.by_request.find(&(queue, ticket)).get()?;
        node.waiting.get().map(|waiting| waiting.request)
    }

    /// Ends a request; returns it with the slot of the right to answer its thread.
    pub fn remove(&mut self, queue: u32, ticket: u32) -> Option<(PageRequest, CPtr)> {
        let node = self.by_request.find_mut(&(queue, ticket)).remove()?;
        node.waiting.take().map(|waiting| (waiting.request, waiting.reply))
    }
}

impl Waiting {
    /// What is waited for, and the slot of the right to answer.
    pub fn parts(&self) -> (PageRequest, CPtr) {
        (self.request, self.reply)
    }
}

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Takes an empty slot for the right to answer a thread (`CNode_SaveCaller` puts it there), to be
    /// given to [`Vmm::begin_request`].
    ///
    /// # Errors
    /// [`Error::NoSuchThread`]; [`Error::Allocator`] when slots are out.
    pub fn reply_slot(&mut self, thread: ThreadId) -> Result<CPtr> {
        // A thread that faults again was set going by others, which took the right away.
        self.forget_request_of(thread)?;
        self.take_slots(1)
    }

    /// Records that a thread's fault waits for the page number `page` of the pager `token`, and that
    /// the right to answer it is in the slot `reply`. No kernel call.
    ///
    /// # Errors
    /// [`Error::NoSuchThread`].
    pub fn begin_request(
        &mut self,
        thread: ThreadId,
        fault: PageFault,
        token: u32,
        page: usize,
        reply: CPtr,
    ) -> Result<PageRequest> {
        self.begin_request_in(token, thread, fault, (token, page), reply)
    }

    /// As [`Vmm::begin_request`], in a queue of another number than the token.
    pub(crate) fn begin_request_in(
        &mut self,
        queue: u32,
        thread: ThreadId,
        fault: PageFault,
        (token, page): (u32, usize),
        reply: CPtr,
    ) -> Result<PageRequest> {
        let node = self.thread_node(thread)?;
        self.forget_request_of(thread)?;
        let ticket = self.requests.next_ticket();
        let request = PageRequest { ticket, queue, token, page, thread, fault };
        self.requests.insert(node, request, reply);
        Ok(request)
    }

    /// The oldest request in a queue that is younger than `ticket` (0: of all), if there is one.
    /// O(log requests).
    pub fn next_request(&self, queue: u32, ticket: u32) -> Option<PageRequest> {
        self.requests.after(queue, ticket)
    }

    /// The request in a queue with this ticket.
    ///
    /// # Errors
    /// [`Error::NoSuchRequest`], for tickets of other queues too.
    pub fn request(&self, queue: u32, ticket: u32) -> Result<PageRequest> {
        self.requests.find(queue, ticket).ok_or(Error::NoSuchRequest { ticket })
    }

    /// Ends a request; returns it and the slot of the right to answer its thread. Empty it, by
    /// answering or by deleting the capability, and give it back with [`Vmm::give_slots`].
    ///
    /// # Errors
    /// [`Error::NoSuchRequest`].
    pub fn end_request(&mut self, queue: u32, ticket: u32) -> Result<(PageRequest, CPtr)> {
        self.requests.remove(queue, ticket).ok_or(Error::NoSuchRequest { ticket })
    }

    /// Forgets the request of a thread, if it has one, with the right to answer it.
    pub(crate) fn forget_request_of(&mut self, thread: ThreadId) -> Result {
        let Some(waiting) = self.thread_node(thread)?.waiting.get() else { return Ok(()) };
        let (request, reply) = waiting.parts();
        // Deleting from a slot that is empty succeeds.
        self.kernel
            .cnode_delete(self.alloc.path(reply))
            .map_err(Error::kernel(Invocation::CNodeDelete))?;
        self.end_request(request.queue, request.ticket)?;
        self.give_slots(reply, 1)
    }
}
