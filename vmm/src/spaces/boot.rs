// SPDX-License-Identifier: BSD-2-Clause
//! Starting: from what the kernel tells the root task to a manager of its memory.

use core::ops::Range;

use page_tables::{PageRange, Pages};
use untyped_alloc::{Allocator, CPtr, Counted, Kernel, Memory, Numbers, Rights, UntypedInfo};

use crate::manager::pins::Pinned;
use crate::manager::pools::Pools;
use crate::manager::vmm::Vmm;
use crate::primitives::detached::MIN_DETACHED;
use crate::state::asids::AsidPools;
use crate::state::compaction::CompactionState;
use crate::state::open_blocks::OpenBlocks;
use crate::state::page_requests::Requests;
use crate::state::promotion::Promotions;
use crate::state::refcounts::FrameRefcounts;
use crate::state::region::Region;
use crate::state::reserve::Reserve;
use crate::state::reserve::{split_first, Bookkeeping, Wanted};
use crate::state::space::Spaces;
use crate::state::temp_slots::TempSlots;
use crate::state::threads::Threads;
use crate::types::architecture::Architecture;
use crate::types::boot::BootInfo;
use crate::types::error::{Error, NodeKind, Result};
use crate::types::ids::MAX_NUMBER;
use crate::types::options::RegionOptions;
use crate::types::region::{Kind, MAIN_STACK_NAME};

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// A manager of all memory that `boot` tells of. No kernel call; large untypeds are left whole.
    ///
    /// # Errors
    /// [`Error::BadBootInfo`] or [`Error::Address`] when an address makes no sense,
    /// [`Error::Overlap`] when two ranges do, [`untyped_alloc::Error::NoUntyped`] without RAM,
    /// [`untyped_alloc::Error::BadUntyped`], [`Error::OutOfNodes`] when the pool is too small.
    pub fn new(kernel: K, architecture: Architecture, boot: &BootInfo<'_>) -> Result<Self> {
        let geometry = architecture.geometry;
        let bits = geometry.page_bits;
        let pages = |range: &Range<usize>| -> Result<PageRange> {
            let bytes = range.end.checked_sub(range.start).ok_or(Error::BadBootInfo(range.end))?;
            Ok(geometry.range(Pages::at(range.start).count(bytes.div_ceil(1 << bits)))?)
        };
        if !boot.untypeds.iter().any(|untyped| !untyped.is_device) {
            return Err(untyped_alloc::Error::NoUntyped.into());
        }
        let mut pool = Some(pages(&boot.pool)?);
        let mut kernel = Counted::new(kernel);
        let mut pools = Pools::new();
        let out = || Error::OutOfNodes(NodeKind::Space);
        pools.spaces.adopt(&mut kernel, split_first(&mut pool).ok_or_else(out)?.start().bits());
        let own = pools.spaces.alloc().ok_or_else(out)?;
        let mut vmm = Vmm {
            kernel,
            geometry,
            tls: architecture.tls,
            alloc: Allocator::new(architecture.sizes, boot.cspace),
            pools,
            spaces: Spaces::new(),
            own,
            bookkeeping: Bookkeeping {
                boot: pool,
                mapped: None,
                frames: None,
                frames_taken: 0,
                ready_frames_taken: 0,
                mapped_pages: 0,
            },
            temp_slots: TempSlots::new(geometry.range(Pages::at(0).count(2))?),
            direct_map: None,
            borrowed: 0,
            physical: 0,
            physical_left: 0,
            pinned: Pinned::default(),
            quarantined: 0,
            asids: AsidPools::new(boot.asid_pool),
            refcounts: FrameRefcounts::new(),
            threads: Threads::new(),
            requests: Requests::new(),
            serial: 0,
            highest_badge: 0,
            space_numbers: Numbers::up_to(MAX_NUMBER),
            last_space: 0,
            append_cursor: None,
            site: None,
            last_shared: None,
            passage: None,
            open_blocks: OpenBlocks::new(),
            short_cuts: true,
            min_detached: MIN_DETACHED,
            compaction: CompactionState::default(),
            promotions: Promotions::default(),
            calls_to_map_recorded: 0,
            flusher: None,
        };
        vmm.adopt_boot_page(Wanted::Own(NodeKind::Region))?;
        vmm.adopt_boot_page(Wanted::Own(NodeKind::Table))?;
        vmm.adopt_boot_page(Wanted::Own(NodeKind::Extent))?;
        let id = vmm.next_space()?;
        vmm.start_space(&mut Reserve::as_it_is(), own, id, boot.vspace)?;
        for (name, range) in boot.mapped {
            match &boot.stack {
                Some(stack) if range.contains(&stack.start) => {
                    for (name, part, guard) in [
                        (*name, range.start..stack.start, 0),
                        (MAIN_STACK_NAME, stack.clone(), 1),
                        (*name, stack.end..range.end, 0),
                    ] {
                        vmm.record_boot_region(name, pages(&part)?, guard)?;
                    }
                }
                _ => vmm.record_boot_region(name, pages(range)?, 0)?,
            }
        }
        for &(level, address, table) in boot.tables {
            vmm.record_boot_table(level, address, table)?;
        }
        for &untyped in boot.untypeds {
            vmm.record_untyped(untyped)?;
        }
        let region = vmm.place_temp_slots(boot.tables)?;
        let range = vmm.usable(region).ok_or(Error::BadBootInfo(0))?;
        vmm.temp_slots = TempSlots::new(range);
        // Addresses for book-keeping, so that where they lie does not depend on when they are
        // needed.
        vmm.next_own_page(&mut Reserve::as_it_is())?;
        Ok(vmm)
    }

    /// Places the temporary slots: under a page table that is there already where one has room, so
    /// that frames can be recycled when there is no memory for a table.
    fn place_temp_slots(&mut self, tables: &[(u8, usize, CPtr)]) -> Result<&'p Region<'p>> {
        let options =
            RegionOptions::new(2).named("temporary slots").kind(Kind::Bookkeeping).guarded(1, 1);
        let deepest = self.geometry.levels.len() as u8 - 1;
        for &(_, address, _) in tables.iter().filter(|&&(level, ..)| level == deepest) {
            let address = self.geometry.address(address)?;
            let from = self.geometry.table_base(deepest, address).bits();
            let to = self.geometry.table_end(deepest, address);
            if let Ok(region) =
                self.place_region(&mut Reserve::as_it_is(), self.own, &options.within(from..to))
            {
                return Ok(region);
            }
        }
        self.place_region(&mut Reserve::as_it_is(), self.own, &options)
    }

    fn adopt_boot_page(&mut self, wanted: Wanted) -> Result {
        let page = split_first(&mut self.bookkeeping.boot);
        let page = page.ok_or(Error::OutOfNodes(match wanted {
            Wanted::Own(kind) => kind,
            Wanted::Allocator(_) | Wanted::Shelves | Wanted::SingleCopies => NodeKind::Region,
        }))?;
        self.adopt(page, wanted);
        Ok(())
    }

    /// Records pages that are mapped, but for the first `guard` of them; nothing for no pages.
    fn record_boot_region(&mut self, name: &str, range: PageRange, guard: u16) -> Result {
        let Some(usable) = range.pages().checked_sub(guard.into()).filter(|&pages| pages != 0)
        else {
            return Ok(());
        };
        let first = range.start().bits() + usize::from(guard) * self.geometry.page_bytes();
        // The kernel maps all of it with all rights.
        let options = RegionOptions::new(usable).named(name).at(first).kind(Kind::Boot);
        let options = options.rights(Rights::READ_WRITE_EXECUTE);
        let options = options.guarded(guard, 0);
        self.place_region(&mut Reserve::as_it_is(), self.own, &options).map(|_| ())
    }

    fn record_boot_table(&mut self, level: u8, address: usize, table: CPtr) -> Result {
        let address = self.geometry.address(address)?;
        let mut shadow = self.own.shadow.borrow_mut();
        let deepest = self.geometry.levels.len() as u8 - 1;
        let known = level == 0 || level > deepest;
        if known || shadow.find(&self.geometry, level, address).is_some() {
            return Err(Error::BadBootInfo(address.bits()));
        }
        let node = self.pools.table(&mut Reserve::as_it_is())?;
        shadow.insert(&self.geometry, node, level, address, table.bits());
        shadow.make_permanent(node);
        Ok(())
    }

    fn record_untyped(&mut self, untyped: UntypedInfo) -> Result {
        loop {
            match self.alloc.add_untyped(untyped) {
                Err(untyped_alloc::Error::OutOfNodes(kind)) => {
                    self.adopt_boot_page(Wanted::Allocator(kind))?;
                }
                entered => return Ok(entered?),
            }
        }
    }
}
