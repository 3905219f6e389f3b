// SPDX-License-Identifier: BSD-2-Clause
//! A102: the longest stretch in which the kernel does not look at interrupts.
//!
//! A thread of the highest priority has the timer interrupt it, and sees how late it runs: beside
//! what the kernel takes to come to it, that is the rest of a stretch that was under way. The
//! interrupts come at times that have nothing to do with the stretches, and there are hundreds of
//! each kind, so the latest comes near to the longest.

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed};

use roottask::arch::{ticks, LARGE_BITS};
use roottask::{check, Failure, Manager, Outcome};
use sel4::init_thread::slot;
use sel4::{cap, cap_type, AbsoluteCPtr, CapRights, FrameObjectType, VmAttributes, Word};
use sel4_root_task::debug_println;
use vmm::sel4::SpawnOptions;
use vmm::{Blueprint, CPtr, Pages, RegionOptions, PAGE_BYTES};

/// The most instructions of a stretch.
const MAX_STRETCH: u32 = 500_000;

/// The kinds of long calls, after what is done between them.
const KINDS: [&str; 4] = ["what is between them", "a clearing", "a revocation", "a deletion"];

/// Interrupts that must have come in each kind.
const INTERRUPTS: u32 = 50;

/// Frames that are made by one call, mapped and revoked together.
const FRAMES: usize = 256;

/// The bits of a CNode that is deleted with a capability in each slot.
const RADIX: u8 = 9;

/// Bytes that are cleared by one call.
const CLEARED: usize = 1 << 23;

/// The timer's line, its ports, the command to interrupt once, and its input.
const LINE: Word = 0;
const COUNTER: u16 = 0x40;
const COMMAND: u16 = 0x43;
const ONCE: u8 = 0x30;
const INPUT_HZ: u64 = 1_193_182;

/// What the thread saw.
struct Late {
    end: AtomicBool,
    /// The call that is made now.
    kind: AtomicUsize,
    /// The latest in each, in instructions, and how many interrupts came.
    latest: [AtomicU32; KINDS.len()],
    count: [AtomicU32; KINDS.len()],
}

static LATE: Late = Late {
    end: AtomicBool::new(false),
    kind: AtomicUsize::new(0),
    latest: [const { AtomicU32::new(0) }; KINDS.len()],
    count: [const { AtomicU32::new(0) }; KINDS.len()],
};

/// Makes each kind of call until enough interrupts came in it, prints the longest stretches, and
/// fails if one is too long.
pub fn measure(vmm: &mut Manager) -> Outcome {
    let notification = vmm.allocate(Blueprint::Notification)?;
    let handler = vmm.alloc_slots(1)?;
    slot::IRQ_CONTROL.cap().irq_control_get(LINE, &place(handler))?;
    let interrupt = handler.cap::<cap_type::IrqHandler>();
    interrupt.irq_handler_set_notification(notification.cap())?;
    interrupt.irq_handler_ack()?;
    let tick = notification.cap::<cap_type::Notification>();
    let options = SpawnOptions::new().priority(u8::MAX);
    let thread = vmm.spawn(&options, move || be_interrupted(tick, interrupt))?;
    let limit = vmm.clearing_limit();
    vmm.limit_clearing(usize::MAX);
    let done = make_calls(vmm);
    vmm.limit_clearing(limit);
    LATE.end.store(true, Relaxed);
    let interrupted = thread.join(vmm).map_err(|_| Failure::Kernel(sel4::Error::RangeError))?;
    place(handler).delete()?;
    vmm.free_slots(handler, 1)?;
    vmm.free(notification)?;
    done?;
    interrupted?;
    for (number, kind) in KINDS.iter().enumerate() {
        let (latest, count) = (LATE.latest[number].load(Relaxed), LATE.count[number].load(Relaxed));
        debug_println!("  longest stretch in {kind}: {latest} instructions, of {count} interrupts");
        check!(count >= INTERRUPTS && latest != 0 && latest <= MAX_STRETCH);
    }
    Ok(())
}

fn make_calls(vmm: &mut Manager) -> Outcome {
    type Call = fn(&mut Manager) -> Outcome;
    let calls: [Call; KINDS.len()] = [compute, clear, revoke, delete];
    for (call, count) in calls.into_iter().zip(&LATE.count) {
        while count.load(Relaxed) < INTERRUPTS {
            call(vmm)?;
        }
    }
    Ok(())
}

