// SPDX-License-Identifier: BSD-2-Clause
//! Copying, minting, moving and deleting capabilities.

use roottask::{check, check_eq, Outcome};
use sel4::{cap, cap_type, CNodeCapData, CapRights, CapRightsBuilder, Error};
use sel4::{ObjectBlueprint, Word};

use crate::context::{Context, Scratch};

crate::table::tests!("cnode":
    a_copy_names_the_same_object,
    a_copy_without_write_right_cannot_signal,
    a_copy_refuses_an_occupied_or_empty_slot,
    a_minted_badge_reaches_the_receiver,
    a_badge_cannot_be_changed,
    moving_empties_the_source,
    mutating_gives_a_guard_on_the_way,
    rotating_exchanges_two,
    deleting_an_empty_slot_succeeds,
    revoking_deletes_what_was_derived_and_only_that,
    a_guard_is_part_of_the_address,
);

/// Scratch with a notification in slot 0.
fn notification(context: &mut Context) -> Outcome<Scratch> {
    let scratch = context.scratch(12, 8)?;
    scratch.retype(ObjectBlueprint::Notification, 0, 1)?;
    Ok(scratch)
}

fn at(scratch: &Scratch, index: usize) -> cap::Notification {
    scratch.cap::<cap_type::Notification>(index)
}

fn a_copy_names_the_same_object(context: &mut Context) -> Outcome {
    let scratch = notification(context)?;
    scratch.place(1).copy(&scratch.place(0), CapRights::all())?;
    scratch.place(2).mint(&scratch.place(1), CapRights::all(), 4)?;
    at(&scratch, 2).signal();
    check_eq!(at(&scratch, 0).poll().1, 4);
    check_eq!(at(&scratch, 1).poll().1, 0);
    Ok(())
}

fn a_copy_without_write_right_cannot_signal(context: &mut Context) -> Outcome {
    let scratch = notification(context)?;
    let rights = CapRightsBuilder::none().read(true).build();
    scratch.place(1).mint(&scratch.place(0), rights, 2)?;
    at(&scratch, 1).signal();
    check_eq!(at(&scratch, 0).poll().1, 0);
    scratch.place(2).mint(&scratch.place(0), CapRights::write_only(), 2)?;
    at(&scratch, 2).signal();
    check_eq!(at(&scratch, 1).poll().1, 2);
    Ok(())
}

fn a_copy_refuses_an_occupied_or_empty_slot(context: &mut Context) -> Outcome {
    let scratch = notification(context)?;
    let all = CapRights::all;
    check_eq!(scratch.place(0).copy(&scratch.place(0), all()), Err(Error::DeleteFirst));
    check_eq!(scratch.place(1).copy(&scratch.place(2), all()), Err(Error::FailedLookup));
    let outside = sel4::CPtr::from_bits(0xffff_0000);
    let outside = crate::context::place(outside);
    check_eq!(outside.copy(&scratch.place(0), all()), Err(Error::FailedLookup));
    Ok(())
}

fn a_minted_badge_reaches_the_receiver(context: &mut Context) -> Outcome {
    let scratch = notification(context)?;
    // All 28 bits of a badge, one by one, gathered in one word.
    let mut expected = 0;
    for bit in [0, 1, 13, 27] {
        scratch.place(1).mint(&scratch.place(0), CapRights::all(), 1 << bit)?;
        at(&scratch, 1).signal();
        expected |= 1 << bit;
        scratch.place(1).delete()?;
    }
    check_eq!(at(&scratch, 0).wait().1, expected);
    Ok(())
}

fn a_badge_cannot_be_changed(context: &mut Context) -> Outcome {
    let scratch = notification(context)?;
    scratch.place(1).mint(&scratch.place(0), CapRights::all(), 1)?;
    let again = scratch.place(2).mint(&scratch.place(1), CapRights::all(), 2);
    check_eq!(again, Err(Error::IllegalOperation));
    Ok(())
}

fn moving_empties_the_source(context: &mut Context) -> Outcome {
    let scratch = notification(context)?;
    scratch.place(1).move_(&scratch.place(0))?;
    at(&scratch, 1).signal();
    check_eq!(scratch.place(2).move_(&scratch.place(0)), Err(Error::FailedLookup));
    scratch.place(0).mint(&scratch.place(1), CapRights::all(), 1)?;
    check_eq!(scratch.place(1).move_(&scratch.place(0)), Err(Error::DeleteFirst));
    Ok(())
}

/// Scratch with a CNode of 16 slots in slot 0, and nothing else.
fn cnode(context: &mut Context) -> Outcome<Scratch> {
    let scratch = context.scratch(12, 8)?;
    scratch.retype(ObjectBlueprint::CNode { size_bits: 4 }, 0, 1)?;
    Ok(scratch)
}

