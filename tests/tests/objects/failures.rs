// SPDX-License-Identifier: BSD-2-Clause
//! Each kernel call of each request fails in its turn.

use vmm::{Access, KernelError};
use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, AccountOptions, Amounts, Answer, MemoryOptions, Name, ProgramOptions, Refusal,
    Request, Resource, Rights, SPACE_SLOT,
};

use crate::support::Target;
use crate::world::{A, AMPLE, B, C, D, PAGE, Program, World, account};

const ERRORS: [KernelError; 2] = [KernelError::IllegalOperation, KernelError::NotEnoughMemory];

/// Asks with the `nth` kernel call failing. Says what was answered, and whether a call failed.
fn ask_failing(
    world: &mut World,
    program: Program,
    (request, slots): (Request, &[u32]),
    (nth, error): (usize, KernelError),
) -> (Result<Answer, Refusal>, bool) {
    world.fixture.kernel().fail_nth(nth, error);
    let answer = world.ask(program, request, slots);
    let failed = !world.fixture.kernel().disarm();
    (answer, failed)
}

/// Requests that make something, in a world as [`with_memory`] makes it, and the slots of their
/// capabilities.
pub fn making() -> Vec<(Request, &'static [u32])> {
    let device = World::new().fixture.machine.device();
    let physical = |cached: MemoryOptions| {
        let options = MemoryOptions::WRITABLE | cached;
        (Request::CreatePhysical { address: device, pages: 3, options, slot: B }, PAYER)
    };
    let small = Amounts([30, 6, 40, 2, 2, 8, 20, 0]);
    let options = MemoryOptions::WRITABLE;
    let rights = Rights::READ;
    vec![
        physical(MemoryOptions::empty()),
        physical(MemoryOptions::UNCACHED),
        physical(MemoryOptions::WRITE_COMBINING),
        physical(MemoryOptions::WRITE_THROUGH),
        (
            Request::Map { address: 0, first: 0, pages: 3, rights },
            &[SPACE_SLOT, DEVICE, ACCOUNT_SLOT],
        ),
        (Request::Restrict { rights, slot: B }, FROM),
        (account(small, AccountOptions::empty(), B), PAYER),
        (account(small, AccountOptions::OVERCOMMIT, B), PAYER),
        (Request::CreateMemory { pages: 5, options, slot: B }, PAYER),
        (Request::CreateMemory { pages: 1024, options: LARGE, slot: B }, PAYER),
        (
            Request::Map { address: 0, first: 0, pages: 1024, rights },
            &[SPACE_SLOT, BULK, ACCOUNT_SLOT],
        ),
        (Request::Clone { slot: B }, FROM),
        (Request::Resize { pages: 9 }, FROM),
        (Request::CreateSpace { slot: B }, PAYER),
        (
            Request::Reserve { address: 0, pages: 9, ceiling: rights, slot: B },
            &[SPACE_SLOT, ACCOUNT_SLOT],
        ),
        (Request::Map { address: 0, first: 0, pages: 3, rights }, &[SPACE_SLOT, A, ACCOUNT_SLOT]),
        (Request::CreateEndpoint { object: B, slot: C }, PAYER),
        (Request::CreateNotification { object: B, slot: C }, PAYER),
        (program(small.with(Resource::Objects, 4)), PAYER),
        (Request::CreatePaged { pages: 4, most: 2, slot: B }, PAYER),
        (crate::threads::thread(B), PAYER),
    ]
}

/// A program in slot B, its space in C.
fn program(amounts: Amounts) -> Request {
    let (options, name) = (ProgramOptions::SUSPEND_AT_FAULT, Name::new("child"));
    Request::CreateProgram { amounts, options, name, slot: B, space: C, account: 0 }
}

/// A slot behind those that have names.
pub const DEVICE: u32 = D + 1;
/// A slot with memory of a large page.
pub const BULK: u32 = D + 2;
const LARGE: MemoryOptions = MemoryOptions::LARGE.union(MemoryOptions::WRITABLE);
const PAYER: &[u32] = &[ACCOUNT_SLOT];
const FROM: &[u32] = &[A, ACCOUNT_SLOT];

