// SPDX-License-Identifier: BSD-2-Clause
//! One operation: numbered, timed, judged; progress while it goes well, a report when it does not.

use alloc::boxed::Box;
use core::fmt;

use roottask::{check, Failure, Manager, Outcome};
use sel4_root_task::{debug_print, debug_println};
use vmm::{Blame, CallCounts, Error, RegionOptions, SpaceId};
use vmm_service::objects::Server;

use super::host::Host;
use super::pacing::Pacing;
use crate::input::{asked_to_finish, Random, Settings};
use crate::measure::{ticks, Clock, End, Kind, OpStats};
use crate::model::Expected;
use crate::report::{Moment, Reporter};

/// Operations between two looks at the clock.
const LOOK: u64 = 32;

/// A stress run.
pub struct Stress {
    /// What is driven.
    pub vmm: Manager,
    /// What decides.
    pub random: Random,
    /// What must be there.
    pub expected: Expected,
    /// The service, once it was made.
    pub host: Option<Host>,
    /// The server of programs that have their objects by capabilities, once it was made.
    pub server: Option<Box<Server>>,
    /// What clears memory beside the run, if it is to.
    pub(super) pacing: Option<Pacing>,
    /// What this run is to be.
    pub settings: Settings,
    op_stats: OpStats,
    /// Where a report or a live view is wanted.
    reporter: Option<Reporter>,
    clock: Clock,
    /// A page that the host's watchdog reads: the number of the operation that runs, its kind.
    marker: usize,
    phase: &'static str,
    kind: Kind,
    /// Operations so far, the one that runs included.
    number: u64,
    seconds: u64,
    /// `number` when progress was told last.
    told: u64,
    calls: CallCounts,
    /// Whether the warm-up is over, which no limit ends.
    warm: bool,
    /// Whether the host asked to finish. In the warm-up it is remembered.
    asked: bool,
    over: bool,
}

/// The serial line.
struct Console;

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        debug_print!("{text}");
        Ok(())
    }
}

