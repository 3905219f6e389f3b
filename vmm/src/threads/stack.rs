//! Stacks: memory with a guard page below, so that an overflow faults instead of overwriting.

use untyped_alloc::{Kernel, Memory};

use crate::manager::vmm::Vmm;
use crate::types::error::Result;
use crate::types::ids::{RegionId, SpaceId};
use crate::types::options::RegionOptions;
use crate::types::region::{Backing, Kind};
use crate::types::thread::Stack;

fn stack_options(pages: usize, name: &str) -> RegionOptions {
    RegionOptions::new(pages).named(name).guarded(1, 1).kind(Kind::Stack)
}

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Maps a stack of `pages` pages with one guard page on either side. Give it back with
    /// [`Vmm::release`].
    pub fn allocate_stack(&mut self, space: SpaceId, pages: usize, name: &str) -> Result<Stack> {
        let region = self.map(space, &stack_options(pages, name))?;
        Ok(self.stack_in(region, pages))
    }

    /// Reserves a stack of at the most `pages` pages, with one guard page on either side: each page
    /// is mapped when it is touched, and with it those around it (see [`Backing::OnDemand`]). No
    /// kernel call. Its thread needs a fault handler.
    ///
    /// # Errors
    /// Those of [`Vmm::reserve`].
    pub fn allocate_growing_stack(
        &mut self,
        space: SpaceId,
        pages: usize,
        around: u8,
        name: &str,
    ) -> Result<Stack> {
        let options = stack_options(pages, name).backed(Backing::OnDemand { around });
        let region = self.reserve(space, &options)?;
        Ok(self.stack_in(region, pages))
    }

    fn stack_in(&self, region: RegionId, pages: usize) -> Stack {
        let bottom = region.start().bits() + self.geometry.page_bytes();
        Stack { region, bottom, top: bottom + (pages << self.geometry.page_bits) }
    }
}
