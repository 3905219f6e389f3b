// SPDX-License-Identifier: BSD-2-Clause
//! Pagers that wait to be told of a page: answered by the touch, by the time, by what ends.

use vmm::Access;
use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, Amounts, Answer, FOREVER, FaultPolicy, PROGRAM_SLOT, Refusal, Request, Rights,
    SPACE_SLOT, Supply,
};
use vmm_service::objects::{Arrived, Turnstile};

use crate::controls::begin;
use crate::paging::{BOTH, NEXT, going_on, scene, supply, waits, wanted};
use crate::time::woken;
use crate::world::{A, AMPLE, B, C, D, PAGE, account};

/// Waits for as long as it takes.
const WAIT: Request = Request::NextFault { wait: FOREVER };
const GONE: Result<Answer, Refusal> = Err(Refusal::Gone { place: 0 });
const END: Request = Request::EndThread { code: 0, own: false };

/// A supply of one page that waits for the next.
fn then_wait(page: u32, wait: u32) -> Request {
    let (first, pages, from, how, write) = (page, 1, page, Supply::Copy, true);
    Request::Supply { first, pages, from, how, write, wait }
}

/// A320: a pager that waits is told by the touch itself, once, and no notification is signalled for
/// that; who supplies and waits needs one request for each page.
#[test]
fn a_touch_tells_who_waits() {
    let (mut world, pager, reader, start) = scene(4, 4);
    let notification = Request::CreateNotification { object: C, slot: D };
    world.ask(pager, notification, &[ACCOUNT_SLOT]).unwrap();
    world.ask(pager, Request::TellFaults {}, &[A, D]).unwrap();
    let begun = world.figures();
    let slot = world.ask_to_wait(pager, WAIT, &[A]).expect("it waits");
    assert_eq!(world.figures(), begun, "it takes nothing");
    assert_eq!(woken(&mut world), []);
    for page in 0..4 {
        assert!(waits(&mut world, reader, start + page as usize * PAGE, Access::Write));
        let told = wanted(u32::from(page > 0), Some((page, true)));
        assert_eq!(woken(&mut world), [(slot, told)]);
        assert_eq!(world.notices(), 0, "it was told");
        assert_eq!(woken(&mut world), []);
        let again = world.ask_to_wait(pager, then_wait(page, FOREVER), BOTH);
        assert_eq!(again, Ok(slot), "the page is there, and no other is waited for");
        assert_eq!(going_on(&mut world), [reader.start.tcb]);
        assert!(world.touch(reader, start + page as usize * PAGE, Access::Write));
    }
    // What is waited for already is the answer at once.
    world.ask(pager, Request::Decommit { first: 0, pages: 4 }, &[A]).unwrap();
    assert!(waits(&mut world, reader, start, Access::Read));
    assert_eq!(woken(&mut world), [(slot, wanted(1, Some((0, false))))]);
    world.ask(pager, supply(0, 1, 0, Supply::Copy, false), BOTH).unwrap();
    assert_eq!(going_on(&mut world), [reader.start.tcb]);
    assert!(waits(&mut world, reader, start + PAGE, Access::Read));
    assert_eq!(world.notices(), 1, "nobody waited to be told");
    assert_eq!(world.ask_to_wait(pager, WAIT, &[A]), Err(Box::new(wanted(0, Some((1, false))))));
    // The other requests of a pager wait, too.
    let refuse = Request::Refuse { page: 1, wait: FOREVER };
    assert_eq!(world.ask_to_wait(pager, refuse, &[A]), Ok(slot));
    assert_eq!(going_on(&mut world), [reader.start.tcb]);
    assert_eq!(
        world.touch_or_wait(reader, start + PAGE, Access::Read),
        vmm_service::objects::Touched::Fault
    );
    assert!(waits(&mut world, reader, start, Access::Write));
    assert_eq!(woken(&mut world), [(slot, wanted(0, Some((0, true))))]);
    let allow = Request::AllowWrite { first: 0, pages: 1, wait: FOREVER };
    assert_eq!(world.ask_to_wait(pager, allow, &[A]), Ok(slot));
    assert_eq!(going_on(&mut world), [reader.start.tcb]);
    assert!(waits(&mut world, reader, start + 2 * PAGE, Access::Write));
    assert_eq!(woken(&mut world), [(slot, wanted(1, Some((2, true))))]);
}

