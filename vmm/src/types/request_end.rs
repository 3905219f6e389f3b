// SPDX-License-Identifier: BSD-2-Clause
//! How a thread's wait for a page ends.

use untyped_alloc::CPtr;

use crate::types::error::Error;
use crate::types::fault::PageRequest;

/// How a thread's wait for a page ended. The slot `reply`, in which the right to answer the thread
/// is kept, is the caller's to give back: with [`crate::Vmm::free_slots`] when the right was used
/// up, with [`crate::Vmm::release_slot`] otherwise.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RequestEnd {
    /// The page is mapped: answer the thread, which repeats its instruction.
    Supplied {
        /// The slot of the right to answer it.
        reply: CPtr,
    },
    /// A page was there already, by the answer to another thread's request: answer the thread. The
    /// page that was to be supplied is still the pager's.
    NotTaken {
        /// The slot of the right to answer it.
        reply: CPtr,
    },
    /// The region is gone, or is no longer this pager's: answer the thread, which meets what is
    /// there now.
    Stale {
        /// The slot of the right to answer it.
        reply: CPtr,
    },
    /// The thread cannot go on unless whoever decides about it puts something right.
    Unresolved {
        /// What it waited for.
        request: PageRequest,
        /// The slot of the right to answer it.
        reply: CPtr,
        /// Why, if it was not its pager that refused the page or ended.
        error: Option<Error>,
    },
}

impl RequestEnd {
    /// The slot of the right to answer the thread.
    pub fn reply(&self) -> CPtr {
        match *self {
            RequestEnd::Supplied { reply }
            | RequestEnd::NotTaken { reply }
            | RequestEnd::Stale { reply }
            | RequestEnd::Unresolved { reply, .. } => reply,
        }
    }
}
