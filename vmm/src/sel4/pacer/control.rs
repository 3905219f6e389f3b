// SPDX-License-Identifier: BSD-2-Clause
//! Starting a pacer, and clearing by it.

use core::sync::atomic::Ordering;

use sel4::{cap, cap_type, CapRights};
use untyped_alloc::{Blueprint, CPtr, Clearing, Object};

use super::arch::KNOWN_TIMER;
use super::calls::PacedCalls;
use super::capabilities::{mint, pin, place, take_slots, Manager};
use super::clock::Clock;
use super::error::PacerError;
use super::loops::{self, ClearingThread, Ticks};
use super::options::PacerOptions;
use super::sentinel::Sentinel;
use super::shared::{kernel_error, pacing, work, Call, PacerParts};
use super::timer::Timer;
use crate::sel4::slices::LongCalls;
use crate::sel4::threads::{JoinHandle, SpawnOptions};
use crate::types::thread_parts::ThreadCSpace;

/// What a pacer is made of, as far as it was made.
#[derive(Default)]
pub(super) struct Made {
    pub tick: Option<Object>,
    pub wanted: Option<Object>,
    pub done: Option<Object>,
    pub idle: Option<Object>,
    /// The first of two slots of the interrupt's handler, and whether it is in the first. It is in
    /// both, so that interrupts still come, and tell that it is gone, when one is deleted.
    pub handler: Option<(CPtr, bool)>,
    /// The slot of what the timer needs besides.
    pub own: Option<CPtr>,
    /// The slot of a capability to `tick` with the badge of who asks.
    pub ask: Option<CPtr>,
    pub sentinel: Sentinel,
    /// The manager's calls are counted by its ticks.
    pub counts_slices: bool,
    pub clearing: Option<JoinHandle<()>>,
    pub pacing: Option<JoinHandle<()>>,
    /// Hears of the end of the pacing thread.
    pub attending: Option<JoinHandle<()>>,
    /// Of the lowest priority: tells that nobody else runs.
    pub idling: Option<JoinHandle<()>>,
}

/// A pacer: see the [module](super). Dropped, it goes on as long as the program; what was being
/// cleared then stays marked so.
#[must_use = "what it clears is recorded when it is asked"]
pub struct Pacer {
    pub(super) parts: &'static PacerParts,
    pub(super) options: PacerOptions,
    pub(super) timer: &'static dyn Timer,
    pub(super) made: Made,
    under_way: Option<Clearing<'static>>,
    /// The CSpace that its threads have.
    cspace: CPtr,
}

impl Pacer {
    /// Starts a pacer with the PC's interval timer: its interrupt (line 0) and its ports become the
    /// pacer's, and so does line 13, which no device has, if it is free: by that whoever sleeps is
    /// told at once when this program's interrupts are revoked. Makes five threads of the manager's
    /// space, six notifications and two interrupts' handlers; some 120 kernel calls.
    ///
    /// With the feature `kernel-16` the interrupt is that of the first IOAPIC's pin 2, as on nearly
    /// all PCs, where the kernel uses the IOAPIC, and an unused vector stands for line 13. On
    /// architectures other than IA32 and x86_64 no timer is known that all machines have:
    /// [`Pacer::start_with`] takes the program's own.
    ///
    /// # Errors
    /// [`PacerError::BadPeriod`] and [`PacerError::PartsInUse`], without a kernel call;
    /// [`PacerError::NoTimer`]; [`PacerError::Kernel`], [`PacerError::Manager`]. Everything is
    /// given back then. [`PacerError::NoKnownTimer`] elsewhere than on IA32 and x86_64.
    pub fn start(
        vmm: &mut Manager,
        parts: &'static PacerParts,
        options: PacerOptions,
    ) -> Result<Pacer, PacerError> {
        let timer = KNOWN_TIMER.ok_or(PacerError::NoKnownTimer)?;
        Pacer::start_with(vmm, parts, options, timer)
    }

