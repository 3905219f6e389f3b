// SPDX-License-Identifier: BSD-2-Clause
//! Where the two IPC buffers lie, and what lies around the new one.

use roottask::{check, check_eq, Failure, Manager, Outcome};
use sel4::init_thread::slot;
use sel4::{cap, cap_type, CapRights, VmAttributes};
use sel4_root_task::debug_println;
use vmm::{Blueprint, IpcBuffer};

const PAGE: usize = vmm::PAGE_BYTES;

/// Shows both buffers, that they are different frames, and that the pages on either side of the
/// second are unmapped.
pub fn show(vmm: &mut Manager, first: usize, second: IpcBuffer) -> Outcome {
    let space = vmm.own_space();
    let first_physical = slot::IPC_BUFFER.cap().frame_get_address()?;
    let second_physical = vmm.physical_address(space, second.address())?;
    print("int main()", first, first_physical, slot::IPC_BUFFER.index());
    print("second_thread_entry()", second.address(), second_physical, second.frame().bits());
    check!(first != second.address());
    check!(first_physical != second_physical);
    debug_println!("the two IPC buffers are different frames");
    show_neighbours(vmm, second)
}

fn print(whose: &str, address: usize, physical: usize, slot: usize) {
    debug_println!(
        "IPC buffer of {whose}: virtual {address:#010x}, physical {physical:#010x}, slot {slot:#x}"
    );
}

/// Proves that the pages beside a buffer are unmapped: by the manager's record, and by the kernel,
/// which lets a page be mapped exactly where there is none.
fn show_neighbours(vmm: &mut Manager, buffer: IpcBuffer) -> Outcome {
    let space = vmm.own_space();
    let scratch = vmm.allocate(Blueprint::Frame { size_bits: 12 })?;
    let frame = scratch.cap::<cap_type::Granule>();
    check!(is_mapped(frame, buffer.address())?);
    for address in [buffer.address() - PAGE, buffer.address() + PAGE] {
        check_eq!(vmm.mapping_at(space, address)?, None);
        let region = vmm.region_at(space, address)?;
        check_eq!(region.map(|region| region.id), Some(buffer.region()));
        check!(!is_mapped(frame, address)?);
        debug_println!("page {address:#010x} beside it: unmapped, says the manager and the kernel");
    }
    Ok(vmm.free(scratch)?)
}

/// Whether a page is mapped at `address`: the kernel then refuses to map `scratch` there.
fn is_mapped(scratch: cap::Granule, address: usize) -> Outcome<bool> {
    let (vspace, attributes) = (slot::VSPACE.cap(), VmAttributes::DEFAULT);
    match scratch.frame_map(vspace, address, CapRights::read_only(), attributes) {
        Ok(()) => {
            scratch.frame_unmap()?;
            Ok(false)
        }
        // There is not even a page table.
        Err(sel4::Error::FailedLookup) => Ok(false),
        Err(sel4::Error::DeleteFirst) => Ok(true),
        Err(error) => Err(Failure::Kernel(error)),
    }
}
