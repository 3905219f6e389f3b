// SPDX-License-Identifier: BSD-2-Clause
//! Growing the CSpace past the initial CNode, and giving CNodes back.

use crate::allocator::{Allocator, ChunkPlan};
use crate::kernel::Kernel;
use crate::state::{CSpace, Growth, SlotWindow, WINDOW_SLOTS};
use crate::types::{
    Blueprint, CPtr, CapPath, Error, Invocation, KernelError, Mobility, NodeKind, Object, Result,
};

impl<'p> Allocator<'p> {
    /// Adds 4096 slots: of the initial CNode, without a kernel call, or in a CNode of ours. So many
    /// are `wanted`, says the error where there can be no more.
    pub(crate) fn grow(&mut self, kernel: &mut impl Kernel, wanted: usize) -> Result<()> {
        if self.open_window()? {
            return Ok(());
        }
        // What can be wanting without a kernel call is looked at before the first of them.
        if self.slots.pool.available() == 0 {
            return Err(Error::OutOfNodes(NodeKind::SlotWindow));
        }
        let mount = self.cspace.free_mount().ok_or_else(|| self.out_of_slots(wanted))?;
        // The larger of the two that need memory comes first, and the root only when it is there.
        let blueprint = Blueprint::CNode { radix_bits: CSpace::NODE_RADIX };
        let cnode = self.make_cnode(kernel, blueprint)?;
        if let Err(error) = self.mount(kernel, cnode, mount) {
            self.free_or_quarantine(kernel, cnode);
            // Where this is refused too, the next attempt uses the root, or `trim` gives it back.
            let _ = self.restore_root(kernel);
            return Err(error);
        }
        self.cspace.insert_mount(mount);
        // There is a node: it was checked above, and nothing since took one.
        if let Some(window) = self.slots.insert(self.cspace.mount_base(mount), 0, WINDOW_SLOTS) {
            window.set_cnode(cnode);
        }
        Ok(())
    }

    /// Mounts a CNode in the root of the grown CSpace, which is made if there is none.
    fn mount(&mut self, kernel: &mut impl Kernel, cnode: Object, mount: usize) -> Result<()> {
        let root = match self.cspace.growth() {
            Some(growth) => {
                self.set_root(kernel, growth.guarded)?;
                growth
            }
            None => self.replace_root(kernel)?,
        };
        let (dst, src) = (self.cspace.mount_path(root, mount), self.path(cnode.slot()));
        kernel
            .cnode_mint_guard(dst, src, 0, self.cspace.node_guard_bits())
            .map_err(|error| Error::Kernel { invocation: Invocation::CNodeMint, error })
    }

    /// Gives the thread a root for its CSpace, unless it has it. At the most one kernel call.
    fn set_root(&mut self, kernel: &mut impl Kernel, root: CPtr) -> Result<()> {
        if self.cspace.threads_root() == root {
            return Ok(());
        }
        let info = *self.cspace.info();
        kernel
            .tcb_set_space(info.tcb, self.cspace.thread_faults(), root, info.vspace)
            .map_err(|error| Error::Kernel { invocation: Invocation::TcbSetSpace, error })?;
        self.cspace.set_threads_root(root);
        Ok(())
    }

    /// Gives the root of a grown CSpace back in which nothing is mounted any more: the thread gets
    /// the initial CNode for its root, as at boot. Two kernel calls. Where somebody was told of the
    /// grown root ([`Allocator::cspace_root`]) it stays: it may be the root of other threads, which
    /// the kernel would take from them.
    ///
    /// # Errors
    /// [`Error::Kernel`]: it is still there, and can be tried again or used.
    pub(crate) fn restore_root(&mut self, kernel: &mut impl Kernel) -> Result<()> {
        self.free_abandoned_root(kernel)?;
        let Some(growth) = self.cspace.growth().filter(|_| self.cspace.is_root_unused()) else {
            return Ok(());
        };
        self.set_root(kernel, self.cspace.info().root)?;
        // The capability with the guard is derived from the object's, and goes with it.
        self.free(kernel, growth.object)?;
        self.cspace.remove_growth();
        self.slots.free(growth.guarded, 1);
        Ok(())
    }

