// SPDX-License-Identifier: BSD-2-Clause
//! Each kernel call fails in its turn of those by which programs, threads and accounts end.

use vmm::{Access, KernelError};
use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, AccountOptions, Amounts, Answer, FaultPolicy, MemoryOptions, PROGRAM_SLOT,
    Refusal, Request, Rights,
};

use crate::children::{CHILD, FILE, IT, ITS_SPACE, PAYER, with_file};
use crate::controls::begin;
use crate::elf::small;
use crate::paging::waits;
use crate::time::sleep;
use crate::world::{D, PAGE, Program, World, account};

const ERRORS: [KernelError; 2] = [KernelError::IllegalOperation, KernelError::NotEnoughMemory];

/// Slots of the maker's: an account, a memory object of it, paged memory, endpoints.
const WALLET: u32 = 30;
const SHARED: u32 = 31;
const PAGED: u32 = 32;
const ENDPOINT: u32 = 33;
/// Slots of the child's.
const THREAD: u32 = 20;
const OWN: u32 = 21;
const CLONE: u32 = 22;
const LESS: u32 = 23;
const MADE: u32 = 24;
const GIVEN: u32 = 26;

/// How a child ends, or a part of it.
#[derive(Clone, Copy, PartialEq, Debug)]
enum End {
    /// It says so itself.
    Exit,
    /// Its maker does.
    Kill,
    Destroy,
    /// Its second thread alone.
    Thread,
    /// The account that pays for what both have mapped.
    Account,
    /// The capability that it has to that is revoked.
    Revoke,
    /// That to the memory for whose page its first thread waits.
    Paged,
}

impl End {
    const ALL: [End; 7] =
        [End::Exit, End::Kill, End::Destroy, End::Thread, End::Account, End::Revoke, End::Paged];

    /// The request, and the slots of the maker's or the child's that it names.
    fn request(self) -> (Request, &'static [u32]) {
        match self {
            End::Exit => (Request::Exit { code: 3 }, &[]),
            End::Kill => (Request::Kill {}, &[IT]),
            End::Destroy => (Request::Destroy {}, &[IT]),
            End::Thread => (Request::EndThread { code: 4, own: false }, &[THREAD]),
            End::Account => (Request::Destroy {}, &[WALLET]),
            End::Revoke => (Request::Revoke { slot: SHARED + 20 }, &[SHARED]),
            End::Paged => (Request::Revoke { slot: PAGED + 20 }, &[PAGED]),
        }
    }
}

/// A world with a maker and its child, which has something of each kind: memory that was written,
/// its clone, restricted capabilities, an endpoint, a second thread; one of both waits for a page,
/// and somebody sleeps by the slot of the other. It was given a kernel object's capability, if it
/// shares one: otherwise its CNode is emptied by its account's end.
fn scene(shares: bool) -> (World, Program, Program) {
    let (mut world, maker) = with_file(&small());
    world.objects.set_time(1);
    let amounts = Amounts([60, 20, 100, 4, 2, 20, 40, 0]);
    let wallet = account(amounts, AccountOptions::empty(), WALLET);
    assert_eq!(world.ask(maker, wallet, PAYER), Ok(Answer::Done {}));
    let options = MemoryOptions::WRITABLE;
    let shared = Request::CreateMemory { pages: 3, options, slot: SHARED };
    assert_eq!(world.ask(maker, shared, &[WALLET]), Ok(Answer::Done {}));
    let paged = Request::CreatePaged { pages: 2, most: 2, slot: PAGED };
    assert_eq!(world.ask(maker, paged, PAYER), Ok(Answer::Done {}));
    let endpoint = Request::CreateEndpoint { object: ENDPOINT, slot: ENDPOINT + 1 };
    assert_eq!(world.ask(maker, endpoint, PAYER), Ok(Answer::Done {}));
    let child = world.child(maker);
    assert_eq!(child.cnode_bits, 9, "{CHILD:?}");
    for (from, to) in [(SHARED, GIVEN), (PAGED, GIVEN + 1)] {
        let grant = Request::Grant { rights: Rights::READ_WRITE, slot: to };
        assert_eq!(world.ask(maker, grant, &[IT, from]), Ok(Answer::Done {}));
    }
    if shares {
        let grant = Request::GrantKernel { slot: GIVEN + 2 };
        assert_eq!(world.ask(maker, grant, &[IT, ENDPOINT + 1]), Ok(Answer::Done {}));
    }
    begin(&mut world, child, THREAD, FaultPolicy::Program);

    world.store(child, OWN, &[7; 3 * PAGE]);
    for (request, slots) in [
        (Request::Clone { slot: CLONE }, [OWN, ACCOUNT_SLOT]),
        (Request::Restrict { rights: Rights::READ, slot: LESS }, [OWN, ACCOUNT_SLOT]),
        (Request::Restrict { rights: Rights::READ, slot: LESS + 10 }, [GIVEN, ACCOUNT_SLOT]),
    ] {
        assert_eq!(world.ask(child, request, &slots), Ok(Answer::Done {}));
    }
    for (slot, access) in [(OWN, Access::Read), (CLONE, Access::Write), (GIVEN, Access::Write)] {
        let start = world.map(child, slot, 3, Rights::READ_WRITE);
        for page in 0..3 {
            assert!(world.touch(child, start + page * PAGE, access));
        }
    }
    let made = Request::CreateEndpoint { object: MADE, slot: MADE + 1 };
    assert_eq!(world.ask(child, made, PAYER), Ok(Answer::Done {}));
    let start = world.map(child, GIVEN + 1, 2, Rights::READ);
    assert!(waits(&mut world, child, start, Access::Read));
    // By the child's capability, so that it is the slot of one of its threads.
    world.copy((child, PROGRAM_SLOT), (maker, D));
    for _ in 0..2 {
        sleep(&mut world, child, 1000).unwrap();
    }
    (world, maker, child)
}

