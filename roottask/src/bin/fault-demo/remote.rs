//! Threads of other spaces, of a few instructions each: they store a word or load one, and end with
//! an instruction that does not exist. That is a fault as well, so their handler learns of it.

use core::arch::global_asm;

use roottask::{check_eq, Manager, Outcome};
use sel4::init_thread::slot;
use sel4::{cap, UserContext, Word};
use vmm::{Blueprint, CPtr, Kernel, Object, RegionId, RegionOptions, Rights, SpaceId, ThreadId};

global_asm!(
    ".pushsection .rodata",
    ".global remote_store",
    "remote_store:",
    "mov [edi], esi",
    "ud2",
    ".global remote_load",
    "remote_load:",
    "mov esi, [edi]",
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
    let program = vmm.clone_region(ours, into, &RegionOptions::new(1))?;
    vmm.release(ours)?;
    vmm.protect(into, program.start().bits(), 1, Rights::READ)?;
    Ok(program)
}

/// A thread that runs the program.
pub struct Remote {
    tcb: Object,
    id: ThreadId,
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
        let tcb = vmm.allocate(Blueprint::Tcb)?;
        let id = vmm.register_thread(space, tcb.slot(), endpoint, name)?;
        let fault_endpoint = vmm.thread(id)?.fault_endpoint;
        let (root, vspace) = (vmm.cspace_root(), vmm.vspace(space)?);
        let set = vmm.kernel_mut().tcb_set_space(tcb.slot(), fault_endpoint, root, vspace);
        check_eq!(set, Ok(()));
        let remote = Remote { tcb, id, program };
        remote.control().tcb_set_sched_params(slot::TCB.cap(), 254, 254)?;
        Ok(remote)
    }

    fn control(&self) -> cap::Tcb {
        cap::Tcb::from_bits(self.tcb.slot().bits() as Word)
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
        context.inner_mut().edi = address as Word;
        context.inner_mut().esi = value;
        Ok(self.control().tcb_write_all_registers(true, &mut context)?)
    }

    /// What it stored or loaded, when it has ended.
    pub fn value(&self) -> Outcome<u32> {
        Ok(self.control().tcb_read_all_registers(false)?.inner().esi)
    }

    /// Gives it back.
    pub fn release(self, vmm: &mut Manager) -> Outcome {
        self.control().tcb_suspend()?;
        vmm.unregister_thread(self.id)?;
        Ok(vmm.free(self.tcb)?)
    }
}
