// SPDX-License-Identifier: BSD-2-Clause
//! A second thread, with a stack, an IPC buffer and thread-local storage of its own.

use core::sync::atomic::{AtomicUsize, Ordering};

use roottask::{check_eq, Outcome, Thread, ThreadOptions};
use sel4::{cap, Word};
use sel4_root_task::debug_println;
use vmm::sel4::faults::SharedManager;
use vmm::Blueprint;

static SUM: AtomicUsize = AtomicUsize::new(0);

sel4::thread_entry! {
    /// Adds up the numbers below `count`, and signals the notification in the slot `done`.
    fn add_up(count: usize, done: usize) -> ! {
        SUM.store((0..count).sum(), Ordering::Release);
        cap::Notification::from_bits(done as Word).signal();
        // A thread has nowhere to return to: it waits until it is released.
        loop {
            sel4::r#yield();
        }
    }
}

pub fn recipe(manager: &SharedManager) -> Outcome {
    // The lock is given back before this thread waits for the other.
    let (thread, done) = {
        let vmm = &mut *manager.lock();
        (Thread::new(vmm, &ThreadOptions::new("adder"))?, vmm.allocate(Blueprint::Notification)?)
    };
    thread.start(add_up, [101, done.slot().bits()])?;
    cap::Notification::from_bits(done.slot().bits() as Word).wait();
    check_eq!(SUM.load(Ordering::Acquire), 5050);
    debug_println!("threads: another thread added up");

    let vmm = &mut *manager.lock();
    thread.release(vmm)?;
    Ok(vmm.free(done)?)
}
