// SPDX-License-Identifier: BSD-2-Clause
//! Who is told when little is left of an account: when, how often, by what, and until when.

use vmm::{CPtr, KernelError};
use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, AccountOptions, Amounts, Answer, Kind, MemoryOptions, Refusal, Request, Resource,
    Rights, SPACE_SLOT,
};
use vmm_tests::model::Cap;
use vmm_tests::support::random::Random;

use crate::support::Fixture;
use crate::support::ballast::Ballast;
use crate::world::{A, AMPLE, B, C, D, Program, World, account, only};

const PAYER: &[u32] = &[ACCOUNT_SLOT];
/// The account that is told of, and two notifications.
const OF: u32 = A + 10;
const TOLD: u32 = A + 12;
const OTHER: u32 = A + 14;
const LIMITS: Amounts = Amounts([40, 10, 60, 4, 3, 20, 40, 0]);

/// A world with a program that has two notifications, and an account of [`LIMITS`].
fn scene(options: AccountOptions) -> (World, Program) {
    let (mut world, program) = World::one();
    for slot in [TOLD, OTHER] {
        let notification = Request::CreateNotification { object: slot - 1, slot };
        world.ask(program, notification, PAYER).unwrap();
    }
    world.ask(program, account(LIMITS, options, OF), PAYER).unwrap();
    (world, program)
}

fn tell(amount: u32) -> Request {
    Request::TellAccount { resource: Resource::Pages, amount }
}

fn memory(pages: u32, slot: u32) -> Request {
    Request::CreateMemory { pages, options: MemoryOptions::empty(), slot }
}

/// What is signalled now: the kernel's objects to which the capabilities lead.
fn told(world: &mut World) -> Vec<Cap> {
    let next = |world: &mut World| world.objects.next_notice();
    let slots: Vec<CPtr> = std::iter::from_fn(|| next(world)).collect();
    world.check();
    slots.into_iter().map(|slot| world.fixture.kernel().cap(slot)).collect()
}

/// The kernel's object of a program's own slot.
fn own(world: &World, program: Program, slot: u32) -> Cap {
    world.fixture.kernel().cap_at(program.slot(slot)).unwrap()
}

