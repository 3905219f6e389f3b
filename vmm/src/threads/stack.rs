// SPDX-License-Identifier: BSD-2-Clause
//! Stacks: memory with guard pages below, so that an overflow faults instead of overwriting.

use untyped_alloc::{Kernel, Memory};

use crate::manager::vmm::Vmm;
use crate::types::error::Result;
use crate::types::ids::SpaceId;
use crate::types::options::RegionOptions;
use crate::types::region::{Backing, Kind};
use crate::types::thread::{Stack, StackOptions};

fn stack_region(options: &StackOptions<'_>) -> RegionOptions {
    let StackOptions { pages, guard_pages, around, name } = *options;
    let region = RegionOptions::new(pages).named(name).kind(Kind::Stack);
    let region = region.guarded(guard_pages.max(1), 1);
    match around {
        Some(around) => region.backed(Backing::OnDemand { around }),
        None => region,
    }
}

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Maps a stack of `pages` pages with one guard page on either side. Give it back with
    /// [`Vmm::release`].
    ///
    /// # Examples
    /// ```
    /// # fn main() -> vmm::Result {
    /// # let vmm = &mut vmm_tests::support::manager();
    /// let space = vmm.own_space();
    /// let stack = vmm.allocate_stack(space, 4, "worker")?;
    /// assert_eq!(stack.top() - stack.bottom(), 4 * 4096);
    /// // What overruns it meets a page that is not mapped, and not another's memory.
    /// assert!(vmm.mapping_at(space, stack.bottom())?.is_some());
    /// assert!(vmm.mapping_at(space, stack.bottom() - 1)?.is_none());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`Vmm::map`].
    pub fn allocate_stack(&mut self, space: SpaceId, pages: usize, name: &str) -> Result<Stack> {
        self.allocate_stack_with(space, &StackOptions::new(pages).named(name))
    }

    /// Reserves a stack of at the most `pages` pages, with one guard page on either side: each page
    /// is mapped when it is touched, and with it those around it (see [`Backing::OnDemand`]). No
    /// kernel call. Its thread needs a fault handler.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> vmm::Result {
    /// # let vmm = &mut vmm_tests::support::manager();
    /// use vmm::{Access, FaultClass, PageFault, Resolution};
    ///
    /// let space = vmm.own_space();
    /// let stack = vmm.allocate_growing_stack(space, 64, 1, "worker")?;
    /// assert!(vmm.mapping_at(space, stack.top() - 4)?.is_none());
    /// // Its first push faults, and the handler has a page mapped.
    /// let push = PageFault {
    ///     address: stack.top() - 4,
    ///     access: Access::Write,
    ///     present: false,
    ///     ip: 0x1000,
    /// };
    /// let Resolution::Resolved(class) = vmm.resolve_fault(space, &push)? else { panic!() };
    /// assert_eq!(class, FaultClass::StackGrowth { around: 1 });
    /// assert!(vmm.mapping_at(space, stack.top() - 4)?.is_some());
    /// # Ok(()) }
    /// ```
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
        self.allocate_stack_with(space, &StackOptions::new(pages).growing(around).named(name))
    }

    /// Makes a stack as `options` says, with one guard page above. Mapped at once, it costs what
    /// [`Vmm::map`] does; growing, no kernel call. Give it back with [`Vmm::release`].
    ///
    /// # Errors
    /// Those of [`Vmm::map`] and [`Vmm::reserve`].
    pub fn allocate_stack_with(
        &mut self,
        space: SpaceId,
        options: &StackOptions<'_>,
    ) -> Result<Stack> {
        let wanted = stack_region(options);
        let region = match options.around {
            Some(_) => self.reserve(space, &wanted)?,
            None => self.map(space, &wanted)?,
        };
        let guard = usize::from(wanted.guard_below) << self.geometry.page_bits;
        let bottom = region.start().bits() + guard;
        Ok(Stack { region, bottom, top: bottom + (options.pages << self.geometry.page_bits) })
    }
}