    /// As [`Pacer::start`], with a timer of the program's own.
    ///
    /// # Errors
    /// As [`Pacer::start`]: [`PacerError::BadPeriod`] for a period that this timer has not.
    pub fn start_with(
        vmm: &mut Manager,
        parts: &'static PacerParts,
        options: PacerOptions,
        timer: &'static dyn Timer,
    ) -> Result<Pacer, PacerError> {
        let period = options.period_us;
        let count = timer.count_for(period).ok_or(PacerError::BadPeriod(period))?;
        if parts.taken.swap(true, Ordering::AcqRel) {
            return Err(PacerError::PartsInUse);
        }
        parts.work.store(work::NONE, Ordering::Relaxed);
        parts.end.store(false, Ordering::Relaxed);
        parts.stuck.store(0, Ordering::Relaxed);
        parts.suspended.store(0, Ordering::Relaxed);
        parts.refused.store(0, Ordering::Relaxed);
        parts.idle.store(false, Ordering::Relaxed);
        parts.faulted.store(false, Ordering::Relaxed);
        parts.pacing.store(pacing::RUNS, Ordering::Relaxed);
        parts.period_us.store(period, Ordering::Relaxed);
        let cspace = vmm.cspace_root();
        let made = Made::default();
        let mut pacer = Pacer { parts, options, timer, made, under_way: None, cspace };
        match pacer.make(vmm, count) {
            Ok(()) => Ok(pacer),
            Err(error) => {
                // What the kernel would not take back stays in use; the first error is told.
                let _ = pacer.take_apart(vmm);
                Err(error)
            }
        }
    }

    fn make(&mut self, vmm: &mut Manager, count: u32) -> Result<(), PacerError> {
        let (parts, options, timer) = (self.parts, self.options, self.timer);
        let made = &mut self.made;
        for made in [&mut made.tick, &mut made.wanted, &mut made.done, &mut made.idle] {
            *made = Some(vmm.allocate(Blueprint::Notification)?);
        }
        let notification =
            |made: Option<Object>| made.map_or(cap::Notification::from_bits(0), Object::cap);
        let own = *made.own.insert(take_slots(vmm, 1)?);
        let slot = take_slots(vmm, 2)?;
        made.handler = Some((slot, false));
        timer.claim(&place(vmm, slot), &place(vmm, own)).map_err(PacerError::NoTimer)?;
        made.handler = Some((slot, true));
        let (first, second) = (place(vmm, slot), place(vmm, CPtr::new(slot.bits() + 1)));
        second.copy(&first, CapRights::all()).map_err(PacerError::Kernel)?;
        let tick = notification(made.tick);
        let slot_of_ask = *made.ask.insert(take_slots(vmm, 1)?);
        mint(vmm, tick, loops::ASK, slot_of_ask).map_err(PacerError::Kernel)?;
        let ask = slot_of_ask.cap::<cap_type::Notification>();
        let handler = slot.cap::<cap_type::IrqHandler>();

        let (wanted, done) = (notification(made.wanted), notification(made.done));
        let thread = SpawnOptions::new().named("clearing").priority(options.clearing_priority);
        let thread = vmm.spawn(&thread, move || loops::clear(parts, wanted, done))?;
        let idle = notification(made.idle);
        let faults = thread.fault_endpoint().cap();
        let clearing = ClearingThread { thread: thread.tcb(), done, idle, faults };
        pin(vmm, made.clearing.insert(thread))?;
        let ticks = Ticks { timer, handler, own, count };
        let thread = SpawnOptions::new().named("pacing").priority(options.priority);
        let thread = vmm.spawn(&thread, move || loops::pace(parts, ticks, &clearing, options))?;
        // It hears of both: interrupts and questions as signals, faults as messages.
        if let Err(error) = thread.tcb().tcb_bind_notification(tick) {
            // Nothing would reach it that tells it to end.
            thread.end(vmm)?;
            return Err(PacerError::Kernel(error));
        }
        let ended = thread.fault_endpoint().cap();
        pin(vmm, made.pacing.insert(thread))?;
        let thread = SpawnOptions::new().named("attending").priority(options.priority).stack(1);
        let thread = vmm.spawn(&thread, move || loops::attend(parts, ended, &clearing))?;
        pin(vmm, made.attending.insert(thread))?;
        let thread = SpawnOptions::new().named("idling").priority(0).stack(1);
        let thread = vmm.spawn(&thread, move || loops::tell_idleness(parts, ask, idle))?;
        pin(vmm, made.idling.insert(thread))?;

        // Its badge tells an interrupt from who asks.
        let badged = take_slots(vmm, 1)?;
        let connected = connect(vmm, &ticks, tick, badged);
        vmm.free_slots(badged, 1)?;
        connected.map_err(PacerError::Kernel)?;
        made.sentinel.make(vmm, parts, timer, ask)?;
        parts.tick.store(ask.bits() as usize, Ordering::Release);
        parts.lost.store(false, Ordering::Release);
        made.counts_slices = true;
        vmm.kernel_mut().long_calls = Some(LongCalls::new(&parts.ticks, options.period_us));
        Ok(())
    }

