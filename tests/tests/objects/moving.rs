// SPDX-License-Identifier: BSD-2-Clause
//! Mappings that get another place, and other rights.
//!
//! Checks A116 of `MODEL.md`.

use untyped_alloc::kernel::KernelError;
use vmm::Access;
use vmm_service::objects::protocol::{ACCOUNT_SLOT, Answer, Refusal, Request, Rights, SPACE_SLOT};

use crate::world::{A, AMPLE, B, PAGE, Program, World};

const THERE: usize = 0x5000_0000;

/// Moves a mapping; returns where it is, and how many requests that took.
fn moved(world: &mut World, program: Program, request: Request) -> (usize, usize) {
    for times in 1.. {
        match world.ask(program, request, &[SPACE_SLOT]) {
            Ok(Answer::More {}) => {}
            Ok(Answer::Mapped { address }) => return (address, times),
            other => panic!("{other:?}"),
        }
    }
    unreachable!()
}

/// A116
#[test]
fn a_mapping_that_is_moved_shows_the_same_elsewhere_with_other_rights() {
    let (mut world, program) = World::one();
    let space = program.id.space();
    world.memory(program, 4, A);
    let start = world.map(program, A, 4, Rights::READ_WRITE);
    assert!(world.touch(program, start + PAGE, Access::Write));
    world.fixture.write(space, start + PAGE, 7);
    let (used, counts) = (world.used(program, ACCOUNT_SLOT), world.objects.counts());
    let there = Request::Move { address: start, pages: 4, to: THERE, rights: Rights::READ };
    assert_eq!(moved(&mut world, program, there), (THERE, 1));
    assert!(!world.touch(program, start + PAGE, Access::Read), "nothing is where it was");
    assert!(world.touch(program, THERE + PAGE, Access::Read));
    assert_eq!(world.fixture.read(space, THERE + PAGE), 7);
    assert!(!world.touch(program, THERE + PAGE, Access::Write));
    assert!(!world.touch(program, THERE + 4 * PAGE, Access::Read));
    // Back, to anywhere, and written again.
    let back = Request::Move { address: THERE, pages: 4, to: 0, rights: Rights::READ_WRITE };
    let (address, _) = moved(&mut world, program, back);
    assert!(world.touch(program, address + PAGE, Access::Write));
    assert_eq!(world.fixture.read(space, address + PAGE), 7);
    assert_eq!((world.used(program, ACCOUNT_SLOT), world.objects.counts()), (used, counts));
    world.finish(program, Request::Unmap { address }, &[SPACE_SLOT]);
    assert!(!world.touch(program, address + PAGE, Access::Read));
}

/// A116: at most 64 pages a request.
#[test]
fn a_large_mapping_is_moved_in_pieces_and_can_be_touched_in_between() {
    let (mut world, program) = World::one();
    world.memory(program, 150, A);
    let start = world.map(program, A, 150, Rights::READ_WRITE);
    for page in 0..150 {
        assert!(world.touch(program, start + page * PAGE, Access::Write));
    }
    let rights = Rights::READ_WRITE;
    let request = Request::Move { address: start, pages: 150, to: THERE, rights };
    assert_eq!(world.ask(program, request, &[SPACE_SLOT]), Ok(Answer::More {}));
    assert!(world.touch(program, start, Access::Write), "it is where it was");
    assert!(!world.touch(program, THERE, Access::Read));
    let (address, times) = moved(&mut world, program, request);
    assert_eq!((address, times), (THERE, 2));
    assert!(world.touch(program, THERE + 149 * PAGE, Access::Write));
}

/// A116
#[test]
fn a_move_that_is_refused_leaves_the_mapping_where_it_was() {
    let (mut world, program) = World::one();
    let space = program.id.space();
    world.memory(program, 4, A);
    let restrict = Request::Restrict { rights: Rights::READ, slot: B };
    world.ask(program, restrict, &[A, ACCOUNT_SLOT]).unwrap();
    let start = world.map(program, B, 4, Rights::READ);
    let other = world.map(program, A, 4, Rights::READ_WRITE);
    assert!(world.touch(program, other, Access::Write));
    world.fixture.write(space, other, 7);
    let (read, both) = (Rights::READ, Rights::READ_WRITE);
    let refused = [
        (start + PAGE, THERE, read, Refusal::BeyondEnd { pages: 3 }),
        (THERE, 0, read, Refusal::NoMapping { address: THERE }),
        (start, THERE, both, Refusal::BeyondRights { asked: Rights::WRITE }),
        (start, THERE, read | Rights::USE, Refusal::BeyondRights { asked: Rights::USE }),
        (other, THERE, Rights::WRITE, Refusal::NotReadable {}),
        (start, THERE + 1, read, Refusal::BadAddress { address: THERE + 1 }),
        (start, other, read, Refusal::Overlap { address: other }),
        (start, start + PAGE, read, Refusal::Overlap { address: start + PAGE }),
        (start, 0xffff_f000, read, Refusal::BadAddress { address: 0xffff_f000 }),
    ];
    for (address, to, rights, why) in refused {
        world.refused(program, Request::Move { address, pages: 4, to, rights }, &[SPACE_SLOT], why);
    }
    assert!(world.touch(program, start, Access::Read));
    assert_eq!(world.fixture.read(space, start), 7);
}

/// A116: whichever call fails, it is made again, and nothing is lost.
#[test]
fn a_move_of_which_a_call_fails_is_made_again() {
    let mut failures = 0;
    for nth in 1.. {
        let mut world = World::new();
        let program = world.program(AMPLE);
        let space = program.id.space();
        world.memory(program, 3, A);
        let start = world.map(program, A, 3, Rights::READ_WRITE);
        for page in 0..3 {
            assert!(world.touch(program, start + page * PAGE, Access::Write));
            world.fixture.write(space, start + page * PAGE, 5 + page as u64);
        }
        let rights = Rights::READ;
        let request = Request::Move { address: start, pages: 3, to: THERE, rights };
        world.fixture.kernel().fail_nth(nth, KernelError::IllegalOperation);
        let asked = world.ask(program, request, &[SPACE_SLOT]);
        let failed = !world.fixture.kernel().disarm();
        world.check();
        if let Err(refusal) = asked {
            let own = matches!(refusal, Refusal::OutOfMemory {} | Refusal::Internal {});
            assert!(own && failed, "call {nth}: {refusal:?}");
            failures += 1;
            assert!(world.touch(program, start, Access::Write), "it is where it was");
            assert_eq!(moved(&mut world, program, request).0, THERE);
        }
        for page in 0..3 {
            assert!(world.touch(program, THERE + page * PAGE, Access::Read));
            assert_eq!(world.fixture.read(space, THERE + page * PAGE), 5 + page as u64);
        }
        world.fixture.vmm.trim().unwrap();
        world.check();
        if !failed {
            break;
        }
    }
    assert!(failures > 2, "{failures}");
}
