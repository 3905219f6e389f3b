// SPDX-License-Identifier: BSD-2-Clause
//! Further threads of a program: A34, A35.

use untyped_alloc::kernel::CapPath;
use vmm::Quota;
use vmm_service::protocol::{
    Answer, CNODE_BITS, FAULT_SLOT, FIRST_FREE_SLOT, MAX_PAGES, MAX_THREADS, Malformed, NewThread,
    Refusal, Request, Resource, SERVICE_SLOT,
};
use vmm_service::{ClientId, Event, Start};

use crate::programs::{bytes, elf, load, program};
use crate::world::{AMPLE, World};

const STACK: u32 = 2;

fn thread(slot: u32) -> Request {
    Request::Thread(NewThread { entry: 0x40_0020, argument: 5, stack_pages: STACK, slot })
}

/// Makes a thread; returns what a server is to start.
fn made(world: &mut World, client: ClientId, slot: u32) -> Start {
    let message = thread(slot).encode();
    let outcome = world.send(client.badge(), message.label(), message.words(), 0);
    world.fixture.check();
    let Some(Event::Thread { client: whose, start, argument: 5 }) = outcome.event else {
        panic!("{outcome:?}");
    };
    let answer = outcome.answer.map(|answer| Answer::parse(answer.label(), answer.words()));
    assert_eq!(answer, Some(Ok(Ok(Answer::Address(start.ipc_buffer)))));
    assert_eq!(whose, client);
    start
}

fn used(world: &mut World, client: ClientId) -> (u32, u32) {
    match world.ask(client, Request::Limits) {
        Ok(Answer::Limits(limits)) => (limits.used.frames, limits.used.objects),
        other => panic!("{other:?}"),
    }
}

fn end(world: &mut World, client: ClientId, start: &Start) -> Result<Answer, Refusal> {
    world.ask(client, Request::EndThread { thread: start.ipc_buffer, own: false })
}

/// A34.
#[test]
fn a_thread_has_a_stack_a_buffer_and_faults_of_its_own_and_counts() {
    let mut world = World::new();
    let before = world.free_bytes();
    let client = world.client(AMPLE, None);
    let first = load(&mut world, client, &program()).unwrap();
    let had = used(&mut world, client);
    let start = made(&mut world, client, 5);
    assert_eq!(used(&mut world, client), (had.0 + STACK + 1, had.1 + 1));
    assert_eq!((start.entry, start.thread_pointer), (0x40_0020, 0));
    assert!(start.stack_top != first.stack_top && start.ipc_buffer != first.ipc_buffer);
    let tcb = world.fixture.kernel().tcb(start.tcb).unwrap();
    assert_eq!((tcb.fault_endpoint, tcb.ipc_buffer), (5, start.ipc_buffer));
    assert!(world.touch(client, start.stack_top - 4, 1));
    assert!(world.touch(client, start.stack_top - 2 * 4096, 1));
    assert!(!world.touch(client, start.stack_top, 1), "no guard");
    assert!(!world.touch(client, start.stack_top - 3 * 4096, 1), "no guard");
    assert!(world.touch(client, start.ipc_buffer, 1));
    // It goes with the thread.
    let buffer = Request::ReleaseIpcBuffer { address: start.ipc_buffer };
    assert_eq!(world.ask(client, buffer), Err(Refusal::WrongKind));
    assert_eq!(end(&mut world, client, &start), Ok(Answer::Done));
    assert_eq!(used(&mut world, client), had);
    assert_eq!(end(&mut world, client, &start), Err(Refusal::NoSuchThread));
    // Its slot is free again.
    made(&mut world, client, 5);
    world.service.kill(client).unwrap();
    world.work();
    assert_eq!(world.free_bytes(), before);
}

#[test]
fn a_thread_that_ends_itself_is_not_answered() {
    let mut world = World::new();
    let client = world.client(AMPLE, None);
    load(&mut world, client, &program()).unwrap();
    let start = made(&mut world, client, 5);
    let message = Request::EndThread { thread: start.ipc_buffer, own: true }.encode();
    let outcome = world.send(client.badge(), message.label(), message.words(), 0);
    assert!(outcome.answer.is_none());
    assert_eq!(outcome.event, Some(Event::ThreadEnded(client)));
}

