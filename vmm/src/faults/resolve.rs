// SPDX-License-Identifier: BSD-2-Clause
//! Resolving a page fault.

use page_tables::VirtAddr;
use untyped_alloc::{Kernel, Memory};

use super::decide::{decide, Covering, Present};
use crate::manager::vmm::Vmm;
use crate::sharing::break_cow::Cause;
use crate::state::region::Region;
use crate::state::space::Space;
use crate::state::threads::RecordedFault;
use crate::types::error::{Error, Result};
use crate::types::fault::{Access, FaultClass, Handled, PageFault, Resolution};
use crate::types::ids::{SpaceId, ThreadId};

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Answers a fault message with this badge: resolves it if that can be done. After
    /// [`Resolution::Resolved`] reply to it with an empty message, and the thread goes on.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> vmm::Result {
    /// # let vmm = &mut vmm_tests::support::manager();
    /// use vmm::{Access, Backing, Blueprint, PageFault, RegionOptions, Resolution};
    ///
    /// let space = vmm.create_space()?;
    /// let (tcb, endpoint) = (vmm.allocate(Blueprint::Tcb)?, vmm.allocate(Blueprint::Endpoint)?);
    /// let thread = vmm.register_thread(space, tcb.slot(), endpoint.slot(), "worker")?;
    /// let lazy = RegionOptions::new(8).backed(Backing::OnDemand { around: 1 });
    /// let address = vmm.reserve(space, &lazy)?.start().bits();
    /// // As the kernel's message to the endpoint tells it; `vmm::sel4::faults` takes it apart.
    /// let fault = PageFault { address, access: Access::Read, present: false, ip: 0x1000 };
    /// let handled = vmm.handle_fault(thread.badge(), &fault)?;
    /// assert_eq!(handled.thread.name.as_str(), "worker");
    /// assert!(matches!(handled.resolution, Resolution::Resolved(_)));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`crate::Error::NoSuchThread`]; those of [`Vmm::resolve_fault`].
    pub fn handle_fault(&mut self, badge: usize, fault: &PageFault) -> Result<Handled> {
        let thread = self.thread_with_badge(badge)?;
        let resolution = match self.append_touched(thread.space, fault) {
            Some(class) => Resolution::Resolved(class),
            None => self.resolve_fault_of(thread.id, thread.space, fault)?,
        };
        Ok(Handled { thread, resolution })
    }

    /// Resolves a fault of a registered thread, as [`Vmm::resolve_fault`] does; but where the
    /// kernel does not tell the whole address, a thread that touched another address with the same
    /// low bits is not let repeat its instruction for ever. After [`Vmm::append_touched`].
    #[inline]
    pub(crate) fn resolve_fault_of(
        &mut self,
        thread: ThreadId,
        space: SpaceId,
        fault: &PageFault,
    ) -> Result<Resolution> {
        match self.resolve_anywhere(space, fault)? {
            Resolution::Resolved(FaultClass::Recorded) if !self.geometry.tells_all_faults() => {
                Ok(self.resolved_as_recorded(thread, fault))
            }
            resolution => Ok(resolution),
        }
    }

    /// What has become of a fault at a page that was recorded, and is mapped now in any case. If
    /// the same instruction of the same thread faults there again, and nothing was done meanwhile
    /// that could have taken the page away, it did not touch that page.
    #[cold]
    fn resolved_as_recorded(&self, thread: ThreadId, fault: &PageFault) -> Resolution {
        let calls = self.kernel.counts().total() - self.calls_to_map_recorded;
        let &PageFault { address, ip, .. } = fault;
        let again = Some(RecordedFault { address, ip, calls });
        match self.threads.node(thread) {
            Some(node) if node.recorded.replace(again) == again => {
                Resolution::Unresolved(FaultClass::NotTold)
            }
            _ => Resolution::Resolved(FaultClass::Recorded),
        }
    }

    /// Says that a thread was suspended after a message about a fault of its was taken, and is to
    /// be resumed. Where it sent that itself, this kernel has it send it once more, and that is no
    /// second fault. Nothing to do for a thread that there is not. No kernel call.
    pub fn expect_fault_again(&mut self, thread: ThreadId) {
        if let Some(node) = self.threads.node(thread) {
            node.recorded.set(None);
        }
    }

    /// Decides which class a fault in a space is. O(log regions); no kernel call.
    ///
    /// # Errors
    /// [`crate::Error::NoSuchSpace`].
    pub fn classify_fault(&self, space: SpaceId, fault: &PageFault) -> Result<FaultClass> {
        let space = self.space(space)?;
        let Ok(address) = self.geometry.address(fault.address) else {
            return Ok(FaultClass::OutsideUserSpace);
        };
        Ok(self.decide_at(space, address, fault).0)
    }

    /// The class of a fault, and the region it is in.
    #[inline(always)]
    fn decide_at(
        &self,
        space: &Space<'p>,
        address: VirtAddr,
        fault: &PageFault,
    ) -> (FaultClass, Option<&'p Region<'p>>) {
        let region = space.regions().at(address);
        let covering = region.map(|region| {
            let (low, high) = self.between_guards(region);
            Covering::of(&region.spec(), low, high)
        });
        // This look-up, unlike that of an address, is what an append cursor begins with.
        let extent = space.extents().first_in(self.geometry.page_of(address));
        let extent = extent.filter(|extent| extent.maps(address));
        let page = extent.map(|extent| Present { rights: extent.rights, cow: extent.cow });
        let access = (fault.access, fault.access.needs(&self.geometry));
        (decide(address.bits(), access, covering, page), region)
    }

    /// Resolves a fault in a space if that can be done: after [`Resolution::Resolved`] the thread
    /// is to be answered, and repeats its instruction.
    ///
    /// Cost: mapping the pages, or what [`Vmm::clone_region`] says of a first write.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> vmm::Result {
    /// # let vmm = &mut vmm_tests::support::manager();
    /// use vmm::{Access, Backing, FaultClass, PageFault, RegionOptions, Resolution};
    ///
    /// let space = vmm.create_space()?;
    /// let lazy = RegionOptions::new(64).backed(Backing::OnDemand { around: 1 });
    /// let address = vmm.reserve(space, &lazy)?.start().bits() + 5 * 4096;
    /// let fault = PageFault { address, access: Access::Write, present: false, ip: 0x1000 };
    /// let Resolution::Resolved(class) = vmm.resolve_fault(space, &fault)? else { panic!() };
    /// assert_eq!(class, FaultClass::DemandZero { around: 1 });
    /// assert!(vmm.mapping_at(space, address)?.is_some());
    /// // A touch of what belongs to nobody is not resolved: a policy decides.
    /// let wild = PageFault { address: 0x7000_0000, ..fault };
    /// assert!(!matches!(vmm.resolve_fault(space, &wild)?, Resolution::Resolved(_)));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`crate::Error::Allocator`] when memory is out: the same fault can be resolved later.
    #[inline]
    pub fn resolve_fault(&mut self, space: SpaceId, fault: &PageFault) -> Result<Resolution> {
        match self.append_touched(space, fault) {
            Some(class) => Ok(Resolution::Resolved(class)),
            None => self.resolve_anywhere(space, fault),
        }
    }

    /// As [`Vmm::resolve_fault`], without the short cut for memory that is touched in order.
    #[inline]
    fn resolve_anywhere(&mut self, space: SpaceId, fault: &PageFault) -> Result<Resolution> {
        if fault.present && fault.access == Access::Write {
            match self.break_cow_touched(space, fault) {
                // Nothing was done: memory may be had by moving other pages.
                None | Some(Err(Error::Allocator(_))) => {}
                Some(Err(error)) => return Err(error),
                Some(Ok(())) => return Ok(Resolution::Resolved(FaultClass::CopyOnWrite)),
            }
        }
        self.under_pressure_reclaiming(|vmm| vmm.resolve_decided(space, fault))
    }

    #[inline(never)]
    fn resolve_decided(&mut self, space: SpaceId, fault: &PageFault) -> Result<Resolution> {
        let space = self.space(space)?;
        let Ok(address) = self.geometry.address(fault.address) else {
            return Ok(Resolution::Unresolved(FaultClass::OutsideUserSpace));
        };
        if self.quarantined != 0 {
            // The page may be one that could not be moved back where it was.
            let _ = self.retry_quarantine();
        }
        let (class, region) = self.decide_at(space, address, fault);
        let Some(region) = region else { return Ok(Resolution::Unresolved(class)) };
        match class {
            FaultClass::DemandZero { around } | FaultClass::StackGrowth { around } => {
                self.map_touched(space, region, address, around)?;
            }
            FaultClass::CopyOnWrite => {
                let page = address.align_down(self.geometry.page_bits);
                self.break_cow(space, page, Cause::Write)?;
            }
            FaultClass::Recorded => {
                self.map_recorded_around(space, region, address, fault.present)?
            }
            FaultClass::Pager { token } => {
                let (low, _) = self.between_guards(region);
                let page = (address.bits() - low) >> self.geometry.page_bits;
                let page = region.spec().pagers_page(page);
                return Ok(Resolution::AskPager { token, page });
            }
            _ => return Ok(Resolution::Unresolved(class)),
        }
        Ok(Resolution::Resolved(class))
    }
}
