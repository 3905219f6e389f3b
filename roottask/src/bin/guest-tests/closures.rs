// SPDX-License-Identifier: BSD-2-Clause
//! Closures as threads, and what threads wait for each other with: a mutex, a condition.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};

use roottask::{check, check_eq, Failure, Outcome};
use sel4::{cap, CapRights, Condvar, Fault, Mutex, ObjectBlueprint};
use vmm::sel4::faults::SharedManager;
use vmm::sel4::{JoinError, JoinHandle, SpawnOptions};
use vmm::{Blueprint, Pages, RegionOptions, TlsImage, PAGE_BYTES};

use crate::arch::{set_first, thread_locals};
use crate::context::Context;
use crate::probe::{set_word, word};

crate::table::tests!("closures":
    a_closure_runs_with_what_it_captured_and_its_result_is_joined,
    results_of_any_size_and_alignment_are_returned,
    a_closure_has_thread_locals_of_its_own,
    the_threads_name_and_stack_are_as_asked,
    a_thread_that_faults_is_told_to_who_joins_it,
    an_overflow_of_its_stack_is_a_fault_at_its_guard,
    what_cannot_be_made_leaves_nothing_behind,
    a_signal_does_not_end_the_wait_for_a_thread,
    a_mutex_lets_one_thread_at_a_time_reach_the_value,
    a_condition_wakes_as_many_threads_as_it_is_told_to,
    a_queue_between_threads_keeps_its_order,
    threads_map_and_unmap_through_a_shared_manager,
);

/// The result of a thread.
fn joined<T>(context: &mut Context, thread: JoinHandle<T>) -> Outcome<T> {
    thread.join(&mut context.vmm).map_err(|error| {
        sel4_root_task::debug_println!("  {error}");
        Failure::Check { what: "a thread is joined", file: file!(), line: line!() }
    })
}

fn a_closure_runs_with_what_it_captured_and_its_result_is_joined(context: &mut Context) -> Outcome {
    let words = Box::new([3usize, 4, 5]);
    let mut product = 2;
    let options = SpawnOptions::new().named("product");
    let thread = context.vmm.spawn(&options, move || {
        product *= words.iter().product::<usize>();
        (product, words)
    })?;
    let (product, words) = joined(context, thread)?;
    check_eq!((product, *words), (120, [3, 4, 5]));
    Ok(())
}

#[repr(align(64))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Wide([u8; 192]);

fn results_of_any_size_and_alignment_are_returned(context: &mut Context) -> Outcome {
    let options = SpawnOptions::new();
    let nothing = context.vmm.spawn(&options, || ())?;
    joined(context, nothing)?;
    let wide = context.vmm.spawn(&options, || {
        let wide = Wide([7; 192]);
        (core::ptr::from_ref(&wide) as usize % 64, wide)
    })?;
    check_eq!(joined(context, wide)?, (0, Wide([7; 192])));
    // More than the stack has that was asked for.
    let large = context.vmm.spawn(&options.stack(4), || [0x5au8; 5 * PAGE_BYTES]);
    let large = joined(context, large?)?;
    check!(large.iter().all(|&byte| byte == 0x5a));
    Ok(())
}

fn a_closure_has_thread_locals_of_its_own(context: &mut Context) -> Outcome {
    let image = TlsImage::of_this_program();
    check!(image.is_some_and(|image| image.init.len() <= image.memory_bytes));
    let before = thread_locals().0;
    let thread = context.vmm.spawn(&SpawnOptions::new(), || {
        let started = thread_locals().0;
        set_first(99);
        (started, thread_locals().0[0])
    })?;
    check_eq!(joined(context, thread)?, ([0x1122_3344, 0x5566_7788, 0], 99));
    check_eq!(thread_locals().0, before);
    Ok(())
}

fn the_threads_name_and_stack_are_as_asked(context: &mut Context) -> Outcome {
    let options = SpawnOptions::new().named("deep").stack(20).guarded(3);
    let thread = context.vmm.spawn(&options, || {
        let local = 0u8;
        core::ptr::from_ref(&local) as usize
    })?;
    let stack = thread.memory().map(|memory| memory.stack);
    let Some(stack) = stack else { return joined(context, thread).map(|_| ()) };
    let info = context.vmm.region_info(stack.region())?;
    let local = joined(context, thread)?;
    check!((stack.bottom()..stack.top()).contains(&local));
    check_eq!((info.name.as_str(), info.guard_below), ("deep", 3));
    check!(info.usable().pages() >= 20);
    Ok(())
}

fn a_thread_that_faults_is_told_to_who_joins_it(context: &mut Context) -> Outcome {
    let thread = context.vmm.spawn(&SpawnOptions::new(), || {
        // SAFETY: it faults, as nothing is mapped there.
        unsafe { (0x40 as *const u8).read_volatile() }
    })?;
    let Err(JoinError::Faulted(Fault::VmFault(fault))) = thread.join(&mut context.vmm) else {
        check!(false);
        return Ok(());
    };
    check_eq!(fault.addr(), 0x40);
    Ok(())
}

