// SPDX-License-Identifier: BSD-2-Clause
//! The floor: the same invocations as the manager's, in a loop, without any manager.
//!
//! It is made as low as it can be. Its frames are cut 256 a call from one untyped, so it never
//! splits one; its page tables come from one retype; it works in the same VSpace and puts its
//! capabilities into the same CNode, named in the same way, so that each invocation costs the
//! kernel what it costs it for the manager. It checks every answer, as anybody must.
//!
//! Both sides use memory that the kernel need not clear at the retype: [`roottask::measure::warm`]
//! has made it do so for all memory before anything is measured, and what a floor has used is not
//! given back, or the manager would get it and pay for clearing it. (Clearing costs 1.5 thousand
//! instructions for 4 KiB, on either side the same.)

use roottask::arch::LARGE_BITS;
use sel4::init_thread::slot;
use sel4::{
    cap, cap_type, CapRights, FrameObjectType, ObjectBlueprint, TranslationTableObjectType,
    VmAttributes,
};
use vmm::{Blueprint, CPtr, Pages, RegionOptions, Result, SpaceId, PAGE_BYTES};

use roottask::Manager;

/// The most frames one retype makes.
pub const BATCH: usize = 256;

/// The most batches of a floor: 8192 frames, and one of page tables.
const MAX_BATCHES: usize = 33;

/// Pages below one page table.
const TABLE_PAGES: usize = 1 << (LARGE_BITS - 12);

/// Pages of the manager's on either side of the floor's addresses: they keep the tables above its
/// page tables there, where there are such levels.
const MARGIN_PAGES: usize = if sel4::vspace_levels::NUM_LEVELS > 2 { TABLE_PAGES } else { 0 };

/// Memory, slots and addresses for a raw loop: taken from the manager beforehand, so that both
/// sides are measured in one run.
pub struct Floor {
    vspace: cap::VSpace,
    frames: cap::Untyped,
    tables: cap::Untyped,
    base: usize,
    /// Where each batch of capabilities goes; the last one is for page tables.
    slots: [CPtr; MAX_BATCHES],
    batches: usize,
    size: FrameObjectType,
}

impl Floor {
    /// For `pages` frames of a size (a power of two, at most 8192), and their page tables, in the
    /// manager's own space.
    pub fn new(vmm: &mut Manager, pages: usize, size: FrameObjectType) -> Result<Floor> {
        let own = vmm.own_space();
        Floor::within(vmm, own, pages, size)
    }

    /// As [`Floor::new`], in another space.
    pub fn within(
        vmm: &mut Manager,
        space: SpaceId,
        pages: usize,
        size: FrameObjectType,
    ) -> Result<Floor> {
        let vspace = vmm.vspace(space)?.cap::<cap_type::VSpace>();
        // Page tables of its own: whole spans of one that the manager maps nothing in.
        let span = FrameObjectType::LargePage.bits() as u8;
        let span_pages = (pages << (size.bits() - 12)).next_multiple_of(TABLE_PAGES);
        let options = RegionOptions::new(span_pages + 2 * MARGIN_PAGES).aligned(span);
        let base = vmm.reserve(space, &options.named("floor"))?.start().bits();
        if MARGIN_PAGES != 0 {
            for margin in [0, MARGIN_PAGES + span_pages] {
                vmm.populate(space, Pages::at(base + (margin << 12)))?;
            }
        }
        let base = base + (MARGIN_PAGES << 12);
        let mut untyped = |bits: u32| -> Result<cap::Untyped> {
            let object = vmm.allocate(Blueprint::Untyped { size_bits: bits as u8 })?;
            Ok(object.cap())
        };
        let frames = untyped(pages.trailing_zeros() + size.bits() as u32)?;
        let tables =
            untyped(pages.div_ceil(TABLE_PAGES).next_power_of_two().trailing_zeros() + 12)?;
        let batches = pages.div_ceil(BATCH);
        let mut slots = [CPtr::NULL; MAX_BATCHES];
        for first in &mut slots[..=batches] {
            *first = vmm.alloc_slots(BATCH)?;
        }
        Ok(Floor { vspace, frames, tables, base, slots, batches, size })
    }

    fn retype(
        &self,
        untyped: cap::Untyped,
        blueprint: ObjectBlueprint,
        batch: usize,
        count: usize,
    ) {
        let cnode = slot::CNODE.cap().absolute_cptr_for_self();
        untyped
            .untyped_retype(&blueprint, &cnode, self.slots[batch].bits(), count)
            .expect("the floor's untyped has room");
    }

    /// Makes the frames of a batch, `count` of them: one call.
    #[inline]
    pub fn make_frames(&self, batch: usize, count: usize) {
        self.retype(self.frames, self.size.blueprint(), batch, count);
    }

