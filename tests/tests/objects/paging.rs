// SPDX-License-Identifier: BSD-2-Clause
//! Paged memory: pages supplied, waited for, written and taken back.

use vmm::{Access, KernelError};
use vmm_service::objects::Touched;
use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, Answer, MemoryOptions, Refusal, Request, Rights, SPACE_SLOT, State, Supply,
};

use crate::world::{A, AMPLE, B, C, D, PAGE, Program, World};

/// A pager with paged memory of `pages` in slot A, of which `most` can be there, and a memory
/// object of as many in slot B; and another program that has mapped the first, and where.
pub fn scene(pages: u32, most: u32) -> (World, Program, Program, usize) {
    let (mut world, pager) = World::one();
    let reader = world.program(AMPLE);
    let create = Request::CreatePaged { pages, most, slot: A };
    assert_eq!(world.ask(pager, create, &[ACCOUNT_SLOT]), Ok(Answer::Done {}));
    world.memory(pager, pages, B);
    world.copy((pager, A), (reader, A));
    let start = world.map(reader, A, pages, Rights::READ_WRITE);
    (world, pager, reader, start)
}

/// Has a page of the pager's own memory hold a word.
pub fn write_own(world: &mut World, pager: Program, page: u32, word: u64) {
    let start = world.map(pager, B, 4, Rights::READ_WRITE);
    let at = start + page as usize * PAGE;
    assert!(world.touch(pager, at, Access::Write));
    world.fixture.write(pager.id.space(), at, word);
    world.finish(pager, Request::Unmap { address: start }, &[SPACE_SLOT]);
}

/// What a page of the pager's own memory holds.
pub fn read_own(world: &mut World, pager: Program, page: u32) -> u64 {
    let start = world.map(pager, B, 4, Rights::READ);
    let at = start + page as usize * PAGE;
    assert!(world.touch(pager, at, Access::Read));
    let word = world.fixture.read(pager.id.space(), at);
    world.finish(pager, Request::Unmap { address: start }, &[SPACE_SLOT]);
    word
}

pub fn supply(first: u32, pages: u32, from: u32, how: Supply, write: bool) -> Request {
    Request::Supply { first, pages, from, how, write, wait: 0 }
}

/// That so many pages were done, and what is waited for next.
pub fn wanted(done: u32, next: Option<(u32, bool)>) -> Result<Answer, Refusal> {
    let (page, write) = next.unwrap_or_default();
    Ok(Answer::Wanted { done, waits: next.is_some(), page, write })
}

pub const NEXT: Request = Request::NextFault { wait: 0 };
pub const BOTH: &[u32] = &[A, B];

pub fn waits(world: &mut World, program: Program, address: usize, access: Access) -> bool {
    let touched = world.touch_or_wait(program, address, access);
    if let Touched::Waits(tcb) = touched {
        assert_eq!(tcb, program.start.tcb, "it is the thread that touched it");
    }
    matches!(touched, Touched::Waits(_))
}

/// Who goes on now.
pub fn going_on(world: &mut World) -> Vec<vmm::CPtr> {
    std::iter::from_fn(|| world.objects.next_thread()).collect()
}

/// A170: a page that somebody waits for is mapped when it is supplied, at the place that it has in
/// a mapping which begins within the memory; nobody has to touch it for that.
#[test]
fn a_page_is_mapped_where_it_is_waited_for() {
    let (mut world, pager, reader, _) = scene(4, 4);
    let map = Request::Map { address: 0, first: 2, pages: 2, rights: Rights::READ };
    let Ok(Answer::Mapped { address }) = world.ask(reader, map, &[SPACE_SLOT, A, ACCOUNT_SLOT])
    else {
        panic!("it is mapped from its third page on")
    };
    assert!(waits(&mut world, reader, address + PAGE, Access::Read));
    assert_eq!(world.ask(pager, NEXT, &[A]), wanted(0, Some((3, false))));
    let is_there =
        |world: &World, at| world.fixture.vmm.mapping_at(reader.id.space(), at).unwrap().is_some();
    assert!(!is_there(&world, address + PAGE));
    let given = supply(3, 1, 0, Supply::Copy, false);
    assert_eq!(world.ask(pager, given, BOTH), wanted(1, None));
    assert!(is_there(&world, address + PAGE) && !is_there(&world, address));
    assert_eq!(going_on(&mut world), [reader.start.tcb]);
}

