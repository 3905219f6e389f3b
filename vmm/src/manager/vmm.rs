// SPDX-License-Identifier: BSD-2-Clause
//! The manager: what it is made of, and how its parts are reached.

use page_tables::{Geometry, PageRange, Pages};
use untyped_alloc::{Allocator, CPtr, CallCounts, Counted, Kernel, Memory, Numbers, Object};

use crate::manager::pins::Pinned;
use crate::manager::pools::Pools;
use crate::state::append_cursor::AppendCursor;
use crate::state::asids::AsidPools;
use crate::state::compaction::CompactionState;
use crate::state::direct_map::DirectMap;
use crate::state::open_blocks::OpenBlocks;
use crate::state::page_requests::Requests;
use crate::state::passage::Passage;
use crate::state::promotion::Promotions;
use crate::state::refcounts::FrameRefcounts;
use crate::state::region::Region;
use crate::state::reserve::Bookkeeping;
use crate::state::site::Site;
use crate::state::space::{Space, Spaces};
use crate::state::temp_slots::TempSlots;
use crate::state::threads::Threads;
use crate::types::architecture::TlsVariant;
use crate::types::error::{Error, Result};
use crate::types::ids::{RegionId, SpaceId};
use crate::types::region::RegionSpec;

/// The virtual-memory manager of one root task: untyped memory, capability slots, and the address
/// spaces that are made of them.
///
/// `K` is the kernel: `sel4::Sel4` on seL4. `'p` is how long book-keeping memory lives.
/// Operations are O(log n) in regions, untypeds and spaces, plus the pages they touch. One that
/// fails leaves everything as it was, unless its error says otherwise, and can be repeated.
///
/// The examples of the methods are run on a model kernel; on seL4, `vmm` is what `sel4::start`
/// returns, and all else is the same. `RECIPES.md` has whole programs.
pub struct Vmm<'p, K> {
    pub(crate) kernel: Counted<K>,
    pub(crate) geometry: Geometry,
    pub(crate) tls: TlsVariant,
    pub(crate) alloc: Allocator<'p>,
    pub(crate) pools: Pools<'p>,
    pub(crate) spaces: Spaces<'p>,
    pub(crate) own: &'p Space<'p>,
    pub(crate) bookkeeping: Bookkeeping,
    pub(crate) temp_slots: TempSlots,
    /// Where frames have their second mappings, if they have.
    pub(crate) direct_map: Option<DirectMap>,
    /// Frames of callers that are mapped, in all spaces: while there are none, nothing that is
    /// freed need be looked for in the extents.
    pub(crate) borrowed: usize,
    /// Pages that are mapped of memory asked for by physical address.
    pub(crate) physical: usize,
    /// Frames asked for by physical address that only others have whom they were shared with.
    pub(crate) physical_left: usize,
    /// Memory that must stay as it is.
    pub(crate) pinned: Pinned,
    /// Regions and records of copies in quarantine.
    pub(crate) quarantined: usize,
    pub(crate) asids: AsidPools,
    pub(crate) refcounts: FrameRefcounts<'p>,
    pub(crate) threads: Threads<'p>,
    pub(crate) requests: Requests<'p>,
    /// The serial number of the region that was made last.
    pub(crate) serial: u64,
    /// The highest badge that [`Vmm::mint_ascending_badge`] made.
    pub(crate) highest_badge: usize,
    pub(crate) space_numbers: Numbers,
    /// The serial number of the space that was made last.
    pub(crate) last_space: u64,
    /// Where the page goes that goes on where the last one ended.
    pub(crate) append_cursor: Option<AppendCursor<'p>>,
    /// The site of the last request for a single page.
    pub(crate) site: Option<Site<'p>>,
    /// The space that pages were shared of last, and the region that they came into.
    pub(crate) last_shared: Option<(SpaceId, RegionId)>,
    /// The regions between which single pages were shared last.
    pub(crate) passage: Option<Passage<'p>>,
    /// Where single pages were mapped of late.
    pub(crate) open_blocks: OpenBlocks<'p>,
    /// Whether an append cursor is ever begun, a site kept, or a block.
    pub(crate) short_cuts: bool,
    /// How many pages of a page table are to be changed for it to be detached, at the least.
    pub(crate) min_detached: usize,
    pub(crate) compaction: CompactionState,
    /// Large pages that are made of small ones in the background.
    pub(crate) promotions: Promotions<'p>,
    /// Kernel calls that gave pages which are recorded as mapped their mappings again.
    pub(crate) calls_to_map_recorded: u64,
    /// The thread that empties the TLB, if there is one.
    pub(crate) flusher: Option<Object>,
}

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// The pages of a region that can be mapped: all but its guards. None for an edge of a
    /// reservation.
    pub(crate) fn usable(&self, region: &Region<'_>) -> Option<PageRange> {
        let spec = region.spec();
        let whole = self.geometry.range(Pages::at(region.start().bits()).count(spec.pages)).ok()?;
        let guards = usize::from(spec.guard_below) + usize::from(spec.guard_above);
        whole.part(usize::from(spec.guard_below), spec.pages.checked_sub(guards)?)
    }

    /// Where the pages between the guards of a region (no edge) start and end, in bytes.
    #[inline(always)]
    pub(crate) fn between_guards(&self, region: &Region<'_>) -> (usize, usize) {
        self.between_guards_as(region, &region.spec())
    }

    /// The same, where what the region is was looked at already.
    #[inline(always)]
    pub(crate) fn between_guards_as(
        &self,
        region: &Region<'_>,
        spec: &RegionSpec,
    ) -> (usize, usize) {
        let bits = self.geometry.page_bits;
        let (start, end) = (region.start().bits(), region.start().bits() + (spec.pages << bits));
        let guard = |pages: u16| usize::from(pages) << bits;
        (start + guard(spec.guard_below), end - guard(spec.guard_above))
    }

    pub(crate) fn id_of(&self, space: &Space<'p>, region: &Region<'_>) -> RegionId {
        RegionId { space: space.id.get(), start: region.start(), serial: region.serial() }
    }

    /// The refusal of a region that an operation is not for.
    #[cold]
    pub(crate) fn wrong_kind(&self, space: &Space<'p>, region: &Region<'_>) -> Error {
        Error::WrongKind { region: self.id_of(space, region), name: region.spec().name }
    }

    /// The region all of whose pages of these a caller may map and unmap.
    pub(crate) fn caller_range(
        &self,
        space: &'p Space<'p>,
        pages: Pages,
    ) -> Result<(&'p Region<'p>, PageRange)> {
        let range = self.geometry.range(pages)?;
        let start = pages.start();
        let region = space.regions().at(range.start()).ok_or_else(|| space.outside(start))?;
        let spec = region.spec();
        if !spec.is_callers() {
            return Err(self.wrong_kind(space, region));
        }
        let (low, high) = self.between_guards_as(region, &spec);
        if low <= start && range.end() <= high {
            return Ok((region, range));
        }
        Err(self.beyond_guards(region, start))
    }

    /// Why a range that begins in a region, at `start`, is not all between its guards.
    #[cold]
    fn beyond_guards(&self, region: &Region<'p>, start: usize) -> Error {
        let RegionSpec { name, pages, .. } = region.spec();
        let Some(usable) = self.usable(region) else {
            return Error::OutsideRegion { address: start, name };
        };
        let end = region.start().bits() + (pages << self.geometry.page_bits);
        if start < usable.start().bits() || start >= usable.end() {
            Error::Guard { address: start, name }
        } else if usable.end() < end {
            Error::Guard { address: usable.end(), name }
        } else {
            Error::OutsideRegion { address: end, name }
        }
    }

    /// The space the manager itself runs in.
    pub fn own_space(&self) -> SpaceId {
        self.own.id.get()
    }

    /// Makes `most` the greatest badge of a thread and the greatest number of a space from now on:
    /// for tests that go through all of them. To be called before any thread is registered.
    #[doc(hidden)]
    pub fn narrow_numbers(&mut self, most: u32) {
        self.threads.narrow(most);
        self.space_numbers = Numbers::up_to(most);
    }

    /// Detaches page tables of which `pages` are to be changed, or more: for tests, which have few.
    #[doc(hidden)]
    pub fn detach_from(&mut self, pages: usize) {
        self.min_detached = pages;
    }

    /// The paging geometry.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// The allocator beneath, for looking at it.
    pub fn allocator(&self) -> &Allocator<'p> {
        &self.alloc
    }

    /// The kernel beneath. What is invoked on it directly is not counted, and must not touch what
    /// the manager has handed out.
    pub fn kernel(&self) -> &K {
        self.kernel.inner()
    }

    /// The kernel beneath, to be invoked. As [`Vmm::kernel`].
    pub fn kernel_mut(&mut self) -> &mut K {
        self.kernel.inner_mut()
    }

    /// Kernel calls made so far, by kind.
    pub fn kernel_calls(&self) -> CallCounts {
        self.kernel.counts()
    }

    /// The capability to a space's root paging structure: what a thread is given as its VSpace.
    ///
    /// # Errors
    /// [`Error::NoSuchSpace`].
    pub fn vspace(&self, space: SpaceId) -> Result<CPtr> {
        Ok(self.space(space)?.root.get())
    }

    /// The CNode capability that resolves every CPtr of the manager's CSpace: the root to give to a
    /// thread that shares it.
    pub fn cspace_root(&self) -> CPtr {
        self.alloc.cspace_root()
    }

    /// Looks a space up.
    #[inline]
    pub(crate) fn space(&self, id: SpaceId) -> Result<&'p Space<'p>> {
        if id == self.own.id.get() {
            return Ok(self.own);
        }
        self.spaces.find(id).ok_or(Error::NoSuchSpace(id))
    }

    /// Looks a region up, with its space.
    #[inline]
    pub(crate) fn region(&self, id: RegionId) -> Result<(&'p Space<'p>, &'p Region<'p>)> {
        let space = self.space(id.space)?;
        let region = space.regions().find(id.start, id.serial);
        region.map(|region| (space, region)).ok_or(Error::NoSuchRegion(id))
    }

    /// A serial number for a region: no other, of any space, has had it. 0 stands for no
    /// reservation and for the null page.
    pub(crate) fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }
}
