// SPDX-License-Identifier: BSD-2-Clause
//! Address spaces.

use core::cell::{Cell, Ref, RefCell, RefMut};

use intrusive_collections::{Bound, KeyAdapter, RBTree, RBTreeLink};
use page_tables::{Shadow, VirtAddr};
use untyped_alloc::{CPtr, Object};

use super::cut_pages::CutPages;
use super::extents::Extents;
use super::region::Region;
use super::region_map::Regions;
use crate::types::error::Error;
use crate::types::ids::{RegionId, SpaceId};
use crate::types::quota::Quota;

/// One VSpace: its regions, its extents of mapped frames, the shadow of its paging structures.
///
/// The three are borrowed for one statement at a time and never across a kernel call, so that the
/// manager can map book-keeping pages for itself in the midst of any operation.
///
/// Whoever may change regions, extents or the quota leaves a mark by that. An append cursor (see
/// `append_cursor.rs`) holds what it found out only for as long as there is none.
pub(crate) struct Space<'p> {
    pub next_free: Cell<Option<&'p Space<'p>>>,
    by_id: RBTreeLink,
    pub id: Cell<SpaceId>,
    /// The capability to its root paging structure.
    pub root: Cell<CPtr>,
    /// That structure as an object of ours; none for the space we were started in.
    pub object: Cell<Option<Object>>,
    /// The number of the ASID pool its identifier is from.
    pub asid_pool: Cell<u8>,
    regions: RefCell<Regions<'p>>,
    extents: RefCell<Extents<'p>>,
    pub shadow: RefCell<Shadow<'p>>,
    /// Pages of the smallest size that are mapped.
    pub mapped_pages: Cell<usize>,
    /// The most it may have.
    quota: Cell<Quota>,
    /// Regions, extents or the quota may have changed since [`Space::watch`].
    changed: Cell<bool>,
    /// How often regions, threads or page tables may have changed.
    changes: Cell<u64>,
    /// The page of packed IPC buffers that has room.
    pub open_packed: Cell<Option<RegionId>>,
    /// The arena of IPC buffers that has room.
    pub open_arena: Cell<Option<&'p Region<'p>>>,
    threads: Cell<usize>,
    registered: Cell<usize>,
    /// Buffers in it were given to threads that the caller made.
    pub buffers_lent: Cell<bool>,
    /// Kernel objects that were allocated for it.
    pub objects: Cell<usize>,
    /// No thread can run in it, so that nothing in it is touched.
    pub store: Cell<bool>,
    /// The kernel may not have some of its recorded page tables, nor pages below them.
    pub detached: Cell<bool>,
    /// A promotion is under way in it, which must know of each page that is mapped.
    pub in_transit: Cell<bool>,
    /// Below whose page table regions are to lie that may lie anywhere.
    pub near: Cell<Option<VirtAddr>>,
    /// What the kernel refused to undo in it.
    pub undone: Undone,
    /// Large pages that were cut for a request that is not done, or was refused.
    pub cut: CutPages<'p>,
}

/// What is to be undone once the kernel refuses no more.
#[derive(Default)]
pub(crate) struct Undone {
    /// Pages may be recorded that are not mapped, or not with their rights.
    pub pages: Cell<bool>,
    /// There are abandoned extents in it.
    pub abandoned: Cell<bool>,
    /// Pages that nobody shares may still be under copy-on-write for a clone that there is not.
    pub copy_on_write: Cell<bool>,
    /// The space is an unfinished clone, which nobody knows of: it is to be destroyed.
    pub clone: Cell<bool>,
}

impl Default for Space<'_> {
    fn default() -> Self {
        Space {
            next_free: Cell::new(None),
            by_id: RBTreeLink::new(),
            id: Cell::new(SpaceId { number: 0, serial: 0 }),
            root: Cell::new(CPtr::NULL),
            object: Cell::new(None),
            asid_pool: Cell::new(0),
            regions: RefCell::new(Regions::new()),
            extents: RefCell::new(Extents::new()),
            shadow: RefCell::new(Shadow::new()),
            mapped_pages: Cell::new(0),
            quota: Cell::new(Quota::UNLIMITED),
            changed: Cell::new(true),
            changes: Cell::new(0),
            open_packed: Cell::new(None),
            open_arena: Cell::new(None),
            threads: Cell::new(0),
            registered: Cell::new(0),
            buffers_lent: Cell::new(false),
            objects: Cell::new(0),
            store: Cell::new(false),
            detached: Cell::new(false),
            in_transit: Cell::new(false),
            near: Cell::new(None),
            undone: Undone::default(),
            cut: CutPages::default(),
        }
    }
}

impl<'p> Space<'p> {
    /// Its regions, to be looked at.
    #[inline(always)]
    pub fn regions(&self) -> Ref<'_, Regions<'p>> {
        self.regions.borrow()
    }

    /// The refusal of an address at which nothing is mapped, with the name of the region there.
    #[cold]
    pub fn not_mapped(&self, address: usize) -> Error {
        Error::NotMapped { address, name: self.regions().name_at(address) }
    }

