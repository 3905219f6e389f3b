// SPDX-License-Identifier: BSD-2-Clause
//! Copies of private mappings, where kernel calls fail and where something is short.

use vmm::{Access, KernelError};
use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, Answer, Refusal, Request, Rights, SPACE_SLOT, Supply,
};

use crate::paging::{BOTH, read_own, supply};
use crate::private::{get, private_scene, put};
use crate::support::ballast::{Ballast, ENOUGH};
use crate::world::{A, PAGE, Program, World};

/// A245: whichever call fails of a write that copies, the page is as it was or is to be touched
/// again, and then it is copied; whichever call fails of a move, the copies are what they were.
#[test]
fn a_copy_that_fails_is_made_later() {
    for error in [KernelError::IllegalOperation, KernelError::NotEnoughMemory] {
        for was_read in [false, true] {
            for nth in 1.. {
                let (mut world, pager, reader, start) = private_scene(4, 4);
                world.ask(pager, supply(0, 2, 0, Supply::Give, true), BOTH).unwrap();
                if was_read {
                    assert!(world.touch(reader, start, Access::Read));
                }
                world.fixture.kernel().fail_nth(nth, error);
                let failed = try_write(&mut world, reader, start);
                let injected = !world.fixture.kernel().disarm();
                assert!(!failed || injected, "call {nth}");
                world.check();
                assert_eq!(get(&mut world, reader, start), 0x100, "call {nth}");
                put(&mut world, reader, start, 0x42);
                let back = Request::TakeBack { first: 0, pages: 2, into: 0 };
                let taken = Ok(Answer::Taken { pages: 2, written: 0 });
                assert_eq!(world.ask(pager, back, BOTH), taken);
                assert_eq!(read_own(&mut world, pager, 0), 0x100);
                assert_eq!(get(&mut world, reader, start), 0x42);
                if !injected {
                    assert!(nth > 4, "no call was made to fail");
                    break;
                }
            }
        }
        for nth in 1.. {
            let (mut world, pager, reader, start) = private_scene(4, 4);
            world.ask(pager, supply(0, 2, 0, Supply::Give, true), BOTH).unwrap();
            put(&mut world, reader, start, 0x42);
            assert!(world.touch(reader, start + PAGE, Access::Read));
            let rights = Rights::READ;
            let shift = Request::Move { address: start, pages: 2, to: 0, rights };
            world.fixture.kernel().fail_nth(nth, error);
            let moved = world.ask(reader, shift, &[SPACE_SLOT]);
            let injected = !world.fixture.kernel().disarm();
            world.check();
            match moved {
                Ok(Answer::Mapped { address }) => {
                    assert_eq!(get(&mut world, reader, address), 0x42);
                    assert_eq!(get(&mut world, reader, address + PAGE), 0x101);
                }
                Err(Refusal::OutOfMemory {} | Refusal::Internal {}) => {
                    assert!(injected, "{moved:?}");
                    world.fixture.vmm.trim().unwrap();
                    assert_eq!(get(&mut world, reader, start), 0x42);
                    put(&mut world, reader, start, 0x43);
                    put(&mut world, reader, start + PAGE, 0x44);
                    world.ask(reader, shift, &[SPACE_SLOT]).unwrap();
                }
                other => panic!("{other:?}"),
            }
            if !injected {
                assert!(nth > 4, "no call was made to fail");
                break;
            }
        }
    }
}

/// A154 A159: whichever call fails of mapping memory privately, and however few pages, slots or
/// nodes are left, nothing of it is there; with enough it is mapped.
#[test]
fn what_is_not_mapped_privately_leaves_nothing() {
    let slots = &[SPACE_SLOT, A, ACCOUNT_SLOT];
    let request =
        Request::MapPrivate { address: 0, first: 0, pages: 4, rights: Rights::READ_WRITE };
    for error in [KernelError::IllegalOperation, KernelError::NotEnoughMemory] {
        for nth in 1.. {
            let (mut world, _, reader, _) = private_scene(4, 4);
            let before = world.figures();
            world.fixture.kernel().fail_nth(nth, error);
            let mapped = world.ask(reader, request, slots);
            if world.fixture.kernel().disarm() {
                assert!(mapped.is_ok(), "{mapped:?}");
                break;
            }
            if mapped.is_err() {
                assert_eq!(world.figures(), before, "call {nth}");
            }
        }
    }
    let mut refused = 0;
    for load in [Ballast::of_memory, Ballast::of_slots, Ballast::of_nodes] {
        for left in 0..=8 {
            let (mut world, _, reader, _) = private_scene(4, 4);
            let used = (world.used(reader, ACCOUNT_SLOT), world.objects.counts());
            let ballast = load(&mut world.fixture, left);
            let mapped = world.ask(reader, request, slots);
            ballast.drop(&mut world.fixture);
            if mapped.is_err() {
                assert_eq!(mapped, Err(Refusal::OutOfMemory {}), "{left} left");
                let now = (world.used(reader, ACCOUNT_SLOT), world.objects.counts());
                assert_eq!(now, used, "{left} left");
                refused += 1;
            }
            assert!(mapped.is_ok() || left < 8, "{left} left are not enough");
            world.ask(reader, request, slots).unwrap();
        }
    }
    assert!(refused != 0, "nothing was short");
}

