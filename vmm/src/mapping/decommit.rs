// SPDX-License-Identifier: BSD-2-Clause
//! Decommitting: the memory of a range goes back, its region stays.

use page_tables::Pages;
use untyped_alloc::{Kernel, Memory};

use crate::manager::vmm::Vmm;
use crate::types::error::{Error, Result};
use crate::types::ids::SpaceId;
use crate::types::region::{Kind, Name};

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Decommits pages of one region: unmaps those that are mapped and gives their memory back.
    /// Holes are no error. The addresses stay with their region, whose id stays valid; where it is
    /// mapped on demand, a touch maps clear memory again.
    ///
    /// One kernel call a page that is mapped, none for holes.
    ///
    /// # Errors
    /// [`Error::NoSuchSpace`], [`Error::Address`], [`Error::OutsideRegion`], [`Error::Guard`],
    /// [`Error::WrongKind`] for the range; [`Error::Shared`], [`Error::NotManaged`] where it cuts a
    /// large page that cannot be cut; [`Error::Kernel`] with how many pages were decommitted
    /// before.
    pub fn decommit(&mut self, space: SpaceId, pages: impl Into<Pages>) -> Result {
        let space = self.space(space)?;
        let (region, range) = self.caller_range(space, pages.into())?;
        self.check_unpinned(space, region)?;
        let unmapped = self.cut_large(space, range).and_then(|()| {
            let reserve = &mut self.refill_to_free();
            self.unmap_range(reserve, space, range)
        });
        self.finish_cut(space, range, unmapped)
    }

    /// Decommits what is mapped in a range of a region, lowest addresses first, and stops after
    /// `most` pages: unmaps them and gives their memory back. The range may have holes and include
    /// guards. Returns how many pages were decommitted; fewer than `most` says that nothing is
    /// mapped in the range any more. A large page is decommitted whole, and may go beyond `most`.
    ///
    /// One kernel call a page that is mapped, none for holes.
    ///
    /// # Errors
    /// [`Error::NoSuchSpace`], [`Error::Address`]; [`Error::OutsideRegion`] for a range that is not
    /// all in one region; [`Error::WrongKind`] for a region that is neither memory nor a stack (nor
    /// in quarantine); [`Error::LargePage`] for a range that cuts a large page; [`Error::Kernel`]
    /// with how many pages were decommitted before.
    pub fn decommit_some(
        &mut self,
        space: SpaceId,
        pages: impl Into<Pages>,
        most: usize,
    ) -> Result<usize> {
        let pages = pages.into();
        if let Some(done) = self.decommit_single(space, pages, most) {
            return done;
        }
        let info = self.region_at(space, pages.start())?;
        let (address, name) = (pages.start(), Name::default());
        let info = info.ok_or(Error::OutsideRegion { address, name })?;
        if !matches!(info.kind, Kind::Memory | Kind::Stack | Kind::Quarantine) {
            return Err(Error::WrongKind { region: info.id, name: info.name });
        }
        let (space, region) = self.region(info.id)?;
        self.check_unpinned(space, region)?;
        let range = self.geometry.range(pages)?;
        if range.end() > info.range.end() {
            return Err(Error::OutsideRegion { address: info.range.end(), name: info.name });
        }
        self.check_uncut(space, range)?;
        let mut done = 0;
        while done < most {
            let extent = space.extents().first_in(range);
            let Some(extent) = extent else { break };
            let shift = extent.frames.size_bits - self.geometry.page_bits;
            let (first, count) = extent.indices_in(range);
            let piece = extent.part(first, count.min(((most - done) >> shift).max(1)));
            let pages = piece.frames.count << shift;
            let part = self.geometry.range(Pages::at(piece.start.bits()).count(pages))?;
            let reserve = &mut self.refill_to_free();
            self.unmap_range(reserve, space, part).map_err(|error| error.after_more(done))?;
            done += pages;
        }
        Ok(done)
    }

    /// The same for one page, if that is one of the smallest, or none. `None` if it is to go the
    /// other way: nothing was done then.
    fn decommit_single(&mut self, id: SpaceId, page: Pages, most: usize) -> Option<Result<usize>> {
        if page.pages() != 1 || most == 0 {
            return None;
        }
        let space = self.space(id).ok()?;
        let (region, range) = self.caller_range(space, page).ok()?;
        self.check_unpinned(space, region).ok()?;
        let (at, reserve) = (range.start(), &mut self.refill_to_free());
        let extent = space.extents().at(at).filter(|extent| extent.maps(at));
        let Some(extent) = extent else { return Some(Ok(0)) };
        if extent.frames.size_bits != self.geometry.page_bits {
            return None;
        }
        let unmapped = self.unmap_part(reserve, space, extent, extent.index_of(at), 1);
        if unmapped.is_ok() {
            self.prune_tables(space);
        }
        Some(unmapped.map_err(|(error, pages)| error.after(pages)))
    }
}