/// A170: who touches a page that is not there waits; its pager is told once, supplies it in each of
/// the three ways, and the thread goes on and finds what was supplied.
#[test]
fn a_page_is_supplied_to_who_waits_for_it() {
    for how in Supply::ALL {
        let (mut world, pager, reader, start) = scene(4, 4);
        write_own(&mut world, pager, 1, 0x7777);
        assert_eq!(world.ask(pager, NEXT, &[A]), wanted(0, None));
        assert!(waits(&mut world, reader, start + 2 * PAGE, Access::Read));
        assert_eq!(world.ask(pager, NEXT, &[A]), wanted(0, Some((2, false))));
        assert_eq!(world.ask(pager, NEXT, &[A]), wanted(0, None), "it was told of it");
        assert!(going_on(&mut world).is_empty());
        assert_eq!(world.ask(pager, supply(2, 1, 1, how, false), BOTH), wanted(1, None));
        assert_eq!(going_on(&mut world), [reader.start.tcb]);
        assert!(world.touch(reader, start + 2 * PAGE, Access::Read));
        assert_eq!(world.fixture.read(reader.id.space(), start + 2 * PAGE), 0x7777, "{how:?}");
        // What the pager has of it afterwards.
        let kept = if how == Supply::Give { 0 } else { 0x7777 };
        assert_eq!(read_own(&mut world, pager, 1), kept, "{how:?}");
        let info = world.ask(pager, Request::Info {}, &[A]);
        let Ok(Answer::Memory { pages: 4, committed: 1, .. }) = info else { panic!("{info:?}") };
        let shared = how == Supply::Share;
        write_own(&mut world, pager, 1, 0x8888);
        let seen = world.fixture.read(reader.id.space(), start + 2 * PAGE);
        assert_eq!(seen, if shared { 0x8888 } else { 0x7777 }, "{how:?}");
    }
}

/// A171: the first write of a page that may be written is noted, and taking it back says so; of one
/// that may not, the writer waits, and the pager is told.
#[test]
fn the_first_write_is_noted_and_told() {
    let (mut world, pager, reader, start) = scene(4, 4);
    let taken = |pages, written| Ok(Answer::Taken { pages, written });
    let back = |first, pages, into| Request::TakeBack { first, pages, into };
    assert_eq!(world.ask(pager, supply(0, 3, 0, Supply::Give, true), BOTH), wanted(3, None));
    for page in 0..3 {
        assert!(world.touch(reader, start + page * PAGE, Access::Read));
    }
    assert!(world.touch(reader, start + PAGE, Access::Write));
    world.fixture.write(reader.id.space(), start + PAGE, 0x1234);
    assert_eq!(world.ask(pager, back(0, 3, 0), BOTH), taken(3, 0b010));
    assert_eq!(read_own(&mut world, pager, 1), 0x1234, "what was written comes back");
    // A write as the first touch is one too.
    assert_eq!(world.ask(pager, supply(0, 1, 1, Supply::Give, true), BOTH), wanted(1, None));
    assert!(world.touch(reader, start, Access::Write));
    assert_eq!(world.ask(pager, back(0, 1, 1), BOTH), taken(1, 0b1));
    // What may only be read.
    assert_eq!(world.ask(pager, supply(0, 1, 1, Supply::Give, false), BOTH), wanted(1, None));
    assert!(world.touch(reader, start, Access::Read));
    assert!(waits(&mut world, reader, start, Access::Write));
    assert_eq!(world.ask(pager, NEXT, &[A]), wanted(0, Some((0, true))));
    let allow = Request::AllowWrite { first: 0, pages: 1, wait: 0 };
    assert_eq!(world.ask(pager, allow, &[A]), wanted(1, None));
    assert_eq!(going_on(&mut world), [reader.start.tcb]);
    assert!(world.touch(reader, start, Access::Write));
    assert_eq!(world.ask(pager, back(0, 1, 1), BOTH), taken(1, 0b1));
    // A capability without the right to write maps nothing that is written.
    let restrict = Request::Restrict { rights: Rights::READ, slot: C };
    world.ask(pager, restrict, &[A, ACCOUNT_SLOT]).unwrap();
    world.copy((pager, C), (reader, C));
    let read_only = world.map(reader, C, 4, Rights::READ);
    assert_eq!(world.ask(pager, supply(0, 1, 1, Supply::Give, true), BOTH), wanted(1, None));
    assert!(world.touch(reader, read_only, Access::Read));
    assert_eq!(world.touch_or_wait(reader, read_only, Access::Write), Touched::Fault);
    assert_eq!(world.ask(pager, back(0, 1, 1), BOTH), taken(1, 0));
}

