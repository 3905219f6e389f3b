// SPDX-License-Identifier: BSD-2-Clause
//! Looking registered threads up.

use untyped_alloc::{Kernel, Memory};

use crate::manager::vmm::Vmm;
use crate::state::threads::Thread;
use crate::types::error::{Error, Result};
use crate::types::ids::{SpaceId, ThreadId};
use crate::types::thread::ThreadInfo;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// What is known of a thread.
    ///
    /// # Errors
    /// [`Error::NoSuchThread`].
    pub fn thread(&self, thread: ThreadId) -> Result<ThreadInfo> {
        self.threads.info(thread).ok_or(Error::NoSuchThread(thread))
    }

    /// The registered thread whose fault messages come with this badge.
    ///
    /// # Errors
    /// [`Error::NoSuchThread`], with the serial number 0.
    #[inline]
    pub fn thread_with_badge(&self, badge: usize) -> Result<ThreadInfo> {
        let of_none = ThreadId::from_parts(badge, 0);
        self.threads.with_badge(of_none.badge).ok_or(Error::NoSuchThread(of_none))
    }

    pub(crate) fn thread_node(&self, thread: ThreadId) -> Result<&'p Thread<'p>> {
        self.threads.node(thread).ok_or(Error::NoSuchThread(thread))
    }

    /// The registered thread with the lowest badge above `badge`, if there is one: to go through
    /// them all, begin with 0.
    pub fn next_thread(&self, badge: usize) -> Option<ThreadId> {
        self.threads.after(u32::try_from(badge).ok()?)
    }

    /// The space a thread runs in.
    ///
    /// # Errors
    /// [`Error::NoSuchThread`].
    #[inline]
    pub fn space_of_thread(&self, thread: ThreadId) -> Result<SpaceId> {
        self.threads.info(thread).map(|info| info.space).ok_or(Error::NoSuchThread(thread))
    }
}
