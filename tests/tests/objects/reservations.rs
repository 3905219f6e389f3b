// SPDX-License-Identifier: BSD-2-Clause
//! Reservations in spaces: who has a capability to one reaches nothing outside.
//!
//! Checks A223 and A224 of `MODEL.md`.

use untyped_alloc::kernel::KernelError;
use vmm::Access::{Read, Write};
use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, AccountOptions, Amounts, Answer, Refusal, Request, Rights, SPACE_SLOT,
};

use crate::world::{A, AMPLE, B, C, D, PAGE, Program, World, account};

const BOTH: Rights = Rights::READ_WRITE;
const START: usize = 0x5000_0000;

fn reserve(address: usize, pages: u32, ceiling: Rights, slot: u32) -> Request {
    Request::Reserve { address, pages, ceiling, slot }
}

fn map(address: usize, pages: u32, rights: Rights) -> Request {
    Request::Map { address, first: 0, pages, rights }
}

/// A program that has memory of 4 pages in A, and 16 pages at START reserved, by the capability in
/// B.
fn reserved(ceiling: Rights) -> (World, Program) {
    let (mut world, program) = World::one();
    world.memory(program, 4, A);
    let made = world.ask(program, reserve(START, 16, ceiling, B), &[SPACE_SLOT, ACCOUNT_SLOT]);
    assert_eq!(made, Ok(Answer::Done {}));
    (world, program)
}

/// A223: a program that was given the capability maps in another's space, there and nowhere else.
#[test]
fn who_has_a_reservation_maps_in_it_and_nowhere_else() {
    let (mut world, owner) = reserved(BOTH);
    let guest = world.program(AMPLE);
    let outside = world.map(owner, A, 4, BOTH);
    let restrict = Request::Restrict { rights: Rights::USE, slot: C };
    world.ask(owner, restrict, &[B, ACCOUNT_SLOT]).unwrap();
    world.copy((owner, C), (guest, B));
    world.memory(guest, 4, A);
    let slots = [B, A, ACCOUNT_SLOT];
    // Anywhere is in it, and so is what is said to be.
    let Ok(Answer::Mapped { address }) = world.ask(guest, map(0, 4, BOTH), &slots) else {
        panic!()
    };
    assert!((START..START + 13 * PAGE).contains(&address));
    assert!(world.touch(owner, address, Write), "it is the owner's thread that sees it");
    let second = START + 12 * PAGE;
    assert_eq!(
        world.ask(guest, map(second, 4, BOTH), &slots),
        Ok(Answer::Mapped { address: second })
    );
    for at in [START - PAGE, START + 13 * PAGE, START + 16 * PAGE, 0x7000_0000, outside + 4 * PAGE]
    {
        let refused = world.ask(guest, map(at, 4, BOTH), &slots);
        assert!(
            matches!(refused, Err(Refusal::BadAddress { .. } | Refusal::Overlap { .. })),
            "{at:#x}: {refused:?}"
        );
    }
    // What lies elsewhere is not to be reached by it.
    let space = [B];
    let none = Refusal::NoMapping { address: outside };
    for request in [
        Request::Unmap { address: outside },
        Request::UnmapPart { address: outside, pages: 1 },
        Request::Populate { address: outside, pages: 1 },
        Request::Protect { address: outside, pages: 1, rights: Rights::READ },
        Request::Move { address: outside, pages: 1, to: 0, rights: Rights::READ },
    ] {
        world.refused(guest, request, &space, none);
    }
    let away = Request::Move { address, pages: 4, to: 0x7000_0000, rights: Rights::READ };
    world.refused(guest, away, &space, Refusal::BadAddress { address: 0x7000_0000 });
    // Inside, all of it is.
    let there = START + 4 * PAGE;
    let request = Request::Move { address, pages: 4, to: there, rights: BOTH };
    assert_eq!(world.ask(guest, request, &space), Ok(Answer::Mapped { address: there }));
    let populate = Request::Populate { address: there, pages: 4 };
    assert_eq!(world.ask(guest, populate, &space), Ok(Answer::Pages { pages: 4 }));
    let read = Request::Protect { address: there, pages: 2, rights: Rights::READ };
    assert_eq!(world.ask(guest, read, &space), Ok(Answer::Pages { pages: 2 }));
    assert!(!world.touch(owner, there, Write) && world.touch(owner, there + 2 * PAGE, Write));
    let unmap = Request::UnmapPart { address: there + PAGE, pages: 1 };
    assert_eq!(world.ask(guest, unmap, &space), Ok(Answer::Pages { pages: 1 }));
    assert!(!world.touch(owner, there + PAGE, Read));
    // Its owner takes the capability back; what is mapped stays the memory's matter.
    world.finish(owner, Request::Revoke { slot: D }, &[B]);
    assert!(world.is_empty(guest, B));
    assert!(world.touch(owner, second, Read));
}

