// SPDX-License-Identifier: BSD-2-Clause
//! Faults by which programs and threads are suspended: each is told, and outlasts what else they are
//! suspended for.

use vmm::KernelError;
use vmm_service::objects::protocol::{
    Answer, FaultPolicy, ProgramOptions, Refusal, Request, State,
};
use vmm_service::objects::{Act, Stopped};

use crate::children::IT;
use crate::controls::{granted, state, unresolved, write_at};
use crate::suspension::{ONE, READ, RESUME, SUSPEND, Scene};

/// A252: a thread that has stopped for a fault is not waited for, and has stopped for it still when
/// its program is resumed; let go on before that, it goes on with its program.
#[test]
fn a_fault_outlasts_its_programs_suspension() {
    for resumed in [false, true] {
        let mut scene = Scene::usual();
        let [first, one, other] = scene.starts();
        assert!(!unresolved(&mut scene.world, scene.child, &one, write_at(8, 9)));
        scene.suspend();
        assert_eq!([first, other].map(|start| scene.fault(&start)), [Stopped::Here; 2]);
        assert_eq!((scene.state(), scene.notices()), (State::Suspended, 1));
        let child = scene.child;
        assert_eq!(state(&mut scene.world, child, ONE), State::Faulted);
        assert!(granted(&mut scene.world, child, READ, &[ONE]).is_some());
        if resumed {
            assert_eq!(granted(&mut scene.world, child, RESUME, &[ONE]), None);
            assert_eq!(state(&mut scene.world, child, ONE), State::Running);
            assert_eq!(scene.resume(), [first.tcb, one.tcb, other.tcb]);
        } else {
            assert_eq!(scene.resume(), [first.tcb, other.tcb]);
            assert_eq!(state(&mut scene.world, child, ONE), State::Faulted);
            let act = granted(&mut scene.world, child, RESUME, &[ONE]);
            assert!(matches!(act, Some(Act::Resume { tcb, .. }) if tcb == one.tcb));
        }
        assert_eq!(scene.at_home(), 3);
        assert_eq!(scene.fault(&one), Stopped::No);
    }
}

/// A252: a program that a fault has suspended is suspended with its other threads, and by the fault
/// again when that is undone; its registers are those of the thread that faulted all the time.
#[test]
fn a_programs_fault_outlasts_its_suspension() {
    let mut scene = Scene::new(ProgramOptions::SUSPEND_AT_FAULT, FaultPolicy::Suspend);
    let [first, one, other] = scene.starts();
    assert!(!unresolved(&mut scene.world, scene.child, &other, write_at(8, 9)));
    assert_eq!((scene.state(), scene.notices()), (State::Faulted, 1));
    scene.suspend();
    assert_eq!([first, one].map(|start| scene.fault(&start)), [Stopped::Here; 2]);
    assert_eq!((scene.state(), scene.notices()), (State::Suspended, 1));
    let tcb = other.tcb;
    assert_eq!(scene.does(READ, &[IT]), Some(Act::ReadRegisters { tcb }));
    assert_eq!(scene.resume(), [first.tcb, one.tcb]);
    assert_eq!(scene.state(), State::Faulted);
    assert_eq!(scene.does(READ, &[IT]), Some(Act::ReadRegisters { tcb }));
    assert!(matches!(scene.does(RESUME, &[IT]), Some(Act::Resume { tcb, .. }) if tcb == other.tcb));
    assert_eq!((scene.at_home(), scene.state()), (3, State::Running));
}

