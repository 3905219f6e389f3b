// SPDX-License-Identifier: BSD-2-Clause
//! Threads that touch memory for which there is none: who waits, in which order, and how it ends.

use vmm::{Access, Backing, Blueprint, CPtr, KernelError, Object, Pages, RegionId, RegionOptions};
use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, AccountOptions, Amounts, Answer, FaultKind, FaultPolicy, MemoryOptions,
    ProgramOptions, Request, Resource, Rights, SPACE_SLOT, State, Supply,
};
use vmm_service::objects::{Fault, Touched};

use crate::children::IT;
use crate::paging::{going_on, supply};
use crate::support::Fixture;
use crate::support::ballast::{Ballast, ENOUGH};
use crate::time::{PAGED, SOURCE, held};
use crate::world::{A, AMPLE, B, C, D, PAGE, Program, World, account};

const LIMITS: Amounts = Amounts([100, 30, 300, 4, 3, 30, 60, 0]);
const WAITS: AccountOptions = AccountOptions::OVERCOMMIT.union(AccountOptions::WAIT);
const PAGES: u32 = 16;
/// The account that waits, a memory object of it, and the kernel's capability to a notification.
const PATIENT: u32 = D + 6;
const MEMORY: u32 = D + 7;
const BELL: u32 = D + 9;

/// A program with an account of these options, and memory of it that is mapped, where; of each its
/// first page is there.
fn begin(world: &mut World, options: AccountOptions) -> (Program, usize) {
    let program = world.program(AMPLE);
    world.ask(program, account(LIMITS, options, PATIENT), &[ACCOUNT_SLOT]).unwrap();
    let create =
        Request::CreateMemory { pages: PAGES, options: MemoryOptions::WRITABLE, slot: MEMORY };
    world.ask(program, create, &[PATIENT]).unwrap();
    let start = map(world, program, ACCOUNT_SLOT);
    assert!(world.touch(program, start, Access::Write));
    (program, start)
}

/// Maps the memory, by this account; returns where.
fn map(world: &mut World, program: Program, payer: u32) -> usize {
    let rights = Rights::READ_WRITE;
    let map = Request::Map { address: 0, first: 0, pages: PAGES, rights };
    match world.ask(program, map, &[SPACE_SLOT, MEMORY, payer]) {
        Ok(Answer::Mapped { address }) => address,
        other => panic!("{other:?}"),
    }
}

/// A world with such programs.
fn scene<const COUNT: usize>(options: AccountOptions) -> (World, [(Program, usize); COUNT]) {
    let mut world = World::new();
    let programs = [(); COUNT].map(|()| begin(&mut world, options));
    (world, programs)
}

/// Pages that are given back one by one, when all other memory is taken: whole blocks, and such that
/// are in a batch with others.
struct Short {
    blocks: Vec<Object>,
    frames: Vec<usize>,
    region: RegionId,
    ballast: Option<Ballast>,
}

impl Short {
    /// With no page left, so many blocks of a page to be given back, and as many frames.
    fn of(world: &mut World, count: usize) -> Short {
        let page = Blueprint::Untyped { size_bits: 12 };
        let vmm = &mut world.fixture.vmm;
        let own = vmm.own_space();
        let blocks = (0..count).map(|_| vmm.allocate(page).unwrap()).collect();
        let lazy = RegionOptions::new(100).backed(Backing::OnDemand { around: 1 });
        let region = vmm.reserve(own, &lazy).unwrap();
        let pages = (0..100).map(|page| region.start().bits() + page * PAGE);
        let mut short = Short { blocks, frames: Vec::new(), region, ballast: None };
        short.frames.extend(pages.clone().take(count));
        vmm.populate(own, Pages::at(region.start().bits()).count(count.max(1))).unwrap();
        short.ballast = Some(Ballast::of_memory(&mut world.fixture, 0));
        // What is left of batches.
        for page in pages.skip(count.max(1)) {
            if world.fixture.vmm.populate(own, Pages::at(page)).is_err() {
                return short;
            }
        }
        panic!("there is memory left")
    }

