// SPDX-License-Identifier: BSD-2-Clause
//! Programs that programs ask for: made, given capabilities, started, ended and told of.
//!
//! ```text
//!   payer ──┬── program object: how it ended, whom to tell        stays until it is destroyed
//!           └── its account ── its space, its image, its thread   ends with the program
//! ```
//!
//! What its end has given back is its maker's again before its end is told. Whoever destroys the
//! object, or the account that pays, ends the program.

use vmm::{CPtr, Kernel, Memory, Name, Rights as CapRights, SpaceId, Violation, Vmm};
use vmm_client::objects::{
    AccountOptions, Amounts, Answer, Kind, ProgramOptions, Refusal, Resource, Rights, State,
    MAX_PAGES,
};

use super::accounts::{make_account, ACCOUNT};
use super::answers::{narrow, refuse, refuse_slot, short, tables, Answered, Refused, NODE};
use super::capabilities::{slot_path, Place};
use super::programs::NewThread;
use super::service::{clearing, Objects};
use super::state::capability::Capability;
use super::state::charge::{charge, refund};
use super::state::object::{Object, Report, What};
use super::state::program::Program;
use super::types::{Act, ProgramId};
use crate::image::TlsPlace;
use crate::types::error::Error;
use crate::types::program::Start;

/// A program's object: its record, and the slot for whom its end is told to.
const PROGRAM: Amounts = NODE.with(Resource::Slots, 1);

/// A program that is asked for.
#[derive(Clone, Copy)]
pub(super) struct NewChild {
    pub amounts: Amounts,
    pub options: ProgramOptions,
    pub name: vmm_client::objects::Name,
    pub space: u32,
    pub account: u32,
}

/// How it is started.
#[derive(Clone, Copy)]
pub(super) struct First {
    pub argument: usize,
    pub stack: u32,
    pub priority: u32,
}

