// SPDX-License-Identifier: BSD-2-Clause
//! What a test has to work with.

use alloc::vec::Vec;

use roottask::{check_eq, Failure, Manager, Outcome, Thread, ThreadOptions};
use sel4::init_thread::slot;
use sel4::{
    cap, AbsoluteCPtr, CPtr, Cap, CapType, Fault, MessageInfoBuilder, ObjectBlueprint, Word,
};
use vmm::sel4::{start_with, BootPool, StartOptions};
use vmm::{Blueprint, FaultEndpoint, Object, SpaceId, Stats};

static POOL: BootPool = BootPool::new();

/// The label of the message with which a child's body ends; faults have labels below 16.
pub const DONE: Word = 0x800;

/// The manager, and what a test has taken that is given back for it when it ends.
pub struct Context {
    pub vmm: Manager,
    pub bootinfo: sel4::BootInfoPtr,
    pub space: SpaceId,
    children: Vec<Child>,
    scratches: Vec<Scratch>,
}

/// The logarithm of the slots of a grown CSpace's root: on 64 bits there are to be four slots for a
/// page.
fn root_bits(stats: &Stats) -> usize {
    let pages = stats.allocator.total_bytes / 4096;
    match size_of::<Word>() {
        8 => ((pages * 4 / 4096 + 1).next_power_of_two().ilog2() as usize).clamp(8, 12),
        _ => 8,
    }
}

/// What must be the same before and after a test.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Free {
    /// Free bytes. Book-keeping pages and their page table stay, and count as free.
    bytes: usize,
    /// Pages mapped, other than for book-keeping.
    mapped_pages: usize,
    /// Largest block, free slots, regions: what book-keeping takes of these is in its pages, so
    /// they are told only while there is none.
    details: Option<(usize, usize, usize)>,
}

impl Context {
    pub fn new(bootinfo: &sel4::BootInfoPtr) -> Outcome<Context> {
        let vmm = start_with(bootinfo, &POOL, &StartOptions::new().clear_when_needed())?;
        let space = vmm.own_space();
        let (children, scratches) = (Vec::new(), Vec::new());
        Ok(Context { vmm, bootinfo: *bootinfo, space, children, scratches })
    }

    /// How many aligned blocks of 2^`bits` bytes the boot's untyped memory holds. An untyped is
    /// aligned to its size, and two cannot become one, so nobody can have more.
    pub fn blocks_at_boot(&self, bits: u8) -> usize {
        self.ram_at_boot().filter(|&size| size >= bits).map(|size| 1 << (size - bits)).sum()
    }

    /// Bytes of the boot's untyped memory that lie in no such block.
    pub fn bytes_beside_blocks(&self, bits: u8) -> usize {
        self.ram_at_boot().filter(|&size| size < bits).map(|size| 1 << size).sum()
    }