    /// One page more is free.
    fn give(&mut self, world: &mut World) {
        let vmm = &mut world.fixture.vmm;
        if self.frames.len() < self.blocks.len() {
            let block = self.blocks.pop().expect("another");
            vmm.free(block).unwrap();
        } else {
            let frame = self.frames.pop().expect("another");
            assert_eq!(vmm.decommit_some(vmm.own_space(), Pages::at(frame), 1), Ok(1));
        }
    }

    fn end(mut self, world: &mut World) {
        for block in self.blocks.drain(..) {
            world.fixture.vmm.free(block).unwrap();
        }
        world.fixture.vmm.release(self.region).unwrap();
        self.ballast.take().unwrap().drop(&mut world.fixture);
    }
}

fn touch(world: &mut World, program: Program, address: usize) -> Touched {
    world.touch_or_wait(program, address, Access::Write)
}

#[track_caller]
fn waits(world: &mut World, program: Program, address: usize) {
    assert_eq!(touch(world, program, address), Touched::Waits(program.start.tcb));
}

/// Who goes on after a message.
#[track_caller]
fn resumed(world: &mut World) -> Vec<CPtr> {
    assert!(world.objects.next_answer(&mut world.fixture.vmm).is_none());
    world.check();
    going_on(world)
}

/// The same; how many were tried again.
#[track_caller]
fn tried(world: &mut World) -> (Vec<CPtr>, u64) {
    let before = world.objects.steps();
    assert!(world.objects.next_answer(&mut world.fixture.vmm).is_none());
    let tried = world.objects.steps() - before;
    (resumed(world), tried)
}

fn is_there(world: &World, program: Program, address: usize) -> bool {
    world.fixture.vmm.mapping_at(program.id.space(), address).unwrap().is_some()
}

fn bells(world: &mut World) -> usize {
    std::iter::from_fn(|| world.objects.next_notice()).count()
}

/// A344: a touch for which there is no memory waits, is tried again when some has come back, and
/// not before; then its page is there, zero.
#[test]
fn a_touch_waits_until_memory_comes_back() {
    let (mut world, [(program, start)]) = scene(WAITS);
    let at = start + 5 * PAGE;
    let crumb = world.fixture.vmm.allocate(Blueprint::Untyped { size_bits: 8 }).unwrap();
    let mut short = Short::of(&mut world, 3);
    waits(&mut world, program, at);
    assert_eq!(resumed(&mut world), []);
    let Ok(Answer::Account { used, .. }) = world.ask(program, Request::Info {}, &[PATIENT]) else {
        panic!()
    };
    // A message that somebody makes up meanwhile.
    assert_eq!(touch(&mut world, program, at), Touched::Forged);
    for _ in 0..5 {
        assert_eq!(tried(&mut world), (vec![], 0), "nothing has come back, and nothing is tried");
    }
    // Not enough: it is tried once.
    world.fixture.vmm.free(crumb).unwrap();
    assert_eq!(tried(&mut world), (vec![], 1));
    assert_eq!(tried(&mut world), (vec![], 0));
    assert!(!is_there(&world, program, at));
    short.give(&mut world);
    assert_eq!(resumed(&mut world), [program.start.tcb]);
    assert!(is_there(&world, program, at), "nobody has touched it since");
    assert_eq!(world.fixture.read(program.id.space(), at), 0);
    assert_eq!(resumed(&mut world), [], "it goes on once");
    // It was paid for before.
    let info = world.ask(program, Request::Info {}, &[PATIENT]);
    assert!(matches!(info, Ok(Answer::Account { used: now, .. }) if now == used));
    waits(&mut world, program, start + 6 * PAGE);
    short.end(&mut world);
    assert_eq!(resumed(&mut world), [program.start.tcb]);
}

