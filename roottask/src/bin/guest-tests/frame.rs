// SPDX-License-Identifier: BSD-2-Clause
//! Frames: mapping, remapping, unmapping.

use roottask::{check, check_eq, Outcome};
use sel4::init_thread::slot;
use sel4::{
    cap, CapRights, Error, FrameObjectType, ObjectBlueprint, TranslationTableObjectType,
    VmAttributes, Word,
};
use vmm::{RegionId, RegionOptions};

use crate::arch::{LARGE_BITS, LARGE_PAGES};
use crate::context::{Context, Scratch};
use crate::probe::{load, set_word, store, word, words, STORED};

crate::table::tests!("frame":
    a_frame_is_clear_and_keeps_its_contents_while_unmapped,
    a_mapped_frame_cannot_be_mapped_again,
    a_page_cannot_be_mapped_over_another,
    a_copy_maps_the_same_memory_elsewhere,
    mapping_wants_a_page_table,
    mapping_wants_an_aligned_address_of_user_space,
    remapping_takes_and_gives_the_right_to_write,
    remapping_wants_a_mapping,
    unmapping_twice_succeeds,
    a_read_only_capability_maps_read_only,
    deleting_a_mapped_frame_unmaps_it,
    a_large_page_maps_all_that_it_spans,
);

const PAGE: ObjectBlueprint = FrameObjectType::GRANULE.blueprint();

/// Addresses that have a page table and nothing mapped, and scratch: slot 0 is the page table,
/// slots 1 and 2 are frames, the others empty.
struct Place {
    scratch: Scratch,
    region: RegionId,
    address: usize,
}

impl Place {
    fn new(context: &mut Context) -> Outcome<Place> {
        let options = RegionOptions::new(LARGE_PAGES).named("raw").aligned(LARGE_BITS);
        let region = context.vmm.reserve(context.space, &options)?;
        let address = region.start().bits();
        let scratch = context.scratch(14, 6)?;
        let table: cap::PageTable =
            scratch.make(TranslationTableObjectType::PageTable.blueprint(), 0)?;
        table.page_table_map(slot::VSPACE.cap(), address, VmAttributes::DEFAULT)?;
        scratch.retype(PAGE, 1, 2)?;
        Ok(Place { scratch, region, address })
    }

    fn frame(&self, index: usize) -> cap::Granule {
        self.scratch.cap(index)
    }

    fn release(self, context: &mut Context) -> Outcome {
        Ok(context.vmm.release(self.region)?)
    }
}

fn map(frame: cap::Granule, address: usize) -> sel4::Result<()> {
    frame.frame_map(slot::VSPACE.cap(), address, CapRights::read_write(), VmAttributes::DEFAULT)
}

fn a_frame_is_clear_and_keeps_its_contents_while_unmapped(context: &mut Context) -> Outcome {
    let place = Place::new(context)?;
    let frame = place.frame(1);
    map(frame, place.address)?;
    check!(words(place.address, 1).iter().all(|&word| word == 0));
    words(place.address, 1).fill(0xc0ffee);
    frame.frame_unmap()?;
    map(frame, place.address + 5 * 4096)?;
    check!(words(place.address + 5 * 4096, 1).iter().all(|&word| word == 0xc0ffee));
    frame.frame_unmap()?;
    place.release(context)
}

fn a_mapped_frame_cannot_be_mapped_again(context: &mut Context) -> Outcome {
    let place = Place::new(context)?;
    map(place.frame(1), place.address)?;
    check_eq!(map(place.frame(1), place.address), Err(Error::InvalidCapability));
    check_eq!(map(place.frame(1), place.address + 4096), Err(Error::InvalidCapability));
    place.frame(1).frame_unmap()?;
    place.release(context)
}

fn a_page_cannot_be_mapped_over_another(context: &mut Context) -> Outcome {
    let place = Place::new(context)?;
    map(place.frame(1), place.address)?;
    check_eq!(map(place.frame(2), place.address), Err(Error::DeleteFirst));
    place.frame(1).frame_unmap()?;
    check_eq!(map(place.frame(2), place.address), Ok(()));
    place.frame(2).frame_unmap()?;
    place.release(context)
}

fn a_copy_maps_the_same_memory_elsewhere(context: &mut Context) -> Outcome {
    let place = Place::new(context)?;
    place.scratch.place(3).copy(&place.scratch.place(1), CapRights::all())?;
    map(place.frame(1), place.address)?;
    map(place.frame(3), place.address + 4096)?;
    check_eq!(place.frame(1).frame_get_address()?, place.frame(3).frame_get_address()?);
    set_word(place.address + 8, 77);
    check_eq!(word(place.address + 4096 + 8), 77);
    place.frame(1).frame_unmap()?;
    check_eq!(word(place.address + 4096 + 8), 77);
    place.frame(3).frame_unmap()?;
    place.release(context)
}

