// SPDX-License-Identifier: BSD-2-Clause
//! What is done with threads by who holds them: a notification bound, a fault looked at, registers
//! read and written, suspended and resumed.

use vmm::{KernelError, ThreadId};
use vmm_service::Start;
use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, Answer, FaultKind, FaultPolicy, Kind, REGISTERS, Refusal, Registers, Request,
    Rights, SPACE_SLOT, State,
};
use vmm_service::objects::{Act, Fault, Stopped};

use crate::threads::{one, thread};
use crate::world::{A, AMPLE, B, C, D, Program, World};

const PAYER: &[u32] = &[ACCOUNT_SLOT];
const RESUME: Request = Request::Resume {};
const SUSPEND: Request = Request::Suspend {};
const READ: Request = Request::ReadRegisters {};
const WRITE: Request = Request::WriteRegisters { registers: Registers([0x1234_5678; REGISTERS]) };

/// A write that nothing allows.
pub fn write_at(address: usize, instruction: usize) -> Fault {
    Fault { kind: FaultKind::Write, code: 0, address, instruction }
}

/// A further thread, whose faults have these consequences.
pub fn begin(world: &mut World, program: Program, slot: u32, policy: FaultPolicy) -> Start {
    let Request::CreateThread { entry, argument, stack, guard, priority, .. } = thread(slot) else {
        panic!()
    };
    let create = Request::CreateThread { entry, argument, stack, guard, priority, policy, slot };
    assert_eq!(world.ask(program, create, PAYER), Ok(Answer::Done {}));
    let Some(Act::Start { start, priority, .. }) = world.act else { panic!("{:?}", world.act) };
    world.objects.note_started(&start, priority);
    start
}

/// What the manager knows a thread by.
pub fn id_of(world: &World, start: &Start) -> ThreadId {
    let vmm = &world.fixture.vmm;
    let mut badge = 0;
    while let Some(id) = vmm.next_thread(badge) {
        if vmm.thread(id).unwrap().tcb == start.tcb {
            return id;
        }
        badge = id.badge();
    }
    panic!("it is not registered")
}

/// A fault of a thread comes. Returns what it is to one that is to be suspended.
pub fn fault(world: &mut World, program: Program, start: &Start) -> Stopped {
    let id = id_of(world, start);
    world.objects.note_fault(Some(program.id.space()), Some(id));
    let stopped = world.objects.note_stopped();
    world.check();
    stopped
}

/// A fault of a thread comes that cannot be resolved. Returns whether its program ends.
pub fn unresolved(world: &mut World, program: Program, start: &Start, what: Fault) -> bool {
    assert_eq!(fault(world, program, start), Stopped::No);
    let ends = world.objects.note_unresolved(program.id, what);
    world.check();
    ends
}

#[track_caller]
pub fn state(world: &mut World, program: Program, slot: u32) -> State {
    match world.ask(program, Request::Info {}, &[slot]) {
        Ok(Answer::Program { state, .. }) => state,
        other => panic!("{other:?}"),
    }
}

/// Whether a thread has its program's space, as the kernel has it.
fn is_at_home(world: &World, program: Program, start: &Start) -> bool {
    let kernel = world.fixture.kernel();
    let vspace = |tcb| kernel.tcb(tcb).unwrap().vspace;
    vspace(program.start.tcb) == vspace(start.tcb)
}

#[track_caller]
pub fn granted(
    world: &mut World,
    program: Program,
    request: Request,
    slots: &[u32],
) -> Option<Act> {
    assert_eq!(world.ask(program, request, slots), Ok(Answer::Done {}), "{request:?}");
    world.act
}

