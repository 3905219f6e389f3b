// SPDX-License-Identifier: BSD-2-Clause
//! Writing into the memory of any space, whatever its mappings allow: how a program is loaded, and
//! what others are to have is cleared.

use page_tables::Pages;
use untyped_alloc::{Kernel, Memory, Rights};

use crate::manager::vmm::Vmm;
use crate::state::space::Space;
use crate::state::temp_slots::TempSlot;
use crate::types::error::{Error, Result};
use crate::types::ids::SpaceId;
use crate::types::mapping::Source;

/// What bytes are to be.
#[derive(Clone, Copy)]
enum Fill<'a> {
    Bytes(&'a [u8]),
    /// So many of them zero.
    Zeros(usize),
}

impl<'a> Fill<'a> {
    fn len(self) -> usize {
        match self {
            Fill::Bytes(bytes) => bytes.len(),
            Fill::Zeros(bytes) => bytes,
        }
    }

    /// The first `bytes` of them, of which there are so many, and the others.
    fn split(self, bytes: usize) -> (Fill<'a>, Fill<'a>) {
        match self {
            Fill::Bytes(all) => {
                let (now, later) = all.split_at(bytes);
                (Fill::Bytes(now), Fill::Bytes(later))
            }
            Fill::Zeros(all) => (Fill::Zeros(bytes), Fill::Zeros(all - bytes)),
        }
    }

    /// Has them at an address that is mapped to be written.
    fn write<'p>(self, kernel: &mut impl Memory<'p>, at: usize) {
        match self {
            Fill::Bytes(bytes) => kernel.write(at, bytes),
            Fill::Zeros(bytes) => kernel.zero(at, bytes),
        }
    }
}

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Writes `bytes` at the address `start` of a space, where small pages of the manager's are
    /// mapped, with any rights. Four kernel calls a page, two in a store, besides breaking
    /// copy-on-write. In the manager's own space also into a large page that can be written, all of
    /// them into one, without a call.
    ///
    /// # Errors
    /// [`Error::NotMapped`], [`Error::OutsideRegion`], [`Error::WrongKind`] and [`Error::Guard`]
    /// for the range; [`Error::LargePage`]; [`Error::NotManaged`] for memory that the caller
    /// brought, or that was asked for by physical address; [`Error::Kernel`], and then the pages before the one refused are written, and
    /// perhaps that one.
    pub fn write(&mut self, space: SpaceId, start: usize, bytes: &[u8]) -> Result {
        self.under_pressure(|vmm| vmm.try_write(space, start, Fill::Bytes(bytes)))
    }

    /// As [`Vmm::write`], so many zeros: nothing of what they overwrite can be read any more. What
    /// a large page holds is cleared in pieces by this.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> vmm::Result {
    /// # let vmm = &mut vmm_tests::support::manager();
    /// use vmm::RegionOptions;
    ///
    /// let space = vmm.own_space();
    /// let start = vmm.map(space, &RegionOptions::new(2))?.start().bits();
    /// vmm.write(space, start, &[7; 8])?;
    /// vmm.zero(space, start + 2, 4096)?;
    /// let mut there = [1; 8];
    /// vmm.read(space, start, &mut there)?;
    /// assert_eq!(there, [7, 7, 0, 0, 0, 0, 0, 0]);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`Vmm::write`].
    pub fn zero(&mut self, space: SpaceId, start: usize, bytes: usize) -> Result {
        self.under_pressure(|vmm| vmm.try_write(space, start, Fill::Zeros(bytes)))
    }

    fn try_write(&mut self, space: SpaceId, start: usize, fill: Fill<'_>) -> Result {
        if fill.len() == 0 {
            self.space(space)?;
            return Ok(());
        }
        let node = self.space(space)?;
        let page = self.geometry.page_bytes();
        let base = start & !(page - 1);
        let end = start.checked_add(fill.len()).ok_or_else(|| node.outside(start))?;
        let (_, range) =
            self.caller_range(node, Pages::at(base).count((end - base).div_ceil(page)))?;
        if self.has_in_large(node, (start, end)) {
            fill.write(self.kernel.inner_mut(), start);
            return Ok(());
        }
        if self.check_managed(node, range)? {
            self.break_cow_in(node, range)?;
        }
        let mut rest = fill;
        let mut at = start;
        while rest.len() != 0 {
            let (now, later) = rest.split(rest.len().min(page - at % page));
            let address = self.geometry.address(at)?;
            let extent = node.extents().at(address);
            let extent = extent.ok_or_else(|| node.not_mapped(at))?;
            if extent.frames.size_bits != self.geometry.page_bits {
                return Err(Error::LargePage { address: at });
            }
            debug_assert!(matches!(extent.source, Source::Owned | Source::Copy));
            let piece = extent.part(extent.index_of(address), 1);
            self.note_used(&piece);
            let unify = piece.rights.contains(Rights::EXECUTE) && self.geometry.has_no_execute;
            self.with_frame((node, &piece), TempSlot::Target, |kernel, window, frame| {
                now.write(kernel, window + at % page);
                // Now: what is in a store is mapped nowhere but here.
                if unify {
                    kernel.page_unify(frame, page);
                }
            })?;
            (rest, at) = (later, at + now.len());
        }
        Ok(())
    }

    /// Whether these addresses lie in one large page of the manager's own space, where it is mapped
    /// to be written.
    fn has_in_large(&self, space: &Space<'p>, (start, end): (usize, usize)) -> bool {
        let at = self.geometry.address(start).ok();
        let extent = at.and_then(|at| space.extents().at(at));
        let Some((at, extent)) = at.zip(extent) else { return false };
        let large = extent.part(extent.index_of(at), 1);
        core::ptr::eq(space, self.own)
            && large.frames.size_bits != self.geometry.page_bits
            && end <= large.end()
            && matches!(large.source, Source::Owned | Source::Copy)
            && large.mapped_rights().contains(Rights::WRITE)
            && !large.rights.contains(Rights::EXECUTE)
    }
}