/// A344: whoever gives it back: another program whose guarantee it was, by an end or a part of it.
#[test]
fn whoever_gives_memory_back_ends_the_wait() {
    type Give = fn(&mut World, Program);
    let gives: [Give; 3] = [
        |world, friend| world.finish(friend, Request::Destroy {}, &[A]),
        |world, friend| world.finish(friend, Request::Resize { pages: 1 }, &[A, ACCOUNT_SLOT]),
        |world, friend| {
            world.objects.kill(friend.id).unwrap();
            // Piece by piece, each of which is followed by this.
            while world.objects.reap_step(&mut world.fixture.vmm).unwrap() {
                if world.objects.next_answer(&mut world.fixture.vmm).is_some() {
                    panic!("nobody waits for an answer");
                }
            }
            let gone = |space: &vmm::SpaceId| world.fixture.vmm.vspace(*space).is_ok();
            world.fixture.spaces.retain(gone);
        },
    ];
    for give in gives {
        let (mut world, [(program, start)]) = scene(WAITS);
        let friend = world.program(AMPLE);
        world.memory(friend, 80, A);
        let there = world.map(friend, A, 80, Rights::READ_WRITE);
        for page in 0..80 {
            assert!(world.touch(friend, there + page * PAGE, Access::Write));
        }
        world.finish(friend, Request::Unmap { address: there }, &[SPACE_SLOT]);
        let short = Short::of(&mut world, 0);
        waits(&mut world, program, start + PAGE);
        assert_eq!(resumed(&mut world), []);
        give(&mut world, friend);
        assert_eq!(resumed(&mut world), [program.start.tcb]);
        assert!(is_there(&world, program, start + PAGE));
        short.end(&mut world);
    }
}

/// A345: in the order in which they came, whatever account each has, and one for each page.
#[test]
fn touches_are_served_in_their_order() {
    let (mut world, programs) = scene::<4>(WAITS);
    let mut short = Short::of(&mut world, 8);
    let order = [2, 0, 3, 1];
    for index in order {
        let (program, start) = programs[index];
        waits(&mut world, program, start + PAGE);
    }
    for (nth, index) in order.into_iter().enumerate() {
        assert_eq!(tried(&mut world), (vec![], 0));
        short.give(&mut world);
        // The next is tried in vain, if there is one, and none behind it.
        let tries = if nth == 3 { 1 } else { 2 };
        assert_eq!(tried(&mut world), (vec![programs[index].0.start.tcb], tries));
    }
    // Several at once.
    for index in order {
        let (program, start) = programs[index];
        waits(&mut world, program, start + 2 * PAGE);
    }
    short.end(&mut world);
    let tcbs = order.map(|index| programs[index].0.start.tcb);
    assert_eq!(resumed(&mut world), tcbs);
}

/// A345: for others it is a fault as ever: of an account that is a guarantee, or that is none and
/// whose maker did not ask for it. The mapping's account counts as well.
#[test]
fn who_did_not_ask_for_it_has_a_fault() {
    let options = [AccountOptions::empty(), AccountOptions::OVERCOMMIT, AccountOptions::WAIT];
    for options in options {
        let (mut world, [(program, start)]) = scene(options);
        // Another mapping of the same, by an account that waits.
        world.ask(program, account(LIMITS, WAITS, A), &[ACCOUNT_SLOT]).unwrap();
        let other = map(&mut world, program, A);
        assert!(world.touch(program, other, Access::Write));
        let mut short = Short::of(&mut world, 1);
        assert_eq!(touch(&mut world, program, start + PAGE), Touched::Fault, "{options:?}");
        assert_eq!(resumed(&mut world), []);
        waits(&mut world, program, other + PAGE);
        short.give(&mut world);
        assert_eq!(resumed(&mut world), [program.start.tcb]);
        short.end(&mut world);
    }
}

