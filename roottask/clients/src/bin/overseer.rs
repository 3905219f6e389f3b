// SPDX-License-Identifier: BSD-2-Clause
//! Looks after threads of its own: those that fault are looked at, stepped over or ended, others
//! are suspended in the middle of what they do and go on; one receives signals where it waits for
//! messages. A program that it starts is suspended with all its threads.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use sel4::{cap, MessageInfoBuilder, Word};
use vmm_client::handles::{
    empty_slot, mint_bit, take_slot, Account, Error, Handle, JoinHandle, Memory, Object, Program,
    Result, Thread,
};
use vmm_client::objects::{
    Amounts, FaultKind, FaultPolicy, ProgramOptions, Refusal, Registers, Rights, State,
    FIRST_FREE_SLOT, REGISTERS,
};
use vmm_client::{program, tell};
use vmm_clients::{load, load_instruction, set_loaded, undefined_instruction};

program!(main);

/// The priority of all its threads: its own.
const PRIORITY: u8 = 100;
/// What the program may have that it starts, and how many threads that has.
const CHILD: Amounts = Amounts([120, 120, 300, 40, 8, 80, 160, 0]);
const CHILD_THREADS: usize = 3;
/// Where nothing is.
const NOWHERE: usize = 0x10;

/// What the thread that counts has counted.
static COUNT: AtomicUsize = AtomicUsize::new(0);
/// How many calls were made, and how many have come.
static CALLED: AtomicUsize = AtomicUsize::new(0);
static CAME: AtomicUsize = AtomicUsize::new(0);
/// How many objects were made.
static MADE: AtomicUsize = AtomicUsize::new(0);
/// Whether those who call and make are to end.
static ENOUGH: AtomicBool = AtomicBool::new(false);
/// The badge of the signal that came.
static SIGNALLED: AtomicUsize = AtomicUsize::new(0);

fn main(program: &Program, rounds: usize) -> Result {
    // The file of the program that it starts.
    assert_eq!(take_slot()?, FIRST_FREE_SLOT);
    let file = Memory::from_slot(FIRST_FREE_SLOT);
    let account = program.account();
    let before = account.amounts()?.used;
    let (notification, told) = account.create_notification()?;
    let counter = program.spawn(1, PRIORITY, || loop {
        COUNT.fetch_add(1, Ordering::Relaxed);
        sel4::r#yield();
    })?;
    see_others_run();

    step_over(program, told)?;
    end_alone(program, told)?;
    try_wild_registers(program, told)?;
    suspend_and_resume(program, &account, (rounds, told))?;
    receive_signals(program, &account)?;
    suspend_program(program, &account, (&file, rounds / 10, told))?;

    see_others_run();
    end::<()>(counter)?;
    empty_slot(told);
    notification.destroy()?;
    assert_eq!(account.amounts()?.used, before);
    Ok(())
}

/// That the thread which counts goes on.
fn see_others_run() {
    let before = COUNT.load(Ordering::Relaxed);
    while COUNT.load(Ordering::Relaxed) < before + 3 {
        sel4::r#yield();
    }
}

/// Why a request was refused.
fn refusal<T>(result: Result<T>) -> Option<Refusal> {
    result.err().and_then(|error: Error| error.refusal())
}

/// A218 A219: a thread that reads what is not there is suspended alone, and has a value without it.
fn step_over(program: &Program, told: u32) -> Result {
    let (at, behind) = load_instruction();
    let reader = program.spawn_with(2, PRIORITY, FaultPolicy::Suspend, || load(NOWHERE))?;
    let status = reader.thread().wait(told)?;
    assert_eq!((status.state, status.fault), (State::Faulted, FaultKind::Read));
    assert_eq!((status.address, status.instruction), (NOWHERE, at));
    see_others_run();
    // Nothing was done about it, so the same comes again.
    reader.thread().resume()?;
    let again = reader.thread().wait(told)?;
    assert_eq!((again.state, again.instruction), (State::Faulted, at));
    let mut registers = reader.thread().registers()?;
    assert_eq!(registers.pc(), at);
    registers.set_pc(behind);
    set_loaded(&mut registers, 42);
    reader.thread().set_registers(registers)?;
    assert_eq!(reader.thread().registers()?.pc(), behind);
    reader.thread().resume()?;
    let found = reader.join()?;
    assert_eq!(found, Some(42));
    tell!("a thread read {NOWHERE:#x}, was stepped over that and found 42; another counted on");
    Ok(())
}