/// A world with a program that has memory of four pages, one of them there, mapped nowhere; in slot
/// [`DEVICE`] such of a device, uncached, behind what others are made of; and in slot [`BULK`] a
/// large page, of two.
pub fn with_memory(amounts: Amounts) -> (World, Program) {
    let all = Amounts([3000, 1000, 20_000, 500, 200, 4000, 10_000, 2]);
    let mut world = World::of(Target::Ia32, all);
    let program = world.driver(amounts.with(Resource::LargePages, 2));
    let bulk = Request::CreateMemory { pages: 1024, options: LARGE, slot: BULK };
    assert_eq!(world.ask(program, bulk, PAYER), Ok(Answer::Done {}));
    // Its threads may have a priority.
    world.objects.note_started(&program.start, 90);
    world.memory(program, 4, A);
    let start = world.map(program, A, 4, Rights::READ_WRITE);
    assert!(world.touch(program, start + PAGE, Access::Write));
    world.finish(program, Request::Unmap { address: start }, &[SPACE_SLOT]);
    let (address, pages) = (world.fixture.machine.device() + 8 * PAGE, 3);
    let options = MemoryOptions::UNCACHED | MemoryOptions::WRITABLE;
    let uncached = Request::CreatePhysical { address, pages, options, slot: DEVICE };
    assert_eq!(world.ask(program, uncached, PAYER), Ok(Answer::Done {}));
    (world, program)
}

/// A154: a request that makes something leaves all as it was, whichever call of it fails, and then
/// succeeds.
#[test]
fn what_is_not_made_leaves_nothing() {
    for (request, slots) in making() {
        for error in ERRORS {
            let (mut world, program) = with_memory(AMPLE);
            // Records that are left over from the first round are there in all others.
            let mut before = None;
            for nth in 1.. {
                let asked = ask_failing(&mut world, program, (request, slots), (nth, error));
                let refusal = match asked {
                    (Err(refusal), true) => refusal,
                    (Ok(_), false) => {
                        println!("{}: {} calls", request.name(), nth - 1);
                        assert!(
                            nth > 2
                                || matches!(request, Request::Map { .. } | Request::Resize { .. })
                        );
                        break;
                    }
                    // The failure was made up for.
                    (Ok(_), true) => panic!("{request:?}: call {nth} failed, and it was granted"),
                    other => panic!("{request:?}: {other:?}"),
                };
                let own = matches!(refusal, Refusal::OutOfMemory {} | Refusal::Internal {});
                assert!(own, "{request:?}: {refusal:?} is the sender's fault");
                world.reap();
                for slot in [B, C] {
                    assert!(world.is_empty(program, slot), "{request:?}: slot {slot}, call {nth}");
                }
                let after = (world.figures(), world.used(program, ACCOUNT_SLOT));
                assert_eq!(before.get_or_insert(after.clone()), &after, "{request:?}, call {nth}");
            }
            // What was there holds what it held.
            let start = world.map(program, A, 4, Rights::READ);
            assert!(world.touch(program, start + PAGE, Access::Read));
        }
    }
}

