// SPDX-License-Identifier: BSD-2-Clause
//! Messages taken apart and answered.
//!
//! ```text
//!   badge ──► the program that asks          words ──► the request
//!   capabilities ──► what is due with it: there, the service's, alive, of the kind, with the rights
//! ```
//!
//! All of this is checked before anything of the request is begun, in one place for all requests.

use vmm::{CPtr, Kernel, Memory, Vmm};
use vmm_client::objects::{
    Answer, Kind, Refusal, Request, Rights, State, Supply, FOREVER, MAX_CAPABILITIES,
};

use super::accounts;
use super::answers::{narrow, refuse, Answered, Refused};
use super::capabilities::Place;
use super::children::{First, NewChild};
use super::mappings::{PageKind, Wanted};
use super::pager_waits::wait_of;
use super::pagers::{Manner, NewPaged, Range};
use super::reservations::NewReservation;
use super::service::Objects;
use super::state::capability::Capability;
use super::state::object::{Object, Report, What};
use super::state::program::Program;
use super::threads::Further;
use super::types::{Arrived, Event, Incoming, Outcome, ProgramId, OBJECT_BADGE};

/// The capabilities of a request that were found right, in their order, with their objects.
pub(super) struct Given<'p> {
    own: [Option<(&'p Capability<'p>, &'p Object<'p>)>; MAX_CAPABILITIES],
    /// Where one is that is not the service's; the null slot without one.
    pub foreign: CPtr,
}

impl<'p> Given<'p> {
    /// The one at a place, which is due there.
    fn at(&self, place: usize) -> Result<(&'p Capability<'p>, &'p Object<'p>), Refused> {
        self.own.get(place).copied().flatten().ok_or(Refusal::NoCapability { place: narrow(place) })
    }

    /// Whether one of them is to an account whose requests wait.
    fn waits(&self) -> bool {
        let mut all = self.own.iter().flatten();
        all.any(|(_, object)| object.account().is_some_and(|account| account.waits))
    }

    /// The account that pays for what a request makes, or gives.
    fn payer(&self, request: &Request) -> Option<&'p Object<'p>> {
        let mut all = self.own.iter().flatten().map(|(_, object)| *object);
        match request {
            Request::Give { .. } => all.next(),
            _ => all.rev().find(|object| object.account().is_some()),
        }
    }

    /// The object of the one at a place.
    fn object(&self, place: usize) -> Result<&'p Object<'p>, Refused> {
        self.at(place).map(|(_, object)| object)
    }
}

