// SPDX-License-Identifier: BSD-2-Clause
//! Programs suspended by request, with all their threads, and resumed.

use vmm::{Access, KernelError};
use vmm_service::Start;
use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, Answer, FaultPolicy, Kind, PROGRAM_SLOT, ProgramOptions, REGISTERS, Refusal,
    Registers, Request, Rights, SPACE_SLOT, State, Supply,
};
use vmm_service::objects::{Act, Stopped};
use vmm_tests::model::Cap;

use crate::children::{CHILD, FILE, IT, PAYER, create};
use crate::controls::{begin, fault, granted, state};
use crate::paging::{going_on, supply, waits};
use crate::time::{PAGED, SOURCE, TOLD, held};
use crate::world::{A, D, Program, World};

pub const SUSPEND: Request = Request::SuspendProgram {};
pub const RESUME: Request = Request::Resume {};
const ALONE: Request = Request::Suspend {};
pub const READ: Request = Request::ReadRegisters {};
/// Slots of the child's for its further threads.
pub const ONE: u32 = A;
const OTHER: u32 = A + 1;
/// A slot of the maker's that nothing is in.
const SPARE: u32 = D + 8;

/// A world with a program that holds another, which has two further threads.
pub struct Scene {
    pub world: World,
    pub maker: Program,
    pub child: Program,
    /// Where the child has mapped memory whose pager the maker is.
    pub at: usize,
    pub one: Start,
    pub other: Start,
    /// The child's space, as the kernel has it.
    pub home: Cap,
}

impl Scene {
    pub fn new(options: ProgramOptions, policy: FaultPolicy) -> Scene {
        let (mut world, maker, child, at) = held(options);
        let one = begin(&mut world, child, ONE, policy);
        let other = begin(&mut world, child, OTHER, FaultPolicy::Program);
        let home = world.fixture.kernel().tcb(child.start.tcb).unwrap().vspace;
        Scene { world, maker, child, at, one, other, home }
    }

    pub fn usual() -> Scene {
        Scene::new(ProgramOptions::empty(), FaultPolicy::Suspend)
    }

    pub fn starts(&self) -> [Start; 3] {
        [self.child.start, self.one, self.other]
    }

    /// How many of the child's threads have their program's space, as the kernel has it.
    pub fn at_home(&self) -> usize {
        let kernel = self.world.fixture.kernel();
        let space = |start: &Start| kernel.tcb(start.tcb).expect("it has not ended").vspace;
        self.starts().iter().filter(|start| space(start) == self.home).count()
    }

    #[track_caller]
    pub fn fault(&mut self, start: &Start) -> Stopped {
        fault(&mut self.world, self.child, start)
    }

    #[track_caller]
    pub fn does(&mut self, request: Request, slots: &[u32]) -> Option<Act> {
        granted(&mut self.world, self.maker, request, slots)
    }

    #[track_caller]
    pub fn suspend(&mut self) {
        assert_eq!(self.does(SUSPEND, &[IT]), None);
    }

    #[track_caller]
    pub fn resume(&mut self) -> Vec<vmm::CPtr> {
        assert_eq!(self.does(RESUME, &[IT]), None);
        going_on(&mut self.world)
    }

    pub fn state(&mut self) -> State {
        self.world.state(self.maker)
    }

    pub fn notices(&mut self) -> usize {
        std::iter::from_fn(|| self.world.objects.next_notice()).count()
    }

    /// All threads come to their next instruction.
    #[track_caller]
    pub fn stop_all(&mut self) {
        for start in self.starts() {
            assert_eq!(self.fault(&start), Stopped::Here);
        }
        assert_eq!(self.state(), State::Suspended);
        assert_eq!(self.notices(), 1);
    }
}

