// SPDX-License-Identifier: BSD-2-Clause
//! A server of programs: what it is made of; programs made, started and ended.

use sel4::{cap, sel4_cfg_usize};
use vmm::sel4::faults::Manager;
use vmm::sel4::pacer::{Pacer, PacerOptions, PacerParts};
use vmm::{CPtr, Rights};
use vmm_client::objects::first_page::GivenObject;
use vmm_client::objects::{Amounts, MemoryOptions};

use super::alarm::Alarm;
use super::service::{Objects, MAX_BADGE};
use super::turnstiles::Turnstiles;
use super::types::{NewProgram, ProgramId};
use crate::arch::COUNTS;
use crate::server::exchange::set_going;
use crate::server::{Counts, End, Notice, ServerError};
use crate::types::program::Start;

/// Microseconds of a time slice.
const SLICE_US: u64 = (sel4_cfg_usize!(TIME_SLICE) * sel4_cfg_usize!(TIMER_TICK_MS) * 1000) as u64;

/// The most microseconds of pieces of work behind which one more is done before the server looks
/// whether somebody called: as many instructions as to look for that ten times, on a slow machine.
const SMALL_US: u64 = 8;

/// Of a counter of 1 GHz, as QEMU's is that counts instructions: where the kernel does not know.
const TICKS_PER_US: u32 = 1000;

/// The most bytes that the manager clears by one call while a pacer clears what is more: in some
/// 100,000 instructions.
const MAX_CLEARED: usize = 1 << 18;

/// How a server works.
#[derive(Clone, Copy)]
pub struct Options {
    /// Tells people something; called between a message and its answer.
    pub report: fn(&Notice<'_>),
    /// Ticks of the time-stamp counter in a microsecond, by which slices are measured:
    /// [`vmm::sel4::ticks_per_us`], unless it is set. 0: nobody is held, however much is done for
    /// it; so it is on other architectures than IA32 and x86_64, whatever is set, where no counter
    /// is known that programs may read.
    pub ticks_per_us: u32,
}

impl Options {
    /// Prints all that there is to tell, for debugging.
    pub fn printing() -> Options {
        Options { report: |notice| sel4::debug_print!("{notice}"), ..Options::default() }
    }
}

impl Options {
    /// Ticks of a time slice.
    const fn slice(&self) -> u64 {
        match self.ticks_per_us {
            _ if !COUNTS => u64::MAX,
            0 => u64::MAX,
            ticks => SLICE_US * ticks as u64,
        }
    }

    /// Ticks of [`SMALL_US`].
    pub(super) const fn small(&self) -> u64 {
        // Where nothing counts, the first piece is large enough.
        if COUNTS {
            SMALL_US * self.ticks_per_us as u64
        } else {
            0
        }
    }
}

impl Default for Options {
    /// Tells nobody anything, and measures slices as the kernel measured the counter when it
    /// booted. Where it does not say, the counter is taken for one of 1 GHz. To be made once the
    /// manager has started.
    fn default() -> Options {
        let ticks_per_us = vmm::sel4::ticks_per_us().unwrap_or(TICKS_PER_US);
        Options { report: |_| {}, ticks_per_us }
    }
}

/// What became of serving for a while.
#[doc(hidden)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Served {
    /// A program has ended.
    Ended(ProgramId, End),
    /// No program is left, and nothing of those that ended.
    Nobody,
    /// As many requests were served as were to be.
    Paused,
}

/// A server of programs: the service of objects, and the loop that answers at its endpoint.
pub struct Server {
    pub(super) endpoint: CPtr,
    pub(super) objects: Objects<'static>,
    /// The slot that takes a capability which is not the service's.
    pub(super) foreign: CPtr,
    /// Programs that were started and have not ended.
    pub(super) running: usize,
    /// What ended and was not told yet.
    pub(super) ended: Option<(ProgramId, End)>,
    /// When the last piece of the work was done that is left of what ended, if nothing was received
    /// since: to look whether somebody called is part of that work.
    pub(super) worked: Option<u64>,
    pub(super) turnstiles: Turnstiles,
    pub(super) alarm: Option<Alarm>,
    /// What it has the ticks of, if it has started that itself; and how much one call of the
    /// kernel was to clear at the most before.
    pub(super) pacer: Option<(Pacer, usize)>,
    pub(super) options: Options,
    pub(super) counts: Counts,
}

