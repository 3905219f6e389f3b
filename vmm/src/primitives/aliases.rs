// SPDX-License-Identifier: BSD-2-Clause
//! Frames at their place in the direct map, where there is one.

use untyped_alloc::{CPtr, CachePolicy, Frames, Kernel, Memory};

use crate::manager::vmm::Vmm;
use crate::state::extent::Extent;
use crate::types::error::Result;
use crate::types::mapping::Source;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Where a frame of the smallest size, by its own capability, is mapped in the direct map: for
    /// good, from its first use on. No kernel call, or two for the first. `None` without a direct
    /// map, for what the allocator does not recycle, and where a slot or a node is wanting, or the
    /// kernel refuses: then a temporary slot serves.
    #[inline]
    pub(crate) fn alias_address(&mut self, frame: CPtr) -> Option<usize> {
        match self.direct_map {
            None => None,
            Some(_) => self.alias_address_in_map(frame),
        }
    }

    #[inline(never)]
    fn alias_address_in_map(&mut self, frame: CPtr) -> Option<usize> {
        let map = self.direct_map.as_ref().filter(|map| map.is_complete())?;
        let (paddr, mapped) = self.alloc.alias(frame)?;
        let address = map.address_of(paddr)?.bits();
        if !mapped {
            let root = self.own.root.get();
            self.alloc.map_alias(&mut self.kernel, frame, root, address).ok()?;
        }
        Some(address)
    }

    /// The same for the frame of an extent of one page of the smallest size, which is mapped
    /// already, by whatever capability. `None` for what is mapped with another cache policy, too.
    pub(crate) fn alias_of(&mut self, piece: &Extent) -> Option<usize> {
        let frame = piece.frames.first;
        let origin = match piece.source {
            Source::Copy => self.refcounts.origin(frame)?,
            _ => frame,
        };
        match piece.cache {
            CachePolicy::WriteBack => self.alias_address(origin),
            _ => None,
        }
    }

    /// Takes frames out of the direct map that are to be mapped with another cache policy than its
    /// own: no two mappings of one frame may differ in that. Two kernel calls for each that is
    /// there.
    ///
    /// # Errors
    /// [`Error::Allocator`](crate::Error::Allocator) with what the kernel refused.
    #[inline]
    pub(crate) fn leave_direct_map(&mut self, cache: CachePolicy, frames: Frames) -> Result {
        if cache == CachePolicy::WriteBack || self.direct_map.is_none() {
            return Ok(());
        }
        Ok(self.alloc.remove_aliases_of(&mut self.kernel, frames)?)
    }
}