/// A320: what is supplied in part, as a call failed, is answered at once: the rest comes first.
#[test]
fn a_supply_in_part_waits_for_nothing() {
    let mut parts = 0;
    for nth in 1.. {
        let (mut world, pager, ..) = scene(4, 4);
        world.fixture.kernel().fail_nth(nth, vmm::KernelError::IllegalOperation);
        let (first, pages, from, how, write, wait) = (0, 2, 0, Supply::Copy, true, FOREVER);
        let request = Request::Supply { first, pages, from, how, write, wait };
        let asked = world.ask_to_wait(pager, request, BOTH);
        let failed = !world.fixture.kernel().disarm();
        match asked.map_err(|answer| *answer) {
            Ok(_) if failed => {}
            Ok(_) => break,
            Err(Err(refusal)) => assert_eq!((refusal, failed), (Refusal::Internal {}, true)),
            Err(answer) => {
                assert_eq!((answer, failed), (wanted(1, None), true), "call {nth}");
                parts += 1;
            }
        }
    }
    assert!(parts > 0, "no call failed between the two");
}

/// A321: of several that wait the first is told, each of another page; what none of them is told of
/// is signalled; and a pager that begins anew does not take what one that waits can be told of.
#[test]
fn the_first_that_waits_is_told() {
    let (mut world, pager, reader, start) = scene(4, 4);
    world.objects.note_started(&pager.start, 90);
    world.objects.note_started(&reader.start, 90);
    begin(&mut world, pager, C, FaultPolicy::Program);
    let others = [world.program(AMPLE), world.program(AMPLE)];
    let mut starts = vec![start];
    for other in others {
        world.copy((pager, A), (other, A));
        starts.push(world.map(other, A, 4, Rights::READ_WRITE));
    }
    let notification = Request::CreateNotification { object: D + 1, slot: D };
    world.ask(pager, notification, &[ACCOUNT_SLOT]).unwrap();
    world.ask(pager, Request::TellFaults {}, &[A, D]).unwrap();
    let first = world.ask_to_wait(pager, WAIT, &[A]).unwrap();
    let second = world.ask_to_wait(pager, WAIT, &[A]).unwrap();
    assert_ne!(first, second);
    for (program, page) in [(reader, 2), (others[0], 1), (others[1], 0)] {
        let start = starts.remove(0);
        assert!(waits(&mut world, program, start + page * PAGE, Access::Read));
        let told = match page {
            2 => vec![(first, wanted(0, Some((2, false))))],
            1 => vec![(second, wanted(0, Some((1, false))))],
            _ => vec![],
        };
        assert_eq!(woken(&mut world), told);
        assert_eq!(world.notices(), usize::from(page == 0));
    }
    assert_eq!(world.ask(pager, NEXT, &[A]), wanted(0, Some((0, false))));
    // All three are to be told again: one waits for that, the others are signalled.
    let again = world.ask_to_wait(pager, WAIT, &[A]).unwrap();
    world.ask(pager, Request::TellFaults {}, &[A, D]).unwrap();
    assert_eq!(woken(&mut world), [(again, wanted(0, Some((2, false))))]);
    assert_eq!(world.notices(), 1);
    assert_eq!(world.ask(pager, NEXT, &[A]), wanted(0, Some((1, false))));
}

