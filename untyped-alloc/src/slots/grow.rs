//! Growing the CSpace past the initial CNode, and giving CNodes back.

use crate::allocator::{Allocator, ChunkPlan};
use crate::kernel::Kernel;
use crate::state::{CSpace, Growth, SlotWindow, WINDOW_SLOTS};
use crate::types::{
    Blueprint, CPtr, CapPath, Error, Invocation, KernelError, NodeKind, Object, Result,
};

impl<'p> Allocator<'p> {
    /// Adds 4096 slots: of the initial CNode, without a kernel call, or in a CNode of ours.
    pub(crate) fn grow(&mut self, kernel: &mut impl Kernel) -> Result<()> {
        if self.open_window()? {
            return Ok(());
        }
        // What can be wanting without a kernel call is looked at before the first of them.
        if self.slots.pool.available() == 0 {
            return Err(Error::OutOfNodes(NodeKind::SlotWindow));
        }
        // From here on the root, once it is replaced, stays: it is used by the next attempt.
        let root = match self.cspace.growth() {
            Some(growth) => growth,
            None => self.replace_root(kernel)?,
        };
        let mount = self.cspace.free_mount().ok_or(Error::OutOfSlots(1))?;
        let blueprint = Blueprint::CNode { radix_bits: CSpace::NODE_RADIX };
        let cnode = self.make_cnode(kernel, blueprint)?;
        let dst = self.cspace.mount_path(root, mount);
        let src = self.path(cnode.slot());
        if let Err(error) = kernel.cnode_mint_guard(dst, src, 0, self.cspace.node_guard_bits()) {
            self.free_or_quarantine(kernel, cnode);
            return Err(Error::Kernel { invocation: Invocation::CNodeMint, error });
        }
        self.cspace.insert_mount(mount);
        // There is a node: it was checked above, and nothing since took one.
        if let Some(window) = self.slots.insert(self.cspace.mount_base(mount), 0, WINDOW_SLOTS) {
            window.set_cnode(cnode);
        }
        Ok(())
    }

    /// Makes a CNode, reclaiming memory as needed, with slots of the reserve.
    fn make_cnode(&mut self, kernel: &mut impl Kernel, blueprint: Blueprint) -> Result<Object> {
        let plan = ChunkPlan { blueprint, count: 1, recycles: false };
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
        let blueprint = Blueprint::CNode { radix_bits: CSpace::ROOT_RADIX };
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
                // Revoking what the object was made of deletes the guarded capability as well. If
                // even that is refused, the slot is not empty and cannot be given back.
                if self.free_or_quarantine(kernel, object) {
                    self.slots.free(guarded, 1);
                }
                Err(Error::Kernel { invocation, error })
            }
        }
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
        let mount = CapPath { root: object.slot(), index: 0, depth: CSpace::ROOT_RADIX };
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
