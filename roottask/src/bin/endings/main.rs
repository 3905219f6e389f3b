// SPDX-License-Identifier: BSD-2-Clause
//! Mistakes after which a program cannot go on: each must end it with a sentence, and none may
//! leave it hanging. `run.sh endings -- CASE` makes one of them; test.sh knows what must be said.
#![no_std]
#![no_main]

use core::hint::black_box;
use core::sync::atomic::{AtomicUsize, Ordering};

use roottask::{check, Arguments, Manager, Outcome};
use sel4::init_thread::slot;
use sel4::{cap, MessageInfoBuilder, Word};
use sel4_root_task::{abort, debug_print, debug_println, root_task, Never};
use vmm::sel4::faults::{start, HandlerOptions, Incident, PagerCall, SharedManager, Verdict};
use vmm::sel4::{start as start_manager, BootPool};
use vmm::{Backing, Blueprint, RegionOptions, ThreadCSpace};

static POOL: BootPool<32> = BootPool::new();
static MANAGER: SharedManager = SharedManager::new();

/// What the policy does with the first fault that it is told of.
type Policy = fn(&mut Manager, &Incident<'_>) -> Verdict;

/// A region of two pages, of which nothing is mapped.
static LAZY: AtomicUsize = AtomicUsize::new(0);

/// What main knows its memory by as a pager, and the capability by which it calls.
const TOKEN: u32 = 1;
static CALLS: AtomicUsize = AtomicUsize::new(0);

#[root_task(heap_size = 64 * 1024)]
fn main(bootinfo: &sel4::BootInfoPtr) -> Outcome<Never> {
    let arguments = Arguments::read()?;
    let case = arguments.words().next().unwrap_or("");
    let (policy, act): (Policy, fn()) = match case {
        // A50.
        "locked-twice" => (report, lock_twice),
        // A51.
        "touched-under-lock" => (report, touch_under_lock),
        "guard-hit-under-lock" => (report, overflow_under_lock),
        // A90.
        "pager-calls-under-lock" => (report, call_under_lock),
        // A50.
        "policy-locks" => (lock_in_policy, touch_null),
        // A52.
        "policy-faults" => (fault_in_policy, touch_null),
        "policy-overflows" => (overflow_in_policy, touch_null),
        "policy-raises" => (raise_in_policy, touch_null),
        // A53.
        "main-overflows" => (report, overflow),
        "main-overflowed-before" => {
            debug_println!("endings: {case}");
            use_guard_of_main();
            (report, overflow)
        }
        // A111.
        "faults-deep" => (report, fault_deep),
        "panics-deep" => (report, panic_deep),
        _ => abort!("no such case: {case}"),
    };
    let mut vmm = start_manager(bootinfo, &POOL)?;
    let own = vmm.own_space();
    let lazy = RegionOptions::new(2).named("lazy").backed(Backing::OnDemand { around: 1 });
    LAZY.store(vmm.reserve(own, &lazy)?.start().bits(), Ordering::Relaxed);
    MANAGER.share(vmm)?;
    let tcb = slot::TCB.into();
    let mut main = None;
    let handler = start(&MANAGER, &HandlerOptions::default(), policy, |vmm, handler| {
        let id = vmm.register_thread(own, tcb, handler.endpoint(), "main")?;
        main = Some(id);
        // Main is a pager as well, of memory that nobody has.
        let told = vmm.allocate(Blueprint::Notification)?;
        let calls = handler.add_pager(vmm, TOKEN, told.slot(), own)?;
        CALLS.store(calls.bits(), Ordering::Relaxed);
        handler.note_pager_thread(vmm, TOKEN, id)
    });
    let (Ok(_), Some(id)) = (handler, main) else { abort!("no handler was started") };

    let mut vmm = MANAGER.lock();
    let faults = vmm.thread(id)?.fault_endpoint;
    vmm.set_thread_space(tcb, own, ThreadCSpace::Manager, faults)?;
    drop(vmm);
    // The handler does its work while all is well.
    touch(LAZY.load(Ordering::Relaxed));
    check!(MANAGER.lock().mapping_at(own, LAZY.load(Ordering::Relaxed))?.is_some());
    debug_println!("endings: {case}");
    act();
    debug_println!("endings: nothing happened");
    abort!("{case} went unnoticed")
}

fn touch(address: usize) {
    // SAFETY: memory of a region of ours, or an address where nothing ever is: then it faults.
    unsafe { (black_box(address) as *mut u32).write_volatile(1) };
}

fn touch_null() {
    touch(0x123 & !3);
}

/// Uses 64 KiB of stack and more: all that main has.
#[inline(never)]
fn dig(levels: usize) -> usize {
    let frame = black_box([levels; 64]);
    match levels {
        0 => 0,
        _ => dig(levels - 1) + frame[63],
    }
}

/// As a frame does that lies across the end of the stack.
fn use_guard_of_main() {
    extern "C" {
        /// Where the guard begins, where the stack does, and where it ends: by the runtime.
        static __start_sel4_root_task_stack: [usize; 3];
    }
    // SAFETY: three words that nobody writes.
    let [guard, bottom, _] = unsafe { __start_sel4_root_task_stack };
    touch((guard + bottom) / 2);
}

fn overflow() {
    black_box(dig(300));
}

/// Calls three deep: what is called last does not come back.
#[inline(never)]
fn climb(fall: fn()) -> usize {
    black_box(step(fall)) + 1
}

#[inline(never)]
fn step(fall: fn()) -> usize {
    black_box(fall)();
    // Something is left to do, or this would be no caller.
    black_box(1)
}

#[inline(never)]
fn fall_to_null() {
    touch_null();
}

#[inline(never)]
fn fall_by_panic() {
    panic!("fell");
}

fn fault_deep() {
    black_box(climb(fall_to_null));
}

fn panic_deep() {
    black_box(climb(fall_by_panic));
}

fn lock_twice() {
    let first = MANAGER.lock();
    let second = MANAGER.lock();
    black_box((first.own_space(), second.own_space()));
}

fn touch_under_lock() {
    let guard = MANAGER.lock();
    touch(LAZY.load(Ordering::Relaxed) + 4096);
    black_box(guard.own_space());
}

fn overflow_under_lock() {
    let guard = MANAGER.lock();
    overflow();
    black_box(guard.own_space());
}

/// Asks for the next request, of which there is none.
fn call_handler() -> Word {
    let info = MessageInfoBuilder::default().label(PagerCall::Next as Word).length(2).build();
    sel4::with_ipc_buffer_mut(|buffer| buffer.msg_regs_mut()[..2].fill(0));
    let calls = CALLS.load(Ordering::Relaxed) as Word;
    cap::Endpoint::from_bits(calls).call(info);
    sel4::with_ipc_buffer(|buffer| buffer.msg_regs()[0])
}

fn call_under_lock() {
    if call_handler() != 0 {
        abort!("without the lock, a call is answered");
    }
    let guard = MANAGER.lock();
    call_handler();
    black_box(guard.own_space());
}

/// The policy that should be: it says what happened, and ends the program.
fn report(_: &mut Manager, incident: &Incident<'_>) -> Verdict {
    debug_print!("{incident}");
    abort!("main cannot go on")
}

/// It has the manager already.
fn lock_in_policy(_: &mut Manager, _: &Incident<'_>) -> Verdict {
    black_box(MANAGER.lock().own_space());
    Verdict::Suspend
}

fn fault_in_policy(_: &mut Manager, _: &Incident<'_>) -> Verdict {
    touch_null();
    Verdict::Suspend
}

fn overflow_in_policy(_: &mut Manager, _: &Incident<'_>) -> Verdict {
    overflow();
    Verdict::Suspend
}

fn raise_in_policy(_: &mut Manager, _: &Incident<'_>) -> Verdict {
    // SAFETY: an instruction that does not exist: the thread goes no further.
    unsafe { core::arch::asm!("ud2", options(noreturn)) }
}
