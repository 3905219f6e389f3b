// SPDX-License-Identifier: BSD-2-Clause
//! Page faults: from the faulting instruction to its completion, as the faulting thread sees it.
//!
//! ```text
//!   toucher, priority 254          our loop, priority 255
//!   reads the counter
//!   stores a word ──fault──►       handles the message: the manager's handler, or a hand-written one
//!   reads the counter  ◄─reply──   seL4_ReplyRecv
//! ```
//!
//! The hand-written handler knows everything beforehand: which page comes next, which frame it
//! gets.

use roottask::{Manager, Thread, ThreadOptions};
use sel4::{cap, cap_type, sys, Badge, FrameObjectType, MessageInfo};
use sel4::{MessageInfoBuilder, Word};
use vmm::sel4::faults::{FaultHandler, Incident, Verdict};
use vmm::{Access, Backing, Blueprint, PageFault, Pages, RegionOptions, Result};

use super::floor::{Floor, BATCH};
use roottask::measure::{cost, Cost, Row, Samples};

/// Faults of each row.
pub const TIMES: usize = 512;
const PAGE: usize = 4096;
/// The label of the message with which the toucher ends: it raises an exception. It makes no system
/// call, after which it could not be set going with arguments (the kernel leaves by SYSEXIT then).
const DONE: Word = sys::seL4_Fault_UserException;

/// What the toucher is to do.
struct Job {
    start: usize,
    /// Which page is touched in each turn.
    order: fn(usize) -> usize,
    samples: Samples,
}

sel4::thread_entry! {
    /// Stores a word in page after page, and notes what each store cost.
    fn touch(job: usize, _: usize) -> ! {
        // SAFETY: `faults` waits until this thread is done before it uses the job again.
        let job = unsafe { &mut *(job as *mut Job) };
        for turn in 0..TIMES {
            let word = (job.start + (job.order)(turn) * PAGE) as *mut u32;
            // SAFETY: the page is for this thread to write; if it is not mapped so, a fault mends
            // that.
            job.samples.take(|| unsafe { word.write_volatile(turn as u32) });
        }
        // SAFETY: an instruction that does not exist: the thread stops here.
        unsafe { core::arch::asm!("ud2", options(noreturn)) }
    }
}

