// SPDX-License-Identifier: BSD-2-Clause
//! Frames with several users: each has a capability of its own.

use roottask::Manager;
use sel4::init_thread::slot;
use sel4::{cap_type, CapRights, FrameObjectType};
use vmm::{Access, CPtr, PageFault, Pages, Placement, RegionId, RegionOptions, Result, SpaceId};

use super::steps::{nothing, row, shuffled, Head, PAGE, TIMES};
use crate::bulk::{instructions, map_all};
use crate::floor::{Floor, BATCH};
use roottask::measure::{cost, Row};

/// Copies of a floor's capabilities: their slots.
struct Copies([CPtr; TIMES / BATCH]);

impl Copies {
    fn new(vmm: &mut Manager) -> Result<Copies> {
        let mut slots = [CPtr::NULL; TIMES / BATCH];
        for first in &mut slots {
            *first = vmm.alloc_slots(BATCH)?;
        }
        Ok(Copies(slots))
    }

    fn slot(&self, page: usize) -> CPtr {
        self.0[page / BATCH].offset(page % BATCH)
    }

    fn place(&self, page: usize) -> sel4::AbsoluteCPtr {
        slot::CNODE.cap().absolute_cptr(self.slot(page).cap::<cap_type::UnspecifiedPage>())
    }

    /// Copies a page's capability, and maps it at the same place of another floor.
    #[inline(always)]
    fn map(&self, from: &Floor, page: usize, to: &Floor, rights: CapRights) {
        let source = slot::CNODE.cap().absolute_cptr(from.frame(page));
        self.place(page).copy(&source, CapRights::all()).expect("the slot is empty");
        to.map_capability(self.slot(page).cap(), page, rights);
    }

    /// Unmaps a copy, and deletes it.
    #[inline(always)]
    fn unmap(&self, page: usize) {
        let copy = self.slot(page).cap::<cap_type::UnspecifiedPage>();
        copy.frame_unmap().expect("unmapping is never refused");
        self.place(page).delete().expect("a copy can be deleted");
    }
}

/// All rows: of pages of one space that another gets.
pub fn run(vmm: &mut Manager) -> Result {
    let (from, into) = (vmm.create_space()?, vmm.create_space()?);
    let mut floors = [
        Floor::within(vmm, from, TIMES, FrameObjectType::_4k)?,
        Floor::within(vmm, into, TIMES, FrameObjectType::_4k)?,
    ];
    let [source, target] = &mut floors;
    map_all(source, TIMES);
    target.make_tables(TIMES);
    let copies = Copies::new(vmm)?;
    let region = vmm.map(from, &RegionOptions::new(TIMES))?;
    let start = region.start().bits();

    // One page more, or less.
    let shared = vmm.reserve(into, &RegionOptions::new(TIMES))?;
    let share = |vmm: &mut Manager, turn| {
        let page = shuffled::<TIMES>(turn);
        vmm.share_into(from, Pages::at(start + page * PAGE), shared, page)
    };
    let by_hand = &mut |page| copies.map(source, page, target, CapRights::read_write());
    row(vmm, Head::pages("share_single").for_pages(1), nothing, share, Some(by_hand))?;
    let unshare = |vmm: &mut Manager, turn| {
        vmm.unmap(into, Pages::at(shared.start().bits() + shuffled::<TIMES>(turn) * PAGE))
    };
    let by_hand = &mut |page| copies.unmap(page);
    row(vmm, Head::pages("unshare_single"), nothing, unshare, Some(by_hand))?;

    // All of them at once, copy-on-write: both sides may only read from then on.
    let (clone, cloned) = cost(vmm, |vmm| vmm.clone_region(region, into, Placement::anywhere()))?;
    let raw = instructions(|| {
        for page in 0..TIMES {
            copies.map(source, page, target, CapRights::read_only());
            source.protect(page);
        }
    });
    Row::new("clone_page", "page", TIMES).print(&cloned, Some(raw), Some(TIMES));
    vmm.release(clone)?;
    vmm.restore_write_access(region)?;
    on_demand(vmm, (region, into), (source, target), &copies)
}

/// The same, with the clone's pages mapped when they are touched; their first touches, without the
/// message about a fault; a clone of the clone, and its end.
fn on_demand(
    vmm: &mut Manager,
    (region, into): (RegionId, SpaceId),
    (source, target): (&Floor, &Floor),
    copies: &Copies,
) -> Result {
    let anywhere = Placement::anywhere();
    let (clone, cloned) = cost(vmm, |vmm| vmm.clone_region_on_demand(region, into, anywhere))?;
    let raw = instructions(|| (0..TIMES).for_each(|page| source.protect(page)));
    Row::new("clone_on_demand", "page", TIMES).print(&cloned, Some(raw), Some(TIMES));
    let start = clone.start().bits();
    let touch = |vmm: &mut Manager, turn| {
        let address = start + shuffled::<TIMES>(turn) * PAGE;
        let fault = PageFault { address, access: Access::Read, present: false, ip: 0 };
        vmm.resolve_fault(into, &fault).map(|_| ())
    };
    (0..TIMES).for_each(|page| copies.unmap(page));
    let by_hand = &mut |page| copies.map(source, page, target, CapRights::read_only());
    row(vmm, Head::pages("clone_touched"), nothing, touch, Some(by_hand))?;
    // Of what was cloned already, nothing changes.
    let (again, cloned) = cost(vmm, |vmm| vmm.clone_region_on_demand(clone, into, anywhere))?;
    Row::new("clone_of_clone", "page", TIMES).print(&cloned, None, Some(TIMES));
    let (_, released) = cost(vmm, |vmm| vmm.release(again))?;
    Row::new("clone_untouched_end", "page", TIMES).print(&released, None, None);
    Ok(())
}
