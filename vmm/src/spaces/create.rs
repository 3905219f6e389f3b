// SPDX-License-Identifier: BSD-2-Clause
//! Making address spaces, and destroying them at the least number of kernel calls.
//!
//! A VSpace root is of no use before it has an address-space identifier (ASID). Identifiers come
//! from pools of 1024 (IA32); a pool is made of 4 KiB of untyped memory, and the kernel has room
//! for a fixed number of pools (4 on IA32, 8 on x86_64: `asidHighBits` in the kernel's
//! `arch/machine/hardware.h`). Pools are made when the others are full and kept.

use untyped_alloc::{
    Blueprint, CPtr, CachePolicy, Kernel, KernelError, Memory, Object, Refused, Rights,
};

use crate::manager::vmm::Vmm;
use crate::state::reserve::Reserve;
use crate::state::space::{Space, Undone};
use crate::state::temp_slots::TempSlot;
use crate::types::error::{Error, NodeKind, Result};
use crate::types::ids::SpaceId;
use crate::types::mapping::Source;
use crate::types::quota::Quota;
use crate::types::region::{Backing, Kind, Name, RegionSpec};

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Makes an empty address space. Two kernel calls, besides a new ASID pool for every 1024th
    /// space.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> vmm::Result {
    /// # let vmm = &mut vmm_tests::support::manager();
    /// use vmm::{RegionOptions, Rights, ShareOptions};
    ///
    /// let (own, other) = (vmm.own_space(), vmm.create_space()?);
    /// // The same addresses are others' there.
    /// let here = vmm.map(own, &RegionOptions::new(1).at(0x5000_0000))?;
    /// vmm.map(other, &RegionOptions::new(1).at(0x5000_0000))?;
    /// // What both are to see is shared.
    /// let view = ShareOptions::new().rights(Rights::READ);
    /// vmm.share(own, vmm.pages_of(here)?, other, &view)?;
    /// vmm.destroy_space(other)?;
    /// vmm.release(here)?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Allocator`] when memory is out; [`Error::OutOfAsids`] when the kernel has no
    /// identifier for an address space left (4096 on IA32); [`Error::OutOfSpaceNumbers`];
    /// [`Error::Kernel`].
    pub fn create_space(&mut self) -> Result<SpaceId> {
        self.make_space(false)
    }

    /// Makes an empty address space in which no thread can run: for pages that are mapped
    /// elsewhere, where they are touched. What it costs is what [`Vmm::create_space`] costs.
    /// As nobody touches anything in it, its pages are recorded and the kernel maps none of them:
    /// to map, unmap, protect and move them takes no kernel call, but for frames and page tables;
    /// and memory may lie at any of its addresses, also where the kernel does not tell all of a
    /// fault's address ([`Error::FaultsNotTold`]).
    ///
    /// # Errors
    /// Those of [`Vmm::create_space`].
    pub fn create_store(&mut self) -> Result<SpaceId> {
        self.make_space(true)
    }

    /// Whether a space is one that [`Vmm::create_store`] made, or a clone of such. No kernel call.
    ///
    /// # Errors
    /// [`Error::NoSuchSpace`].
    pub fn is_store(&self, space: SpaceId) -> Result<bool> {
        Ok(self.space(space)?.store.get())
    }

    /// An empty space, in which threads can run or not.
    pub(crate) fn make_space(&mut self, store: bool) -> Result<SpaceId> {
        let id = self.under_pressure_reclaiming(|vmm| vmm.try_create_space())?;
        self.space(id)?.store.set(store);
        Ok(id)
    }

    /// A space in which threads can run.
    pub(crate) fn space_of_threads(&self, id: SpaceId) -> Result<&'p Space<'p>> {
        let space = self.space(id)?;
        match space.store.get() {
            true => Err(Error::StoreSpace(id)),
            false => Ok(space),
        }
    }

    fn try_create_space(&mut self) -> Result<SpaceId> {
        let reserve = &mut self.refill()?;
        let id = self.next_space()?;
        let node = self.pools.spaces.alloc().ok_or(Error::OutOfNodes(NodeKind::Space))?;
        match self.make_root() {
            Ok((root, pool)) => {
                if let Err(error) = self.start_space(reserve, node, id, root.slot()) {
                    self.alloc.free_or_quarantine(&mut self.kernel, root);
                    self.pools.spaces.free(node);
                    return Err(error);
                }
                node.object.set(Some(root));
                node.asid_pool.set(pool);
                Ok(id)
            }
            Err(error) => {
                self.pools.spaces.free(node);
                Err(error)
            }
        }
    }

    /// An id for a space that is to be made.
    pub(crate) fn next_space(&self) -> Result<SpaceId> {
        let number = self.space_numbers.next(|number| self.spaces.with_number(number).is_some());
        let number = number.ok_or(Error::OutOfSpaceNumbers)?;
        Ok(SpaceId { number, serial: self.last_space + 1 })
    }

    /// Destroys a space: unmaps and frees everything in it, its page tables, its root.
    ///
    /// Frames that came together and are all in it go with one call for up to 256 of them; others
    /// cost one each; so does each page table.
    ///
    /// # Errors
    /// [`Error::NoSuchSpace`]; [`Error::OwnSpace`]; [`Error::SpaceInUse`] while IPC buffers of
    /// threads are in it, or objects that were allocated for it; [`Error::Kernel`] when a call was
    /// refused: what was destroyed before is gone, the rest is recorded, and destroying again goes
    /// on. If its root is gone, the kernel refuses to map anything in it.
    pub fn destroy_space(&mut self, id: SpaceId) -> Result {
        let space = self.space(id)?;
        let Some(root) = space.object.get() else { return Err(Error::OwnSpace(id)) };
        let threads = space.threads() + space.objects.get();
        if threads != 0 {
            return Err(Error::SpaceInUse { space: id, threads });
        }
        self.empty_space(space)?;
        self.prune_all_tables(space)?;
        self.alloc.free(&mut self.kernel, root)?;
        self.asid_is_free(space.asid_pool.get());
        while let Some(node) = {
            let node = space.regions_mut().pop();
            node
        } {
            self.quarantined -= usize::from(node.spec().kind == Kind::Quarantine);
            self.pools.regions.free(node);
        }
        while let Some((node, _)) = space.cut.take(|_| true) {
            self.pools.free_extent(node);
        }
        if let Some(node) = self.spaces.remove(id) {
            self.pools.spaces.free(node);
        }
        Ok(())
    }

    /// Frees all that is mapped in a space that is about to go.
    fn empty_space(&mut self, space: &'p Space<'p>) -> Result {
        let mut done = 0;
        if space.store.get() {
            // They may be its pages, of which the kernel would not unmap one.
            self.unmap_temporary(TempSlot::View)?;
            self.unmap_temporary(TempSlot::Target)?;
        }
        loop {
            let first = space.extents().first();
            let Some((node, extent)) = first else { return Ok(()) };
            if node.is_window() {
                let unmapped = self.unmap_in_window(space, node, u16::MAX);
                done += unmapped.map_err(|(error, pages)| error.after(done + pages))?;
                continue;
            }
            let pages = extent.frames.count << (extent.frames.size_bits - self.geometry.page_bits);
            if extent.source == Source::Owned
                && !self.refcounts.any_in(&extent.frames)
                && self.alloc.destroy_if_whole(&mut self.kernel, extent.frames)?
            {
                self.record_unmapped(space, &extent);
                self.remove_extent(space, extent, 0, extent.frames.count);
            } else {
                self.unmap_part(&mut Reserve::as_it_is(), space, extent, 0, extent.frames.count)
                    .map_err(|(error, pages)| error.after(done + pages))?;
            }
            done += pages;
        }
    }

    /// An identifier of a pool is free again.
    pub(crate) fn asid_is_free(&mut self, pool: u8) {
        self.asids.set_full(pool, false);
    }

    /// A new root paging structure with an ASID, and the number of the pool that is from.
    pub(crate) fn make_root(&mut self) -> Result<(Object, u8)> {
        let root = self.alloc_or_prune(|alloc, kernel| {
            alloc.allocate(kernel, Blueprint::Table { level: 0 })
        })?;
        match self.assign_asid(root) {
            Ok(pool) => Ok((root, pool)),
            Err(error) => {
                self.alloc.free_or_quarantine(&mut self.kernel, root);
                Err(error)
            }
        }
    }

    fn assign_asid(&mut self, root: Object) -> Result<u8> {
        while let Some((index, pool)) = self.asids.usable() {
            let pool = match pool {
                Some(pool) => pool,
                None => self.make_asid_pool(index)?,
            };
            match self.kernel.asid_pool_assign(pool, root.slot()) {
                Ok(()) => return Ok(index),
                // The pool has no identifier left.
                Err(Refused { error: KernelError::DeleteFirst, .. }) => {
                    self.asids.set_full(index, true);
                }
                Err(error) => return Err(Error::from(error)),
            }
        }
        Err(Error::OutOfAsids)
    }

    fn make_asid_pool(&mut self, index: u8) -> Result<CPtr> {
        let size_bits = self.alloc.sizes().asid_pool_bits;
        let untyped = self.alloc_or_prune(|alloc, kernel| {
            alloc.allocate(kernel, Blueprint::Untyped { size_bits })
        })?;
        let slot = match self.alloc_or_prune(|alloc, kernel| alloc.alloc_kept_slots(kernel, 1)) {
            Ok(slot) => slot,
            Err(error) => {
                self.alloc.free_or_quarantine(&mut self.kernel, untyped);
                return Err(error);
            }
        };
        let made = self
            .fill_slot(slot, |kernel, path| kernel.asid_control_make_pool(untyped.slot(), path));
        if let Err(error) = made {
            self.alloc.free_kept_slots(slot, 1)?;
            self.alloc.free_or_quarantine(&mut self.kernel, untyped);
            // The slot is empty: what is occupied is the kernel's last place for a pool.
            return Err(match error {
                Error::Kernel { error: KernelError::DeleteFirst, .. } => Error::OutOfAsids,
                _ => error,
            });
        }
        self.asids.insert(index, slot);
        Ok(slot)
    }

    /// Starts a space with nothing in it but the page of the null pointer, which is never mapped.
    pub(crate) fn start_space(
        &mut self,
        reserve: &mut Reserve,
        space: &'p Space<'p>,
        id: SpaceId,
        root: CPtr,
    ) -> Result {
        let node = self.pools.region(reserve)?;
        let null = RegionSpec {
            pages: 1,
            guard_below: 1,
            guard_above: 0,
            rights: Rights::empty(),
            ceiling: Rights::empty(),
            cache: CachePolicy::WriteBack,
            kind: Kind::Boot,
            backing: Backing::Explicit,
            first_page: 0,
            movable: None,
            large_pages: false,
            name: Name::new("null page"),
        };
        let (end, bits) = (self.geometry.user_end, self.geometry.page_bits);
        self.space_numbers.note(id.number);
        self.last_space = id.serial;
        space.id.set(id);
        space.root.set(root);
        space.object.set(None);
        space.mapped_pages.set(0);
        space.set_quota(Quota::UNLIMITED);
        space.open_packed.set(None);
        space.open_arena.set(None);
        space.change_threads(|_, _| (0, 0));
        space.buffers_lent.set(false);
        space.objects.set(0);
        space.store.set(false);
        space.detached.set(false);
        space.in_transit.set(false);
        space.near.set(None);
        let Undone { pages, abandoned, copy_on_write, clone } = &space.undone;
        for undone in [pages, abandoned, copy_on_write, clone] {
            undone.set(false);
        }
        space.regions_mut().start(node, null, end, bits);
        self.spaces.insert(space);
        Ok(())
    }
}
