// SPDX-License-Identifier: BSD-2-Clause
//! IPC buffers: for each thread a frame of its own, with an unmapped page on either side.
//!
//! ```text
//!   ┊ guard ┊ buffer: a part of a 4K frame ┊ guard ┊ buffer ┊ guard ┊ … 127 in an arena
//! ```
//!
//! They lie in *arenas*: regions of a space in which one buffer follows the other, so that one more
//! costs hardly more than the two kernel calls that are needed. What is given back is not handed
//! out again: its frame goes at once, its two pages of addresses when all buffers of the arena are
//! back. So an address names one buffer for as long as its arena lives.
//!
//! The kernel writes messages into the *frame* behind the capability the thread was given, not to
//! the address. So a frame must never go to anyone else while a thread still has it: releasing
//! revokes the capability, which takes the buffer from the thread, before the frame is given back.
//! A thread that is released whole has none by then, and nobody else has its buffer but by
//! [`Vmm::set_ipc_buffer`], which is noted.

use page_tables::Pages;
use untyped_alloc::{CPtr, CachePolicy, Kernel, Memory, Rights};

use crate::manager::vmm::Vmm;
use crate::state::extent::Extent;
use crate::state::region::Region;
use crate::state::reserve::Reserve;
use crate::state::space::Space;
use crate::types::error::{Error, Result};
use crate::types::ids::{RegionId, SpaceId};
use crate::types::mapping::Source;
use crate::types::options::RegionOptions;
use crate::types::quota::Resource;
use crate::types::region::ARENA_NAME;
use crate::types::region::{Kind, RegionSpec};
use crate::types::thread::IpcBuffer;

/// Buffers of an arena: it lies below one page table, with the guard below the first.
const ARENA_BUFFERS: usize = 127;

