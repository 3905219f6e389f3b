//! Operations by kind: how many, how many refused as they should be, and what the worst one cost.

use sel4_root_task::debug_println;

macro_rules! kinds {
    ($($kind:ident $name:literal),* $(,)?) => {
        /// What an operation is.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Kind {
            $(
                #[doc = $name]
                $kind
            ),*
        }

        impl Kind {
            const NAMES: &'static [&'static str] = &[$($name),*];
        }
    };
}

kinds! {
    Reserve "reserve", Map "map", MapLarge "map large", Populate "populate", Unmap "unmap",
    Protect "protect", Release "release", Split "split", Merge "merge", Move "move",
    Share "share", CloneRegion "clone region", CloneSpace "clone space", Settle "settle",
    Fault "fault", CreateSpace "create space", DestroySpace "destroy space",
    Allocate "allocate", Free "free", TakeSlots "take slots", GiveSlots "give slots",
    Stack "stack", IpcBuffer "IPC buffer", SetIpcBuffer "set IPC buffer",
    ReleaseIpcBuffer "release IPC buffer", ThreadMemory "thread memory",
    ReleaseThread "release thread", Query "query", Trim "trim", Quota "quota",
}

impl Kind {
    /// Its name, for people.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// How an operation ended that was as it should be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// It was done.
    Done,
    /// Something was short; it may succeed another time.
    Short,
    /// It was wrong, and refused as it must be.
    Refused,
}

#[derive(Clone, Copy, Default)]
struct Entry {
    done: u64,
    short: u64,
    refused: u64,
    worst: u64,
    worst_at: u64,
}

/// The account of a run.
pub struct Ledger {
    entries: [Entry; Kind::NAMES.len()],
}

impl Ledger {
    /// Nothing done yet.
    pub fn new() -> Ledger {
        Ledger { entries: [Entry::default(); Kind::NAMES.len()] }
    }

    /// Notes the operation with this number.
    pub fn note(&mut self, kind: Kind, number: u64, end: End, ticks: u64) {
        let entry = &mut self.entries[kind as usize];
        match end {
            End::Done => entry.done += 1,
            End::Short => entry.short += 1,
            End::Refused => entry.refused += 1,
        }
        if ticks > entry.worst {
            (entry.worst, entry.worst_at) = (ticks, number);
        }
    }

    /// How many faults were resolved.
    pub fn faults(&self) -> u64 {
        self.entries[Kind::Fault as usize].done
    }

    /// One line for each kind there was.
    pub fn print(&self) {
        debug_println!(
            "stress: {:<20} {:>10} {:>9} {:>9} {:>14}  in operation",
            "operation",
            "done",
            "short",
            "refused",
            "worst (ticks)"
        );
        for (entry, name) in self.entries.iter().zip(Kind::NAMES) {
            let Entry { done, short, refused, worst, worst_at } = entry;
            if done + short + refused != 0 {
                debug_println!(
                    "stress: {name:<20} {done:>10} {short:>9} {refused:>9} {worst:>14}  {worst_at}"
                );
            }
        }
    }
}