/// A172: what is taken back is mapped nowhere, and who touches it waits again; no more is there
/// than was paid for; pages that nobody needs come back nowhere.
#[test]
fn what_is_taken_back_is_gone_everywhere() {
    let (mut world, pager, reader, start) = scene(8, 2);
    let second = world.map(reader, A, 8, Rights::READ);
    let own = world.map(pager, A, 8, Rights::READ);
    let before = world.used(pager, ACCOUNT_SLOT);
    assert_eq!(world.ask(pager, supply(5, 2, 0, Supply::Give, true), BOTH), wanted(2, None));
    let full = Refusal::Full { most: 2 };
    world.refused(pager, supply(0, 1, 3, Supply::Give, true), BOTH, full);
    let places = [(reader, start), (reader, second), (pager, own)];
    for (program, at) in places {
        assert!(world.touch(program, at + 5 * PAGE, Access::Read));
    }
    let back = Request::TakeBack { first: 4, pages: 3, into: 0 };
    assert_eq!(world.ask(pager, back, BOTH), Ok(Answer::Taken { pages: 3, written: 0 }));
    for (program, at) in places {
        let mapped = world.fixture.vmm.mapping_at(program.id.space(), at + 5 * PAGE);
        assert_eq!(mapped.unwrap(), None);
    }
    assert!(waits(&mut world, reader, second + 5 * PAGE, Access::Read));
    assert_eq!(world.ask(pager, NEXT, &[A]), wanted(0, Some((5, false))));
    // The answer to a supply says what is waited for next.
    let other = world.program(AMPLE);
    world.copy((pager, A), (other, A));
    let third = world.map(other, A, 8, Rights::READ);
    assert!(waits(&mut world, other, third + 7 * PAGE, Access::Read));
    let next = wanted(1, Some((7, false)));
    assert_eq!(world.ask(pager, supply(5, 1, 1, Supply::Give, false), BOTH), next);
    assert_eq!(world.ask(pager, supply(7, 1, 2, Supply::Copy, false), BOTH), wanted(1, None));
    assert_eq!(going_on(&mut world), [reader.start.tcb, other.start.tcb]);
    let decommit = Request::Decommit { first: 0, pages: 8 };
    assert_eq!(world.ask(pager, decommit, &[A]), Ok(Answer::Taken { pages: 8, written: 0 }));
    assert_eq!(world.used(pager, ACCOUNT_SLOT), before, "it was paid for from the start");
}

/// A173: who waits for a page that is refused has a fault; who waits when the mapping or the object
/// ends touches what is there then; who is ended waits no more.
#[test]
fn nobody_waits_for_what_does_not_come() {
    let (mut world, pager, reader, start) = scene(4, 4);
    assert!(waits(&mut world, reader, start, Access::Read));
    assert_eq!(world.ask(pager, Request::Refuse { page: 0, wait: 0 }, &[A]), wanted(0, None));
    assert_eq!(going_on(&mut world), [reader.start.tcb]);
    assert_eq!(world.touch_or_wait(reader, start, Access::Read), Touched::Fault);
    // The next time it is asked for anew.
    assert!(waits(&mut world, reader, start, Access::Read));
    assert_eq!(world.ask(pager, NEXT, &[A]), wanted(0, Some((0, false))));
    // A message that somebody made of it changes nothing.
    let forged = world.touch_or_wait(reader, start + PAGE, Access::Read);
    assert_eq!(forged, Touched::Forged);
    assert_eq!(world.ask(pager, NEXT, &[A]), wanted(0, None));
    world.finish(reader, Request::Unmap { address: start }, &[SPACE_SLOT]);
    assert_eq!(going_on(&mut world), [reader.start.tcb]);
    assert_eq!(world.touch_or_wait(reader, start, Access::Read), Touched::Fault);
    // The object ends, with its mappings.
    let start = world.map(reader, A, 4, Rights::READ);
    assert!(waits(&mut world, reader, start, Access::Read));
    world.finish(pager, Request::Revoke { slot: C }, &[A]);
    assert_eq!(going_on(&mut world), [reader.start.tcb]);
    assert_eq!(world.touch_or_wait(reader, start, Access::Read), Touched::Fault);
    world.copy((pager, C), (reader, D));
    let start = world.map(reader, D, 4, Rights::READ);
    assert!(waits(&mut world, reader, start, Access::Read));
    world.objects.kill(reader.id).unwrap();
    world.reap();
    assert!(going_on(&mut world).is_empty());
    assert_eq!(world.ask(pager, NEXT, &[C]), wanted(0, None));
    world.finish(pager, Request::Destroy {}, &[C]);
}

