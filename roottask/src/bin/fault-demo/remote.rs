// SPDX-License-Identifier: BSD-2-Clause
//! Threads of other spaces, of a few instructions each: they store a word or load one, and end with
//! an instruction that does not exist. That is a fault as well, so their handler learns of it.

use core::arch::global_asm;

use roottask::arch::{di_mut, si, si_mut};
use roottask::{di, Manager, Outcome, Thread, ThreadOptions};
use sel4::{UserContext, Word};
use vmm::{CPtr, Pages, Placement, RegionId, RegionOptions, Rights, SpaceId};

global_asm!(
    ".pushsection .rodata",
    ".global remote_store",
    "remote_store:",
    concat!("mov [", di!(), "], esi"),
    "ud2",
    ".global remote_load",
    "remote_load:",
    concat!("mov esi, [", di!(), "]"),
    "ud2",
    ".global remote_end",
    "remote_end:",
    ".popsection",
);

extern "C" {
    static remote_store: u8;
    static remote_load: u8;
    static remote_end: u8;
}

/// The number of the exception that an instruction raises which does not exist.
pub const UNDEFINED: usize = 6;

/// Puts the program into a space, at the address of the region returned. Only the page is given:
/// its frame is a copy-on-write clone, and belongs to the space alone when we let go of ours.
pub fn load_program(vmm: &mut Manager, into: SpaceId) -> Outcome<RegionId> {
    let own = vmm.own_space();
    let ours = vmm.map(own, &RegionOptions::new(1).named("program"))?;
    let (start, end) = (&raw const remote_store, &raw const remote_end);
    let bytes = end as usize - start as usize;
    // SAFETY: the bytes between the two symbols are the program; the page is ours and mapped.
    unsafe { core::ptr::copy_nonoverlapping(start, ours.start().bits() as *mut u8, bytes) };
    let program = vmm.clone_region(ours, into, Placement::anywhere())?;
    vmm.release(ours)?;
    vmm.protect(into, Pages::at(program.start().bits()), Rights::READ)?;
    Ok(program)
}

/// A thread that runs the program.
pub struct Remote {
    thread: Thread,
    program: usize,
}

impl Remote {
    /// Makes it; it does not run yet. Its faults go to `endpoint`.
    pub fn new(
        vmm: &mut Manager,
        space: SpaceId,
        program: usize,
        endpoint: CPtr,
        name: &str,
    ) -> Outcome<Remote> {
        let options = ThreadOptions::new(name).answered_at(endpoint);
        let options = ThreadOptions { space: Some(space), stack_pages: 1, ..options };
        Ok(Remote { thread: Thread::new(vmm, &options)?, program })
    }

    /// Lets it store `value` at `address`.
    pub fn store(&self, address: usize, value: u32) -> Outcome {
        self.run(&raw const remote_store, address, value)
    }

    /// Lets it load the word at `address`.
    pub fn load(&self, address: usize) -> Outcome {
        self.run(&raw const remote_load, address, 0)
    }

    fn run(&self, entry: *const u8, address: usize, value: u32) -> Outcome {
        let mut context = UserContext::default();
        let offset = entry as usize - &raw const remote_store as usize;
        *context.pc_mut() = (self.program + offset) as Word;
        *di_mut(&mut context) = address as Word;
        *si_mut(&mut context) = value as Word;
        self.thread.run(&mut context)
    }

    /// What it stored or loaded, when it has ended.
    pub fn value(&self) -> Outcome<u32> {
        Ok(si(&self.thread.tcb().tcb_read_all_registers(false)?) as u32)
    }

    /// Gives it back.
    pub fn release(self, vmm: &mut Manager) -> Outcome {
        Ok(self.thread.release(vmm)?)
    }
}