/// A345: a guarantee's touches find what is there before those that wait, which take nothing from
/// under a guarantee.
#[test]
fn a_guarantee_does_not_wait_behind_them() {
    let (mut world, [(program, start)]) = scene(WAITS);
    let (own, there) = begin(&mut world, AccountOptions::empty());
    let mut short = Short::of(&mut world, 2);
    waits(&mut world, program, start + PAGE);
    // Of a frame that was free, and of a block: then fewer frames are free than when it began.
    for page in 1..3 {
        short.give(&mut world);
        assert_eq!(touch(&mut world, own, there + page * PAGE), Touched::Done);
        assert_eq!(resumed(&mut world), []);
    }
    short.give(&mut world);
    assert_eq!(resumed(&mut world), [program.start.tcb]);
    short.end(&mut world);
}

/// A346: it is told to the notification of the account that pays, each time that one begins to wait,
/// whatever threshold was said and was told.
#[test]
fn that_a_thread_waits_is_told() {
    let (mut world, [(program, start), (other, there)]) = scene(WAITS);
    let notification = Request::CreateNotification { object: BELL - 1, slot: BELL };
    world.ask(program, notification, &[ACCOUNT_SLOT]).unwrap();
    let tell = Request::TellAccount { resource: Resource::Pages, amount: 1 };
    world.ask(program, tell, &[PATIENT, BELL]).unwrap();
    let mut short = Short::of(&mut world, 3);
    assert_eq!(bells(&mut world), 0);
    waits(&mut world, other, there + PAGE);
    assert_eq!(bells(&mut world), 0, "it is another's account");
    for page in 1..3 {
        waits(&mut world, program, start + page * PAGE);
        assert_eq!(touch(&mut world, program, start + page * PAGE), Touched::Forged);
        assert_eq!(bells(&mut world), 1);
        if page == 1 {
            short.give(&mut world);
            assert_eq!(resumed(&mut world), [other.start.tcb], "it came first");
        }
        short.give(&mut world);
        assert_eq!(resumed(&mut world), [program.start.tcb]);
        assert_eq!(bells(&mut world), 0);
    }
    // Nothing is told any more.
    let nothing = Request::TellAccount { resource: Resource::Pages, amount: 0 };
    world.ask(program, nothing, &[PATIENT, BELL]).unwrap();
    waits(&mut world, program, start + 5 * PAGE);
    assert_eq!(bells(&mut world), 0);
    short.end(&mut world);
}

/// A347: whatever ends what it waits for lets it go on, to find out; and nobody is left waiting.
#[test]
fn it_ends_with_what_it_waits_for() {
    type End = fn(&mut World, Program, usize);
    let ends: [(&str, End); 6] = [
        ("mapping", |world, program, address| {
            world.finish(program, Request::Unmap { address }, &[SPACE_SLOT]);
        }),
        ("part", |world, program, address| {
            let part = Request::UnmapPart { address: address + PAGE, pages: 2 };
            world.ask(program, part, &[SPACE_SLOT]).unwrap();
        }),
        ("account", |world, program, _| {
            world.finish(program, Request::Destroy {}, &[PATIENT]);
        }),
        ("guarantee above it", |world, program, address| {
            // Of another mapping, by an account two below the one that ends.
            world.finish(program, Request::Destroy {}, &[A]);
            world.reap();
            world.finish(program, Request::Unmap { address }, &[SPACE_SLOT]);
        }),
        ("revoked", |world, program, _| {
            world.finish(program, Request::Revoke { slot: 0 }, &[MEMORY]);
        }),
        ("moved", |world, program, address| {
            let rights = Rights::READ_WRITE;
            let to = 0x3000_0000;
            let part = Request::Move { address: address + PAGE, pages: 1, to, rights };
            let moved = world.ask(program, part, &[SPACE_SLOT]);
            assert_eq!(moved, Ok(Answer::Mapped { address: to }));
        }),
    ];
    for (what, end) in ends {
        let (mut world, [(program, start)]) = scene(WAITS);
        let small = Amounts([30, 10, 60, 2, 2, 10, 30, 0]);
        world.ask(program, account(small, AccountOptions::empty(), A), &[ACCOUNT_SLOT]).unwrap();
        world.ask(program, account(small, WAITS, B), &[A]).unwrap();
        let other = map(&mut world, program, B);
        let at = if what == "guarantee above it" { other } else { start };
        assert!(world.touch(program, at, Access::Read));
        let short = Short::of(&mut world, 0);
        waits(&mut world, program, at + PAGE);
        // It needs no memory.
        end(&mut world, program, start);
        world.reap();
        assert_eq!(resumed(&mut world), [program.start.tcb], "{what}");
        assert_eq!(touch(&mut world, program, at + PAGE), Touched::Fault, "{what}");
        short.end(&mut world);
        assert_eq!(resumed(&mut world), []);
    }
}

