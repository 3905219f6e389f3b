// SPDX-License-Identifier: BSD-2-Clause
//! What can be looked at and done before memory is shared.

use page_tables::Pages;
use untyped_alloc::{Kernel, Memory};

use crate::manager::vmm::Vmm;
use crate::types::error::Result;
use crate::types::ids::SpaceId;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Checks that [`Vmm::share`] could share these pages: all of them mapped, no large page cut,
    /// none of them brought by the caller. O(extents of the range); no kernel call.
    ///
    /// # Errors
    /// Those of [`Vmm::region_of_range`]; [`crate::Error::NotMapped`], [`crate::Error::LargePage`],
    /// [`crate::Error::NotManaged`].
    pub fn check_can_share(&self, space: SpaceId, pages: impl Into<Pages>) -> Result {
        let space = self.space(space)?;
        let (_, range) = self.caller_range(space, pages.into())?;
        self.check_shareable(space, range).map(|_| ())
    }

    /// Breaks copy-on-write for every page of a range that is under it, as a first write would: the
    /// space has its own copies then. Pages that nothing is mapped at stay so. A first write's
    /// kernel calls for each such page.
    ///
    /// # Errors
    /// Those of [`Vmm::region_of_range`] and [`Vmm::resolve_fault`]; pages before the one that
    /// failed stay as they are then.
    pub fn break_copy_on_write(&mut self, space: SpaceId, pages: impl Into<Pages>) -> Result {
        let pages = pages.into();
        self.under_pressure(|vmm| vmm.try_break_copy_on_write(space, pages))
    }

    fn try_break_copy_on_write(&mut self, space: SpaceId, pages: Pages) -> Result {
        let space = self.space(space)?;
        let (_, range) = self.caller_range(space, pages)?;
        self.break_cow_in(space, range)
    }
}