/// A155: a request that ends something, or brings pages, goes on where it was when it is made
/// again, whichever call of it failed.
#[test]
fn what_is_not_ended_is_ended_later() {
    let mut unfinished = 0;
    for error in ERRORS {
        for kind in 0..4 {
            for nth in 1.. {
                let (mut world, program) = World::one();
                let before = (world.used(program, ACCOUNT_SLOT), world.objects.counts());
                world.memory(program, 4, A);
                let slots = [A, ACCOUNT_SLOT];
                let restrict = Request::Restrict { rights: Rights::READ, slot: B };
                world.ask(program, restrict, &slots).unwrap();
                let address = world.map(program, B, 4, Rights::READ);
                assert!(kind == 3 || world.touch(program, address, Access::Read));
                let (request, slots) = match kind {
                    0 => (Request::Revoke { slot: C }, [A]),
                    1 => (Request::Unmap { address }, [SPACE_SLOT]),
                    2 => (Request::Destroy {}, [A]),
                    _ => (Request::Populate { address, pages: 4 }, [SPACE_SLOT]),
                };
                if kind == 2 {
                    world.finish(program, Request::Unmap { address }, &[SPACE_SLOT]);
                }
                let asked = ask_failing(&mut world, program, (request, &slots), (nth, error));
                if kind == 0 && asked.0 == Ok(Answer::More {}) {
                    // It is said that it is not done, and it is gone on with by whoever asks again;
                    // or by the service itself.
                    assert!(asked.1, "{request:?}: what is left of it?");
                    if !world.is_empty(program, A) {
                        assert_eq!(world.ask(program, request, &slots), Ok(Answer::Done {}));
                        unfinished += 1;
                    }
                }
                world.reap();
                if let (Err(refusal), failed) = asked {
                    let own = matches!(refusal, Refusal::OutOfMemory {} | Refusal::Internal {});
                    assert!(own && failed, "{request:?}: {refusal:?}");
                    world.ask(program, request, &slots).unwrap();
                }
                world.reap();
                // The rest of it, in whichever slot it is.
                if kind != 2 {
                    if kind == 3 {
                        world.finish(program, Request::Unmap { address }, &[SPACE_SLOT]);
                    }
                    let slot = if kind == 0 { C } else { A };
                    world.finish(program, Request::Destroy {}, &[slot]);
                }
                world.reap();
                for slot in [A, B, C] {
                    assert!(world.is_empty(program, slot), "{request:?}: slot {slot}, call {nth}");
                }
                let after = (world.used(program, ACCOUNT_SLOT), world.objects.counts());
                assert_eq!(after, before, "{request:?}, call {nth}");
                if !asked.1 {
                    println!("{}: {} calls", request.name(), nth - 1);
                    assert!(nth > 2, "no call was made to fail");
                    break;
                }
            }
        }
    }
    assert!(unfinished >= ERRORS.len(), "no revoke was refused at its last call");
}

/// A200: whichever call fails of loading a program, of giving it something, of starting it, it is
/// as before, or gone on with by who asks again; and it ends as it would have.
#[test]
fn a_program_that_is_not_started_is_started_later() {
    const PRIORITY: u8 = 9;
    let grant = Request::Grant { rights: Rights::READ, slot: A };
    let start = Request::Start { argument: 0, stack: 2, priority: PRIORITY.into() };
    let steps: [(Request, &[u32]); 6] = [
        (Request::Load {}, &[B, D]),
        (grant, &[B, D]),
        (Request::GrantKernel { slot: B }, &[B, A + 5]),
        (start, &[B]),
        (Request::TellEnd {}, &[B, A + 5]),
        // In place of the one before, which is deleted.
        (Request::TellEnd {}, &[B, A + 5]),
    ];
    for (at, failing) in steps.iter().enumerate() {
        for error in ERRORS {
            for nth in 1.. {
                let (mut world, maker) = World::one();
                world.objects.note_started(&maker.start, PRIORITY);
                world.store(maker, D, &crate::elf::small());
                let notification = Request::CreateNotification { object: A + 4, slot: A + 5 };
                world.ask(maker, notification, PAYER).unwrap();
                let before = (world.used(maker, ACCOUNT_SLOT), world.objects.counts());
                let amounts = Amounts([60, 30, 150, 8, 3, 20, 40, 0]);
                world.ask(maker, program(amounts), PAYER).unwrap();
                for &(request, slots) in &steps[..at] {
                    world.finish(maker, request, slots);
                }
                let (answer, failed) = ask_failing(&mut world, maker, *failing, (nth, error));
                match answer {
                    Ok(answer) => {
                        assert!(!failed, "{failing:?}: call {nth} failed, and it was granted");
                        assert_eq!(answer, Answer::Done {});
                    }
                    Err(Refusal::OutOfMemory {} | Refusal::Internal {}) if failed => {
                        world.finish(maker, failing.0, failing.1);
                    }
                    Err(other) => panic!("{failing:?}, call {nth}: {other:?}"),
                }
                for &(request, slots) in &steps[at + 1..] {
                    world.finish(maker, request, slots);
                }
                world.finish(maker, Request::Destroy {}, &[B]);
                world.reap();
                let after = (world.used(maker, ACCOUNT_SLOT), world.objects.counts());
                assert_eq!(after, before, "{failing:?}, call {nth}");
                if !failed {
                    println!("{}: {} calls", failing.0.name(), nth - 1);
                    assert!(nth > 1 || at == 4, "no call was made to fail");
                    break;
                }
            }
        }
    }
}
