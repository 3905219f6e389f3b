// SPDX-License-Identifier: BSD-2-Clause
//! Reading the memory of any space: how a stack is looked at whose thread has faulted.

use untyped_alloc::{CPtr, Kernel, Memory, Rights};

use crate::manager::vmm::Vmm;
use crate::state::extent::Extent;
use crate::state::space::Space;
use crate::state::temp_slots::TempSlot;
use crate::types::error::{Error, Result};
use crate::types::ids::SpaceId;
use crate::types::mapping::Source;
use crate::types::region::Kind;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Reads the bytes at the address `start` of a space, where pages are mapped that may be read.
    /// In the manager's own space that takes no kernel call, in a store two a page, elsewhere four;
    /// or none for one in the direct map.
    ///
    /// Memory that was asked for by physical address is not read, as it may be a device's; in other
    /// spaces neither is what the caller brought, nor a large page.
    ///
    /// # Errors
    /// [`Error::NoSuchSpace`]; [`Error::Address`]; [`Error::NotMapped`] with the first address that
    /// is not, or not to be read; [`Error::NotManaged`], [`Error::LargePage`]; [`Error::Kernel`]
    /// and what is wanting for a capability more. `bytes` may be filled in part then.
    pub fn read(&mut self, space: SpaceId, start: usize, bytes: &mut [u8]) -> Result {
        let page = self.geometry.page_bytes();
        let mut at = start;
        let mut rest = bytes;
        while !rest.is_empty() {
            let (now, later) = rest.split_at_mut(rest.len().min(page - at % page));
            self.read_in_page(space, at, now)?;
            (rest, at) = (later, at.wrapping_add(now.len()));
        }
        self.space(space).map(|_| ())
    }

    /// The same within one page.
    fn read_in_page(&mut self, id: SpaceId, at: usize, bytes: &mut [u8]) -> Result {
        let space = self.space(id)?;
        let own = core::ptr::eq(space, self.own);
        let address = self.geometry.address(at)?;
        let extent = space.extents().at(address).filter(|extent| extent.maps(address));
        let Some(extent) = extent.filter(|extent| extent.rights.contains(Rights::READ)) else {
            let region = space.regions().at(address).filter(|region| !region.is_edge());
            let image = region.is_some_and(|region| {
                let (low, high) = self.between_guards(region);
                region.spec().kind == Kind::Boot && (low..high).contains(&at)
            });
            if !(own && image) {
                return Err(space.not_mapped(at));
            }
            self.kernel.read(at, bytes);
            return Ok(());
        };
        let index = extent.index_of(address);
        match extent.source {
            source if self.is_physical(extent.frame(index), source) => {
                Err(Error::NotManaged { address: at })
            }
            _ if own => {
                self.kernel.read(at, bytes);
                Ok(())
            }
            Source::Borrowed => Err(Error::NotManaged { address: at }),
            _ if extent.frames.size_bits != self.geometry.page_bits => {
                Err(Error::LargePage { address: at })
            }
            _ => {
                let page = self.geometry.page_bytes();
                let piece = extent.part(index, 1);
                self.with_frame((space, &piece), TempSlot::View, |kernel, window, _| {
                    kernel.read(window + at % page, bytes);
                })
            }
        }
    }

    /// Has a frame of a space, as an extent of one page, looked at in the manager's own space: in
    /// the direct map; by its capability, which in a store is mapped nowhere; or through a copy of
    /// that, as it can be mapped but once. `look` is told where, and a capability by which it is
    /// mapped: for instructions to be made visible by.
    pub(super) fn with_frame(
        &mut self,
        (space, piece): (&Space<'p>, &Extent),
        at: TempSlot,
        look: impl FnOnce(&mut K, usize, CPtr),
    ) -> Result {
        let reserve = &mut self.refill()?;
        // What is to be fetched as instructions is written by the capability that can say so.
        let executed = piece.rights.contains(Rights::EXECUTE) && self.geometry.has_no_execute;
        let frame = piece.frames.first;
        let origin = self.capability_of(frame);
        let alias = if executed && (space.store.get() || origin != frame) {
            None
        } else {
            self.alias_of(piece)
        };
        if let Some(address) = alias {
            look(self.kernel.inner_mut(), address, frame);
            return Ok(());
        }
        if space.store.get() {
            self.make_deferred(piece)?;
            let window = self.map_temporarily(reserve, at, frame)?;
            look(self.kernel.inner_mut(), window, frame);
            // Where that is refused, whoever takes the page from the store sees to it first.
            return self.unmap_temporary(at);
        }
        self.retry_stuck()?;
        let slot = self.alloc_or_prune(|alloc, kernel| alloc.alloc_kept_slots(kernel, 1))?;
        let from = self.alloc.path(origin);
        let copied = self.fill_slot(slot, |kernel, to| kernel.cnode_copy(to, from, Rights::all()));
        let looked = copied.and_then(|()| {
            let window = self.map_temporarily(reserve, at, slot)?;
            let mapped = if origin == frame { frame } else { slot };
            look(self.kernel.inner_mut(), window, mapped);
            Ok(())
        });
        let dropped = self.delete_temporary(slot);
        looked.and(dropped)
    }
}
