//! Threads whose faults are ours to answer.
//!
//! A thread is registered with the space it runs in. It gets a capability to the fault endpoint
//! with a badge of its own, so a fault message says whose it is:
//!
//! ```text
//!   thread ──fault──► endpoint (badge 7) ──► handler ──► Vmm::handle_fault(7, …)
//!                                               │             │ resolved: reply, it goes on
//!                                               │             │ pager: ask, reply later
//!                                               ◄─────────────┘ unresolved: a report
//! ```

use core::cell::Cell;

use intrusive_collections::{Bound, KeyAdapter, RBTree, RBTreeLink};
use untyped_alloc::CPtr;

use crate::types::fault::PageRequest;
use crate::types::ids::ThreadId;
use crate::types::thread::ThreadInfo;

/// A request, and where the right to answer its thread is kept.
#[derive(Clone, Copy)]
pub(crate) struct Waiting {
    request: PageRequest,
    reply: CPtr,
}

impl Waiting {
    /// A request whose thread is answered by the right in the slot `reply`.
    pub fn new(request: PageRequest, reply: CPtr) -> Waiting {
        Waiting { request, reply }
    }

    /// What is waited for, and the slot of the right to answer.
    pub fn parts(&self) -> (PageRequest, CPtr) {
        (self.request, self.reply)
    }
}

/// The most a badge can be: IA32 has 28 bits, and the highest tells pagers apart.
const MAX_BADGE: u32 = (1 << 27) - 1;

/// A thread's node.
#[derive(Default)]
pub(crate) struct Thread<'p> {
    pub next_free: Cell<Option<&'p Thread<'p>>>,
    by_badge: RBTreeLink,
    badge: Cell<u32>,
    info: Cell<Option<ThreadInfo>>,
    /// Linked while a fault of it waits for a pager; see page_requests.rs.
    pub by_request: RBTreeLink,
    pub waiting: Cell<Option<Waiting>>,
    /// A slot for the right to answer it, which no request has yet.
    pub reply: Cell<Option<CPtr>>,
}

#[allow(unsafe_code)] // what the adapter macro expands to
mod adapters {
    use super::*;
    use intrusive_collections::intrusive_adapter;
    intrusive_adapter!(
        pub(crate) ByBadge<'p> = &'p Thread<'p>: Thread<'p> { by_badge => RBTreeLink }
    );
}

use adapters::ByBadge;

impl<'a> KeyAdapter<'a> for ByBadge<'_> {
    type Key = u32;
    fn get_key(&self, thread: &'a Thread<'_>) -> u32 {
        thread.badge.get()
    }
}

/// All registered threads, by badge.
pub(crate) struct Threads<'p> {
    by_badge: RBTree<ByBadge<'p>>,
    last: u32,
}

impl<'p> Threads<'p> {
    pub fn new() -> Self {
        Threads { by_badge: RBTree::new(ByBadge::new()), last: 0 }
    }

    /// The badge that the next thread is registered with, while there are any.
    pub fn next_badge(&self) -> Option<u32> {
        (self.last < MAX_BADGE).then_some(self.last + 1)
    }

    /// Registers a thread with the badge that [`Threads::next_badge`] gave.
    pub fn insert(&mut self, node: &'p Thread<'p>, badge: u32, info: ThreadInfo) {
        node.badge.set(badge);
        node.info.set(Some(info));
        self.by_badge.insert(node);
        self.last = badge;
    }

    /// Takes a thread out.
    pub fn remove(&mut self, thread: ThreadId) -> Option<&'p Thread<'p>> {
        let node = self.by_badge.find_mut(&thread.0).remove()?;
        node.info.set(None);
        Some(node)
    }

    /// What is known of a thread.
    #[inline]
    pub fn info(&self, thread: ThreadId) -> Option<ThreadInfo> {
        self.by_badge.find(&thread.0).get().and_then(|node| node.info.get())
    }

    /// A thread's node.
    pub fn node(&self, thread: ThreadId) -> Option<&'p Thread<'p>> {
        self.by_badge.find(&thread.0).clone_pointer()
    }

    /// The thread with the lowest badge above `thread`'s.
    pub fn after(&self, thread: ThreadId) -> Option<ThreadId> {
        let node = self.by_badge.lower_bound(Bound::Excluded(&thread.0)).get();
        node.map(|node| ThreadId(node.badge.get()))
    }
}
