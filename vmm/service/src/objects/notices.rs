// SPDX-License-Identifier: BSD-2-Clause
//! Who is told of what: ends of programs and threads, faults that suspended one, pages that are
//! waited for, accounts of which little is left.
//!
//! ```text
//!   what happened ──► due, with its object ──► next_notice ──► the capability that was given for it
//! ```

use vmm::{CPtr, Kernel, Memory, Vmm};
use vmm_client::objects::{Answer, FaultPolicy, ProgramOptions, Refusal, State};

use super::answers::{refuse, Answered};
use super::service::{clearing, Objects};
use super::state::object::{Object, Report};
use super::state::program::Program;
use super::state::thread::{Faulted, Thread};
use super::types::{Fault, ProgramId};

impl<'p> Objects<'p> {
    /// Serves [`vmm_client::objects::Request::TellEnd`].
    pub(super) fn tell_end<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        object: &'p Object<'p>,
        foreign: CPtr,
    ) -> Answered {
        let found = object.kind.get().ok_or(Refusal::Internal {})?;
        let report = object.report().ok_or(Refusal::WrongKind { place: 0, found })?;
        self.keep_foreign(vmm, report.notify).map_err(refuse)?;
        object.set_report(Report { notify: foreign, ..report });
        self.set_due(object, false);
        // What is due has another slot now.
        self.set_due(object, report.is_told());
        Ok(Answer::Done {})
    }

    /// Keeps the capability that came with the request where it is, in place of the one in `old`,
    /// if there is one: that slot, emptied, or a new one is for what comes next. A kernel call for
    /// the capability before, and none else.
    pub(super) fn keep_foreign<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        old: CPtr,
    ) -> vmm::Result {
        let next = match old {
            CPtr::NULL => clearing(vmm, |vmm| vmm.alloc_slots(1))?,
            old => {
                let path = vmm.allocator().path(old);
                vmm.delete_cap(path)?;
                old
            }
        };
        self.next_foreign = Some(next);
        Ok(())
    }

    /// Notes that a program's fault cannot be resolved. Returns whether the program ends for it;
    /// otherwise it is suspended, and its holder told; or that is so of its thread, as its policy
    /// is.
    pub fn note_unresolved(&mut self, program: ProgramId, fault: Fault) -> bool {
        let Some((program, (object, report))) =
            self.program(program).and_then(|program| Some((program, program.report()?)))
        else {
            return false;
        };
        let suspended = if self.late { State::TimedOut } else { State::Faulted };
        let thread =
            self.current_thread.filter(|thread| thread.program_number() == program.number());
        let alone = thread.and_then(|thread| Some((thread, thread.object.get()?)));
        let alone = alone.filter(|(thread, _)| !thread.is_ending());
        let mut ends_with_first = false;
        match alone.map(|(thread, object)| (thread, object, thread.policy.get())) {
            Some((_, object, Some(FaultPolicy::Suspend))) => {
                set_fault(object, suspended, fault);
                self.set_due(object, true);
                return false;
            }
            Some((thread, object, Some(FaultPolicy::End))) => {
                set_fault(object, State::Crashed, fault);
                if !thread.is_first() {
                    self.begin_end_thread(thread);
                    return false;
                }
                ends_with_first = true;
            }
            _ => {}
        }
        let ends =
            ends_with_first || !program.options.get().contains(ProgramOptions::SUSPEND_AT_FAULT);
        if ends {
            set_fault(object, report.state, fault);
            self.begin_end(program, State::Crashed, fault.code);
            return true;
        }
        let Some(thread) = thread.or_else(|| self.first_thread(program)) else { return false };
        // A further message of one that has faulted is somebody's.
        if thread.faulted.get().is_none() {
            self.last_turn += 1;
            thread.faulted.set(Some(Faulted { state: suspended, fault, turn: self.last_turn }));
            if self.first_faulted(program).is_some_and(|first| core::ptr::eq(first, thread)) {
                self.tell_fault(program);
            }
        }
        false
    }

    /// The thread of a program whose fault came first, of those by which it is suspended.
    pub(super) fn first_faulted(&self, program: &Program<'p>) -> Option<&'p Thread<'p>> {
        let all = self.threads_of(program).filter_map(|it| Some((it, it.faulted.get()?.turn)));
        all.min_by_key(|(_, turn)| *turn).map(|(thread, _)| thread)
    }

    /// Has the first fault told by which a program is suspended, if there is one: its holder sees
    /// that, and the next one once the program was let go on from it.
    pub(super) fn tell_fault(&mut self, program: &Program<'p>) {
        let first = self.first_faulted(program).and_then(|thread| thread.faulted.get());
        let Some((Faulted { state, fault, .. }, (object, report))) = first.zip(program.report())
        else {
            return;
        };
        if program.resumes_to.get().is_some() {
            // A part of it runs still that was to be suspended: it is faulted when it is resumed.
            set_fault(object, report.state, fault);
            program.resumes_to.set(Some(state));
        } else {
            set_fault(object, state, fault);
            self.set_due(object, true);
        }
    }

    /// All is given back that a program had.
    pub(super) fn note_gone(&mut self, object: &'p Object<'p>) {
        if let Some(report) = object.report() {
            object.set_report(Report { gone: true, ..report });
            self.set_due(object, true);
        }
    }

    /// The slot of the next capability that is to be signalled. Whoever serves messages asks after
    /// each, and after each piece of work, until there is none.
    pub fn next_notice(&mut self) -> Option<CPtr> {
        self.tell_low();
        let object = self.telling?;
        if let Some(paged) = object.paged.get() {
            self.set_pager_due(object, false);
            return Some(paged.notify);
        }
        if let Some(threshold) = object.threshold.get() {
            self.set_threshold_due(object, false);
            return Some(threshold.notify);
        }
        self.set_due(object, false);
        object.report().map(|report| report.notify)
    }

    /// Says whether a program's end is to be told now, to whom asked for it.
    pub(super) fn set_due(&mut self, object: &'p Object<'p>, due: bool) {
        let Some(report) = object.report() else { return };
        let due = due && report.notify != CPtr::NULL;
        object.set_report(Report { due, ..report });
        self.tell_of(object, report.due, due);
    }

    /// Lists an object of which something is to be told from now on, or was.
    pub(super) fn tell_of(&mut self, object: &'p Object<'p>, was: bool, is: bool) {
        match (was, is) {
            (false, true) => {
                if let Some(next) = self.telling.replace(object) {
                    object.next_told.set(Some(next));
                    next.last_told.set(Some(object));
                }
                self.notices += 1;
            }
            (true, false) => {
                let (last, next) = (object.last_told.take(), object.next_told.take());
                self.notices -= 1;
                match last {
                    Some(last) => last.next_told.set(next),
                    None => self.telling = next,
                }
                if let Some(next) = next {
                    next.last_told.set(last);
                }
            }
            _ => {}
        }
    }

    /// Gives back the slot for whom an end is told to. Returns whether it is: not before what is due
    /// was told, as nobody asks for a record that is gone.
    pub(super) fn end_notice<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        report: Report,
    ) -> vmm::Result<bool> {
        if report.due {
            return Ok(false);
        }
        if report.notify != CPtr::NULL {
            vmm.release_slot(report.notify)?;
        }
        Ok(true)
    }
}

/// Notes the fault of a program or a thread, and what it does then.
fn set_fault(object: &Object<'_>, state: State, fault: Fault) {
    let Fault { kind, code, address, instruction } = fault;
    if let Some(report) = object.report() {
        let fault = kind;
        object.set_report(Report { state, code, fault, address, instruction, ..report });
    }
}