#[test]
fn a_thread_that_cannot_be_is_refused() {
    let (mut world, bare, other) = World::two();
    let client = world.client(AMPLE, None);
    let first = load(&mut world, client, &program()).unwrap();
    assert_eq!(world.ask(bare, thread(5)), Err(Refusal::BadSlot), "it has no program");
    for slot in [0, SERVICE_SLOT, FAULT_SLOT, 1 << CNODE_BITS, u32::MAX] {
        assert_eq!(world.ask(client, thread(slot)), Err(Refusal::BadSlot));
    }
    for stack_pages in [0, MAX_PAGES + 1, u32::MAX] {
        let asked = NewThread { entry: 0, argument: 0, stack_pages, slot: 5 };
        let refused = Err(Refusal::Malformed(Malformed::Value));
        assert_eq!(world.ask(client, Request::Thread(asked)), refused);
    }
    for index in 1..MAX_THREADS {
        let start = made(&mut world, client, FIRST_FREE_SLOT + index);
        let taken = world.ask(client, thread(FIRST_FREE_SLOT + index));
        assert_eq!(taken, Err(Refusal::BadSlot));
        assert_eq!(end(&mut world, other, &start), Err(Refusal::NoSuchThread), "another's");
    }
    let refused = Err(Refusal::TooMuch { most: MAX_THREADS });
    assert_eq!(world.ask(client, thread(FIRST_FREE_SLOT)), refused);
    // The first one goes with the program.
    assert_eq!(end(&mut world, client, &first), Err(Refusal::NoSuchThread));
}

#[test]
fn a_thread_beyond_the_limits_leaves_nothing() {
    let mut world = World::new();
    let client = world.client(Quota { objects: 2, ..AMPLE }, None);
    load(&mut world, client, &program()).unwrap();
    let had = used(&mut world, client);
    let refused = world.ask(client, thread(5));
    let resource = Resource::Objects;
    assert_eq!(refused, Err(Refusal::OutOfQuota { resource, limit: 2, used: 2 }));
    assert_eq!(used(&mut world, client), had);
    let client = world.client(Quota { frames: had.0 as usize + 2, ..AMPLE }, None);
    load(&mut world, client, &program()).unwrap();
    let refused = world.ask(client, thread(5));
    assert!(matches!(refused, Err(Refusal::OutOfQuota { resource: Resource::Frames, .. })));
    assert_eq!(used(&mut world, client), had);
}

/// A35, A43.
#[test]
fn each_thread_has_the_programs_thread_local_storage_from_its_start() {
    let mut world = World::new();
    let client = world.client(AMPLE, None);
    let file = elf(&[(1, 0x40_0010, 5000, 5, &[0x90]), (7, 0x40_0010, 6000, 4, b"variables")]);
    let first = load(&mut world, client, &file).unwrap();
    // The thread pointer is two pages above the page of the first variable, which is at 0x10 of it
    // as in the program.
    let block = |start: &Start| start.thread_pointer - 2 * 4096 + 0x10;
    let word = |address: usize| (address as u32).to_le_bytes();
    assert_eq!(bytes(&world, client, block(&first), 10), b"variables\0");
    assert_eq!(bytes(&world, client, first.thread_pointer, 4), word(first.thread_pointer));
    assert!(world.touch(client, block(&first), 3));
    let had = used(&mut world, client);
    for _ in 0..2 {
        let start = made(&mut world, client, 5);
        assert_ne!(start.thread_pointer, first.thread_pointer);
        assert_eq!(bytes(&world, client, block(&start), 10), b"variables\0");
        assert_eq!(bytes(&world, client, block(&start) + 5999, 1), [0]);
        assert_eq!(bytes(&world, client, start.thread_pointer, 4), word(start.thread_pointer));
        assert!(world.touch(client, block(&start), 4));
        end(&mut world, client, &start).unwrap();
        assert_eq!(used(&mut world, client), had);
    }
}

/// The slots of a program's CNode are as they were, whatever became of its threads.
#[test]
fn the_fault_capability_of_a_thread_goes_with_it() {
    let mut world = World::new();
    let client = world.client(AMPLE, None);
    load(&mut world, client, &program()).unwrap();
    let cnode = |world: &World| {
        let kernel = world.fixture.kernel();
        let is_cnode = |at: &usize| {
            let path = CapPath { root: vmm::CPtr::new(*at), index: 5, depth: CNODE_BITS };
            matches!(kernel.cap_at(path), Some(cap) if !cap.is_null())
        };
        (0..8192).filter(is_cnode).count()
    };
    let without = cnode(&world);
    let start = made(&mut world, client, 5);
    assert!(cnode(&world) > without, "nothing is in the slot");
    end(&mut world, client, &start).unwrap();
    assert_eq!(cnode(&world), without);
}
