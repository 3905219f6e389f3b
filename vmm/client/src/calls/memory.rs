// SPDX-License-Identifier: BSD-2-Clause
//! Calls on the client's own memory.

use super::error::{Error, Result};
use super::service::{Memory, Service};
use crate::protocol::{
    Answer, Info, Name, Options, RegionHandle, Request, Reserve, Rights, PAGE_BYTES,
};

impl Service {
    /// Reserves addresses for a region.
    pub fn reserve(&self, reserve: Reserve) -> Result<Memory> {
        self.region(&Request::Reserve(reserve))
    }

    /// Allocates fresh memory, mapped: `pages` pages, readable and writable, with a guard page on
    /// either side. After an error there is no region.
    pub fn allocate(&self, pages: u32, name: &str) -> Result<Memory> {
        let memory = self.reserve(Reserve { guards: (1, 1), ..plain(pages, name) })?;
        if let Err(error) = self.map(memory.first, memory.pages) {
            self.release(memory.handle)?;
            return Err(error);
        }
        Ok(memory)
    }

    /// Reserves memory that is mapped when it is touched, `around` pages at a time: 1 to 16, a
    /// power of two.
    pub fn allocate_on_demand(&self, pages: u32, around: u32, name: &str) -> Result<Memory> {
        self.reserve(Reserve { guards: (1, 1), around, ..plain(pages, name) })
    }

    /// Maps fresh memory in pages of a region (commits it). After an error some of the pages may be
    /// mapped.
    pub fn map(&self, start: usize, pages: u32) -> Result {
        self.bounded_requests(start, pages, |start, pages| Request::Map { start, pages })
    }

    /// Unmaps pages and frees their memory (decommits it); the region stays. After an error some of
    /// the pages may be unmapped.
    pub fn unmap(&self, start: usize, pages: u32) -> Result {
        self.bounded_requests(start, pages, |start, pages| Request::Unmap { start, pages })
    }

    /// Gives pages new rights. After an error some of the pages may have them.
    pub fn protect(&self, start: usize, pages: u32, rights: Rights) -> Result {
        let request = |start, pages| Request::Protect { start, pages, rights };
        self.bounded_requests(start, pages, request)
    }

    /// Releases a region with the memory that is mapped in it.
    pub fn release(&self, region: RegionHandle) -> Result {
        loop {
            match self.call(&Request::Release(region))? {
                Answer::Done => return Ok(()),
                Answer::Pages(_) => {}
                _ => return Err(Error::Answer),
            }
        }
    }

    /// Returns the region at an address, or `None` where there is none.
    pub fn query(&self, address: usize) -> Result<Option<Info>> {
        self.info(&Request::Query { address, next: false })
    }

    /// Returns the first region at an address or above, or `None` where there is none.
    pub fn next_region(&self, address: usize) -> Result<Option<Info>> {
        self.info(&Request::Query { address, next: true })
    }

    fn info(&self, request: &Request) -> Result<Option<Info>> {
        match self.call(request)? {
            Answer::Info(info) => Ok(Some(info)),
            Answer::Done => Ok(None),
            _ => Err(Error::Answer),
        }
    }

    /// Sends `request`, of a first page and a number of pages, until all of `pages` are done. It is
    /// sent at least once, so that the service judges it even for no pages.
    fn bounded_requests(
        &self,
        start: usize,
        pages: u32,
        request: impl Fn(usize, u32) -> Request,
    ) -> Result {
        let mut done = 0;
        loop {
            let next = start + done as usize * PAGE_BYTES;
            match self.call(&request(next, pages - done))? {
                // An answer without progress would be asked for ever.
                Answer::Pages(some) if some <= pages - done && (some != 0 || pages == 0) => {
                    done += some;
                }
                _ => return Err(Error::Answer),
            }
            if done == pages {
                return Ok(());
            }
        }
    }

    /// Sends a request that makes a region, and then `more`, of the region and the number of its
    /// first page that is not done, until all its pages are done. After an error there is no
    /// region.
    pub(super) fn region_in_bounded_requests(
        &self,
        request: &Request,
        more: impl Fn(RegionHandle, u32) -> Request,
    ) -> Result<Memory> {
        let Answer::Part { handle, first, pages, mut done } = self.call(request)? else {
            return Err(Error::Answer);
        };
        while done < pages {
            let error = match self.call(&more(handle, done)) {
                Ok(Answer::Pages(some)) if (1..=pages - done).contains(&some) => {
                    done += some;
                    continue;
                }
                Ok(_) => Error::Answer,
                Err(error) => error,
            };
            self.release(handle)?;
            return Err(error);
        }
        Ok(Memory { handle, first, pages })
    }
}

/// A region at any address, readable and writable, mapped by request.
fn plain(pages: u32, name: &str) -> Reserve {
    Reserve {
        pages,
        address: 0,
        rights: Rights::READ_WRITE,
        ceiling: Rights::READ_WRITE,
        around: 0,
        guards: (0, 0),
        options: Options::empty(),
        name: Name::new(name),
    }
}
