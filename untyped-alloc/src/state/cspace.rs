// SPDX-License-Identifier: BSD-2-Clause
//! Where slots lie before and after the CSpace has grown past the initial CNode.
//!
//! ```text
//!   at boot                      grown
//!
//!   initial CNode                root CNode: 256 slots, or more where there is much memory
//!   guard 16 bits, 16 bits        ├─ 0: the initial CNode, without its guard   CPtr 0x0000ssss
//!                                 ├─ 1: CNode of 4096 slots                    CPtr 0x00010sss
//!                                 └─ …                                         CPtr 0x00jj0sss
//! ```
//!
//! Capability pointers of before stay valid, because the initial CNode is mounted where they lead.
//! It also stays the cheaper way to name its own slots. Threads made before the growth keep the old
//! root and see the initial CNode alone.

use core::cell::Cell;

use super::slot_window::WINDOW_SLOTS;
use crate::types::{CPtr, CSpaceInfo, CapPath, Object};

/// The root of the grown CSpace.
#[derive(Clone, Copy)]
pub struct Growth {
    /// The root CNode.
    pub object: Object,
    /// The capability to it with the guard that leads to it, from where CPtrs resolve.
    pub guarded: CPtr,
}

/// Slots of the initial CNode that are in no window yet: what one window can hold of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnopenedWindow {
    /// The first slot of the window, ours or not.
    pub base: usize,
    /// The first slot that is ours.
    pub from: usize,
    /// The slot after the last that is ours.
    pub to: usize,
}

/// The layout of the CSpace.
pub struct CSpace {
    info: CSpaceInfo,
    word_bits: u8,
    /// The first slot of the initial CNode that is in no window yet.
    unopened: usize,
    grown: Option<Growth>,
    /// Logarithm of the slots of the grown root, and of the next one.
    root_radix: u8,
    fitting_radix: u8,
    /// A root that was to be the grown one, and that the kernel would neither install nor destroy.
    pub abandoned: Option<Growth>,
    /// The root that the thread has.
    threads_root: CPtr,
    /// Whether the grown root was told to somebody who may have given it to other threads.
    told: Cell<bool>,
    /// Where the faults of the thread go whose CSpace this is, or the null capability.
    thread_faults: CPtr,
    /// Which slots of the grown root are taken.
    mounted: [u32; CSpace::MAX_MOUNTS / 32],
}

impl CSpace {
    /// Logarithm of the root CNode's slots, at the least: a million slots in all.
    const MIN_ROOT_RADIX: u8 = 8;
    /// At the most, by whether a word has 64 bits: 16 million slots, for 128 KiB. IA32 kernels use
    /// 512 MiB of RAM at the most.
    const MAX_ROOT_RADIX: [u8; 2] = [8, 12];
    /// Slots that there are to be for a small page: its own, three more by which it is shared.
    const SLOTS_FOR_PAGE: usize = 4;
    /// Logarithm of a second-level CNode's slots: one window.
    pub const NODE_RADIX: u8 = WINDOW_SLOTS.trailing_zeros() as u8;
    /// Slots that a second-level CNode adds for others, at the least. It takes one itself, and so do
    /// the untypeds that others are split into for it: a third as many as there are such CNodes,
    /// and what is split off beside these is memory that others use.
    pub const NODE_GAINS: usize = WINDOW_SLOTS - 4;
    /// As many second-level CNodes there can be where words are as this processor's, the initial
    /// one included.
    const MAX_MOUNTS: usize = 1 << CSpace::MAX_ROOT_RADIX[(usize::BITS == 64) as usize];

    /// The slots of the grown root that are taken when none of our CNodes is mounted: number 0 is
    /// the initial CNode's.
    const NONE_MOUNTED: [u32; CSpace::MAX_MOUNTS / 32] = {
        let mut mounted = [0; CSpace::MAX_MOUNTS / 32];
        mounted[0] = 1;
        mounted
    };

    /// A CSpace that has not grown, with no window open. A word has `word_bits` bits.
    pub fn new(info: CSpaceInfo, word_bits: u8) -> CSpace {
        let mounted = CSpace::NONE_MOUNTED;
        CSpace {
            info,
            word_bits,
            unopened: info.first_free,
            grown: None,
            root_radix: CSpace::MIN_ROOT_RADIX,
            fitting_radix: CSpace::MIN_ROOT_RADIX,
            abandoned: None,
            threads_root: info.root,
            told: Cell::new(false),
            thread_faults: CPtr::NULL,
            mounted,
        }
    }

    /// What there was at boot.
    pub fn info(&self) -> &CSpaceInfo {
        &self.info
    }

    /// The root of the grown CSpace, if it has grown.
    pub fn growth(&self) -> Option<Growth> {
        self.grown
    }

    /// Records that the CSpace has grown: `growth` is the thread's root now.
    pub fn set_growth(&mut self, growth: Growth) {
        self.root_radix = self.root_radix();
        self.grown = Some(growth);
        self.threads_root = growth.guarded;
        self.told.set(false);
    }

    /// Records that the CSpace is as it was at boot: the grown root is gone.
    pub fn remove_growth(&mut self) {
        self.grown = None;
    }

    /// The root that the thread has: the grown one, or the initial CNode.
    pub fn threads_root(&self) -> CPtr {
        self.threads_root
    }

    /// Records the root that the thread was given.
    pub fn set_threads_root(&mut self, root: CPtr) {
        self.threads_root = root;
    }

    /// Whether nothing but the initial CNode is mounted in the grown root, and nobody was told of
    /// it.
    pub fn is_root_unused(&self) -> bool {
        self.mounted == CSpace::NONE_MOUNTED && !self.told.get()
    }

