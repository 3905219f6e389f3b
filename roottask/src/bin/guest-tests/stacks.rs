// SPDX-License-Identifier: BSD-2-Clause
//! Guards of stacks: main's, and those of threads that the manager makes.

use roottask::{check, check_eq, Outcome, Thread, ThreadOptions};
use vmm::{Access, FaultClass, PageFault, StackOptions};

use crate::context::Context;
use crate::probe::{load, store, STORED};

crate::table::tests!("stacks":
    below_the_stack_of_main_nothing_is_mapped,
    a_stack_has_as_many_guard_pages_as_were_asked_for,
    a_threads_guard_is_as_large_as_was_asked_for,
);

const PAGE: usize = vmm::PAGE_BYTES;
const WORD: usize = size_of::<sel4::Word>();

/// What the manager says of a write to `address`.
fn class_and_report(
    context: &Context,
    address: usize,
) -> Outcome<(FaultClass, alloc::string::String)> {
    let fault = PageFault { address, access: Access::Write, present: false, ip: 0 };
    let report = context.vmm.report_fault(context.space, fault, "main")?;
    Ok((report.class, alloc::format!("{report}")))
}

/// A53: the processor finds nothing there, and the report says whose guard it is. Below the guard
/// and above the stack lies the image, of which nothing is missing.
fn below_the_stack_of_main_nothing_is_mapped(context: &mut Context) -> Outcome {
    let local = 0u32;
    let here = context.vmm.region_at(context.space, core::ptr::from_ref(&local) as usize)?;
    let Some(stack) = here else {
        return Err(roottask::Failure::Manager(vmm::Error::BadBootInfo(0)));
    };
    check_eq!((stack.name.as_str(), stack.guard_below, stack.guard_above), ("stack of main", 1, 0));
    // As `#[root_task]` says in main.rs.
    check_eq!(stack.range.pages(), 1 + 128 * 1024 / PAGE);
    let guard = stack.range.start().bits();
    for address in [guard, guard + PAGE - WORD] {
        check_eq!(context.spawn(load, address)?.vm_fault()?.addr() as usize, address);
        check_eq!(context.spawn(store, address)?.vm_fault()?.addr() as usize, address);
        let (class, report) = class_and_report(context, address)?;
        check_eq!(class, FaultClass::Guard);
        check!(report.contains("bytes below the stack of main: its guard"));
    }
    for address in [guard - WORD, guard + PAGE, stack.range.end() - WORD, stack.range.end()] {
        context.spawn(load, address)?.result()?;
    }
    let neighbours =
        [guard - 1, stack.range.end()].map(|at| context.vmm.region_at(context.space, at));
    for neighbour in neighbours {
        check_eq!(neighbour?.map(|region| region.name), Some(vmm::Name::new("image")));
    }
    Ok(())
}

/// A54.
fn a_stack_has_as_many_guard_pages_as_were_asked_for(context: &mut Context) -> Outcome {
    for (options, guard) in [
        (StackOptions::new(2), 1),
        (StackOptions::new(2).guarded(0), 1),
        (StackOptions::new(2).guarded(5), 5),
        (StackOptions::new(2).guarded(5).growing(1), 5),
    ] {
        let stack = context.vmm.allocate_stack_with(context.space, &options.named("deep"))?;
        let info = context.vmm.region_info(stack.region())?;
        check_eq!((info.guard_below, info.guard_above), (guard, 1));
        check_eq!(stack.bottom() - stack.guard(), guard * PAGE);
        check_eq!(stack.top() - stack.bottom(), 2 * PAGE);
        for page in 1..=guard {
            let (class, report) = class_and_report(context, stack.bottom() - page * PAGE)?;
            check_eq!(class, FaultClass::Guard);
            check!(report.contains("below the stack of deep: its guard"));
        }
        context.vmm.release(stack.region())?;
    }
    Ok(())
}

/// A54.
fn a_threads_guard_is_as_large_as_was_asked_for(context: &mut Context) -> Outcome {
    let options = ThreadOptions { guard_pages: 16, ..ThreadOptions::new("guarded") };
    let thread = Thread::new(&mut context.vmm, &options)?;
    let stack = thread.stack();
    check_eq!(stack.bottom() - stack.guard(), 16 * PAGE);
    for address in [stack.bottom() - WORD, stack.guard()] {
        check_eq!(context.spawn(store, address)?.vm_fault()?.addr() as usize, address);
    }
    check_eq!(context.spawn(store, stack.bottom())?.result()?, STORED);
    Ok(thread.release(&mut context.vmm)?)
}
