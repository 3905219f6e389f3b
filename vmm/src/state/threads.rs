// SPDX-License-Identifier: BSD-2-Clause
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
use untyped_alloc::{CPtr, Numbers};

use crate::types::fault::PageRequest;
use crate::types::ids::{ThreadId, MAX_NUMBER};
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
    /// Its fault that was answered last, if that was one at a page that is recorded.
    pub recorded: Cell<Option<RecordedFault>>,
}

/// A fault at a page that is recorded with the rights for it, and was mapped again: where the
/// kernel does not tell the whole address, it may have been at another.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordedFault {
    pub address: usize,
    pub ip: usize,
    /// Kernel calls that the manager had made then, but for those that answered such faults.
    pub calls: u64,
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
///
/// A badge is given out again when its thread is not registered any more: whoever registers the
/// next one sees to it that no message with it can still arrive. The serial number tells ids of the
/// two apart.
pub(crate) struct Threads<'p> {
    by_badge: RBTree<ByBadge<'p>>,
    badges: Numbers,
    /// The highest badge that was given out.
    highest: u32,
    last_serial: u64,
}

impl<'p> Threads<'p> {
    pub fn new() -> Self {
        let badges = Numbers::up_to(MAX_NUMBER);
        Threads { by_badge: RBTree::new(ByBadge::new()), badges, highest: 0, last_serial: 0 }
    }

    /// Makes the highest badge that is given out `most`.
    pub fn narrow(&mut self, most: u32) {
        self.badges = Numbers::up_to(most);
    }

    /// The id that the next thread is registered with; `None` while all badges are in use.
    pub fn next_id(&self) -> Option<ThreadId> {
        let badge = self.badges.next(|badge| !self.by_badge.find(&badge).is_null())?;
        Some(ThreadId { badge, serial: self.last_serial + 1 })
    }

    /// Registers a thread with the id that [`Threads::next_id`] gave.
    pub fn insert(&mut self, node: &'p Thread<'p>, info: ThreadInfo) {
        let ThreadId { badge, serial } = info.id;
        node.badge.set(badge);
        node.info.set(Some(info));
        node.recorded.set(None);
        self.by_badge.insert(node);
        self.badges.note(badge);
        self.highest = self.highest.max(badge);
        self.last_serial = serial;
    }

    /// Whether no thread had the badge of an id, which [`Threads::next_id`] gave, before.
    pub fn is_new(&self, id: ThreadId) -> bool {
        id.badge > self.highest
    }

    /// Whether an id with this badge and serial number has been given to a thread.
    pub fn was_given(&self, id: ThreadId) -> bool {
        (1..=self.last_serial).contains(&id.serial) && id.badge <= self.highest
    }

    /// Takes a thread out.
    pub fn remove(&mut self, thread: ThreadId) -> Option<&'p Thread<'p>> {
        self.node(thread)?;
        let node = self.by_badge.find_mut(&thread.badge).remove()?;
        node.info.set(None);
        Some(node)
    }

    /// What is known of a thread.
    #[inline]
    pub fn info(&self, thread: ThreadId) -> Option<ThreadInfo> {
        self.with_badge(thread.badge).filter(|info| info.id == thread)
    }

    /// What is known of the thread that has this badge.
    #[inline]
    pub fn with_badge(&self, badge: u32) -> Option<ThreadInfo> {
        self.by_badge.find(&badge).get().and_then(|node| node.info.get())
    }

    /// A thread's node.
    pub fn node(&self, thread: ThreadId) -> Option<&'p Thread<'p>> {
        let node = self.by_badge.find(&thread.badge).clone_pointer();
        node.filter(|node| node.info.get().is_some_and(|info| info.id == thread))
    }

    /// The thread with the lowest badge above `badge`.
    pub fn after(&self, badge: u32) -> Option<ThreadId> {
        let node = self.by_badge.lower_bound(Bound::Excluded(&badge)).get()?;
        node.info.get().map(|info| info.id)
    }
}
