// SPDX-License-Identifier: BSD-2-Clause
//! Threads whose faults are ours to answer: registered and forgotten.

use untyped_alloc::{Blueprint, CPtr, Kernel, Memory, Rights, SlotUse};

use crate::manager::vmm::Vmm;
use crate::types::error::{Error, NodeKind, Result};
use crate::types::ids::{SpaceId, ThreadId};
use crate::types::region::Name;
use crate::types::thread::ThreadInfo;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Registers a thread that runs in `space`: mints a capability to the fault endpoint `endpoint`
    /// with a badge of its own. One kernel call; two once all badges were given out, and for an
    /// endpoint that is not an object of the manager's. While it is registered the space cannot be
    /// destroyed.
    ///
    /// The badge may have been another thread's. No message of that one's can be taken for this
    /// one's: its capability went with all its copies when it was unregistered, and what is still
    /// in the endpoint's queue is cancelled here: of a badge that no thread had before there is
    /// nothing. Only a message that was received before, and is not handled yet, has no such
    /// protection: handle it before 2^27 threads more are registered.
    ///
    /// # Errors
    /// [`Error::NoSuchSpace`]; [`Error::StoreSpace`]; [`Error::OutOfBadges`] while 2^27 - 1 threads
    /// are registered; [`Error::Allocator`]; [`Error::Kernel`], for an endpoint capability without
    /// all rights too.
    pub fn register_thread(
        &mut self,
        space: SpaceId,
        tcb: CPtr,
        endpoint: CPtr,
        name: &str,
    ) -> Result<ThreadId> {
        self.under_pressure(|vmm| vmm.try_register_thread(space, tcb, endpoint, name))
    }

    fn try_register_thread(
        &mut self,
        space: SpaceId,
        tcb: CPtr,
        endpoint: CPtr,
        name: &str,
    ) -> Result<ThreadId> {
        let _reserve = &mut self.refill()?;
        let node = self.space_of_threads(space)?;
        let id = self.threads.next_id().ok_or(Error::OutOfBadges)?;
        let thread = self.pools.threads.alloc().ok_or(Error::OutOfNodes(NodeKind::Thread))?;
        let minted = self.mint(endpoint, (id.badge(), self.threads.is_new(id)));
        match minted {
            Ok(fault_endpoint) => {
                let name = Name::new(name);
                self.threads.insert(thread, ThreadInfo { id, space, tcb, fault_endpoint, name });
                node.change_threads(|threads, registered| (threads + 1, registered + 1));
                // Its faults are answered, so what it touches may move.
                self.compaction.look_again();
                if space == self.own_space() {
                    self.kernel.inner_mut().note_own_badge(tcb, id.badge());
                }
                Ok(id)
            }
            Err(error) => {
                self.pools.threads.free(thread);
                Err(error)
            }
        }
    }

    /// Makes a capability to the endpoint `endpoint` with a badge that no other capability has, in
    /// a slot of the manager's own: copies of it are for those who are to have the badge. No
    /// message arrives by it that was sent before. Two kernel calls.
    ///
    /// # Errors
    /// [`Error::Allocator`]; [`Error::Kernel`], for an endpoint capability without all rights too.
    pub fn mint_badge(&mut self, endpoint: CPtr, badge: usize) -> Result<CPtr> {
        self.under_pressure(|vmm| {
            let _reserve = vmm.refill()?;
            vmm.mint(endpoint, (badge, false))
        })
    }

    /// As [`Vmm::mint_badge`], of badges that mostly go up: one that is above all that were made in
    /// this way, by any endpoint, was in nobody's hands, so there is nothing to cancel, and it
    /// costs one kernel call where the endpoint is an object of the manager's. Nobody is to mint
    /// these badges otherwise.
    ///
    /// # Errors
    /// Those of [`Vmm::mint_badge`].
    pub fn mint_ascending_badge(&mut self, endpoint: CPtr, badge: usize) -> Result<CPtr> {
        let slot = self.under_pressure(|vmm| {
            let _reserve = vmm.refill()?;
            vmm.mint(endpoint, (badge, badge > vmm.highest_badge))
        })?;
        self.highest_badge = self.highest_badge.max(badge);
        Ok(slot)
    }

    /// The highest badge that [`Vmm::mint_ascending_badge`] made; 0 before the first.
    pub fn highest_badge(&self) -> usize {
        self.highest_badge
    }

    fn mint(&mut self, endpoint: CPtr, (badge, is_new): (usize, bool)) -> Result<CPtr> {
        let slot = self.alloc_or_prune(|alloc, kernel| alloc.alloc_kept_slots(kernel, 1))?;
        let (src, path) = (self.alloc.path(endpoint), self.alloc.path(slot));
        // The kernel mints what is no endpoint, too, and refuses only to cancel at it.
        let nobody_sent =
            is_new && self.alloc.slot_use(endpoint) == SlotUse::Object(Blueprint::Endpoint);
        let minted = self
            .fill_slot(slot, |kernel, dst| kernel.cnode_mint_badge(dst, src, Rights::all(), badge))
            .and_then(|()| match nobody_sent {
                true => Ok(()),
                false => Ok(self.kernel.cnode_cancel_badged_sends(path)?),
            });
        match minted {
            Ok(()) => Ok(slot),
            Err(error) => {
                // What the kernel does not delete is deleted when the slot is used next.
                let _ = self.kernel.cnode_delete(path);
                self.alloc.free_kept_slots(slot, 1)?;
                Err(error)
            }
        }
    }

    /// Deletes a capability that [`Vmm::mint_badge`] made and all copies of it, wherever they went,
    /// and gives its slot back. The badge may be minted again: what waits to be sent with it is
    /// cancelled then, and has no capability any more to be sent anew by. Two kernel calls.
    ///
    /// # Errors
    /// [`Error::Kernel`], and then the capability is still there.
    pub fn end_badge(&mut self, slot: CPtr) -> Result {
        let path = self.alloc.path(slot);
        self.kernel.cnode_revoke(path)?;
        self.kernel.cnode_delete(path)?;
        Ok(self.alloc.free_kept_slots(slot, 1)?)
    }

    /// Forgets a thread, and deletes its capability to the fault endpoint with all copies; and the
    /// one to answer it, if it waits for a pager. Two kernel calls, or three.
    ///
    /// # Errors
    /// [`Error::NoSuchThread`]; [`Error::Kernel`], and then it is still registered.
    pub fn unregister_thread(&mut self, thread: ThreadId) -> Result {
        let info = self.thread(thread)?;
        self.remove_request_of(thread)?;
        self.free_reply_slot(thread)?;
        self.end_badge(info.fault_endpoint)?;
        if info.space == self.own_space() {
            self.kernel.inner_mut().note_own_badge(CPtr::NULL, thread.badge());
        }
        if let Some(node) = self.threads.remove(thread) {
            self.pools.threads.free(node);
        }
        if let Ok(space) = self.space(info.space) {
            space.change_threads(|threads, registered| (threads - 1, registered - 1));
        }
        Ok(())
    }
}
