//! Allocating and freeing capability slots, and growing the CSpace.

use crate::allocator::Allocator;
use crate::kernel::Kernel;
use crate::state::{CSpace, Growth, SlotWindow, MAX_RUN, WINDOW_SLOTS};
use crate::types::{
    Blueprint, CPtr, CapPath, Error, Invocation, KernelError, NodeKind, Object, Result,
};

/// Slots that only growing the CSpace and splitting blocks may take.
const RESERVE: usize = 64;

impl<'p> Allocator<'p> {
    /// Takes `count` consecutive empty slots (1 to 256), growing the CSpace when there is need.
    /// They lie in one CNode. At the most 8 kernel calls, usually none.
    pub fn take_slots(&mut self, kernel: &mut impl Kernel, count: usize) -> Result<CPtr> {
        let first = self.take_object_slots(kernel, count)?;
        self.slots.lend(first, count);
        Ok(first)
    }

    /// As [`Allocator::take_slots`], for objects of the allocator's own, which a caller cannot give
    /// back.
    pub(crate) fn take_object_slots(
        &mut self,
        kernel: &mut impl Kernel,
        count: usize,
    ) -> Result<CPtr> {
        if count == 0 {
            return Err(Error::ZeroCount);
        }
        if count > MAX_RUN {
            return Err(Error::TooMany { count, limit: MAX_RUN });
        }
        if self.slots.free_count() < RESERVE + count {
            self.grow_slots(kernel)?;
        }
        if let Some(first) = self.slots.alloc(count) {
            return Ok(first);
        }
        self.grow_slots(kernel)?;
        self.slots.alloc(count).ok_or(Error::OutOfSlots(count))
    }

    /// Takes `count` consecutive slots without growing: for what growing itself needs.
    pub(crate) fn take_reserved_slots(&mut self, count: usize) -> Result<CPtr> {
        if let Some(first) = self.slots.alloc(count) {
            return Ok(first);
        }
        self.open_virgin_window()?;
        self.slots.alloc(count).ok_or(Error::OutOfSlots(count))
    }

    /// Gives consecutive slots back. They must be empty.
    ///
    /// # Errors
    /// [`Error::NotAllocated`] unless all of them were taken by [`Allocator::take_slots`]: nothing
    /// is given back then.
    pub fn give_slots(&mut self, first: CPtr, count: usize) -> Result<()> {
        match count != 0 && self.slots.free_lent(first, count) {
            true => Ok(()),
            false => Err(Error::NotAllocated(first)),
        }
    }

    /// How a CNode invocation names a slot of this CSpace.
    pub fn path(&self, slot: CPtr) -> CapPath {
        self.cspace.path(slot)
    }

    /// The CNode capability that resolves every CPtr of this CSpace with all bits of a word: what
    /// a new thread that shares the CSpace is given as its root.
    pub fn cspace_root(&self) -> CPtr {
        self.cspace.root()
    }

    /// Slots that are free or could be opened without a kernel call.
    pub fn free_slots(&self) -> usize {
        self.slots.free_count() + self.cspace.unopened_slots()
    }

    /// Opens the next 4096 slots of the initial CNode; false when they are all open.
    fn open_virgin_window(&mut self) -> Result<bool> {
        let Some(window) = self.cspace.unopened_window() else {
            return Ok(false);
        };
        self.slots
            .insert(CPtr::new(window.base), window.from - window.base, window.to - window.base)
            .ok_or(Error::OutOfNodes(NodeKind::SlotWindow))?;
        self.cspace.set_opened(window.to);
        Ok(true)
    }

    fn grow_slots(&mut self, kernel: &mut impl Kernel) -> Result<()> {
        if self.open_virgin_window()? {
            return Ok(());
        }
        if self.slots.pool.free() == 0 {
            return Err(Error::OutOfNodes(NodeKind::SlotWindow));
        }
        let root = match self.cspace.growth() {
            Some(grown) => grown,
            None => self.replace_root(kernel)?,
        };
        let mount = self.cspace.free_mount().ok_or(Error::OutOfSlots(1))?;
        let cnode =
            self.make_internal(kernel, Blueprint::CNode { radix_bits: CSpace::NODE_RADIX })?;
        let dst = self.cspace.mount_path(root, mount);
        let src = self.path(cnode.slot());
        if let Err(error) = kernel.cnode_mint_guard(dst, src, 0, self.cspace.node_guard_bits()) {
            self.abandon(kernel, cnode);
            return Err(Error::Kernel { invocation: Invocation::CNodeMint, error });
        }
        self.cspace.insert_mount(mount);
        // There is a node: it was checked above, and nothing since took one.
        if let Some(window) = self.slots.insert(self.cspace.mount_base(mount), 0, WINDOW_SLOTS) {
            window.set_cnode(cnode);
        }
        Ok(())
    }

    /// Makes the root CNode of a grown CSpace, mounts the initial CNode in it and gives it to the
    /// thread.
    fn replace_root(&mut self, kernel: &mut impl Kernel) -> Result<Growth> {
        let object =
            self.make_internal(kernel, Blueprint::CNode { radix_bits: CSpace::ROOT_RADIX })?;
        let guarded = match self.take_reserved_slots(1) {
            Ok(slot) => slot,
            Err(error) => {
                self.abandon(kernel, object);
                return Err(error);
            }
        };
        match self.install_root(kernel, object, guarded) {
            Ok(()) => {
                let grown = Growth { object, guarded };
                self.cspace.set_growth(grown);
                Ok(grown)
            }
            Err((invocation, error)) => {
                // Revoking what the object was made of deletes the guarded capability as well. If
                // even that is refused, the slot is not empty and cannot be given back.
                if self.abandon(kernel, object) {
                    self.slots.free(guarded, 1);
                }
                Err(Error::Kernel { invocation, error })
            }
        }
    }

    fn install_root(
        &mut self,
        kernel: &mut impl Kernel,
        object: Object,
        guarded: CPtr,
    ) -> Result<(), (Invocation, KernelError)> {
        let (info, guard_bits) = (*self.cspace.info(), self.cspace.root_guard_bits());
        let mount = CapPath { root: object.slot(), index: 0, depth: CSpace::ROOT_RADIX };
        kernel
            .cnode_mint_guard(self.path(guarded), self.path(object.slot()), 0, guard_bits)
            .and_then(|()| {
                let old = self.path(info.root);
                kernel.cnode_mint_guard(mount, old, 0, self.cspace.initial_guard_bits())
            })
            .map_err(|error| (Invocation::CNodeMint, error))?;
        kernel
            .tcb_set_space(info.tcb, CPtr::NULL, guarded, info.vspace)
            .map_err(|error| (Invocation::TcbSetSpace, error))
    }

    /// Gives CNodes of ours back that have no slot in use. One kernel call each.
    pub(crate) fn shrink_slots(&mut self, kernel: &mut impl Kernel) -> Result<()> {
        while let Some(window) = self.slots.unused() {
            self.unmount(kernel, window)?;
        }
        Ok(())
    }

    fn unmount(&mut self, kernel: &mut impl Kernel, window: &'p SlotWindow<'p>) -> Result<()> {
        let Some(cnode) = window.cnode() else {
            return Ok(());
        };
        self.free(kernel, cnode)?;
        self.cspace.remove_mount(self.cspace.mount_of(window.base()));
        self.slots.remove(window);
        Ok(())
    }

    /// The CNode object at the root of the grown CSpace, if it has grown.
    pub fn grown_root(&self) -> Option<Object> {
        self.cspace.growth().map(|grown| grown.object)
    }
}
