// SPDX-License-Identifier: BSD-2-Clause
//! Bad input: each with an error of its own, and nothing changed by it.

use roottask::{check, check_eq, Outcome};
use vmm::sel4::{start, BootPool};
use vmm::{AddressError, Blame, Blueprint, Error, Name, Pages, RegionOptions, Rights, SpaceId};

use crate::arch::{LARGE_BITS, USER_END};
use crate::context::Context;
use crate::probe::{set_word, word};

crate::table::tests!("refusal":
    an_address_outside_user_space,
    an_overlap_says_with_what,
    the_programs_own_pages_are_taken,
    a_misaligned_address,
    no_pages_at_all,
    more_pages_than_there_are_addresses,
    rights_above_the_ceiling,
    pages_that_are_not_the_callers,
    what_is_mapped_or_not_mapped_already,
    stale_ids,
    objects_that_there_are_not,
    a_boot_information_without_memory,
    a_pool_that_is_too_small_or_was_given_before,
    a_second_manager_of_the_same_boot_information,
);

fn at(address: usize) -> RegionOptions {
    RegionOptions::new(2).at(address)
}

/// That a request is refused with `error`, that the fault is the caller's, and that all goes on.
fn refused(context: &mut Context, options: RegionOptions, error: Error) -> Outcome {
    let before = context.vmm.stats();
    check_eq!(context.vmm.map(context.space, &options), Err(error));
    check_eq!(context.vmm.reserve(context.space, &options), Err(error));
    check_eq!(error.blame(), Blame::Caller);
    check_eq!(context.vmm.stats().allocator, before.allocator);
    goes_on(context)
}

/// That memory can be mapped, used and given back.
fn goes_on(context: &mut Context) -> Outcome {
    context.vmm.validate()?;
    let region = context.vmm.map(context.space, &RegionOptions::new(1))?;
    set_word(region.start().bits(), 1);
    check_eq!(word(region.start().bits()), 1);
    context.vmm.release(region)?;
    Ok(context.vmm.trim()?)
}

fn an_address_outside_user_space(context: &mut Context) -> Outcome {
    for (address, end) in [(USER_END, USER_END + 8192), (USER_END - 4096, USER_END + 4096)] {
        let outside = AddressError::OutsideUserSpace { address: end, end: USER_END };
        refused(context, at(address), Error::Address(outside))?;
    }
    let last = usize::MAX - 4095;
    let wraps = AddressError::Wraps { address: last, pages: 2 };
    refused(context, at(last), Error::Address(wraps))?;
    let outside = AddressError::OutsideUserSpace { address: USER_END, end: USER_END };
    let query = context.vmm.mapping_at(context.space, USER_END);
    check_eq!(query, Err(Error::Address(outside)));
    Ok(())
}

fn an_overlap_says_with_what(context: &mut Context) -> Outcome {
    let options = RegionOptions::new(4).at(0x5000_0000).guarded(1, 1);
    let region = context.vmm.map(context.space, &options)?;
    for (address, taken) in
        [(0x5000_0000, 0x5000_0000), (0x4fff_e000, 0x4fff_f000), (0x5000_4000, 0x5000_4000)]
    {
        let region_start = 0x4fff_f000;
        refused(
            context,
            at(address),
            Error::Overlap { address: taken, region_start, name: Name::default() },
        )?;
    }
    let beside = context.vmm.map(context.space, &at(0x5000_5000))?;
    context.vmm.release(beside)?;
    Ok(context.vmm.release(region)?)
}

fn the_programs_own_pages_are_taken(context: &mut Context) -> Outcome {
    let boot = context.bootinfo;
    let own = [
        refused as *const () as usize & !4095,
        boot.ipc_buffer() as usize,
        boot.ptr() as usize & !4095,
        0,
    ];
    for address in own {
        let mapped = context.vmm.map(context.space, &RegionOptions::new(1).at(address));
        check!(matches!(mapped, Err(Error::Overlap { address: found, .. }) if found == address));
        let region = context.vmm.region_at(context.space, address)?;
        let Some(region) = region else {
            check!(region.is_some());
            return Ok(());
        };
        let wrong = Error::WrongKind { region: region.id, name: region.name };
        check_eq!(context.vmm.release(region.id), Err(wrong));
    }
    goes_on(context)
}