impl<'p> Objects<'p> {
    /// Serves [`vmm_client::objects::Request::CreateProgram`].
    pub(super) fn create_child<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        place: Place<'p>,
        new: NewChild,
    ) -> Result<&'p Object<'p>, Refused> {
        for (slot, others) in [(new.space, [place.slot, 0]), (new.account, [place.slot, new.space])]
        {
            if slot != 0 && others.contains(&slot) {
                return Err(Refusal::SlotOccupied { slot });
            }
        }
        let rights = Rights::USE | Rights::REVOKE | Rights::DESTROY;
        self.create(vmm, place, (Kind::Program, rights, PROGRAM), |this, vmm, object| {
            this.make_child(vmm, object, place, new)?;
            Ok(object.what.get())
        })
    }

    /// What a program has from the start. After a refusal its object is taken apart, with as much
    /// as there is of it.
    fn make_child<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        object: &'p Object<'p>,
        place: Place<'p>,
        new: NewChild,
    ) -> Result<(), Refused> {
        object.what.set(What::Program(Report::EMPTY));
        let account = self.charged_object(Kind::Account, place.payer, ACCOUNT)?;
        account.partner.set(Some(object));
        object.partner.set(Some(account));
        make_account(account, new.amounts, AccountOptions::empty())?;
        let program = self.begin(vmm, account, object, name(new.name)).map_err(refused)?;
        program.by_request.set(true);
        program.options.set(new.options);
        let (space, id) = parts(program)?;
        // Its two CNodes, and the slot for a right to answer it.
        let cnode_bits = program.cnode_bits() + vmm.allocator().sizes().slot_bits;
        let cnode = 1u32 << cnode_bits.saturating_sub(vmm.geometry().page_bits);
        let cnodes = Amounts::NONE.with(Resource::Pages, cnode);
        let cnodes = cnodes.with(Resource::Objects, 2).with(Resource::Slots, 3);
        charge_space(space, cnodes)?;
        self.make_cspace(vmm, program, id).map_err(refused)?;
        self.first_capabilities(vmm, program, Rights::USE).map_err(refused)?;
        for (object, slot) in [(space, new.space), (account, new.account)] {
            if slot != 0 {
                let place = Place { payer: account, slot, ..place };
                self.hand_out(vmm, object, Rights::USE, None, place)?;
            }
        }
        Ok(())
    }

    /// The record of a program that has not ended; `None` of one that has.
    pub(super) fn living(&self, object: &Object<'p>) -> Option<&'p Program<'p>> {
        let program = self.programs.find(&object.number.get()).clone_pointer();
        program.filter(|program| !program.dying.get())
    }

    /// The same, for what takes one that does `state`.
    fn in_state(&self, object: &Object<'p>, state: State) -> Result<&'p Program<'p>, Refused> {
        let does = object.report().ok_or(Refusal::Internal {})?.state;
        match self.living(object) {
            Some(program) if does == state => Ok(program),
            _ => Err(Refusal::WrongState { state: does }),
        }
    }

    /// The same, for what takes one that lives.
    pub(super) fn alive(&self, object: &Object<'p>) -> Result<&'p Program<'p>, Refused> {
        let state = object.report().ok_or(Refusal::Internal {})?.state;
        self.living(object).ok_or(Refusal::WrongState { state })
    }

    /// Serves [`vmm_client::objects::Request::Grant`].
    pub(super) fn grant<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        object: &'p Object<'p>,
        (node, to): (&'p Capability<'p>, &'p Object<'p>),
        (rights, slot): (Rights, u32),
    ) -> Answered {
        let program = self.alive(object)?;
        let beyond = rights.difference(node.rights.get());
        if !beyond.is_empty() {
            return Err(Refusal::BeyondRights { asked: beyond });
        }
        let payer = program.account.get().ok_or(Refusal::Internal {})?;
        self.hand_out(vmm, to, rights, Some(node), Place { program, payer, slot })?;
        Ok(Answer::Done {})
    }

    /// Serves [`vmm_client::objects::Request::GrantKernel`].
    pub(super) fn grant_kernel<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        sender: &Program<'p>,
        object: &'p Object<'p>,
        (foreign, slot): (CPtr, u32),
    ) -> Answered {
        let program = self.alive(object)?;
        let path = slot_path(program, slot)?;
        // By what one of them gives the other now, more may go, in either direction.
        for program in [sender, program] {
            program.shares.set(true);
        }
        let copied = vmm.copy_cap(path, foreign, CapRights::all());
        copied.map_err(|error| refuse_slot(error, slot))?;
        Ok(Answer::Done {})
    }

    /// Serves [`vmm_client::objects::Request::Start`]: makes the thread, which the server lets run.
    pub(super) fn start_child<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        sender: &'p Program<'p>,
        object: &'p Object<'p>,
        first: First,
    ) -> Answered {
        let program = self.in_state(object, State::Loaded)?;
        if first.stack == 0 || first.stack > MAX_PAGES {
            return Err(Refusal::BadLength { pages: first.stack });
        }
        let most = sender.priority.get().unwrap_or(0);
        let priority = u8::try_from(first.priority).ok().filter(|&wanted| wanted <= most);
        let priority = priority.ok_or(Refusal::PriorityTooHigh { most: most.into() })?;
        let (space, id) = parts(program)?;
        let thread = self.first_thread(program).ok_or(Refusal::Internal {})?;
        let mut init = None;
        let tls = self.first_tls(vmm, program, &mut init)?;
        // One that was refused and could not be given back.
        self.release_thread_of(vmm, thread).map_err(refuse)?;
        let cost = thread_cost(vmm, first.stack, program.tls.get());
        charge_space(space, cost)?;
        let (entry, stack_pages) = (program.entry.get(), first.stack as usize);
        let new = NewThread { entry, stack_pages, whole_stack: false, guard_pages: 1, tls };
        let start = match self.make_thread(vmm, (program, thread), new) {
            Ok(start) => start,
            Err(error) => {
                let released = self.release_thread_of(vmm, thread);
                refund_space(space, cost);
                return Err(released.map_or_else(refuse, |()| refused(error)));
            }
        };
        thread.charge.set(cost);
        let argument = first.argument;
        self.last_acted = Some(thread);
        self.act = Some(Act::Start { program: ProgramId(id), start, argument, priority });
        Ok(Answer::Done {})
    }

    /// Takes back a thread whose start the kernel refused to its server, with what was charged for
    /// it: a program can be started again, of a further thread the object ends. Returns what its
    /// starter is told.
    ///
    /// # Errors
    /// What the kernel refuses of that; then it is done when the program is started again, or ends.
    pub fn start_refused<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        program: ProgramId,
        start: &Start,
    ) -> vmm::Result<Refusal> {
        let program = self.program(program);
        let thread = program.and_then(|program| {
            self.threads_of(program).find(|thread| thread.tcb() == Some(start.tcb))
        });
        let Some(thread) = thread else { return Ok(Refusal::OutOfMemory {}) };
        match thread.object.get().filter(|_| !thread.is_first()) {
            Some(object) => self.dismantle(vmm, object),
            None => {
                self.release_thread_of(vmm, thread)?;
                if let Some(space) = program.and_then(|program| program.space.get()) {
                    refund_space(space, thread.charge.take());
                }
            }
        }
        Ok(Refusal::OutOfMemory {})
    }

    /// Reads what is in a program's memory before it runs, touching what is mapped of a memory
    /// object.
    pub(super) fn read_first<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        object: &'p Object<'p>,
        space: SpaceId,
        address: usize,
        bytes: &mut [u8],
    ) -> vmm::Result {
        let page = vmm.geometry().page_bytes();
        let end = address + bytes.len();
        let mut at = address & !(page - 1);
        while at < end {
            let mapping = self.tables.mapping_at(object, at);
            if let (None, Some(mapping)) = (vmm.mapping_at(space, at)?, mapping) {
                self.bring(vmm, mapping, (narrow((at - mapping.start.get()) / page), 1))?;
            }
            at += page;
        }
        clearing(vmm, |vmm| vmm.read(space, address, bytes))
    }

    /// Serves [`vmm_client::objects::Request::Resume`] of a program.
    pub(super) fn resume_child<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        object: &'p Object<'p>,
    ) -> Answered {
        let does = object.report().ok_or(Refusal::Internal {})?.state;
        let state = if does == State::TimedOut { does } else { State::Faulted };
        let program = self.in_state(object, state)?;
        let faulted = self.first_faulted(program);
        let Some((faulted, parts)) = faulted.and_then(|it| Some((it, it.parts.get()?))) else {
            // It was ended meanwhile: the others have never stopped.
            object.set_state(State::Running);
            self.set_due(object, false);
            return Ok(Answer::Done {});
        };
        let (Some(tcb), Some(thread)) = (parts.tcb(), parts.id()) else {
            return Err(Refusal::Internal {});
        };
        faulted.faulted.set(None);
        self.note_resumed(vmm, object, thread);
        self.tell_fault(program);
        self.act = Some(Act::Resume { tcb: tcb.slot(), thread });
        Ok(Answer::Done {})
    }

    /// Serves [`vmm_client::objects::Request::Kill`]: of one that has ended there is nothing to do.
    pub(super) fn kill_child<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        object: &'p Object<'p>,
    ) -> Answered {
        match self.programs.find(&object.number.get()).clone_pointer() {
            None => Ok(Answer::Done {}),
            Some(program) => self.end_and_stop(vmm, program, (State::Killed, 0)),
        }
    }

    /// Ends a program, if it is not ended already: none of its threads runs once that is answered.
    pub(super) fn end_and_stop<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        program: &'p Program<'p>,
        (state, code): (State, u32),
    ) -> Answered {
        self.begin_end(program, state, code);
        // All else of it is work that is left.
        self.stop_threads(vmm, program).map_err(refuse)?;
        Ok(Answer::Done {})
    }

    /// Whether another program asked for this one, whose end is told there.
    pub fn is_child(&self, program: ProgramId) -> bool {
        self.program(program).is_some_and(|program| program.by_request.get())
    }

    /// I30: a program that another asked for has its account until all is given back, and the
    /// account has it; as many ends are told now as is counted, each to somebody.
    pub(super) fn validate_children(&self) -> Result<(), Violation> {
        let mut due = 0;
        for object in self.tables.objects.iter() {
            let at = object.number.get() as usize;
            let hold = |rule, holds: bool| holds.then_some(()).ok_or(Violation { rule, at });
            if let Some(partner) = object.partner.get() {
                let back = partner.partner.get().is_some_and(|back| back.is(object));
                hold("a program and its account have each other", back)?;
            }
            due += u32::from(object.paged.get().is_some_and(|paged| paged.due));
            due += u32::from(object.threshold.get().is_some_and(|threshold| threshold.due));
            let Some(report) = object.report() else { continue };
            due += u32::from(report.due);
            let told = report.notify != CPtr::NULL;
            hold("an end is told to somebody", told || !report.due)?;
            let child = self.living(object).filter(|program| program.by_request.get());
            let has = !report.gone && object.partner.get().is_some();
            hold("a program that lives has its account", child.is_none() || has)?;
        }
        let mut listed = 0;
        let mut next = self.telling;
        while let Some(object) = next {
            listed += 1;
            next = object.next_told.get().filter(|_| listed <= due);
        }
        match due == self.notices && due == listed {
            true => Ok(()),
            false => Err(Violation { rule: "what is told now is counted", at: due as usize }),
        }
    }

    /// Takes apart a program, and then what is left of it, by one step; returns whether nothing is.
    pub(super) fn end_report_step<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        object: &'p Object<'p>,
        report: Report,
    ) -> vmm::Result<bool> {
        if let Some(program) = self.programs.find(&object.number.get()).clone_pointer() {
            self.begin_end(program, State::Killed, 0);
            self.end_program_step(vmm, program)?;
            return Ok(false);
        }
        if let Some(account) = object.partner.get() {
            self.retire(account);
            if self.end_object_step(vmm, account)? {
                self.unlist_dying(account);
                self.remove_record(account);
            }
            return Ok(false);
        }
        if !self.end_notice(vmm, report)? {
            return Ok(false);
        }
        object.what.set(What::Nothing);
        Ok(true)
    }

    /// Takes apart a program whose space or account is to end, by one step.
    pub(super) fn end_programs_of<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        object: &'p Object<'p>,
    ) -> vmm::Result {
        let program = match (object.what.get(), object.partner.get()) {
            (What::Space(space), _) => self.programs_by_space.find(&Some(space)).clone_pointer(),
            (_, Some(program)) => self.programs.find(&program.number.get()).clone_pointer(),
            // Of a program that no other asked for.
            _ => self.found_programs.with_account(object),
        };
        let Some(program) = program else { return Ok(()) };
        self.begin_end(program, State::Killed, 0);
        self.end_program_step(vmm, program)
    }
}

