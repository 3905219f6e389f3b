// SPDX-License-Identifier: BSD-2-Clause
//! Pages of paged memory that are given while somebody waits for them.

use vmm::{Access, KernelError};
use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, Answer, Refusal, Request, Rights, SPACE_SLOT, Supply,
};

use crate::paging::{BOTH, NEXT, going_on, read_own, scene, supply, waits, wanted};
use crate::world::{A, AMPLE, B, C, PAGE, Program, World};

/// A scene whose pager has mapped its memory, in which the second page holds a word, and whose
/// reader waits for the third page of the other; and where the pager's page is.
fn given_scene(access: Access) -> (World, Program, Program, (usize, usize)) {
    let (mut world, pager, reader, start) = scene(4, 4);
    let own = world.map(pager, B, 4, Rights::READ_WRITE);
    // Tables are there by then.
    assert_eq!(world.ask(pager, supply(0, 1, 0, Supply::Copy, true), BOTH), wanted(1, None));
    assert!(world.touch(reader, start, Access::Read));
    assert!(world.touch(pager, own + PAGE, Access::Write));
    world.fixture.write(pager.id.space(), own + PAGE, 0x7777);
    assert!(waits(&mut world, reader, start + 2 * PAGE, access));
    assert_eq!(world.ask(pager, NEXT, &[A]), wanted(0, Some((2, access == Access::Write))));
    (world, pager, reader, (own + PAGE, start + 2 * PAGE))
}

fn mapped(world: &World, program: Program, at: usize) -> Option<vmm::Mapping> {
    world.fixture.vmm.mapping_at(program.id.space(), at).unwrap()
}

const GIVE: Request =
    Request::Supply { first: 2, pages: 1, from: 1, how: Supply::Give, write: true, wait: 0 };

/// A272: a page that is given, mapped once and waited for is mapped by the capability by which its
/// pager had it, with two kernel calls; and its first write is noted as any other's.
#[test]
fn a_page_that_is_given_takes_its_capability_along() {
    for access in [Access::Read, Access::Write] {
        let (mut world, pager, reader, (own, at)) = given_scene(access);
        let had = mapped(&world, pager, own).unwrap().frame;
        let before = world.fixture.vmm.kernel_calls().total();
        assert_eq!(world.ask(pager, GIVE, BOTH), wanted(1, None));
        assert_eq!(world.fixture.vmm.kernel_calls().total() - before, 2);
        assert_eq!(going_on(&mut world), [reader.start.tcb]);
        let page = mapped(&world, reader, at).unwrap();
        let writes = access == Access::Write;
        assert_eq!((page.frame, page.rights.contains(vmm::Rights::WRITE)), (had, writes));
        assert_eq!(mapped(&world, pager, own), None);
        assert_eq!(world.fixture.read(reader.id.space(), at), 0x7777);
        let back = Request::TakeBack { first: 2, pages: 1, into: 1 };
        let taken = Ok(Answer::Taken { pages: 1, written: u32::from(writes) });
        assert_eq!(world.ask(pager, back, BOTH), taken);
        assert_eq!(mapped(&world, reader, at), None);
        assert_eq!(read_own(&mut world, pager, 1), 0x7777);
        world.check();
    }
}

/// A272: whichever call is refused, the page is there or comes by the next request, whoever waited
/// finds what was given, and who gave it has it no more.
#[test]
fn a_page_that_is_given_is_not_lost() {
    let mut refused = 0;
    for nth in 1..=6 {
        let (mut world, pager, reader, (own, at)) = given_scene(Access::Read);
        world.fixture.kernel().fail_nth(nth, KernelError::IllegalOperation);
        let asked = world.ask(pager, GIVE, BOTH);
        refused += u32::from(!world.fixture.kernel().disarm());
        if asked != wanted(1, None) {
            assert!(going_on(&mut world).is_empty());
            assert_eq!(world.ask(pager, GIVE, BOTH), wanted(1, None));
        }
        assert_eq!(going_on(&mut world), [reader.start.tcb]);
        assert!(world.touch(reader, at, Access::Read));
        assert_eq!(world.fixture.read(reader.id.space(), at), 0x7777);
        assert_eq!(mapped(&world, pager, own), None);
        world.check();
    }
    assert!(refused >= 2, "{refused}");
}