/// A322: who waits with a limit is told of no page when that is over, and not before; without a
/// clock there is no limit, and where it is lost who has one is told so.
#[test]
fn a_limit_ends_the_wait() {
    let (mut world, pager, reader, start) = scene(4, 4);
    let limited = Request::NextFault { wait: 5 };
    world.refused(pager, limited, &[A], Refusal::NoClock {});
    world.refused(pager, then_wait(0, 5), BOTH, Refusal::NoClock {});
    let slot = world.ask_to_wait(pager, WAIT, &[A]).unwrap();
    world.objects.set_time(40);
    assert_eq!((world.objects.next_deadline(), woken(&mut world)), (None, vec![]));
    assert!(waits(&mut world, reader, start, Access::Read));
    assert_eq!(woken(&mut world).len(), 1);
    let slot_again = world.ask_to_wait(pager, then_wait(0, 5), BOTH).unwrap();
    assert_eq!((slot_again, going_on(&mut world)), (slot, vec![reader.start.tcb]));
    let deadline = world.objects.next_deadline().expect("it waits for 5 ms");
    assert!(deadline > 45, "the millisecond that is under way has passed in part");
    world.objects.set_time(45);
    assert_eq!(woken(&mut world), []);
    world.objects.set_time(deadline);
    assert_eq!(woken(&mut world), [(slot, wanted(1, None))]);
    assert_eq!(world.objects.next_deadline(), None);
    // A page that is waited for afterwards is not lost.
    assert!(waits(&mut world, reader, start + PAGE, Access::Read));
    assert_eq!(world.ask(pager, NEXT, &[A]), wanted(0, Some((1, false))));
    for (request, slots, answer) in
        [(limited, &BOTH[..1], Err(Refusal::NoClock {})), (then_wait(1, 5), BOTH, wanted(1, None))]
    {
        let slot = world.ask_to_wait(pager, request, slots).unwrap();
        world.objects.stop_time();
        world.check();
        assert_eq!(woken(&mut world), [(slot, answer)]);
        world.objects.set_time(100);
    }
    assert_eq!(going_on(&mut world), [reader.start.tcb]);
    // One without a limit does not need it.
    let slot = world.ask_to_wait(pager, WAIT, &[A]).unwrap();
    world.objects.stop_time();
    assert_eq!(woken(&mut world), []);
    assert!(waits(&mut world, reader, start + 2 * PAGE, Access::Read));
    assert_eq!(woken(&mut world), [(slot, wanted(0, Some((2, false))))]);
}

/// A323: when the memory ends, or the capability to it by which it was asked, nobody waits on: a
/// request that did nothing is refused, one that supplied pages says so.
#[test]
fn nobody_waits_for_what_has_ended() {
    for supplies in [false, true] {
        for way in 0..3 {
            let (mut world, pager, reader, start) = scene(4, 4);
            let limits = Amounts([60, 40, 60, 5, 2, 20, 60, 0]);
            world.ask(pager, account(limits, Default::default(), D), &[ACCOUNT_SLOT]).unwrap();
            let create = Request::CreatePaged { pages: 4, most: 2, slot: C };
            world.ask(pager, create, &[D]).unwrap();
            let all = Rights::PAGE | Rights::REVOKE | Rights::DESTROY;
            let restrict = Request::Restrict { rights: all, slot: C + 8 };
            world.ask(pager, restrict, &[C, ACCOUNT_SLOT]).unwrap();
            let through = if way == 1 { C + 8 } else { C };
            let (request, slots) = match supplies {
                false => (WAIT, vec![through]),
                true => (then_wait(0, FOREVER), vec![through, B]),
            };
            let slot = world.ask_to_wait(pager, request, &slots).unwrap();
            match way {
                0 => world.finish(pager, Request::Destroy {}, &[C]),
                1 => world.finish(pager, Request::Revoke { slot: 0 }, &[C]),
                _ => world.finish(pager, Request::Destroy {}, &[D]),
            }
            let answer = if supplies { wanted(1, None) } else { GONE };
            assert_eq!(woken(&mut world), [(slot, answer)], "way {way}");
            world.reap();
            // What it waits for else is no matter of that.
            let slot = world.ask_to_wait(pager, WAIT, &[A]).unwrap();
            assert!(waits(&mut world, reader, start, Access::Read));
            assert_eq!(woken(&mut world), [(slot, wanted(0, Some((0, false))))]);
        }
    }
}

