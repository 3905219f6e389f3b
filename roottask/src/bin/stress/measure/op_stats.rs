// SPDX-License-Identifier: BSD-2-Clause
//! Operations by kind: how many, how many refused as they should be, and what the worst one cost.
//! And what those of each phase cost.

use alloc::vec;
use alloc::vec::Vec;

use sel4_root_task::{debug_print, debug_println};

use super::histogram::Histogram;

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
    Reserve "reserve", Map "map", MapLarge "map large", Promote "promote", Populate "populate", PopulateFrom "populate from", Unmap "unmap", Decommit "decommit",
    Protect "protect", Release "release", Split "split", Merge "merge", Move "move",
    Share "share", CloneRegion "clone region", CloneSpace "clone space", RestoreWriteAccess "restore write access",
    Fault "fault", CreateSpace "create space", DestroySpace "destroy space",
    Allocate "allocate", Free "free", TakeSlots "take slots", GiveSlots "give slots",
    Stack "stack", IpcBuffer "IPC buffer", SetIpcBuffer "set IPC buffer",
    ReleaseIpcBuffer "release IPC buffer", ThreadMemory "thread memory",
    AllocateThread "allocate thread", ReleaseThread "release thread", Register "register thread", Unregister "unregister thread",
    ThreadFault "thread fault", ThreadEnd "thread end", PagerCall "pager call",
    AddPager "add pager", RemovePager "remove pager", Supply "supply page",
    CreateClient "create client", LoadClient "load client", ClientRequest "client's request",
    ClientFault "client's fault", ClientEnd "client's end",
    CreateProgram "create program", Serve "serve programs", Write "write", Query "query",
    Trim "trim", Compact "compact", Quota "quota",
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
    /// It was wrong, but something was short before that was found.
    WrongAndShort,
}

#[derive(Clone, Copy, Default)]
struct Entry {
    done: u64,
    short: u64,
    refused: u64,
    /// Of those that were wrong, how many something was short for.
    wrong_and_short: u64,
    worst: u64,
    worst_at: u64,
}

/// The account of a run.
pub struct OpStats {
    entries: [Entry; Kind::NAMES.len()],
    /// One for each kind; had once.
    costs: Vec<Histogram>,
    /// One for each phase, with its name; had once.
    phases: Vec<(&'static str, Histogram)>,
    /// The place of the phase that is on, if it is one of them.
    phase: Option<usize>,
}

impl OpStats {
    /// Nothing done yet; the phases that there may be.
    pub fn new(phases: &[&'static str]) -> OpStats {
        OpStats {
            entries: [Entry::default(); Kind::NAMES.len()],
            costs: vec![Histogram::new(); Kind::NAMES.len()],
            phases: phases.iter().map(|&name| (name, Histogram::new())).collect(),
            phase: None,
        }
    }

    /// From here on operations are of this phase.
    pub fn set_phase(&mut self, phase: &'static str) {
        self.phase = self.phases.iter().position(|&(name, _)| name == phase);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.entries.fill(Entry::default());
        self.costs.iter_mut().for_each(Histogram::clear);
        self.phases.iter_mut().for_each(|(_, costs)| costs.clear());
    }

    /// Notes the operation with this number.
    pub fn note(&mut self, kind: Kind, number: u64, end: End, ticks: u64) {
        let entry = &mut self.entries[kind as usize];
        match end {
            End::Done => entry.done += 1,
            End::Short => entry.short += 1,
            End::Refused => entry.refused += 1,
            End::WrongAndShort => entry.wrong_and_short += 1,
        }
        self.costs[kind as usize].count(ticks);
        if let Some(phase) = self.phase {
            self.phases[phase].1.count(ticks);
        }
        if ticks > entry.worst {
            (entry.worst, entry.worst_at) = (ticks, number);
        }
    }

    /// How many faults were resolved: as if a thread had made them, and those of threads.
    pub fn faults(&self) -> u64 {
        [Kind::Fault, Kind::ThreadFault, Kind::ClientFault]
            .map(|kind| self.entries[kind as usize].done)
            .iter()
            .sum()
    }

    /// One line for each kind there was; `unit` is what costs are in.
    pub fn print(&self, unit: &str) {
        debug_println!(
            "stress: {:<20} {:>10} {:>9} {:>9} {:>14}  in operation; cost in {unit}",
            "operation",
            "done",
            "short",
            "refused",
            "worst cost",
        );
        let (mut wrong, mut met) = (0, 0);
        for (entry, name) in self.entries.iter().zip(Kind::NAMES) {
            let Entry { done, refused, worst, worst_at, .. } = entry;
            let short = entry.short + entry.wrong_and_short;
            if done + short + refused != 0 {
                debug_println!(
                    "stress: {name:<20} {done:>10} {short:>9} {refused:>9} {worst:>14}  {worst_at}"
                );
            }
            (wrong, met) = (wrong + refused + entry.wrong_and_short, met + refused);
        }
        debug_println!(
            "stress: {wrong} requests were wrong: {met} refused as they must be, {} because something \
             was short before",
            wrong - met
        );
    }

    /// The same and all costs, for the report.
    pub fn print_data(&self) {
        for ((entry, costs), name) in self.entries.iter().zip(&self.costs).zip(Kind::NAMES) {
            let Entry { done, short, refused, wrong_and_short, worst, worst_at } = entry;
            if done + short + refused + wrong_and_short == 0 {
                continue;
            }
            debug_print!(
                "stress-data: {{\"operation\":\"{name}\",\"done\":{done},\"short\":{short},\
                 \"refused\":{refused},\"wrong_and_short\":{wrong_and_short},\"worst\":{worst},\
                 \"worst_at\":{worst_at},"
            );
            print_costs(costs);
        }
        for (name, costs) in &self.phases {
            if costs.buckets().next().is_some() {
                debug_print!("stress-data: {{\"of_phase\":\"{name}\",");
                print_costs(costs);
            }
        }
    }
}

/// The last field of an object, and its end.
fn print_costs(costs: &Histogram) {
    debug_print!("\"costs\":[");
    for (index, (first, next, count)) in costs.buckets().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        debug_print!("{comma}[{first},{next},{count}]");
    }
    debug_println!("]}}");
}
