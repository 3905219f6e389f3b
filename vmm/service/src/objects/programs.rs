// SPDX-License-Identifier: BSD-2-Clause
//! Programs: made, with what they begin with, and ended with all they had.
//!
//! ```text
//!   CSpace:  root CNode, the service's        the program's own CNode
//!              0  ──── mounted ────────────►    1  the program itself, to send requests by
//!              1  faults of its thread          2  its account
//!                                               3  its space
//!                                               4  this CNode
//!                                               7  the console, if it is given
//! ```
//!
//! A CPtr whose upper bits are 0 is a slot number of the program's own CNode, with which it may do
//! what it likes. It has no capability to the root: it can name what is there, but neither move nor
//! delete it, so its faults always arrive. A capability of its fault endpoint only tells of faults
//! of its own.

use vmm::{
    Blueprint, CPtr, CapPath, FaultEndpoint, Kernel, Memory, Name, Pages, Rights as CapRights,
    SpaceId, ThreadCSpace, ThreadOptions, ThreadParts, ThreadSpec, TlsImage, Violation, Vmm,
};
use vmm_client::objects::{
    AccountOptions, Amounts, Kind, Refusal, Resource, Rights, State, ACCOUNT_SLOT, CNODE_BITS,
    CNODE_SLOT, CONSOLE_SLOT, PAGE_BYTES, PROGRAM_SLOT, SPACE_SLOT,
};

use super::accounts::{make_account, ACCOUNT};
use super::answers::{narrow, refuse_slot, short, NODE};
use super::capabilities::{slot_path, Place};
use super::kernel_objects::SPACE;
use super::service::{clearing, Objects};
use super::state::charge::charge;
use super::state::counts::{add, sub};
use super::state::object::{Object, Report, What};
use super::state::program::Program;
use super::state::thread::{Thread, FIRST_FAULT_SLOT};
use super::types::{NewProgram, ProgramId};
use crate::image::{self, LoadOptions, Loaded};
use crate::types::error::{Error, Result};
use crate::types::program::Start;

/// The logarithm of the number of slots in the root of a program's CSpace.
const ROOT_BITS: u8 = 4;
/// The root's slot in which the program's own CNode is mounted.
const MOUNT_SLOT: usize = 0;
/// The root's slots for the faults of the program's threads but its first.
pub(super) const FAULT_SLOTS: core::ops::Range<usize> = FIRST_FAULT_SLOT + 1..1 << ROOT_BITS;
/// The most bytes that threads' local storage begins with, of a program whose threads others make.
pub(super) const MAX_TLS_INIT: usize = PAGE_BYTES;

/// How many pages of a stack come with one that is touched: as many as of other memory.
const STACK_AROUND: u8 = 16;

/// What a thread is to be.
pub(super) struct NewThread<'t> {
    pub entry: usize,
    pub stack_pages: usize,
    /// Whether all of the stack is there from the start; the highest page is.
    pub whole_stack: bool,
    pub guard_pages: u16,
    pub tls: Option<TlsImage<'t>>,
}

