//! Where slots lie, and how the CSpace grows past the initial CNode.
//!
//! ```text
//!   at boot                      grown
//!
//!   initial CNode                root CNode: 256 slots
//!   guard 16 bits, 16 bits        ├─ 0: the initial CNode, without its guard   CPtr 0x0000ssss
//!                                 ├─ 1: CNode of 4096 slots                    CPtr 0x00010sss
//!                                 └─ …                                         CPtr 0x00jj0sss
//! ```
//!
//! Capability pointers of before stay valid, because the initial CNode is mounted where they lead.
//! It also stays the cheaper way to name its own slots. Threads made before the growth keep the old
//! root and see the initial CNode alone.

use crate::allocator::Allocator;
use crate::kernel::Kernel;
use crate::slots::{SlotWindow, RUN_LIMIT, WINDOW_SLOTS};
use crate::types::Invocation;
use crate::types::{Blueprint, CPtr, CapPath};
use crate::types::{CSpaceInfo, Error, KernelError, NodeKind, Object, Result};

/// Logarithm of the root CNode's slots: as many second-level CNodes there can be.
const ROOT_RADIX: u8 = 8;
/// Logarithm of a second-level CNode's slots: one window.
const NODE_RADIX: u8 = WINDOW_SLOTS.trailing_zeros() as u8;
/// Slots that only growing the CSpace and splitting blocks may take.
const RESERVE: usize = 64;

/// The root of the grown CSpace.
#[derive(Clone, Copy)]
struct Grown {
    object: Object,
    /// The capability to it with the guard that leads to it, from where CPtrs resolve.
    guarded: CPtr,
}

pub(crate) struct CSpace {
    info: CSpaceInfo,
    word_bits: u8,
    /// The first slot of the initial CNode that is in no window yet.
    virgin: usize,
    grown: Option<Grown>,
    /// Which slots of the grown root are taken.
    mounted: [u32; 8],
}

impl CSpace {
    pub fn new(info: CSpaceInfo, word_bits: u8) -> CSpace {
        let virgin = info.first_free;
        CSpace { info, word_bits, virgin, grown: None, mounted: [1, 0, 0, 0, 0, 0, 0, 0] }
    }

    /// Bits that the second level resolves.
    fn rest_bits(&self) -> u8 {
        self.info.radix_bits.max(NODE_RADIX)
    }

    /// How a CNode invocation names `slot`.
    pub fn path(&self, slot: CPtr) -> CapPath {
        let root = match self.grown {
            Some(grown) if slot.bits() >> self.info.radix_bits != 0 => grown.guarded,
            _ => self.info.root,
        };
        CapPath { root, index: slot.bits(), depth: self.word_bits }
    }

    /// How a retype names the CNode that holds `slot`, and the slot's number in it.
    pub fn node(&self, slot: CPtr) -> (CapPath, usize) {
        match self.grown {
            Some(grown) if slot.bits() >> self.info.radix_bits != 0 => {
                let (rest, index) = (self.rest_bits(), slot.bits() >> self.rest_bits());
                let depth = self.word_bits - rest;
                let offset = slot.bits() & ((1 << rest) - 1);
                (CapPath { root: grown.guarded, index, depth }, offset)
            }
            _ => (CapPath { root: self.info.root, index: 0, depth: 0 }, slot.bits()),
        }
    }

    /// Slots of the initial CNode that are in no window yet.
    pub fn virgin_slots(&self) -> usize {
        self.info.end_free - self.virgin
    }