/// Uses more stack than there is.
#[inline(never)]
fn recurse(depth: usize) -> usize {
    let words = core::hint::black_box([depth; 64]);
    match depth {
        0 => words[0],
        _ => recurse(depth - 1) + words[63],
    }
}

fn an_overflow_of_its_stack_is_a_fault_at_its_guard(context: &mut Context) -> Outcome {
    let thread =
        context.vmm.spawn(&SpawnOptions::new().stack(2), || recurse(core::hint::black_box(100)))?;
    let guard = thread.memory().map(|memory| memory.stack.guard()..memory.stack.bottom());
    let Err(JoinError::Faulted(Fault::VmFault(fault))) = thread.join(&mut context.vmm) else {
        check!(false);
        return Ok(());
    };
    check!(guard.is_some_and(|guard| guard.contains(&(fault.addr() as usize))));
    Ok(())
}

/// Counts how often it is dropped.
struct Dropped(Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn what_cannot_be_made_leaves_nothing_behind(context: &mut Context) -> Outcome {
    let drops = Arc::new(AtomicUsize::new(0));
    let captured = Dropped(drops.clone());
    let refused = context.vmm.spawn(&SpawnOptions::new().stack(usize::MAX), move || {
        let _captured = &captured;
    });
    check!(matches!(refused, Err(vmm::sel4::Error::Manager(vmm::Error::NoRoom { .. }))));
    check_eq!(drops.load(Ordering::Relaxed), 1);
    let captured = Dropped(drops.clone());
    let thread = context.vmm.spawn(&SpawnOptions::new(), move || {
        let _captured = captured;
    })?;
    joined(context, thread)?;
    check_eq!(drops.load(Ordering::Relaxed), 2);
    Ok(())
}

/// A265: signals to who joins a thread are passed over: before it waits, and while it does.
fn a_signal_does_not_end_the_wait_for_a_thread(context: &mut Context) -> Outcome {
    let scratch = context.scratch(12, 8)?;
    scratch.retype(ObjectBlueprint::Notification, 0, 1)?;
    scratch.place(1).mint(&scratch.place(0), CapRights::all(), 4)?;
    let [plain, badged]: [cap::Notification; 2] = [scratch.cap(0), scratch.cap(1)];
    let tcb: cap::Tcb = sel4::init_thread::slot::TCB.cap();
    tcb.tcb_bind_notification(plain)?;
    let mut results = [0; 3];
    for (turn, result) in results.iter_mut().enumerate() {
        let thread = context.vmm.spawn(&SpawnOptions::new(), move || {
            for signal in [plain, badged, badged] {
                signal.signal();
                sel4::r#yield();
            }
            turn + 5
        })?;
        plain.signal();
        *result = joined(context, thread)?;
    }
    tcb.tcb_unbind_notification()?;
    check_eq!(results, [5, 6, 7]);
    Ok(())
}

fn a_mutex_lets_one_thread_at_a_time_reach_the_value(context: &mut Context) -> Outcome {
    const TIMES: usize = 200;
    let notification = context.vmm.allocate(Blueprint::Notification)?;
    let sum = Arc::new(Mutex::new("the sum", notification.cap(), (0usize, 0usize)));
    let mut threads = Vec::new();
    for priority in [254, 254, 253] {
        let sum = sum.clone();
        let options = SpawnOptions::new().priority(priority);
        threads.push(context.vmm.spawn(&options, move || {
            for _ in 0..TIMES {
                let mut guard = sum.lock();
                let (before, inside) = *guard;
                guard.1 = inside + 1;
                // Another thread of this priority runs now, and wants the value.
                sel4::r#yield();
                *guard = (before + 1, guard.1 - 1);
            }
        })?);
    }
    for thread in threads {
        joined(context, thread)?;
    }
    check_eq!(*sum.lock(), (3 * TIMES, 0));
    context.vmm.free(notification)?;
    Ok(())
}

/// Permits that are waited for, and how many have been taken.
type Permits = (Mutex<(usize, usize)>, Condvar);

fn a_condition_wakes_as_many_threads_as_it_is_told_to(context: &mut Context) -> Outcome {
    let notification = context.vmm.allocate(Blueprint::Notification)?;
    let endpoint = context.vmm.allocate(Blueprint::Endpoint)?;
    let permits: Arc<Permits> = Arc::new((
        Mutex::new("the permits", notification.cap(), (0, 0)),
        Condvar::new(endpoint.cap()),
    ));
    let mut threads = Vec::new();
    for priority in [254, 254, 253, 252] {
        let shared = permits.clone();
        let options = SpawnOptions::new().priority(priority);
        threads.push(context.vmm.spawn(&options, move || {
            let (mutex, condition) = &*shared;
            let mut guard = condition.wait_while(mutex.lock(), |(permits, _)| *permits == 0);
            *guard = (guard.0 - 1, guard.1 + 1);
        })?);
    }
    // None of them has run yet: this thread's priority is higher. They wait when it does.
    let helper = context.vmm.spawn(&SpawnOptions::new().priority(1), || ())?;
    joined(context, helper)?;
    let (mutex, condition) = &*permits;
    let mut guard = mutex.lock();
    guard.0 = 4;
    condition.notify_one(&mut guard);
    drop(guard);
    let helper = context.vmm.spawn(&SpawnOptions::new().priority(1), || ())?;
    joined(context, helper)?;
    check_eq!(*mutex.lock(), (3, 1));
    let mut guard = mutex.lock();
    condition.notify_all(&mut guard);
    drop(guard);
    for thread in threads {
        joined(context, thread)?;
    }
    check_eq!(*mutex.lock(), (0, 4));
    // Nobody waits: this is nothing, and does not wait for anybody either.
    condition.notify_one(&mut mutex.lock());
    context.vmm.free(endpoint)?;
    context.vmm.free(notification)?;
    Ok(())
}

fn a_queue_between_threads_keeps_its_order(context: &mut Context) -> Outcome {
    const ITEMS: usize = 100;
    let notification = context.vmm.allocate(Blueprint::Notification)?;
    let endpoint = context.vmm.allocate(Blueprint::Endpoint)?;
    let queue = Arc::new((
        Mutex::new("the queue", notification.cap(), Vec::new()),
        Condvar::new(endpoint.cap()),
    ));
    let mut threads = Vec::new();
    // The consumer waits before there is anything, or comes late.
    for (producer, consumer) in [(253, 254), (254, 253)] {
        let shared = queue.clone();
        let options = SpawnOptions::new();
        let consumer = context.vmm.spawn(&options.priority(consumer), move || {
            let (mutex, condition) = &*shared;
            (0..ITEMS).all(|item| {
                let mut guard = condition.wait_while(mutex.lock(), |items| items.is_empty());
                guard.remove(0) == item
            })
        })?;
        let shared = queue.clone();
        let producer = context.vmm.spawn(&options.priority(producer), move || {
            let (mutex, condition) = &*shared;
            for item in 0..ITEMS {
                let mut guard = mutex.lock();
                guard.push(item);
                condition.notify_one(&mut guard);
            }
        })?;
        joined(context, producer)?;
        threads.push(joined(context, consumer)?);
    }
    check_eq!(threads, [true, true]);
    context.vmm.free(endpoint)?;
    context.vmm.free(notification)?;
    Ok(())
}

/// The manager, while several threads have it.
static SHARED: SharedManager = SharedManager::new();
/// How often each of them maps and unmaps.
const ROUNDS: usize = 60;

/// A114.
fn threads_map_and_unmap_through_a_shared_manager(context: &mut Context) -> Outcome {
    // SAFETY: moved out, and in again below, before anybody looks at it.
    SHARED.share(unsafe { core::ptr::read(&context.vmm) })?;
    let outcome = share_the_work();
    match SHARED.unshare() {
        // SAFETY: what was there was moved out above.
        Ok(vmm) => unsafe { core::ptr::write(&mut context.vmm, vmm) },
        Err(error) => sel4_root_task::abort!("the manager does not come back: {error}"),
    }
    outcome
}

fn share_the_work() -> Outcome {
    let before = SHARED.lock().stats().calls.total();
    let mut threads = Vec::new();
    for number in 1..=5 {
        let options = SpawnOptions::new().named("shares");
        threads.push(SHARED.lock().spawn(&options, move || map_and_unmap(number))?);
    }
    let mut results = Vec::new();
    for mut thread in threads {
        // The others go on meanwhile, so the manager is not kept.
        thread.wait();
        results.push(thread.join(&mut SHARED.lock()));
    }
    check_eq!(results.len(), 5);
    check!(results.iter().all(|result| *result == Ok(Ok(ROUNDS))));
    // A page at least was mapped, and unmapped, in each round.
    check!(SHARED.lock().stats().calls.total() - before >= 2 * 5 * ROUNDS as u64);
    Ok(())
}

/// How many rounds went as they should.
fn map_and_unmap(number: usize) -> vmm::Result<usize> {
    let own = SHARED.lock().own_space();
    for round in 0..ROUNDS {
        let pages = 1 + (round + number) % 5;
        let region = SHARED.lock().map(own, &RegionOptions::new(pages).guarded(1, 1))?;
        let vmm = SHARED.lock();
        let first = vmm.pages_of(region)?.start().bits();
        if round % 3 == 0 {
            // The others come to wait for it.
            sel4::r#yield();
        }
        drop(vmm);
        let at = |page: usize| first + page * PAGE_BYTES;
        let stamp = |page: usize| number << 16 | round << 4 | page;
        if (0..pages).any(|page| word(at(page)) != 0) {
            return Ok(round);
        }
        (0..pages).for_each(|page| set_word(at(page), stamp(page) as sel4::Word));
        sel4::r#yield();
        if (0..pages).any(|page| word(at(page)) as usize != stamp(page)) {
            return Ok(round);
        }
        if round % 2 == 0 {
            SHARED.lock().unmap(own, Pages::at(first).count(pages))?;
        }
        SHARED.lock().release(region)?;
    }
    Ok(ROUNDS)
}