/// How much is left of an account.
fn left(world: &mut World, program: Program, slot: u32) -> Amounts {
    match world.ask(program, Request::Info {}, &[slot]) {
        Ok(Answer::Account { limits, used, .. }) => limits.minus(used).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn pages_left(world: &mut World, program: Program) -> u32 {
    left(world, program, OF).of(Resource::Pages)
}

/// The slots that the manager has left.
fn slots(world: &mut World) -> usize {
    world.fixture.vmm.trim().unwrap();
    world.fixture.vmm.stats().allocator.free_slots
}

/// A340: once, when less is left than was said and not when as much is; anew once it is asked for.
#[test]
fn it_is_told_once_when_less_is_left() {
    for options in [AccountOptions::empty(), AccountOptions::OVERCOMMIT] {
        let (mut world, program) = scene(options);
        // What comes first takes the root table of the store.
        world.ask(program, memory(1, A), &[OF]).unwrap();
        let amount = pages_left(&mut world, program) - 3;
        assert_eq!(world.ask(program, tell(amount), &[OF, TOLD]), Ok(Answer::Done {}));
        assert_eq!(told(&mut world), []);
        world.ask(program, memory(3, B), &[OF]).unwrap();
        assert_eq!(pages_left(&mut world, program), amount);
        assert_eq!(told(&mut world), [], "as much is left as was said");
        world.ask(program, memory(1, C), &[OF]).unwrap();
        let bell = own(&world, program, TOLD);
        assert!(matches!(bell, Cap::Notification { .. }));
        assert_eq!(told(&mut world), [bell]);
        // Less and less, and more, and less again.
        world.ask(program, memory(1, D), &[OF]).unwrap();
        for slot in [B, C, D] {
            world.finish(program, Request::Destroy {}, &[slot]);
        }
        world.ask(program, memory(9, B), &[OF]).unwrap();
        assert_eq!(told(&mut world), [], "it is told once");
        // At once, where it is so already.
        world.ask(program, tell(amount), &[OF, TOLD]).unwrap();
        assert_eq!(told(&mut world), [bell]);
        world.finish(program, Request::Destroy {}, &[B]);
        world.ask(program, tell(amount), &[OF, TOLD]).unwrap();
        assert_eq!(told(&mut world), []);
        world.ask(program, memory(9, B), &[OF]).unwrap();
        assert_eq!(told(&mut world), [bell]);
    }
}

/// A340: whatever takes it: what is charged to it, what it gives to a child, what a child that has
/// no guarantee uses, what is taken back from it. And of the resource alone that was named.
#[test]
fn whatever_takes_it_is_told() {
    type Take = fn(&mut World, Program);
    let ways: [Take; 4] = [
        |world, program| {
            world.ask(program, memory(30, A), &[OF]).unwrap();
        },
        |world, program| {
            let amounts = Amounts([30, 1, 1, 0, 0, 1, 1, 0]);
            world.ask(program, account(amounts, AccountOptions::empty(), A), &[OF]).unwrap();
        },
        |world, program| {
            world.ask(program, account(LIMITS, AccountOptions::OVERCOMMIT, A), &[OF]).unwrap();
            assert_eq!(told(world), [], "a child without a guarantee takes nothing");
            world.ask(program, memory(30, B), &[A]).unwrap();
        },
        |world, program| {
            let give = Request::Give { amounts: only(Resource::Pages, 30), back: true };
            world.ask(program, give, &[ACCOUNT_SLOT, OF]).unwrap();
        },
    ];
    for way in ways {
        for resource in Resource::ALL {
            let (mut world, program) = scene(AccountOptions::empty());
            let whole = left(&mut world, program, OF).of(resource);
            // Of the others less is used than that.
            let amount = if resource == Resource::Pages { 20 } else { whole / 4 };
            let request = Request::TellAccount { resource, amount };
            world.ask(program, request, &[OF, TOLD]).unwrap();
            assert_eq!(told(&mut world), []);
            way(&mut world, program);
            let bell = own(&world, program, TOLD);
            let wanted = if resource == Resource::Pages { vec![bell] } else { vec![] };
            assert_eq!(told(&mut world), wanted, "{resource:?}");
        }
    }
}

/// A340: what a request takes and gives back before it is refused is not told, and is no reason not
/// to tell it when it is so.
#[test]
fn what_is_refused_is_not_told() {
    let (mut world, program) = scene(AccountOptions::empty());
    world.ask(program, memory(1, A), &[OF]).unwrap();
    let amount = pages_left(&mut world, program) - 3;
    world.ask(program, tell(amount), &[OF, TOLD]).unwrap();
    let mut refused = 0;
    for nth in 1.. {
        world.fixture.kernel().fail_nth(nth, KernelError::NotEnoughMemory);
        let answer = world.ask(program, memory(9, B), &[OF]);
        if world.fixture.kernel().disarm() {
            break;
        }
        assert!(answer.is_err(), "call {nth} failed, and it was granted");
        refused += 1;
        world.reap();
        assert_eq!(told(&mut world), [], "call {nth}");
    }
    assert!(refused > 0, "no call was made to fail");
    let bell = own(&world, program, TOLD);
    assert_eq!(told(&mut world), [bell]);
}

/// A341: what was given before is not signalled any more, and its slot serves again; with 0 nothing
/// is kept.
#[test]
fn another_takes_the_place_of_the_one_before() {
    let (mut world, program) = scene(AccountOptions::empty());
    world.ask(program, tell(30), &[OF, TOLD]).unwrap();
    let before = slots(&mut world);
    // Of something else, by another, which is due and not told when it is replaced.
    let all = Request::TellAccount { resource: Resource::Slots, amount: u32::MAX };
    world.ask(program, all, &[OF, TOLD]).unwrap();
    world.ask(program, tell(30), &[OF, OTHER]).unwrap();
    assert_eq!(told(&mut world), []);
    assert_eq!(slots(&mut world), before);
    world.ask(program, memory(20, A), &[OF]).unwrap();
    let other = own(&world, program, OTHER);
    assert_eq!(told(&mut world), [other]);
    // Due, and then nothing is to be told.
    world.ask(program, tell(30), &[OF, OTHER]).unwrap();
    let kept = slots(&mut world);
    assert_eq!(world.ask(program, tell(0), &[OF, TOLD]), Ok(Answer::Done {}));
    assert_eq!(told(&mut world), []);
    assert_eq!(slots(&mut world), kept + 1);
    assert_eq!(world.ask(program, tell(0), &[OF, OTHER]), Ok(Answer::Done {}));
    assert_eq!(told(&mut world), []);
    world.ask(program, memory(5, B), &[OF]).unwrap();
    assert_eq!(told(&mut world), []);
}

/// A341: it ends with the account, due or not, and whoever asked; what it led to may end before.
#[test]
fn it_ends_with_the_account() {
    for due in [false, true] {
        let (mut world, program) = scene(AccountOptions::empty());
        let friend = world.program(AMPLE);
        world.copy((program, OF), (friend, A));
        world.copy((program, TOLD), (friend, B));
        let before = world.figures();
        world.ask(friend, tell(if due { 100 } else { 30 }), &[A, B]).unwrap();
        assert_ne!(world.figures(), before, "a slot is taken");
        // Who asked is no longer there, nor is what it asked by; the account is.
        world.objects.kill(friend.id).unwrap();
        world.reap();
        if due {
            let bell = own(&world, program, TOLD);
            assert_eq!(told(&mut world), [bell], "who asked has ended, and the account has not");
            world.ask(program, tell(100), &[OF, TOLD]).unwrap();
        }
        world.finish(program, Request::Destroy {}, &[TOLD - 1]);
        world.reap();
        if due {
            assert_eq!(told(&mut world), [Cap::Null], "a slot in which nothing is is signalled");
            world.ask(program, tell(100), &[OF, OTHER]).unwrap();
        }
        world.ask(program, memory(30, A), &[OF]).unwrap();
        assert_eq!(told(&mut world).len(), 1);
        world.ask(program, tell(100), &[OF, OTHER]).unwrap();
        let before = slots(&mut world);
        world.finish(program, Request::Destroy {}, &[OF]);
        world.reap();
        assert_eq!(told(&mut world), []);
        assert!(slots(&mut world) > before);
    }
}

/// A341 A343: what is due, and is to be told next, is so no more where another takes its place, none
/// does, or the account ends; and it is so still where a call fails.
#[test]
fn what_is_due_is_not_told_of_what_is_gone() {
    const SECOND: u32 = OF + 6;
    type Way = fn(&mut World, Program, u32);
    let ways: [(Way, bool); 4] = [
        (|world, program, of| world.finish(program, tell(1), &[of, OTHER]), false),
        (|world, program, of| world.finish(program, tell(0), &[of, OTHER]), false),
        (|world, program, of| world.finish(program, Request::Destroy {}, &[of]), false),
        (
            |world, program, of| {
                world.fixture.kernel().fail_nth(1, KernelError::IllegalOperation);
                world.ask(program, tell(0), &[of, OTHER]).unwrap_err();
            },
            true,
        ),
    ];
    for (way, stays) in ways {
        let (mut world, program) = scene(AccountOptions::empty());
        world.ask(program, account(LIMITS, AccountOptions::empty(), SECOND), PAYER).unwrap();
        for of in [OF, SECOND] {
            world.ask(program, tell(100), &[of, TOLD]).unwrap();
        }
        assert!(world.objects.next_notice().is_some());
        world.check();
        let rest = {
            way(&mut world, program, OF);
            way(&mut world, program, SECOND);
            world.reap();
            told(&mut world).len()
        };
        assert_eq!(rest, usize::from(stays));
        world.finish(program, Request::Destroy {}, &[TOLD - 1]);
        world.reap();
    }
}

/// A341: the account of a program that another made ends with that program.
#[test]
fn a_programs_own_account_is_told_of_until_it_ends() {
    let (mut world, program) = scene(AccountOptions::empty());
    let before = world.figures();
    let other = world.program(AMPLE);
    let notification = Request::CreateNotification { object: A, slot: B };
    world.ask(other, notification, PAYER).unwrap();
    // Its own, by itself; and it is a capability that it has no other right by.
    let restrict = Request::Restrict { rights: Rights::USE, slot: C };
    world.ask(other, restrict, &[ACCOUNT_SLOT, ACCOUNT_SLOT]).unwrap();
    world.ask(other, tell(u32::MAX), &[C, B]).unwrap();
    world.objects.kill(other.id).unwrap();
    world.reap();
    assert_eq!(told(&mut world), []);
    assert_eq!(world.figures(), before);
    assert!(world.is_empty(program, A));
}

/// A342
#[test]
fn what_is_wrong_is_refused() {
    let (mut world, program) = scene(AccountOptions::empty());
    world.refused(program, tell(9), &[], Refusal::NoCapability { place: 0 });
    world.refused(program, tell(9), &[OF], Refusal::NoCapability { place: 1 });
    world.refused(program, tell(0), &[OF], Refusal::NoCapability { place: 1 });
    world.refused(program, tell(9), &[OF, OF], Refusal::OwnCapability { place: 1 });
    world.refused(program, tell(9), &[TOLD, OF], Refusal::ForeignCapability { place: 0 });
    let found = Kind::Space;
    world.refused(program, tell(9), &[SPACE_SLOT, TOLD], Refusal::WrongKind { place: 0, found });
    let restrict = Request::Restrict { rights: Rights::REVOKE, slot: A };
    world.ask(program, restrict, &[OF, ACCOUNT_SLOT]).unwrap();
    let missing = Rights::USE;
    world.refused(program, tell(9), &[A, TOLD], Refusal::NoRight { place: 0, missing });
    // Whatever is no capability of the service's: who signals waits for nobody.
    world.ask(program, Request::CreateEndpoint { object: B, slot: C }, PAYER).unwrap();
    assert_eq!(world.ask(program, tell(u32::MAX), &[OF, C]), Ok(Answer::Done {}));
    assert!(matches!(told(&mut world)[..], [Cap::Endpoint { .. }]));
}

/// A343: whichever call fails, what was told of before is still, by the same; and then it is done.
#[test]
fn where_a_call_fails_nothing_changes() {
    for (first, amount) in [(None, 30), (Some(TOLD), 30), (Some(TOLD), 0)] {
        let mut failed = 0;
        for nth in 1.. {
            let (mut world, program) = scene(AccountOptions::empty());
            if let Some(slot) = first {
                world.ask(program, tell(20), &[OF, slot]).unwrap();
            }
            world.fixture.kernel().fail_nth(nth, KernelError::IllegalOperation);
            let answer = world.ask(program, tell(amount), &[OF, OTHER]);
            let done = world.fixture.kernel().disarm();
            if !done {
                failed += 1;
                assert_eq!(answer, Err(Refusal::Internal {}), "call {nth}");
                // More than 20 are left, and then 15.
                world.ask(program, memory(15, A), &[OF]).unwrap();
                assert_eq!(told(&mut world), []);
                world.ask(program, memory(8, B), &[OF]).unwrap();
                let kept = first.map(|slot| own(&world, program, slot));
                assert_eq!(told(&mut world), kept.into_iter().collect::<Vec<_>>());
                world.ask(program, tell(amount), &[OF, OTHER]).unwrap();
                let bell = (amount != 0).then(|| own(&world, program, OTHER));
                assert_eq!(told(&mut world), bell.into_iter().collect::<Vec<_>>());
            } else {
                assert_eq!(answer, Ok(Answer::Done {}));
            }
            world.finish(program, Request::Destroy {}, &[OF]);
            world.reap();
            if done {
                break;
            }
        }
        assert!(failed > 0 || first.is_none(), "no call was made to fail");
    }
}

/// A343: it takes a slot, which may not be there; another in its place takes nothing.
#[test]
fn want_keeps_nobody_from_being_told() {
    type Load = fn(&mut Fixture<'static>, usize) -> Ballast;
    let loads: [Load; 3] = [
        |f, n| Ballast::of_memory(f, n),
        |f, n| Ballast::of_slots(f, n),
        |f, n| Ballast::of_nodes(f, n),
    ];
    let mut refused = 0;
    for (load, left) in loads.iter().flat_map(|load| [0, 1, 2].map(|left| (load, left))) {
        let (mut world, program) = scene(AccountOptions::empty());
        world.ask(program, memory(15, A), &[OF]).unwrap();
        let ballast = load(&mut world.fixture, left);
        let first = world.ask(program, tell(30), &[OF, TOLD]);
        let bell = own(&world, program, TOLD);
        if first.is_err() {
            assert_eq!(first, Err(Refusal::OutOfMemory {}));
            assert_eq!(told(&mut world), []);
            refused += 1;
        } else {
            assert_eq!(told(&mut world), [bell]);
        }
        ballast.drop(&mut world.fixture);
        world.ask(program, tell(30), &[OF, TOLD]).unwrap();
        told(&mut world);
        let ballast = load(&mut world.fixture, 0);
        assert_eq!(world.ask(program, tell(30), &[OF, OTHER]), Ok(Answer::Done {}));
        let bell = own(&world, program, OTHER);
        assert_eq!(told(&mut world), [bell]);
        assert_eq!(world.ask(program, tell(0), &[OF, OTHER]), Ok(Answer::Done {}));
        ballast.drop(&mut world.fixture);
    }
    assert!(refused > 0, "nothing was short");
}

/// A340: after any history each of several accounts is told of just when a plain count says so.
#[test]
fn any_history_tells_what_is_so() {
    const ACCOUNTS: u32 = 3;
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let mut below = |most: u32| random.below(most as usize) as u32;
    let mut rung = 0;
    for _ in 0..6 {
        let (mut world, program) = scene(AccountOptions::empty());
        // The second takes from the first without a guarantee, the third has one of it.
        let small = Amounts([15, 3, 20, 1, 1, 6, 12, 0]);
        world.ask(program, account(LIMITS, AccountOptions::OVERCOMMIT, OF + 1), &[OF]).unwrap_err();
        let overcommit = AccountOptions::OVERCOMMIT;
        world.ask(program, account(LIMITS, overcommit, OF + 6), &[OF]).unwrap();
        world.ask(program, account(small, AccountOptions::empty(), OF + 7), &[OF]).unwrap();
        let slots = [OF, OF + 6, OF + 7];
        let mut armed: [Option<(Resource, u32)>; ACCOUNTS as usize] = [None; 3];
        for _ in 0..150 {
            let which = below(ACCOUNTS) as usize;
            let slot = A + below(6);
            let mut asked = None;
            let (request, caps) = match below(6) {
                0 | 1 => (memory(1 + below(6), slot), vec![slots[which]]),
                2 => (Request::Destroy {}, vec![slot]),
                3 => {
                    let amounts = only(Resource::Pages, below(5));
                    (Request::Give { amounts, back: below(2) == 0 }, vec![OF, slots[which]])
                }
                4 => (Request::CreateSpace { slot }, vec![slots[which]]),
                _ => {
                    let resource = [Resource::Pages, Resource::Spaces, Resource::Nodes];
                    let (resource, amount) = (resource[below(3) as usize], below(30));
                    asked = (amount != 0).then_some((resource, amount));
                    armed[which] = asked;
                    let bell = if which == 1 { OTHER } else { TOLD };
                    (Request::TellAccount { resource, amount }, vec![slots[which], bell])
                }
            };
            let answer = world.ask(program, request, &caps);
            assert!(asked.is_none() || answer == Ok(Answer::Done {}), "{request:?}: {answer:?}");
            world.reap();
            let mut wanted = Vec::new();
            for (armed, slot) in armed.iter_mut().zip(slots) {
                let left = left(&mut world, program, slot);
                if armed.is_some_and(|(resource, amount)| left.of(resource) < amount) {
                    *armed = None;
                    let bell = if slot == slots[1] { OTHER } else { TOLD };
                    wanted.push(format!("{:?}", own(&world, program, bell)));
                }
            }
            let mut found: Vec<String> =
                told(&mut world).iter().map(|cap| format!("{cap:?}")).collect();
            rung += found.len();
            found.sort();
            wanted.sort();
            assert_eq!(found, wanted, "{request:?}");
        }
    }
    assert!(rung > 30, "{rung} were told");
}
