//! Stacks: memory with a guard page below, so that an overflow faults instead of overwriting.

use untyped_alloc::{Kernel, Memory};

use crate::error::Result;
use crate::ids::{RegionId, SpaceId};
use crate::options::RegionOptions;
use crate::region::Kind;
use crate::vmm::Vmm;

/// A stack that grows downwards.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stack {
    region: RegionId,
    bottom: usize,
    top: usize,
}

impl Stack {
    /// Its region: what [`Vmm::release`] is given.
    pub fn region(self) -> RegionId {
        self.region
    }

    /// The lowest address that can be used, in bytes. The page below is the guard.
    pub fn bottom(self) -> usize {
        self.bottom
    }

    /// The address after the highest, page-aligned: the first stack pointer.
    pub fn top(self) -> usize {
        self.top
    }
}

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Maps a stack of `pages` pages with one guard page on either side. Give it back with
    /// [`Vmm::release`].
    pub fn allocate_stack(&mut self, space: SpaceId, pages: usize, name: &str) -> Result<Stack> {
        let options = RegionOptions::new(pages).named(name).guarded(1, 1).kind(Kind::Stack);
        let region = self.map(space, &options)?;
        let bottom = region.start().bits() + self.geometry.page_bytes();
        Ok(Stack { region, bottom, top: bottom + (pages << self.geometry.page_bits) })
    }
}