/// A174: a pager that begins anew is told again, and signalled; one that is told by a notification
/// is signalled when a page is waited for.
#[test]
fn a_pager_is_told_by_a_notification_and_anew() {
    let (mut world, pager, reader, start) = scene(4, 4);
    let notification = Request::CreateNotification { object: C, slot: D };
    world.ask(pager, notification, &[ACCOUNT_SLOT]).unwrap();
    let tell = Request::TellFaults {};
    assert_eq!(world.ask(pager, tell, &[A, D]), Ok(Answer::Done {}));
    assert_eq!(world.objects.next_notice(), None);
    assert!(waits(&mut world, reader, start, Access::Read));
    assert!(world.objects.next_notice().is_some());
    assert_eq!(world.objects.next_notice(), None);
    assert_eq!(world.ask(pager, NEXT, &[A]), wanted(0, Some((0, false))));
    assert_eq!(world.ask(pager, NEXT, &[A]), wanted(0, None));
    assert_eq!(world.ask(pager, tell, &[A, D]), Ok(Answer::Done {}));
    assert!(world.objects.next_notice().is_some(), "somebody waits already");
    assert_eq!(world.ask(pager, NEXT, &[A]), wanted(0, Some((0, false))));
    // What tells it comes back with the object.
    world.finish(reader, Request::Unmap { address: start }, &[SPACE_SLOT]);
    world.finish(pager, Request::Destroy {}, &[A]);
    world.finish(pager, Request::Destroy {}, &[C]);
    assert_eq!(going_on(&mut world), [reader.start.tcb]);
}