/// A272: one that its pager has mapped twice, and one that a clone has too, come without it; where
/// a page is waited for in a private mapping it can be read alone; and who waits to write one that
/// may not be written waits again.
#[test]
fn other_pages_are_given_without_their_capability() {
    let (mut world, pager, reader, (own, at)) = given_scene(Access::Read);
    let second = world.map(pager, B, 4, Rights::READ);
    assert!(world.touch(pager, second + PAGE, Access::Read));
    assert_eq!(world.ask(pager, GIVE, BOTH), wanted(1, None));
    assert_eq!([own, second + PAGE].map(|at| mapped(&world, pager, at)), [None; 2]);
    assert_eq!(world.fixture.read(reader.id.space(), at), 0x7777);

    let (mut world, pager, reader, (own, at)) = given_scene(Access::Read);
    world.finish(pager, Request::Unmap { address: own - PAGE }, &[SPACE_SLOT]);
    world.finish(pager, Request::Clone { slot: C }, &[B, ACCOUNT_SLOT]);
    assert_eq!(world.ask(pager, GIVE, BOTH), wanted(1, None));
    assert_eq!(world.fixture.read(reader.id.space(), at), 0x7777);
    let clone = world.map(pager, C, 4, Rights::READ);
    assert!(world.touch(pager, clone + PAGE, Access::Read));
    assert_eq!(world.fixture.read(pager.id.space(), clone + PAGE), 0x7777);

    let (mut world, pager, _, (own, _)) = given_scene(Access::Read);
    let map = Request::MapPrivate { address: 0, first: 0, pages: 4, rights: Rights::READ_WRITE };
    let other = world.program(AMPLE);
    world.copy((pager, A), (other, A));
    let Ok(Answer::Mapped { address }) = world.ask(other, map, &[SPACE_SLOT, A, ACCOUNT_SLOT])
    else {
        panic!("it is mapped privately")
    };
    assert!(waits(&mut world, other, address + 3 * PAGE, Access::Read));
    let frame = mapped(&world, pager, own).unwrap().frame;
    let give = supply(3, 1, 1, Supply::Give, true);
    assert_eq!(world.ask(pager, give, BOTH), wanted(1, None));
    assert_eq!(going_on(&mut world), [other.start.tcb]);
    let page = mapped(&world, other, address + 3 * PAGE).unwrap();
    assert_eq!((page.frame, page.rights), (frame, vmm::Rights::READ));
    // What is written there is its own.
    assert!(world.touch(other, address + 3 * PAGE, Access::Write));
    world.fixture.write(other.id.space(), address + 3 * PAGE, 0x8888);
    let back = Request::TakeBack { first: 3, pages: 1, into: 1 };
    let taken = Ok(Answer::Taken { pages: 1, written: 0 });
    assert_eq!(world.ask(pager, back, BOTH), taken);
    assert_eq!(read_own(&mut world, pager, 1), 0x7777);
    assert_eq!(world.fixture.read(other.id.space(), address + 3 * PAGE), 0x8888);

    let (mut world, pager, reader, (own, at)) = given_scene(Access::Write);
    let give = supply(2, 1, 1, Supply::Give, false);
    assert_eq!(world.ask(pager, give, BOTH), wanted(1, None));
    assert_eq!(going_on(&mut world), [reader.start.tcb]);
    assert!(waits(&mut world, reader, at, Access::Write), "it may not be written");
    assert_eq!([mapped(&world, pager, own), mapped(&world, reader, at)], [None; 2]);
    let allow = Request::AllowWrite { first: 2, pages: 1, wait: 0 };
    assert_eq!(world.ask(pager, allow, &[A]), wanted(1, None));
    assert_eq!(going_on(&mut world), [reader.start.tcb]);
    assert_eq!(world.fixture.read(reader.id.space(), at), 0x7777);
    world.check();
}

/// A273: pages that are given together come each with what it held, and whoever had them mapped has
/// none of them any more: where one has to be brought first, where somebody waits for one in their
/// midst, and where others have one of them.
#[test]
fn pages_that_are_given_together_are_as_they_were() {
    let (mut world, pager, reader, start) = scene(16, 16);
    let views = [(); 2].map(|()| world.map(pager, B, 16, Rights::READ_WRITE));
    // All of them but the sixth; the last was written first.
    for page in [15, 0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14] {
        let at = views[0] + page * PAGE;
        assert!(world.touch(pager, at, Access::Write));
        world.fixture.write(pager.id.space(), at, 0x100 + page as u64);
        assert!(page % 3 != 0 || world.touch(pager, views[1] + page * PAGE, Access::Read));
    }
    let other = Request::CreatePaged { pages: 1, most: 1, slot: C };
    assert_eq!(world.ask(pager, other, &[ACCOUNT_SLOT]), Ok(Answer::Done {}));
    assert_eq!(world.ask(pager, supply(0, 1, 10, Supply::Share, true), &[C, B]), wanted(1, None));
    assert!(waits(&mut world, reader, start + 3 * PAGE, Access::Read));
    let give = |first, pages| supply(first, pages, first, Supply::Give, true);
    // Up to the one that another paged memory has.
    let Ok(Answer::Wanted { done: 10, .. }) = world.ask(pager, give(0, 16), BOTH) else {
        panic!("ten of them can be given")
    };
    world.refused(pager, give(10, 1), BOTH, Refusal::Shared { page: 10 });
    assert_eq!(world.ask(pager, give(11, 5), BOTH), wanted(5, None));
    assert_eq!(going_on(&mut world), [reader.start.tcb]);
    for page in (0..16).filter(|&page| page != 10) {
        let held = if page == 5 { 0 } else { 0x100 + page as u64 };
        assert!(world.touch(reader, start + page * PAGE, Access::Read));
        assert_eq!(world.fixture.read(reader.id.space(), start + page * PAGE), held, "{page}");
        for view in views {
            assert_eq!(mapped(&world, pager, view + page * PAGE), None, "{page}");
        }
    }
    world.check();
}