/// A347: of a program or a thread that ends nothing is left.
#[test]
fn who_waits_can_be_ended() {
    let (mut world, [(program, start), (other, there)]) = scene(WAITS);
    let before = world.objects.counts();
    let short = Short::of(&mut world, 0);
    waits(&mut world, program, start + PAGE);
    waits(&mut world, other, there + PAGE);
    world.objects.kill(program.id).unwrap();
    world.reap();
    // What it had is enough for the other.
    assert_eq!(resumed(&mut world), [other.start.tcb]);
    assert!(world.objects.counts()[3] < before[3]);
    short.end(&mut world);
    assert_eq!(resumed(&mut world), []);
    // A thread alone.
    let (mut world, [(program, start)]) = scene(WAITS);
    world.objects.note_started(&program.start, 100);
    let started = crate::controls::begin(&mut world, program, A, FaultPolicy::Program);
    let short = Short::of(&mut world, 0);
    let id = crate::controls::id_of(&world, &started);
    assert_eq!(touch_by(&mut world, program, id, start + PAGE), Ok(Touched::Waits(started.tcb)));
    world.ask(program, Request::EndThread { code: 1, own: false }, &[A]).unwrap();
    world.reap();
    assert_eq!(resumed(&mut world), []);
    short.end(&mut world);
    assert_eq!(resumed(&mut world), []);
}

/// A touch by one of several threads.
fn touch_by(
    world: &mut World,
    program: Program,
    thread: vmm::ThreadId,
    address: usize,
) -> vmm::Result<Touched> {
    let space = program.id.space();
    let fault = vmm::PageFault { address, access: Access::Write, present: false, ip: 0 };
    world.objects.note_fault(Some(space), Some(thread));
    let vmm = &mut world.fixture.vmm;
    let Ok(vmm::Resolution::AskPager { token, page }) = vmm.resolve_fault(space, &fault) else {
        panic!("it is of a mapping")
    };
    let touched = world.objects.touch(vmm, (token, page), true);
    world.check();
    touched
}

/// A program that another holds, and has memory of the other's account that waits; where.
fn child(options: ProgramOptions) -> (World, Program, Program, usize) {
    let (mut world, maker, child, _) = held(options);
    world.ask(maker, account(LIMITS, WAITS, PATIENT), &[ACCOUNT_SLOT]).unwrap();
    let create =
        Request::CreateMemory { pages: PAGES, options: MemoryOptions::WRITABLE, slot: MEMORY };
    world.ask(maker, create, &[PATIENT]).unwrap();
    world.copy((maker, MEMORY), (child, MEMORY));
    let start = map(&mut world, child, ACCOUNT_SLOT);
    assert!(world.touch(child, start, Access::Write));
    (world, maker, child, start)
}

