// SPDX-License-Identifier: BSD-2-Clause
//! Having the processor forget the translations of the space that runs.
//!
//! `Page_Remap` of 5.0.0 changes the page table and leaves the processor's TLB as it is
//! (`invalidateLocalPageStructureCache` in machine.h), so the old rights could go on being used.
//! Another space's are forgotten when it is switched to. Of the space that runs, unmapping a page
//! makes the processor forget that page, but then there is a moment in which it is absent.
//!
//! What makes it forget all of them is to run in another space in between. So there is a thread
//! that has one, with nothing mapped in it. Whenever it is let run, it faults on its first
//! instruction:
//!
//! ```text
//!   manager                 thread                     endpoint
//!   Page_Remap …
//!   TCB_Resume ───────────► (CR3: the empty space)
//!                           page fault ──────────────► waits there, for nobody
//!   (CR3: ours) ◄──────────
//! ```
//!
//! The next `TCB_Resume` takes it from the endpoint and lets it run again.

use untyped_alloc::{Blueprint, Kernel, Memory, Object};

use crate::manager::vmm::Vmm;
use crate::types::error::{Error, Result};

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// From now on, pages of the manager's own space are protected in place: at no moment is one
    /// absent, at the price of one more kernel call and two switches of threads for each extent of
    /// pages (about 3,000 instructions). Until this is called, each is unmapped and mapped again.
    ///
    /// Makes a thread with the `priority`, 0 to 255, which must be at least that of any thread the
    /// manager runs in, an endpoint and an empty space. `sel4::start` calls it with 255. Once
    /// it is so, calling it again changes nothing.
    ///
    /// # Errors
    /// [`Error::Allocator`] when memory or slots are out; [`Error::Kernel`], as when the calling
    /// thread may not give that priority. Nothing is left behind.
    pub fn protect_in_place(&mut self, priority: u8) -> Result {
        if self.flusher.is_some() {
            return Ok(());
        }
        let _reserve = &mut self.refill()?;
        let (root, pool) = self.make_root()?;
        let made = self.make_flusher(root, priority);
        match made {
            Ok(flusher) => self.flusher = Some(flusher),
            Err(error) => {
                self.alloc.free_or_quarantine(&mut self.kernel, root);
                self.asid_is_free(pool);
                return Err(error);
            }
        }
        Ok(())
    }

    fn make_flusher(&mut self, root: Object, priority: u8) -> Result<Object> {
        let endpoint = self.allocate_alone(Blueprint::Endpoint)?;
        let made = self.make_flushing_thread(root, endpoint, priority);
        if made.is_err() {
            self.alloc.free_or_quarantine(&mut self.kernel, endpoint);
        }
        made
    }

    fn make_flushing_thread(
        &mut self,
        root: Object,
        endpoint: Object,
        priority: u8,
    ) -> Result<Object> {
        let tcb = self.allocate_alone(Blueprint::Tcb)?;
        let cspace = self.alloc.cspace_root();
        let set = self
            .kernel
            .tcb_set_space(tcb.slot(), endpoint.slot(), cspace, root.slot())
            .map_err(Error::from)
            .and_then(|()| {
                let set = self.kernel.tcb_set_priority(tcb.slot(), priority);
                set.map_err(Error::from)
            });
        if let Err(error) = set {
            self.alloc.free_or_quarantine(&mut self.kernel, tcb);
            return Err(error);
        }
        Ok(tcb)
    }

    /// An object that came with no others. It stays as long as the manager does, and the memory of
    /// others of its batch would not come back.
    fn allocate_alone(&mut self, blueprint: Blueprint) -> Result<Object> {
        let alone =
            self.alloc_or_prune(|alloc, kernel| alloc.allocate_many(kernel, blueprint, 1))?;
        Ok(alone.get(0).ok_or(untyped_alloc::Error::ZeroCount)?)
    }
}
