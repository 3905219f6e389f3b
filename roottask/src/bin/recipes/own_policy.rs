// SPDX-License-Identifier: BSD-2-Clause
//! A policy of one's own: what becomes of a thread whose fault cannot be resolved.

use core::sync::atomic::{AtomicUsize, Ordering};

use roottask::{check_eq, Manager, Outcome, Thread, ThreadOptions};
use sel4::{cap, Word};
use sel4_root_task::{debug_print, debug_println};
use vmm::sel4::faults::{Incident, SharedManager, ThreadFault, Verdict};
use vmm::{Blueprint, CPtr};

pub type Policy = fn(&mut Manager, &Incident<'_>) -> Verdict;

/// The address that was touched last, and the notification that tells of it.
static TOUCHED: AtomicUsize = AtomicUsize::new(0);
static NEWS: AtomicUsize = AtomicUsize::new(0);

/// Runs in the handler's thread: it is quick, and never locks the manager, which it is given.
pub fn policy(_: &mut Manager, incident: &Incident<'_>) -> Verdict {
    // Who, what, where, and what lies there: a report for a person.
    debug_print!("{incident}");
    if let ThreadFault::Page(fault) = incident.fault {
        TOUCHED.store(fault.address, Ordering::Release);
    }
    // The thread stays where it is, and the notification is signalled.
    Verdict::HandTo(CPtr::new(NEWS.load(Ordering::Relaxed)))
}

sel4::thread_entry! {
    fn wild(address: usize, _: usize) -> ! {
        // SAFETY: nothing is mapped at the address, so nothing is read: the thread stops here.
        unsafe { (address as *const u8).read_volatile() };
        unreachable!()
    }
}

pub fn recipe(manager: &SharedManager, endpoint: CPtr) -> Outcome {
    const WILD: usize = 0x7fff_0123;
    let options = ThreadOptions::new("wild").answered_at(endpoint);
    let mut vmm = manager.lock();
    let news = vmm.allocate(Blueprint::Notification)?;
    NEWS.store(news.slot().bits(), Ordering::Relaxed);
    let thread = Thread::new(&mut vmm, &options)?;
    drop(vmm);
    thread.start(wild, [WILD, 0])?;
    cap::Notification::from_bits(news.slot().bits() as Word).wait();
    check_eq!(TOUCHED.load(Ordering::Acquire), WILD);
    debug_println!("own policy: the thread was stopped, nobody else");
    let mut vmm = manager.lock();
    thread.release(&mut vmm)?;
    Ok(vmm.free(news)?)
}
