// SPDX-License-Identifier: BSD-2-Clause
//! Starting a pacer, clearing by it, stopping it.

use core::sync::atomic::Ordering;

use sel4::init_thread::slot;
use sel4::{cap_type, Word};
use untyped_alloc::{Blueprint, CPtr, Clearing, Kernel, Object};

use super::clock::Clock;
use super::error::PacerError;
use super::loops::{self, Timer};
use super::options::PacerOptions;
use super::shared::{work, Call, PacerParts};
use super::timer;
use crate::manager::vmm::Vmm;
use crate::sel4::slices::LongCalls;
use crate::sel4::threads::{JoinError, JoinHandle, SpawnOptions};
use crate::sel4::Sel4;
use crate::types::thread_parts::ThreadCSpace;

type Manager = Vmm<'static, Sel4>;

/// What a pacer is made of, as far as it was made.
#[derive(Default)]
struct Made {
    tick: Option<Object>,
    wanted: Option<Object>,
    done: Option<Object>,
    /// The slot of the interrupt's handler, and whether the handler is in it.
    handler: Option<(CPtr, bool)>,
    clearing: Option<JoinHandle<()>>,
    pacing: Option<JoinHandle<()>>,
}

/// A pacer: see the [module](super). Dropped, it goes on as long as the program; what was being
/// cleared then stays marked so.
#[must_use = "what it clears is recorded when it is asked"]
pub struct Pacer {
    parts: &'static PacerParts,
    options: PacerOptions,
    made: Made,
    under_way: Option<Clearing<'static>>,
    /// The CSpace that its threads have.
    cspace: CPtr,
}

impl Pacer {
    /// Starts a pacer with the PC's interval timer: its interrupt (line 0) and its ports become the
    /// pacer's. Makes two threads of the manager's space, three notifications and an interrupt's
    /// handler; some 20 kernel calls.
    ///
    /// # Errors
    /// [`PacerError::BadPeriod`] and [`PacerError::PartsInUse`], without a kernel call;
    /// [`PacerError::NoTimer`]; [`PacerError::Kernel`], [`PacerError::Manager`]. Everything is given
    /// back then.
    pub fn start(
        vmm: &mut Manager,
        parts: &'static PacerParts,
        options: PacerOptions,
    ) -> Result<Pacer, PacerError> {
        let period = options.period_us;
        let count = timer::count_for(period).ok_or(PacerError::BadPeriod(period))?;
        if parts.taken.swap(true, Ordering::AcqRel) {
            return Err(PacerError::PartsInUse);
        }
        parts.work.store(work::NONE, Ordering::Relaxed);
        parts.end.store(false, Ordering::Relaxed);
        let cspace = vmm.cspace_root();
        let mut pacer = Pacer { parts, options, made: Made::default(), under_way: None, cspace };
        match pacer.make(vmm, count) {
            Ok(()) => Ok(pacer),
            Err(error) => {
                // What the kernel would not take back stays in use; the first error is told.
                let _ = pacer.take_apart(vmm);
                Err(error)
            }
        }
    }

    fn make(&mut self, vmm: &mut Manager, count: u16) -> Result<(), PacerError> {
        let (parts, options, made) = (self.parts, self.options, &mut self.made);
        let mut notification = || vmm.allocate(Blueprint::Notification);
        let (tick, wanted, done) = (notification()?, notification()?, notification()?);
        (made.tick, made.wanted, made.done) = (Some(tick), Some(wanted), Some(done));
        let slot = vmm.alloc_slots(1)?;
        made.handler = Some((slot, false));
        let path = vmm.allocator().path(slot);
        let place = path.root.cap::<cap_type::CNode>().absolute_cptr_from_bits_with_depth(
            path.index as sel4::CPtrBits,
            usize::from(path.depth),
        );
        let control = slot::IRQ_CONTROL.cap();
        control.irq_control_get(timer::LINE, &place).map_err(PacerError::NoTimer)?;
        made.handler = Some((slot, true));
        let handler = slot.cap::<cap_type::IrqHandler>();
        let tick = tick.cap::<cap_type::Notification>();

        let (wanted, done) = (wanted.cap(), done.cap());
        let thread = SpawnOptions::new().named("clearing").priority(options.clearing_priority);
        let clearing = vmm.spawn(&thread, move || loops::clear(parts, wanted, done))?;
        let tcb = clearing.tcb().bits() as usize;
        parts.clearing_thread.store(tcb, Ordering::Relaxed);
        pin(vmm, made.clearing.insert(clearing))?;
        let thread = SpawnOptions::new().named("pacing").priority(options.priority);
        let timer = Timer { tick, handler, count };
        let pacing = vmm.spawn(&thread, move || loops::pace(parts, timer, options))?;
        pin(vmm, made.pacing.insert(pacing))?;

        handler.irq_handler_set_notification(tick).map_err(PacerError::Kernel)?;
        handler.irq_handler_ack().map_err(PacerError::Kernel)?;
        timer::start(count).map_err(PacerError::Kernel)?;
        vmm.kernel_mut().long_calls = Some(LongCalls::new(&parts.ticks, options.period_us));
        Ok(())
    }