/// A250: a program is suspended with all its threads, whose next instructions are nowhere; that
/// each has come there is told; and resumed, all go on, in their program's space.
#[test]
fn a_program_is_suspended_with_all_its_threads() {
    let mut scene = Scene::usual();
    let starts = scene.starts();
    for _ in 0..3 {
        assert_eq!(scene.at_home(), 3);
        scene.suspend();
        assert_eq!(scene.at_home(), 0);
        let again = Refusal::WrongState { state: State::Suspending };
        scene.world.refused(scene.maker, SUSPEND, &[IT], again);
        for (nth, start) in starts.iter().enumerate() {
            assert_eq!(scene.state(), State::Suspending, "{nth} have stopped");
            assert_eq!(scene.notices(), 0);
            assert_eq!(scene.fault(start), Stopped::Here);
            assert_eq!(scene.fault(start), Stopped::Forged);
        }
        assert_eq!(scene.state(), State::Suspended);
        assert_eq!(scene.notices(), 1, "it is told once");
        // And to who asks to be told then.
        scene.does(Request::TellEnd {}, &[IT, TOLD]);
        assert_eq!(scene.notices(), 1);
        let again = Refusal::WrongState { state: State::Suspended };
        scene.world.refused(scene.maker, SUSPEND, &[IT], again);
        assert_eq!(scene.resume(), starts.map(|start| start.tcb));
        assert_eq!((scene.at_home(), scene.state()), (3, State::Running));
        assert_eq!(starts.map(|start| scene.fault(&start)), [Stopped::No; 3]);
        let runs = Refusal::WrongState { state: State::Running };
        scene.world.refused(scene.maker, RESUME, &[IT], runs);
    }
}

/// A250: a program that is resumed before its threads have come to their next instructions is not
/// suspended: those that have go on, and what the others are told of then is no fault.
#[test]
fn a_program_is_resumed_before_it_is_suspended() {
    let mut scene = Scene::usual();
    let [first, one, other] = scene.starts();
    scene.suspend();
    assert_eq!(scene.fault(&one), Stopped::Here);
    assert_eq!(scene.resume(), [one.tcb]);
    assert_eq!((scene.at_home(), scene.state()), (3, State::Running));
    assert_eq!(scene.fault(&first), Stopped::Repeats);
    assert_eq!([first, one].map(|start| scene.fault(&start)), [Stopped::No; 2]);
    // Suspended once more before the last fault came: that is where it is. Who is to go on, and was
    // not let yet, has stopped.
    scene.suspend();
    assert_eq!(scene.fault(&other), Stopped::Here);
    scene.does(RESUME, &[IT]);
    scene.suspend();
    assert!(going_on(&mut scene.world).is_empty());
    assert_eq!([first, one].map(|start| scene.fault(&start)), [Stopped::Here; 2]);
    assert_eq!((scene.state(), scene.notices()), (State::Suspended, 1));
}

/// A251: a thread that is made while its program is suspended has no instruction to fetch, and goes
/// on with it; a thread that ends is not waited for.
#[test]
fn threads_come_and_go_while_their_program_is_suspended() {
    let mut scene = Scene::usual();
    let [first, one, other] = scene.starts();
    scene.suspend();
    assert_eq!([first, one].map(|start| scene.fault(&start)), [Stopped::Here; 2]);
    // The call of the last one was under way.
    let new = begin(&mut scene.world, scene.child, A + 2, FaultPolicy::Program);
    let space =
        |scene: &Scene| scene.world.fixture.kernel().tcb(new.tcb).unwrap().vspace == scene.home;
    assert!(!space(&scene));
    let end = Request::EndThread { code: 4, own: false };
    granted(&mut scene.world, scene.child, end, &[OTHER]);
    assert!(scene.world.fixture.kernel().tcb(other.tcb).is_none());
    assert_eq!((scene.state(), scene.notices()), (State::Suspending, 0), "the new one is there");
    assert_eq!(scene.fault(&new), Stopped::Here);
    assert_eq!((scene.state(), scene.notices()), (State::Suspended, 1));
    // One more changes nothing.
    let last = begin(&mut scene.world, scene.child, A + 4, FaultPolicy::Program);
    assert_eq!((scene.state(), scene.notices()), (State::Suspended, 0));
    assert_eq!(scene.resume(), [first.tcb, one.tcb, new.tcb]);
    assert!(space(&scene));
    assert_eq!(scene.fault(&last), Stopped::Repeats);
    assert_eq!(scene.fault(&last), Stopped::No);
    // The last that is waited for ends.
    scene.suspend();
    assert_eq!([first, one, new].map(|start| scene.fault(&start)), [Stopped::Here; 3]);
    assert_eq!(scene.state(), State::Suspending);
    granted(&mut scene.world, scene.child, end, &[A + 4]);
    assert_eq!((scene.state(), scene.notices()), (State::Suspended, 1));
}