/// A348: for as long as its holder lets it; then it is a fault, which its policy is asked about, and
/// who goes on waits as long once more. Memory that comes between is no fault.
#[test]
fn who_waits_for_too_long_has_a_fault() {
    let (mut world, maker, child, start) = child(ProgramOptions::SUSPEND_AT_FAULT);
    let at = start + PAGE;
    world.objects.set_time(100);
    let mut short = Short::of(&mut world, 2);
    waits(&mut world, child, at);
    assert_eq!(world.state(maker), State::Waiting);
    assert_eq!(world.objects.next_deadline(), None);
    // For those, too, who wait already.
    world.ask(maker, Request::LimitWaits { ms: 5 }, &[IT]).unwrap();
    let deadline = world.objects.next_deadline().expect("it waits for 5 ms");
    world.objects.set_time(deadline - 1);
    assert_eq!(resumed(&mut world), []);
    let late = |world: &mut World, deadline| {
        world.objects.set_time(deadline);
        assert_eq!(resumed(world), [child.start.tcb]);
        assert_eq!(touch(world, child, at), Touched::Fault);
        let fault = Fault { kind: FaultKind::Write, code: 0, address: at, instruction: 0x40_0004 };
        assert!(!world.objects.note_unresolved(child.id, fault), "it is suspended");
        assert_eq!(world.state(maker), State::TimedOut);
        world.ask(maker, Request::Resume {}, &[IT]).unwrap();
    };
    late(&mut world, deadline);
    waits(&mut world, child, at);
    let deadline = world.objects.next_deadline().expect("as long once more");
    late(&mut world, deadline);
    // Between the end of the wait and the touch.
    waits(&mut world, child, at);
    let deadline = world.objects.next_deadline().unwrap();
    world.objects.set_time(deadline);
    assert_eq!(resumed(&mut world), [child.start.tcb]);
    short.give(&mut world);
    assert_eq!(touch(&mut world, child, at), Touched::Done);
    // The same page, once it is gone, is waited for anew.
    short.end(&mut world);
    world.finish(child, Request::Unmap { address: start }, &[SPACE_SLOT]);
    for pages in [1, PAGES] {
        world.finish(maker, Request::Resize { pages }, &[MEMORY, PATIENT]);
    }
    let start = map(&mut world, child, ACCOUNT_SLOT);
    assert!(world.touch(child, start, Access::Write));
    let short = Short::of(&mut world, 0);
    waits(&mut world, child, start + PAGE);
    world.objects.stop_time();
    assert_eq!(world.objects.next_deadline(), None);
    assert_eq!(resumed(&mut world), [], "without a clock it waits for as long as it takes");
    short.end(&mut world);
    assert_eq!(resumed(&mut world), [child.start.tcb]);
}

/// A348: one that waits counts as stopped where its program is suspended; it goes on when there is
/// memory, to where nothing is, and its page is there when it is resumed.
#[test]
fn who_waits_can_be_suspended() {
    let (mut world, maker, child, start) = child(ProgramOptions::empty());
    let mut short = Short::of(&mut world, 1);
    waits(&mut world, child, start + PAGE);
    world.ask(maker, Request::SuspendProgram {}, &[IT]).unwrap();
    assert_eq!(world.state(maker), State::Suspended);
    short.give(&mut world);
    assert_eq!(resumed(&mut world), [child.start.tcb]);
    assert!(is_there(&world, child, start + PAGE));
    world.ask(maker, Request::Resume {}, &[IT]).unwrap();
    assert_eq!(world.touch_or_wait(child, start + PAGE, Access::Write), Touched::Done);
    short.end(&mut world);
}