/// A write as a first touch; says whether the service answered with an error.
fn try_write(world: &mut World, program: Program, address: usize) -> bool {
    use vmm::{PageFault, Resolution};
    let space = program.id.space();
    let vspace = world.fixture.vmm.vspace(space).unwrap();
    let present = world.fixture.kernel().mapping(vspace, address).is_some();
    let fault = PageFault { address, access: Access::Write, present, ip: 0 };
    world.objects.note_fault(Some(space), None);
    let vmm = &mut world.fixture.vmm;
    match vmm.resolve_fault(space, &fault) {
        Ok(Resolution::AskPager { token, page }) => {
            world.objects.touch(vmm, (token, page), true).is_err()
        }
        Ok(Resolution::Unresolved(_)) => world.objects.touch_to_write(vmm, address).is_err(),
        Ok(Resolution::Resolved(_)) => panic!("it is the service's to resolve"),
        Err(_) => true,
    }
}

/// A245: with n pages, slots or nodes left when a page is copied, it is copied, or it is asked for
/// again and holds what it held.
#[test]
fn want_of_anything_leaves_what_was_to_be_copied() {
    let loads = [Ballast::of_memory, Ballast::of_slots, Ballast::of_nodes];
    let mut refused = 0;
    for (kind, load) in loads.into_iter().enumerate() {
        for left in 0..=ENOUGH {
            let (mut world, pager, reader, start) = private_scene(4, 4);
            world.ask(pager, supply(0, 2, 0, Supply::Give, true), BOTH).unwrap();
            assert!(world.touch(reader, start, Access::Read));
            let ballast = load(&mut world.fixture, left);
            let mut failed = false;
            for page in 0..2 {
                failed |= try_write(&mut world, reader, start + page * PAGE);
                world.check();
            }
            ballast.drop(&mut world.fixture);
            refused += u32::from(failed);
            // Without memory a write can fail however many nodes there are.
            assert!(!failed || left < ENOUGH || kind == 2, "{left} left are not enough");
            for page in 0..2 {
                assert_eq!(get(&mut world, reader, start + page * PAGE), 0x100 + page as u64);
                put(&mut world, reader, start + page * PAGE, 7);
            }
        }
    }
    assert!(refused >= 2, "{refused} writes found nothing");
}

/// A246: where taking the right to write from pages of paged memory is refused, none may be written
/// that was not before: neither shared ones whose first write is to be noted, nor private ones that
/// are no copies.
#[test]
fn rights_that_are_not_taken_are_not_more_than_before() {
    let mut refused = 0;
    for privately in [false, true] {
        for nth in 1.. {
            let (mut world, pager, reader, start) = private_scene(4, 4);
            let start = if privately { start } else { world.map(reader, A, 4, Rights::READ_WRITE) };
            world.ask(pager, supply(0, 4, 0, Supply::Give, true), BOTH).unwrap();
            for page in 0..4 {
                assert!(world.touch(reader, start + page * PAGE, Access::Read));
            }
            put(&mut world, reader, start, 0x90);
            put(&mut world, reader, start + 2 * PAGE, 0x92);
            let protect = Request::Protect { address: start, pages: 4, rights: Rights::READ };
            world.fixture.kernel().fail_nth(nth, KernelError::IllegalOperation);
            let answer = world.ask(reader, protect, &[SPACE_SLOT]);
            let injected = !world.fixture.kernel().disarm();
            world.check();
            let rights = |world: &World, page: usize| {
                let at = start + page * PAGE;
                let mapped = world.fixture.vmm.mapping_at(reader.id.space(), at).unwrap();
                mapped.is_some_and(|mapped| mapped.rights.contains(vmm::Rights::WRITE))
            };
            for page in [1, 3] {
                assert!(!rights(&world, page), "page {page}, call {nth}");
            }
            if answer.is_err() {
                refused += 1;
                for page in 0..3 {
                    put(&mut world, reader, start + page * PAGE, 0x95);
                }
                let back = Request::TakeBack { first: 0, pages: 4, into: 0 };
                let written = if privately { 0 } else { 0b111 };
                assert_eq!(world.ask(pager, back, BOTH), Ok(Answer::Taken { pages: 4, written }));
            }
            if !injected {
                break;
            }
        }
    }
    assert!(refused >= 4, "{refused} were refused");
}