/// A218: threads whose faults end them, or who holds them does, and nobody else.
fn end_alone(program: &Program, told: u32) -> Result {
    let reader = program.spawn_with(2, PRIORITY, FaultPolicy::End, || load(NOWHERE))?;
    let status = reader.thread().wait(told)?;
    assert_eq!((status.state, status.gone), (State::Crashed, true));
    assert_eq!((status.fault, status.address), (FaultKind::Read, NOWHERE));
    assert_eq!(reader.join()?, None);
    see_others_run();
    let raiser = program.spawn_with(2, PRIORITY, FaultPolicy::Suspend, undefined_instruction)?;
    let status = raiser.thread().wait(told)?;
    assert_eq!((status.fault, status.code), (FaultKind::Exception, 6));
    raiser.thread().end(9)?;
    let refused = refusal(raiser.thread().registers());
    assert_eq!(refused, Some(Refusal::WrongState { state: State::Exited }));
    assert_eq!(raiser.join()?, None);
    see_others_run();
    tell!("a fault has ended a thread, and an exception another; the program goes on");
    Ok(())
}

/// A219: with registers that no program would have a thread has faults, and nobody else.
fn try_wild_registers(program: &Program, told: u32) -> Result {
    let high = 1 << (usize::BITS - 1);
    // The last is an address on x86_64 that cannot be, and one of the kernel's on IA32.
    let patterns = [0, 1, usize::MAX, high, high >> 1, !high, high | high >> 1, high >> 8 | 0xf00];
    let raiser = program.spawn_with(2, PRIORITY, FaultPolicy::Suspend, undefined_instruction)?;
    let mut faults = 0;
    for pattern in patterns {
        let status = raiser.thread().wait(told)?;
        assert_eq!(status.state, State::Faulted);
        let registers = Registers([pattern; REGISTERS]);
        let changed = raiser.thread().set_registers(registers.into());
        assert_eq!(changed, Ok(()));
        raiser.thread().resume()?;
        see_others_run();
        faults += 1;
    }
    raiser.thread().wait(told)?;
    end(raiser)?;
    tell!("{faults} times a thread went on with registers that no program would have, to a fault");
    Ok(())
}