fn a_misaligned_address(context: &mut Context) -> Outcome {
    let misaligned = AddressError::Misaligned { address: 0x5000_0800, bits: 12 };
    refused(context, at(0x5000_0800), Error::Address(misaligned))?;
    let misaligned = AddressError::Misaligned { address: 0x5000_1000, bits: 16 };
    refused(context, at(0x5000_1000).aligned(16), Error::Address(misaligned))?;
    let unmapped = context.vmm.unmap(context.space, Pages::at(0x5000_0004));
    let misaligned = AddressError::Misaligned { address: 0x5000_0004, bits: 12 };
    check_eq!(unmapped, Err(Error::Address(misaligned)));
    Ok(())
}

fn no_pages_at_all(context: &mut Context) -> Outcome {
    let empty = |address| Error::Address(AddressError::Empty { address });
    refused(context, RegionOptions::new(0), empty(0))?;
    refused(context, RegionOptions::new(0).at(0x5000_0000), empty(0x5000_0000))?;
    refused(context, RegionOptions::new(0).guarded(1, 1), empty(0))?;
    check_eq!(
        context.vmm.unmap(context.space, Pages::at(0x5000_0000).count(0)),
        Err(empty(0x5000_0000))
    );
    Ok(())
}

fn more_pages_than_there_are_addresses(context: &mut Context) -> Outcome {
    for pages in [USER_END >> 12, usize::MAX >> 12, usize::MAX] {
        let mapped = context.vmm.map(context.space, &RegionOptions::new(pages));
        check!(matches!(mapped, Err(Error::NoRoom { .. })));
        check!(mapped.is_err_and(|error| error.blame() == Blame::Resource));
    }
    goes_on(context)
}

fn rights_above_the_ceiling(context: &mut Context) -> Outcome {
    let (asked, ceiling) = (Rights::READ_WRITE, Rights::READ);
    let too_much = Error::RightsExceedCeiling { asked, ceiling, name: Name::default() };
    refused(context, RegionOptions::new(1).ceiling(ceiling), too_much)?;
    let options = RegionOptions::new(1).ceiling(ceiling).rights(Rights::READ);
    let region = context.vmm.map(context.space, &options)?;
    let protected = context.vmm.protect(context.space, Pages::at(region.start().bits()), asked);
    check_eq!(protected, Err(too_much));
    Ok(context.vmm.release(region)?)
}

fn pages_that_are_not_the_callers(context: &mut Context) -> Outcome {
    let options = RegionOptions::new(4).at(0x5000_0000).guarded(1, 1).named("guarded");
    let region = context.vmm.map(context.space, &options)?;
    let (vmm, space) = (&mut context.vmm, context.space);
    let name = Name::new("guarded");
    let guard = |address| Err(Error::Guard { address, name });
    check_eq!(vmm.unmap(space, Pages::at(0x4fff_f000)), guard(0x4fff_f000));
    check_eq!(vmm.unmap(space, Pages::at(0x5000_3000).count(2)), guard(0x5000_4000));
    check_eq!(vmm.protect(space, Pages::at(0x5000_4000), Rights::READ), guard(0x5000_4000));
    let outside = Err(Error::OutsideRegion { address: 0x5100_0000, name: Name::default() });
    check_eq!(vmm.unmap(space, Pages::at(0x5100_0000)), outside);
    check_eq!(vmm.populate(space, Pages::at(0x5100_0000)), outside);
    let own = context.bootinfo.ipc_buffer() as usize;
    check!(matches!(vmm.unmap(space, Pages::at(own)), Err(Error::WrongKind { .. })));
    vmm.release(region)?;
    goes_on(context)
}

fn what_is_mapped_or_not_mapped_already(context: &mut Context) -> Outcome {
    let region = context.vmm.map(context.space, &RegionOptions::new(4).named("heap"))?;
    let (vmm, space, start) = (&mut context.vmm, context.space, region.start().bits());
    vmm.unmap(space, Pages::at(start + 8192))?;
    let name = Name::new("heap");
    let missing = Err(Error::NotMapped { address: start + 8192, name });
    check_eq!(vmm.unmap(space, Pages::at(start).count(4)), missing);
    check_eq!(vmm.protect(space, Pages::at(start).count(4), Rights::READ), missing);
    check_eq!(
        vmm.physical_address(space, start + 8192),
        Err(Error::NotMapped { address: start + 8192, name })
    );
    let mapped = Err(Error::AlreadyMapped { address: start + 4096, name });
    check_eq!(vmm.populate(space, Pages::at(start + 4096).count(2)), mapped);
    vmm.release(region)?;
    goes_on(context)
}

