// SPDX-License-Identifier: BSD-2-Clause
//! Retyping.

use roottask::{check, check_eq, Outcome};
use sel4::init_thread::slot;
use sel4::{
    cap, cap_type, CapRights, Error, FrameObjectType, ObjectBlueprint, ObjectBlueprintX86,
    TranslationTableObjectType,
};

use crate::context::Context;

crate::table::tests!("untyped":
    retype_makes_every_type_of_object,
    retype_fills_consecutive_slots_with_consecutive_frames,
    retype_refuses_an_occupied_slot,
    retype_refuses_more_than_the_memory_holds,
    retype_refuses_more_than_the_fan_out_limit,
    retype_refuses_a_size_there_is_not,
    retype_reaches_a_cnode_by_its_path,
    an_untyped_with_children_cannot_be_copied,
    boot_untypeds_are_aligned_and_counted,
);

/// The logarithm of the largest untyped's bytes.
const MAX_BITS: usize = sel4::sys::seL4_MaxUntypedBits as usize;
const PAGE: ObjectBlueprint = FrameObjectType::GRANULE.blueprint();

fn retype_makes_every_type_of_object(context: &mut Context) -> Outcome {
    let blueprints = [
        ObjectBlueprint::Untyped { size_bits: 4 },
        ObjectBlueprint::Endpoint,
        ObjectBlueprint::Notification,
        ObjectBlueprint::CNode { size_bits: 2 },
        ObjectBlueprint::Tcb,
        PAGE,
        ObjectBlueprint::Arch(ObjectBlueprintX86::PageTable),
        TranslationTableObjectType::PageDirectory.blueprint(),
    ];
    let scratch = context.scratch(16, blueprints.len() + 1)?;
    for (index, blueprint) in blueprints.into_iter().enumerate() {
        scratch.retype(blueprint, index, 1)?;
        // There is something in the slot: it can be moved away and back.
        let spare = blueprints.len();
        check_eq!(scratch.place(spare).move_(&scratch.place(index)), Ok(()));
        check_eq!(scratch.place(index).move_(&scratch.place(spare)), Ok(()));
    }
    Ok(())
}

fn retype_fills_consecutive_slots_with_consecutive_frames(context: &mut Context) -> Outcome {
    let scratch = context.scratch(16, 16)?;
    scratch.retype(PAGE, 0, 16)?;
    let first = scratch.cap::<cap_type::Granule>(0).frame_get_address()?;
    check_eq!(first % (16 * 4096), 0);
    for index in 1..16 {
        let address = scratch.cap::<cap_type::Granule>(index).frame_get_address()?;
        check_eq!(address, first + index * 4096);
    }
    Ok(())
}

fn retype_refuses_an_occupied_slot(context: &mut Context) -> Outcome {
    let scratch = context.scratch(12, 4)?;
    scratch.retype(ObjectBlueprint::Endpoint, 2, 1)?;
    check_eq!(scratch.retype(ObjectBlueprint::Endpoint, 0, 4), Err(Error::DeleteFirst));
    // Nothing of it was made: the slots before are still empty.
    scratch.retype(ObjectBlueprint::Endpoint, 0, 2)?;
    Ok(())
}

fn retype_refuses_more_than_the_memory_holds(context: &mut Context) -> Outcome {
    let scratch = context.scratch(13, 3)?;
    check_eq!(scratch.retype(PAGE, 0, 3), Err(Error::NotEnoughMemory));
    scratch.retype(PAGE, 0, 2)?;
    check_eq!(scratch.retype(ObjectBlueprint::Endpoint, 2, 1), Err(Error::NotEnoughMemory));
    Ok(())
}

fn retype_refuses_more_than_the_fan_out_limit(context: &mut Context) -> Outcome {
    let limit = sel4::sel4_cfg_usize!(RETYPE_FAN_OUT_LIMIT);
    let scratch = context.scratch(16, 1)?;
    for count in [0, limit + 1] {
        check_eq!(scratch.retype(ObjectBlueprint::Endpoint, 0, count), Err(Error::RangeError));
    }
    Ok(())
}

fn retype_refuses_a_size_there_is_not(context: &mut Context) -> Outcome {
    let scratch = context.scratch(12, 1)?;
    let too_small = ObjectBlueprint::Untyped { size_bits: 3 };
    let too_large = ObjectBlueprint::Untyped { size_bits: MAX_BITS + 1 };
    check_eq!(scratch.retype(too_small, 0, 1), Err(Error::InvalidArgument));
    check_eq!(scratch.retype(too_large, 0, 1), Err(Error::RangeError));
    check_eq!(
        scratch.retype(ObjectBlueprint::CNode { size_bits: 0 }, 0, 1),
        Err(Error::InvalidArgument)
    );
    Ok(())
}

fn retype_reaches_a_cnode_by_its_path(context: &mut Context) -> Outcome {
    let scratch = context.scratch(14, 2)?;
    let cnode: cap::CNode = scratch.make(ObjectBlueprint::CNode { size_bits: 4 }, 0)?;
    // Named from the root CNode by all bits of its CPtr, and slot 9 in it.
    let path = scratch.place(0);
    scratch.untyped().untyped_retype(&ObjectBlueprint::Notification, &path, 9, 1)?;
    let inside = cnode.absolute_cptr_from_bits_with_depth(9, 4);
    scratch.place(1).move_(&inside)?;
    let notification = scratch.cap::<cap_type::Notification>(1);
    notification.signal();
    let outside = scratch.untyped().untyped_retype(&ObjectBlueprint::Endpoint, &path, 16, 1);
    check_eq!(outside, Err(Error::RangeError));
    Ok(())
}

fn an_untyped_with_children_cannot_be_copied(context: &mut Context) -> Outcome {
    let scratch = context.scratch(12, 2)?;
    let untyped = crate::context::place(scratch.untyped().cptr());
    scratch.retype(ObjectBlueprint::Endpoint, 0, 1)?;
    check_eq!(scratch.place(1).copy(&untyped, CapRights::all()), Err(Error::RevokeFirst));
    untyped.revoke()?;
    check_eq!(scratch.place(1).copy(&untyped, CapRights::all()), Ok(()));
    Ok(())
}

fn boot_untypeds_are_aligned_and_counted(context: &mut Context) -> Outcome {
    let list = context.bootinfo.untyped_list();
    check_eq!(list.len(), context.bootinfo.untyped().len());
    let mut ram = 0;
    for untyped in list {
        check!((4..=MAX_BITS).contains(&untyped.size_bits()));
        // Device memory can be aligned in the kernel's addresses instead, which only large untypeds
        // tell from physical ones.
        let large = untyped.is_device() && untyped.size_bits() > 38;
        check!(large || untyped.paddr() % (1 << untyped.size_bits()) == 0);
        ram += if untyped.is_device() { 0 } else { 1usize << untyped.size_bits() };
    }
    check_eq!(ram, context.vmm.stats().allocator.total_bytes);
    check_eq!(slot::CNODE.index(), context.vmm.cspace_root().bits());
    Ok(())
}
