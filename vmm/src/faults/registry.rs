//! Threads whose faults are ours to answer: registered and forgotten.

use untyped_alloc::{CPtr, Kernel, Memory, Rights};

use crate::manager::vmm::Vmm;
use crate::types::error::{Error, NodeKind, Result};
use crate::types::ids::{SpaceId, ThreadId};
use crate::types::region::Name;
use crate::types::thread::ThreadInfo;

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
        let node = self.space(space)?;
        let badge = self.threads.next_badge().ok_or(Error::OutOfBadges)?;
        let thread = self.pools.threads.alloc().ok_or(Error::OutOfNodes(NodeKind::Thread))?;
        let minted = self.mint(endpoint, badge);
        match minted {
            Ok(fault_endpoint) => {
                let name = Name::new(name);
                let info = ThreadInfo { space, tcb, fault_endpoint, name };
                self.threads.insert(thread, badge, info);
                node.threads.set(node.threads.get() + 1);
                node.registered.set(node.registered.get() + 1);
                // Its faults are answered, so what it touches may move.
                self.compaction.look_again();
                if space == self.own_space() {
                    self.kernel.inner_mut().note_own_badge(tcb, badge as usize);
                }
                Ok(ThreadId(badge))
            }
            Err(error) => {
                self.pools.threads.free(thread);
                Err(error)
            }
        }
    }

    pub(crate) fn mint(&mut self, endpoint: CPtr, badge: u32) -> Result<CPtr> {
        self.under_pressure(|vmm| vmm.try_mint(endpoint, badge))
    }

    fn try_mint(&mut self, endpoint: CPtr, badge: u32) -> Result<CPtr> {
        let slot = self.alloc.alloc_kept_slots(&mut self.kernel, 1)?;
        let src = self.alloc.path(endpoint);
        let minted = self.fill_slot(slot, |kernel, dst| {
            kernel.cnode_mint_badge(dst, src, Rights::all(), badge as usize)
        });
        match minted {
            Ok(()) => Ok(slot),
            Err(error) => {
                self.alloc.free_kept_slots(slot, 1)?;
                Err(error)
            }
        }
    }

    /// Deletes a capability that [`Vmm::mint`] made and all copies of it, and gives its slot back.
    #[cfg_attr(not(feature = "sel4"), expect(dead_code, reason = "pagers of the kernel's adapter"))]
    pub(crate) fn unmint(&mut self, slot: CPtr) -> Result {
        let path = self.alloc.path(slot);
        self.kernel.cnode_revoke(path)?;
        self.kernel.cnode_delete(path)?;
        Ok(self.alloc.free_kept_slots(slot, 1)?)
    }

    /// Forgets a thread, and deletes its capability to the fault endpoint; and the one to answer
    /// it, if it waits for a pager. One kernel call, or two.
    ///
    /// # Errors
    /// [`Error::NoSuchThread`]; [`Error::Kernel`], and then it is still registered.
    pub fn unregister_thread(&mut self, thread: ThreadId) -> Result {
        let info = self.thread(thread)?;
        self.forget_request_of(thread)?;
        self.drop_reply_slot(thread)?;
        self.kernel.cnode_delete(self.alloc.path(info.fault_endpoint))?;
        self.alloc.free_kept_slots(info.fault_endpoint, 1)?;
        if let Some(node) = self.threads.remove(thread) {
            self.pools.threads.free(node);
        }
        if let Ok(space) = self.space(info.space) {
            space.threads.set(space.threads.get() - 1);
            space.registered.set(space.registered.get() - 1);
        }
        Ok(())
    }
}
