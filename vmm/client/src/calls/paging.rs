// SPDX-License-Identifier: BSD-2-Clause
//! Calls of a pager, a client that supplies the pages of another client's region, and of that
//! other client.

use super::error::{Error, Result};
use super::service::{Memory, Service};
use crate::protocol::{Answer, PagedFault, Request, Rights};

impl Service {
    /// Offers another client to be the pager of a region of `pages` pages, whose faults name it as
    /// `key`; returns the ticket.
    pub fn offer_paging(&self, to: u32, key: u32, pages: u32, rights: Rights) -> Result<u32> {
        self.ticket(&Request::OfferPaging { to, key, pages, rights })
    }

    /// Reserves a region whose pages are supplied by the client that offered it: the offer with
    /// this ticket, or the oldest offer for 0.
    pub fn accept_paging(&self, from: u32, ticket: u32, rights: Rights) -> Result<Memory> {
        self.region(&Request::AcceptPaging { from, ticket, address: 0, rights })
    }

    /// Waits for the oldest fault that this client is to supply the page for and that is later than
    /// the one with the ticket `after` (0: than none). Returns `None` when this client pages no
    /// region and has no open offer to page one.
    pub fn next_fault(&self, after: u64) -> Result<Option<PagedFault>> {
        match self.call(&Request::NextFault { after })? {
            Answer::Fault(fault) => Ok(Some(fault)),
            Answer::Done => Ok(None),
            _ => Err(Error::Answer),
        }
    }

    /// Supplies the page that a thread waits for by sharing it: the page at the address `page` of
    /// this client, which both clients have from then on.
    pub fn share_page(&self, ticket: u64, page: usize) -> Result {
        self.done(&Request::Supply { ticket, page, give: false })
    }

    /// Supplies the page that a thread waits for by transferring it: the page is unmapped here.
    pub fn transfer_page(&self, ticket: u64, page: usize) -> Result {
        self.done(&Request::Supply { ticket, page, give: true })
    }

    /// Refuses the page that a thread waits for.
    pub fn refuse_page(&self, ticket: u64) -> Result {
        self.done(&Request::Refuse { ticket })
    }
}