/// Whether the CNode capability in slot `index` has the guard `guard` of 8 bits.
fn has_guard(scratch: &Scratch, index: usize, guard: Word) -> bool {
    let cnode = scratch.cap::<cap_type::CNode>(index);
    let deleted = cnode.absolute_cptr_from_bits_with_depth(guard << 4, 12).delete();
    deleted == Ok(())
}

fn mutating_gives_a_guard_on_the_way(context: &mut Context) -> Outcome {
    let scratch = cnode(context)?;
    scratch.place(1).mutate(&scratch.place(0), CNodeCapData::new(0x77, 8).into_word())?;
    check!(has_guard(&scratch, 1, 0x77));
    check!(!has_guard(&scratch, 1, 0x78));
    check_eq!(scratch.place(3).move_(&scratch.place(0)), Err(Error::FailedLookup));
    // A badge is kept as it is, so there is no giving one.
    scratch.retype(ObjectBlueprint::Endpoint, 0, 1)?;
    check_eq!(scratch.place(3).mutate(&scratch.place(0), 1), Err(Error::IllegalOperation));
    Ok(())
}

fn rotating_exchanges_two(context: &mut Context) -> Outcome {
    let scratch = cnode(context)?;
    let guard = |bits| CNodeCapData::new(bits, 8).into_word();
    scratch.place(1).mint(&scratch.place(0), CapRights::all(), guard(1))?;
    scratch.place(2).mint(&scratch.place(0), CapRights::all(), guard(2))?;
    scratch.place(1).rotate(guard(3), &scratch.place(2), guard(4), &scratch.place(1))?;
    check!(has_guard(&scratch, 1, 3) && !has_guard(&scratch, 1, 1));
    check!(has_guard(&scratch, 2, 4) && !has_guard(&scratch, 2, 2));
    let occupied = scratch.place(1).rotate(0, &scratch.place(2), 0, &scratch.place(0));
    check_eq!(occupied, Err(Error::DeleteFirst));
    Ok(())
}

fn deleting_an_empty_slot_succeeds(context: &mut Context) -> Outcome {
    let scratch = context.scratch(12, 1)?;
    check_eq!(scratch.place(0).delete(), Ok(()));
    check_eq!(scratch.place(0).delete(), Ok(()));
    Ok(())
}

fn revoking_deletes_what_was_derived_and_only_that(context: &mut Context) -> Outcome {
    let scratch = notification(context)?;
    scratch.place(1).mint(&scratch.place(0), CapRights::all(), 1)?;
    scratch.place(2).copy(&scratch.place(1), CapRights::all())?;
    scratch.retype(ObjectBlueprint::Notification, 3, 1)?;
    scratch.place(0).revoke()?;
    // The slots are empty again, those of the original and of a stranger are not.
    check_eq!(scratch.place(4).move_(&scratch.place(1)), Err(Error::FailedLookup));
    check_eq!(scratch.place(4).move_(&scratch.place(2)), Err(Error::FailedLookup));
    check_eq!(scratch.place(4).move_(&scratch.place(3)), Ok(()));
    check_eq!(scratch.place(5).move_(&scratch.place(0)), Ok(()));
    Ok(())
}

fn a_guard_is_part_of_the_address(context: &mut Context) -> Outcome {
    let scratch = context.scratch(12, 4)?;
    scratch.retype(ObjectBlueprint::CNode { size_bits: 4 }, 0, 1)?;
    scratch.retype(ObjectBlueprint::Notification, 1, 1)?;
    let guard = CNodeCapData::new(0x2a, 8).into_word();
    scratch.place(2).mint(&scratch.place(0), CapRights::all(), guard)?;
    let guarded = scratch.cap::<cap_type::CNode>(2);
    // 8 bits of guard and 4 of the slot's number.
    let inside = guarded.absolute_cptr_from_bits_with_depth(0x2a3, 12);
    inside.copy(&scratch.place(1), CapRights::all())?;
    let wrong = guarded.absolute_cptr_from_bits_with_depth(0x2b4, 12);
    let copied = wrong.copy(&scratch.place(1), CapRights::all());
    check_eq!(copied, Err(Error::FailedLookup));
    // By the capability without guard it is the same slot.
    let unguarded = scratch.cap::<cap_type::CNode>(0);
    scratch.place(3).move_(&unguarded.absolute_cptr_from_bits_with_depth(3, 4))?;
    at(&scratch, 3).signal();
    check_eq!(at(&scratch, 1).poll().1, 0);
    Ok(())
}