/// Its alignment, in bits.
const ARENA_BITS: u8 = 20;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Makes an IPC buffer in a space: a clear frame of its own, readable and writable, with a
    /// guard page on either side.
    ///
    /// One kernel call when a frame is at hand, besides a page table.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> vmm::Result {
    /// # let vmm = &mut vmm_tests::support::manager();
    /// let space = vmm.own_space();
    /// let (one, two) = (vmm.allocate_ipc_buffer(space)?, vmm.allocate_ipc_buffer(space)?);
    /// // A frame for each, and no page beside them.
    /// assert_ne!(
    ///     vmm.physical_address(space, one.address())?,
    ///     vmm.physical_address(space, two.address())?,
    /// );
    /// assert!(vmm.mapping_at(space, one.address() + 4096)?.is_none());
    /// vmm.release_ipc_buffer(one)?;
    /// vmm.release_ipc_buffer(two)?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::NoSuchSpace`]; [`Error::NoRoom`] where not even three pages of addresses are free;
    /// [`Error::OutOfQuota`]; [`Error::Allocator`] when memory or slots are out.
    pub fn allocate_ipc_buffer(&mut self, space: SpaceId) -> Result<IpcBuffer> {
        let node = self.space(space)?;
        let mapped = node.open_arena.get().and_then(|arena| {
            let address = self.next_in_arena(arena);
            let mapped = self.append_in_arena(node, arena, address)?;
            Some(mapped.map(|frame| (arena, address, frame)))
        });
        let (arena, address, frame) = match mapped {
            Some(mapped) => mapped?,
            None => self.map_in_arena(space)?,
        };
        let (out, back) = arena.arena.get().unwrap_or_default();
        arena.arena.set(Some((out + 1, back)));
        let full = usize::from(out) + 1 == self.arena_room(arena);
        if full {
            node.open_arena.set(None);
        }
        node.change_threads(|threads, registered| (threads + 1, registered));
        Ok(IpcBuffer { region: self.id_of(node, arena), address, frame })
    }

    /// Where the next buffer of an arena goes.
    #[inline(always)]
    fn next_in_arena(&self, arena: &Region<'p>) -> usize {
        let (out, _) = arena.arena.get().unwrap_or_default();
        arena.start().bits() + ((1 + 2 * usize::from(out)) << self.geometry.page_bits)
    }

    /// For how many buffers an arena is, each with the guard above it.
    fn arena_room(&self, arena: &Region<'p>) -> usize {
        arena.pages() / 2
    }

    /// Maps the next buffer of an arena if the one before it is the last one of its extent, the
    /// frame behind that is at hand, and all else is there. `None` if not: nothing was done then.
    #[inline(always)]
    fn append_in_arena(
        &mut self,
        space: &'p Space<'p>,
        arena: &'p Region<'p>,
        address: usize,
    ) -> Option<Result<CPtr>> {
        if !self.is_append(space.id.get(), address) {
            self.begin_in_arena(space, arena, address)?;
        }
        let frames = self.append_cursor.as_ref()?.extent.frames();
        let mapped = self.append()?.map_err(Error::from);
        Some(mapped.map(|()| frames.first.offset(frames.count)))
    }

    #[inline(never)]
    fn begin_in_arena(
        &mut self,
        space: &'p Space<'p>,
        arena: &'p Region<'p>,
        address: usize,
    ) -> Option<()> {
        let address = self.geometry.address(address).ok()?;
        let extent = space.extents().ending_at(address)?;
        let (low, high) = self.between_guards(arena);
        // Buffers are handed out in order, so nothing is mapped further on.
        (address.bits() > low).then_some(())?;
        self.begin_append_to(space, arena, extent, address, high)
    }

    /// Maps the next buffer of a space's arena, which is made if there is none with room. Returns
    /// the arena, the buffer's address and its frame.
    fn map_in_arena(&mut self, space: SpaceId) -> Result<(&'p Region<'p>, usize, CPtr)> {
        self.under_pressure_reclaiming(|vmm| vmm.try_map_in_arena(space))
    }

    fn try_map_in_arena(&mut self, space: SpaceId) -> Result<(&'p Region<'p>, usize, CPtr)> {
        let reserve = &mut self.refill_to_take()?;
        let space = self.space(space)?;
        self.check_quota(space, Resource::Frames, 1)?;
        let arena = match space.open_arena.get() {
            Some(arena) => arena,
            None => self.open_arena(reserve, space)?,
        };
        let address = self.next_in_arena(arena);
        let page = self.geometry.range(Pages::at(address))?;
        let site = self.site(space, arena);
        if let Err(error) = self.commit_page(reserve, &site, page) {
            self.close_empty_arena(space, arena);
            return Err(error);
        }
        let extent = self.ipc_buffer_extent(space, address)?;
        Ok((arena, address, extent.frame(extent.index_of(page.start()))))
    }

    /// Makes an arena: for 127 buffers, or for one where addresses are short.
    fn open_arena(
        &mut self,
        reserve: &mut Reserve,
        space: &'p Space<'p>,
    ) -> Result<&'p Region<'p>> {
        let options = |buffers: usize, bits| {
            let pages = RegionOptions::new(2 * buffers).guarded(1, 0).aligned(bits);
            pages.named(ARENA_NAME).kind(Kind::IpcBuffer)
        };
        let arena = match self.place_region(reserve, space, &options(ARENA_BUFFERS, ARENA_BITS)) {
            Err(Error::NoRoom { .. }) => self.place_region(reserve, space, &options(1, 0))?,
            placed => placed?,
        };
        arena.arena.set(Some((0, 0)));
        space.open_arena.set(Some(arena));
        Ok(arena)
    }

    /// Gives the addresses of an arena back if all its buffers are.
    fn close_empty_arena(&mut self, space: &'p Space<'p>, arena: &'p Region<'p>) {
        let (out, back) = arena.arena.get().unwrap_or_default();
        if out != back {
            return;
        }
        if space.open_arena.get().is_some_and(|open| core::ptr::eq(open, arena)) {
            space.open_arena.set(None);
        }
        // The node may be any region's next.
        arena.arena.set(None);
        let node = space.regions_mut().remove(arena);
        self.pools.regions.free(node);
    }

    /// Makes an IPC buffer of memory that is mapped already, at `address` (bytes) in `region`: for
    /// a thread whose buffer must lie in a certain place. The region, which has no page but that
    /// one and its guards, is the buffer's from now on, and goes with it.
    ///
    /// # Errors
    /// [`Error::BadIpcBuffer`] when the address is not aligned to a buffer's size
    /// ([`ObjectSizes::ipc_buffer_bytes`](crate::ObjectSizes)), the memory cannot be
    /// written, is not cached like ordinary memory, or is device memory (then with its physical
    /// address); [`Error::NotOnePage`] for a region of more pages; [`Error::NotMapped`],
    /// [`Error::OutsideRegion`]; [`Error::WrongKind`] for what is not plain memory;
    /// [`Error::Shared`] when another region has it too; [`Error::NotManaged`] when the caller
    /// brought it.
    pub fn ipc_buffer_in(&mut self, region: RegionId, address: usize) -> Result<IpcBuffer> {
        self.under_pressure_reclaiming(|vmm| vmm.try_ipc_buffer_in(region, address))
    }

    fn try_ipc_buffer_in(&mut self, region: RegionId, address: usize) -> Result<IpcBuffer> {
        let (space, node) = self.region(region)?;
        if address & (self.alloc.sizes().ipc_buffer_bytes() - 1) != 0 {
            return Err(Error::BadIpcBuffer { address });
        }
        let page = address & !(self.geometry.page_bytes() - 1);
        let (around, range) = self.caller_range(space, Pages::at(page))?;
        if !core::ptr::eq(around, node) {
            return Err(Error::OutsideRegion { address, name: node.spec().name });
        }
        self.check_unpinned(space, node)?;
        let (spec, pages) = (node.spec(), self.usable(node).map_or(0, |usable| usable.pages()));
        if spec.kind != Kind::Memory {
            return Err(self.wrong_kind(space, node));
        }
        if pages != 1 {
            return Err(Error::NotOnePage { region, pages });
        }
        self.check_mapped(space, range)?;
        let extent = self.ipc_buffer_extent(space, address)?;
        let piece = extent.part(extent.index_of(range.start()), 1);
        let frame = piece.frames.first;
        match extent.source {
            Source::Owned if self.refcounts.any_in(&piece.frames) || extent.cow => {
                return Err(Error::Shared { address })
            }
            Source::Owned => {}
            Source::Copy => return Err(Error::Shared { address }),
            Source::Borrowed => return Err(Error::NotManaged { address }),
            Source::Physical => {
                let address = self.kernel.page_get_address(frame)?;
                return Err(Error::BadIpcBuffer { address });
            }
        }
        if !extent.rights.contains(Rights::READ_WRITE) || extent.cache != CachePolicy::WriteBack {
            return Err(Error::BadIpcBuffer { address });
        }
        let spec = RegionSpec { kind: Kind::IpcBuffer, ..spec };
        space.regions_mut().set_spec(node, spec);
        space.change_threads(|threads, registered| (threads + 1, registered));
        Ok(IpcBuffer { region, address, frame })
    }

    /// Makes an IPC buffer that shares its page with others of the same space, as many as fit in it
    /// (eight on IA32, four on x86_64): for threads that trust each other, where memory is short.
    /// Mostly no kernel call.
    ///
    /// What is given back is not handed out again before all of the page is: no two threads ever
    /// have the same buffer, and the page is taken from all of them at once.
    pub fn allocate_packed_ipc_buffer(&mut self, space: SpaceId) -> Result<IpcBuffer> {
        let node = self.space(space)?;
        if let Some(open) = node.open_packed.get() {
            if let Ok((_, region)) = self.region(open) {
                return self.next_packed(node, region, open);
            }
        }
        let options = RegionOptions::new(1).named("packed IPC").guarded(1, 1);
        let region = self.map(space, &options.kind(Kind::IpcBuffer))?;
        let (_, page) = self.region(region)?;
        self.next_packed(node, page, region)
    }

    fn next_packed(
        &mut self,
        space: &'p Space<'p>,
        region: &Region<'p>,
        id: RegionId,
    ) -> Result<IpcBuffer> {
        let page = id.start().bits() + self.geometry.page_bytes();
        let extent = self.ipc_buffer_extent(space, page)?;
        let (handed_out, back) = region.packed.get();
        region.packed.set((handed_out + 1, back));
        let bytes = self.alloc.sizes().ipc_buffer_bytes();
        let full = usize::from(handed_out) + 1 == self.geometry.page_bytes() / bytes;
        space.open_packed.set(if full { None } else { Some(id) });
        space.change_threads(|threads, registered| (threads + 1, registered));
        let address = page + usize::from(handed_out) * bytes;
        Ok(IpcBuffer { region: id, address, frame: extent.frames.first })
    }

    /// Gives a packed buffer back, and the page if it was the last of it.
    fn release_packed(
        &mut self,
        space: &'p Space<'p>,
        region: &'p Region<'p>,
        buffer: IpcBuffer,
    ) -> Result {
        let (handed_out, back) = region.packed.get();
        let bit = self.packed_bit(buffer.address);
        if u32::from(handed_out) == (back | bit).count_ones() {
            self.alloc.revoke_frame(&mut self.kernel, buffer.frame)?;
            self.free_page(space, region, buffer)?;
            if space.open_packed.get() == Some(buffer.region) {
                space.open_packed.set(None);
            }
        } else {
            region.packed.set((handed_out, back | bit));
        }
        space.change_threads(|threads, registered| (threads - 1, registered));
        // Pages may move again if no other thread's faults go unanswered.
        self.compaction.look_again();
        Ok(())
    }

    /// Gives frame and addresses back of a page that no thread has any more.
    fn free_page(
        &mut self,
        space: &'p Space<'p>,
        region: &'p Region<'p>,
        buffer: IpcBuffer,
    ) -> Result {
        let Some((out, back)) = region.arena.get() else {
            return self.release_region(&mut Reserve::as_it_is(), space, region);
        };
        // The extent that it is in may be cut in two.
        let reserve = &mut self.refill_to_free();
        let page = self.geometry.range(Pages::at(buffer.address))?;
        self.unmap_range(reserve, space, page)?;
        region.arena.set(Some((out, back + 1)));
        self.close_empty_arena(space, region);
        Ok(())
    }

    /// The bit for a packed buffer among those of its page.
    fn packed_bit(&self, address: usize) -> u8 {
        let bits = self.alloc.sizes().ipc_buffer_bits;
        1 << ((address & (self.geometry.page_bytes() - 1)) >> bits)
    }

    /// The space and region of a buffer that was not given back yet.
    fn live_ipc_buffer(&self, buffer: IpcBuffer) -> Result<(&'p Space<'p>, &'p Region<'p>)> {
        let gone = Error::NoSuchIpcBuffer { address: buffer.address };
        let (space, region) = self.region(buffer.region).map_err(|_| gone)?;
        let (_, back) = region.packed.get();
        if back != 0 && back & self.packed_bit(buffer.address) != 0 {
            return Err(gone);
        }
        let at = self.geometry.address(buffer.address)?;
        match space.extents().frame_at(at) == Some(buffer.frame) {
            true => Ok((space, region)),
            false => Err(gone),
        }
    }

    /// Makes it the IPC buffer of the thread `tcb`. One kernel call. The thread must run in the
    /// buffer's space.
    ///
    /// # Errors
    /// [`Error::NoSuchIpcBuffer`] when it was released; [`Error::Kernel`].
    pub fn set_ipc_buffer(&mut self, tcb: CPtr, buffer: IpcBuffer) -> Result {
        let (space, _) = self.live_ipc_buffer(buffer)?;
        space.buffers_lent.set(true);
        self.invoke_set_ipc_buffer(tcb, buffer)
    }

    /// As [`Vmm::set_ipc_buffer`], of a buffer that was just made, for a thread that goes with it.
    pub(crate) fn invoke_set_ipc_buffer(&mut self, tcb: CPtr, buffer: IpcBuffer) -> Result {
        self.kernel.tcb_set_ipc_buffer(tcb, buffer.address, buffer.frame)?;
        if buffer.region.space() == self.own_space() {
            self.kernel.inner_mut().note_own_buffer(tcb, buffer.address);
        }
        Ok(())
    }

    /// Takes the buffer from whatever thread has it, and gives its frame back. Two kernel calls. A
    /// thread that is still to run needs another buffer first.
    ///
    /// # Errors
    /// [`Error::NoSuchIpcBuffer`] when it was released before; [`Error::Kernel`], and then it is
    /// still there, to be released again.
    pub fn release_ipc_buffer(&mut self, buffer: IpcBuffer) -> Result {
        self.release_buffer(buffer, true)
    }

    /// As [`Vmm::release_ipc_buffer`]; where `had` is false, no thread has it that was made with
    /// it.
    pub(crate) fn release_buffer(&mut self, buffer: IpcBuffer, had: bool) -> Result {
        let (space, region) = self.live_ipc_buffer(buffer)?;
        self.check_buffer_unpinned(buffer)?;
        if region.spec().kind != Kind::IpcBuffer {
            return Err(self.wrong_kind(space, region));
        }
        if region.packed.get() != (0, 0) {
            return self.release_packed(space, region, buffer);
        }
        if had || space.buffers_lent.get() {
            self.alloc.revoke_frame(&mut self.kernel, buffer.frame)?;
        }
        self.free_page(space, region, buffer)?;
        space.change_threads(|threads, registered| (threads - 1, registered));
        // Pages may move again if no other thread's faults go unanswered.
        self.compaction.look_again();
        Ok(())
    }

    /// The IPC buffer with the lowest address in a region of IPC buffers that are not packed: to
    /// release all of them one by one. O(log extents).
    ///
    /// # Errors
    /// [`Error::NoSuchRegion`]; [`Error::WrongKind`] for a region of another kind;
    /// [`Error::NotMapped`] when there is no buffer in it.
    pub fn first_ipc_buffer_in(&self, region: RegionId) -> Result<IpcBuffer> {
        let info = self.region_info(region)?;
        if info.kind != Kind::IpcBuffer {
            return Err(Error::WrongKind { region, name: info.name });
        }
        let first = self.space(region.space)?.extents().first_in(info.range);
        let (address, name) = (info.range.start().bits(), info.name);
        let missing = Error::NotMapped { address, name };
        let extent = first.ok_or(missing)?;
        Ok(IpcBuffer { region, address: extent.start.bits(), frame: extent.frames.first })
    }

    /// The IPC buffer, not a packed one, at an address (bytes). O(log regions).
    ///
    /// # Errors
    /// [`Error::NoSuchSpace`], [`Error::NoSuchIpcBuffer`].
    pub fn ipc_buffer_at(&self, space: SpaceId, address: usize) -> Result<IpcBuffer> {
        let none = Error::NoSuchIpcBuffer { address };
        let space = self.space(space)?;
        let at = self.geometry.address(address).map_err(|_| none)?;
        let region = space.regions().at(at).ok_or(none)?;
        let extent = space.extents().at(at).ok_or(none)?;
        let index = extent.index_of(at);
        match region.spec().kind == Kind::IpcBuffer && extent.address(index) == at {
            true => {
                let region = self.id_of(space, region);
                Ok(IpcBuffer { region, address, frame: extent.frame(index) })
            }
            false => Err(none),
        }
    }

    fn ipc_buffer_extent(&self, space: &Space<'p>, address: usize) -> Result<Extent> {
        let address = self.geometry.address(address)?;
        let extent = space.extents().at(address);
        extent.ok_or_else(|| space.not_mapped(address.bits()))
    }
}