impl Server {
    /// A server without programs at this endpoint, whose accounts together may use `amounts`. Large
    /// pages of these are set aside now, until [`Server::close`]: see [`Objects::new`].
    ///
    /// # Errors
    /// Those of [`Objects::new`].
    pub fn new(
        vmm: &mut Manager,
        endpoint: CPtr,
        amounts: Amounts,
        options: Options,
    ) -> Result<Server, ServerError> {
        let mut objects = Objects::new(vmm, endpoint, amounts)?;
        objects.set_slice(options.slice());
        Ok(Server {
            endpoint,
            objects,
            foreign: vmm.alloc_slots(1)?,
            running: 0,
            ended: None,
            worked: None,
            turnstiles: Turnstiles::new(),
            alarm: None,
            pacer: None,
            options,
            counts: Counts::default(),
        })
    }

    /// Has it tell the time by the ticks of a pacer from now on: programs can sleep, and say how
    /// long others wait for pages. `thread` is the one that calls [`Server::run`]: a notification
    /// is bound to it, and none is before. The pacer is to go on for as long as the server; where
    /// its ticks are lost, programs are told so.
    ///
    /// # Errors
    /// [`ServerError::Pacer`]; [`ServerError::Kernel`] where the thread has a notification already;
    /// what the manager refuses. Nothing is left then.
    pub fn keep_time(
        &mut self,
        vmm: &mut Manager,
        pacer: &Pacer,
        thread: cap::Tcb,
    ) -> Result<(), ServerError> {
        let mut alarm = Alarm::new(vmm, pacer, thread)?;
        if let Some(now) = alarm.now() {
            self.objects.set_time(now);
        }
        self.alarm = Some(alarm);
        Ok(())
    }

    /// The same by a pacer of its own with the machine's timer, as [`Pacer::start`] makes one, for
    /// the first thread of the root task: that calls [`Server::run`]. [`Server::close`] stops it.
    /// Programs run on while memory is cleared: what takes long is the pacer's
    /// ([`Pacer::take_over_clear`]), and until [`Server::stop_clock`] the manager clears at most
    /// 2^18 bytes for a call of its own. What the root task asks it for by itself meanwhile can be
    /// refused with `NeedsClearing`.
    ///
    /// # Errors
    /// Those of [`Pacer::start`], as [`ServerError::Pacer`], and of [`Server::keep_time`]. Nothing
    /// is left then.
    pub fn start_clock(
        &mut self,
        vmm: &mut Manager,
        parts: &'static PacerParts,
    ) -> Result<(), ServerError> {
        let pacer = Pacer::start(vmm, parts, PacerOptions::new())?;
        if let Err(error) = self.keep_time(vmm, &pacer, sel4::init_thread::slot::TCB.cap()) {
            pacer.stop(vmm)?;
            return Err(error);
        }
        pacer.take_over_clear(vmm);
        let limit = vmm.clearing_limit();
        vmm.limit_clearing(limit.min(MAX_CLEARED));
        self.pacer = Some((pacer, limit));
        Ok(())
    }

    /// Stops the clock again: who sleeps is refused, and who waits for a page waits for as long as
    /// it takes.
    ///
    /// # Errors
    /// Those of [`Pacer::stop`], as [`ServerError::Pacer`].
    pub fn stop_clock(&mut self, vmm: &mut Manager) -> Result<(), ServerError> {
        self.end_clock(vmm)?;
        self.objects.stop_time();
        self.answer_waiting(vmm);
        Ok(())
    }

    fn end_clock(&mut self, vmm: &mut Manager) -> Result<(), ServerError> {
        if let Some(alarm) = self.alarm.take() {
            alarm.release(vmm)?;
        }
        if let Some((pacer, limit)) = self.pacer.take() {
            vmm.limit_clearing(limit);
            pacer.stop(vmm)?;
        }
        Ok(())
    }

