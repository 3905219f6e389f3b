// SPDX-License-Identifier: BSD-2-Clause
//! Replacing a frame under a mapped page: another one with the same contents takes its place.

use untyped_alloc::{CachePolicy, Frames, Kernel, Memory};

use crate::manager::vmm::Vmm;
use crate::state::extent::Extent;
use crate::state::reserve::Reserve;
use crate::state::space::Space;
use crate::state::temp_slots::TempSlot;
use crate::types::error::{Error, NodeKind, Result};
use crate::types::mapping::Source;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Puts a new frame, of the smallest size and with any contents, in the place of one of an
    /// extent's: it gets the old one's contents, and is the space's own. `cow` says whether it is
    /// under copy-on-write. Six kernel calls and a copy; seven for a copied capability's. Fails
    /// with all as it was and the new frame freed; or with the new one recorded and not mapped.
    pub(crate) fn replace_frame(
        &mut self,
        reserve: &mut Reserve,
        space: &'p Space<'p>,
        extent: Extent,
        index: usize,
        frames: Frames,
        cow: bool,
    ) -> Result {
        let piece = extent.part(index, 1);
        // 1. Both nodes that recording can take: once the old page is gone, nothing may be missing.
        let (node, mut spare) = (self.pools.extent(reserve).ok(), self.pools.extent(reserve).ok());
        // 2. The contents are in the new frame, and the old one is unmapped here; or all is as it
        //    was.
        let nodes = node.zip(spare).ok_or(Error::OutOfNodes(NodeKind::Extent));
        let copied = nodes.and_then(|(node, _)| {
            self.copy_out(reserve, space, &piece, frames)?;
            Ok(node)
        });
        let node = match copied {
            Ok(node) => node,
            Err(error) => {
                for node in [node, spare].into_iter().flatten() {
                    self.pools.spare_extent(reserve, node);
                }
                self.free_or_defer(frames);
                return Err(error);
            }
        };
        // 3. The old frame leaves the record. It is mapped nowhere here any more, and a copy of its
        //    capability is deleted: so the count of its users is right from here on.
        let unlinked = space.extents_mut().remove_range(&extent, index, 1, &mut spare);
        self.spare_unlinked(reserve, space, unlinked);
        spare.into_iter().for_each(|node| self.pools.spare_extent(reserve, node));
        if piece.source == Source::Owned {
            self.owner_gone(piece.frames);
        }
        // 4. The new one is recorded before it is mapped: where that is refused, the record says
        //    what the page holds, and the next fault maps it.
        let own = Extent { frames, cow, source: Source::Owned, ..piece };
        self.enter_extent(reserve, space, node, own);
        let mapped = self.map_extent(reserve, space, own).map_err(|(error, _)| error);
        if mapped.is_err() {
            self.restore_extent(reserve, space, own);
        }
        mapped
    }

    /// As [`Vmm::copy_out`], of a page that another takes the place of: it counts as mapped all the
    /// time.
    pub(crate) fn copy_page_out(
        &mut self,
        reserve: &mut Reserve,
        space: &'p Space<'p>,
        page: &Extent,
        to: Frames,
    ) -> Result {
        self.page_unmap(space, page.mapped(0))?;
        let copied = self.copy_and_delete(reserve, page, to);
        if copied.is_err() {
            // What the kernel refuses to map now is mapped by a fault.
            let _ = self.map_replaced(space, page);
        }
        copied
    }

    /// Maps a page that is recorded as mapped, and is not for the moment: twice, if need be. What
    /// is refused is noted.
    pub(crate) fn map_replaced(&mut self, space: &'p Space<'p>, page: &Extent) -> Result {
        let to = (page.mapped(0), page.start.bits());
        let (rights, cache) = (page.mapped_rights(), page.cache);
        let mapped = self.page_map(space, to, rights, cache);
        if mapped.is_err() && self.page_map(space, to, rights, cache).is_err() {
            space.undone.pages.set(true);
        }
        mapped.map_err(Error::from)
    }

    /// Copies the contents of a mapped page to `to`, by way of our own space, and takes the page
    /// away: unmapped, and deleted if it is a copy. When a call is refused it is where it was.
    fn copy_out(
        &mut self,
        reserve: &mut Reserve,
        space: &'p Space<'p>,
        piece: &Extent,
        to: Frames,
    ) -> Result {
        // Unmapped before it is copied: no write of another thread may come between the copy and
        // the end of the old page. And before its capability is deleted: the kernel would leave the
        // mapping of a copy behind.
        self.page_unmap(space, piece.mapped(0))?;
        self.record_unmapped(space, piece);
        let copied = self.copy_and_delete(reserve, piece, to);
        if copied.is_err() {
            self.restore_extent(reserve, space, *piece);
        }
        copied
    }

    /// Copies the contents of a page that was just unmapped, and deletes it if it is a copy.
    /// Nothing is mapped at a temporary slot then, unless the kernel refuses that.
    fn copy_and_delete(&mut self, reserve: &mut Reserve, page: &Extent, to: Frames) -> Result {
        // It can be mapped once, so it is free for the temporary slot now.
        let copied =
            self.copy_through_temp_slots(reserve, page, to).and_then(|()| match page.source {
                Source::Copy => self.delete_copy(page.frames.first),
                _ => Ok(()),
            });
        if copied.is_err() {
            // Where that is refused again, the slots see to it before they are used again.
            let _ = self.unmap_temporary(TempSlot::Target);
            let _ = self.unmap_temporary(TempSlot::View);
        }
        copied
    }

    fn copy_through_temp_slots(
        &mut self,
        reserve: &mut Reserve,
        piece: &Extent,
        to: Frames,
    ) -> Result {
        // What is mapped with another cache policy has no place in the direct map.
        let cached = piece.cache == CachePolicy::WriteBack;
        let target = match cached.then(|| self.alias_address(to.first)).flatten() {
            Some(address) => address,
            None => self.map_temporarily(reserve, TempSlot::Target, to.first)?,
        };
        let view = match self.alias_of(piece) {
            Some(address) => address,
            None => {
                self.make_deferred(piece)?;
                self.map_temporarily(reserve, TempSlot::View, piece.frames.first)?
            }
        };
        self.kernel.copy(target, view, self.geometry.page_bytes());
        // Nothing is mapped there where the direct map has served.
        self.unmap_temporary(TempSlot::View)?;
        self.unmap_temporary(TempSlot::Target)
    }
}
