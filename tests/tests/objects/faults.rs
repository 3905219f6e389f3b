// SPDX-License-Identifier: BSD-2-Clause
//! Faults by which programs and threads are suspended: each is told, and outlasts what else they are
//! suspended for.

use vmm::KernelError;
use vmm_service::objects::protocol::{
    Answer, FaultPolicy, Name, ProgramOptions, REGISTERS, Refusal, Registers, Request, State,
};
use vmm_service::objects::{Act, ProgramId, Stopped};

use crate::children::{CHILD, FILE, IT, ITS_SPACE, PAYER, with_file};
use crate::controls::{granted, state, unresolved, write_at};
use crate::elf::small;
use crate::suspension::{ONE, READ, RESUME, SUSPEND, Scene};
use crate::world::D;

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

/// A199 A219: with the option a fault suspends it, its holder is told where, and lets it go on or
/// ends it.
#[test]
fn a_fault_can_be_looked_at() {
    let (mut world, maker) = with_file(&small());
    let notification = Request::CreateNotification { object: D, slot: D + 1 };
    world.ask(maker, notification, PAYER).unwrap();
    let (options, name) = (ProgramOptions::SUSPEND_AT_FAULT, Name::new("child"));
    let create = Request::CreateProgram {
        amounts: CHILD,
        options,
        name,
        slot: IT,
        space: ITS_SPACE,
        account: 0,
    };
    world.ask(maker, create, PAYER).unwrap();
    world.finish(maker, Request::Load {}, &[IT, FILE]);
    let child = world.start(maker);
    world.ask(maker, Request::TellEnd {}, &[IT, D + 1]).unwrap();
    for round in 0..2 {
        assert!(!world.objects.note_unresolved(child.id, write_at(0x1234_5000, 0x40_0002)));
        assert_eq!(world.notices(), 1);
        let info = world.ask(maker, Request::Info {}, &[IT]).unwrap();
        let Answer::Program { state: State::Faulted, address, instruction, .. } = info else {
            panic!("{info:?}")
        };
        assert_eq!((address, instruction), (0x1234_5000, 0x40_0002));
        let tcb = child.start.tcb;
        assert_eq!(world.ask(maker, Request::ReadRegisters {}, &[IT]), Ok(Answer::Done {}));
        assert_eq!(world.act, Some(Act::ReadRegisters { tcb }));
        let registers = Registers([7; REGISTERS]);
        world.ask(maker, Request::WriteRegisters { registers }, &[IT]).unwrap();
        assert_eq!(world.act, Some(Act::WriteRegisters { tcb, registers }));
        if round == 0 {
            assert_eq!(world.ask(maker, Request::Resume {}, &[IT]), Ok(Answer::Done {}));
            let Some(Act::Resume { tcb, .. }) = world.act else { panic!("{:?}", world.act) };
            assert_eq!(tcb, child.start.tcb);
            assert_eq!(world.state(maker), State::Running);
            let runs = Refusal::WrongState { state: State::Running };
            world.refused(maker, Request::ReadRegisters {}, &[IT], runs);
        }
    }
    world.finish(maker, Request::Kill {}, &[IT]);
    assert_eq!(world.notices(), 1);
    // Without it, the program ends.
    world.finish(maker, Request::Destroy {}, &[IT]);
    let child = world.child(maker);
    assert!(world.objects.note_unresolved(child.id, write_at(0x10, 0x40_0000)));
    let info = world.ask(maker, Request::Info {}, &[IT]);
    let Ok(Answer::Program { state: State::Crashed, address: 0x10, instruction, .. }) = info else {
        panic!("{info:?}")
    };
    assert_eq!(instruction, 0x40_0000);
    assert_eq!(world.objects.program_in(child.id.space()), None::<ProgramId>);
    world.reap();
}