    /// The refusal of a range that begins here and is not all in one region.
    #[cold]
    pub fn outside(&self, address: usize) -> Error {
        Error::OutsideRegion { address, name: self.regions().name_at(address) }
    }

    /// Its regions, to be changed.
    #[inline(always)]
    pub fn regions_mut(&self) -> RefMut<'_, Regions<'p>> {
        self.changed.set(true);
        self.note_change();
        self.regions.borrow_mut()
    }

    /// Its extents, to be looked at; or one to be made longer by the page that an append cursor
    /// foresaw.
    #[inline(always)]
    pub fn extents(&self) -> Ref<'_, Extents<'p>> {
        self.extents.borrow()
    }

    /// Its extents, to be changed.
    #[inline(always)]
    pub fn extents_mut(&self) -> RefMut<'_, Extents<'p>> {
        self.changed.set(true);
        self.extents.borrow_mut()
    }

    /// The most it may have.
    #[inline(always)]
    pub fn quota(&self) -> Quota {
        self.quota.get()
    }

    /// Limits it.
    pub fn set_quota(&self, quota: Quota) {
        self.changed.set(true);
        self.quota.set(quota);
    }

    /// Begins to watch regions, extents and the quota for changes. There is one watch, for the one
    /// append cursor: the last that was begun.
    pub fn watch(&self) {
        self.changed.set(false);
    }

    /// Notes that regions, threads or page tables may change now.
    #[inline(always)]
    pub fn note_change(&self) {
        self.changes.set(self.changes.get() + 1);
    }

    /// A number that is another one each time regions, threads or page tables may have changed, and
    /// never one that it was before.
    #[inline(always)]
    pub fn changes(&self) -> u64 {
        self.changes.get()
    }

    /// IPC buffers in it, and threads that are registered in it.
    #[inline(always)]
    pub fn threads(&self) -> usize {
        self.threads.get()
    }

    /// Threads in it that are registered: their faults are answered.
    #[inline(always)]
    pub fn registered(&self) -> usize {
        self.registered.get()
    }

    /// Changes how many threads have an IPC buffer here, and how many of them are registered.
    pub fn change_threads(&self, change: impl Fn(usize, usize) -> (usize, usize)) {
        let (threads, registered) = change(self.threads.get(), self.registered.get());
        self.note_change();
        self.threads.set(threads);
        self.registered.set(registered);
    }

    /// Whether none of them can have changed since [`Space::watch`].
    #[inline(always)]
    pub fn is_unchanged(&self) -> bool {
        !self.changed.get()
    }
}

#[allow(unsafe_code)] // what the adapter macro expands to
mod adapters {
    use super::*;
    use intrusive_collections::intrusive_adapter;
    intrusive_adapter!(
        pub(crate) ById<'p> = &'p Space<'p>: Space<'p> { by_id => RBTreeLink }
    );
}
use adapters::ById;

impl<'a> KeyAdapter<'a> for ById<'_> {
    type Key = u32;
    fn get_key(&self, space: &'a Space<'_>) -> u32 {
        space.id.get().number
    }
}

/// How many spaces are found without a search, if they are looked for by turns.
const RECENT: usize = 8;

/// All spaces, by number.
pub(crate) struct Spaces<'p> {
    by_id: RBTree<ById<'p>>,
    /// The space looked up last of those whose numbers have the same rest.
    recent: [Cell<Option<&'p Space<'p>>>; RECENT],
}

impl<'p> Spaces<'p> {
    pub fn new() -> Self {
        Spaces { by_id: RBTree::new(ById::new()), recent: Default::default() }
    }

    pub fn insert(&mut self, space: &'p Space<'p>) {
        self.by_id.insert(space);
    }

    pub fn remove(&mut self, id: SpaceId) -> Option<&'p Space<'p>> {
        let mut cursor = self.by_id.find_mut(&id.number);
        cursor.get().filter(|space| space.id.get() == id)?;
        self.recent[id.number as usize % RECENT].set(None);
        cursor.remove()
    }

    #[inline(always)]
    pub fn find(&self, id: SpaceId) -> Option<&'p Space<'p>> {
        self.with_number(id.number).filter(|space| space.id.get() == id)
    }

    /// The space that has this number.
    #[inline(always)]
    pub fn with_number(&self, number: u32) -> Option<&'p Space<'p>> {
        let recent = &self.recent[number as usize % RECENT];
        match recent.get() {
            Some(space) if space.id.get().number == number => Some(space),
            _ => self.search(number).inspect(|&space| recent.set(Some(space))),
        }
    }

    #[inline(never)]
    fn search(&self, number: u32) -> Option<&'p Space<'p>> {
        self.by_id.find(&number).clone_pointer()
    }

    /// The space with the lowest number above `number`.
    pub fn after(&self, number: u32) -> Option<&'p Space<'p>> {
        self.by_id.lower_bound(Bound::Excluded(&number)).clone_pointer()
    }

    /// Every space, by number.
    pub fn iter(&self) -> impl Iterator<Item = &'p Space<'p>> + '_ {
        let mut cursor = self.by_id.front();
        core::iter::from_fn(move || {
            let space = cursor.clone_pointer();
            cursor.move_next();
            space
        })
    }
}
