// SPDX-License-Identifier: BSD-2-Clause
//! Faults of whose address the kernel tells the low bits alone, where it is such a kernel.

use roottask::{check, check_eq, Outcome, ThreadOptions};
use sel4::cap;
use vmm::sel4::faults::{decode, ThreadFault};
use vmm::{
    Backing, Blueprint, Error, FaultClass, Name, Placement, RegionOptions, Resolution, ShareOptions,
};

use crate::context::{answer_fault, cap_of, unexpected, Context};
use crate::probe::{load, set_word, word};

crate::table::tests!("untold":
    what_touches_map_lies_where_their_address_is_told,
    a_thread_does_not_repeat_for_ever_what_is_not_told,
    what_is_stored_where_no_fault_is_told_is_cloned,
);

fn lazily(pages: usize) -> RegionOptions {
    RegionOptions::new(pages).backed(Backing::OnDemand { around: 1 })
}

/// A164, A165.
fn what_touches_map_lies_where_their_address_is_told(context: &mut Context) -> Outcome {
    let (vmm, space) = (&mut context.vmm, context.space);
    let end = vmm.geometry().fault_end;
    if vmm.geometry().tells_all_faults() {
        check_eq!(end, vmm.geometry().user_end);
        let last = vmm.reserve(space, &lazily(1).at(end - 4096))?;
        return Ok(vmm.release(last)?);
    }
    let name = Name::default();
    let refused = Err(Error::FaultsNotTold { address: end, end, name });
    check_eq!(vmm.reserve(space, &lazily(2).at(end)), refused);
    check_eq!(vmm.reserve(space, &lazily(2).at(end - 4096)), refused);
    let region = vmm.reserve(space, &lazily(2))?;
    check!(region.start().bits() + 2 * 4096 <= end);
    vmm.release(region)?;
    // What is mapped by request is there.
    let plain = vmm.map(space, &RegionOptions::new(2).at(end))?;
    set_word(end + 4096, 77);
    check_eq!(word(end + 4096), 77);
    Ok(vmm.release(plain)?)
}

/// A167: the kernel tells of the address the bits at which a page is mapped.
fn a_thread_does_not_repeat_for_ever_what_is_not_told(context: &mut Context) -> Outcome {
    if context.vmm.geometry().tells_all_faults() {
        return Ok(());
    }
    let end = context.vmm.geometry().fault_end;
    let page = context.vmm.map(context.space, &RegionOptions::new(1).named("mapped"))?;
    let address = page.start().bits() + 8;
    let object = context.vmm.allocate(Blueprint::Endpoint)?;
    let endpoint: cap::Endpoint = cap_of(object);
    let options = ThreadOptions { priority: 254, ..ThreadOptions::new("wild") };
    let options = options.answered_at(object.slot());
    let child = context.prepare_with(&options, object, load, 3 * end + address)?;
    child.start()?;
    let mut classes = [None; 2];
    for class in &mut classes {
        let (info, badge) = endpoint.recv(());
        let fault = sel4::with_ipc_buffer(|buffer| decode(buffer, &info));
        let Some(ThreadFault::Page(fault)) = fault else { return Err(unexpected(&fault)) };
        check_eq!(fault.address, address);
        let resolution = context.vmm.handle_fault(badge as usize, &fault)?.resolution;
        *class = match resolution {
            Resolution::Resolved(class) => Some((class, true)),
            Resolution::Unresolved(class) => Some((class, false)),
            Resolution::AskPager { .. } => None,
        };
        if matches!(resolution, Resolution::Resolved(_)) {
            answer_fault();
        }
    }
    check_eq!(classes, [Some((FaultClass::Recorded, true)), Some((FaultClass::NotTold, false))]);
    Ok(context.vmm.release(page)?)
}

/// A108.
fn what_is_stored_where_no_fault_is_told_is_cloned(context: &mut Context) -> Outcome {
    let (vmm, own) = (&mut context.vmm, context.space);
    let at = match vmm.geometry().tells_all_faults() {
        true => 0x8000_0000,
        false => vmm.geometry().fault_end,
    };
    let store = vmm.create_store()?;
    let origin = vmm.map(store, &RegionOptions::new(2).at(at))?;
    let pages = vmm.pages_of(origin)?;
    let view = vmm.share(store, pages, own, &ShareOptions::new())?;
    set_word(view.start().bits() + 4096, 5);
    vmm.release(view)?;
    let clone = vmm.clone_region(origin, store, Placement::at(at + 64 * 4096))?;
    let mut views = [origin; 2];
    for (view, stored) in views.iter_mut().zip([origin, clone]) {
        let pages = vmm.pages_of(stored)?;
        *view = vmm.share(store, pages, own, &ShareOptions::new())?;
    }
    let [one, other] = views.map(|view| view.start().bits() + 4096);
    check_eq!((word(one), word(other)), (5, 5));
    set_word(other, 6);
    check_eq!((word(one), word(other)), (5, 6));
    for view in views {
        vmm.release(view)?;
    }
    Ok(vmm.destroy_space(store)?)
}