    /// Has an untyped cleared of which a piece of `bytes` bytes can then be had, and does not wait:
    /// the smallest free one that is dirty, else one that is put together of unused memory (a
    /// kernel call for each piece). Until [`Pacer::poll`] or [`Pacer::wait`] has recorded its end
    /// it is nobody's, and all else is served. Returns its bytes, 0 when there is nothing to clear.
    ///
    /// # Errors
    /// [`PacerError::Busy`] when something is being cleared; [`PacerError::ThreadFaulted`] when the
    /// clearing thread has, or the pacing thread; [`PacerError::Manager`].
    pub fn begin_clearing(&mut self, vmm: &mut Manager, bytes: usize) -> Result<usize, PacerError> {
        if self.under_way.is_some() {
            return Err(PacerError::Busy);
        }
        self.check_lives()?;
        if self.parts.pacing_faulted() {
            return Err(PacerError::ThreadFaulted);
        }
        self.follow(vmm)?;
        let Some(clearing) = vmm.begin_clearing(bytes)? else { return Ok(0) };
        Ok(self.hand_over(clearing))
    }

    /// Hands the call to the clearing thread, which waits for one.
    fn hand_over(&mut self, clearing: Clearing<'static>) -> usize {
        let (untyped, bytes) = (clearing.untyped(), clearing.bytes());
        let (node, offset) = (clearing.node, clearing.offset);
        self.under_way = Some(clearing);
        let size_bits = bytes.ilog2() as u8;
        self.parts.put_call(Call { untyped, size_bits, node, offset });
        self.signal_wanted();
        bytes
    }

    pub(super) fn signal_wanted(&self) {
        if let Some(wanted) = self.made.wanted {
            wanted.cap::<cap_type::Notification>().signal();
        }
    }

    /// Gives its threads the CSpace that the manager has, if that has a new root since. What
    /// [`Pacer::take_over_clear`] has it make is made by the caller until then. No kernel call
    /// otherwise.
    ///
    /// # Errors
    /// [`PacerError::Manager`].
    pub fn follow(&mut self, vmm: &mut Manager) -> Result<(), PacerError> {
        let root = vmm.cspace_root();
        if root == self.cspace {
            return Ok(());
        }
        let made = &self.made;
        let Made { clearing, pacing, attending, idling, sentinel, .. } = made;
        let threads = [clearing, pacing, attending, idling, &sentinel.thread];
        for thread in threads.into_iter().flatten() {
            let tcb = CPtr::new(thread.tcb().bits() as usize);
            let own = vmm.own_space();
            vmm.set_thread_space(tcb, own, ThreadCSpace::Manager, thread.fault_endpoint())?;
        }
        self.cspace = root;
        Ok(())
    }

    /// The bytes that are being cleared, or 0. No kernel call.
    pub fn clearing_bytes(&self) -> usize {
        self.under_way.as_ref().map_or(0, Clearing::bytes)
    }

    /// Records the end of what was being cleared, if it has come; says whether nothing is being
    /// cleared any more. No kernel call.
    ///
    /// # Errors
    /// [`PacerError::Manager`] when the kernel refused to clear it, [`PacerError::ThreadFaulted`]
    /// when the clearing thread has faulted: it is free and dirty again.
    pub fn poll(&mut self, vmm: &mut Manager) -> Result<bool, PacerError> {
        if self.parts.work.load(Ordering::Acquire) != work::DONE {
            self.end_if_faulted(vmm)?;
            return Ok(self.under_way.is_none());
        }
        let answer = self.parts.answer.load(Ordering::Relaxed);
        self.parts.work.store(work::NONE, Ordering::Relaxed);
        let Some(clearing) = self.under_way.take() else { return Ok(true) };
        if answer == sel4::Error::DeleteFirst as usize {
            // What was left in the slot is deleted, and the call is made again.
            let emptied = vmm.alloc.empty_slots(&mut vmm.kernel, clearing.slot(), 1);
            if emptied.is_ok() {
                self.hand_over(clearing);
                return Ok(false);
            }
        }
        let made = match answer {
            0 => Ok(()),
            error => Err(kernel_error(error)),
        };
        vmm.end_clearing(clearing, made.map_err(untyped_alloc::KernelError::from))?;
        Ok(true)
    }

    /// Waits until nothing is being cleared any more; others run meanwhile, also those of a lower
    /// priority than the caller's.
    ///
    /// # Errors
    /// As [`Pacer::poll`]. [`PacerError::Kernel`] when the kernel refuses to let the clearing
    /// thread go on: it is being cleared still, and that is tried again as ticks come.
    pub fn wait(&mut self, vmm: &mut Manager) -> Result<(), PacerError> {
        while !self.poll(vmm)? {
            self.check_goes_on()?;
            self.parts.ask_for_timer();
            if let Some(done) = self.made.done {
                done.cap::<cap_type::Notification>().wait();
            }
        }
        Ok(())
    }

