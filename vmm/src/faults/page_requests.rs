//! Faults that wait for a pager.

use untyped_alloc::{CPtr, Kernel, Memory};

use crate::manager::vmm::Vmm;
use crate::types::error::{Error, Result};
use crate::types::fault::{PageFault, PageRequest};
use crate::types::ids::ThreadId;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Takes an empty slot for the right to answer a thread (`CNode_SaveCaller` puts it there), to
    /// be given to [`Vmm::begin_request`].
    ///
    /// # Errors
    /// [`Error::NoSuchThread`]; [`Error::Allocator`] when slots are out.
    pub fn reply_slot(&mut self, thread: ThreadId) -> Result<CPtr> {
        // A thread that faults again was set going by others, which took the right away.
        self.forget_request_of(thread)?;
        self.alloc_slots(1)
    }

    /// Records that a thread's fault waits for the page number `page` of the pager `token`, and
    /// that the right to answer it is in the slot `reply`. No kernel call.
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

    /// As [`Vmm::begin_request`], in a queue of another number than the token: for pagers that have
    /// a token for each region.
    ///
    /// # Errors
    /// [`Error::NoSuchThread`]; [`Error::Kernel`] when the right to answer an earlier request of
    /// the thread cannot be deleted.
    pub fn begin_request_in(
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
    /// answering or by deleting the capability, and give it back with [`Vmm::free_slots`].
    ///
    /// # Errors
    /// [`Error::NoSuchRequest`].
    pub fn end_request(&mut self, queue: u32, ticket: u32) -> Result<(PageRequest, CPtr)> {
        self.requests.remove(queue, ticket).ok_or(Error::NoSuchRequest { ticket })
    }

    /// Forgets the request of a thread, if it has one, with the right to answer it.
    ///
    /// # Errors
    /// [`Error::NoSuchThread`]; [`Error::Kernel`], and then it still waits.
    pub fn forget_request_of(&mut self, thread: ThreadId) -> Result {
        let Some(waiting) = self.thread_node(thread)?.waiting.get() else { return Ok(()) };
        let (request, reply) = waiting.parts();
        // As long as the right is not deleted, the request stays: this can be tried again.
        self.delete_cap(self.alloc.path(reply))?;
        self.end_request(request.queue, request.ticket)?;
        self.free_slots(reply, 1)
    }
}