/// A220: what threads do when they are suspended is done, and done once.
fn suspend_and_resume(
    program: &Program,
    account: &Account,
    (rounds, told): (usize, u32),
) -> Result {
    let (endpoint, slot) = account.create_endpoint()?;
    let callee = program.spawn(2, PRIORITY, move || {
        let endpoint = cap::Endpoint::from_bits(slot as Word);
        let answer = || MessageInfoBuilder::default().build();
        let _ = endpoint.recv(());
        loop {
            CAME.fetch_add(1, Ordering::Relaxed);
            sel4::r#yield();
            let _ = endpoint.reply_recv(answer(), ());
        }
    })?;
    let caller = program.spawn(2, PRIORITY, move || {
        while !ENOUGH.load(Ordering::Relaxed) {
            cap::Endpoint::from_bits(slot as Word).call(MessageInfoBuilder::default().build());
            CALLED.fetch_add(1, Ordering::Relaxed);
        }
    })?;
    // What it asks for twice has no empty slot the second time.
    let maker = program.spawn(2, PRIORITY, || -> Result {
        while !ENOUGH.load(Ordering::Relaxed) {
            Program::THIS.account().create_memory(1)?.destroy()?;
            MADE.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    })?;
    let mut stopped = 0;
    for round in 0..rounds {
        for (thread, done) in [(caller.thread(), &CALLED), (maker.thread(), &MADE)] {
            stopped += usize::from(suspend_once(thread, done, (round, told))?);
        }
    }
    ENOUGH.store(true, Ordering::Relaxed);
    caller.join()?;
    maker.join()?.expect("it has returned")?;
    let (called, came) = (CALLED.load(Ordering::Relaxed), CAME.load(Ordering::Relaxed));
    assert_eq!(called, came);
    assert!(stopped > rounds && called > 2 && MADE.load(Ordering::Relaxed) > 2);
    end(callee)?;
    empty_slot(slot);
    endpoint.destroy()?;
    tell!("{stopped} times threads were suspended in {called} calls, of which each came once");
    Ok(())
}

/// Ends a thread that would not.
fn end<T>(thread: JoinHandle<T>) -> Result {
    thread.thread().end(0)?;
    thread.join().map(|_| ())
}

/// Suspends a thread, sees that it does nothing then, and resumes it. Returns whether it was waited
/// for.
fn suspend_once(thread: &Thread, done: &AtomicUsize, (round, told): (usize, u32)) -> Result<bool> {
    for _ in 0..round % 7 {
        sel4::r#yield();
    }
    thread.suspend()?;
    let before = done.load(Ordering::Relaxed);
    let refused = refusal(thread.suspend());
    assert!(matches!(refused, Some(Refusal::WrongState { .. })));
    // It may be in a system call, of which it has not seen the end.
    let waits = round % 3 != 0;
    if waits {
        assert_eq!(thread.wait(told)?.state, State::Suspended);
        assert_ne!(thread.registers()?.pc(), 0);
        see_others_run();
    }
    assert_eq!(done.load(Ordering::Relaxed), before);
    thread.resume()?;
    let refused = refusal(thread.resume());
    assert_eq!(refused, Some(Refusal::WrongState { state: State::Running }));
    Ok(waits)
}

/// A217: a notification is bound to a further thread, and another one when that is undone.
fn receive_signals(program: &Program, account: &Account) -> Result {
    let (endpoint, slot) = account.create_endpoint()?;
    let receiver = program.spawn(2, PRIORITY, move || loop {
        let (_, badge) = cap::Endpoint::from_bits(slot as Word).recv(());
        SIGNALLED.store(badge as usize, Ordering::Release);
    })?;
    let thread = receiver.thread();
    let refused = refusal(thread.bind(slot));
    assert_eq!(refused, Some(Refusal::BadCapability { place: 1 }));
    assert_eq!(refusal(thread.unbind()), Some(Refusal::NotBound {}));
    for badge in [4, 8] {
        let (notification, own) = account.create_notification()?;
        let signal = mint_bit(own, badge)?;
        thread.bind(own)?;
        assert_eq!(refusal(thread.bind(own)), Some(Refusal::Bound {}));
        // It has one receiver.
        let refused = refusal(program.bind(own));
        assert_eq!(refused, Some(Refusal::BadCapability { place: 0 }));
        cap::Notification::from_bits(signal as Word).signal();
        while SIGNALLED.load(Ordering::Acquire) != badge {
            sel4::r#yield();
        }
        if badge == 4 {
            thread.unbind()?;
        }
        // What it is bound to ends, and so does that.
        [signal, own].into_iter().for_each(empty_slot);
        notification.destroy()?;
    }
    thread.unbind()?;
    end(receiver)?;
    empty_slot(slot);
    endpoint.destroy()?;
    tell!("a further thread has received signals of two notifications, one after the other");
    Ok(())
}

/// A250 A252 A253 A254: a program does nothing while it is suspended, with all its threads, and
/// each of them goes on when it is resumed; its first thread is suspended alone, until nobody holds
/// it.
fn suspend_program(
    program: &Program,
    account: &Account,
    (file, rounds, told): (&Memory, usize, u32),
) -> Result {
    let shared = account.create_memory(1)?;
    let mapping = program.space().map(&shared, Rights::READ_WRITE, account)?;
    // SAFETY: the page is there when it is touched, and holds atomic words that both have.
    let words = unsafe { &*(mapping.address() as *const [AtomicU32; CHILD_THREADS]) };
    let mut starting = account.begin_program("runner", file, CHILD, ProgramOptions::empty())?;
    starting.give("shared", &shared, Rights::READ_WRITE)?;
    let (child, space, its_account) = starting.start("count 3", PRIORITY)?;
    let counts = || words.each_ref().map(|word| word.load(Ordering::Relaxed));
    let all_count = |from: [u32; CHILD_THREADS]| {
        while counts().iter().zip(from).any(|(&count, from)| count == from) {
            sel4::r#yield();
        }
    };
    all_count([0; CHILD_THREADS]);
    let first = child.first_thread(account, FaultPolicy::Suspend)?;
    for round in 0..rounds {
        child.suspend()?;
        let before = counts();
        if round % 3 != 0 {
            assert_eq!(child.wait(told)?.state, State::Suspended);
            assert_ne!(first.registers()?.pc(), 0);
            see_others_run();
        }
        assert_eq!(counts(), before);
        let refused = refusal(child.suspend());
        assert!(matches!(refused, Some(Refusal::WrongState { .. })));
        child.resume()?;
        all_count(before);
    }
    first.suspend()?;
    assert_eq!(first.wait(told)?.state, State::Suspended);
    let before = counts();
    while counts()[1..].iter().zip(&before[1..]).any(|(count, before)| count == before) {
        sel4::r#yield();
    }
    assert_eq!(counts()[0], before[0]);
    first.destroy()?;
    all_count(before);
    // It ends where it is.
    child.suspend()?;
    child.kill()?;
    child.remove(space, its_account)?;
    mapping.unmap()?;
    shared.destroy()?;
    tell!("{rounds} times a program was suspended with its {CHILD_THREADS} threads, and went on");
    tell!("its first thread was suspended alone, and went on when nobody held it");
    Ok(())
}