/// A175: what a pager may not do is refused, each by a refusal of its own, and changes nothing.
#[test]
fn what_a_pager_may_not_do_is_refused() {
    let (mut world, pager, reader, start) = scene(4, 3);
    let give = |first, pages, from| supply(first, pages, from, Supply::Give, true);
    for pages in [0, 17] {
        world.refused(pager, give(0, pages, 0), BOTH, Refusal::BadLength { pages });
    }
    for (first, pages, from) in [(3, 2, 0), (0, 2, 3), (u32::MAX, 1, 0), (0, 1, u32::MAX)] {
        let beyond = Refusal::BeyondEnd { pages: 4 };
        world.refused(pager, give(first, pages, from), BOTH, beyond);
    }
    world.ask(pager, give(1, 1, 0), BOTH).unwrap();
    world.refused(pager, give(0, 2, 1), BOTH, Refusal::IsThere { page: 1 });
    world.refused(pager, give(2, 2, 1), &[A, A], {
        Refusal::NoRight { place: 1, missing: Rights::USE }
    });
    let allow = |first, pages| Request::AllowWrite { first, pages, wait: 0 };
    world.refused(pager, allow(1, 2), &[A], Refusal::NotThere { page: 2 });
    world.refused(
        pager,
        Request::Refuse { page: 4, wait: 0 },
        &[A],
        Refusal::BeyondEnd { pages: 4 },
    );
    // Who may not page it; whose pages may not be changed.
    let restrict = Request::Restrict { rights: Rights::READ_WRITE, slot: C };
    world.ask(pager, restrict, &[A, ACCOUNT_SLOT]).unwrap();
    let missing = Refusal::NoRight { place: 0, missing: Rights::PAGE };
    world.refused(pager, NEXT, &[C], missing);
    let restrict = Request::Restrict { rights: Rights::READ | Rights::USE, slot: D };
    world.ask(pager, restrict, &[B, ACCOUNT_SLOT]).unwrap();
    let missing = Refusal::NoRight { place: 1, missing: Rights::WRITE };
    for how in [Supply::Give, Supply::Share] {
        world.refused(pager, supply(2, 1, 0, how, false), &[A, D], missing);
    }
    assert_eq!(world.ask(pager, supply(2, 1, 0, Supply::Copy, false), &[A, D]), wanted(1, None));
    let back = Request::TakeBack { first: 2, pages: 1, into: 0 };
    world.refused(pager, back, &[A, D], missing);
    // Memory without a pager has none; with one, it is no file, and is neither read nor cloned.
    world.refused(pager, NEXT, &[B], Refusal::NoRight { place: 0, missing: Rights::PAGE });
    let options = MemoryOptions::PAGED;
    let create = Request::CreateMemory { pages: 1, options, slot: D + 1 };
    let malformed = vmm_service::objects::protocol::Malformed::Bits;
    world.refused(pager, create, &[ACCOUNT_SLOT], Refusal::Malformed { what: malformed });
    for (pages, most, why) in [(0, 1, 0), (2, 0, 0), (2, 3, 3), (9, u32::MAX, u32::MAX)] {
        let create = Request::CreatePaged { pages, most, slot: D + 1 };
        world.refused(pager, create, &[ACCOUNT_SLOT], Refusal::BadLength { pages: why });
    }
    let missing = Refusal::NoRight { place: 0, missing: Rights::USE };
    for request in [Request::Clone { slot: D + 1 }, Request::Resize { pages: 9 }] {
        world.refused(pager, request, &[A, ACCOUNT_SLOT], missing);
    }
    world.refused(pager, Request::Read { offset: 0, bytes: 9 }, &[A], missing);
    // Who supplies pages does not wait for them.
    let own = world.map(pager, A, 4, Rights::READ);
    assert_eq!(world.touch_or_wait(pager, own + 3 * PAGE, Access::Read), Touched::Fault);
    assert!(waits(&mut world, reader, start + 3 * PAGE, Access::Read));
    let info = world.ask(pager, Request::Populate { address: own, pages: 4 }, &[SPACE_SLOT]);
    assert_eq!(info, Ok(Answer::Pages { pages: 0 }), "the first page is not there");
    let at = own + PAGE;
    let info = world.ask(pager, Request::Populate { address: at, pages: 3 }, &[SPACE_SLOT]);
    assert_eq!(info, Ok(Answer::Pages { pages: 2 }));
}

