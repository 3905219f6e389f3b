// SPDX-License-Identifier: BSD-2-Clause
//! The ends of a thread's wait for a page, the same for every server of a queue.
//!
//! ```text
//!   wait_for_page ──► in the queue ──┬─ supply_request  ──► supplied, or there is a page already
//!                                    │                      the thread's space may have no more
//!                                    ├─ refuse_request  ──► unresolved
//!                                    ├─ abandon_request ──► unresolved: its pager has ended
//!                                    └─ supply or refuse when the region is gone ──► stale
//! ```
//!
//! Whatever else goes wrong (a page that the pager has not got, memory that is out) is the pager's
//! to hear of, and the thread still waits.

use untyped_alloc::{CPtr, Kernel, Memory};

use crate::manager::vmm::Vmm;
use crate::types::error::{Error, Result};
use crate::types::fault::{PageFault, PageRequest, Supply};
use crate::types::ids::{SpaceId, ThreadId};
use crate::types::region::Backing;
use crate::types::request_end::RequestEnd;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Has a thread's fault wait in a queue, for the page number `page` of what its pager knows by
    /// `token`. Returns an empty slot with the request: put the right to answer the thread there
    /// (`CNode_SaveCaller`) before another message is received. No kernel call, unless the thread
    /// left an earlier request.
    ///
    /// # Errors
    /// [`Error::NoSuchThread`]; [`Error::Allocator`] when slots are out; [`Error::Kernel`].
    pub fn wait_for_page(
        &mut self,
        queue: u32,
        thread: ThreadId,
        fault: PageFault,
        (token, page): (u32, usize),
    ) -> Result<(PageRequest, CPtr)> {
        let reply = self.reply_slot(thread)?;
        let request = self.begin_request_in(queue, thread, fault, (token, page), reply)?;
        Ok((request, reply))
    }

    /// Whether the region of a request is gone, or is no longer its pager's. O(log regions).
    pub fn request_is_stale(&self, request: &PageRequest) -> bool {
        let space = self.space_of_thread(request.thread);
        let region = space.and_then(|space| self.region_at(space, request.fault.address));
        let pager = Backing::Pager { token: request.token };
        !matches!(region, Ok(Some(region)) if region.backing == pager)
    }

    /// Gives a thread the page that it waits for: the one at `page` (bytes, page-aligned) of the
    /// space `from`. Costs what [`Vmm::supply_page`] does.
    ///
    /// # Errors
    /// [`Error::NoSuchRequest`]; those of [`Vmm::supply_page`] that are not the waiting thread's:
    /// it still waits.
    pub fn supply_request(
        &mut self,
        queue: u32,
        ticket: u64,
        from: SpaceId,
        page: usize,
        supply: Supply,
    ) -> Result<RequestEnd> {
        let request = self.request(queue, ticket)?;
        let space = self.space_of_thread(request.thread)?;
        let to = (space, request.fault.address);
        match self.supply_page_of(Some(request.token), to, (from, page), supply) {
            Ok(()) => {
                let (_, reply) = self.end_request(queue, ticket)?;
                Ok(RequestEnd::Supplied { reply })
            }
            Err(_) if self.request_is_stale(&request) => {
                let (_, reply) = self.end_request(queue, ticket)?;
                Ok(RequestEnd::Stale { reply })
            }
            Err(Error::AlreadyMapped { .. }) => {
                let (_, reply) = self.end_request(queue, ticket)?;
                Ok(RequestEnd::NotTaken { reply })
            }
            Err(error @ Error::OutOfQuota { space: at_limit, .. }) if at_limit == space => {
                let (request, reply) = self.end_request(queue, ticket)?;
                Ok(RequestEnd::Unresolved { request, reply, error: Some(error) })
            }
            Err(error) => Err(error),
        }
    }

    /// Ends a request whose pager has no page for it. No kernel call.
    ///
    /// # Errors
    /// [`Error::NoSuchRequest`].
    pub fn refuse_request(&mut self, queue: u32, ticket: u64) -> Result<RequestEnd> {
        let stale = self.request_is_stale(&self.request(queue, ticket)?);
        let (request, reply) = self.end_request(queue, ticket)?;
        Ok(match stale {
            true => RequestEnd::Stale { reply },
            false => RequestEnd::Unresolved { request, reply, error: None },
        })
    }

    /// Ends the oldest request of a queue whose pager is gone, if there is one. No kernel call.
    pub fn abandon_request(&mut self, queue: u32) -> Option<RequestEnd> {
        let request = self.next_request(queue, 0)?;
        let (request, reply) = self.end_request(queue, request.ticket).ok()?;
        Some(RequestEnd::Unresolved { request, reply, error: None })
    }
}