    /// Makes and maps all page tables that `pages` pages want: one call, and one for each.
    #[inline]
    pub fn make_tables(&self, pages: usize) {
        let count = pages.div_ceil(TABLE_PAGES);
        let table = TranslationTableObjectType::PageTable.blueprint();
        self.retype(self.tables, table, self.batches, count);
        for index in 0..count {
            let slot = self.slots[self.batches].offset(index);
            slot.cap()
                .page_table_map(
                    self.vspace,
                    self.base + (index << FrameObjectType::LargePage.bits()),
                    VmAttributes::DEFAULT,
                )
                .expect("the floor's addresses have no page table yet");
        }
    }

    /// The capability of a page's frame.
    #[inline(always)]
    pub fn frame(&self, page: usize) -> cap::UnspecifiedPage {
        let slot = self.slots[page / BATCH].offset(page % BATCH);
        slot.cap()
    }

    /// Maps a page at its place.
    #[inline(always)]
    pub fn map(&self, page: usize) {
        self.map_to(page, page);
    }

    /// Maps a page at its place, as [`Floor::map_next`] does.
    #[inline(always)]
    pub fn map_fresh(&self, page: usize, pages: usize) {
        self.map_next(page, page, pages);
    }

    /// Maps the next of `pages` pages at a place, as if none were made before: all page tables with
    /// the first, its batch of frames with the first of each.
    #[inline(always)]
    pub fn map_next(&self, page: usize, place: usize, pages: usize) {
        if page == 0 {
            self.make_tables(pages);
        }
        if page % BATCH == 0 {
            self.make_frames(page / BATCH, BATCH);
        }
        self.map_to(page, place);
    }

    /// Maps a page at the place of another.
    #[inline(always)]
    pub fn map_to(&self, page: usize, place: usize) {
        self.map_capability(self.frame(page), place, CapRights::read_write());
    }

    /// Maps a frame, of whichever floor, at a place of this one.
    #[inline(always)]
    pub fn map_capability(&self, frame: cap::UnspecifiedPage, place: usize, rights: CapRights) {
        frame
            .frame_map(self.vspace, self.address(place), rights, VmAttributes::DEFAULT)
            .expect("the frame's capability maps nothing yet");
    }

    /// Unmaps a page.
    #[inline(always)]
    pub fn unmap(&self, page: usize) {
        self.frame(page).frame_unmap().expect("unmapping is never refused");
    }

    /// Makes a page read-only.
    #[inline(always)]
    pub fn protect(&self, page: usize) {
        self.remap(page, CapRights::read_only());
    }

    /// Makes a page writable that was read-only.
    #[inline(always)]
    pub fn unprotect(&self, page: usize) {
        self.remap(page, CapRights::read_write());
    }

    #[inline(always)]
    fn remap(&self, page: usize, rights: CapRights) {
        let address = self.base + (page << self.size.bits());
        self.frame(page)
            .frame_remap(self.vspace, address, rights, VmAttributes::DEFAULT)
            .expect("the floor's page is mapped");
    }

    /// Makes a page read-only in a way that the processor notices at once: in the space that runs,
    /// `Page_Remap` of this kernel leaves the old rights in the TLB.
    #[inline(always)]
    pub fn unmap_then_map(&self, page: usize) {
        self.unmap(page);
        self.map_capability(self.frame(page), page, CapRights::read_only());
    }

    /// Makes a page the IPC buffer of a thread.
    #[inline(always)]
    pub fn set_ipc_buffer(&self, tcb: cap::Tcb, page: usize) {
        let address = self.base + (page << self.size.bits());
        tcb.tcb_set_ipc_buffer(address as _, self.frame(page).cast())
            .expect("the page can be an IPC buffer");
    }

    /// The address of a place.
    pub fn address(&self, place: usize) -> usize {
        self.base + (place << self.size.bits())
    }

    /// Copies a page, at addresses where both are mapped.
    #[inline(always)]
    pub fn copy(&self, target: usize, from: usize) {
        let (to, from) = (self.address(target) as *mut u8, self.address(from) as *const u8);
        // SAFETY: the addresses are the floor's own, reserved from the manager, and the caller has
        // just mapped a page at each.
        unsafe { core::ptr::copy_nonoverlapping(from, to, self.size.bytes()) }
    }

    /// Copies a page, at an address where it is mapped, to another of this space's.
    #[inline(always)]
    pub fn copy_to(&self, from: usize, to: usize) {
        let (to, from) = (to as *mut u8, self.address(from) as *const u8);
        // SAFETY: the caller has just mapped a page at the one, and has mapped memory of another
        // floor at the other.
        unsafe { core::ptr::copy_nonoverlapping(from, to, PAGE_BYTES) }
    }

    /// Takes one of the page tables that were made out of the space.
    pub fn unmap_table(&self, index: usize) {
        let table: cap::PageTable = self.slots[self.batches].offset(index).cap();
        table.page_table_unmap().expect("the table is mapped");
    }

    /// Fills a page with zeros, at an address where it is mapped.
    #[inline(always)]
    pub fn zero(&self, place: usize) {
        let page = (self.base + (place << self.size.bits())) as *mut u8;
        // SAFETY: the addresses are the floor's own, reserved from the manager, and the caller has
        // just mapped this page there, writable.
        unsafe { page.write_bytes(0, self.size.bytes()) }
    }
}