/// Does all that is left, in which calls may fail.
fn reap(world: &mut World, what: (End, usize)) {
    for steps in 0.. {
        assert!(steps < 10_000, "{what:?} does not end");
        let step = world.objects.reap_step(&mut world.fixture.vmm);
        let valid = world.objects.validate(&world.fixture.vmm);
        assert_eq!(valid, Ok(()), "{what:?}: {step:?}");
        while world.objects.next_answer(&mut world.fixture.vmm).is_some() {}
        while world.objects.next_notice().is_some() {}
        if step == Ok(false) {
            return;
        }
    }
}

/// Asks for as long as there is more to do, and has that done in between.
fn finish(world: &mut World, program: Program, request: Request, slots: &[u32]) {
    while world.ask(program, request, slots) == Ok(Answer::More {}) {
        world.reap();
    }
}

/// Ends something, with the `nth` call failing; then all the rest. Returns what is there then, and
/// whether a call failed.
fn end_failing(
    end: End,
    nth: usize,
    error: KernelError,
) -> (impl PartialEq + core::fmt::Debug, bool) {
    let (mut world, maker, child) = scene(end != End::Exit);
    let (request, slots) = end.request();
    world.fixture.kernel().fail_nth(nth, error);
    let what = (end, nth);
    let mut answer = Ok(Answer::More {});
    match end {
        End::Exit => world.tell(child, request),
        End::Thread => answer = world.ask(child, request, slots),
        _ => answer = world.ask(maker, request, slots),
    }
    reap(&mut world, what);
    let failed = !world.fixture.kernel().disarm();
    if let Err(refusal) = answer {
        let own = matches!(refusal, Refusal::OutOfMemory {} | Refusal::Internal {});
        assert!(own && failed, "{what:?}: {refusal:?}");
    }
    // It is made again, or what it did not say to be done.
    let asks = if end == End::Thread { child } else { maker };
    if end != End::Exit && answer != Ok(Answer::Done {}) {
        let slots_left = slots.iter().all(|slot| !world.is_empty(asks, *slot));
        if slots_left {
            finish(&mut world, asks, request, slots);
        }
    }
    world.reap();
    let ended = (world.objects.counts(), world.objects.amounts());
    for slot in [IT, PAGED, PAGED + 20, WALLET, ENDPOINT, FILE, ITS_SPACE] {
        if !world.is_empty(maker, slot) {
            finish(&mut world, maker, Request::Destroy {}, &[slot]);
        }
    }
    world.reap();
    let used = world.used(maker, ACCOUNT_SLOT);
    ((ended, world.figures(), used), failed)
}

/// A277: what ends goes on ending where it was, whichever call of it fails, and in the end all is
/// there again.
#[test]
fn what_ends_has_ended_whichever_call_fails() {
    for end in End::ALL {
        let (whole, failed) = end_failing(end, usize::MAX, ERRORS[0]);
        assert!(!failed);
        for error in ERRORS {
            let mut calls = 0;
            for nth in 1.. {
                let (after, failed) = end_failing(end, nth, error);
                assert_eq!(after, whole, "{end:?}, call {nth}");
                if !failed {
                    break;
                }
                calls = nth;
            }
            println!("{end:?}: {calls} calls");
            assert!(calls >= 3, "{end:?}: {calls} calls");
        }
    }
}