/// A252: of a program of which the kernel has suspended a part, a thread that runs has faults as
/// before: by one of them its program is suspended when it is resumed.
#[test]
fn a_part_of_a_program_that_runs_still_has_faults() {
    let mut scene = Scene::new(ProgramOptions::SUSPEND_AT_FAULT, FaultPolicy::Suspend);
    let other = scene.other;
    scene.world.fixture.kernel().fail_nth(3, KernelError::IllegalOperation);
    assert_eq!(scene.world.ask(scene.maker, SUSPEND, &[IT]), Ok(Answer::More {}));
    assert!(!unresolved(&mut scene.world, scene.child, &other, write_at(8, 9)));
    assert_eq!((scene.state(), scene.notices()), (State::Suspending, 0));
    scene.resume();
    assert_eq!(scene.state(), State::Faulted);
    assert!(matches!(scene.does(RESUME, &[IT]), Some(Act::Resume { tcb, .. }) if tcb == other.tcb));
}

/// A267: each thread's fault by which its program is suspended is told, in the order in which they
/// came: what is resumed is the thread whose fault was seen, and the next fault is told then.
#[test]
fn each_fault_of_a_program_is_told_in_its_order() {
    let mut scene = Scene::new(ProgramOptions::SUSPEND_AT_FAULT, FaultPolicy::Program);
    let [first, one, other] = scene.starts();
    let seen = |scene: &mut Scene| {
        let info = scene.world.ask(scene.maker, Request::Info {}, &[IT]).unwrap();
        let Answer::Program { state, address, instruction, .. } = info else { panic!("{info:?}") };
        (state, address, instruction)
    };
    for (nth, start) in [other, first, one].iter().enumerate() {
        assert!(!unresolved(&mut scene.world, scene.child, start, write_at(8 + nth, 9 + nth)));
        assert_eq!(seen(&mut scene), (State::Faulted, 8, 9), "the first is seen to first");
    }
    // What somebody makes up of one that has faulted changes nothing.
    assert!(!unresolved(&mut scene.world, scene.child, &other, write_at(77, 78)));
    for (nth, start) in [other, first, one].iter().enumerate() {
        assert_eq!(scene.notices(), 1);
        assert_eq!(seen(&mut scene), (State::Faulted, 8 + nth, 9 + nth));
        let tcb = start.tcb;
        assert_eq!(scene.does(READ, &[IT]), Some(Act::ReadRegisters { tcb }));
        let act = scene.does(RESUME, &[IT]);
        assert!(matches!(act, Some(Act::Resume { tcb, .. }) if tcb == start.tcb));
    }
    assert_eq!((scene.state(), scene.notices()), (State::Running, 0));
    let runs = Refusal::WrongState { state: State::Running };
    scene.world.refused(scene.maker, RESUME, &[IT], runs);
}

/// A267: so it is when the one whose fault was seen is ended, and when the program is suspended by
/// request meanwhile.
#[test]
fn the_next_fault_is_told_where_the_first_has_ended() {
    for by_request in [false, true] {
        let mut scene = Scene::new(ProgramOptions::SUSPEND_AT_FAULT, FaultPolicy::Program);
        let (one, other, child) = (scene.one, scene.other, scene.child);
        assert!(!unresolved(&mut scene.world, child, &one, write_at(8, 9)));
        assert!(!unresolved(&mut scene.world, child, &other, write_at(18, 19)));
        assert_eq!(scene.notices(), 1);
        if by_request {
            scene.suspend();
            assert_eq!(scene.fault(&child.start), Stopped::Here);
            assert_eq!((scene.state(), scene.notices()), (State::Suspended, 1));
        }
        let end = Request::EndThread { code: 0, own: false };
        scene.world.finish(child, end, &[ONE]);
        scene.world.reap();
        if by_request {
            assert_eq!(scene.notices(), 0, "it is told when that is undone");
            assert_eq!(scene.resume(), [child.start.tcb]);
        } else {
            assert_eq!(scene.notices(), 1);
        }
        let info = scene.world.ask(scene.maker, Request::Info {}, &[IT]).unwrap();
        assert!(matches!(info, Answer::Program { state: State::Faulted, address: 18, .. }));
        let act = scene.does(RESUME, &[IT]);
        assert!(matches!(act, Some(Act::Resume { tcb, .. }) if tcb == other.tcb));
        assert_eq!(scene.state(), State::Running);
    }
}