    /// Has an untyped cleared of which a piece of `bytes` bytes can then be had, and does not wait:
    /// the smallest free one that is dirty, else one that is put together of unused memory (a
    /// kernel call for each piece). Until [`Pacer::poll`] or [`Pacer::wait`] has recorded its end it
    /// is nobody's, and all else is served. Returns its bytes, 0 when there is nothing to clear.
    ///
    /// # Errors
    /// [`PacerError::Busy`] when something is being cleared; [`PacerError::Manager`].
    pub fn begin_clearing(&mut self, vmm: &mut Manager, bytes: usize) -> Result<usize, PacerError> {
        if self.under_way.is_some() {
            return Err(PacerError::Busy);
        }
        self.follow_cspace(vmm)?;
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

    fn signal_wanted(&self) {
        if let Some(wanted) = self.made.wanted {
            wanted.cap::<cap_type::Notification>().signal();
        }
    }

    /// Gives its threads the CSpace that the manager has now: it may have grown by a new root, in
    /// which alone new slots are.
    fn follow_cspace(&mut self, vmm: &mut Manager) -> Result<(), PacerError> {
        let root = vmm.cspace_root();
        if root == self.cspace {
            return Ok(());
        }
        for thread in [&self.made.clearing, &self.made.pacing].into_iter().flatten() {
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
    /// [`PacerError::Manager`] when the kernel refused to clear it: it is free and dirty again.
    pub fn poll(&mut self, vmm: &mut Manager) -> Result<bool, PacerError> {
        if self.parts.work.load(Ordering::Acquire) != work::DONE {
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
            error => {
                let known = sel4::Error::from_sys(error as Word);
                Err(known.unwrap_or(sel4::Error::IllegalOperation))
            }
        };
        vmm.end_clearing(clearing, made.map_err(untyped_alloc::KernelError::from))?;
        Ok(true)
    }

    /// Waits until nothing is being cleared any more; others run meanwhile, also those of a lower
    /// priority than the caller's.
    ///
    /// # Errors
    /// As [`Pacer::poll`].
    pub fn wait(&mut self, vmm: &mut Manager) -> Result<(), PacerError> {
        while !self.poll(vmm)? {
            if let Some(done) = self.made.done {
                done.cap::<cap_type::Notification>().wait();
            }
        }
        Ok(())
    }

    /// As [`Pacer::begin_clearing`], and waits for the end: what [`Vmm::clear`] does in one call in
    /// which nobody else runs.
    ///
    /// # Errors
    /// As those.
    pub fn clear(&mut self, vmm: &mut Manager, bytes: usize) -> Result<usize, PacerError> {
        let bytes = self.begin_clearing(vmm, bytes)?;
        self.wait(vmm)?;
        Ok(bytes)
    }

    /// A clock for a thread. Makes a notification.
    ///
    /// # Errors
    /// [`PacerError::Manager`].
    pub fn clock(&self, vmm: &mut Manager) -> Result<Clock, PacerError> {
        Clock::new(vmm, self.parts, self.options.period_us)
    }

    /// How often the clearing thread was suspended so far, so that others ran.
    pub fn times_suspended(&self) -> u32 {
        self.parts.suspended.load(Ordering::Relaxed)
    }

    /// Calls of the pacing thread's that the kernel refused so far: it goes on then, and clearing is
    /// not paced as long as that lasts.
    pub fn calls_refused(&self) -> u32 {
        self.parts.refused.load(Ordering::Relaxed)
    }

    /// Waits for the end of what is being cleared, ends the threads, and gives everything back, the
    /// timer's interrupt too.
    ///
    /// # Errors
    /// [`PacerError::Manager`], [`PacerError::Kernel`], [`PacerError::ThreadFaulted`]: what could
    /// not be given back stays in use.
    pub fn stop(mut self, vmm: &mut Manager) -> Result<(), PacerError> {
        let waited = self.wait(vmm);
        self.take_apart(vmm)?;
        waited
    }

    fn take_apart(&mut self, vmm: &mut Manager) -> Result<(), PacerError> {
        vmm.kernel_mut().long_calls = None;
        // The pacing thread first, as it may have suspended the other. Its last tick is made by hand.
        self.parts.end.store(true, Ordering::Release);
        if let Some(tick) = self.made.tick {
            tick.cap::<cap_type::Notification>().signal();
        }
        join(vmm, &mut self.made.pacing)?;
        self.parts.work.store(work::END, Ordering::Release);
        self.signal_wanted();
        join(vmm, &mut self.made.clearing)?;
        if let Some((slot, there)) = self.made.handler {
            if there {
                timer::stop().map_err(PacerError::Kernel)?;
                let path = vmm.allocator().path(slot);
                vmm.kernel_mut()
                    .cnode_delete(path)
                    .map_err(|error| PacerError::Kernel(error.into()))?;
            }
            vmm.free_slots(slot, 1)?;
            self.made.handler = None;
        }
        for object in [&mut self.made.tick, &mut self.made.wanted, &mut self.made.done] {
            if let Some(notification) = *object {
                vmm.free(notification)?;
                *object = None;
            }
        }
        self.parts.taken.store(false, Ordering::Release);
        Ok(())
    }
}

fn pin(vmm: &mut Manager, thread: &JoinHandle<()>) -> Result<(), PacerError> {
    match thread.memory() {
        Some(memory) => Ok(vmm.pin_thread_memory(memory)?),
        None => Ok(()),
    }
}

fn join(vmm: &mut Manager, thread: &mut Option<JoinHandle<()>>) -> Result<(), PacerError> {
    let Some(thread) = thread.take() else { return Ok(()) };
    let memory = thread.memory();
    if let Some(memory) = memory {
        vmm.unpin_thread_memory(memory);
    }
    match thread.join(vmm) {
        Ok(()) => Ok(()),
        Err(JoinError::Faulted(_)) => Err(PacerError::ThreadFaulted),
        Err(JoinError::Manager(error)) => Err(error.into()),
    }
}