    /// Makes a program, which does not run before [`Server::start`].
    ///
    /// # Errors
    /// Those of [`Objects::create_program`].
    pub fn create(
        &mut self,
        vmm: &mut Manager,
        new: &NewProgram<'_>,
    ) -> Result<(ProgramId, Start), ServerError> {
        Ok(self.objects.create_program(vmm, new)?)
    }

    /// Gives a program a capability.
    ///
    /// # Errors
    /// Those of [`Objects::give_capability`].
    pub fn give(
        &mut self,
        vmm: &mut Manager,
        program: ProgramId,
        (slot, capability): (u32, CPtr),
        rights: Rights,
    ) -> Result<(), ServerError> {
        Ok(self.objects.give_capability(vmm, program, (slot, capability), rights)?)
    }

    /// Gives a program memory with these bytes, that it may read: see [`Objects::give_file`].
    ///
    /// # Errors
    /// Those of [`Objects::give_file`].
    pub fn give_file(
        &mut self,
        vmm: &mut Manager,
        program: ProgramId,
        (slot, bytes): (u32, &[u8]),
    ) -> Result<(), ServerError> {
        Ok(self.objects.give_file(vmm, program, (slot, bytes))?)
    }

    /// Gives a program memory at a physical address, so many pages of it: see
    /// [`Objects::give_physical`].
    ///
    /// # Errors
    /// Those of [`Objects::give_physical`].
    pub fn give_physical(
        &mut self,
        vmm: &mut Manager,
        program: ProgramId,
        slot: u32,
        range: (usize, u32),
        options: MemoryOptions,
    ) -> Result<(), ServerError> {
        Ok(self.objects.give_physical(vmm, program, slot, range, options)?)
    }

    /// Gives a program its first page: see [`Objects::give_first_page`]. Returns its address, which
    /// [`Server::start`] takes as the argument.
    ///
    /// # Errors
    /// Those of [`Objects::give_first_page`].
    pub fn give_first_page(
        &mut self,
        vmm: &mut Manager,
        program: ProgramId,
        files: &[&str],
        arguments: &str,
    ) -> Result<usize, ServerError> {
        Ok(self.objects.give_first_page(vmm, program, files, arguments)?)
    }

