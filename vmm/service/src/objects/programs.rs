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
    Blueprint, CPtr, CapPath, FaultEndpoint, Kernel, Memory, Name, Rights as CapRights, Thread,
    ThreadCSpace, ThreadOptions, ThreadParts, ThreadSpec, Vmm,
};
use vmm_client::objects::{
    AccountOptions, Amounts, Kind, Refusal, Resource, Rights, ACCOUNT_SLOT, CNODE_BITS, CNODE_SLOT,
    CONSOLE_SLOT, PROGRAM_SLOT, SPACE_SLOT,
};

use super::accounts::{make_account, ACCOUNT};
use super::answers::{narrow, refuse_slot, short, NODE};
use super::capabilities::{slot_path, Place};
use super::kernel_objects::SPACE;
use super::service::Objects;
use super::state::charge::charge;
use super::state::object::{Object, What};
use super::state::program::Program;
use super::state::tables::{add, sub};
use super::types::{NewProgram, ProgramId};
use crate::image::{self, Loaded};
use crate::types::error::{Error, Result};
use crate::types::program::Start;

/// The logarithm of the number of slots in the root of a program's CSpace.
const ROOT_BITS: u8 = 4;
/// The root's slot in which the program's own CNode is mounted.
const MOUNT_SLOT: usize = 0;
/// The root's slot for the faults of the program's thread.
const FAULT_SLOT: usize = 1;

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
        let made = make_account(vmm, account, new.amounts, AccountOptions::empty());
        let program = made.map_err(Error::from).and_then(|_| self.begin(vmm, account, new));
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
                self.begin_end(program);
                Err(error)
            }
        }
    }

    /// The records of a program: its space, its object.
    fn begin<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        account: &'p Object<'p>,
        new: &NewProgram<'_>,
    ) -> Result<&'p Program<'p>> {
        let space = self.charged_object(Kind::Space, account, SPACE)?;
        let id = vmm.create_space()?;
        space.what.set(What::Space(id));
        let object = self.charged_object(Kind::Program, account, NODE)?;
        object.what.set(What::Program);
        let program = self.free_programs.alloc().ok_or(Refusal::OutOfMemory {})?;
        program.begin(Name::new(new.name));
        program.object.set(Some(object));
        program.account.set(Some(account));
        program.space.set(Some(space));
        program.space_id.set(Some(id));
        add(&space.programs, 1);
        add(&account.programs, 1);
        self.programs.insert(program);
        Ok(program)
    }

    fn load<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        program: &'p Program<'p>,
        new: &NewProgram<'_>,
    ) -> Result<(ProgramId, Start)> {
        let parts = (program.object.get(), program.account.get(), program.space.get());
        let (Some(object), Some(account), Some(space)) = parts else {
            return Err(Refusal::Internal {}.into());
        };
        let id = program.space_id.get().ok_or(Refusal::Internal {})?;
        let Loaded { entry, tls } = image::load(vmm, id, new.file, false)?;
        let word_bits = vmm.allocator().sizes().word_bits;
        let cnode = vmm.allocate_for(id, Blueprint::CNode { radix_bits: CNODE_BITS })?;
        program.cnode.set(Some(cnode));
        let root = vmm.allocate_for(id, Blueprint::CNode { radix_bits: ROOT_BITS })?;
        program.root.set(Some(root));
        let in_root = |index| CapPath { root: root.slot(), index, depth: ROOT_BITS };
        vmm.mount_cnode(in_root(MOUNT_SLOT), cnode.slot(), word_bits - ROOT_BITS - CNODE_BITS)?;
        program.reply.set(vmm.alloc_slots(1)?);
        self.first_capabilities(vmm, program, new, [object, account, space])?;
        let spec = ThreadSpec {
            space: id,
            memory: ThreadOptions {
                stack_pages: new.stack_pages,
                guard_pages: 1,
                growing: None,
                tls,
                name: new.name,
            },
            tls_copy: None,
            cspace: ThreadCSpace::Tree { root: root.slot() },
            faults: FaultEndpoint::Registered {
                endpoint: self.endpoint,
                at: Some(CPtr::new(FAULT_SLOT << (word_bits - ROOT_BITS))),
            },
        };
        let mut parts = ThreadParts::default();
        let made = vmm.allocate_thread(&spec, &mut parts);
        program.thread.set((!parts.is_empty()).then_some(parts));
        let Thread { tcb, memory, registered } = made?;
        if let Some((_, faults)) = registered {
            vmm.copy_cap(in_root(FAULT_SLOT), faults, CapRights::WRITE | CapRights::GRANT)?;
        }
        self.charge_usage(vmm, object, account, id)?;
        let start = Start {
            tcb: tcb.slot(),
            entry,
            stack_top: memory.stack.top(),
            ipc_buffer: memory.ipc_buffer.address(),
            thread_pointer: memory.tls.map_or(0, |tls| tls.thread_pointer()),
        };
        Ok((ProgramId(id), start))
    }

    fn first_capabilities<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        program: &'p Program<'p>,
        new: &NewProgram<'_>,
        [object, account, space]: [&'p Object<'p>; 3],
    ) -> Result {
        let mut to_account = Rights::USE;
        to_account.set(Rights::PHYSICAL, new.physical);
        let all = [
            (object, Rights::empty(), PROGRAM_SLOT),
            (account, to_account, ACCOUNT_SLOT),
            (space, Rights::USE, SPACE_SLOT),
        ];
        let console = new.console.then_some((self.console, Rights::WRITE, CONSOLE_SLOT));
        for (object, rights, slot) in all.into_iter().chain(console) {
            self.hand_out(vmm, object, rights, None, Place { program, payer: account, slot })?;
        }
        let cnode = program.cnode.get().ok_or(Refusal::Internal {})?;
        Ok(vmm.copy_cap(slot_path(program, CNODE_SLOT)?, cnode.slot(), CapRights::all())?)
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
        let copied = vmm.copy_cap(slot_path(program, slot)?, capability, rights);
        Ok(copied.map_err(|error| refuse_slot(error, slot))?)
    }

    /// Ends a program, with its account and all that is charged to it, in pieces by
    /// [`Objects::reap_step`]. What it was to be answered is not: its thread is gone at the first
    /// piece. Whoever else sent by its capability and waits is answered by [`Objects::next_answer`].
    ///
    /// # Errors
    /// [`Error::Refused`] when there is no such program, or it has ended before.
    pub fn kill(&mut self, program: ProgramId) -> Result {
        let node = self.program(program).ok_or(Refusal::Gone { place: 0 })?;
        self.begin_end(node);
        Ok(())
    }

    pub(super) fn begin_end(&mut self, program: &'p Program<'p>) {
        if !program.dying.replace(true) {
            self.end_held(program);
            self.works_for = self.works_for.max(program.priority.get());
            // What is left of it is done in the turn that it has.
            self.work.take_over(program.turn.get());
            program.next_dying.set(self.dying_programs);
            self.dying_programs = Some(program);
        }
    }

    /// Takes a program's thread and CNodes, and buries its account.
    pub(super) fn end_program_step<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        program: &'p Program<'p>,
    ) -> vmm::Result {
        if let Some(mut parts) = program.thread.get() {
            let released = vmm.release_thread(&mut parts);
            program.thread.set((!parts.is_empty()).then_some(parts));
            released?;
        }
        if self.give_last_held(program) {
            return Ok(());
        }
        let Some(space) = program.space_id.get() else { return Ok(()) };
        for cnode in [&program.root, &program.cnode] {
            if let Some(object) = cnode.get() {
                vmm.free_for(space, object)?;
                cnode.set(None);
            }
        }
        let reply = program.reply.get();
        if reply != CPtr::NULL {
            // The right to answer it went with its thread; or was used, by `give_last_held`.
            vmm.free_slots(reply, 1)?;
            program.reply.set(CPtr::NULL);
        }
        self.dying_programs = program.next_dying.take();
        if let Some(object) = program.object.get() {
            self.programs.find_mut(&object.number.get()).remove();
        }
        for object in [program.space.take(), program.account.take()].into_iter().flatten() {
            sub(&object.programs, 1);
            if object.account().is_some() {
                self.retire(object);
            }
        }
        self.free_programs.free(program);
        Ok(())
    }
}