/// A252: what a thread is suspended for by itself, and what its program is, are two things: it runs
/// when neither is so.
#[test]
fn a_thread_and_its_program_are_suspended_for_themselves() {
    // Whether the thread is resumed first, whether it has come to its next instruction.
    for (thread_first, stopped) in [(true, true), (true, false), (false, true), (false, false)] {
        for alone_first in [true, false] {
            let mut scene = Scene::usual();
            let one = scene.one;
            let thread = |scene: &mut Scene, request| {
                granted(&mut scene.world, scene.child, request, &[ONE]);
                going_on(&mut scene.world)
            };
            if alone_first {
                thread(&mut scene, ALONE);
                scene.suspend();
            } else {
                scene.suspend();
                if stopped {
                    assert_eq!(scene.fault(&one), Stopped::Here);
                    assert_eq!(state(&mut scene.world, scene.child, ONE), State::Running);
                }
                thread(&mut scene, ALONE);
            }
            if stopped && alone_first {
                assert_eq!(scene.fault(&one), Stopped::Here);
            }
            let expected = if stopped { State::Suspended } else { State::Suspending };
            assert_eq!(state(&mut scene.world, scene.child, ONE), expected);
            let home = |scene: &Scene| {
                let kernel = scene.world.fixture.kernel();
                kernel.tcb(one.tcb).unwrap().vspace == scene.home
            };
            let mut went_on = Vec::new();
            if thread_first {
                thread(&mut scene, RESUME);
                assert_eq!(scene.world.act, None, "its program is suspended");
                assert_eq!(state(&mut scene.world, scene.child, ONE), State::Running);
                assert!(!home(&scene));
                went_on.extend(scene.resume());
            } else {
                assert!(scene.resume().is_empty());
                assert_eq!((scene.at_home(), scene.state()), (2, State::Running));
                assert!(!home(&scene));
                thread(&mut scene, RESUME);
                if let Some(Act::Resume { tcb, .. }) = scene.world.act {
                    went_on.push(tcb);
                }
            }
            let expected: &[_] = if stopped { &[one.tcb] } else { &[] };
            assert_eq!(went_on, expected);
            assert_eq!(scene.at_home(), 3);
            let next = if stopped { Stopped::No } else { Stopped::Repeats };
            assert_eq!(scene.fault(&one), next);
        }
    }
}

/// A252: the registers of all threads of a program that is suspended are read and written, of each
/// once it has stopped; the program's own are those of a fault.
#[test]
fn registers_of_a_suspended_program_are_those_of_its_threads() {
    let mut scene = Scene::usual();
    scene.suspend();
    let (child, tcb) = (scene.child, scene.one.tcb);
    let runs = Refusal::WrongState { state: State::Running };
    scene.world.refused(child, READ, &[ONE], runs);
    scene.stop_all();
    assert_eq!(granted(&mut scene.world, child, READ, &[ONE]), Some(Act::ReadRegisters { tcb }));
    let registers = Registers([3; REGISTERS]);
    let write = Request::WriteRegisters { registers };
    let act = granted(&mut scene.world, child, write, &[ONE]);
    assert_eq!(act, Some(Act::WriteRegisters { tcb, registers }));
    let stopped = Refusal::WrongState { state: State::Suspended };
    scene.world.refused(scene.maker, READ, &[IT], stopped);
    scene.resume();
    scene.world.refused(child, READ, &[ONE], runs);
}

