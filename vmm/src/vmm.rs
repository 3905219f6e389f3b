//! The manager: what it is made of, and how its parts are reached.

use core::cell::Cell;

use page_tables::{Geometry, Table};
use untyped_alloc::{
    Allocator, Blueprint, CPtr, CallCounts, Counted, Kernel, Memory, Object, Objects, Pool,
};

use crate::state::append_cursor::{Streak, NO_STREAK};
use crate::state::asids::AsidPools;
use crate::state::extent::Run;
use crate::state::refcounts::{Copies, SharerGroup, Sharers};
use crate::state::region::Region;
use crate::state::requests::Requests;
use crate::state::reserve::Bookkeeping;
use crate::state::space::{Space, Spaces};
use crate::state::temp_slots::Windows;
use crate::state::threads::{Thread, Threads};
use crate::types::error::{Error, NodeKind, Result};
use crate::types::ids::{RegionId, SpaceId};

/// Nodes of this crate that are free.
pub(crate) struct Pools<'p> {
    pub regions: Pool<'p, Region<'p>>,
    pub runs: Pool<'p, Run<'p>>,
    pub tables: Pool<'p, Table<'p>>,
    pub spaces: Pool<'p, Space<'p>>,
    pub sharers: Pool<'p, SharerGroup<'p>>,
    pub copies: Pool<'p, Copies<'p>>,
    pub threads: Pool<'p, Thread<'p>>,
}

impl<'p> Pools<'p> {
    pub fn new() -> Self {
        Pools {
            regions: Pool::new(|node| &node.next_free),
            runs: Pool::new(|node| &node.next_free),
            tables: Pool::new(|node| &node.next_free),
            spaces: Pool::new(|node| &node.next_free),
            sharers: Pool::new(|node| &node.next_free),
            copies: Pool::new(|node| &node.next_free),
            threads: Pool::new(|node| &node.next_free),
        }
    }

    pub fn region(&mut self) -> Result<&'p Region<'p>> {
        self.regions.take().ok_or(Error::OutOfNodes(NodeKind::Region))
    }

    pub fn run(&mut self) -> Result<&'p Run<'p>> {
        self.runs.take().ok_or(Error::OutOfNodes(NodeKind::Run))
    }

    pub fn table(&mut self) -> Result<&'p Table<'p>> {
        self.tables.take().ok_or(Error::OutOfNodes(NodeKind::Table))
    }
}

/// The virtual-memory manager of one root task: untyped memory, capability slots, and the address
/// spaces that are made of them.
///
/// `K` is the kernel: `sel4_kernel::Sel4` on seL4. `'p` is how long book-keeping memory lives.
/// Operations are O(log n) in regions, untypeds and spaces, plus the pages they touch. One that
/// fails leaves everything as it was, unless its error says otherwise, and can be repeated.
pub struct Vmm<'p, K> {
    pub(crate) kernel: Counted<K>,
    pub(crate) geometry: Geometry,
    pub(crate) alloc: Allocator<'p>,
    pub(crate) pools: Pools<'p>,
    pub(crate) spaces: Spaces<'p>,
    pub(crate) own: &'p Space<'p>,
    pub(crate) bookkeeping: Bookkeeping,
    pub(crate) windows: Windows,
    /// Regions and runs of copies in quarantine.
    pub(crate) quarantined: usize,
    pub(crate) asids: AsidPools,
    pub(crate) sharers: Sharers<'p>,
    pub(crate) threads: Threads<'p>,
    pub(crate) requests: Requests<'p>,
    pub(crate) serial: u32,
    pub(crate) last_space: u32,
    /// Where the page goes that goes on a streak, or [`NO_STREAK`].
    pub(crate) streak_at: Cell<usize>,
    pub(crate) streak: Option<Streak<'p>>,
    /// The thread that empties the TLB, if there is one.
    pub(crate) flusher: Option<Object>,
}

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// The space the manager itself runs in.
    pub fn own_space(&self) -> SpaceId {
        self.own.id.get()
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

    /// Allocates a kernel object (an endpoint, a thread control block, …) with a slot of its own.
    ///
    /// Its memory is clear. Usually one kernel call, or none for small objects.
    pub fn allocate(&mut self, blueprint: Blueprint) -> Result<Object> {
        self.refill()?;
        Ok(self.alloc.allocate(&mut self.kernel, blueprint)?)
    }

    /// Allocates `count` (1 to 256) kernel objects in consecutive slots with one retype.
    pub fn allocate_many(&mut self, blueprint: Blueprint, count: usize) -> Result<Objects> {
        self.refill()?;
        Ok(self.alloc.allocate_many(&mut self.kernel, blueprint, count)?)
    }

    /// Destroys an object, and everything that was derived from its capability.
    pub fn free(&mut self, object: Object) -> Result {
        Ok(self.alloc.free(&mut self.kernel, object)?)
    }

    /// Destroys objects that were allocated together.
    pub fn free_many(&mut self, objects: Objects) -> Result {
        Ok(self.alloc.free_many(&mut self.kernel, objects)?)
    }

    /// Takes `count` (1 to 256) consecutive empty capability slots.
    pub fn take_slots(&mut self, count: usize) -> Result<CPtr> {
        self.refill()?;
        Ok(self.alloc.take_slots(&mut self.kernel, count)?)
    }

    /// Gives slots back. They must be empty: delete what is in them first.
    pub fn give_slots(&mut self, first: CPtr, count: usize) -> Result {
        Ok(self.alloc.give_slots(first, count)?)
    }

    /// A space by its id. Whoever looks one up may change it: no streak goes on after that.
    pub(crate) fn space(&self, id: SpaceId) -> Result<&'p Space<'p>> {
        self.streak_at.set(NO_STREAK);
        self.peek_space(id)
    }

    /// As [`Vmm::space`], for who changes nothing that a streak takes for granted.
    pub(crate) fn peek_space(&self, id: SpaceId) -> Result<&'p Space<'p>> {
        if id == self.own.id.get() {
            return Ok(self.own);
        }
        self.spaces.find(id).ok_or(Error::NoSuchSpace(id))
    }

    pub(crate) fn region(&self, id: RegionId) -> Result<(&'p Space<'p>, &'p Region<'p>)> {
        self.streak_at.set(NO_STREAK);
        self.peek_region(id)
    }

    /// As [`Vmm::region`], for who changes nothing that a streak takes for granted.
    pub(crate) fn peek_region(&self, id: RegionId) -> Result<(&'p Space<'p>, &'p Region<'p>)> {
        let space = self.peek_space(id.space)?;
        let region = space.regions.borrow().find(id.start, id.serial);
        region.map(|region| (space, region)).ok_or(Error::NoSuchRegion(id))
    }

    pub(crate) fn next_serial(&mut self) -> u32 {
        // 0 stands for no reservation and for the null page.
        self.serial = self.serial.checked_add(1).unwrap_or(1);
        self.serial
    }
}
