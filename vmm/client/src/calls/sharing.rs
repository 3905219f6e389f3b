// SPDX-License-Identifier: BSD-2-Clause
//! Calls that share memory: offers between clients, copy-on-write clones.

use super::error::Result;
use super::service::{Memory, Service};
use crate::protocol::{RegionHandle, Request, Rights};

impl Service {
    /// Offers pages to another client, at most with `rights`; returns the ticket.
    pub fn offer(&self, to: u32, start: usize, pages: u32, rights: Rights) -> Result<u32> {
        self.ticket(&Request::Offer { to, start, pages, rights })
    }

    /// Withdraws an offer that was not accepted.
    pub fn withdraw(&self, ticket: u32) -> Result {
        self.done(&Request::Withdraw { ticket })
    }

    /// Maps the pages that another client offered: of the offer with this ticket, or of the oldest
    /// offer for 0. Nothing is mapped after an error.
    pub fn accept(&self, from: u32, ticket: u32, rights: Rights) -> Result<Memory> {
        let first = Request::Accept { from, ticket, address: 0, rights };
        self.region_in_bounded_requests(&first, |region, _| Request::AcceptMore { from, region })
    }

    /// Clones a region, copy-on-write. There is no clone after an error. Writes by other threads of
    /// this program in the meantime may be in the clone or not.
    pub fn clone_region(&self, region: RegionHandle) -> Result<Memory> {
        let first = Request::Clone { region, address: 0 };
        self.region_in_bounded_requests(&first, |into, page| Request::CloneMore {
            region,
            into,
            page,
        })
    }
}
