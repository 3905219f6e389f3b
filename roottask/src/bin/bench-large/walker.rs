// SPDX-License-Identifier: BSD-2-Clause
//! A thread of another space that walks over its pages: four instructions for each, and an
//! instruction that does not exist at the end, which its handler is told of as a fault.

use core::arch::global_asm;

use roottask::arch::{di_mut, si_mut};
use roottask::{di, Manager, Thread, ThreadOptions};
use sel4::{cap_type, UserContext, Word};
use vmm::sel4::faults::{FaultHandler, Incident, ThreadFault, Verdict};
use vmm::{Blueprint, CPtr, Pages, Placement, RegionOptions, Result, Rights, SpaceId};

/// Of every so many pages, [`Walk::WriteFew`] writes to one.
pub const SPARSE: usize = 100;

global_asm!(
    ".pushsection .rodata",
    ".global walk_write",
    "walk_write:",
    concat!("2: mov [", di!(), "], esi"),
    concat!("add ", di!(), ", 4096"),
    "dec esi",
    "jnz 2b",
    "ud2",
    ".global walk_write_few",
    "walk_write_few:",
    concat!("2: mov [", di!(), "], esi"),
    concat!("add ", di!(), ", 409600"),
    "dec esi",
    "jnz 2b",
    "ud2",
    ".global walk_read",
    "walk_read:",
    concat!("2: mov eax, [", di!(), "]"),
    concat!("add ", di!(), ", 4096"),
    "dec esi",
    "jnz 2b",
    "ud2",
    ".global walk_end",
    "walk_end:",
    ".popsection",
);

extern "C" {
    static walk_write: u8;
    static walk_write_few: u8;
    static walk_read: u8;
    static walk_end: u8;
}

/// What is done to each page.
#[derive(Clone, Copy)]
pub enum Walk {
    /// A word is written.
    Write,
    /// The same, to one of [`SPARSE`] pages.
    WriteFew,
    /// A word is read.
    Read,
}

/// Ends a thread with an instruction that does not exist; anything else was not planned.
fn policy(_: &mut Manager, incident: &Incident<'_>) -> Verdict {
    match incident.fault {
        ThreadFault::Exception { .. } => Verdict::Suspend,
        _ => sel4_root_task::abort!("{incident}"),
    }
}

/// Answers the faults of walkers.
pub struct Watch {
    endpoint: CPtr,
    handler: FaultHandler<fn(&mut Manager, &Incident<'_>) -> Verdict>,
}

impl Watch {
    /// Nobody walks yet.
    pub fn new(vmm: &mut Manager) -> Result<Watch> {
        let endpoint = vmm.allocate(Blueprint::Endpoint)?.slot();
        Ok(Watch { endpoint, handler: FaultHandler::new(endpoint, policy) })
    }

    /// Lets a walker go over `count` pages from `start` on, until it is done.
    pub fn walk(
        &mut self,
        vmm: &mut Manager,
        walker: &Walker,
        walk: Walk,
        start: usize,
        count: usize,
    ) {
        walker.run(walk, start, count);
        let endpoint = self.endpoint.cap::<cap_type::Endpoint>();
        let (mut info, mut badge) = endpoint.recv(());
        while let Some(answer) = self.handler.handle(vmm, &info, badge) {
            (info, badge) = endpoint.reply_recv(answer, ());
        }
    }
}

/// A space with the program in it.
pub fn space_with_program(vmm: &mut Manager) -> Result<(SpaceId, usize)> {
    let (own, space) = (vmm.own_space(), vmm.create_space()?);
    let ours = vmm.map(own, &RegionOptions::new(1))?;
    let (start, end) = (&raw const walk_write, &raw const walk_end);
    let bytes = end as usize - start as usize;
    // SAFETY: the bytes between the two symbols are the program; the page is ours and mapped.
    unsafe { core::ptr::copy_nonoverlapping(start, ours.start().bits() as *mut u8, bytes) };
    let program = vmm.clone_region(ours, space, Placement::anywhere())?;
    vmm.release(ours)?;
    vmm.protect(space, Pages::at(program.start().bits()), Rights::READ)?;
    Ok((space, program.start().bits()))
}

/// A thread that walks.
pub struct Walker {
    thread: Thread,
    program: usize,
}

impl Walker {
    /// Of a space that has the program at an address.
    pub fn new(vmm: &mut Manager, watch: &Watch, space: SpaceId, program: usize) -> Result<Walker> {
        let options = ThreadOptions::new("walker").answered_at(watch.endpoint);
        let options = ThreadOptions { space: Some(space), stack_pages: 1, ..options };
        Ok(Walker { thread: Thread::new(vmm, &options)?, program })
    }

    fn run(&self, walk: Walk, start: usize, count: usize) {
        let entry = match walk {
            Walk::Write => &raw const walk_write,
            Walk::WriteFew => &raw const walk_write_few,
            Walk::Read => &raw const walk_read,
        };
        let mut context = UserContext::default();
        let offset = entry as usize - &raw const walk_write as usize;
        *context.pc_mut() = (self.program + offset) as Word;
        *di_mut(&mut context) = start as Word;
        *si_mut(&mut context) = count as Word;
        self.thread.run(&mut context).expect("it does not run");
    }

    /// Gives it back.
    pub fn release(self, vmm: &mut Manager) -> Result {
        self.thread.release(vmm)
    }
}
