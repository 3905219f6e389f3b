// SPDX-License-Identifier: BSD-2-Clause
//! The data of the report, printed as it arises: one JSON object a line, behind `stress-data: `.
//!
//! Nothing is kept for it but what is counted anyway, and nothing is allocated.

use roottask::Manager;
use sel4_root_task::{debug_print, debug_println};
use vmm::{CallCounts, Invocation};

use super::memory_map::MemoryMap;
use crate::input::Settings;
use crate::measure::OpStats;

/// Operations between two samples, at first.
const INTERVAL: u64 = 128;
/// After as many samples the interval is doubled, so that a long run does not drown in them.
const SAMPLES: u64 = 500;
/// By which part less must be free than on the fullest map so far, to be worth another.
const FULLER: usize = 8;

/// Where a run is.
pub struct Moment {
    /// The number of the operation.
    pub number: u64,
    /// Its phase.
    pub phase: &'static str,
    /// Ticks since the start.
    pub ticks: u64,
    /// Pages mapped in all spaces.
    pub live_pages: usize,
    /// Faults resolved so far.
    pub faults: u64,
}

/// Prints the data.
pub struct Reporter {
    map: MemoryMap,
    interval: u64,
    next: u64,
    left: u64,
    /// Free bytes on the fullest map so far.
    fullest: usize,
    /// Whether the operations were told.
    ended: bool,
}

impl Reporter {
    /// To be made before the run begins.
    pub fn new(vmm: &Manager) -> Reporter {
        let map = MemoryMap::new(vmm);
        let fullest = usize::MAX;
        Reporter { map, interval: INTERVAL, next: 0, left: SAMPLES, fullest, ended: false }
    }

    /// The run begins.
    pub fn begin(&mut self, vmm: &mut Manager, settings: &Settings, unit: &str, moment: &Moment) {
        let stats = vmm.stats();
        self.fullest = stats.free_bytes();
        debug_println!(
            "stress-data: {{\"run\":{{\"seed\":{},\"validate\":{},\"icount\":{},\"unit\":\"{unit}\",\
             \"total_bytes\":{},\"bookkeeping_bytes\":{}}}}}",
            settings.seed,
            settings.validate,
            settings.icount,
            stats.allocator.total_bytes,
            stats.bookkeeping_bytes,
        );
        self.sample(vmm, moment);
        self.print_map(vmm, "start", moment);
    }

    /// Looks whether there is something to tell.
    pub fn look(&mut self, vmm: &mut Manager, moment: &Moment) {
        if moment.number >= self.next {
            self.sample(vmm, moment);
        }
        let stats = vmm.stats();
        if stats.free_bytes() < self.fullest - self.fullest / FULLER {
            self.fullest = stats.free_bytes();
            self.print_map(vmm, "fullest", moment);
        }
    }

    fn sample(&mut self, vmm: &Manager, moment: &Moment) {
        self.next = moment.number + self.interval;
        self.left -= 1;
        if self.left == 0 {
            (self.interval, self.left) = (2 * self.interval, SAMPLES);
        }
        let stats = vmm.stats();
        debug_println!(
            "stress-data: {{\"sample\":[{},{},{},{},{},{},{},{},{},\"{}\"]}}",
            moment.number,
            moment.ticks,
            stats.free_bytes(),
            stats.allocator.untyped_bytes,
            stats.allocator.largest_free_bytes,
            stats.allocator.fragmentation_permille(),
            moment.live_pages,
            moment.faults,
            stats.calls.total(),
            moment.phase,
        );
    }

    /// Prints a map of physical memory.
    pub fn print_map(&mut self, vmm: &mut Manager, name: &str, moment: &Moment) {
        let stats = vmm.stats();
        debug_print!(
            "stress-data: {{\"map\":\"{name}\",\"operation\":{},\"phase\":\"{}\",\"free_bytes\":{},\
             \"spaces\":{},",
            moment.number,
            moment.phase,
            stats.free_bytes(),
            stats.spaces,
        );
        self.map.print(vmm);
    }

    /// The run is over. Said once.
    pub fn end(&mut self, op_stats: &OpStats, calls: &CallCounts) {
        if core::mem::replace(&mut self.ended, true) {
            return;
        }
        op_stats.print_data();
        debug_print!("stress-data: {{\"calls\":{{");
        for (index, &invocation) in Invocation::ALL.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            debug_print!("{comma}\"{invocation:?}\":{}", calls.of(invocation));
        }
        debug_println!("}}}}");
    }
}