/// A178: whichever call fails of supplying a page, of letting it be written and of taking it back,
/// what was there is there, and the same request succeeds later.
#[test]
fn what_fails_of_paging_is_done_later() {
    let requests = [
        supply(0, 2, 0, Supply::Give, true),
        supply(0, 2, 0, Supply::Copy, true),
        supply(0, 2, 0, Supply::Share, true),
        Request::AllowWrite { first: 2, pages: 1, wait: 0 },
        Request::TakeBack { first: 2, pages: 1, into: 0 },
        Request::Decommit { first: 2, pages: 1 },
    ];
    for request in requests {
        for error in [vmm::KernelError::IllegalOperation, vmm::KernelError::NotEnoughMemory] {
            for nth in 1.. {
                let (mut world, pager, reader, start) = scene(4, 4);
                for page in 0..3 {
                    write_own(&mut world, pager, page, 0x100 + u64::from(page));
                }
                world.ask(pager, supply(2, 1, 2, Supply::Give, false), BOTH).unwrap();
                assert!(world.touch(reader, start + 2 * PAGE, Access::Read));
                let slots: &[u32] = match request {
                    Request::AllowWrite { .. } | Request::Decommit { .. } => &[A],
                    _ => BOTH,
                };
                let page = match request {
                    Request::AllowWrite { .. } => 2,
                    _ => 0,
                };
                let supplies =
                    matches!(request, Request::Supply { .. } | Request::AllowWrite { .. });
                if supplies {
                    assert!(waits(&mut world, reader, start + page * PAGE, Access::Write));
                }
                world.fixture.kernel().fail_nth(nth, error);
                let answer = world.ask(pager, request, slots);
                let failed = !world.fixture.kernel().disarm();
                world.check();
                let done = match answer {
                    Ok(Answer::Wanted { done, .. } | Answer::Taken { pages: done, .. }) => done,
                    Err(Refusal::OutOfMemory {} | Refusal::Internal {}) => {
                        assert!(failed, "{request:?}: {answer:?}");
                        0
                    }
                    other => panic!("{request:?}: {other:?}"),
                };
                // The rest of it.
                let rest = match request {
                    Request::Supply { pages, how, write, .. } if done < pages => {
                        Some(supply(done, pages - done, done, how, write))
                    }
                    Request::Supply { .. } => None,
                    _ if done == 0 => Some(request),
                    _ => None,
                };
                assert!(rest.is_none() || failed, "{request:?}: {answer:?}");
                if let Some(rest) = rest {
                    world.ask(pager, rest, slots).unwrap();
                }
                if supplies {
                    assert_eq!(going_on(&mut world), [reader.start.tcb]);
                    let at = start + page * PAGE;
                    assert!(world.touch(reader, at, Access::Write), "{request:?}, call {nth}");
                    let held = world.fixture.read(reader.id.space(), at);
                    assert_eq!(held, 0x100 + page as u64, "{request:?}, call {nth}");
                }
                if let Request::TakeBack { .. } = request {
                    assert_eq!(read_own(&mut world, pager, 0), 0x102);
                }
                world.finish(reader, Request::Unmap { address: start }, &[SPACE_SLOT]);
                for slot in [A, B] {
                    world.finish(pager, Request::Destroy {}, &[slot]);
                }
                if !failed {
                    assert!(nth > 1, "{request:?}: no call was made to fail");
                    break;
                }
            }
        }
    }
}

/// A178: where a page cannot be taken back, those before it have been, and that is said.
#[test]
fn pages_that_were_taken_back_before_one_that_was_not_are_told() {
    let mut partly = 0;
    for nth in 1.. {
        let (mut world, pager, reader, at) = scene(4, 3);
        for page in 0..2 {
            assert!(waits(&mut world, reader, at + page as usize * PAGE, Access::Read));
            let given = supply(page, 1, page, Supply::Copy, true);
            world.ask(pager, given, &[A, B]).unwrap();
            going_on(&mut world);
        }
        world.fixture.kernel().fail_nth(nth, KernelError::IllegalOperation);
        let take = Request::Decommit { first: 0, pages: 2 };
        let answer = world.ask(pager, take, &[A]);
        let failed = !world.fixture.kernel().disarm();
        match answer {
            Ok(Answer::Taken { pages: 2, .. }) => assert!(!failed),
            Ok(Answer::Taken { pages, .. }) => {
                assert_eq!(pages, 1);
                partly += 1;
            }
            Err(_) => assert!(partly == 0, "the first page comes first"),
            other => panic!("{other:?}"),
        }
        if !failed {
            break;
        }
    }
    assert!(partly > 0, "none of several was refused");
}

/// A179: a program's state says that it waits for a page.
#[test]
fn a_program_that_waits_says_so() {
    let (mut world, pager, reader, start) = scene(4, 4);
    world.objects.note_started(&reader.start, 9);
    let state = |world: &mut World| match world.ask(
        reader,
        Request::Info {},
        &[vmm_service::objects::protocol::PROGRAM_SLOT],
    ) {
        Ok(Answer::Program { state, .. }) => state,
        other => panic!("{other:?}"),
    };
    assert_eq!(state(&mut world), State::Running);
    assert!(waits(&mut world, reader, start, Access::Read));
    assert_eq!(state(&mut world), State::Waiting);
    world.ask(pager, supply(0, 1, 0, Supply::Copy, false), BOTH).unwrap();
    assert_eq!(going_on(&mut world), [reader.start.tcb]);
    assert_eq!(state(&mut world), State::Running);
}