/// A223: nothing else is put there, and who has the space reaches in.
#[test]
fn nothing_is_mapped_in_a_reservation_but_by_it() {
    let (mut world, program) = reserved(BOTH);
    let slots = [SPACE_SLOT, A, ACCOUNT_SLOT];
    let address = START + 3 * PAGE;
    for at in [START, START + 12 * PAGE, START - PAGE, START + 15 * PAGE] {
        let refused = world.ask(program, map(at, 4, BOTH), &slots);
        assert!(
            matches!(refused, Err(Refusal::BadAddress { .. } | Refusal::Overlap { .. })),
            "{at:#x}: {refused:?}"
        );
    }
    let over = world.ask(program, reserve(START + PAGE, 2, BOTH, C), &[SPACE_SLOT, ACCOUNT_SLOT]);
    assert!(matches!(over, Err(Refusal::BadAddress { .. } | Refusal::Overlap { .. })), "{over:?}");
    world.ask(program, map(address, 4, BOTH), &[B, A, ACCOUNT_SLOT]).unwrap();
    let info = world.ask(program, Request::Info {}, &[B]);
    let rights = Rights::USE | Rights::REVOKE | Rights::DESTROY;
    let (pages, ceiling) = (16, BOTH);
    let said =
        Answer::Reservation { rights, address: START, pages, ceiling, mappings: 1, inside: 0 };
    assert_eq!(info, Ok(said));
    world.refused(program, Request::Destroy {}, &[B], Refusal::InUse { times: 1 });
    let out = Request::Move { address, pages: 4, to: 0x7000_0000, rights: BOTH };
    assert_eq!(world.ask(program, out, &[SPACE_SLOT]), Ok(Answer::Mapped { address: 0x7000_0000 }));
    assert!(world.touch(program, 0x7000_0000, Write) && !world.touch(program, address, Read));
    let before = world.used(program, ACCOUNT_SLOT);
    world.finish(program, Request::Destroy {}, &[B]);
    assert!(world.is_empty(program, B) && world.used(program, ACCOUNT_SLOT) != before);
    // The addresses are free again.
    world.ask(program, map(START, 4, BOTH), &slots).unwrap();
}

/// A224: rights below the ceilings of all that is around.
#[test]
fn no_right_is_above_a_ceiling() {
    let (mut world, program) = reserved(Rights::READ);
    let slots = [B, A, ACCOUNT_SLOT];
    let beyond = Refusal::BeyondRights { asked: Rights::WRITE };
    world.refused(program, map(0, 4, BOTH), &slots, beyond);
    world.refused(program, reserve(0, 2, BOTH, C), &[B, ACCOUNT_SLOT], beyond);
    let Ok(Answer::Mapped { address }) = world.ask(program, map(0, 4, Rights::READ), &slots) else {
        panic!()
    };
    // Not later either, nor by who has the space.
    let write = Request::Protect { address, pages: 4, rights: BOTH };
    let moved = Request::Move { address, pages: 4, to: 0, rights: BOTH };
    for space in [B, SPACE_SLOT] {
        world.refused(program, write, &[space], beyond);
        world.refused(program, moved, &[space], beyond);
    }
    // What could be written elsewhere cannot be once it is here.
    let there = world.map(program, A, 4, BOTH);
    assert!(world.touch(program, there, Write));
    world
        .ask(program, reserve(0x6000_0000, 8, Rights::READ, C), &[SPACE_SLOT, ACCOUNT_SLOT])
        .unwrap();
    assert!(!world.touch(program, address, Write) && world.touch(program, address, Read));
}

