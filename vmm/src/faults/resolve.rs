//! Resolving a page fault.

use untyped_alloc::{Kernel, Memory};

use crate::manager::vmm::Vmm;
use crate::types::error::Result;
use crate::types::fault::{classify, FaultClass, Handled, PageFault, Resolution};
use crate::types::ids::{SpaceId, ThreadId};

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Answers a fault message with this badge: resolves it if that can be done. After
    /// [`Resolution::Resolved`] reply to it with an empty message, and the thread goes on.
    ///
    /// # Errors
    /// [`crate::Error::NoSuchThread`]; those of [`Vmm::resolve_fault`].
    pub fn handle_fault(&mut self, badge: usize, fault: &PageFault) -> Result<Handled> {
        let thread = self.thread(ThreadId::from_badge(badge))?;
        let resolution = self.resolve_fault(thread.space, fault)?;
        Ok(Handled { thread, resolution })
    }

    /// Which class a fault in a space is. O(log regions); no kernel call.
    ///
    /// # Errors
    /// [`crate::Error::NoSuchSpace`].
    pub fn classify_fault(&self, space: SpaceId, fault: &PageFault) -> Result<FaultClass> {
        let Ok(address) = self.geometry.address(fault.address) else {
            self.space(space)?;
            return Ok(FaultClass::OutsideUserSpace);
        };
        let region = self.region_at(space, address.bits())?;
        let page = self.mapping_at(space, address.bits())?;
        let page_bytes = self.geometry.page_bytes();
        Ok(classify(fault.address, fault.access, region.as_ref(), page.as_ref(), page_bytes, true))
    }

    /// Resolves a fault in a space if that can be done: after [`Resolution::Resolved`] the thread
    /// is to be answered, and repeats its instruction.
    ///
    /// Cost: mapping the pages, or what [`Vmm::clone_region`] says of a first write.
    ///
    /// # Errors
    /// [`crate::Error::Allocator`] when memory is out: the same fault can be resolved later.
    pub fn resolve_fault(&mut self, space: SpaceId, fault: &PageFault) -> Result<Resolution> {
        if let Some(class) = self.touch_next(space, fault) {
            return Ok(Resolution::Resolved(class));
        }
        match self.first_touch(space, fault) {
            Some(resolved) => resolved.map(Resolution::Resolved),
            None => self.resolve_classified(space, fault),
        }
    }

    fn resolve_classified(&mut self, space: SpaceId, fault: &PageFault) -> Result<Resolution> {
        let class = self.classify_fault(space, fault)?;
        let Ok(address) = self.geometry.address(fault.address) else {
            return Ok(Resolution::Unresolved(class));
        };
        let node = self.space(space)?;
        match class {
            FaultClass::DemandZero { around } | FaultClass::StackGrowth { around } => {
                self.fill(node, address, usize::from(around))?;
            }
            FaultClass::CopyOnWrite => {
                self.refill()?;
                self.break_cow(node, address.align_down(self.geometry.page_bits))?;
            }
            FaultClass::Recorded => self.map_recorded(node, address)?,
            FaultClass::Pager { token } => {
                let region = self.region_at(space, address.bits())?;
                let start = region.map_or(0, |region| {
                    region.range.start().bits() + (region.guard_below << self.geometry.page_bits)
                });
                let page = (address.bits() - start) >> self.geometry.page_bits;
                return Ok(Resolution::AskPager { token, page });
            }
            _ => return Ok(Resolution::Unresolved(class)),
        }
        Ok(Resolution::Resolved(class))
    }
}