    /// The root, for somebody who may give it to other threads: [`CSpace::root`].
    pub fn tell_root(&self) -> CPtr {
        self.told.set(true);
        self.root()
    }

    /// The fault endpoint of the thread whose CSpace this is: it is set again with a new root.
    pub fn thread_faults(&self) -> CPtr {
        self.thread_faults
    }

    /// Records the fault endpoint of that thread.
    pub fn set_thread_faults(&mut self, endpoint: CPtr) {
        self.thread_faults = endpoint;
    }

    /// The CNode capability that resolves every CPtr of this CSpace with all bits of a word.
    pub fn root(&self) -> CPtr {
        self.grown.map_or(self.info.root, |grown| grown.guarded)
    }

    /// Logarithm of the slots of the root CNode, or of the next one that is made.
    pub fn root_radix(&self) -> u8 {
        if self.grown.is_some() {
            self.root_radix
        } else {
            self.fitting_radix
        }
    }

    /// Says how many small pages of memory there are: the next root that is made fits them.
    pub fn fit_root(&mut self, pages: usize) {
        let cnodes = pages.saturating_mul(CSpace::SLOTS_FOR_PAGE) / WINDOW_SLOTS + 1;
        let most = CSpace::MAX_ROOT_RADIX[usize::from(self.word_bits == 64)];
        let radix = cnodes.next_power_of_two().trailing_zeros() as u8;
        self.fitting_radix = radix.clamp(CSpace::MIN_ROOT_RADIX, most);
    }

    /// Bits that the second level resolves.
    fn rest_bits(&self) -> u8 {
        self.info.radix_bits.max(CSpace::NODE_RADIX)
    }

    /// The guard of the grown root, in bits (all of them 0).
    pub fn root_guard_bits(&self) -> u8 {
        self.word_bits - self.root_radix() - self.rest_bits()
    }

    /// The guard of the initial CNode below the grown root, in bits (all of them 0).
    pub fn initial_guard_bits(&self) -> u8 {
        self.rest_bits() - self.info.radix_bits
    }

    /// The guard of a CNode of ours below the grown root, in bits (all of them 0).
    pub fn node_guard_bits(&self) -> u8 {
        self.rest_bits() - CSpace::NODE_RADIX
    }

    /// The grown root, where it alone leads to `slot`: the slot is not in the initial CNode.
    fn second_level(&self, slot: CPtr) -> Option<Growth> {
        self.grown.filter(|_| slot.bits() >> self.info.radix_bits != 0)
    }

    /// How a CNode invocation names `slot`.
    pub fn path(&self, slot: CPtr) -> CapPath {
        let root = self.second_level(slot).map_or(self.info.root, |grown| grown.guarded);
        CapPath { root, index: slot.bits(), depth: self.word_bits }
    }

    /// How a retype names the CNode that holds `slot`, and the slot's number in it.
    pub fn node(&self, slot: CPtr) -> (CapPath, usize) {
        match self.second_level(slot) {
            Some(grown) => {
                let (rest, index) = (self.rest_bits(), slot.bits() >> self.rest_bits());
                let depth = self.word_bits - rest;
                let offset = slot.bits() & ((1 << rest) - 1);
                (CapPath { root: grown.guarded, index, depth }, offset)
            }
            None => (CapPath { root: self.info.root, index: 0, depth: 0 }, slot.bits()),
        }
    }

    /// How many slots of the initial CNode are in no window yet.
    pub fn unopened_slots(&self) -> usize {
        self.info.end_free - self.unopened
    }

    /// The next slots of the initial CNode to be opened as a window; `None` when all are open.
    pub fn unopened_window(&self) -> Option<UnopenedWindow> {
        let (from, end) = (self.unopened, self.info.end_free);
        let base = from & !(WINDOW_SLOTS - 1);
        (from < end).then(|| UnopenedWindow { base, from, to: end.min(base + WINDOW_SLOTS) })
    }

    /// Records that the slots of the initial CNode up to `to` are in windows.
    pub fn set_opened(&mut self, to: usize) {
        self.unopened = to;
    }

    /// A slot of the grown root that is empty, by number; `None` when all are taken.
    pub fn free_mount(&self) -> Option<usize> {
        let free = self.mounted.iter().position(|word| *word != u32::MAX)?;
        let mount = 32 * free + self.mounted[free].trailing_ones() as usize;
        (mount >> self.root_radix() == 0).then_some(mount)
    }

    /// How many slots of the grown root are empty, or would be if it was there.
    pub fn free_mounts(&self) -> usize {
        let taken: u32 = self.mounted.iter().map(|word| word.count_ones()).sum();
        (1usize << self.root_radix()) - taken as usize
    }

    /// How a CNode invocation names slot `mount` of the grown root, which is `root`.
    pub fn mount_path(&self, root: Growth, mount: usize) -> CapPath {
        CapPath { root: root.guarded, index: mount, depth: self.word_bits - self.rest_bits() }
    }

    /// The first CPtr that slot `mount` of the grown root leads to.
    pub fn mount_base(&self, mount: usize) -> CPtr {
        CPtr::new(mount << self.rest_bits())
    }

    /// The slot of the grown root that leads to `slot`, by number.
    pub fn mount_of(&self, slot: CPtr) -> usize {
        slot.bits() >> self.rest_bits()
    }

    /// Records that slot `mount` of the grown root is taken.
    pub fn insert_mount(&mut self, mount: usize) {
        self.mounted[mount / 32] |= 1 << (mount % 32);
    }

    /// Records that slot `mount` of the grown root is empty.
    pub fn remove_mount(&mut self, mount: usize) {
        self.mounted[mount / 32] &= !(1 << (mount % 32));
    }
}
