//! Threads whose faults are ours to answer.
//!
//! A thread is registered with the space it runs in. It gets a capability to the fault endpoint with
//! a badge of its own, so a fault message says whose it is:
//!
//! ```text
//!   thread ──fault──► endpoint (badge 7) ──► handler ──► Vmm::handle_fault(7, …)
//!                                               │             │ resolved: reply, it goes on
//!                                               │             │ pager: ask, reply later
//!                                               ◄─────────────┘ unresolved: a report
//! ```

use core::cell::Cell;

use intrusive_collections::{Bound, KeyAdapter, RBTree, RBTreeLink};
use untyped_alloc::{CPtr, Invocation, Kernel, Memory, Rights};

use crate::error::{Error, NodeKind, Result};
use crate::fault::{FaultReport, PageFault, Resolution};
use crate::ids::SpaceId;
use crate::region::Name;
use crate::vmm::Vmm;
use crate::waiting::Waiting;

/// A registered thread: the badge of its fault messages. Never reused while the manager lives, up
/// to 2^27 registrations.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ThreadId(u32);

/// The most a badge can be: IA32 has 28 bits, and the highest tells pagers apart.
const MOST_BADGE: u32 = (1 << 27) - 1;

impl ThreadId {
    /// The badge of its fault messages.
    pub fn badge(self) -> usize {
        self.0 as usize
    }

    /// The thread whose badge this would be. Any number makes an id; only registered ones are
    /// accepted.
    pub fn from_badge(badge: usize) -> ThreadId {
        ThreadId(badge as u32)
    }
}

/// What is known of a registered thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ThreadInfo {
    /// The space it runs in.
    pub space: SpaceId,
    /// Its thread control block.
    pub tcb: CPtr,
    /// The badged capability to the fault endpoint: what `TCB_SetSpace` is given, where the thread
    /// shares the manager's CSpace.
    pub fault_endpoint: CPtr,
    /// Its name.
    pub name: Name,
}

/// A thread's node.
#[derive(Default)]
pub(crate) struct Thread<'p> {
    pub next_free: Cell<Option<&'p Thread<'p>>>,
    by_badge: RBTreeLink,
    badge: Cell<u32>,
    info: Cell<Option<ThreadInfo>>,
    /// Linked while a fault of it waits for a pager; see waiting.rs.
    pub by_request: RBTreeLink,
    pub waiting: Cell<Option<Waiting>>,
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
        (self.last < MOST_BADGE).then_some(self.last + 1)
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

/// What became of a registered thread's fault.
#[derive(Clone, Copy, Debug)]
pub struct Handled {
    /// The thread.
    pub thread: ThreadInfo,
    /// What became of its fault.
    pub resolution: Resolution,
}

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Registers a thread that runs in `space`: mints a capability to the fault endpoint `endpoint`
    /// with a badge of its own. One kernel call. While it is registered the space cannot be
    /// destroyed.
    ///
    /// # Errors
    /// [`Error::NoSuchSpace`], [`Error::Allocator`], [`Error::Kernel`].
    pub fn register_thread(
        &mut self,
        space: SpaceId,
        tcb: CPtr,
        endpoint: CPtr,
        name: &str,
    ) -> Result<ThreadId> {
        self.refill()?;
        let node = self.space(space)?;
        let badge = self.threads.next_badge().ok_or(Error::OutOfNodes(NodeKind::Thread))?;
        let thread = self.pools.threads.take().ok_or(Error::OutOfNodes(NodeKind::Thread))?;
        let minted = self.mint(endpoint, badge);
        match minted {
            Ok(fault_endpoint) => {
                let name = Name::new(name);
                let info = ThreadInfo { space, tcb, fault_endpoint, name };
                self.threads.insert(thread, badge, info);
                node.threads.set(node.threads.get() + 1);
                Ok(ThreadId(badge))
            }
            Err(error) => {
                self.pools.threads.give(thread);
                Err(error)
            }
        }
    }

    pub(crate) fn mint(&mut self, endpoint: CPtr, badge: u32) -> Result<CPtr> {
        let slot = self.alloc.take_slots(&mut self.kernel, 1)?;
        let (dst, src) = (self.alloc.path(slot), self.alloc.path(endpoint));
        let minted = self.kernel.cnode_mint_badge(dst, src, Rights::all(), badge as usize);
        match minted {
            Ok(()) => Ok(slot),
            Err(error) => {
                self.alloc.give_slots(slot, 1)?;
                Err(Error::kernel(Invocation::CNodeMint)(error))
            }
        }
    }

    /// Forgets a thread, and deletes its capability to the fault endpoint; and the one to answer it,
    /// if it waits for a pager. One kernel call, or two.
    ///
    /// # Errors
    /// [`Error::NoSuchThread`]; [`Error::Kernel`], and then it is still registered.
    pub fn unregister_thread(&mut self, thread: ThreadId) -> Result {
        let info = self.thread(thread)?;
        self.forget_request_of(thread)?;
        self.kernel
            .cnode_delete(self.alloc.path(info.fault_endpoint))
            .map_err(Error::kernel(Invocation::CNodeDelete))?;
        self.alloc.give_slots(info.fault_endpoint, 1)?;
        if let Some(node) = self.threads.remove(thread) {
            self.pools.threads.give(node);
        }
        if let Ok(space) = self.space(info.space) {
            space.threads.set(space.threads.get() - 1);
        }
        Ok(())
    }

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

    /// Answers a fault message with this badge: resolves it if that can be done. After
    /// [`Resolution::Resolved`] reply to it with an empty message, and the thread goes on.
    ///
    /// # Errors
    /// [`Error::NoSuchThread`]; those of [`Vmm::resolve_fault`].
    pub fn handle_fault(&mut self, badge: usize, fault: &PageFault) -> Result<Handled> {
        let thread = self.thread(ThreadId::from_badge(badge))?;
        let resolution = self.resolve_fault(thread.space, fault)?;
        Ok(Handled { thread, resolution })
    }

    /// The report of a registered thread's fault, for a person. `name` is from
    /// [`ThreadInfo::name`].
    ///
    /// # Errors
    /// [`Error::NoSuchSpace`].
    pub fn report_thread_fault<'n>(
        &self,
        thread: &'n ThreadInfo,
        fault: PageFault,
    ) -> Result<FaultReport<'n>> {
        self.report_fault(thread.space, fault, thread.name.as_str())
    }
}