/// What takes a thread, and the slots for it where the thread is in `A`, a notification in `D`.
fn controls() -> [(Request, &'static [u32]); 6] {
    [
        (Request::BindThread {}, &[A, D]),
        (Request::UnbindThread {}, &[A]),
        (RESUME, &[A]),
        (SUSPEND, &[A]),
        (READ, &[A]),
        (WRITE, &[A]),
    ]
}

/// A217: any thread has a notification bound to it, one at a time, until it is unbound.
#[test]
fn a_notification_is_bound_to_any_thread() {
    let (mut world, program) = one();
    let notification = Request::CreateNotification { object: C, slot: D };
    world.ask(program, notification, PAYER).unwrap();
    let start = begin(&mut world, program, A, FaultPolicy::Program);
    let firsts = (Request::Bind {}, Request::Unbind {});
    let furthers = (Request::BindThread {}, Request::UnbindThread {});
    let cases: [(_, &[u32], &[u32], _, u32); 2] =
        [(firsts, &[D], &[], program.start.tcb, 0), (furthers, &[A, D], &[A], start.tcb, 1)];
    for ((bind, unbind), to_bind, to_unbind, tcb, place) in cases {
        world.refused(program, unbind, to_unbind, Refusal::NotBound {});
        let act = granted(&mut world, program, bind, to_bind);
        let Some(Act::Bind { tcb: bound, place: at, .. }) = act else { panic!("{act:?}") };
        assert_eq!((bound, at), (tcb, place));
        // The kernel does not take it, then it does, and then the thread has one.
        let bad = Refusal::BadCapability { place };
        assert_eq!(world.objects.note_bound(tcb, place, false), Some(bad));
        world.refused(program, unbind, to_unbind, Refusal::NotBound {});
        assert_eq!(world.objects.note_bound(tcb, place, true), None);
        assert_eq!(world.objects.note_bound(tcb, place, false), Some(Refusal::Bound {}));
        let act = granted(&mut world, program, unbind, to_unbind);
        assert_eq!(act, Some(Act::Unbind { tcb }));
        world.refused(program, unbind, to_unbind, Refusal::NotBound {});
    }
    // Each has its own.
    assert_eq!(world.objects.note_bound(start.tcb, 1, true), None);
    world.refused(program, Request::Unbind {}, &[], Refusal::NotBound {});
    // One that is the service's is no notification of the kernel's.
    let own = Refusal::OwnCapability { place: 1 };
    world.refused(program, Request::BindThread {}, &[A, C], own);
    let none = Refusal::NoCapability { place: 1 };
    world.refused(program, Request::BindThread {}, &[A], none);
    // A thread in its place is another.
    world.finish(program, Request::Destroy {}, &[A]);
    begin(&mut world, program, A, FaultPolicy::Program);
    world.refused(program, Request::UnbindThread {}, &[A], Refusal::NotBound {});
}

/// A218: a thread whose policy it is to be suspended by its fault is, alone, and that is told;
/// looked at, it is resumed, or ended.
#[test]
fn a_fault_suspends_one_thread() {
    let (mut world, program) = one();
    let notification = Request::CreateNotification { object: C, slot: D };
    world.ask(program, notification, PAYER).unwrap();
    let start = begin(&mut world, program, A, FaultPolicy::Suspend);
    let other = begin(&mut world, program, B, FaultPolicy::Suspend);
    world.ask(program, Request::TellEnd {}, &[A, D]).unwrap();
    world.refused(program, RESUME, &[A], Refusal::WrongState { state: State::Running });
    for kind in FaultKind::ALL {
        let what = Fault { kind, code: 7, address: 0x1230, instruction: 0x40_0002 };
        assert!(!unresolved(&mut world, program, &start, what));
        assert!(world.objects.next_notice().is_some());
        assert_eq!(world.objects.next_notice(), None, "it is told once");
        let info = world.ask(program, Request::Info {}, &[A]);
        let Ok(Answer::Program { state, gone, code, fault, address, instruction, .. }) = info
        else {
            panic!("{info:?}")
        };
        assert_eq!((state, gone, code, fault), (State::Faulted, false, 7, kind));
        assert_eq!((address, instruction), (0x1230, 0x40_0002));
        assert_eq!(self::state(&mut world, program, B), State::Running, "the other goes on");
        world.refused(program, SUSPEND, &[A], Refusal::WrongState { state: State::Faulted });
        let act = granted(&mut world, program, RESUME, &[A]);
        let Some(Act::Resume { tcb, thread }) = act else { panic!("{act:?}") };
        assert_eq!((tcb, thread), (start.tcb, id_of(&world, &start)));
        assert_eq!(self::state(&mut world, program, A), State::Running);
    }
    // Who asks to be told of one that is suspended is, at once.
    assert!(!unresolved(&mut world, program, &start, write_at(8, 9)));
    assert!(world.objects.next_notice().is_some());
    world.ask(program, Request::TellEnd {}, &[A, D]).unwrap();
    assert!(world.objects.next_notice().is_some());
    let end = Request::EndThread { code: 5, own: false };
    world.ask(program, end, &[A]).unwrap();
    assert_eq!(state(&mut world, program, A), State::Exited);
    assert!(world.fixture.kernel().tcb(start.tcb).is_none());
    assert!(world.fixture.kernel().tcb(other.tcb).is_some());
    // A program of which one is suspended ends as any other.
    assert!(!unresolved(&mut world, program, &other, write_at(8, 9)));
    world.objects.kill(program.id).unwrap();
    world.reap();
    assert_eq!(world.objects.counts(), [2, 0, 0, 0]);
}

/// A218: a thread whose policy it is ends for its fault, alone; without a policy of its own, its
/// program does what its options say.
#[test]
fn a_fault_ends_one_thread_or_its_program() {
    let (mut world, program) = one();
    let notification = Request::CreateNotification { object: C, slot: D };
    world.ask(program, notification, PAYER).unwrap();
    let start = begin(&mut world, program, A, FaultPolicy::End);
    let other = begin(&mut world, program, B, FaultPolicy::Program);
    world.ask(program, Request::TellEnd {}, &[A, D]).unwrap();
    assert!(!unresolved(&mut world, program, &start, write_at(0x20, 0x30)));
    world.reap();
    assert!(world.fixture.kernel().tcb(start.tcb).is_none());
    assert!(world.objects.next_notice().is_some());
    let info = world.ask(program, Request::Info {}, &[A]);
    let Ok(Answer::Program { state: State::Crashed, gone: true, fault, address: 0x20, .. }) = info
    else {
        panic!("{info:?}")
    };
    assert_eq!(fault, FaultKind::Write);
    world.refused(program, RESUME, &[A], Refusal::WrongState { state: State::Crashed });
    assert!(unresolved(&mut world, program, &other, write_at(0x20, 0x30)), "the program ends");
    world.reap();
    assert_eq!(world.objects.counts(), [2, 0, 0, 0]);
}

/// A219: registers are read and written of a thread that is suspended, and of no other.
#[test]
fn registers_are_those_of_a_suspended_thread() {
    let (mut world, program) = one();
    let start = begin(&mut world, program, A, FaultPolicy::Suspend);
    let runs = Refusal::WrongState { state: State::Running };
    world.refused(program, READ, &[A], runs);
    world.refused(program, WRITE, &[A], runs);
    assert!(!unresolved(&mut world, program, &start, write_at(8, 9)));
    let tcb = start.tcb;
    assert_eq!(granted(&mut world, program, READ, &[A]), Some(Act::ReadRegisters { tcb }));
    let registers = Registers([0x1234_5678; REGISTERS]);
    let act = granted(&mut world, program, WRITE, &[A]);
    assert_eq!(act, Some(Act::WriteRegisters { tcb, registers }));
    assert_eq!(state(&mut world, program, A), State::Faulted, "it is suspended still");
    granted(&mut world, program, RESUME, &[A]);
    world.refused(program, READ, &[A], runs);
    // By request.
    granted(&mut world, program, SUSPEND, &[A]);
    let not_yet = Refusal::WrongState { state: State::Suspending };
    world.refused(program, READ, &[A], not_yet);
    world.refused(program, WRITE, &[A], not_yet);
    assert_eq!(fault(&mut world, program, &start), Stopped::Here);
    assert_eq!(granted(&mut world, program, READ, &[A]), Some(Act::ReadRegisters { tcb }));
    assert!(matches!(granted(&mut world, program, WRITE, &[A]), Some(Act::WriteRegisters { .. })));
}

/// A220: a thread that is to be suspended has a space in which nothing is, stays at its next
/// instruction, which is told, and has its own space again when it is resumed.
#[test]
fn a_thread_is_suspended_at_its_next_instruction() {
    let (mut world, program) = one();
    let notification = Request::CreateNotification { object: C, slot: D };
    world.ask(program, notification, PAYER).unwrap();
    let start = begin(&mut world, program, A, FaultPolicy::Program);
    world.ask(program, Request::TellEnd {}, &[A, D]).unwrap();
    assert_eq!(fault(&mut world, program, &start), Stopped::No);
    for _ in 0..3 {
        assert_eq!(granted(&mut world, program, SUSPEND, &[A]), None);
        assert!(!is_at_home(&world, program, &start));
        assert_eq!(state(&mut world, program, A), State::Suspending);
        let again = Refusal::WrongState { state: State::Suspending };
        world.refused(program, SUSPEND, &[A], again);
        assert_eq!(world.objects.next_notice(), None);
        assert_eq!(fault(&mut world, program, &start), Stopped::Here);
        assert!(world.objects.next_notice().is_some());
        assert_eq!(state(&mut world, program, A), State::Suspended);
        world.refused(program, SUSPEND, &[A], Refusal::WrongState { state: State::Suspended });
        // What somebody else sends by its capability changes nothing.
        assert_eq!(fault(&mut world, program, &start), Stopped::Forged);
        assert_eq!(world.objects.next_notice(), None);
        let act = granted(&mut world, program, RESUME, &[A]);
        assert!(matches!(act, Some(Act::Resume { tcb, .. }) if tcb == start.tcb));
        assert!(is_at_home(&world, program, &start));
        world.refused(program, RESUME, &[A], Refusal::WrongState { state: State::Running });
        assert_eq!(fault(&mut world, program, &start), Stopped::No);
    }
}

/// A220: a thread that is resumed before it has come to its next instruction is not suspended; a
/// fault that it has had by then is none, and the next is one.
#[test]
fn a_thread_is_resumed_before_it_is_suspended() {
    let (mut world, program) = one();
    let start = begin(&mut world, program, A, FaultPolicy::Suspend);
    granted(&mut world, program, SUSPEND, &[A]);
    assert_eq!(granted(&mut world, program, RESUME, &[A]), None, "it goes on by itself");
    assert!(is_at_home(&world, program, &start));
    assert_eq!(state(&mut world, program, A), State::Running);
    assert_eq!(fault(&mut world, program, &start), Stopped::Repeats);
    assert_eq!(fault(&mut world, program, &start), Stopped::No);
    // Suspended once more before the fault came: that is where it is.
    granted(&mut world, program, SUSPEND, &[A]);
    granted(&mut world, program, RESUME, &[A]);
    granted(&mut world, program, SUSPEND, &[A]);
    assert_eq!(fault(&mut world, program, &start), Stopped::Here);
    // It ends wherever it is.
    let end = Request::EndThread { code: 1, own: false };
    world.ask(program, end, &[A]).unwrap();
    assert_eq!(state(&mut world, program, A), State::Exited);
    begin(&mut world, program, B, FaultPolicy::Suspend);
    granted(&mut world, program, SUSPEND, &[B]);
    world.objects.kill(program.id).unwrap();
    world.reap();
    assert_eq!(world.objects.counts(), [2, 0, 0, 0]);
}

/// A217 A218 A219 A220: what is done with a thread takes one that has not ended, and the right to
/// use it; another program has that only where it was given.
#[test]
fn who_has_no_thread_does_nothing_with_it() {
    let (mut world, program) = one();
    let other = world.program(AMPLE);
    for owner in [program, other] {
        let notification = Request::CreateNotification { object: C, slot: D };
        world.ask(owner, notification, PAYER).unwrap();
    }
    let start = begin(&mut world, program, B, FaultPolicy::Program);
    let right = |rights| Request::Restrict { rights, slot: A };
    // Without the right; of another kind; of a program that is not its own.
    world.ask(program, right(Rights::DESTROY), &[B, ACCOUNT_SLOT]).unwrap();
    for (request, slots) in controls() {
        let missing = Rights::USE;
        world.refused(program, request, slots, Refusal::NoRight { place: 0, missing });
        let found = Kind::Space;
        let wrong: Vec<u32> = [SPACE_SLOT].iter().chain(&slots[1..]).copied().collect();
        world.refused(program, request, &wrong, Refusal::WrongKind { place: 0, found });
        let none = Refusal::NoCapability { place: 0 };
        world.refused(other, request, slots, none);
    }
    // With it, whoever it is.
    world.delete(program, A);
    world.ask(program, right(Rights::USE), &[B, ACCOUNT_SLOT]).unwrap();
    world.copy((program, A), (other, A));
    granted(&mut world, other, SUSPEND, &[A]);
    assert_eq!(fault(&mut world, program, &start), Stopped::Here);
    granted(&mut world, other, READ, &[A]);
    granted(&mut world, other, RESUME, &[A]);
    granted(&mut world, other, Request::BindThread {}, &[A, D]);
    // One that has ended.
    let end = Request::EndThread { code: 5, own: false };
    world.ask(program, end, &[B]).unwrap();
    for (request, slots) in controls() {
        let ended = Refusal::WrongState { state: State::Exited };
        world.refused(program, request, slots, ended);
    }
    world.finish(program, Request::Destroy {}, &[B]);
    for (request, slots) in controls() {
        world.refused(program, request, slots, Refusal::NoCapability { place: 0 });
    }
}

/// A220: where the kernel refuses it, a thread is not suspended, or not resumed, and the same
/// request does it later.
#[test]
fn a_thread_that_the_kernel_does_not_suspend_runs() {
    for error in [KernelError::IllegalOperation, KernelError::NotEnoughMemory] {
        let (mut world, program) = one();
        let start = begin(&mut world, program, A, FaultPolicy::Program);
        for (request, was, home) in
            [(SUSPEND, State::Running, true), (RESUME, State::Suspending, false)]
        {
            world.fixture.kernel().fail_nth(1, error);
            let answer = world.ask(program, request, &[A]);
            assert!(!world.fixture.kernel().disarm(), "{request:?} makes a call");
            assert!(matches!(answer, Err(Refusal::OutOfMemory {} | Refusal::Internal {})));
            assert_eq!(state(&mut world, program, A), was);
            assert_eq!(is_at_home(&world, program, &start), home);
            assert_eq!(granted(&mut world, program, request, &[A]), None);
        }
        assert_eq!(state(&mut world, program, A), State::Running);
    }
}