/// A223 A224: one in another, as deep as can be; each lies in the one around it.
#[test]
fn reservations_lie_in_one_another() {
    let (mut world, program) = reserved(BOTH);
    let inner = reserve(START + 4 * PAGE, 8, Rights::READ, C);
    world.ask(program, inner, &[B, ACCOUNT_SLOT]).unwrap();
    let outside = world.ask(program, reserve(START + 12 * PAGE, 8, BOTH, D), &[B, ACCOUNT_SLOT]);
    assert!(
        matches!(outside, Err(Refusal::BadAddress { .. } | Refusal::Overlap { .. })),
        "{outside:?}"
    );
    let address = START + 6 * PAGE;
    world.ask(program, map(address, 4, Rights::READ), &[C, A, ACCOUNT_SLOT]).unwrap();
    // Not by the one around it, which has the addresses no more; but that reaches what is in it.
    let refused = world.ask(program, map(START + 4 * PAGE, 1, BOTH), &[B, A, ACCOUNT_SLOT]);
    assert!(
        matches!(refused, Err(Refusal::BadAddress { .. } | Refusal::Overlap { .. })),
        "{refused:?}"
    );
    world.refused(program, Request::Destroy {}, &[B], Refusal::InUse { times: 1 });
    world.refused(program, Request::Destroy {}, &[C], Refusal::InUse { times: 1 });
    world.finish(program, Request::Unmap { address }, &[B]);
    world.finish(program, Request::Destroy {}, &[C]);
    world.finish(program, Request::Destroy {}, &[B]);
    // Sixteen, one in the other.
    let mut around = SPACE_SLOT;
    for slot in B..B + 16 {
        world.ask(program, reserve(START, 4, BOTH, slot), &[around, ACCOUNT_SLOT]).unwrap();
        around = slot;
    }
    let deeper = reserve(START, 4, BOTH, B + 16);
    world.refused(program, deeper, &[around, ACCOUNT_SLOT], Refusal::TooDeep { most: 16 });
}

/// A223
#[test]
fn reservations_that_cannot_be_are_refused() {
    let (mut world, program) = reserved(BOTH);
    let slots = [SPACE_SLOT, ACCOUNT_SLOT];
    let cases = [
        (reserve(0, 0, BOTH, C), Refusal::BadLength { pages: 0 }),
        (reserve(0, 1, Rights::WRITE, C), Refusal::NotReadable {}),
        (reserve(0, 1, BOTH | Rights::ACT, C), Refusal::BeyondRights { asked: Rights::ACT }),
        (reserve(7, 1, BOTH, C), Refusal::BadAddress { address: 7 }),
        (reserve(0xffff_f000, 1, BOTH, C), Refusal::BadAddress { address: 0xffff_f000 }),
        (reserve(0, u32::MAX, BOTH, C), Refusal::NoRoom {}),
        (reserve(0, 1, BOTH, B), Refusal::SlotOccupied { slot: B }),
    ];
    for (request, why) in cases {
        world.refused(program, request, &slots, why);
    }
}