    fn ram_at_boot(&self) -> impl Iterator<Item = u8> + '_ {
        self.bootinfo.untyped_list().iter().filter(|u| !u.is_device()).map(|u| u.size_bits() as u8)
    }

    /// Runs a test, cleans up after it, and checks that it left nothing behind.
    pub fn run(&mut self, test: fn(&mut Context) -> Outcome) -> Outcome {
        self.vmm.trim()?;
        let before = self.free()?;
        let outcome = test(self);
        let cleaned = self.clean_up();
        outcome?;
        cleaned?;
        self.vmm.trim()?;
        self.vmm.validate()?;
        let after = self.free()?;
        let details = before.details.and(after.details);
        check_eq!(
            Free { details, ..after },
            Free { details: details.and(before.details), ..before }
        );
        Ok(())
    }

    fn free(&self) -> Outcome<Free> {
        let (stats, space) = (self.vmm.stats(), self.vmm.space_stats(self.space)?);
        let (kept, frames) = (stats.bookkeeping_pages, stats.bookkeeping_frames);
        let tables = stats.allocator.live.tables;
        // What the CSpace has grown by stays as long as it holds book-keeping pages: a root, and
        // CNodes of 4096 slots.
        let cnodes = match stats.allocator.live.cnodes {
            0 => 0,
            count => cnode_bytes(root_bits(&stats)) + (count - 1) * cnode_bytes(12),
        };
        let details =
            (stats.allocator.largest_free_bytes, stats.allocator.free_slots, space.regions);
        Ok(Free {
            bytes: stats.allocator.free_bytes() + (frames + tables) * 4096 + cnodes,
            mapped_pages: space.mapped_pages - kept,
            details: (kept == 0).then_some(details),
        })
    }

    fn clean_up(&mut self) -> Outcome {
        while let Some(child) = self.children.pop() {
            child.thread.release(&mut self.vmm)?;
            self.vmm.free(child.endpoint)?;
        }
        while let Some(scratch) = self.scratches.pop() {
            scratch.release(&mut self.vmm)?;
        }
        Ok(())
    }

    /// 2^`bits` bytes of untyped memory and `slots` empty slots, for a test's own objects.
    pub fn scratch(&mut self, bits: u8, slots: usize) -> Outcome<Scratch> {
        let scratch = Scratch {
            untyped: self.vmm.allocate(Blueprint::Untyped { size_bits: bits })?,
            first: self.vmm.alloc_slots(slots)?,
            slots,
        };
        self.scratches.push(scratch);
        Ok(scratch)
    }

    /// Starts a thread that runs when the test waits: `body` with `argument`.
    pub fn spawn(&mut self, body: fn(usize) -> Word, argument: usize) -> Outcome<Child> {
        let child = self.prepare(254, body, argument)?;
        child.start()?;
        Ok(child)
    }

    /// Makes a thread that does not run yet. Its faults come to its endpoint.
    pub fn prepare(
        &mut self,
        priority: Word,
        body: fn(usize) -> Word,
        argument: usize,
    ) -> Outcome<Child> {
        let endpoint = self.vmm.allocate(Blueprint::Endpoint)?;
        let faults = FaultEndpoint::At(endpoint.slot());
        let options = ThreadOptions { priority, faults, ..ThreadOptions::new("child") };
        self.prepare_with(&options, endpoint, body, argument)
    }

    /// Makes a thread, as `options` say, that does not run yet. It ends by a message to `endpoint`,
    /// which becomes its own.
    pub fn prepare_with(
        &mut self,
        options: &ThreadOptions<'_>,
        endpoint: Object,
        body: fn(usize) -> Word,
        argument: usize,
    ) -> Outcome<Child> {
        let thread = Thread::new(&mut self.vmm, options)?;
        let child = Child { thread, endpoint };
        self.children.push(child);
        let job = Job { endpoint: child.endpoint(), body, argument };
        // SAFETY: the low end of a stack that is mapped, writable and not in use yet.
        unsafe { (thread.stack().bottom() as *mut Job).write(job) };
        Ok(child)
    }
}

/// Lets all children run until they wait, by standing back for a moment.
pub fn let_children_run() -> Outcome {
    let me = slot::TCB.cap();
    me.tcb_set_priority(me, 1)?;
    Ok(me.tcb_set_priority(me, 255)?)
}

/// A slot of the root task's CSpace, as CNode invocations name it.
pub fn place(cptr: CPtr) -> AbsoluteCPtr {
    slot::CNODE.cap().absolute_cptr(cptr)
}

/// A capability that the manager handed out.
pub fn cap_of<T: CapType>(object: Object) -> Cap<T> {
    object.cap()
}

/// Untyped memory and slots of a test's own.
#[derive(Clone, Copy)]
pub struct Scratch {
    untyped: Object,
    first: vmm::CPtr,
    slots: usize,
}

impl Scratch {
    pub fn untyped(&self) -> cap::Untyped {
        cap_of(self.untyped)
    }

    /// Slot number `index`.
    pub fn cptr(&self, index: usize) -> CPtr {
        assert!(index < self.slots);
        self.first.offset(index).into()
    }

    /// Slot number `index`, as CNode invocations name it.
    pub fn place(&self, index: usize) -> AbsoluteCPtr {
        place(self.cptr(index))
    }