/// Makes a call of a kind; what comes before it and after it counts as none.
fn measured<T>(kind: usize, call: impl FnOnce() -> T) -> T {
    LATE.kind.store(kind, Relaxed);
    let answer = call();
    LATE.kind.store(0, Relaxed);
    answer
}

fn compute(_: &mut Manager) -> Outcome {
    (0..10_000).for_each(|_| core::hint::spin_loop());
    Ok(())
}

fn clear(vmm: &mut Manager) -> Outcome {
    if vmm.next_clearing(CLEARED) == 0 {
        let written = vmm.map(vmm.own_space(), &RegionOptions::new(CLEARED / PAGE_BYTES))?;
        vmm.release(written)?;
        vmm.trim()?;
    }
    check!(measured(1, || vmm.clear(CLEARED))? != 0);
    Ok(())
}

/// Revokes an untyped all of whose frames are mapped.
fn revoke(vmm: &mut Manager) -> Outcome {
    let own = vmm.own_space();
    // Its first page has the manager make the page table.
    let region = vmm.reserve(own, &RegionOptions::new(FRAMES + 1).aligned(LARGE_BITS))?;
    vmm.populate(own, Pages::at(region.start().bits()))?;
    let untyped = vmm.allocate(Blueprint::Untyped { size_bits: 20 })?;
    let (first, frame) = (vmm.alloc_slots(FRAMES)?, FrameObjectType::GRANULE.blueprint());
    let node = slot::CNODE.cap().absolute_cptr_for_self();
    let all_of_it = untyped.cap::<cap_type::Untyped>();
    all_of_it.untyped_retype(&frame, &node, first.bits(), FRAMES)?;
    for number in 0..FRAMES {
        let at = region.start().bits() + (number + 1) * PAGE_BYTES;
        let frame = CPtr::new(first.bits() + number).cap::<cap_type::UnspecifiedPage>();
        let all = CapRights::read_write();
        frame.frame_map(slot::VSPACE.cap(), at, all, VmAttributes::DEFAULT)?;
    }
    measured(2, || place(untyped.slot()).revoke())?;
    vmm.free_slots(first, FRAMES)?;
    vmm.free(untyped)?;
    Ok(vmm.release(region)?)
}

/// Deletes a CNode that is full.
fn delete(vmm: &mut Manager) -> Outcome {
    let (cnode, what) = (
        vmm.allocate(Blueprint::CNode { radix_bits: RADIX })?,
        vmm.allocate(Blueprint::Notification)?,
    );
    let slots = cnode.cap::<cap_type::CNode>();
    for index in 0..1 << RADIX {
        let slot = slots.absolute_cptr_from_bits_with_depth(index, RADIX.into());
        slot.copy(&place(what.slot()), CapRights::all())?;
    }
    measured(3, || place(cnode.slot()).delete())?;
    vmm.free(cnode)?;
    Ok(vmm.free(what)?)
}

/// Has the timer interrupt it again and again, and notes how late that is.
fn be_interrupted(tick: cap::Notification, interrupt: cap::IrqHandler) -> sel4::Result<()> {
    let (ports, mut inputs) = (slot::IO_PORT.cap(), 0);
    ports.ioport_out8(COMMAND, ONCE)?;
    while !LATE.end.load(Relaxed) {
        // From 0.1 to 0.3 ms, each another time.
        inputs = (inputs + 89) % 241;
        let count = 120 + inputs as u16;
        let [low, high] = count.to_le_bytes();
        ports.ioport_out8(COUNTER, low)?;
        let begun = ticks();
        ports.ioport_out8(COUNTER, high)?;
        tick.wait();
        // 1000 instructions last a microsecond. It comes with the input after the last.
        let due = (u64::from(count) + 1) * 1_000_000_000 / INPUT_HZ;
        let (late, kind) = ((ticks() - begun).saturating_sub(due), LATE.kind.load(Relaxed));
        if let (Some(latest), Some(count)) = (LATE.latest.get(kind), LATE.count.get(kind)) {
            latest.store(latest.load(Relaxed).max(late as u32), Relaxed);
            count.store(count.load(Relaxed) + 1, Relaxed);
        }
        interrupt.irq_handler_ack()?;
    }
    ports.ioport_out8(COMMAND, ONCE)
}

/// The place of a slot in the first CNode.
fn place(slot: CPtr) -> AbsoluteCPtr {
    slot::CNODE.cap().absolute_cptr(sel4::CPtr::from_bits(slot.bits() as Word))
}