impl Stress {
    /// A run with a manager that has nothing to do yet; `phases` are the names of all that there
    /// are.
    pub fn new(mut vmm: Manager, settings: Settings, phases: &[&'static str]) -> Outcome<Stress> {
        // Its areas have few pages below a page table.
        vmm.detach_from(2);
        let own = vmm.own_space();
        let marker = vmm.map(own, &RegionOptions::new(1).named("marker"))?.start().bits();
        let physical = vmm.physical_address(own, marker)?;
        debug_println!("stress: marker at physical {physical:#x}");
        let expected = Expected::new(own, vmm.stats().free_bytes());
        let reporter = (settings.report || settings.live).then(|| Reporter::new(&vmm));
        Ok(Stress {
            vmm,
            // The warm-up is the same for every seed.
            random: Random::new(0),
            expected,
            host: None,
            server: None,
            pacing: None,
            clock: Clock::new(settings.icount),
            settings,
            op_stats: OpStats::new(phases),
            reporter,
            marker,
            phase: "warm-up",
            kind: Kind::Query,
            number: 0,
            seconds: 0,
            told: 0,
            calls: CallCounts::default(),
            warm: false,
            asked: false,
            over: false,
        })
    }

    /// The warm-up is over: from here on the seed decides, and everything is counted.
    pub fn begin_run(&mut self) {
        self.random = Random::new(self.settings.seed);
        self.op_stats.clear();
        self.clock = Clock::new(self.settings.icount);
        self.calls = self.vmm.kernel_calls();
        (self.number, self.told, self.seconds) = (0, 0, 0);
        self.warm = true;
        let moment = self.moment();
        if let Some(reporter) = &mut self.reporter {
            reporter.begin(&mut self.vmm, &self.settings, self.clock.unit(), &moment);
        }
    }

    /// The root task's space or a new one, by chance; none if a new one could not be made.
    pub fn own_or_new_space(&mut self) -> Outcome<Option<SpaceId>> {
        match self.random.once_in(2) {
            true => Ok(Some(self.expected.own())),
            false => self.attempt(Kind::CreateSpace, |vmm| vmm.create_space()),
        }
    }

    /// The phase that follows.
    pub fn set_phase(&mut self, phase: &'static str) {
        self.phase = phase;
        self.op_stats.set_phase(phase);
    }

    /// Whether the run has come to its end.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Makes steps: between `least` and `most` of them, by chance, unless the run is over before.
    pub fn repeat(
        &mut self,
        least: usize,
        most: usize,
        mut step: impl FnMut(&mut Stress) -> Outcome,
    ) -> Outcome {
        for _ in 0..self.random.within(least, most) {
            if self.is_over() {
                break;
            }
            step(self)?;
        }
        Ok(())
    }

    /// Does a request that is right: it must be done, or refused because something is short.
    pub fn attempt<T>(
        &mut self,
        kind: Kind,
        request: impl FnOnce(&mut Manager) -> vmm::Result<T>,
    ) -> Outcome<Option<T>> {
        let (result, ticks) = self.time(kind, request)?;
        let (value, end) = match result {
            Ok(value) => (Some(value), End::Done),
            Err(error) if error.blame() == Blame::Resource => (None, End::Short),
            Err(error) => return Err(error.into()),
        };
        self.op_stats.note(kind, self.number, end, ticks);
        Ok(value)
    }

    /// Does a request that must be done.
    pub fn must<T>(
        &mut self,
        kind: Kind,
        request: impl FnOnce(&mut Manager) -> vmm::Result<T>,
    ) -> Outcome<T> {
        let (result, ticks) = self.time(kind, request)?;
        self.op_stats.note(kind, self.number, End::Done, ticks);
        Ok(result?)
    }

    /// Does a request that is wrong, and must be refused so.
    pub fn refused<T>(
        &mut self,
        kind: Kind,
        expected: impl FnOnce(&Error) -> bool,
        request: impl FnOnce(&mut Manager) -> vmm::Result<T>,
    ) -> Outcome {
        let (result, ticks) = self.time(kind, request)?;
        let end = match result {
            Ok(_) => {
                debug_println!("stress: done, and should have been refused");
                check!(false);
                End::Done
            }
            Err(error) if expected(&error) => End::Refused,
            // It may be short of something before it is looked at.
            Err(error) if error.blame() == Blame::Resource => End::WrongAndShort,
            Err(error) => return Err(error.into()),
        };
        self.op_stats.note(kind, self.number, end, ticks);
        Ok(())
    }

    fn time<T>(
        &mut self,
        kind: Kind,
        request: impl FnOnce(&mut Manager) -> vmm::Result<T>,
    ) -> Outcome<(vmm::Result<T>, u64)> {
        self.number += 1;
        self.kind = kind;
        self.mark();
        if self.number % LOOK == 0 {
            self.look_at_clock();
        }
        if self.number % self.settings.validate == 0 {
            self.vmm.validate()?;
        }
        let start = ticks();
        let result = request(&mut self.vmm);
        let ticks = ticks() - start;
        Ok((result, ticks))
    }

    /// Tells the watchdog where we are.
    fn mark(&mut self) {
        let words = self.marker as *mut u32;
        // SAFETY: `marker` is a page that was mapped for this and is never given back.
        unsafe {
            words.write_volatile(self.number as u32);
            words.add(1).write_volatile(self.kind as u32);
        }
    }

    fn look_at_clock(&mut self) {
        let seconds = self.clock.seconds();
        if seconds != self.seconds {
            self.tell_progress(seconds);
        }
        if self.warm && self.reporter.is_some() {
            self.look_for_report();
        }
        let done = self.settings.operations.is_some_and(|limit| self.number >= limit);
        let late = self.settings.seconds.is_some_and(|limit| seconds >= limit);
        if asked_to_finish() && !core::mem::replace(&mut self.asked, true) {
            debug_println!("stress: asked to finish, in operation {}", self.number);
        }
        self.over = self.warm && (done || late || self.asked);
    }

    fn tell_progress(&mut self, seconds: u64) {
        let rate = (self.number - self.told) / (seconds - self.seconds);
        (self.told, self.seconds) = (self.number, seconds);
        let stats = self.vmm.stats();
        let stage = if self.warm { "" } else { "warm-up: " };
        debug_println!(
            "stress: {seconds} s, {} operations, {rate}/s, {stage}{}, {} pages live, {} KiB free, \
             fragmentation {} permille, {} faults",
            self.number,
            self.phase,
            self.live_pages(),
            stats.free_bytes() >> 10,
            stats.allocator.fragmentation_permille(),
            self.op_stats.faults(),
        );
        if self.settings.live {
            self.report_map("now");
        }
    }

    fn look_for_report(&mut self) {
        let moment = self.moment();
        if let Some(reporter) = &mut self.reporter {
            reporter.look(&mut self.vmm, &moment);
        }
    }

    /// Draws physical memory in the report, if one is wanted.
    pub fn report_map(&mut self, name: &str) {
        let moment = self.moment();
        if let Some(reporter) = &mut self.reporter {
            reporter.print_map(&mut self.vmm, name, &moment);
        }
    }

    fn moment(&self) -> Moment {
        Moment {
            number: self.number,
            phase: self.phase,
            ticks: self.clock.ticks(),
            live_pages: self.live_pages(),
            faults: self.op_stats.faults(),
        }
    }

    fn live_pages(&self) -> usize {
        let pages =
            |&space: &SpaceId| self.vmm.space_stats(space).map_or(0, |stats| stats.mapped_pages);
        self.expected.spaces.iter().map(pages).sum()
    }

    /// The account of the run.
    pub fn print_summary(&mut self) {
        self.op_stats.print(self.clock.unit());
        let calls = self.vmm.kernel_calls().since(&self.calls);
        debug_println!("stress: {} operations, {} kernel calls", self.number, calls.total());
        self.report_end();
    }

    /// Tells the report that it is over.
    fn report_end(&mut self) {
        let calls = self.vmm.kernel_calls().since(&self.calls);
        if let Some(reporter) = &mut self.reporter {
            reporter.end(&self.op_stats, &calls);
        }
    }

    /// Tells what failed where, and all there is to know of the state.
    pub fn report_failure(&mut self, failure: &Failure) {
        self.report_map("failure");
        self.report_end();
        debug_println!("stress: the state:");
        let stats = self.vmm.stats();
        debug_println!("{stats}");
        for &space in &self.expected.spaces {
            // The console takes everything.
            let _ = self.vmm.dump(space, &mut Console);
        }
        debug_println!(
            "stress: FAILED: seed {}, operation {} ({}), phase {}: {failure}",
            self.settings.seed,
            self.number,
            self.kind.name(),
            self.phase,
        );
    }
}