    /// Makes a CNode, reclaiming memory as needed, with slots of the reserve.
    fn make_cnode(&mut self, kernel: &mut impl Kernel, blueprint: Blueprint) -> Result<Object> {
        let mobility = Mobility::Fixed;
        let plan = ChunkPlan { blueprint, count: 1, recycles: false, mobility };
        let bits = self.chunk_bits(blueprint, 1)?;
        let chunk = self.reclaiming(kernel, plan, |alloc, kernel| {
            let first = alloc.alloc_reserved_slots(1)?;
            alloc.make_chunk_at(kernel, plan, bits, first)
        })?;
        Ok(self.alloc_one(chunk))
    }

    /// Makes the root CNode of a grown CSpace, mounts the initial CNode in it and gives it to the
    /// thread.
    fn replace_root(&mut self, kernel: &mut impl Kernel) -> Result<Growth> {
        self.free_abandoned_root(kernel)?;
        let blueprint = Blueprint::CNode { radix_bits: self.cspace.root_radix() };
        let object = self.make_cnode(kernel, blueprint)?;
        let guarded = match self.alloc_reserved_slots(1) {
            Ok(slot) => slot,
            Err(error) => {
                self.free_or_quarantine(kernel, object);
                return Err(error);
            }
        };
        match self.install_root(kernel, object, guarded) {
            Ok(()) => {
                // The thread resolves through the new root from now on.
                let growth = Growth { object, guarded };
                self.cspace.set_growth(growth);
                Ok(growth)
            }
            Err((invocation, error)) => {
                // If even that is refused, it is tried again before the next one, and by `trim`.
                self.cspace.abandoned = Some(Growth { object, guarded });
                let _ = self.free_abandoned_root(kernel);
                Err(Error::Kernel { invocation, error })
            }
        }
    }

    /// Destroys a root that was never installed, if there is one. One kernel call.
    fn free_abandoned_root(&mut self, kernel: &mut impl Kernel) -> Result<()> {
        let Some(root) = self.cspace.abandoned else { return Ok(()) };
        // Revoking what the object was made of deletes the guarded capability as well.
        self.free(kernel, root.object)?;
        self.cspace.abandoned = None;
        self.slots.free(root.guarded, 1);
        Ok(())
    }

    /// Fills the new root and gives it to the thread. The order matters: the thread must find all
    /// its capabilities where they were, so the initial CNode is mounted before the root is set.
    fn install_root(
        &mut self,
        kernel: &mut impl Kernel,
        object: Object,
        guarded: CPtr,
    ) -> Result<(), (Invocation, KernelError)> {
        let (info, guard_bits) = (*self.cspace.info(), self.cspace.root_guard_bits());
        let mount = CapPath { root: object.slot(), index: 0, depth: self.cspace.root_radix() };
        let (to, from) = (self.path(guarded), self.path(object.slot()));
        let mut minted = kernel.cnode_mint_guard(to, from, 0, guard_bits);
        if minted == Err(KernelError::DeleteFirst) {
            minted = kernel.cnode_delete(to);
            minted = minted.and_then(|()| kernel.cnode_mint_guard(to, from, 0, guard_bits));
        }
        minted
            .and_then(|()| {
                let old = self.path(info.root);
                kernel.cnode_mint_guard(mount, old, 0, self.cspace.initial_guard_bits())
            })
            .map_err(|error| (Invocation::CNodeMint, error))?;
        kernel
            .tcb_set_space(info.tcb, self.cspace.thread_faults(), guarded, info.vspace)
            .map_err(|error| (Invocation::TcbSetSpace, error))
    }

    /// Gives CNodes of ours back that have no slot in use. One kernel call each.
    pub(crate) fn shrink(&mut self, kernel: &mut impl Kernel) -> Result<()> {
        while let Some(window) = self.slots.unused() {
            self.unmount(kernel, window)?;
        }
        Ok(())
    }

    fn unmount(&mut self, kernel: &mut impl Kernel, window: &'p SlotWindow<'p>) -> Result<()> {
        let Some(cnode) = window.cnode() else {
            return Ok(());
        };
        // Its mounted copy goes with the object.
        self.free(kernel, cnode)?;
        self.cspace.remove_mount(self.cspace.mount_of(window.base()));
        self.slots.remove(window);
        Ok(())
    }
}