    /// Gives a program its first page, of anything that was put into its slots: see
    /// [`Objects::give_page_of`].
    ///
    /// # Errors
    /// Those of [`Objects::give_page_of`].
    pub fn give_page_of<'a>(
        &mut self,
        vmm: &mut Manager,
        program: ProgramId,
        given: impl Iterator<Item = GivenObject<'a>>,
        arguments: &str,
    ) -> Result<usize, ServerError> {
        Ok(self.objects.give_page_of(vmm, program, given, arguments)?)
    }

    /// Makes what it takes to serve `programs` programs of a priority at a time: so many threads of
    /// that priority and one more, with two pages each, for as long as there is the server.
    /// [`Server::start`] does it where that was not done before.
    ///
    /// # Errors
    /// What the manager refuses.
    pub fn prepare(
        &mut self,
        vmm: &mut Manager,
        priority: u8,
        programs: usize,
    ) -> Result<(), ServerError> {
        let started = |priority| self.objects.started_with(priority);
        // One for the end of those that ended.
        self.turnstiles.prepare(vmm, self.endpoint, (priority, programs + 1), started)
    }

    /// Lets a program's thread run, with this argument and a priority below the server's: so an
    /// answer is there before anybody goes on.
    ///
    /// # Errors
    /// Those of [`Server::prepare`]; what the kernel refuses.
    pub fn start(
        &mut self,
        vmm: &mut Manager,
        start: &Start,
        (priority, argument): (u8, usize),
    ) -> Result<(), ServerError> {
        self.prepare(vmm, priority, self.objects.started_with(priority) + 1)?;
        set_going(start, argument, priority.into())?;
        self.objects.note_started(start, priority);
        self.running += 1;
        Ok(())
    }

    /// Ends a program, started or not: its thread runs no more once this returns. What it had is
    /// given back by [`Server::run`], which does not tell of its end.
    ///
    /// # Errors
    /// [`crate::Error::Refused`] when it has ended before; what the kernel refuses of stopping it.
    pub fn kill(&mut self, vmm: &mut Manager, program: ProgramId) -> Result<(), ServerError> {
        let (name, started) = (self.objects.name(program), self.objects.is_started(program));
        self.objects.kill(program)?;
        self.running -= usize::from(started);
        let (name, end) = (name.unwrap_or_default(), End::Killed);
        (self.options.report)(&Notice::Ended { name: name.as_str(), end });
        while self.objects.is_urgent() {
            self.objects.reap_step(vmm)?;
            self.answer_waiting(vmm);
        }
        Ok(())
    }

    /// Serves until a program ends, and says which and how; `None` when none is left, and all is
    /// given back that they had.
    ///
    /// # Errors
    /// [`ServerError`]: what the kernel refuses of giving back.
    pub fn run(&mut self, vmm: &mut Manager) -> Result<Option<(ProgramId, End)>, ServerError> {
        Ok(match self.serve(vmm, u64::MAX)? {
            Served::Ended(program, end) => Some((program, end)),
            Served::Nobody | Served::Paused => None,
        })
    }

    /// Serves as [`Server::run`] does, but so many requests at the most: for tests that look at
    /// programs, or end some, in the midst of what they do.
    ///
    /// # Errors
    /// Those of [`Server::run`].
    #[doc(hidden)]
    pub fn run_some(&mut self, vmm: &mut Manager, requests: u64) -> Result<Served, ServerError> {
        self.serve(vmm, self.counts.requests.saturating_add(requests))
    }

    /// Has the service know how late it is when it serves a message: it may have waited for that
    /// long. No kernel call.
    pub(super) fn see_time(&mut self) {
        self.worked = None;
        if let Some(now) = self.alarm.as_mut().and_then(Alarm::now) {
            self.objects.set_time(now);
        }
    }

    /// What has come of serving, if it is over: there may be work left, and so many requests were
    /// to be served at the most.
    pub(super) fn served(&mut self, busy: bool, most: u64) -> Option<Served> {
        let served = match self.ended.take() {
            Some((program, end)) => Some(Served::Ended(program, end)),
            None if !busy && self.running == 0 => Some(Served::Nobody),
            None => (self.counts.requests >= most).then_some(Served::Paused),
        };
        // What its caller does until it serves again is none of that work.
        self.worked = self.worked.filter(|_| served.is_none());
        served
    }

    /// Ends the server, of which no program is left: [`Server::run`] returned `None`, and none was
    /// made since. Gives back what [`Server::prepare`] and [`Server::keep_time`] took, or
    /// [`Server::start_clock`].
    ///
    /// # Errors
    /// What the manager refuses.
    pub fn close(mut self, vmm: &mut Manager) -> Result<(), ServerError> {
        self.end_clock(vmm)?;
        self.turnstiles.end(vmm, self.endpoint)?;
        self.objects.close(vmm)?;
        Ok(vmm.free_slots(self.foreign, 1)?)
    }

    /// Makes `most` the greatest badge, and the greatest number of anything else, from now on; or
    /// as many as there are: for tests that go through all of them.
    #[doc(hidden)]
    pub fn narrow_numbers(&mut self, most: Option<u32>) {
        self.objects.narrow_numbers(most.unwrap_or(MAX_BADGE));
    }

    /// Takes pages for `count` records of each kind: for tests that compare what is free.
    ///
    /// # Errors
    /// Those of [`vmm::Vmm::map`].
    #[doc(hidden)]
    pub fn stretch(&mut self, vmm: &mut Manager, count: usize) -> vmm::Result {
        self.objects.stretch(vmm, count)
    }

    /// Measures slices, or does not, so that nobody is held: for comparisons.
    #[doc(hidden)]
    pub fn measure_slices(&mut self, measure: bool) {
        let options = Options { ticks_per_us: 0, ..self.options };
        self.objects.set_slice(if measure { self.options } else { options }.slice());
    }

    /// What was counted.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The service.
    pub fn objects(&self) -> &Objects<'static> {
        &self.objects
    }
}
