// SPDX-License-Identifier: BSD-2-Clause
//! What was handed out, and that it came back.

use core::fmt;

use roottask::Manager;
use vmm::{Invocation, Stats};

/// The manager's statistics at one moment.
pub struct Account(Stats);

/// What is free.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Free {
    bytes: usize,
    largest: usize,
    slots: usize,
}

/// What is in use now and was not at an earlier moment.
pub struct HandedOut {
    before: Stats,
    now: Stats,
}

impl Account {
    /// Takes the statistics.
    pub fn open(vmm: &Manager) -> Account {
        Account(vmm.stats())
    }

    /// What was free.
    pub fn free(&self) -> Free {
        Free {
            bytes: self.0.free_bytes(),
            largest: self.0.allocator.largest_free_bytes,
            slots: self.0.allocator.free_slots,
        }
    }

    /// What was handed out since.
    pub fn handed_out(&self, vmm: &Manager) -> HandedOut {
        HandedOut { before: self.0, now: vmm.stats() }
    }
}

impl fmt::Display for Free {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Free { bytes, largest, slots } = self;
        write!(f, "{bytes} bytes free, largest block {largest} bytes, {slots} slots free")
    }
}

impl fmt::Display for HandedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calls = self.now.calls.since(&self.before.calls);
        let (now, before) = (&self.now.allocator, &self.before.allocator);
        write!(
            f,
            "frames {}, page tables {}, threads {}, endpoints {}, notifications {}; \
             retypes {}, kernel calls {}, slots {}",
            now.live.frames[0] - before.live.frames[0],
            now.live.tables - before.live.tables,
            now.live.tcbs - before.live.tcbs,
            now.live.endpoints - before.live.endpoints,
            now.live.notifications - before.live.notifications,
            calls.of(Invocation::UntypedRetype),
            calls.total(),
            before.free_slots - now.free_slots,
        )
    }
}
