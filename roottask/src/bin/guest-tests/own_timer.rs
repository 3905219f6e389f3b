// SPDX-License-Identifier: BSD-2-Clause
//! A pacer by a timer that the program brings.

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use roottask::{check, check_eq, Outcome};
use sel4::init_thread::slot;
use sel4::{cap_type, AbsoluteCPtr, CapRights};
use vmm::sel4::pacer::{Pacer, PacerError, PacerOptions, Timer};
use vmm::CPtr;

use crate::context::Context;
use crate::pacing::{begin, PARTS};

crate::table::tests!("own_timer":
    a_pacer_goes_by_the_timer_that_it_is_given,
    a_timer_that_refuses_leaves_nothing,
);

/// The one period that it has, in microseconds, and the inputs of the PC's interval timer that last
/// so long.
const PERIOD_US: u32 = 2_000;
const COUNT: u32 = 2_386;

/// The PC's interval timer as a program has it that knows of no other interrupt, and reaches the
/// ports by a capability in the slot of its own.
struct Own {
    refuses: AtomicBool,
    withdrawn: AtomicU32,
    set: AtomicU32,
    stopped: AtomicU32,
}

static TIMER: Own = Own {
    refuses: AtomicBool::new(false),
    withdrawn: AtomicU32::new(0),
    set: AtomicU32::new(0),
    stopped: AtomicU32::new(0),
};

impl Timer for Own {
    fn count_for(&self, period_us: u32) -> Option<u32> {
        (period_us == PERIOD_US).then_some(COUNT)
    }

    fn claim(&self, interrupt: &AbsoluteCPtr, own: &AbsoluteCPtr) -> sel4::Result<()> {
        let all = slot::CNODE.cap().absolute_cptr(slot::IO_PORT.cptr());
        own.copy(&all, CapRights::all())?;
        slot::IRQ_CONTROL.cap().irq_control_get(0, interrupt)?;
        match self.refuses.load(Ordering::Relaxed) {
            false => Ok(()),
            true => Err(sel4::Error::RangeError),
        }
    }

    /// Once for each time that it was set, before it is set again.
    fn withdraw(&self, _own: CPtr) -> sel4::Result<()> {
        let withdrawn = self.withdrawn.fetch_add(1, Ordering::Relaxed) + 1;
        match self.set.load(Ordering::Relaxed) == withdrawn {
            true => Ok(()),
            false => Err(sel4::Error::RangeError),
        }
    }

    fn set(&self, own: CPtr, count: u32) -> sel4::Result<()> {
        self.set.fetch_add(u32::from(count == COUNT), Ordering::Relaxed);
        let ports = own.cap::<cap_type::IOPort>();
        let [low, high, ..] = count.to_le_bytes();
        ports.ioport_out8(0x40, low)?;
        ports.ioport_out8(0x40, high)
    }

    fn stop(&self, own: CPtr) -> sel4::Result<()> {
        self.stopped.fetch_add(1, Ordering::Relaxed);
        own.cap::<cap_type::IOPort>().ioport_out8(0x43, 0x30)
    }
}

/// A105.
fn a_pacer_goes_by_the_timer_that_it_is_given(context: &mut Context) -> Outcome {
    let vmm = &mut context.vmm;
    TIMER.refuses.store(false, Ordering::Relaxed);
    TIMER.set.store(0, Ordering::Relaxed);
    TIMER.stopped.store(0, Ordering::Relaxed);
    TIMER.withdrawn.store(0, Ordering::Relaxed);
    let calls = vmm.kernel_calls();
    let refused = Pacer::start_with(vmm, &PARTS, PacerOptions::new(), &TIMER).err();
    check_eq!(refused, Some(PacerError::BadPeriod(500)));
    check_eq!(vmm.kernel_calls(), calls);

    let options = PacerOptions::new().period_us(PERIOD_US);
    let mut pacer = Pacer::start_with(vmm, &PARTS, options, &TIMER)?;
    check_eq!(TIMER.stopped.load(Ordering::Relaxed), 1);
    let clock = pacer.clock(vmm)?;
    let before = clock.ticks();
    clock.sleep(10_000)?;
    check!(clock.ticks() - before >= 5);
    check!(begin(vmm, &mut pacer, 1 << 20)? != 0);
    pacer.wait(vmm)?;
    // Once for each tick, beside the first.
    let (ticks, set) = (clock.ticks() - before, TIMER.set.load(Ordering::Relaxed));
    check!(set > ticks);
    check_eq!(pacer.calls_refused(), 0);
    // Without an interrupt to spare, who sleeps is told by the next who asks.
    slot::CNODE.cap().absolute_cptr(slot::IRQ_CONTROL.cptr()).revoke()?;
    check_eq!(clock.sleep(1_000_000), Err(PacerError::TimerLost));
    clock.release(vmm)?;
    pacer.stop(vmm)?;
    check_eq!(TIMER.stopped.load(Ordering::Relaxed), 2);
    // Its interrupt is free, and nobody has its slots.
    vmm.validate()?;
    Ok(Pacer::start(vmm, &PARTS, PacerOptions::new())?.stop(vmm)?)
}

/// A105. It fails when it has put something into both slots.
fn a_timer_that_refuses_leaves_nothing(context: &mut Context) -> Outcome {
    let vmm = &mut context.vmm;
    TIMER.refuses.store(true, Ordering::Relaxed);
    let options = PacerOptions::new().period_us(PERIOD_US);
    vmm.trim()?;
    let slots = vmm.stats().allocator.free_slots;
    let refused = Pacer::start_with(vmm, &PARTS, options, &TIMER).err();
    check_eq!(refused, Some(PacerError::NoTimer(sel4::Error::RangeError)));
    vmm.trim()?;
    check_eq!(vmm.stats().allocator.free_slots, slots);
    vmm.validate()?;
    TIMER.refuses.store(false, Ordering::Relaxed);
    TIMER.set.store(0, Ordering::Relaxed);
    TIMER.withdrawn.store(0, Ordering::Relaxed);
    Pacer::start_with(vmm, &PARTS, options, &TIMER)?.stop(vmm)?;
    Ok(Pacer::start(vmm, &PARTS, PacerOptions::new())?.stop(vmm)?)
}