impl<'p> Objects<'p> {
    /// Handles a message that came by a badge with [`OBJECT_BADGE`].
    pub fn handle<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        message: &Incoming<'_>,
    ) -> Outcome {
        // Sent by a capability to another object, or by one of a program that has ended.
        self.current = self.sender(message.badge);
        let Some(sender) = self.current else { return Outcome::default() };
        // It is large, and stays where it is.
        let parsed = Request::parse(message.label, message.words);
        let request = match &parsed {
            Ok(request) => request,
            Err(what) => return answer(Err(Refusal::Malformed { what: *what })),
        };
        let given = match self.given(request, (message.capabilities, message.foreign)) {
            Ok(given) => given,
            Err(refusal) => return answer(Err(refusal)),
        };
        let event = sender.space_id.get().map(ProgramId).and_then(|id| match *request {
            Request::Say { line } => Some(Event::Said(id, line)),
            Request::Exit { code } if sender.by_request.get() => {
                Some(Event::ChildExited(sender.name.get(), code))
            }
            Request::Exit { code } => Some(Event::Exited(id, sender.name.get(), code)),
            _ => None,
        });
        if let Request::Exit { code } = *request {
            self.begin_end(sender, State::Exited, code);
            return Outcome { event, ..Outcome::default() };
        }
        let answered = self.answer_to(vmm, sender, request, &given);
        let act = self.act.take();
        let foreign = self.next_foreign.take();
        let rest = || Outcome { foreign, ..Outcome::default() };
        if sender.dying.get() {
            // It has ended itself, with its account or otherwise.
            return rest();
        }
        if let (Request::Sleep { ms: ms @ 1.. }, Ok(_)) = (request, answered) {
            return match self.sleep(vmm, sender, *ms) {
                Err(refusal) => answer(Err(refusal)),
                Ok(slot) => Outcome { waits: Some(slot), ..rest() },
            };
        }
        if let Some(kept) = self.keep_untold(vmm, sender, request, (given.own[0], answered)) {
            return match kept {
                Err(refusal) => answer(Err(refusal)),
                Ok(slot) => Outcome { waits: Some(slot), ..rest() },
            };
        }
        let short = matches!(answered, Err(Refusal::Overcommitted { .. }));
        // Others can send as the same program, but there is one right to answer.
        if let Some(payer) = given.payer(request).filter(|_| short && given.waits()) {
            if let Some(thread) = self.own_slot_to_wait(vmm, sender) {
                let waits = Some(self.wait(thread, *request, message.capabilities, payer));
                return Outcome { waits, ..rest() };
            }
        }
        let ends = matches!(request, Request::EndThread { own: true, .. }) && answered.is_ok();
        // Another program's thread has not sent this.
        let number = sender.number();
        let own = |(_, object): (_, &Object<'p>)| match object.what.get() {
            What::Thread(of, _) => of == number,
            _ => false,
        };
        if ends && given.own[0].is_some_and(own) {
            return Outcome { ends: true, ..rest() };
        }
        Outcome { event, act, foreign, ..answer(answered) }
    }

    /// Does what a request says whose capabilities were found right.
    pub(super) fn answer_to<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        sender: &'p Program<'p>,
        request: &Request,
        given: &Given<'p>,
    ) -> Answered {
        // What gives back, or only looks, goes on when memory is out.
        if takes_records(request) {
            if let Err(refusal) = self.refill(vmm) {
                if let Request::Clone { .. } = request {
                    // A piece that is refused ends what was made of the clone, for whatever want.
                    self.abandon_clone(sender);
                }
                return Err(refusal);
            }
        }
        if !matches!(wait_of(request), 0 | FOREVER) {
            self.clock()?;
        }
        let answered = self.serve(vmm, sender, request, given);
        let changed = if answered.is_ok() { changed_by(request) } else { None };
        if let Some(memory) = changed.and_then(|place| given.object(place).ok()) {
            self.abandon_clones_of(memory);
        }
        answered
    }

    /// Checks the capabilities that came against those that are due.
    pub(super) fn given(
        &self,
        request: &Request,
        (arrived, foreign): (&[Arrived], CPtr),
    ) -> Result<Given<'p>, Refused> {
        let due = request.due();
        // Who asks again for the end of one goes on with that.
        let ends = matches!(request, Request::Revoke { .. });
        let destroys = matches!(request, Request::Destroy {});
        let mut given = Given { own: [None; MAX_CAPABILITIES], foreign: CPtr::NULL };
        for (index, due) in due.iter().enumerate() {
            let place = narrow(index);
            let badge = match arrived.get(index) {
                None => return Err(Refusal::NoCapability { place }),
                Some(Arrived::Foreign) if due.foreign => {
                    given.foreign = foreign;
                    continue;
                }
                Some(Arrived::Own(_)) if due.foreign => {
                    return Err(Refusal::OwnCapability { place });
                }
                Some(Arrived::Foreign) => return Err(Refusal::ForeignCapability { place }),
                Some(&Arrived::Own(badge)) => badge,
            };
            // A badge without the bit is that of a thread's faults.
            let number = u32::try_from(badge ^ OBJECT_BADGE).ok();
            let node = number.and_then(|number| self.tables.capability(number));
            let node = node.ok_or(Refusal::ForeignCapability { place })?;
            let object = node.object.get().ok_or(Refusal::Gone { place })?;
            if (object.dying.get() && !destroys) || (node.unwanted.get() && !ends) {
                return Err(Refusal::Gone { place });
            }
            let found = object.kind.get().ok_or(Refusal::Internal {})?;
            if due.kind.is_some_and(|kind| kind != found) {
                return Err(Refusal::WrongKind { place, found });
            }
            let missing = due.rights.difference(node.rights.get());
            if !missing.is_empty() {
                return Err(Refusal::NoRight { place, missing });
            }
            given.own[index] = Some((node, object));
        }
        match arrived.len() > due.len() {
            true => Err(Refusal::TooManyCapabilities { wanted: narrow(due.len()) }),
            false => Ok(given),
        }
    }

    fn serve<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        program: &'p Program<'p>,
        request: &Request,
        given: &Given<'p>,
    ) -> Answered {
        let place = |payer, slot| Place { program, payer, slot };
        match *request {
            Request::Info {} => {
                let (node, object) = given.at(0)?;
                self.info(vmm, object, node.rights.get())
            }
            Request::Restrict { rights, slot } => {
                let ((node, object), payer) = (given.at(0)?, given.object(1)?);
                let beyond = rights.difference(node.rights.get());
                if !beyond.is_empty() {
                    return Err(Refusal::BeyondRights { asked: beyond });
                }
                self.hand_out(vmm, object, rights, Some(node), place(payer, slot))?;
                Ok(Answer::Done {})
            }
            Request::Revoke { slot } => self.revoke(vmm, program, given.at(0)?.0, slot),
            Request::Destroy {} => self.destroy(vmm, given.object(0)?),
            Request::CreateAccount { amounts, options, slot } => {
                let place = place(given.object(0)?, slot);
                self.create_account(vmm, place, amounts, options).map(done)
            }
            Request::Give { amounts, back } => {
                accounts::give(given.object(0)?, given.object(1)?, amounts, back)
            }
            Request::TellAccount { resource, amount } => {
                self.tell_account(vmm, given.object(0)?, (resource, amount), given.foreign)
            }
            Request::CreateMemory { pages, options, slot } => {
                let place = place(given.object(0)?, slot);
                self.create_memory(vmm, place, pages, options).map(done)
            }
            Request::CreatePhysical { address, pages, options, slot } => {
                let place = place(given.object(0)?, slot);
                self.create_physical(vmm, place, (address, pages), options).map(done)
            }
            Request::Clone { slot } => {
                let (memory, payer) = (given.object(0)?, given.object(1)?);
                self.clone_memory(vmm, place(payer, slot), memory)
            }
            Request::Locate { page } => self.locate(vmm, given.object(0)?, page),
            Request::Resize { pages } => {
                self.resize(vmm, (given.object(0)?, given.object(1)?), pages)
            }
            Request::CreateSpace { slot } => {
                self.create_space(vmm, place(given.object(0)?, slot)).map(done)
            }
            Request::Map { address, first, pages, rights }
            | Request::MapPrivate { address, first, pages, rights } => {
                let private = matches!(request, Request::MapPrivate { .. });
                let (space, (through, _), payer) =
                    (given.object(0)?, given.at(1)?, given.object(2)?);
                let ceiling = Rights::READ_WRITE;
                let like = PageKind::default();
                let wanted = Wanted { address, first, pages, rights, ceiling, private, like };
                self.map(vmm, (space, through), payer, wanted)
            }
            Request::Populate { address, pages } => {
                self.populate(vmm, given.object(0)?, (address, pages))
            }
            Request::Unmap { address } => self.unmap(vmm, given.object(0)?, address),
            Request::CreateEndpoint { object, slot } => {
                let place = place(given.object(0)?, object);
                self.create_kernel_object(vmm, place, (Kind::Endpoint, slot)).map(done)
            }
            Request::CreateNotification { object, slot } => {
                let place = place(given.object(0)?, object);
                self.create_kernel_object(vmm, place, (Kind::Notification, slot)).map(done)
            }
            Request::Say { .. } => Ok(Answer::Done {}),
            Request::CreateProgram { amounts, options, name, slot, space, account } => {
                let new = NewChild { amounts, options, name, space, account };
                self.create_child(vmm, place(given.object(0)?, slot), new).map(done)
            }
            Request::Load {} => self.load_step(vmm, given.object(0)?, given.at(1)?),
            Request::Grant { rights, slot } => {
                self.grant(vmm, given.object(0)?, given.at(1)?, (rights, slot))
            }
            Request::GrantKernel { slot } => {
                self.grant_kernel(vmm, program, given.object(0)?, (given.foreign, slot))
            }
            Request::Start { argument, stack, priority } => {
                let first = First { argument, stack, priority };
                self.start_child(vmm, program, given.object(0)?, first)
            }
            Request::CreateThread { entry, argument, stack, guard, priority, policy, slot } => {
                let new = Further { entry, argument, stack, guard, priority, policy };
                self.create_thread(vmm, place(given.object(0)?, slot), new)
            }
            Request::EndThread { code, .. } => self.end_thread(vmm, given.object(0)?, code),
            Request::Resume {} => self.resume(vmm, given.object(0)?),
            Request::Kill {} => self.kill_child(vmm, given.object(0)?),
            Request::TellEnd {} => self.tell_end(vmm, given.object(0)?, given.foreign),
            Request::Read { offset, bytes } => {
                self.read_piece(vmm, given.object(0)?, (offset, bytes))
            }
            Request::Write { offset, ref piece } => {
                self.write_piece(vmm, given.object(0)?, (offset, piece))
            }
            Request::Move { address, pages, to, rights } => {
                self.move_mapping(vmm, given.object(0)?, (address, pages), (to, rights))
            }
            Request::Protect { address, pages, rights } => {
                self.protect(vmm, given.object(0)?, (address, pages), rights)
            }
            Request::UnmapPart { address, pages } => {
                self.unmap_part(vmm, given.object(0)?, (address, pages))
            }
            Request::Reserve { address, pages, ceiling, slot } => {
                let (outer, payer) = (given.object(0)?, given.object(1)?);
                let new = NewReservation { address, pages, ceiling };
                self.reserve(vmm, place(payer, slot), outer, new).map(done)
            }
            Request::Bind {} => self.bind_first(program, given.foreign),
            Request::Unbind {} => self.unbind_first(program),
            Request::BindThread {} => self.bind_thread(given.object(0)?, given.foreign),
            Request::UnbindThread {} => self.unbind_thread(given.object(0)?),
            Request::Suspend {} => self.suspend_thread(vmm, given.object(0)?),
            Request::SuspendProgram {} => self.suspend_program(vmm, given.object(0)?),
            Request::FirstThread { policy, slot } => {
                let (of, payer) = (given.at(0)?, given.object(1)?);
                self.make_first_object(vmm, of, place(payer, slot), policy)
            }
            Request::ReadRegisters {} => self.read_registers(given.object(0)?),
            Request::WriteRegisters { registers } => {
                self.write_registers(given.object(0)?, registers)
            }
            Request::CreatePaged { pages, most, slot } => {
                let place = place(given.object(0)?, slot);
                self.create_paged(vmm, place, NewPaged { pages, most }).map(done)
            }
            Request::NextFault { .. } => self.next_fault(program, given.object(0)?),
            Request::Supply { first, pages, from, how, write, .. } => {
                let (memory, (through, source)) = (given.object(0)?, given.at(1)?);
                // What others write to, or what is gone, is no more as it was.
                let beyond = Rights::WRITE.difference(through.rights.get());
                if how != Supply::Copy && !beyond.is_empty() {
                    return Err(Refusal::NoRight { place: 1, missing: beyond });
                }
                let (range, manner) = (Range { first, pages }, Manner { how, write });
                self.supply(vmm, (program, memory), (source, from), range, manner)
            }
            Request::AllowWrite { first, pages, .. } => {
                self.allow_write(vmm, (program, given.object(0)?), Range { first, pages })
            }
            Request::TakeBack { first, pages, into } => {
                let into = Some((given.object(1)?, into));
                self.take_pages(vmm, (program, given.object(0)?), Range { first, pages }, into)
            }
            Request::Decommit { first, pages } => {
                self.take_pages(vmm, (program, given.object(0)?), Range { first, pages }, None)
            }
            Request::Refuse { page, .. } => self.refuse_page(program, given.object(0)?, page),
            Request::LimitWaits { ms } => self.limit_waits(given.object(0)?, ms),
            // How long it is, is for whoever answers.
            Request::Sleep { .. } => self.clock().map(|_| Answer::Done {}),
            Request::TellFaults {} => {
                self.tell_faults(vmm, (program, given.object(0)?), given.foreign)
            }
            // Served by `handle`; requests of a later version are parsed by none.
            _ => Err(Refusal::Internal {}),
        }
    }

    fn info<K: Kernel + Memory<'p>>(
        &self,
        vmm: &Vmm<'p, K>,
        object: &'p Object<'p>,
        rights: Rights,
    ) -> Answered {
        let (committed, mappings) = (object.committed.get(), object.mappings.get());
        Ok(match object.what.get() {
            What::Account(account) => accounts::info(account, rights),
            What::Memory { pages, options, .. }
            | What::Large { pages, options }
            | What::Physical { pages, options, .. } => {
                Answer::Memory { rights, options, pages, committed, mappings }
            }
            What::Space(space) => {
                let summary = vmm.space_summary(space).map_err(refuse)?;
                Answer::Space {
                    rights,
                    mapped: narrow(summary.mapped_pages),
                    tables: narrow(summary.tables),
                    mappings,
                    programs: object.programs.get(),
                }
            }
            What::Reservation { region, pages, ceiling } => Answer::Reservation {
                rights,
                address: region.start().bits(),
                pages,
                ceiling,
                mappings,
                inside: object.inside.get(),
            },
            What::Program(report) | What::Thread(_, report) => {
                let Report { state, gone, code, fault, address, instruction, .. } = report;
                let thread = match self.living(object) {
                    Some(program) => self.first_thread(program),
                    None => self.thread_of(object),
                };
                let wait = thread.and_then(|thread| thread.paging.get());
                let waits = state == State::Running && wait.is_some_and(|wait| wait.waits());
                let state = if waits { State::Waiting } else { state };
                Answer::Program { rights, state, gone, code, fault, address, instruction }
            }
            _ => {
                let kind = object.kind.get().ok_or(Refusal::Internal {})?;
                Answer::Object { kind, rights }
            }
        })
    }
}