    /// Records that what was being cleared never will be, if that is so.
    fn end_if_faulted(&mut self, vmm: &mut Manager) -> Result<(), PacerError> {
        let Err(faulted) = self.check_lives() else { return Ok(()) };
        let Some(clearing) = self.under_way.take() else { return Ok(()) };
        // Its call may have been made: what it made is deleted.
        if let Err(error) = vmm.alloc.empty_slots(&mut vmm.kernel, clearing.slot(), 1) {
            self.under_way = Some(clearing);
            return Err(error.into());
        }
        self.parts.work.store(work::NONE, Ordering::Relaxed);
        // Says again, by this error, that it was not cleared.
        let _ = vmm.end_clearing(clearing, Err(untyped_alloc::KernelError::IllegalOperation));
        Err(faulted)
    }

    /// Says whether the clearing thread has faulted.
    pub(super) fn check_lives(&self) -> Result<(), PacerError> {
        match self.parts.faulted.load(Ordering::Acquire) {
            false => Ok(()),
            true => Err(PacerError::ThreadFaulted),
        }
    }

    pub(super) fn check_goes_on(&self) -> Result<(), PacerError> {
        match self.parts.stuck.load(Ordering::Acquire) {
            0 => Ok(()),
            error => Err(PacerError::Kernel(kernel_error(error))),
        }
    }

    /// As [`Pacer::begin_clearing`], and waits for the end: what [`clear`](crate::Vmm::clear) of
    /// the manager does in one call in which nobody else runs.
    ///
    /// # Errors
    /// As those.
    pub fn clear(&mut self, vmm: &mut Manager, bytes: usize) -> Result<usize, PacerError> {
        let bytes = self.begin_clearing(vmm, bytes)?;
        self.wait(vmm)?;
        Ok(bytes)
    }

    /// Has [`clear`](crate::Vmm::clear) of the manager made as [`Pacer::clear`] is, whoever calls
    /// it, as long as this goes on and the ticks come: others run meanwhile. No kernel call.
    pub fn take_over_clear(&self, vmm: &mut Manager) {
        let notification = |made: Option<Object>| made.map(Object::cap);
        let (wanted, done) = (notification(self.made.wanted), notification(self.made.done));
        let parts = self.parts;
        vmm.kernel_mut().paced_calls =
            wanted.zip(done).map(|(wanted, done)| PacedCalls { parts, wanted, done });
    }

    /// A clock for a thread. Makes a notification.
    ///
    /// # Errors
    /// [`PacerError::Manager`].
    pub fn clock(&self, vmm: &mut Manager) -> Result<Clock, PacerError> {
        Clock::new(vmm, self.parts)
    }

    /// The clearing thread, for whoever changes its priority.
    pub fn clearing_thread(&self) -> Option<cap::Tcb> {
        self.made.clearing.as_ref().map(JoinHandle::tcb)
    }

    /// The pacing thread, for whoever changes its priority.
    pub fn pacing_thread(&self) -> Option<cap::Tcb> {
        self.made.pacing.as_ref().map(JoinHandle::tcb)
    }

    /// The slot of the timer's interrupt.
    pub fn interrupt_handler(&self) -> Option<CPtr> {
        self.made.handler.map(|(slot, _)| slot)
    }

    /// The untyped that is being cleared, if any: nobody's meanwhile.
    pub fn clearing_untyped(&self) -> Option<CPtr> {
        self.under_way.as_ref().map(Clearing::untyped)
    }

    /// How often the clearing thread was suspended so far, so that others ran.
    pub fn times_suspended(&self) -> u32 {
        self.parts.suspended.load(Ordering::Relaxed)
    }

    /// Calls of the pacing thread's that the kernel refused so far: it goes on then, and clearing
    /// is not paced as long as that lasts. After one to the timer or its interrupt, no tick comes
    /// any more: see [`PacerError::TimerLost`].
    pub fn calls_refused(&self) -> u32 {
        self.parts.refused.load(Ordering::Relaxed)
    }
}

/// Has the timer interrupt, and each interrupt signal the notification; by a capability that is in
/// `slot` meanwhile.
fn connect(vmm: &Manager, ticks: &Ticks, tick: cap::Notification, slot: CPtr) -> sel4::Result<()> {
    mint(vmm, tick, loops::TICK, slot)?;
    let set = ticks.handler.irq_handler_set_notification(slot.cap());
    place(vmm, slot).delete()?;
    set?;
    ticks.timer.stop(ticks.own)?;
    ticks.handler.irq_handler_ack()?;
    ticks.timer.set(ticks.own, ticks.count)
}
