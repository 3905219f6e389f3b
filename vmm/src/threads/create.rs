// SPDX-License-Identifier: BSD-2-Clause
//! A thread put together in one call: memory, TCB, registration, spaces, IPC buffer.
//!
//! ```text
//!   allocate_thread:  memory ─► TCB ─► registration ─► CSpace and VSpace ─► IPC buffer set
//!   release_thread:   TCB ─► registration ─► memory
//! ```
//!
//! The TCB goes first, because a thread must not run when its memory goes.

use untyped_alloc::{Blueprint, CPtr, Kernel, Memory};

use crate::manager::vmm::Vmm;
use crate::types::error::{Error, Result};
use crate::types::ids::SpaceId;
use crate::types::thread_parts::{FaultEndpoint, Thread, ThreadCSpace, ThreadParts, ThreadSpec};

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Makes a thread that does not run yet: what is left to do is its priority and its registers.
    /// The TCB counts as its space's. `parts` is what was made; what it was before is released.
    ///
    /// Costs what [`Vmm::allocate_thread_memory`] does and four kernel calls; one more for a thread
    /// that is registered, two more for one with a CNode.
    ///
    /// # Errors
    /// [`Error::NoSuchSpace`], [`Error::OutOfQuota`]; those of [`Vmm::allocate_thread_memory`],
    /// [`Vmm::clone_tls`], [`Vmm::register_thread`]; [`Error::Kernel`]. What was made is given
    /// back; where the kernel refuses that too, `parts` is what is left, for
    /// [`Vmm::release_thread`].
    pub fn allocate_thread(
        &mut self,
        new: &ThreadSpec<'_>,
        parts: &mut ThreadParts,
    ) -> Result<Thread> {
        self.release_thread(parts)?;
        let made = self.make_thread(new, parts);
        if made.is_err() {
            // What is refused stays in `parts`.
            let _ = self.release_thread(parts);
        }
        made
    }

    /// Records each part when it is made, so that it is given back when a later one fails.
    fn make_thread(&mut self, new: &ThreadSpec<'_>, parts: &mut ThreadParts) -> Result<Thread> {
        let mut memory = self.allocate_thread_memory(new.space, &new.memory)?;
        parts.memory = Some(memory);
        if let Some(original) = new.tls_copy {
            memory.tls = Some(self.clone_tls(original)?);
            parts.memory = Some(memory);
        }
        let tcb = self.allocate_for(new.space, Blueprint::Tcb)?;
        parts.tcb = Some(tcb);
        let (faults, registered) = match new.faults {
            FaultEndpoint::None => (CPtr::NULL, None),
            FaultEndpoint::At(cptr) => (cptr, None),
            FaultEndpoint::Registered { endpoint, at } => {
                let name = new.memory.name;
                let id = self.register_thread(new.space, tcb.slot(), endpoint, name)?;
                parts.id = Some(id);
                let capability = self.thread(id)?.fault_endpoint;
                (at.unwrap_or(capability), Some((id, capability)))
            }
        };
        self.set_thread_space(tcb.slot(), new.space, new.cspace, faults)?;
        self.invoke_set_ipc_buffer(tcb.slot(), memory.ipc_buffer)?;
        Ok(Thread { tcb, memory, registered })
    }

    /// Gives a thread its CSpace, its VSpace (of `space`), and the capability pointer of that
    /// CSpace that its faults are sent by ([`CPtr::NULL`]: they are not sent). One kernel call for
    /// the manager's CSpace and for a tree of CNodes, three for one CNode: its slot numbers are
    /// capability pointers only by a guard, and the thread keeps a copy of the capability that has
    /// one.
    ///
    /// # Errors
    /// [`Error::NoSuchSpace`], [`Error::StoreSpace`], [`Error::Allocator`], [`Error::Kernel`].
    pub fn set_thread_space(
        &mut self,
        tcb: CPtr,
        space: SpaceId,
        cspace: ThreadCSpace,
        faults: CPtr,
    ) -> Result {
        self.space_of_threads(space)?;
        let vspace = self.vspace(space)?;
        let (cnode, radix_bits) = match cspace {
            ThreadCSpace::CNode { cnode, radix_bits } => (cnode, radix_bits),
            ThreadCSpace::Tree { root } => {
                return self.invoke_set_space(tcb, faults, root, vspace);
            }
            ThreadCSpace::Manager => {
                let root = self.cspace_root();
                self.invoke_set_space(tcb, faults, root, vspace)?;
                // A thread of the manager's own CSpace is given a new root when that grows.
                self.alloc.note_thread_faults(tcb, faults);
                return Ok(());
            }
        };
        self.retry_stuck()?;
        let _reserve = self.refill()?;
        let guarded = self.alloc_or_prune(|alloc, kernel| alloc.alloc_kept_slots(kernel, 1))?;
        let from = self.alloc.path(cnode);
        let guard_bits = self.alloc.sizes().word_bits - radix_bits;
        let set = self
            .fill_slot(guarded, |kernel, to| kernel.cnode_mint_guard(to, from, 0, guard_bits))
            .and_then(|()| self.invoke_set_space(tcb, faults, guarded, vspace));
        let dropped = self.delete_temporary(guarded);
        set.and(dropped)
    }

    fn invoke_set_space(&mut self, tcb: CPtr, faults: CPtr, root: CPtr, vspace: CPtr) -> Result {
        let set = self.kernel.tcb_set_space(tcb, faults, root, vspace);
        set.map_err(Error::from)
    }

    /// Destroys a thread's TCB and forgets its registration: it does not run any more, and its
    /// faults are nobody's. Its memory stays. Up to three kernel calls.
    ///
    /// # Errors
    /// [`Error::Kernel`], and then calling again goes on with what is left.
    pub fn stop_thread(&mut self, parts: &mut ThreadParts) -> Result {
        // The memory is made first and goes last.
        if let (Some(tcb), Some(memory)) = (parts.tcb, parts.memory) {
            self.free_for(memory.stack.region().space(), tcb)?;
            parts.tcb = None;
        }
        if let Some(id) = parts.id {
            self.unregister_thread(id)?;
            parts.id = None;
        }
        Ok(())
    }

    /// Gives back all that is left of a thread, whether it runs or not. What was released before,
    /// such as its IPC buffer by itself, is passed over.
    ///
    /// # Errors
    /// [`Error::Kernel`], and then calling again goes on with what is left.
    pub fn release_thread(&mut self, parts: &mut ThreadParts) -> Result {
        self.stop_thread(parts)?;
        if let Some(memory) = parts.memory {
            match self.release_memory_of(memory, false) {
                Ok(()) | Err(Error::NoSuchRegion(_)) => parts.memory = None,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
