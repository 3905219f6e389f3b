// SPDX-License-Identifier: BSD-2-Clause
//! Page tables, page directories, address-space identifiers.

use roottask::{check, check_eq, Outcome};
use sel4::init_thread::slot;
use sel4::{
    cap, vspace_levels, CNodeCapData, CapRights, Error, Fault, FrameObjectType, ObjectBlueprint,
    TranslationTableObjectType, UserContext, VmAttributes, Word,
};
use vmm::{Pages, RegionOptions};

use crate::arch::{code_that_loads, result, LARGE_BITS, LARGE_PAGES};
use crate::context::{unexpected, Context, Event};
use crate::probe::load;

crate::table::tests!("vspace":
    a_page_table_is_mapped_once,
    a_page_table_is_not_mapped_over_another,
    unmapping_a_page_table_unmaps_its_pages,
    a_directory_wants_an_identifier_before_anything_is_mapped,
    a_directory_has_one_identifier,
    a_new_pool_gives_identifiers,
    a_thread_runs_in_a_directory_of_its_own,
);

const TABLE: ObjectBlueprint = TranslationTableObjectType::PageTable.blueprint();
const PAGE: ObjectBlueprint = FrameObjectType::GRANULE.blueprint();
const DEFAULT: VmAttributes = VmAttributes::DEFAULT;

fn a_page_table_is_mapped_once(context: &mut Context) -> Outcome {
    let options = RegionOptions::new(2 * LARGE_PAGES).aligned(LARGE_BITS);
    let region = context.vmm.reserve(context.space, &options)?;
    let (address, vspace) = (region.start().bits(), slot::VSPACE.cap());
    let scratch = context.scratch(12, 1)?;
    let table: cap::PageTable = scratch.make(TABLE, 0)?;
    table.page_table_map(vspace, address + 0x1234, DEFAULT)?;
    let again = table.page_table_map(vspace, address + (1 << LARGE_BITS), DEFAULT);
    check_eq!(again, Err(Error::InvalidCapability));
    table.page_table_unmap()?;
    check_eq!(table.page_table_map(vspace, address + (1 << LARGE_BITS), DEFAULT), Ok(()));
    table.page_table_unmap()?;
    let top = sel4::sys::PPTR_USER_TOP as usize;
    check_eq!(table.page_table_map(vspace, top, DEFAULT), Err(Error::InvalidArgument));
    Ok(context.vmm.release(region)?)
}

fn a_page_table_is_not_mapped_over_another(context: &mut Context) -> Outcome {
    let scratch = context.scratch(12, 1)?;
    let table: cap::PageTable = scratch.make(TABLE, 0)?;
    let image = main_address();
    let mapped = table.page_table_map(slot::VSPACE.cap(), image, DEFAULT);
    check_eq!(mapped, Err(Error::DeleteFirst));
    Ok(())
}

/// An address of the program's image.
fn main_address() -> usize {
    load as *const () as usize
}

fn unmapping_a_page_table_unmaps_its_pages(context: &mut Context) -> Outcome {
    let options = RegionOptions::new(LARGE_PAGES).aligned(LARGE_BITS);
    let region = context.vmm.reserve(context.space, &options)?;
    let (address, vspace) = (region.start().bits(), slot::VSPACE.cap());
    let scratch = context.scratch(13, 2)?;
    let table: cap::PageTable = scratch.make(TABLE, 0)?;
    let frame: cap::Granule = scratch.make(PAGE, 1)?;
    table.page_table_map(vspace, address, DEFAULT)?;
    frame.frame_map(vspace, address, CapRights::read_write(), DEFAULT)?;
    check_eq!(crate::probe::word(address), 0);
    table.page_table_unmap()?;
    let child = context.spawn(load, address)?;
    check_eq!(child.vm_fault()?.addr() as usize, address);
    frame.frame_unmap()?;
    Ok(context.vmm.release(region)?)
}

fn a_directory_wants_an_identifier_before_anything_is_mapped(context: &mut Context) -> Outcome {
    let scratch = context.scratch(13, 2)?;
    let root: cap::VSpace = scratch.make(level(0)?.blueprint(), 0)?;
    let table: cap::UnspecifiedIntermediateTranslationTable =
        scratch.make(level(1)?.blueprint(), 1)?;
    let map = || {
        let first = level(1).map_err(|_| Error::IllegalOperation)?;
        table.generic_intermediate_translation_table_map(first, root, 0x1000_0000, DEFAULT)
    };
    check!(map().is_err());
    slot::ASID_POOL.cap().asid_pool_assign(root)?;
    check_eq!(map(), Ok(()));
    Ok(())
}

