// SPDX-License-Identifier: BSD-2-Clause
//! Physical addresses of pages, told for a device's DMA.

use vmm::Access;
use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, Answer, Refusal, Request, Rights, SPACE_SLOT, Supply,
};

use crate::world::{A, AMPLE, B, C, D, PAGE, Program, World};

fn locate(page: u32) -> Request {
    Request::Locate { page }
}

fn located(world: &mut World, program: Program, page: u32, slots: &[u32]) -> usize {
    match world.ask(program, locate(page), slots) {
        Ok(Answer::Located { address }) => address,
        other => panic!("{other:?}"),
    }
}

/// A202: the address is the one of the frame that is mapped, whether it was touched before or not,
/// and stays so.
#[test]
fn an_address_is_that_of_the_frame_that_is_mapped() {
    let mut world = World::new();
    let driver = world.driver(AMPLE);
    world.memory(driver, 4, A);
    let start = world.map(driver, A, 4, Rights::READ_WRITE);
    assert!(world.touch(driver, start + PAGE, Access::Write));
    let both = [A, ACCOUNT_SLOT];
    let told: Vec<usize> = (0..4).map(|page| located(&mut world, driver, page, &both)).collect();
    let info = world.ask(driver, Request::Info {}, &[A]);
    let Ok(Answer::Memory { committed: 4, .. }) = info else { panic!("{info:?}") };
    for (page, &address) in told.iter().enumerate() {
        let at = start + page * PAGE;
        assert!(world.touch(driver, at, Access::Write));
        let (space, vmm) = (driver.id.space(), &mut world.fixture.vmm);
        assert_eq!(vmm.physical_address(space, at).unwrap(), address, "page {page}");
        assert_eq!(located(&mut world, driver, page as u32, &both), address, "it stays");
    }
}

/// A202: it is told to who has the right to it, by an account of any use, and of memory that there
/// is.
#[test]
fn an_address_is_told_by_the_right_to_it_alone() {
    let mut world = World::new();
    let (driver, other) = (world.driver(AMPLE), world.program(AMPLE));
    world.memory(other, 2, A);
    let missing = Refusal::NoRight { place: 1, missing: Rights::ADDRESS };
    world.refused(other, locate(0), &[A, ACCOUNT_SLOT], missing);
    // Lent, the right is enough, without that to use the account.
    let restrict = Request::Restrict { rights: Rights::ADDRESS, slot: C };
    world.ask(driver, restrict, &[ACCOUNT_SLOT, ACCOUNT_SLOT]).unwrap();
    world.copy((driver, C), (other, C));
    located(&mut world, other, 0, &[A, C]);
    world.refused(other, locate(2), &[A, C], Refusal::BeyondEnd { pages: 2 });
    let missing = Refusal::NoRight { place: 0, missing: Rights::USE };
    world.refused(other, Request::CreateSpace { slot: D }, &[C], missing);
    // Who may only map it is told nothing, and of paged memory nobody is.
    let only_map = Request::Restrict { rights: Rights::READ_WRITE, slot: B };
    world.memory(driver, 2, A);
    world.ask(driver, only_map, &[A, ACCOUNT_SLOT]).unwrap();
    let missing = Refusal::NoRight { place: 0, missing: Rights::USE };
    world.refused(driver, locate(0), &[B, ACCOUNT_SLOT], missing);
    let paged = Request::CreatePaged { pages: 2, most: 2, slot: D };
    world.ask(driver, paged, &[ACCOUNT_SLOT]).unwrap();
    world.refused(driver, locate(0), &[D, ACCOUNT_SLOT], missing);
}

/// A202: no page of such memory is replaced by another: all that would do so is refused, and what a
/// pager supplies of it are copies.
#[test]
fn memory_of_which_an_address_was_told_keeps_its_pages() {
    let mut world = World::new();
    let driver = world.driver(AMPLE);
    world.memory(driver, 4, A);
    let paged = Request::CreatePaged { pages: 4, most: 4, slot: B };
    world.ask(driver, paged, &[ACCOUNT_SLOT]).unwrap();
    let told = located(&mut world, driver, 0, &[A, ACCOUNT_SLOT]);
    let supply = |how| Request::Supply { first: 0, pages: 1, from: 0, how, write: true, wait: 0 };
    let pinned = |place| Refusal::Pinned { place };
    world.refused(driver, supply(Supply::Give), &[B, A], pinned(1));
    world.refused(driver, Request::Resize { pages: 2 }, &[A, ACCOUNT_SLOT], pinned(0));
    world.refused(driver, Request::Resize { pages: 9 }, &[A, ACCOUNT_SLOT], pinned(0));
    // A clone has copies of its own (A262).
    world.ask(driver, Request::Clone { slot: C }, &[A, ACCOUNT_SLOT]).unwrap();
    assert_eq!(located(&mut world, driver, 0, &[A, ACCOUNT_SLOT]), told, "beside a clone");
    assert_ne!(located(&mut world, driver, 0, &[C, ACCOUNT_SLOT]), told);
    world.finish(driver, Request::Destroy {}, &[C]);
    world.ask(driver, supply(Supply::Copy), &[B, A]).unwrap();
    let back = Request::TakeBack { first: 0, pages: 1, into: 0 };
    world.refused(driver, back, &[B, A], pinned(1));
    assert_eq!(located(&mut world, driver, 0, &[A, ACCOUNT_SLOT]), told);
    // Its end is as any other's, and the record's next object has none of it.
    let start = world.map(driver, A, 4, Rights::READ_WRITE);
    world.finish(driver, Request::Unmap { address: start }, &[SPACE_SLOT]);
    world.finish(driver, Request::Destroy {}, &[A]);
    world.memory(driver, 4, A);
    world.ask(driver, Request::Resize { pages: 2 }, &[A, ACCOUNT_SLOT]).unwrap();
}