/// A252: who waits for a page is not waited for; the page that comes, or does not, lets it go on to
/// where nothing is, and what became of the page it sees when its program is resumed.
#[test]
fn who_waits_for_a_page_waits_on_while_its_program_is_suspended() {
    for refused in [false, true] {
        let mut scene = Scene::usual();
        let [first, one, other] = scene.starts();
        let at = scene.at;
        assert!(waits(&mut scene.world, scene.child, at, Access::Read));
        assert_eq!(scene.state(), State::Waiting);
        scene.suspend();
        assert_eq!([one, other].map(|start| scene.fault(&start)), [Stopped::Here; 2]);
        assert_eq!((scene.state(), scene.notices()), (State::Suspended, 1));
        let maker = scene.maker;
        match refused {
            true => scene.world.ask(maker, Request::Refuse { page: 0, wait: 0 }, &[PAGED]).unwrap(),
            false => {
                let given = supply(0, 1, 0, Supply::Copy, false);
                scene.world.ask(maker, given, &[PAGED, SOURCE]).unwrap()
            }
        };
        assert_eq!(going_on(&mut scene.world), [first.tcb]);
        assert_eq!(scene.at_home(), 0);
        assert_eq!(scene.fault(&first), Stopped::Here);
        assert_eq!((scene.state(), scene.notices()), (State::Suspended, 0));
        assert_eq!(scene.resume(), [first.tcb, one.tcb, other.tcb]);
        assert_eq!(scene.world.touch(scene.child, at, Access::Read), !refused);
    }
    // Resumed before the page comes, it waits still.
    let mut scene = Scene::usual();
    let at = scene.at;
    assert!(waits(&mut scene.world, scene.child, at, Access::Read));
    scene.suspend();
    assert!(scene.resume().is_empty());
    assert_eq!(scene.state(), State::Waiting);
    let given = supply(0, 1, 0, Supply::Copy, false);
    scene.world.ask(scene.maker, given, &[PAGED, SOURCE]).unwrap();
    assert_eq!(going_on(&mut scene.world), [scene.child.start.tcb]);
    assert_eq!(scene.at_home(), 3);
}

/// A251: a program that is suspended, or is to be, ends as any other, with all it had.
#[test]
fn a_suspended_program_ends() {
    for stopped in [false, true] {
        for end in [Request::Kill {}, Request::Destroy {}] {
            let mut scene = Scene::usual();
            scene.suspend();
            if stopped {
                scene.stop_all();
            }
            let maker = scene.maker;
            scene.world.finish(maker, end, &[IT]);
            for start in scene.starts() {
                assert!(scene.world.fixture.kernel().tcb(start.tcb).is_none());
            }
            scene.world.reap();
            if end == (Request::Kill {}) {
                assert_eq!((scene.state(), scene.notices()), (State::Killed, 1));
                let killed = Refusal::WrongState { state: State::Killed };
                for request in [SUSPEND, RESUME] {
                    scene.world.refused(maker, request, &[IT], killed);
                }
            }
            let counts = scene.world.objects.counts();
            assert_eq!(counts[3], 1, "its maker is left");
        }
    }
    // Its own end was under way; and who was to go on does not.
    let mut scene = Scene::usual();
    scene.suspend();
    scene.stop_all();
    scene.does(RESUME, &[IT]);
    scene.world.tell(scene.child, Request::Exit { code: 3 });
    assert!(going_on(&mut scene.world).is_empty());
    scene.world.reap();
    assert_eq!(scene.state(), State::Exited);
}