fn a_directory_has_one_identifier(context: &mut Context) -> Outcome {
    let scratch = context.scratch(12, 1)?;
    let root: cap::VSpace = scratch.make(level(0)?.blueprint(), 0)?;
    let pool = slot::ASID_POOL.cap();
    pool.asid_pool_assign(root)?;
    check_eq!(pool.asid_pool_assign(root), Err(Error::InvalidCapability));
    check_eq!(pool.asid_pool_assign(slot::VSPACE.cap()), Err(Error::InvalidCapability));
    Ok(())
}

fn a_new_pool_gives_identifiers(context: &mut Context) -> Outcome {
    let scratch = context.scratch(13, 3)?;
    let untyped: cap::Untyped = scratch.make(ObjectBlueprint::asid_pool(), 0)?;
    let root: cap::VSpace = scratch.make(level(0)?.blueprint(), 1)?;
    slot::ASID_CONTROL.cap().asid_control_make_pool(untyped, &scratch.place(2))?;
    let pool: cap::AsidPool = scratch.cap(2);
    check_eq!(pool.asid_pool_assign(root), Ok(()));
    // Without its pool the root has no identifier any more.
    scratch.place(2).delete()?;
    check!(pool.asid_pool_assign(root).is_err());
    Ok(())
}

/// The paging structure of a level.
fn level(level: usize) -> Outcome<TranslationTableObjectType> {
    Ok(TranslationTableObjectType::from_level(level).ok_or(Error::IllegalOperation)?)
}

const CODE_ADDRESS: usize = 0x1000_0000;
const DATA_ADDRESS: usize = 0x1000_1000;

fn a_thread_runs_in_a_directory_of_its_own(context: &mut Context) -> Outcome {
    let scratch = context.scratch(15, 8)?;
    let code: cap::Granule = scratch.make(PAGE, 0)?;
    let data: cap::Granule = scratch.make(PAGE, 1)?;
    let root: cap::VSpace = scratch.make(level(0)?.blueprint(), 2)?;
    slot::ASID_POOL.cap().asid_pool_assign(root)?;
    for below in 1..vspace_levels::NUM_LEVELS {
        let ty = level(below)?;
        let table: cap::UnspecifiedIntermediateTranslationTable =
            scratch.make(ty.blueprint(), 2 + below)?;
        table.generic_intermediate_translation_table_map(ty, root, CODE_ADDRESS, DEFAULT)?;
    }
    // Both pages are written in this space first.
    let region = context.vmm.map(context.space, &RegionOptions::new(3))?;
    let window = region.start().bits() + 4096;
    context.vmm.unmap(context.space, Pages::at(window))?;
    let (instructions, behind) = code_that_loads(DATA_ADDRESS);
    for (frame, bytes) in [(code, &instructions[..]), (data, &0x600d_usize.to_le_bytes()[..])] {
        frame.frame_map(slot::VSPACE.cap(), window, CapRights::read_write(), DEFAULT)?;
        // SAFETY: a page that is mapped here, and nobody else's.
        let page = unsafe { core::slice::from_raw_parts_mut(window as *mut u8, bytes.len()) };
        page.copy_from_slice(bytes);
        frame.frame_unmap()?;
    }
    context.vmm.release(region)?;
    code.frame_map(root, CODE_ADDRESS, CapRights::read_only(), DEFAULT)?;
    data.frame_map(root, DATA_ADDRESS, CapRights::read_only(), DEFAULT)?;

    let child = context.prepare(254, load, 0)?;
    let tcb = child.thread.tcb();
    // The manager knows nothing of this directory: the thread is moved into it by hand.
    let (fault, cnode) = (child.fault_endpoint(), slot::CNODE.cap());
    tcb.tcb_set_space(fault, cnode, CNodeCapData::new(0, 0), root)?;
    let mut registers = UserContext::default();
    *registers.pc_mut() = CODE_ADDRESS as Word;
    child.thread.run(&mut registers)?;
    let event = child.wait()?;
    let Event::Fault(Fault::UserException(fault)) = event else {
        return Err(unexpected(&event));
    };
    check_eq!(fault.fault_ip() as usize, CODE_ADDRESS + behind);
    check_eq!(result(&tcb.tcb_read_all_registers(true)?), 0x600d);
    Ok(())
}