/// A323: another capability to the same memory that ends is none of theirs.
#[test]
fn who_has_a_capability_waits_on() {
    let (mut world, pager, reader, start) = scene(4, 4);
    let restrict = Request::Restrict { rights: Rights::PAGE | Rights::REVOKE, slot: C };
    world.ask(pager, restrict, &[A, ACCOUNT_SLOT]).unwrap();
    let slot = world.ask_to_wait(pager, WAIT, &[A]).unwrap();
    world.finish(pager, Request::Revoke { slot: 0 }, &[C]);
    world.finish(reader, Request::Unmap { address: start }, &[SPACE_SLOT]);
    assert_eq!(woken(&mut world), []);
    let start = world.map(reader, A, 4, Rights::READ);
    assert!(waits(&mut world, reader, start, Access::Read));
    assert_eq!(woken(&mut world), [(slot, wanted(0, Some((0, false))))]);
}

/// A324: no more wait than there are threads. A request to wait is refused then, and one that
/// supplies has supplied; a place for whom nobody waits is free, and no page was told there.
#[test]
fn who_waits_has_a_place() {
    let (mut world, pager, reader, start) = scene(4, 4);
    let own = world.ask_to_wait(pager, WAIT, &[A]).unwrap();
    let others = world.ask_to_wait(pager, WAIT, &[A]).unwrap();
    let none = Refusal::TooManyWaiting { most: 2 };
    world.refused(pager, WAIT, &[A], none);
    assert_eq!(
        world.ask_to_wait(pager, then_wait(3, FOREVER), BOTH),
        Err(Box::new(wanted(1, None)))
    );
    world.objects.nobody_waits(own);
    world.check();
    assert!(waits(&mut world, reader, start, Access::Read));
    assert_eq!(woken(&mut world), [(others, wanted(0, Some((0, false))))]);
    assert_eq!(world.ask_to_wait(pager, WAIT, &[A]), Ok(own));
    // Its program ends: another that sent by its capability is answered, and told of none.
    world.copy((pager, PROGRAM_SLOT), (reader, B));
    let [Arrived::Own(badge)] = world.arrive(reader, &[B])[..] else { panic!() };
    let arrived = world.arrive(reader, &[A]);
    let sent = world.send(badge, &WAIT.encode(), &arrived).waits.expect("it waits");
    assert_eq!(sent, others);
    world.objects.kill(pager.id).unwrap();
    assert_eq!(woken(&mut world), [(others, wanted(0, None))]);
    world.reap();
    assert_eq!(woken(&mut world), []);
}

/// A324: whose right is in the slot of a thread that ends waits on in another, and is told of what
/// was touched meanwhile; where there is none it is refused.
#[test]
fn who_waits_in_the_slot_of_one_that_ends_waits_on() {
    let (mut world, pager, reader, start) = scene(4, 4);
    world.objects.note_started(&pager.start, 90);
    begin(&mut world, pager, C, FaultPolicy::Program);
    // Two of the program's slots and the reader's are in use.
    let slots = [0, 1, 2].map(|_| world.ask_to_wait(pager, WAIT, &[A]).unwrap());
    world.caller_ends(slots[0]);
    world.fixture.kernel().fail_nth(1, vmm::KernelError::IllegalOperation);
    world.ask(pager, END, &[C]).unwrap_err();
    assert!(!world.fixture.kernel().disarm());
    // It ends, and keeps the second; the first would lose what it is told.
    world.objects.nobody_waits(slots[0]);
    world.objects.nobody_waits(slots[2]);
    assert!(waits(&mut world, reader, start + PAGE, Access::Read));
    assert_eq!(woken(&mut world), []);
    while world.objects.reap_step(&mut world.fixture.vmm).unwrap() {}
    assert_eq!(woken(&mut world), [(slots[1], wanted(0, Some((1, false))))]);

    let (mut world, pager, ..) = scene(4, 4);
    world.objects.note_started(&pager.start, 90);
    begin(&mut world, pager, C, FaultPolicy::Program);
    let slots = [0, 1, 2].map(|_| world.ask_to_wait(pager, WAIT, &[A]).unwrap());
    world.finish(pager, END, &[C]);
    let none = Err(Refusal::TooManyWaiting { most: 2 });
    assert_eq!(woken(&mut world), [(slots[1], none)]);
}

