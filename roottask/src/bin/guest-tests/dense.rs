// SPDX-License-Identifier: BSD-2-Clause
//! A program's memory on demand that becomes large in the background, while it is used.
//!
//! The program is a thread of a space of its own, so that the kernel tells of each touch of a page
//! that is away. It adds to a word of each page how many pages it has still to go over.

use core::arch::global_asm;

use roottask::arch::{di_mut, si_mut};
use roottask::{check, check_eq, di, Manager, Outcome, Thread, ThreadOptions};
use sel4::{cap, UserContext, Word};
use vmm::sel4::faults::{FaultHandler, Incident, Verdict};
use vmm::{
    Backing, Blueprint, Object, PageSize, Pages, Placement, RegionId, RegionOptions, Rights,
    ShareOptions, SpaceId,
};

use crate::arch::{LARGE_BITS, LARGE_PAGES};
use crate::context::{cap_of, Context};
use crate::probe::word;

crate::table::tests!("dense":
    memory_becomes_large_while_a_program_goes_over_it,
    memory_is_small_still_where_that_is_given_up,
);

const PAGE: usize = 4096;
/// Below it, faults are told by their whole address on either architecture.
const LOW: usize = 0x8000_0000;

global_asm!(
    ".pushsection .rodata",
    ".global dense_walk",
    "dense_walk:",
    concat!("2: add [", di!(), "], esi"),
    concat!("add ", di!(), ", 4096"),
    "dec esi",
    "jnz 2b",
    "ud2",
    ".global dense_walk_end",
    "dense_walk_end:",
    ".popsection",
);

extern "C" {
    static dense_walk: u8;
    static dense_walk_end: u8;
}

/// The instruction that does not exist ends a walk.
fn policy(_: &mut Manager, _: &Incident<'_>) -> Verdict {
    Verdict::Suspend
}

/// A program, and its memory.
struct Program {
    space: SpaceId,
    code: usize,
    region: RegionId,
    endpoint: Object,
    thread: Thread,
    walks: Word,
}

impl Program {
    fn new(vmm: &mut Manager) -> Outcome<Program> {
        let (own, space) = (vmm.own_space(), vmm.create_space()?);
        let ours = vmm.map(own, &RegionOptions::new(1))?;
        let (start, end) = (&raw const dense_walk, &raw const dense_walk_end);
        let bytes = end as usize - start as usize;
        // SAFETY: the bytes between the two are the program; the page is ours and mapped.
        unsafe { core::ptr::copy_nonoverlapping(start, ours.start().bits() as *mut u8, bytes) };
        let code = vmm.clone_region(ours, space, Placement::anywhere())?.start().bits();
        vmm.release(ours)?;
        vmm.protect(space, Pages::at(code), Rights::READ)?;
        let options = RegionOptions::new(LARGE_PAGES).page_size(PageSize::Auto).within(0..LOW);
        let region = vmm.reserve(space, &options.backed(Backing::OnDemand { around: 16 }))?;
        let endpoint = vmm.allocate(Blueprint::Endpoint)?;
        let options = ThreadOptions::new("walker").answered_at(endpoint.slot());
        let options = ThreadOptions { space: Some(space), stack_pages: 1, ..options };
        let thread = Thread::new(vmm, &options)?;
        Ok(Program { space, code, region, endpoint, thread, walks: 0 })
    }

    /// Has it go over its memory; `between` is done before the answer to each fault. How many there
    /// were.
    fn walk(
        &mut self,
        vmm: &mut Manager,
        mut between: impl FnMut(&mut Manager) -> Outcome,
    ) -> Outcome<usize> {
        let mut context = UserContext::default();
        *context.pc_mut() = self.code as Word;
        *di_mut(&mut context) = self.region.start().bits() as Word;
        *si_mut(&mut context) = LARGE_PAGES as Word;
        self.thread.run(&mut context)?;
        let endpoint: cap::Endpoint = cap_of(self.endpoint);
        let mut handler = FaultHandler::new(self.endpoint.slot(), policy);
        let (mut faults, (mut info, mut badge)) = (0, endpoint.recv(()));
        while let Some(answer) = handler.handle(vmm, &info, badge) {
            faults += 1;
            between(vmm)?;
            (info, badge) = endpoint.reply_recv(answer, ());
        }
        self.walks += 1;
        Ok(faults)
    }

    /// What is in each page is what so many walks have added up.
    fn check(&self, vmm: &mut Manager) -> Outcome {
        let own = vmm.own_space();
        let pages = Pages::at(self.region.start().bits()).count(LARGE_PAGES);
        let options = ShareOptions::new().aligned(LARGE_BITS).rights(Rights::READ);
        let view = vmm.share(self.space, pages, own, &options)?;
        for page in 0..LARGE_PAGES {
            let there = word(view.start().bits() + page * PAGE);
            check_eq!(there as u32, (self.walks as usize * (LARGE_PAGES - page)) as u32);
        }
        Ok(vmm.release(view)?)
    }

    fn release(self, vmm: &mut Manager) -> Outcome {
        self.thread.release(vmm)?;
        vmm.free(self.endpoint)?;
        Ok(vmm.destroy_space(self.space)?)
    }
}

/// Steps until there is no more to do.
fn finish(vmm: &mut Manager) -> Outcome {
    while vmm.promote_further(64)? {}
    Ok(())
}

/// Steps until a promotion is under way; whether one is. A machine of 16 MiB has no memory for it.
fn begin(vmm: &mut Manager) -> Outcome<bool> {
    while !vmm.promotion_is_under_way() && vmm.promote_further(64)? {}
    Ok(vmm.promotion_is_under_way())
}

/// A326, A328.
fn memory_becomes_large_while_a_program_goes_over_it(context: &mut Context) -> Outcome {
    let vmm = &mut context.vmm;
    let mut program = Program::new(vmm)?;
    check_eq!(program.walk(vmm, |_| Ok(()))?, LARGE_PAGES / 16);
    check_eq!(vmm.large_pages_in(program.region)?, 0);
    program.check(vmm)?;
    if begin(vmm)? {
        for _ in 0..3 {
            check!(vmm.promote_further(64)?);
        }
        // Each touch of a page that is away is served, and a step is made.
        let step = |vmm: &mut Manager| vmm.promote_further(32).map(drop).map_err(Into::into);
        check!(program.walk(vmm, step)? > 1);
        vmm.validate()?;
        finish(vmm)?;
        finish(vmm)?;
        check_eq!(vmm.large_pages_in(program.region)?, LARGE_PAGES);
        // The end of the walk is the only one.
        check_eq!(program.walk(vmm, |_| Ok(()))?, 0);
    }
    program.check(vmm)?;
    program.release(vmm)
}

/// A328, A331.
fn memory_is_small_still_where_that_is_given_up(context: &mut Context) -> Outcome {
    let vmm = &mut context.vmm;
    let mut program = Program::new(vmm)?;
    program.walk(vmm, |_| Ok(()))?;
    if begin(vmm)? {
        for _ in 0..5 {
            check!(vmm.promote_further(64)?);
        }
        vmm.trim()?;
        check!(!vmm.promotion_is_under_way());
        check_eq!(program.walk(vmm, |_| Ok(()))?, LARGE_PAGES / 16);
    }
    check_eq!(vmm.large_pages_in(program.region)?, 0);
    program.check(vmm)?;
    program.release(vmm)
}
