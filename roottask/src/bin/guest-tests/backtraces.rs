// SPDX-License-Identifier: BSD-2-Clause
//! Who had called whom, in a thread that asks for itself.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::hint::black_box;
use core::sync::atomic::{AtomicUsize, Ordering};

use roottask::{check_eq, Outcome};
use sel4::{Backtrace, Word};
use vmm::sel4::SpawnOptions;

use crate::arch::probe_call_from;
use crate::context::Context;

crate::table::tests!("backtraces":
    each_of_many_threads_knows_who_called_whom,
);

extern "C" fn callers_here() -> Word {
    black_box(Backtrace::of_this_thread()).callers().len() as Word
}

/// Calls itself so often, and then asks for the backtrace: how many functions had called each
/// other.
#[inline(never)]
fn callers(calls: usize) -> usize {
    match black_box(calls) {
        0 => callers_here() as usize,
        _ => black_box(callers(calls - 1)),
    }
}

/// A111, for 100 threads that are there at the same time: each names its callers, and finds out
/// that what was put in the place of the frame before the last lies beyond its stack, where nothing
/// is mapped.
fn each_of_many_threads_knows_who_called_whom(context: &mut Context) -> Outcome {
    const THREADS: usize = 100;
    const CALLS: usize = 5;
    let begun = Arc::new(AtomicUsize::new(0));
    let mut threads = Vec::new();
    for _ in 0..THREADS {
        let (begun, beyond) = (begun.clone(), Arc::new(AtomicUsize::new(0)));
        let beyond_stack = beyond.clone();
        let thread = context.vmm.spawn(&SpawnOptions::new(), move || {
            begun.fetch_add(1, Ordering::Relaxed);
            while begun.load(Ordering::Relaxed) < THREADS {
                sel4::r#yield();
            }
            let beyond = beyond_stack.load(Ordering::Relaxed);
            // SAFETY: the function has no arguments, and goes by frames only for a backtrace.
            (callers(CALLS), unsafe { probe_call_from(callers_here, beyond) })
        })?;
        // The next thread's guard comes behind it. No thread runs before this one waits.
        if let Some(memory) = thread.memory() {
            let region = context.vmm.region_info(memory.stack.region())?;
            beyond.store(region.range.end(), Ordering::Relaxed);
        }
        threads.push(thread);
    }
    let (mut named, mut ended) = (0, 0);
    for thread in threads {
        if let Ok((found, from_beyond)) = thread.join(&mut context.vmm) {
            named += usize::from(found > CALLS);
            ended += usize::from(from_beyond == 2);
        }
    }
    check_eq!((named, ended), (THREADS, THREADS));
    Ok(())
}