/// A344: so do touches of pages that a clone has as well, of the origin and of the clone: those are
/// copied when they are mapped.
#[test]
fn copies_wait_too() {
    for of_clone in [false, true] {
        let (mut world, [(program, start)]) = scene(WAITS);
        for page in 0..PAGES as usize {
            assert!(world.touch(program, start + page * PAGE, Access::Write));
            world.fixture.write(program.id.space(), start + page * PAGE, 0x77 + page as u64);
        }
        // Not what is mapped.
        world.finish(program, Request::Unmap { address: start }, &[SPACE_SLOT]);
        let clone = Request::Clone { slot: A };
        assert_eq!(world.ask(program, clone, &[MEMORY, PATIENT]), Ok(Answer::Done {}));
        let rights = Rights::READ_WRITE;
        let clone = Request::Map { address: 0, first: 0, pages: PAGES, rights };
        let mapped = world.ask(program, clone, &[SPACE_SLOT, A, ACCOUNT_SLOT]);
        let Ok(Answer::Mapped { address }) = mapped else { panic!("{mapped:?}") };
        let origin = map(&mut world, program, ACCOUNT_SLOT);
        let start = if of_clone { address } else { origin };
        assert!(world.touch(program, start, Access::Read), "its tables");
        let short = Short::of(&mut world, 0);
        let waits = |world: &mut World, page| {
            touch(world, program, start + page * PAGE) == Touched::Waits(program.start.tcb)
        };
        let page = (0..PAGES as usize).find(|&page| waits(&mut world, page));
        let page = page.expect("no copy takes memory");
        assert_eq!(resumed(&mut world), []);
        short.end(&mut world);
        assert_eq!(resumed(&mut world), [program.start.tcb]);
        assert_eq!(touch(&mut world, program, start + page * PAGE), Touched::Done);
        let held = world.fixture.read(program.id.space(), start + page * PAGE);
        assert_eq!(held, 0x77 + page as u64);
        world.fixture.write(program.id.space(), start + page * PAGE, 1);
        let other = if of_clone { MEMORY } else { A };
        let read = Request::Read { offset: page * PAGE, bytes: 1 };
        let piece = world.ask(program, read, &[other]);
        let Ok(Answer::Piece { piece }) = piece else { panic!("{piece:?}") };
        assert_eq!(piece.bytes(), [0x77 + page as u8]);
    }
}

/// A344: of private mappings, whose pages their pager has supplied.
#[test]
fn private_copies_wait_too() {
    let (mut world, maker, child, _) = held(ProgramOptions::empty());
    world.copy((maker, PAGED), (child, MEMORY));
    world
        .ask(child, account(Amounts([20, 10, 40, 1, 1, 4, 10, 0]), WAITS, A), &[ACCOUNT_SLOT])
        .unwrap();
    let map = Request::MapPrivate { address: 0, first: 0, pages: 4, rights: Rights::READ_WRITE };
    let mapped = world.ask(child, map, &[SPACE_SLOT, MEMORY, A]);
    let Ok(Answer::Mapped { address }) = mapped else { panic!("{mapped:?}") };
    let given = supply(0, 2, 0, Supply::Copy, false);
    world.ask(maker, given, &[PAGED, SOURCE]).unwrap();
    assert!(world.touch(child, address, Access::Read));
    let mut short = Short::of(&mut world, 3);
    waits(&mut world, child, address);
    let next = world.ask(maker, Request::NextFault { wait: 0 }, &[PAGED]);
    assert!(matches!(next, Ok(Answer::Wanted { waits: false, .. })), "no pager can help");
    // Nor does it end by what the pager says.
    world.ask(maker, Request::Refuse { page: 0, wait: 0 }, &[PAGED]).unwrap();
    world.ask(maker, Request::AllowWrite { first: 0, pages: 1, wait: 0 }, &[PAGED]).unwrap();
    assert_eq!(resumed(&mut world), []);
    short.give(&mut world);
    assert_eq!(resumed(&mut world), [child.start.tcb]);
    assert_eq!(world.touch_or_wait(child, address, Access::Write), Touched::Done);
    // What is taken away meanwhile is its pager's to bring.
    waits(&mut world, child, address + PAGE);
    world.ask(maker, Request::Decommit { first: 1, pages: 1 }, &[PAGED]).unwrap();
    assert_eq!(resumed(&mut world), [child.start.tcb]);
    waits(&mut world, child, address + PAGE);
    let next = world.ask(maker, Request::NextFault { wait: 0 }, &[PAGED]);
    assert!(matches!(next, Ok(Answer::Wanted { waits: true, page: 1, .. })), "{next:?}");
    short.end(&mut world);
}