    /// The capability in slot number `index`.
    pub fn cap<T: CapType>(&self, index: usize) -> Cap<T> {
        self.cptr(index).cast()
    }

    /// Makes objects in the slots from number `index` on.
    pub fn retype(
        &self,
        blueprint: ObjectBlueprint,
        index: usize,
        count: usize,
    ) -> sel4::Result<()> {
        let cnode = slot::CNODE.cap().absolute_cptr_for_self();
        let offset = self.cptr(index).bits() as usize;
        self.untyped().untyped_retype(&blueprint, &cnode, offset, count)
    }

    /// Makes an object in slot number `index`.
    pub fn make<T: CapType>(&self, blueprint: ObjectBlueprint, index: usize) -> Outcome<Cap<T>> {
        self.retype(blueprint, index, 1)?;
        Ok(self.cap(index))
    }

    fn release(self, vmm: &mut Manager) -> Outcome {
        // Deleting the last capability to a CNode or a thread first ends what holds others.
        for index in 0..self.slots {
            self.place(index).delete()?;
        }
        vmm.free(self.untyped)?;
        Ok(vmm.free_slots(self.first, self.slots)?)
    }
}

/// Bytes of a CNode of 2^`size_bits` slots.
fn cnode_bytes(size_bits: usize) -> usize {
    1 << ObjectBlueprint::CNode { size_bits }.physical_size_bits()
}

/// A thread that runs a function and says when it is done, or faults.
#[derive(Clone, Copy)]
pub struct Child {
    pub thread: Thread,
    endpoint: Object,
}

struct Job {
    endpoint: cap::Endpoint,
    body: fn(usize) -> Word,
    argument: usize,
}

/// What became of a child.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// Its body returned this.
    Done(Word),
    /// It faulted, and waits for an answer.
    Fault(Fault),
}

impl Child {
    pub fn start(&self) -> Outcome {
        self.thread.start(run, [self.thread.stack().bottom(), 0])
    }

    fn endpoint(&self) -> cap::Endpoint {
        cap_of(self.endpoint)
    }

    /// The endpoint its faults go to.
    pub fn fault_endpoint(&self) -> CPtr {
        self.endpoint().cptr()
    }

    /// Waits until it is done or faults.
    pub fn wait(&self) -> Outcome<Event> {
        let (info, _) = self.endpoint().recv(());
        Ok(sel4::with_ipc_buffer(|buffer| match info.label() {
            DONE => Event::Done(buffer.msg_regs()[0]),
            _ => Event::Fault(Fault::new(buffer, &info)),
        }))
    }

    /// Waits until it is done.
    pub fn result(&self) -> Outcome<Word> {
        match self.wait()? {
            Event::Done(value) => Ok(value),
            Event::Fault(fault) => Err(unexpected(&fault)),
        }
    }

    /// Waits until it has a page fault.
    pub fn vm_fault(&self) -> Outcome<sel4::VmFault> {
        match self.wait()? {
            Event::Fault(Fault::VmFault(fault)) => Ok(fault),
            event => Err(unexpected(&event)),
        }
    }
}

/// Lets a thread that faulted try again: answers its fault.
pub fn answer_fault() {
    sel4::with_ipc_buffer_mut(|buffer| sel4::reply(buffer, MessageInfoBuilder::default().build()));
}

/// A failure, after printing what happened instead.
pub fn unexpected(event: &dyn core::fmt::Debug) -> Failure {
    sel4_root_task::debug_println!("  {event:x?}");
    Failure::Check { what: "what the child did", file: file!(), line: line!() }
}

sel4::thread_entry! {
    /// Where children start.
    fn run(job: usize, _: usize) -> ! {
        // SAFETY: `Context::prepare` wrote it there, and nobody else touches it.
        let job = unsafe { (job as *const Job).read() };
        let value = (job.body)(job.argument);
        loop {
            let info = MessageInfoBuilder::default().label(DONE).length(1).build();
            job.endpoint.call_with_mrs(info, [value]);
        }
    }
}