/// A thread that touches, and the endpoint of its faults.
pub struct Toucher {
    thread: Thread,
    endpoint: cap::Endpoint,
    handler: FaultHandler<fn(&mut Manager, &Incident<'_>) -> Verdict>,
}

impl Toucher {
    /// One that does not run yet.
    pub fn new(vmm: &mut Manager) -> Result<Toucher> {
        let endpoint = vmm.allocate(Blueprint::Endpoint)?.slot();
        let thread = Thread::new(vmm, &ThreadOptions::new("toucher").answered_at(endpoint))?;
        let handler: FaultHandler<fn(&mut Manager, &Incident<'_>) -> Verdict> =
            FaultHandler::new(endpoint, |_, incident| sel4_root_task::abort!("{incident}"));
        let endpoint = endpoint.cap::<cap_type::Endpoint>();
        Ok(Toucher { thread, endpoint, handler })
    }

    /// Lets it touch [`TIMES`] pages from `start` on in an order, and answers its faults.
    fn faults(
        &mut self,
        start: usize,
        order: fn(usize) -> usize,
        mut answer: impl FnMut(&mut Self, &MessageInfo, Badge) -> Option<MessageInfo>,
    ) -> Samples {
        let mut job = Job { start, order, samples: Samples::new() };
        let arguments = [&raw mut job as usize, 0];
        self.thread.start(touch, arguments).expect("it does not run");
        let endpoint = self.endpoint;
        let (mut info, mut badge) = endpoint.recv(());
        while info.label() != DONE {
            (info, badge) = match answer(self, &info, badge) {
                Some(answer) => endpoint.reply_recv(answer, ()),
                None => endpoint.recv(()),
            };
        }
        // It is not answered: it waits, until it is started anew.
        self.thread.tcb().tcb_suspend().expect("a thread can be suspended");
        job.samples
    }

    /// The same, answered by the manager.
    pub fn managed(
        &mut self,
        vmm: &mut Manager,
        start: usize,
        order: fn(usize) -> usize,
    ) -> Result<(Samples, Cost)> {
        cost(vmm, |vmm| {
            Ok(self.faults(start, order, |this, info, badge| this.handler.handle(vmm, info, badge)))
        })
    }

    /// The same, answered by hand: `act` is given the page's number.
    pub fn by_hand(
        &mut self,
        start: usize,
        order: fn(usize) -> usize,
        mut act: impl FnMut(usize),
    ) -> Samples {
        self.faults(start, order, |_, info, _| {
            if info.label() != sys::seL4_Fault_VMFault {
                return None;
            }
            let address = sel4::with_ipc_buffer(|buffer| buffer.msg_regs()[1]) as usize;
            act((address - start) / PAGE);
            Some(MessageInfoBuilder::default().build())
        })
    }
}

/// One page after the other.
pub fn upwards(turn: usize) -> usize {
    turn
}

/// Both rows, and how they grow.
pub fn run(vmm: &mut Manager) -> Result {
    let mut toucher = Toucher::new(vmm)?;
    demand_zero(vmm, &mut toucher)?;
    cow_break(vmm, &mut toucher)?;
    growth(vmm)
}

/// The first touch of each page of a region that is mapped on demand, one page a fault.
fn demand_zero(vmm: &mut Manager, toucher: &mut Toucher) -> Result {
    let options = RegionOptions::new(TIMES).backed(Backing::OnDemand { around: 1 });
    let region = vmm.reserve(vmm.own_space(), &options)?;
    let (mut samples, spent) = toucher.managed(vmm, region.start().bits(), upwards)?;
    let floor = Floor::new(vmm, TIMES, FrameObjectType::_4k)?;
    let mut raw = toucher.by_hand(floor.address(0), upwards, |page| floor.map_fresh(page, TIMES));
    let row = Row::new("fault_demand_zero", "fault", TIMES);
    row.print_single(&spent, &mut samples, Some(&mut raw), Some(TIMES));
    vmm.release(region)
}

/// The first write to each page of a region that was cloned. By hand: the page is unmapped, mapped
/// at one place to be copied from, a fresh frame at another to be copied to, then that at its
/// place.
fn cow_break(vmm: &mut Manager, toucher: &mut Toucher) -> Result {
    let (own, options) = (vmm.own_space(), RegionOptions::new(TIMES));
    let region = vmm.map(own, &options)?;
    let clone = vmm.clone_region(region, own, options.placement())?;
    let (mut samples, spent) = toucher.managed(vmm, region.start().bits(), upwards)?;

    let floor = Floor::new(vmm, 4 * TIMES, FrameObjectType::_4k)?;
    let (target, view) = (2 * TIMES, 2 * TIMES + 1);
    floor.make_tables(4 * TIMES);
    for page in 0..TIMES {
        if page % BATCH == 0 {
            floor.make_frames(page / BATCH, BATCH);
        }
        floor.map(page);
        floor.protect(page);
    }
    let mut raw = toucher.by_hand(floor.address(0), upwards, |page| {
        let fresh = TIMES + page;
        if fresh % BATCH == 0 {
            floor.make_frames(fresh / BATCH, BATCH);
        }
        floor.unmap(page);
        floor.map_to(fresh, target);
        floor.map_to(page, view);
        floor.copy(target, view);
        floor.unmap(page);
        floor.unmap(fresh);
        floor.map_to(fresh, page);
    });
    let row = Row::new("fault_cow_break", "fault", TIMES);
    row.print_single(&spent, &mut samples, Some(&mut raw), None);
    vmm.release(clone)?;
    vmm.release(region)
}

/// Pages that are left for book-keeping where no others are.
const BOOKKEEPING: usize = 16;

/// The first write to each page of a region that was cloned, where all frames have second mappings
/// that last. By hand: the page is unmapped, copied there, and the other frame mapped in its place.
pub fn cow_break_again(vmm: &mut Manager) -> Result {
    let mut toucher = Toucher::new(vmm)?;
    let (own, options) = (vmm.own_space(), RegionOptions::new(TIMES));
    let mut round = |vmm: &mut Manager| -> Result<_> {
        let region = vmm.map(own, &options)?;
        let clone = vmm.clone_region(region, own, options.placement())?;
        let outcome = toucher.managed(vmm, region.start().bits(), upwards)?;
        vmm.release(clone)?;
        vmm.release(region)?;
        Ok(outcome)
    };
    // The records of single pages are there then, as in a system that runs.
    round(vmm)?;
    // So that frames are used again.
    let hoard = {
        let both = vmm.map(own, &RegionOptions::new(2 * TIMES + BOOKKEEPING))?;
        let hoard = crate::bulk::hoard(vmm)?;
        vmm.release(both)?;
        hoard
    };
    let mut outcome = None;
    for _ in 0..3 {
        outcome = Some(round(vmm)?);
    }
    hoard.into_iter().flatten().try_for_each(|object| vmm.free(object))?;
    let Some((mut samples, spent)) = outcome else { return Ok(()) };

    // A page table that was kept empty would be in the floor's way.
    vmm.trim()?;
    let floor = Floor::new(vmm, 4 * TIMES, FrameObjectType::_4k)?;
    let (target, view) = (2 * TIMES, 2 * TIMES + 1);
    floor.make_tables(4 * TIMES);
    for page in (0..3 * TIMES).step_by(BATCH) {
        floor.make_frames(page / BATCH, BATCH);
    }
    for page in 0..TIMES {
        floor.map(page);
        floor.protect(page);
    }
    // Any two frames do for what is copied.
    floor.map(target);
    floor.map(view);
    let mut raw = toucher.by_hand(floor.address(0), upwards, |page| {
        floor.unmap(page);
        floor.copy(target, view);
        floor.map_to(TIMES + page, page);
    });
    let row = Row::new("fault_cow_break_direct", "fault", TIMES);
    row.print_single(&spent, &mut samples, Some(&mut raw), None);
    Ok(())
}

/// Resolving a fault beside 10, 100, 1000 and 10,000 regions of a space that has no others; without
/// the message, which does not depend on them.
fn growth(vmm: &mut Manager) -> Result {
    const SAMPLES: usize = 64;
    /// Where the regions are put: page after page, each with a hole behind it.
    const BASE: usize = 0x8000_0000;
    /// As many of them lie below one page table.
    const TABLE_REGIONS: usize = 512;
    let place = |region: usize| BASE + region * 2 * PAGE;
    let options = RegionOptions::new(1).backed(Backing::OnDemand { around: 1 });
    let space = vmm.create_space()?;
    let mut made = 0;
    for others in [10, 100, 1000, 10_000] {
        while made < others {
            vmm.reserve(space, &options.at(place(made)))?;
            made += 1;
        }
        // Another region each time, so that none is found only for having been used last; of one
        // page table, so that none is made.
        let first = others / 2 / TABLE_REGIONS * TABLE_REGIONS;
        let mut samples = Samples::new();
        let (_, spent) = cost(vmm, |vmm| {
            (0..SAMPLES).try_for_each(|turn| {
                let address = place(first + turn * 37 % (others - first).min(TABLE_REGIONS));
                let fault = PageFault { address, access: Access::Write, present: false, ip: 0 };
                samples.take(|| vmm.resolve_fault(space, &fault))?;
                vmm.unmap(space, Pages::at(address))
            })
        })?;
        let row = Row::new("resolve_fault", "fault", SAMPLES).beside(others);
        row.print_single(&spent, &mut samples, None, None);
    }
    vmm.destroy_space(space)
}
