// SPDX-License-Identifier: BSD-2-Clause
//! Promoting small pages: a large one with the same contents is put in their place.

use page_tables::{PageRange, Pages};
use untyped_alloc::{Kernel, Memory};

use super::join::InPlace;
use crate::manager::vmm::Vmm;
use crate::state::cut_pages::CutPage;
use crate::state::region::Region;
use crate::state::space::Space;
use crate::types::error::Result;
use crate::types::ids::SpaceId;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Makes large pages of small ones, which lie in one region: each large page of which all small
    /// ones are there, with the same rights, is put in their place with what they hold. Returns how
    /// many were made.
    ///
    /// Left as they are: what is shared or under copy-on-write, and regions that must stay
    /// ([pinned](Vmm::pin_thread_memory), not
    /// [movable](crate::RegionOptions::movable), or of which a
    /// [physical address](Vmm::physical_address) was told). A page has no memory behind it for a
    /// moment, so a thread that touches it then must have its faults resolved, as where pages move.
    ///
    /// Costs as much as cutting large pages does: three kernel calls for each small page, of which
    /// the contents are copied. It pays where many requests for all of it follow (protecting 4 MiB
    /// is one kernel call then, not 1024), and where translations are scarce.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> vmm::Result {
    /// # let vmm = &mut vmm_tests::support::manager();
    /// use vmm::{Geometry, Pages, RegionOptions};
    ///
    /// let (space, large) = (vmm.create_space()?, Geometry::IA32.larger_frame(12).unwrap());
    /// let pages = 1 << (large - 12);
    /// let region = vmm.map(space, &RegionOptions::new(pages).aligned(large))?;
    /// assert_eq!(vmm.large_pages_in(region)?, 0);
    /// assert_eq!(vmm.promote(space, Pages::at(region.start().bits()).count(pages))?, 1);
    /// assert_eq!(vmm.large_pages_in(region)?, pages);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`Vmm::region_of_range`]; [`crate::Error::Allocator`] when there is no memory for
    /// the next large page, [`crate::Error::Kernel`] when the kernel refuses a call. That page is
    /// in small ones as before, and those that were made stay.
    pub fn promote(&mut self, space: SpaceId, pages: impl Into<Pages>) -> Result<usize> {
        let space = self.space(space)?;
        let (region, range) = self.caller_range(space, pages.into())?;
        let Some(bits) = self.geometry.larger_frame(self.geometry.page_bits) else { return Ok(0) };
        if region.spec().movable == Some(false) {
            return Ok(0);
        }
        let (mut made, mut next) = (0, range.start().bits().checked_next_multiple_of(1 << bits));
        while let Some(place) = next.and_then(|start| self.large_place_in(range, start, bits)) {
            next = Some(place.end());
            made += usize::from(self.promote_at(space, region, place, bits)?);
        }
        Ok(made)
    }

    /// The place of the large page of 2^`bits` bytes that starts at `start` (bytes), if all of it
    /// lies in `range`.
    pub(crate) fn large_place_in(
        &self,
        range: PageRange,
        start: usize,
        bits: u8,
    ) -> Option<PageRange> {
        let pages = 1 << (bits - self.geometry.page_bits);
        let place = self.geometry.range(Pages::at(start).count(pages)).ok()?;
        range.covers(place).then_some(place)
    }

    fn promote_at(
        &mut self,
        space: &'p Space<'p>,
        region: &Region<'p>,
        place: PageRange,
        size_bits: u8,
    ) -> Result<bool> {
        let page = CutPage { start: place.start(), size_bits, region: region.serial() as usize };
        match self.in_place(space, &page) {
            InPlace::Pieces(like) => {
                self.under_pressure(|vmm| vmm.join(space, &page, &like))?;
                Ok(true)
            }
            InPlace::Held | InPlace::Changed => Ok(false),
        }
    }
}