/// A323 A324: whose right is in the slot of a thread that ends is answered at the end of that thread,
/// also where what it waits for ends before.
#[test]
fn who_waits_in_the_slot_of_one_that_ends_is_told_in_vain_later() {
    for supplies in [false, true] {
        let (mut world, pager, reader, start) = scene(4, 4);
        world.objects.note_started(&pager.start, 90);
        begin(&mut world, pager, C, FaultPolicy::Program);
        let (request, asked) = match supplies {
            false => (WAIT, &BOTH[..1]),
            true => (then_wait(0, FOREVER), BOTH),
        };
        let first = world.ask_to_wait(pager, WAIT, &[A]).unwrap();
        let second = world.ask_to_wait(pager, request, asked).unwrap();
        world.caller_ends(first);
        world.fixture.kernel().fail_nth(1, vmm::KernelError::IllegalOperation);
        world.ask(pager, END, &[C]).unwrap_err();
        assert!(!world.fixture.kernel().disarm());
        world.objects.nobody_waits(first);
        world.finish(reader, Request::Unmap { address: start }, &[SPACE_SLOT]);
        world.finish(pager, Request::Destroy {}, &[A]);
        assert!(world.is_empty(pager, A), "the memory has ended");
        assert_eq!(woken(&mut world), [], "its slot is that of one that ends");
        // What is kept is given before the thread is gone.
        assert!(world.objects.reap_step(&mut world.fixture.vmm).unwrap());
        let answer = if supplies { wanted(1, None) } else { GONE };
        assert_eq!(woken(&mut world), [(second, answer)]);
        world.reap();
    }
}

/// A325: a pager that had its turn is told of a page when the others had theirs, and not before;
/// however often it waits.
#[test]
fn who_waits_has_no_further_turn() {
    let (mut world, pager, reader, start) = scene(4, 4);
    let round = Turnstile(1);
    world.objects.set_slice(1000);
    world.objects.note_started(&pager.start, 90);
    world.objects.set_time(1);
    let [Arrived::Own(badge)] = world.arrive(pager, &[PROGRAM_SLOT])[..] else { panic!() };
    for (page, wait) in [(0, FOREVER), (1, 2)] {
        let slot = world.ask_to_wait(pager, Request::NextFault { wait }, &[A]).unwrap();
        assert_eq!(world.objects.charge_time(badge, 0, 1000), Some(90));
        assert!(world.objects.hold_kept(round));
        world.check();
        assert!(waits(&mut world, reader, start + page as usize * PAGE, Access::Read));
        world.objects.set_time(50);
        assert_eq!(woken(&mut world), [], "the others did not have theirs");
        while world.objects.come_round(round, 0) {}
        assert_eq!(woken(&mut world), [(slot, wanted(0, Some((page, false))))]);
        world.ask(pager, supply(page, 1, page, Supply::Copy, false), BOTH).unwrap();
        assert_eq!(going_on(&mut world), [reader.start.tcb]);
    }
    // Where the clock is lost meanwhile, that is told when the others had their turn.
    let slot = world.ask_to_wait(pager, Request::NextFault { wait: 2 }, &[A]).unwrap();
    assert_eq!(world.objects.charge_time(badge, 0, 1000), Some(90));
    assert!(world.objects.hold_kept(round));
    world.objects.stop_time();
    world.check();
    assert_eq!(woken(&mut world), []);
    while world.objects.come_round(round, 0) {}
    assert_eq!(woken(&mut world), [(slot, Err(Refusal::NoClock {}))]);
    world.objects.set_time(60);
    // Who sleeps has nothing to be told, and the end of what is waited for is told at once.
    crate::time::sleep(&mut world, pager, 5).unwrap();
    assert!(!world.objects.hold_kept(round));
    world.objects.set_time(100);
    assert_eq!(woken(&mut world).len(), 1);
    let slot = world.ask_to_wait(pager, WAIT, &[A]).unwrap();
    assert!(world.objects.charge_time(badge, 0, 5000).is_some());
    assert!(world.objects.hold_kept(round));
    world.finish(reader, Request::Unmap { address: start }, &[SPACE_SLOT]);
    world.finish(pager, Request::Destroy {}, &[A]);
    assert_eq!(woken(&mut world), [(slot, GONE)]);
}