impl<'p> Objects<'p> {
    /// Makes a program, with an account of its own that all it has is charged to, and its thread,
    /// which does not run yet. Costs a kernel call or two for each page of it.
    ///
    /// # Errors
    /// [`Error::Image`] for a file that cannot be loaded; [`Error::Refused`] when the amounts do
    /// not suffice; what the manager refuses. What was made is given back by
    /// [`Objects::reap_step`].
    pub fn create_program<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        new: &NewProgram<'_>,
    ) -> Result<(ProgramId, Start)> {
        self.refill(vmm)?;
        let account = self.charged_object(Kind::Account, self.root, ACCOUNT)?;
        let made = make_account(account, new.amounts, AccountOptions::empty());
        let program = made.map_err(Error::from).and_then(|_| {
            let object = self.charged_object(Kind::Program, account, NODE)?;
            object.what.set(What::Program(Report::EMPTY));
            self.begin(vmm, account, object, Name::new(new.name))
        });
        let program = match program {
            Ok(program) => program,
            Err(error) => {
                self.retire(account);
                return Err(error);
            }
        };
        match self.load(vmm, program, new) {
            Ok(made) => Ok(made),
            Err(error) => {
                self.begin_end(program, State::Killed, 0);
                Err(error)
            }
        }
    }

    /// The record of a program with this account and object, and its space.
    pub(super) fn begin<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        account: &'p Object<'p>,
        object: &'p Object<'p>,
        name: Name,
    ) -> Result<&'p Program<'p>> {
        let space = self.charged_object(Kind::Space, account, SPACE)?;
        let id = clearing(vmm, Vmm::create_space)?;
        space.what.set(What::Space(id));
        let thread = self.free_threads.alloc().ok_or(Refusal::OutOfMemory {})?;
        let Some(program) = self.free_programs.alloc() else {
            self.free_threads.free(thread);
            return Err(Refusal::OutOfMemory {}.into());
        };
        program.begin(name);
        program.object.set(Some(object));
        program.account.set(Some(account));
        program.space.set(Some(space));
        program.space_id.set(Some(id));
        add(&space.programs, 1);
        add(&account.programs, 1);
        self.programs.insert(program);
        self.programs_by_space.insert(program);
        self.found_programs.insert(program);
        self.insert_thread(thread, program, None, FIRST_FAULT_SLOT);
        Ok(program)
    }

    fn load<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        program: &'p Program<'p>,
        new: &NewProgram<'_>,
    ) -> Result<(ProgramId, Start)> {
        let parts = (program.object.get(), program.account.get());
        let (Some(object), Some(account)) = parts else {
            return Err(Refusal::Internal {}.into());
        };
        let id = program.space_id.get().ok_or(Refusal::Internal {})?;
        let how = LoadOptions { writable_code: false, promised: true };
        let Loaded { entry, tls, tls_place } = image::load(vmm, id, new.file, how)?;
        program.entry.set(entry);
        // Of more than that no further thread can have a copy.
        program.tls.set(tls_place.filter(|place| place.bytes <= MAX_TLS_INIT as u64));
        self.make_cspace(vmm, program, id)?;
        let mut to_account = Rights::USE;
        to_account.set(Rights::PHYSICAL | Rights::ADDRESS, new.physical);
        self.first_capabilities(vmm, program, to_account)?;
        if new.console {
            let place = Place { program, payer: account, slot: CONSOLE_SLOT };
            self.hand_out(vmm, self.console, Rights::WRITE, None, place)?;
        }
        let thread = self.first_thread(program).ok_or(Refusal::Internal {})?;
        let first = NewThread {
            entry,
            stack_pages: new.stack_pages,
            // What is charged is what is there.
            whole_stack: true,
            guard_pages: 1,
            tls,
        };
        let start = self.make_thread(vmm, (program, thread), first)?;
        self.charge_usage(vmm, object, account, id)?;
        object.set_state(State::Loaded);
        Ok((ProgramId(id), start))
    }

    /// The CNodes of a program, and the slot for a right to answer it.
    pub(super) fn make_cspace<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        program: &'p Program<'p>,
        id: SpaceId,
    ) -> Result {
        let word_bits = vmm.allocator().sizes().word_bits;
        let radix_bits = program.cnode_bits();
        let cnode = Blueprint::CNode { radix_bits };
        let cnode = clearing(vmm, |vmm| vmm.allocate_for(id, cnode))?;
        program.cnode.set(Some(cnode));
        let root = Blueprint::CNode { radix_bits: ROOT_BITS };
        let root = clearing(vmm, |vmm| vmm.allocate_for(id, root))?;
        program.root.set(Some(root));
        let mount = in_root(root, MOUNT_SLOT);
        vmm.mount_cnode(mount, cnode.slot(), word_bits - ROOT_BITS - radix_bits)?;
        let thread = self.first_thread(program).ok_or(Refusal::Internal {})?;
        thread.reply.set(clearing(vmm, |vmm| vmm.alloc_slots(1))?);
        self.queues.update(thread);
        Ok(())
    }

    /// A thread of a program's, which does not run yet.
    pub(super) fn make_thread<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        (program, thread): (&'p Program<'p>, &'p Thread<'p>),
        NewThread { entry, stack_pages, whole_stack, guard_pages, tls }: NewThread<'_>,
    ) -> Result<Start> {
        let parts = (program.space_id.get(), program.root.get());
        let (Some(id), Some(root)) = parts else { return Err(Refusal::Internal {}.into()) };
        let name = program.name.get();
        let growing = (!whole_stack && stack_pages > 1).then_some(STACK_AROUND);
        let spec = ThreadSpec {
            space: id,
            memory: ThreadOptions { stack_pages, guard_pages, growing, tls, name: name.as_str() },
            tls_copy: None,
            cspace: ThreadCSpace::Tree { root: root.slot() },
            faults: FaultEndpoint::Registered {
                endpoint: self.endpoint,
                at: Some(fault_pointer(vmm, thread)),
            },
        };
        let mut parts = ThreadParts::default();
        // With the program's code below one page table, if there is room.
        vmm.place_near(id, Some(program.entry.get()))?;
        let made = clearing(vmm, |vmm| {
            // What a try that was refused has left.
            vmm.release_thread(&mut parts)?;
            vmm.allocate_thread(&spec, &mut parts)
        });
        thread.parts.set((!parts.is_empty()).then_some(parts));
        vmm.place_near(id, None)?;
        let vmm::Thread { tcb, memory, registered } = made?;
        if growing.is_some() {
            let first = Pages::at(memory.stack.top() - PAGE_BYTES);
            clearing(vmm, |vmm| vmm.populate(id, first))?;
        }
        if let Some((_, faults)) = registered {
            let to_send = CapRights::WRITE | CapRights::GRANT;
            vmm.copy_cap(in_root(root, thread.fault_slot.get()), faults, to_send)?;
        }
        Ok(Start {
            tcb: tcb.slot(),
            entry,
            stack_top: memory.stack.top(),
            ipc_buffer: memory.ipc_buffer.address(),
            thread_pointer: memory.tls.map_or(0, |tls| tls.thread_pointer()),
        })
    }

    /// The capabilities that every program begins with: to itself, its account, its space, its
    /// CNode.
    pub(super) fn first_capabilities<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        program: &'p Program<'p>,
        to_account: Rights,
    ) -> Result {
        let parts = (program.object.get(), program.account.get(), program.space.get());
        let (Some(object), Some(account), Some(space)) = parts else {
            return Err(Refusal::Internal {}.into());
        };
        let all = [
            (object, Rights::ACT, PROGRAM_SLOT),
            (account, to_account, ACCOUNT_SLOT),
            (space, Rights::USE, SPACE_SLOT),
        ];
        for (object, rights, slot) in all {
            self.hand_out(vmm, object, rights, None, Place { program, payer: account, slot })?;
        }
        let cnode = program.cnode.get().ok_or(Refusal::Internal {})?;
        let own = slot_path(program, CNODE_SLOT)?;
        // A slot's index has as many bits in any program, with zeros before those that there are.
        match CNODE_BITS - program.cnode_bits() {
            0 => Ok(vmm.copy_cap(own, cnode.slot(), CapRights::all())?),
            guard_bits => Ok(vmm.mount_cnode(own, cnode.slot(), guard_bits)?),
        }
    }

    /// Charges what a program has from the start: its image, its stack, its kernel objects.
    fn charge_usage<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &Vmm<'p, K>,
        object: &'p Object<'p>,
        account: &'p Object<'p>,
        space: vmm::SpaceId,
    ) -> Result {
        let used = vmm.usage(space)?;
        let cnode_bits = CNODE_BITS + vmm.allocator().sizes().slot_bits;
        let cnode = 1usize << cnode_bits.saturating_sub(vmm.geometry().page_bits);
        let used = Amounts::NONE
            .with(Resource::Pages, narrow(used.frames + cnode))
            .with(Resource::Tables, narrow(used.tables))
            .with(Resource::Slots, narrow(used.frames + used.objects + 1))
            .with(Resource::Objects, narrow(used.objects));
        charge(account, used).map_err(short)?;
        let all = object.charge.get().plus(used);
        object.charge.set(all.map_err(|_| Refusal::Internal {})?);
        Ok(())
    }

    /// Gives a program a copy of a capability of the manager's CSpace, with at most `rights`, in an
    /// empty slot of its own CNode. One kernel call.
    ///
    /// # Errors
    /// [`Error::Refused`] when there is no such program, or the slot is not there or occupied.
    pub fn give_capability<K: Kernel + Memory<'p>>(
        &self,
        vmm: &mut Vmm<'p, K>,
        program: ProgramId,
        (slot, capability): (u32, CPtr),
        rights: CapRights,
    ) -> Result {
        let program = self.program(program).ok_or(Refusal::Gone { place: 0 })?;
        program.shares.set(true);
        let copied = vmm.copy_cap(slot_path(program, slot)?, capability, rights);
        Ok(copied.map_err(|error| refuse_slot(error, slot))?)
    }

    /// Ends a program, with its account and all that is charged to it, in pieces by
    /// [`Objects::reap_step`]. What it was to be answered is not: its thread is gone at the first
    /// piece. Whoever else sent by its capability and waits is answered by
    /// [`Objects::next_answer`].
    ///
    /// # Errors
    /// [`Error::Refused`] when there is no such program, or it has ended before.
    pub fn kill(&mut self, program: ProgramId) -> Result {
        let node = self.program(program).ok_or(Refusal::Gone { place: 0 })?;
        self.begin_end(node, State::Killed, 0);
        Ok(())
    }

    /// Begins the end of a program, and notes how it ended: with a code, where it ended itself.
    pub(super) fn begin_end(&mut self, program: &'p Program<'p>, state: State, code: u32) {
        if !program.dying.replace(true) {
            if let Some((object, report)) = program.report() {
                object.set_report(Report { state, code, ..report });
            }
            self.end_held(program);
            self.abandon_clone(program);
            let mut next = self.first_thread(program);
            while let Some(thread) = next {
                self.end_wait_of(thread);
                self.stays(thread);
                next = self.thread_behind(thread);
            }
            self.found_programs.set_priority(program, None);
            self.unstopped += 1;
            self.works_for = self.works_for.max(program.priority.get());
            // What is left of it is done in the turn that it has.
            self.work.take_over(program.turn.get());
            if let Some(next) = self.dying_programs.replace(program) {
                program.next_dying.set(Some(next));
                next.last_dying.set(Some(program));
            }
        }
    }

    /// Stops the threads of a program that ends: none of them runs any more.
    pub(super) fn stop_threads<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        program: &'p Program<'p>,
    ) -> vmm::Result {
        for thread in self.threads_of(program).filter(|_| !program.stopped.get()) {
            if let Some(mut parts) = thread.parts.get() {
                let stopped = vmm.stop_thread(&mut parts);
                thread.parts.set((!parts.is_empty()).then_some(parts));
                stopped?;
            }
        }
        self.unstopped -= u32::from(!program.stopped.replace(true));
        Ok(())
    }

    /// Stops a program's threads, takes them and its CNodes, one thread a step, and leaves its
    /// account to be taken apart.
    pub(super) fn end_program_step<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        program: &'p Program<'p>,
    ) -> vmm::Result {
        self.stop_threads(vmm, program)?;
        let Some(thread) = self.first_thread(program) else { return Ok(()) };
        if let Some(further) = self.thread_behind(thread) {
            return self.end_thread_step(vmm, further).map(|_| ());
        }
        self.release_thread_of(vmm, thread)?;
        if self.give_last_held(thread) {
            return Ok(());
        }
        let Some(space) = program.space_id.get() else { return Ok(()) };
        self.end_cspace(vmm, program, space)?;
        self.free_reply(vmm, thread)?;
        self.remove_thread(thread);
        let object = thread.object.take();
        self.free_threads.free(thread);
        if let Some(object) = object {
            self.note_thread_gone(object);
        }
        self.unlist_dying_program(program);
        self.found_programs.remove(program);
        if let Some(object) = program.object.get() {
            self.programs.find_mut(&object.number.get()).remove();
        }
        self.programs_by_space.find_mut(&program.space_id.get()).remove();
        for object in [program.space.take(), program.account.take()].into_iter().flatten() {
            sub(&object.programs, 1);
            if object.account().is_some() {
                self.retire(object);
            }
        }
        self.free_programs.free(program);
        Ok(())
    }

    /// Gives back what a thread is made of, if it is; where the kernel refuses that, what is left
    /// of it stays recorded.
    pub(super) fn release_thread_of<K: Kernel + Memory<'p>>(
        &self,
        vmm: &mut Vmm<'p, K>,
        thread: &Thread<'p>,
    ) -> vmm::Result {
        let Some(mut parts) = thread.parts.get() else { return Ok(()) };
        let released = vmm.release_thread(&mut parts);
        thread.parts.set((!parts.is_empty()).then_some(parts));
        released
    }

    /// Takes a program off the list of those that are taken apart.
    fn unlist_dying_program(&mut self, program: &'p Program<'p>) {
        let (last, next) = (program.last_dying.take(), program.next_dying.take());
        match last {
            Some(last) => last.next_dying.set(next),
            None => self.dying_programs = next,
        }
        if let Some(next) = next {
            next.last_dying.set(last);
        }
    }

    /// I42: a program is found by its space, its account, its priority as long as it lives, and what
    /// it clones; those of which a thread may run are counted.
    pub(super) fn validate_programs(&self) -> Result<(), Violation> {
        let (mut all, mut started, mut cloning, mut unstopped) = (0, 0, 0, 0);
        for program in self.programs.iter() {
            let at = program.number() as usize;
            let hold = |rule, holds: bool| holds.then_some(()).ok_or(Violation { rule, at });
            let same = |it: Option<&Program<'p>>| it.is_some_and(|it| core::ptr::eq(it, program));
            let own = program.account.get();
            let found = own.and_then(|own| self.found_programs.with_account(own));
            hold("a program is found by its account", same(found))?;
            let counted = program.priority.get().filter(|_| !program.dying.get());
            hold("a program is counted with its priority", program.counted.get() == counted)?;
            let alike = |priority| {
                let found = self.found_programs.of_priority(priority).count();
                found == self.found_programs.started(priority)
            };
            hold("those of a priority are counted", counted.is_none_or(alike))?;
            all += 1;
            started += usize::from(counted.is_some());
            cloning += usize::from(program.cloning.get().is_some());
            unstopped += u32::from(program.dying.get() && !program.stopped.get());
        }
        let same = self.programs_by_space.iter().count() == all;
        let same = same && self.found_programs.counts() == [all, started, cloning];
        match same && unstopped == self.unstopped {
            true => Ok(()),
            false => Err(Violation { rule: "programs are found, and counted", at: all }),
        }
    }
}

/// By which capability pointer a thread tells its faults.
pub(super) fn fault_pointer<'p, K: Kernel + Memory<'p>>(
    vmm: &Vmm<'p, K>,
    thread: &Thread<'p>,
) -> CPtr {
    let word_bits = vmm.allocator().sizes().word_bits;
    CPtr::new(thread.fault_slot.get() << (word_bits - ROOT_BITS))
}

/// The path of a slot in the root of a program's CSpace.
fn in_root(root: vmm::Object, index: usize) -> CapPath {
    CapPath { root: root.slot(), index, depth: ROOT_BITS }
}
