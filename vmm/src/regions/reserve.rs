// SPDX-License-Identifier: BSD-2-Clause
//! Reserving addresses, and giving them back. No kernel call, except to unmap what is mapped.

use untyped_alloc::{Kernel, Memory};

use crate::manager::vmm::Vmm;
use crate::state::reserve::Reserve;
use crate::types::error::{Error, Result};
use crate::types::ids::{RegionId, SpaceId};
use crate::types::options::RegionOptions;
use crate::types::region::{Kind, MAX_NESTED};

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Reserves addresses for a region without mapping anything there. No kernel call.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> vmm::Result {
    /// # let vmm = &mut vmm_tests::support::manager();
    /// use vmm::{Backing, RegionOptions};
    ///
    /// let space = vmm.own_space();
    /// let free = vmm.stats().free_bytes();
    /// // 16 MiB of addresses, and memory for what is touched, four pages at a time.
    /// let arena = RegionOptions::new(4096).named("arena").backed(Backing::OnDemand { around: 4 });
    /// let arena = vmm.reserve(space, &arena)?;
    /// assert_eq!(vmm.stats().free_bytes(), free);
    /// vmm.release(arena)?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Address`], [`Error::Overlap`], [`Error::NoRoom`], [`Error::OutsideRegion`] (of the
    /// reservation asked for, or inside one that was not), [`Error::RightsExceedCeiling`].
    pub fn reserve(&mut self, space: SpaceId, options: &RegionOptions) -> Result<RegionId> {
        self.under_pressure_reclaiming(|vmm| vmm.try_reserve(space, options))
    }

    fn try_reserve(&mut self, space: SpaceId, options: &RegionOptions) -> Result<RegionId> {
        let reserve = &mut self.refill()?;
        let space = self.space(space)?;
        let region = self.place_region(reserve, space, options)?;
        Ok(self.id_of(space, region))
    }

    /// Has regions of a space that may lie anywhere placed below the page table below which an
    /// address (bytes) lies, at the lowest place there where they fit; or, with `None`, at the
    /// lowest place of all again. Where there is no room, they lie there anyhow. What lies below
    /// one table needs one, which costs six pages' mappings to make and to give back. No kernel
    /// call.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> vmm::Result {
    /// # let vmm = &mut vmm_tests::support::manager();
    /// use vmm::RegionOptions;
    ///
    /// let space = vmm.create_space()?;
    /// vmm.map(space, &RegionOptions::new(4).at(0x0804_8000).named("code"))?;
    /// vmm.place_near(space, Some(0x0804_8000))?;
    /// vmm.allocate_stack(space, 4, "stack")?;
    /// assert_eq!(vmm.usage(space)?.tables, 1);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::NoSuchSpace`]; [`Error::Address`] for what is no address of user space.
    pub fn place_near(&mut self, space: SpaceId, address: Option<usize>) -> Result {
        let address = address.map(|address| self.geometry.address(address)).transpose()?;
        self.space(space)?.near.set(address);
        Ok(())
    }

    /// Reserves a range in which other regions can be placed (with [`RegionOptions::inside`]), none
    /// of which can have more rights than `ceiling` of the options, and where nothing else is put.
    /// Up to 1000 can lie one inside the other.
    pub fn create_reservation(
        &mut self,
        space: SpaceId,
        options: &RegionOptions,
    ) -> Result<RegionId> {
        self.under_pressure_reclaiming(|vmm| vmm.try_create_reservation(space, options))
    }

    fn try_create_reservation(
        &mut self,
        space: SpaceId,
        options: &RegionOptions,
    ) -> Result<RegionId> {
        let reserve = &mut self.refill()?;
        let space = self.space(space)?;
        let options = options.kind(Kind::Reservation);
        let depth = match options.placement.reservation {
            Some(outer) => self.region(outer)?.1.depth() + 1,
            None => 1,
        };
        let (place, pages, ceiling) = self.find_place(space, &options)?;
        if depth > MAX_NESTED {
            let (align_bits, name) = (options.placement.align_bits, options.name);
            return Err(Error::NoRoom { pages, align_bits, largest: 0, name });
        }
        let edges = [self.pools.region(reserve)?, self.pools.region(reserve)?];
        let serial = self.next_serial();
        let spec = options.spec(pages, ceiling);
        space.regions_mut().insert_reservation(edges, place, spec, serial, depth);
        Ok(self.id_of(space, edges[0]))
    }

    /// Gives a region back: unmaps what is mapped in it, then its addresses. A reservation must
    /// have no region inside.
    ///
    /// # Errors
    /// [`Error::NoSuchRegion`]; [`Error::WrongKind`] for an IPC buffer, the boot image and a
    /// reservation with regions inside; [`Error::Kernel`] when an unmap was refused: what is still
    /// mapped is recorded, and releasing again goes on.
    pub fn release(&mut self, region: RegionId) -> Result {
        let (space, node) = self.region(region)?;
        match node.spec().kind {
            Kind::Memory | Kind::Stack => {
                self.check_unpinned(space, node)?;
                self.release_region(&mut Reserve::as_it_is(), space, node)
            }
            Kind::Reservation => self.release_reservation(space, node, region),
            Kind::IpcBuffer | Kind::Boot | Kind::Bookkeeping | Kind::Quarantine => {
                Err(self.wrong_kind(space, node))
            }
        }
    }
}