fn stale_ids(context: &mut Context) -> Outcome {
    let region = context.vmm.map(context.space, &at(0x5000_0000))?;
    context.vmm.release(region)?;
    let again = context.vmm.map(context.space, &at(0x5000_0000))?;
    let (vmm, gone) = (&mut context.vmm, Err(Error::NoSuchRegion(region)));
    check_eq!(vmm.release(region), gone);
    check_eq!(vmm.region_info(region).map(|_| ()), gone);
    vmm.release(again)?;
    let object = vmm.allocate(Blueprint::Tcb)?;
    vmm.free(object)?;
    let freed = vmm.free(object);
    check!(freed.is_err_and(|error| error.blame() == Blame::Caller));
    let slots = vmm.alloc_slots(3)?;
    vmm.free_slots(slots, 3)?;
    check!(vmm.free_slots(slots, 3).is_err_and(|error| error.blame() == Blame::Caller));
    let nowhere = SpaceId::from_parts(4711, 4711);
    let mapped = vmm.map(nowhere, &RegionOptions::new(1));
    check_eq!(mapped, Err(Error::NoSuchSpace(nowhere)));
    goes_on(context)
}

fn objects_that_there_are_not(context: &mut Context) -> Outcome {
    let vmm = &mut context.vmm;
    let frame = Blueprint::Frame { size_bits: LARGE_BITS + 1 };
    check!(says(vmm.allocate(frame), "has no"));
    check!(says(
        vmm.allocate(Blueprint::Table { level: sel4::vspace_levels::NUM_LEVELS as u8 }),
        "has no"
    ));
    check!(says(vmm.allocate(Blueprint::CNode { radix_bits: 0 }), "has no"));
    check!(says(vmm.allocate_many(Blueprint::Tcb, 257), "at most 256"));
    check!(says(vmm.allocate_many(Blueprint::Tcb, 0), "zero objects"));
    check!(says(vmm.alloc_slots(0), "zero objects"));
    check!(says(vmm.alloc_slots(257), "at most 256"));
    goes_on(context)
}

/// Whether the allocator refused, as the caller's fault, and its message contains `words`.
fn says<T>(result: vmm::Result<T>, words: &str) -> bool {
    match result {
        Err(error @ Error::Allocator(_)) => {
            error.blame() == Blame::Caller && alloc::format!("{error}").contains(words)
        }
        _ => false,
    }
}

static SECOND_POOL: BootPool = BootPool::new();

fn a_boot_information_without_memory(context: &mut Context) -> Outcome {
    let original = context.bootinfo.ptr().cast_mut();
    // SAFETY: the boot information is mapped writable, one thread uses it, and no reference to it
    // is held across this. A copy would lie elsewhere, and start takes its place for granted.
    let started = unsafe {
        let untyped = (*original).inner().untyped;
        (*original).inner_mut().untyped.end = untyped.start;
        let started = start(&sel4::BootInfoPtr::new(original), &SECOND_POOL).map(|_| ());
        (*original).inner_mut().untyped = untyped;
        started
    };
    check!(matches!(started, Err(Error::Allocator(_))));
    check!(started.is_err_and(|error| error.blame() == Blame::Caller));
    goes_on(context)
}

static POOL_OF_A_SECOND: BootPool<32> = BootPool::new();

/// A55.
fn a_second_manager_of_the_same_boot_information(context: &mut Context) -> Outcome {
    let calls = context.vmm.stats().calls.total();
    let second = start(&context.bootinfo, &POOL_OF_A_SECOND).map(|_| ());
    check_eq!(second, Err(Error::AlreadyStarted));
    check_eq!(second.map_err(|error| error.blame()), Err(Blame::Caller));
    check_eq!(context.vmm.stats().calls.total(), calls);
    goes_on(context)
}

static SMALL_POOL: BootPool<2> = BootPool::new();

fn a_pool_that_is_too_small_or_was_given_before(context: &mut Context) -> Outcome {
    let small = start(&context.bootinfo, &SMALL_POOL).map(|_| ());
    check!(matches!(small, Err(Error::OutOfNodes(_))));
    let again = start(&context.bootinfo, &SMALL_POOL).map(|_| ());
    check!(matches!(again, Err(Error::BadBootInfo(_))));
    goes_on(context)
}
