// SPDX-License-Identifier: BSD-2-Clause
//! The root task's heap grows by the manager, and shrinks.

use alloc::vec::Vec;

use roottask::{check, check_eq, Outcome};
use sel4_root_task::{grow_heap_from, trim_heap};
use vmm::sel4::faults::SharedManager;
use vmm::sel4::ManagerHeap;

use crate::context::Context;

crate::table::tests!("heap":
    the_heap_grows_by_the_manager_and_gives_it_back,
);

/// The manager, while the heap has it.
static SHARED: SharedManager = SharedManager::new();
static MEMORY: ManagerHeap = ManagerHeap::of(&SHARED);
/// More than the program's heap begins with.
const BYTES: usize = 1 << 20;

/// A157. Before and after, the manager is not shared: then the heap is what it began with.
fn the_heap_grows_by_the_manager_and_gives_it_back(context: &mut Context) -> Outcome {
    // SAFETY: moved out, and in again below, before anybody looks at it.
    SHARED.share(unsafe { core::ptr::read(&context.vmm) })?;
    grow_heap_from(&MEMORY);
    let outcome = grow();
    match SHARED.unshare() {
        // SAFETY: what was there was moved out above.
        Ok(vmm) => unsafe { core::ptr::write(&mut context.vmm, vmm) },
        Err(error) => sel4_root_task::abort!("the manager does not come back: {error}"),
    }
    check!(Vec::<u8>::new().try_reserve(BYTES).is_err());
    outcome
}

fn grow() -> Outcome {
    let used = || {
        let vmm = SHARED.lock();
        vmm.usage(vmm.own_space()).map(|usage| usage.frames)
    };
    let before = used()?;
    let mut small = Vec::new();
    for round in 0..5 {
        let numbers: Vec<u32> = (0..BYTES as u32).collect();
        check!(numbers.iter().copied().eq(0..BYTES as u32));
        check!(used()? - before >= BYTES * 4 / 4096);
        small.push(alloc::boxed::Box::new(round));
    }
    {
        // The manager is this thread's, so the heap has nothing of it: there is no waiting for it.
        let vmm = SHARED.lock();
        check!(Vec::<u8>::new().try_reserve(64 * BYTES).is_err());
        vmm.validate()?;
    }
    check!(small.iter().map(|number| **number).eq(0..5));
    drop(small);
    check_eq!(trim_heap(), 0);
    check_eq!(used()?, before);
    Ok(SHARED.lock().validate()?)
}
