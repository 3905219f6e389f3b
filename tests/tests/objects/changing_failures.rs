// SPDX-License-Identifier: BSD-2-Clause
//! Each kernel call of each request that changes something fails in its turn; and each of pages,
//! slots and nodes is short by one, then by two, until there are enough.

use vmm::{Blueprint, KernelError};
use vmm_service::objects::protocol::{ACCOUNT_SLOT, Amounts, Answer, Refusal, Request};

use crate::changing::{Case, Scene, changing};
use crate::failures::{making, with_memory};
use crate::support::Fixture;
use crate::support::ballast::{Ballast, ENOUGH};
use crate::world::{AMPLE, PAGE, World};

const ERRORS: [KernelError; 2] = [KernelError::IllegalOperation, KernelError::NotEnoughMemory];

pub type Load = fn(&mut Fixture<'static>, usize) -> Ballast;

const LOADS: [(&str, Load); 4] = [
    ("frames", |fixture, left| Ballast::of_frames(fixture, left)),
    ("pages", |fixture, left| Ballast::of_memory(fixture, left)),
    ("slots", |fixture, left| Ballast::of_slots(fixture, left)),
    ("nodes", |fixture, left| Ballast::of_nodes(fixture, left)),
];

/// What a refused request leaves as it is: records, and what is used, of all and of its sender's.
type Figures = ([usize; 4], (Amounts, Amounts), Amounts);

impl Scene {
    fn ask(&mut self) -> Result<Answer, Refusal> {
        self.world.ask(self.program, self.request, &self.slots)
    }

    fn figures(&mut self) -> Figures {
        self.world.reap();
        let World { objects, .. } = &self.world;
        let (counts, amounts) = (objects.counts(), objects.amounts());
        (counts, amounts, self.world.used(self.program, ACCOUNT_SLOT))
    }

    /// Asks for what is left of it, until nothing is.
    fn finish(&mut self, mut answer: Result<Answer, Refusal>) {
        for _ in 0..100 {
            match (answer, &mut self.request) {
                // Its capability was gone already.
                (Err(Refusal::NoCapability { .. }), Request::Destroy {}) => return,
                (Err(_) | Ok(Answer::More {}), _) => {}
                (Ok(Answer::Wanted { done, .. }), Request::Supply { first, pages, from, .. })
                    if done < *pages =>
                {
                    (*first, *pages, *from) = (*first + done, *pages - done, *from + done);
                }
                (
                    Ok(Answer::Taken { pages: done, .. }),
                    Request::TakeBack { first, pages, into },
                ) if done < *pages => {
                    (*first, *pages, *into) = (*first + done, *pages - done, *into + done);
                }
                (Ok(Answer::Taken { pages: done, .. }), Request::Decommit { first, pages })
                    if done < *pages =>
                {
                    (*first, *pages) = (*first + done, *pages - done);
                }
                (Ok(Answer::Pages { pages: done }), Request::Populate { address, pages })
                    if done < *pages =>
                {
                    *address += done as usize * PAGE;
                    *pages -= done;
                }
                (Ok(_), _) => return,
            }
            answer = self.ask();
        }
        panic!("{:?} is never done: {answer:?}", self.request);
    }

    /// What is there now, and what is left once all programs have ended: nothing.
    fn outcome(mut self) -> (Vec<u64>, Figures) {
        let figures = self.figures();
        let seen = (self.look)(&mut self.world);
        let World { mut fixture, mut objects, .. } = self.world;
        for space in fixture.spaces.clone() {
            if let Some(program) = objects.program_in(space) {
                objects.kill(program).unwrap();
            }
        }
        while objects.reap_step(&mut fixture.vmm).unwrap() {
            while objects.next_answer(&mut fixture.vmm).is_some() {}
            while objects.next_notice().is_some() {}
        }
        assert_eq!(objects.counts(), [2, 0, 0, 0], "{:?}", self.request);
        assert_eq!(objects.amounts().1, Amounts::NONE, "{:?}", self.request);
        objects.close(&mut fixture.vmm).unwrap();
        fixture.vmm.trim().unwrap();
        let stats = fixture.vmm.stats();
        let live = stats.allocator.live;
        let spare = live.frames[0].checked_sub(stats.bookkeeping_pages);
        assert!(spare.is_some_and(|spare| spare < 8), "{:?}: {live:?}", self.request);
        assert_eq!((live.tcbs, live.endpoints, live.vspaces), (0, 1, 0), "{:?}", self.request);
        (seen, figures)
    }
}

fn expected(case: &Case) -> (Vec<u64>, Figures) {
    let mut scene = (case.make)();
    let answer = scene.ask();
    assert!(answer.is_ok(), "{:?}: {answer:?}", scene.request);
    scene.finish(answer);
    scene.outcome()
}

/// A350: whichever call fails of a request that changes something, it is refused with all as it
/// was, or done in part and gone on with by who asks again; then it is what it would have been, and
/// in the end nothing is lost.
#[test]
fn what_is_not_changed_is_changed_later() {
    let mut failures = 0;
    for case in changing() {
        let expected = expected(&case);
        for error in ERRORS {
            for nth in 1.. {
                let mut scene = (case.make)();
                let (request, before) = (scene.request, scene.figures());
                scene.world.fixture.kernel().fail_nth(nth, error);
                let answer = scene.ask();
                let failed = !scene.world.fixture.kernel().disarm();
                if let Err(refusal) = answer {
                    let own = matches!(refusal, Refusal::OutOfMemory {} | Refusal::Internal {});
                    assert!(own && failed, "{request:?}, call {nth}: {refusal:?}");
                    let after = scene.figures();
                    assert!(case.in_part || after == before, "{request:?}, call {nth}");
                }
                scene.finish(answer);
                assert_eq!(scene.outcome(), expected, "{request:?}, call {nth}");
                if !failed {
                    println!("{}: {} calls", request.name(), nth - 1);
                    break;
                }
                failures += 1;
            }
        }
    }
    assert!(failures > 200, "{failures} calls failed");
}

/// A351: with n pages, slots or nodes left it is done, or refused with all as it was; and what
/// gives back, or only notes something, is done with none.
#[test]
fn want_of_anything_changes_nothing() {
    let mut refused = [0; 4];
    for case in changing() {
        let expected = expected(&case);
        for (kind, (what, load)) in LOADS.into_iter().enumerate() {
            let mut scene = (case.make)();
            let (request, before) = (scene.request, scene.figures());
            for left in 0.. {
                let ballast = load(&mut scene.world.fixture, left);
                let answer = scene.ask();
                ballast.drop(&mut scene.world.fixture);
                let Err(refusal) = answer else {
                    scene.finish(answer);
                    break;
                };
                let why = format!("{request:?}: {refusal:?} with {left} {what} left");
                assert_eq!(refusal, Refusal::OutOfMemory {}, "{why}");
                assert!(!case.takes_nothing, "{why}");
                let after = scene.figures();
                assert!(case.in_part || after == before, "{why}");
                refused[kind] += 1;
                // Without memory it can fail however many nodes there are; and a clone has a slot
                // for each page.
                let many = matches!(request, Request::Clone { .. }) && left == ENOUGH;
                if many || what == "nodes" && left == 8 {
                    let answer = scene.ask();
                    scene.finish(answer);
                    break;
                }
                assert!(left < ENOUGH, "{why}: it needs more than it should");
            }
            assert_eq!(scene.outcome(), expected, "{request:?}: {what}");
        }
    }
    println!("refused for want of frames, pages, slots, nodes: {refused:?}");
    assert!([0, 2, 3].iter().all(|&kind| refused[kind] > 4), "{refused:?}");
}

/// Requests that are in no table, each with the reason.
const ELSEWHERE: [(&str, &str); 19] = [
    ("Info", "it only looks"),
    ("NextFault", "it only looks"),
    ("Say", "it only tells who reads the lines"),
    ("Exit", "nobody is answered; what is left of an end is work of the service's own"),
    ("Sleep", "a note and a slot that its thread has, `time`"),
    ("Revoke", "its capabilities end in pieces, `failures`"),
    ("Kill", "no more than the threads is stopped by it: the rest is the service's own work"),
    ("EndThread", "the same of a thread, `threads`"),
    ("Resume", "no call of the kernel's takes memory for it, `starved` and `suspension`"),
    ("Suspend", "the same, `starved` and `controls`"),
    ("SuspendProgram", "the same, `starved` and `suspension`"),
    ("Bind", "its server makes the one call, and tells of it"),
    ("BindThread", "the same; `starved`"),
    ("Unbind", "the same"),
    ("UnbindThread", "the same"),
    ("ReadRegisters", "the same"),
    ("WriteRegisters", "the same"),
    ("MapPrivate", "`private_failures`"),
    ("TellAccount", "`thresholds`"),
];

/// A350 A351: each request is in one of the tables, or is one of those that have a reason.
#[test]
fn each_request_is_in_a_table() {
    let mut tried: Vec<_> = making().iter().map(|(request, _)| request.name()).collect();
    tried.extend(changing().iter().map(|case| (case.make)().request.name()));
    for &name in Request::NAMES {
        let reason = ELSEWHERE.iter().find(|(other, _)| *other == name);
        let (is_tried, has_reason) = (tried.contains(&name), reason.is_some());
        assert!(is_tried || has_reason, "{name} is in no table, without a reason");
        assert!(!is_tried || !has_reason, "{name} is in a table, and has a reason not to be");
    }
    let known = |name| Request::NAMES.contains(&name);
    assert!(ELSEWHERE.iter().all(|(name, reason)| known(*name) && !reason.is_empty()));
}

/// What takes nodes of regions, nodes of extents, and slots.
const SHORT: [Load; 3] = [
    |fixture, left| Ballast::of_nodes(fixture, left),
    |fixture, left| Ballast::of_extents(fixture, left),
    |fixture, left| Ballast::of_all_slots(fixture, left),
];

/// What is short, how much of it is left, and the logarithm of the size of the pieces that all
/// other memory is in.
#[derive(Clone, Copy)]
pub struct Shortage {
    load: Load,
    pub left: usize,
    size_bits: u8,
}

impl Shortage {
    /// Whether what the first call has cleared is enough for all others.
    pub fn is_in_one_piece(self) -> bool {
        self.size_bits == PIECES[0]
    }
}

/// The sizes of pieces: of one all can be had that a request needs; of the smaller ones a request
/// needs several, so that each call of it that takes memory has some cleared.
const PIECES: [u8; 2] = [19, 13];

/// The size of a page: each is cleared by itself.
const SMALLEST: u8 = 12;

/// Takes something but for what is left of it, and all memory but for pieces that were used, none of
/// which a call may clear by itself.
pub fn uncleared(fixture: &mut Fixture<'static>, short: Shortage) -> Ballast {
    let Shortage { load, left, size_bits } = short;
    let count = if short.is_in_one_piece() { 8 } else { 2 * ENOUGH };
    let piece = Blueprint::Untyped { size_bits };
    let mut pieces: Vec<_> = (0..count).map(|_| fixture.vmm.allocate(piece).unwrap()).collect();
    let large = fixture.vmm.allocate(Blueprint::Untyped { size_bits: PIECES[0] }).unwrap();
    let mut ballast = load(fixture, left);
    fixture.vmm.limit_clearing(PAGE - 1);
    if !short.is_in_one_piece() {
        // What one piece must have is had of this one, which is cleared last.
        fixture.vmm.free(large).unwrap();
        // Every second of them: what remains between keeps them apart.
        for index in 0..ENOUGH {
            fixture.vmm.free(pieces.remove(index)).unwrap();
        }
        assert_eq!(fixture.vmm.next_clearing(PAGE), 1 << size_bits, "all memory is clear");
        return ballast.and(pieces);
    }
    ballast = ballast.and(vec![large]);
    // Some of them may be of what was cleared for large pages.
    while let Some(last) = pieces.pop() {
        fixture.vmm.free(last).unwrap();
        if fixture.vmm.next_clearing(PAGE) == 1 << size_bits {
            return ballast.and(pieces);
        }
        pieces.insert(0, fixture.vmm.allocate(piece).unwrap());
    }
    panic!("all memory is clear");
}

/// Each want of something, with memory in each size of pieces.
pub fn shortages() -> impl Iterator<Item = Shortage> {
    shortages_of(&PIECES)
}

/// The same, also with memory in pages each of which is cleared by itself.
pub fn all_shortages() -> impl Iterator<Item = Shortage> {
    shortages_of(&PIECES).chain(shortages_of(&[SMALLEST]))
}

fn shortages_of(sizes: &'static [u8]) -> impl Iterator<Item = Shortage> {
    let all = SHORT.into_iter().flat_map(|load| (0..3).map(move |left| (load, left)));
    all.flat_map(move |(load, left)| {
        sizes.iter().map(move |&size_bits| Shortage { load, left, size_bits })
    })
}

/// A352: memory that is free and not cleared is memory: what needs some is not refused where one
/// call may clear but little.
#[test]
fn memory_that_is_not_cleared_is_no_want() {
    for (request, slots) in making() {
        for short in shortages() {
            let (mut world, program) = with_memory(AMPLE);
            // The service's own records are there: it is the manager that needs some.
            world.objects.stretch(&mut world.fixture.vmm, 40).unwrap();
            let uncleared = uncleared(&mut world.fixture, short);
            let answer = world.ask(program, request, slots);
            assert!(
                answer.is_ok(),
                "{request:?}: {answer:?} with {} left of what is short",
                short.left
            );
            world.fixture.vmm.limit_clearing(usize::MAX);
            uncleared.drop(&mut world.fixture);
        }
    }
    for case in changing() {
        let expected = expected(&case);
        for short in shortages() {
            let mut scene = (case.make)();
            let request = scene.request;
            scene.world.objects.stretch(&mut scene.world.fixture.vmm, 40).unwrap();
            let ballast = uncleared(&mut scene.world.fixture, short);
            let answer = scene.ask();
            assert!(
                answer.is_ok(),
                "{request:?}: {answer:?} with {} left of what is short",
                short.left
            );
            scene.world.fixture.vmm.limit_clearing(usize::MAX);
            ballast.drop(&mut scene.world.fixture);
            scene.finish(answer);
            assert_eq!(scene.outcome(), expected, "{request:?}");
        }
    }
}