/// A program's space.
pub(super) fn parts<'p>(program: &Program<'p>) -> Result<(&'p Object<'p>, SpaceId), Refused> {
    let both = program.space.get().zip(program.space_id.get());
    both.ok_or(Refusal::Internal {})
}

/// Charges what is in a space beside mappings of memory objects to the account that pays for it.
pub(super) fn charge_space(space: &Object<'_>, amounts: Amounts) -> Result<(), Refused> {
    let all = space.charge.get().plus(amounts).map_err(|_| Refusal::Internal {})?;
    charge(space.payer.get().ok_or(Refusal::Internal {})?, amounts).map_err(short)?;
    space.charge.set(all);
    Ok(())
}

/// Takes such a charge back.
pub(super) fn refund_space(space: &Object<'_>, amounts: Amounts) {
    if let (Some(payer), Ok(left)) = (space.payer.get(), space.charge.get().minus(amounts)) {
        refund(payer, amounts);
        space.charge.set(left);
    }
}

/// What a thread costs: its stack, its IPC buffer, its local storage, with tables wherever they
/// lie; its control block.
pub(super) fn thread_cost<'p, K: Kernel + Memory<'p>>(
    vmm: &Vmm<'p, K>,
    stack: u32,
    tls: Option<TlsPlace>,
) -> Amounts {
    let geometry = vmm.geometry();
    // A block that is not aligned may lie over one page more, and the thread pointer behind it.
    let tls = tls.map_or(0, |tls| narrow(tls.memory_bytes.div_ceil(geometry.page_bytes())) + 2);
    let pages = stack + 1 + tls;
    let each = tables(geometry, stack + 2) + tables(geometry, 1) + tables(geometry, tls);
    let pages = Amounts::NONE.with(Resource::Pages, pages).with(Resource::Slots, pages + 2);
    pages.with(Resource::Tables, each).with(Resource::Objects, 1)
}

/// A name of a message's for the manager's records.
fn name(text: vmm_client::objects::Name) -> Name {
    let mut bytes = [0; vmm_client::objects::Name::BYTES];
    let mut length = 0;
    for (byte, char) in bytes.iter_mut().zip(text.chars()) {
        // Printable ASCII.
        *byte = char as u8;
        length += 1;
    }
    Name::new(core::str::from_utf8(&bytes[..length]).unwrap_or(""))
}

/// What a client is told of an error of the service's.
pub(super) fn refused(error: Error) -> Refused {
    match error {
        Error::Manager(error) => refuse(error),
        Error::Refused(refusal) => refusal,
        _ => Refusal::Internal {},
    }
}