/// A224: it ends with its space, and with the account that pays; what is mapped in it and reserved
/// in it, too.
#[test]
fn a_reservation_ends_with_its_space_and_with_its_payer() {
    let (mut world, program) = World::one();
    let before = (world.used(program, ACCOUNT_SLOT), world.objects.counts());
    for ends_payer in [false, true] {
        world.ask(program, Request::CreateSpace { slot: A }, &[ACCOUNT_SLOT]).unwrap();
        let amounts = Amounts([40, 10, 60, 2, 2, 10, 20, 0]);
        let child = account(amounts, AccountOptions::empty(), B);
        world.ask(program, child, &[ACCOUNT_SLOT]).unwrap();
        world.memory(program, 4, C);
        world.ask(program, reserve(START, 16, BOTH, D), &[A, B]).unwrap();
        world.ask(program, reserve(START, 8, BOTH, D + 1), &[D, ACCOUNT_SLOT]).unwrap();
        world.ask(program, map(START, 4, BOTH), &[D + 1, C, ACCOUNT_SLOT]).unwrap();
        world.refused(program, Request::Destroy {}, &[A], Refusal::InUse { times: 2 });
        if ends_payer {
            world.finish(program, Request::Destroy {}, &[B]);
            for slot in [D, D + 1] {
                assert!(world.is_empty(program, slot), "{slot}");
            }
            world.finish(program, Request::Destroy {}, &[A]);
        } else {
            // What pays for the space ends: here the program's own account stands for it.
            world.finish(program, Request::Unmap { address: START }, &[A]);
            world.finish(program, Request::Destroy {}, &[D + 1]);
            world.finish(program, Request::Destroy {}, &[D]);
            world.finish(program, Request::Destroy {}, &[A]);
            world.finish(program, Request::Destroy {}, &[B]);
        }
        world.finish(program, Request::Destroy {}, &[C]);
        world.reap();
        assert_eq!((world.used(program, ACCOUNT_SLOT), world.objects.counts()), before);
    }
    // A space that ends with its account, while another account pays for reservations in it.
    let amounts = Amounts([40, 10, 60, 2, 2, 10, 20, 0]);
    world.ask(program, account(amounts, AccountOptions::empty(), B), &[ACCOUNT_SLOT]).unwrap();
    world.ask(program, Request::CreateSpace { slot: A }, &[B]).unwrap();
    world.ask(program, reserve(START, 16, BOTH, C), &[A, ACCOUNT_SLOT]).unwrap();
    world.ask(program, reserve(START, 8, BOTH, D), &[C, ACCOUNT_SLOT]).unwrap();
    world.memory(program, 4, D + 1);
    world.ask(program, map(START, 4, BOTH), &[D, D + 1, ACCOUNT_SLOT]).unwrap();
    world.finish(program, Request::Destroy {}, &[B]);
    world.finish(program, Request::Destroy {}, &[D + 1]);
    world.reap();
    assert!(world.is_empty(program, C) && world.is_empty(program, D));
    assert_eq!((world.used(program, ACCOUNT_SLOT), world.objects.counts()), before);
    // And a program's.
    let other = world.program(AMPLE);
    world.copy((other, SPACE_SLOT), (program, A));
    world.ask(program, reserve(START, 16, BOTH, B), &[A, ACCOUNT_SLOT]).unwrap();
    world.objects.kill(other.id).unwrap();
    world.reap();
    assert!(world.is_empty(program, A) && world.is_empty(program, B));
    assert_eq!((world.used(program, ACCOUNT_SLOT), world.objects.counts()), before);
}

/// A224: whichever call of its end fails, it ends.
#[test]
fn a_reservation_whose_end_is_refused_ends_later() {
    for nth in 1.. {
        let (mut world, program) = reserved(BOTH);
        let before = world.objects.counts();
        world.ask(program, reserve(START, 8, BOTH, C), &[B, ACCOUNT_SLOT]).unwrap();
        world.fixture.kernel().fail_nth(nth, KernelError::IllegalOperation);
        let asked = world.ask(program, Request::Destroy {}, &[C]);
        let failed = !world.fixture.kernel().disarm();
        assert!(asked.is_ok(), "{asked:?}");
        world.reap();
        assert!(world.is_empty(program, C));
        assert_eq!(world.objects.counts(), before, "call {nth}");
        if !failed {
            assert!(nth > 2);
            break;
        }
    }
}

/// A223: on a machine whose kernel tells the low bits of a fault's address alone, what is reserved
/// anywhere lies where pages can be mapped.
#[test]
#[cfg(target_pointer_width = "64")]
fn what_is_reserved_anywhere_can_be_used() {
    let mut world = World::on(crate::support::Target::X86_64);
    let program = world.program(AMPLE);
    world.memory(program, 4, A);
    let slots = [SPACE_SLOT, ACCOUNT_SLOT];
    for (slot, pages) in [(B, 16), (C, 1 << 18)] {
        assert_eq!(world.ask(program, reserve(0, pages, BOTH, slot), &slots), Ok(Answer::Done {}));
        let mapped = world.ask(program, map(0, 4, BOTH), &[slot, A, ACCOUNT_SLOT]);
        let Ok(Answer::Mapped { address }) = mapped else { panic!("{mapped:?}") };
        assert!(world.touch(program, address, Write));
    }
    // There is not that much below 4 GiB; above, it can be reserved, and nothing can be mapped.
    let large = reserve(0, 1 << 21, BOTH, D);
    world.refused(program, large, &slots, Refusal::NoRoom {});
    let above = reserve(1 << 40, 16, BOTH, D);
    assert_eq!(world.ask(program, above, &slots), Ok(Answer::Done {}));
    let mapped = world.ask(program, map(0, 4, BOTH), &[D, A, ACCOUNT_SLOT]);
    assert_eq!(mapped, Err(Refusal::NoRoom {}));
}