/// A251: only a program that was started is suspended, and only by who may end it; what it asks for
/// meanwhile, by a call that was under way, is done.
#[test]
fn who_may_not_end_a_program_does_not_suspend_it() {
    let mut scene = Scene::usual();
    let (maker, child) = (scene.maker, scene.child);
    let restrict = Request::Restrict { rights: Rights::USE, slot: SPARE };
    scene.world.ask(maker, restrict, &[IT, ACCOUNT_SLOT]).unwrap();
    let missing = Rights::DESTROY;
    let no_right = Refusal::NoRight { place: 0, missing };
    scene.world.refused(maker, SUSPEND, &[SPARE], no_right);
    // Its own capability lets it send, and nothing else.
    scene.world.refused(child, SUSPEND, &[PROGRAM_SLOT], no_right);
    let found = Kind::Space;
    let wrong = Refusal::WrongKind { place: 0, found };
    scene.world.refused(maker, SUSPEND, &[SPACE_SLOT], wrong);
    scene.suspend();
    assert!(scene.world.ask(child, Request::CreateSpace { slot: SPARE }, PAYER).is_ok());
    scene.world.finish(child, Request::Destroy {}, &[SPARE]);
    assert_eq!(scene.state(), State::Suspending);
    // Resumed by who may use it.
    scene.does(RESUME, &[SPARE]);
    assert_eq!(scene.state(), State::Running);
    // One that was not started.
    scene.world.finish(maker, Request::Destroy {}, &[IT]);
    scene.world.ask(maker, create(CHILD), PAYER).unwrap();
    let state = |state| Refusal::WrongState { state };
    scene.world.refused(maker, SUSPEND, &[IT], state(State::Empty));
    scene.world.finish(maker, Request::Load {}, &[IT, FILE]);
    scene.world.refused(maker, SUSPEND, &[IT], state(State::Loaded));
}

/// A250: whichever call of the kernel fails: where it is the first, nothing has changed; where it
/// is another, it is said that there is more to do. Either request goes on from there.
#[test]
fn a_program_that_the_kernel_does_not_suspend_whole_is_suspended_later() {
    for error in [KernelError::IllegalOperation, KernelError::NotEnoughMemory] {
        for (nth, then) in (1..=3).flat_map(|nth| [(nth, SUSPEND), (nth, RESUME)]) {
            for request in [SUSPEND, RESUME] {
                let mut scene = Scene::usual();
                let one = scene.one;
                if request == RESUME {
                    scene.suspend();
                    assert_eq!(scene.fault(&one), Stopped::Here);
                }
                let before = (scene.state(), scene.at_home());
                scene.world.fixture.kernel().fail_nth(nth, error);
                let answer = scene.world.ask(scene.maker, request, &[IT]);
                assert!(!scene.world.fixture.kernel().disarm(), "it makes three calls");
                if nth == 1 {
                    assert!(matches!(answer, Err(Refusal::OutOfMemory {} | Refusal::Internal {})));
                    assert_eq!((scene.state(), scene.at_home()), before);
                } else {
                    assert_eq!(answer, Ok(Answer::More {}));
                    let moved = nth - 1;
                    let home = if request == SUSPEND { 3 - moved } else { moved };
                    assert_eq!((scene.state(), scene.at_home()), (State::Suspending, home));
                }
                let mut stopped = request == RESUME;
                // Who was let go on does.
                stopped &= !going_on(&mut scene.world).contains(&one.tcb);
                let same = (nth, request) == (1, then);
                if nth == 1 && !same {
                    continue;
                }
                match then {
                    RESUME => {
                        let on = scene.resume();
                        assert_eq!(on, if stopped { vec![one.tcb] } else { vec![] });
                        assert_eq!((scene.state(), scene.at_home()), (State::Running, 3));
                    }
                    _ => {
                        scene.suspend();
                        assert_eq!(scene.at_home(), 0);
                        for start in scene.starts() {
                            let again = stopped && start.tcb == one.tcb;
                            let what = if again { Stopped::Forged } else { Stopped::Here };
                            assert_eq!(scene.fault(&start), what);
                        }
                        assert_eq!(scene.state(), State::Suspended);
                    }
                }
            }
        }
    }
}