/// Whether a request makes something, and so takes records.
fn takes_records(request: &Request) -> bool {
    !matches!(
        request,
        Request::Info {}
            | Request::Revoke { slot: 0 }
            | Request::Destroy {}
            | Request::Give { .. }
            | Request::TellAccount { .. }
            | Request::Resize { .. }
            | Request::Populate { .. }
            | Request::Unmap { .. }
            | Request::Say { .. }
            | Request::GrantKernel { .. }
            | Request::Resume {}
            | Request::Kill {}
            | Request::Read { .. }
            | Request::Write { .. }
            | Request::Move { .. }
            | Request::Locate { .. }
            | Request::Protect { .. }
            | Request::UnmapPart { .. }
            | Request::EndThread { .. }
            | Request::Bind {}
            | Request::Unbind {}
            | Request::BindThread {}
            | Request::UnbindThread {}
            | Request::Suspend {}
            | Request::SuspendProgram {}
            | Request::ReadRegisters {}
            | Request::WriteRegisters { .. }
            | Request::NextFault { .. }
            | Request::AllowWrite { .. }
            | Request::TakeBack { .. }
            | Request::Decommit { .. }
            | Request::Refuse { .. }
            | Request::LimitWaits { .. }
            | Request::Sleep { .. }
    )
}

/// The place of the memory object whose contents a request may change, now or by a mapping that it
/// makes.
fn changed_by(request: &Request) -> Option<usize> {
    match request {
        Request::Write { .. } | Request::Resize { .. } | Request::Locate { .. } => Some(0),
        Request::Map { .. } | Request::Load {} | Request::TakeBack { .. } => Some(1),
        Request::Supply { how, .. } if *how != Supply::Copy => Some(1),
        _ => None,
    }
}

fn done(_: &Object<'_>) -> Answer {
    Answer::Done {}
}

fn answer(answered: Answered) -> Outcome {
    let message = match answered {
        Ok(answer) => answer.encode(),
        Err(refusal) => refusal.encode(),
    };
    Outcome { answer: Some(message), ..Outcome::default() }
}
