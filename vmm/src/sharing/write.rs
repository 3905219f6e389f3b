// SPDX-License-Identifier: BSD-2-Clause
//! Writing into the memory of any space, whatever its mappings allow: how a program is loaded.

use page_tables::Pages;
use untyped_alloc::{Kernel, Memory, Rights};

use crate::manager::vmm::Vmm;
use crate::state::temp_slots::TempSlot;
use crate::types::error::{Error, Result};
use crate::types::ids::SpaceId;
use crate::types::mapping::Source;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Writes `bytes` at the address `start` of a space, where small pages of the manager's are
    /// mapped, with any rights. Four kernel calls a page, two in a store, besides breaking
    /// copy-on-write.
    ///
    /// # Errors
    /// [`Error::NotMapped`], [`Error::OutsideRegion`], [`Error::WrongKind`] and [`Error::Guard`]
    /// for the range; [`Error::LargePage`]; [`Error::NotManaged`] for memory that the caller
    /// brought; [`Error::Kernel`], and then the pages before the one refused are written, and
    /// perhaps that one.
    pub fn write(&mut self, space: SpaceId, start: usize, bytes: &[u8]) -> Result {
        self.under_pressure(|vmm| vmm.try_write(space, start, bytes))
    }

    fn try_write(&mut self, space: SpaceId, start: usize, bytes: &[u8]) -> Result {
        if bytes.is_empty() {
            self.space(space)?;
            return Ok(());
        }
        let node = self.space(space)?;
        let page = self.geometry.page_bytes();
        let base = start & !(page - 1);
        let end = start.checked_add(bytes.len()).ok_or_else(|| node.outside(start))?;
        let (_, range) =
            self.caller_range(node, Pages::at(base).count((end - base).div_ceil(page)))?;
        if self.check_shareable(node, range)? {
            self.break_cow_in(node, range)?;
        }
        let mut rest = bytes;
        let mut at = start;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(page - at % page));
            let address = self.geometry.address(at)?;
            let extent = node.extents().at(address);
            let extent = extent.ok_or_else(|| node.not_mapped(at))?;
            if extent.frames.size_bits != self.geometry.page_bits {
                return Err(Error::LargePage { address: at });
            }
            debug_assert!(matches!(extent.source, Source::Owned | Source::Copy));
            let piece = extent.part(extent.index_of(address), 1);
            let unify = piece.rights.contains(Rights::EXECUTE) && self.geometry.has_no_execute;
            self.with_frame((node, &piece), TempSlot::Target, |kernel, window, frame| {
                kernel.write(window + at % page, now);
                // Now: what is in a store is mapped nowhere but here.
                if unify {
                    kernel.page_unify(frame, page);
                }
            })?;
            (rest, at) = (later, at + now.len());
        }
        Ok(())
    }
}
