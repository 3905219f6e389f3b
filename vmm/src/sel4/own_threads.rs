// SPDX-License-Identifier: BSD-2-Clause
//! Threads of the manager's own space by the badges of their faults: what the fault handler must
//! know of a thread while another has the manager.
//!
//! ```text
//!   badge ─► TCB      noted when a thread is registered
//!   TCB ─► IPC buffer noted when a thread is given one; the initial thread's from the boot
//!                     information
//! ```
//!
//! Both are tables without a lock, of which an entry is overwritten by another with the same
//! remainder. A thread that is not found is one of which nothing is known.

use core::sync::atomic::{AtomicUsize, Ordering};

const ENTRIES: usize = 256;

struct Table([(AtomicUsize, AtomicUsize); ENTRIES]);

impl Table {
    const fn new() -> Table {
        Table([const { (AtomicUsize::new(0), AtomicUsize::new(0)) }; ENTRIES])
    }

    /// The key is 0 while the value changes, so that nobody takes the one for the other's.
    fn note(&self, key: usize, value: usize) {
        let (known, of) = &self.0[key % ENTRIES];
        known.store(0, Ordering::Release);
        of.store(value, Ordering::Release);
        known.store(key, Ordering::Release);
    }

    fn find(&self, key: usize) -> Option<usize> {
        let (known, of) = &self.0[key % ENTRIES];
        (key != 0 && known.load(Ordering::Acquire) == key).then(|| of.load(Ordering::Acquire))
    }
}

static TCBS: Table = Table::new();
static BUFFERS: Table = Table::new();

/// Notes that faults of the thread with this TCB come with this badge.
pub(super) fn note_badge(badge: usize, tcb: usize) {
    TCBS.note(badge, tcb);
}

/// Notes where the IPC buffer of the thread with this TCB is.
pub(super) fn note_buffer(tcb: usize, address: usize) {
    BUFFERS.note(tcb, address);
}

/// The address of the IPC buffer of the thread whose faults come with this badge, if it is a thread
/// of the manager's own space and both are known.
pub(super) fn buffer_of(badge: usize) -> Option<usize> {
    BUFFERS.find(TCBS.find(badge)?)
}
