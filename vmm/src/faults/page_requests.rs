// SPDX-License-Identifier: BSD-2-Clause
//! Faults that wait for a pager.

use untyped_alloc::{CPtr, Kernel, Memory};

use crate::manager::vmm::Vmm;
use crate::types::error::{Error, Result};
use crate::types::fault::{PageFault, PageRequest};
use crate::types::ids::ThreadId;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Takes an empty slot for the right to answer a thread (`CNode_SaveCaller` puts it there), to
    /// be given to [`Vmm::begin_request`]. It is the thread's: the next call for the same thread
    /// empties it and gives it again, unless a request has it.
    ///
    /// # Errors
    /// [`Error::NoSuchThread`]; [`Error::Allocator`] when slots are out; [`Error::Kernel`].
    pub fn reply_slot(&mut self, thread: ThreadId) -> Result<CPtr> {
        self.under_pressure(|vmm| vmm.try_reply_slot(thread))
    }

    fn try_reply_slot(&mut self, thread: ThreadId) -> Result<CPtr> {
        // A thread that faults again was set going by others, which took the right away.
        self.remove_request_of(thread)?;
        let _reserve = self.refill()?;
        let node = self.thread_node(thread)?;
        let slot = match node.reply.get() {
            Some(unused) => {
                self.kernel.cnode_delete(self.alloc.path(unused))?;
                unused
            }
            None => self.alloc_or_prune(|alloc, kernel| alloc.alloc_kept_slots(kernel, 1))?,
        };
        node.reply.set(Some(slot));
        Ok(slot)
    }

    /// Deletes what is in the slot that [`Vmm::reply_slot`] gave for a thread and no request has,
    /// if there is one, and gives it back.
    pub(crate) fn free_reply_slot(&mut self, thread: ThreadId) -> Result {
        let node = self.thread_node(thread)?;
        let Some(unused) = node.reply.get() else { return Ok(()) };
        self.kernel.cnode_delete(self.alloc.path(unused))?;
        node.reply.set(None);
        Ok(self.alloc.free_kept_slots(unused, 1)?)
    }

    /// Records that a thread's fault waits for the page number `page` of the pager `token`, and
    /// that the right to answer it is in the slot `reply`. No kernel call.
    ///
    /// # Errors
    /// [`Error::NoSuchThread`]; [`Error::NoReplySlot`] for a slot that [`Vmm::reply_slot`] did not
    /// give for this thread, or that a request had already.
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
    /// As for [`Vmm::begin_request`]; [`Error::Kernel`] when the right to answer an earlier request
    /// of the thread cannot be deleted.
    pub fn begin_request_in(
        &mut self,
        queue: u32,
        thread: ThreadId,
        fault: PageFault,
        (token, page): (u32, usize),
        reply: CPtr,
    ) -> Result<PageRequest> {
        let node = self.thread_node(thread)?;
        if node.reply.get() != Some(reply) {
            return Err(Error::NoReplySlot(reply));
        }
        self.remove_request_of(thread)?;
        node.reply.set(None);
        let ticket = self.requests.next_ticket();
        let request = PageRequest { ticket, queue, token, page, thread, fault };
        self.requests.insert(node, request, reply);
        Ok(request)
    }

    /// The oldest request in a queue that is younger than `ticket` (0: of all), if there is one.
    /// O(log requests).
    pub fn next_request(&self, queue: u32, ticket: u64) -> Option<PageRequest> {
        self.requests.after(queue, ticket)
    }

    /// The request in a queue with this ticket.
    ///
    /// # Errors
    /// [`Error::NoSuchRequest`], for tickets of other queues too.
    pub fn request(&self, queue: u32, ticket: u64) -> Result<PageRequest> {
        self.requests.find(queue, ticket).ok_or(Error::NoSuchRequest { ticket })
    }

    /// The request of a thread, if it has one.
    ///
    /// # Errors
    /// [`Error::NoSuchThread`].
    pub fn request_of(&self, thread: ThreadId) -> Result<Option<PageRequest>> {
        Ok(self.thread_node(thread)?.waiting.get().map(|waiting| waiting.parts().0))
    }

    /// Ends a request; returns it and the slot of the right to answer its thread. Empty it, by
    /// answering or by deleting the capability, and give it back with [`Vmm::free_slots`].
    ///
    /// # Errors
    /// [`Error::NoSuchRequest`].
    pub fn end_request(&mut self, queue: u32, ticket: u64) -> Result<(PageRequest, CPtr)> {
        let ended = self.requests.remove(queue, ticket).ok_or(Error::NoSuchRequest { ticket })?;
        // Until now the slot was the request's, and nobody else's to give back.
        self.alloc.lend_kept_slots(ended.1, 1);
        Ok(ended)
    }

    /// Forgets the request of a thread, if it has one, with the right to answer it.
    ///
    /// # Errors
    /// [`Error::NoSuchThread`]; [`Error::Kernel`], and then it still waits.
    pub fn remove_request_of(&mut self, thread: ThreadId) -> Result {
        let Some(waiting) = self.thread_node(thread)?.waiting.get() else { return Ok(()) };
        let (request, reply) = waiting.parts();
        // As long as the right is not deleted, the request stays: this can be tried again.
        self.kernel.cnode_delete(self.alloc.path(reply))?;
        self.end_request(request.queue, request.ticket)?;
        self.free_slots(reply, 1)
    }
}