fn mapping_wants_a_page_table(context: &mut Context) -> Outcome {
    let place = Place::new(context)?;
    place.scratch.cap::<sel4::cap_type::PageTable>(0).page_table_unmap()?;
    check_eq!(map(place.frame(1), place.address), Err(Error::FailedLookup));
    // The details of the error: the bits that the missing table would span.
    check_eq!(sel4::with_ipc_buffer(|buffer| buffer.msg_regs()[2]), LARGE_BITS.into());
    place.release(context)
}

fn mapping_wants_an_aligned_address_of_user_space(context: &mut Context) -> Outcome {
    let place = Place::new(context)?;
    check_eq!(map(place.frame(1), place.address + 4), Err(Error::AlignmentError));
    check_eq!(map(place.frame(1), sel4::sys::PPTR_USER_TOP as usize), Err(Error::InvalidArgument));
    place.release(context)
}

fn remapping_takes_and_gives_the_right_to_write(context: &mut Context) -> Outcome {
    let place = Place::new(context)?;
    let (frame, vspace) = (place.frame(1), slot::VSPACE.cap());
    let remap = |rights| frame.frame_remap(vspace, place.address, rights, VmAttributes::DEFAULT);
    map(frame, place.address)?;
    // Before the first access: remapping leaves the processor's TLB as it is.
    remap(CapRights::read_only())?;
    let child = context.spawn(store, place.address)?;
    check_eq!(child.vm_fault()?.addr() as usize, place.address);
    check_eq!(word(place.address), 0);
    remap(CapRights::read_write())?;
    crate::context::answer_fault();
    check_eq!(child.result()?, STORED);
    check_eq!(word(place.address), STORED);
    frame.frame_unmap()?;
    place.release(context)
}

fn remapping_wants_a_mapping(context: &mut Context) -> Outcome {
    let place = Place::new(context)?;
    let remapped = place.frame(1).frame_remap(
        slot::VSPACE.cap(),
        place.address,
        CapRights::read_only(),
        VmAttributes::DEFAULT,
    );
    check_eq!(remapped, Err(Error::IllegalOperation));
    place.release(context)
}

fn unmapping_twice_succeeds(context: &mut Context) -> Outcome {
    let place = Place::new(context)?;
    map(place.frame(1), place.address)?;
    check_eq!(place.frame(1).frame_unmap(), Ok(()));
    check_eq!(place.frame(1).frame_unmap(), Ok(()));
    place.release(context)
}

fn a_read_only_capability_maps_read_only(context: &mut Context) -> Outcome {
    let place = Place::new(context)?;
    place.scratch.place(3).copy(&place.scratch.place(1), CapRights::read_only())?;
    // The rights asked for are cut down to the capability's.
    map(place.frame(3), place.address)?;
    let child = context.spawn(store, place.address)?;
    check_eq!(child.vm_fault()?.fsr(), 0b111);
    check_eq!(word(place.address), 0);
    place.frame(3).frame_unmap()?;
    place.release(context)
}

fn deleting_a_mapped_frame_unmaps_it(context: &mut Context) -> Outcome {
    let place = Place::new(context)?;
    map(place.frame(1), place.address)?;
    place.scratch.place(1).delete()?;
    let child = context.spawn(load, place.address)?;
    check_eq!(child.vm_fault()?.addr() as usize, place.address);
    place.release(context)
}

fn a_large_page_maps_all_that_it_spans(context: &mut Context) -> Outcome {
    let options = RegionOptions::new(LARGE_PAGES).named("large").aligned(LARGE_BITS);
    let region = context.vmm.reserve(context.space, &options)?;
    let (address, vspace) = (region.start().bits(), slot::VSPACE.cap());
    let scratch = context.scratch(LARGE_BITS, 1)?;
    let frame: cap::LargePage = scratch.make(FrameObjectType::LargePage.blueprint(), 0)?;
    let (all, default) = (CapRights::read_write, VmAttributes::DEFAULT);
    check_eq!(frame.frame_map(vspace, address + 4096, all(), default), Err(Error::AlignmentError));
    frame.frame_map(vspace, address, all(), default)?;
    check!(words(address, LARGE_PAGES).iter().all(|&word| word == 0));
    set_word(address + (1 << LARGE_BITS) - size_of::<Word>(), 9);
    check_eq!(word(address + (1 << LARGE_BITS) - size_of::<Word>()), 9);
    frame.frame_unmap()?;
    Ok(context.vmm.release(region)?)
}