    fn free_mount(&self) -> Option<usize> {
        (0..1 << ROOT_RADIX).find(|&at| self.mounted[at / 32] >> (at % 32) & 1 == 0)
    }
}

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
        if count > RUN_LIMIT {
            return Err(Error::TooMany { count, limit: RUN_LIMIT });
        }
        if self.slots.free < RESERVE + count {
            self.grow_slots(kernel)?;
        }
        if let Some(first) = self.slots.take(count) {
            return Ok(first);
        }
        self.grow_slots(kernel)?;
        self.slots.take(count).ok_or(Error::OutOfSlots(count))
    }

    /// Takes `count` consecutive slots without growing: for what growing itself needs.
    pub(crate) fn take_reserved_slots(&mut self, count: usize) -> Result<CPtr> {
        if let Some(first) = self.slots.take(count) {
            return Ok(first);
        }
        self.open_virgin_window()?;
        self.slots.take(count).ok_or(Error::OutOfSlots(count))
    }

    /// Gives consecutive slots back. They must be empty.
    ///
    /// # Errors
    /// [`Error::NotAllocated`] unless all of them were taken by [`Allocator::take_slots`]: nothing
    /// is given back then.
    pub fn give_slots(&mut self, first: CPtr, count: usize) -> Result<()> {
        match count != 0 && self.slots.give_lent(first, count) {
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
        self.cspace.grown.map_or(self.cspace.info.root, |grown| grown.guarded)
    }

    /// Slots that are free or could be opened without a kernel call.
    pub fn free_slots(&self) -> usize {
        self.slots.free + self.cspace.virgin_slots()
    }

    /// Opens the next 4096 slots of the initial CNode; false when they are all open.
    fn open_virgin_window(&mut self) -> Result<bool> {
        let (from, end) = (self.cspace.virgin, self.cspace.info.end_free);
        if from >= end {
            return Ok(false);
        }
        let base = from & !(WINDOW_SLOTS - 1);
        let to = end.min(base + WINDOW_SLOTS);
        self.slots
            .add(CPtr::new(base), from - base, to - base)
            .ok_or(Error::OutOfNodes(NodeKind::SlotWindow))?;
        self.cspace.virgin = to;
        Ok(true)
    }

    fn grow_slots(&mut self, kernel: &mut impl Kernel) -> Result<()> {
        if self.open_virgin_window()? {
            return Ok(());
        }
        if self.slots.pool.free() == 0 {
            return Err(Error::OutOfNodes(NodeKind::SlotWindow));
        }
        let root = match self.cspace.grown {
            Some(grown) => grown,
            None => self.replace_root(kernel)?,
        };
        let mount = self.cspace.free_mount().ok_or(Error::OutOfSlots(1))?;
        let cnode = self.make_internal(kernel, Blueprint::CNode { radix_bits: NODE_RADIX })?;
        let rest = self.cspace.rest_bits();
        let dst = CapPath { root: root.guarded, index: mount, depth: self.cspace.word_bits - rest };
        let src = self.path(cnode.slot());
        if let Err(error) = kernel.cnode_mint_guard(dst, src, 0, rest - NODE_RADIX) {
            self.abandon(kernel, cnode);
            return Err(Error::Kernel { invocation: Invocation::CNodeMint, error });
        }
        self.cspace.mounted[mount / 32] |= 1 << (mount % 32);
        // There is a node: it was checked above, and nothing since took one.
        if let Some(window) = self.slots.add(CPtr::new(mount << rest), 0, WINDOW_SLOTS) {
            window.cnode.set(Some(cnode));
        }
        Ok(())
    }

    /// Makes the root CNode of a grown CSpace, mounts the initial CNode in it and gives it to the
    /// thread.
    fn replace_root(&mut self, kernel: &mut impl Kernel) -> Result<Grown> {
        let object = self.make_internal(kernel, Blueprint::CNode { radix_bits: ROOT_RADIX })?;
        let guarded = match self.take_reserved_slots(1) {
            Ok(slot) => slot,
            Err(error) => {
                self.abandon(kernel, object);
                return Err(error);
            }
        };
        match self.install_root(kernel, object, guarded) {
            Ok(()) => {
                let grown = Grown { object, guarded };
                self.cspace.grown = Some(grown);
                Ok(grown)
            }
            Err((invocation, error)) => {
                // Revoking what the object was made of deletes the guarded capability as well. If
                // even that is refused, the slot is not empty and cannot be given back.
                if self.abandon(kernel, object) {
                    self.slots.give(guarded, 1);
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
        let (info, rest) = (self.cspace.info, self.cspace.rest_bits());
        let guard_bits = self.cspace.word_bits - ROOT_RADIX - rest;
        let mount = CapPath { root: object.slot(), index: 0, depth: ROOT_RADIX };
        kernel
            .cnode_mint_guard(self.path(guarded), self.path(object.slot()), 0, guard_bits)
            .and_then(|()| {
                let old = self.path(info.root);
                kernel.cnode_mint_guard(mount, old, 0, rest - info.radix_bits)
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
        let Some(cnode) = window.cnode.get() else {
            return Ok(());
        };
        self.free(kernel, cnode)?;
        let mount = window.base.get().bits() >> self.cspace.rest_bits();
        self.cspace.mounted[mount / 32] &= !(1 << (mount % 32));
        self.slots.remove(window);
        Ok(())
    }

    /// The CNode object at the root of the grown CSpace, if it has grown.
    pub fn grown_root(&self) -> Option<Object> {
        self.cspace.grown.map(|grown| grown.object)
    }
}
