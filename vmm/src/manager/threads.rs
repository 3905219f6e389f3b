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

    pub(crate) fn thread_node(&self, thread: ThreadId) -> Result<&'p Thread<'p>> {
        self.threads.node(thread).ok_or(Error::NoSuchThread(thread))
    }

    /// The registered thread with the lowest badge above `thread`'s, if there is one: to go through
    /// them all, begin with `ThreadId::from_badge(0)`.
    pub fn next_thread(&self, thread: ThreadId) -> Option<ThreadId> {
        self.threads.after(thread)
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