/// A345: what the kernel refuses is no want of memory; and want of slots or nodes is one that ends
/// when there are some.
#[test]
fn other_wants_and_failures() {
    for nth in 1.. {
        let (mut world, [(program, start)]) = scene(WAITS);
        world.fixture.kernel().fail_nth(nth, KernelError::IllegalOperation);
        let touched = touch(&mut world, program, start + PAGE);
        if world.fixture.kernel().disarm() {
            assert!(nth > 1, "no call was made to fail");
            break;
        }
        assert_eq!(touched, Touched::Fault, "call {nth}");
        assert_eq!(touch(&mut world, program, start + PAGE), Touched::Done);
    }
    // Nor is it where a page is to be made of a block.
    for nth in 1.. {
        let (mut world, [(program, start)]) = scene(WAITS);
        let mut short = Short::of(&mut world, 2);
        short.give(&mut world);
        assert_eq!(touch(&mut world, program, start + PAGE), Touched::Done);
        short.give(&mut world);
        world.fixture.kernel().fail_nth(nth, KernelError::IllegalOperation);
        let touched = touch(&mut world, program, start + 2 * PAGE);
        let done = world.fixture.kernel().disarm();
        if done {
            assert!(nth > 2, "no call was made to fail");
            assert_eq!(touched, Touched::Done);
        } else {
            assert_eq!(touched, Touched::Fault, "call {nth}");
        }
        short.end(&mut world);
        if done {
            break;
        }
    }
    // Whichever call is refused of a try, it waits, or goes on to find out.
    for nth in 1.. {
        let (mut world, [(program, start)]) = scene(WAITS);
        let mut short = Short::of(&mut world, 2);
        waits(&mut world, program, start + PAGE);
        short.give(&mut world);
        world.fixture.kernel().fail_nth(nth, KernelError::IllegalOperation);
        let gone = resumed(&mut world);
        let done = world.fixture.kernel().disarm();
        assert_eq!(gone, [program.start.tcb], "call {nth}");
        assert_eq!(touch(&mut world, program, start + PAGE), Touched::Done);
        short.end(&mut world);
        if done {
            assert!(nth > 1, "no call was made to fail");
            break;
        }
    }
    type Load = fn(&mut Fixture<'static>, usize) -> Ballast;
    let loads: [Load; 2] = [|f, n| Ballast::of_slots(f, n), |f, n| Ballast::of_nodes(f, n)];
    for load in loads {
        let mut waited = 0;
        for left in 0..ENOUGH {
            let (mut world, [(program, start)]) = scene(WAITS);
            let ballast = load(&mut world.fixture, left);
            let touched = touch(&mut world, program, start + PAGE);
            ballast.drop(&mut world.fixture);
            if touched == Touched::Done {
                break;
            }
            assert_eq!(touched, Touched::Waits(program.start.tcb));
            assert_eq!(resumed(&mut world), [program.start.tcb]);
            waited += 1;
        }
        assert!(waited > 0, "nothing was short");
    }
}

/// A344 A162: beside requests that wait. Those lack what an account above has not, and not memory.
#[test]
fn requests_wait_beside_them() {
    let (mut world, [(program, start)]) = scene(WAITS);
    let other = world.program(AMPLE);
    world.copy((program, PATIENT), (other, A));
    // More than is left above, within its own limits.
    world.memory(program, 340, B);
    let short = Short::of(&mut world, 0);
    waits(&mut world, program, start + PAGE);
    let memory = Request::CreateMemory { pages: 70, options: MemoryOptions::empty(), slot: C };
    let [vmm_service::objects::Arrived::Own(badge)] = world.arrive(other, &[1])[..] else {
        panic!()
    };
    let arrived = world.arrive(other, &[A]);
    let outcome = world.send(badge, &memory.encode(), &arrived);
    assert!(outcome.waits.is_some(), "{:?}", outcome.answer);
    assert_eq!(resumed(&mut world), []);
    short.end(&mut world);
    assert_eq!(resumed(&mut world), [program.start.tcb], "memory, and no amount");
    world.finish(program, Request::Destroy {}, &[B]);
    let answered = world.objects.next_answer(&mut world.fixture.vmm);
    assert_eq!(answered.map(|(slot, _)| slot), outcome.waits);
    world.check();
}
