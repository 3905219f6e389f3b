// SPDX-License-Identifier: BSD-2-Clause
//! A program's first thread as an object: for who holds the program.
//!
//! ```text
//!   program ◄── FirstThread ── its thread object: a record, as a further thread's
//!                                 │ destroyed, its payer ends, nobody has a capability to it
//!                                 └──► the thread goes on, as if nobody had ever asked for it
//! ```
//!
//! A program has its first thread for as long as it lives. So the end of the thread is that of its
//! program, and the end of its object is not the thread's.

use vmm::{Kernel, Memory, Vmm};
use vmm_client::objects::{
    Amounts, Answer, FaultPolicy, Kind, MemoryOptions, Refusal, Resource, State,
};

use super::answers::{Answered, NODE};
use super::capabilities::Place;
use super::service::Objects;
use super::state::capability::Capability;
use super::state::object::{Object, Report, What};
use super::state::thread::Thread;

/// Its record, and the slot for whom its end is told to.
const FIRST: Amounts = NODE.with(Resource::Slots, 1);

impl<'p> Objects<'p> {
    /// Serves [`vmm_client::objects::Request::FirstThread`].
    pub(super) fn make_first_object<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        (through, program): (&'p Capability<'p>, &'p Object<'p>),
        place: Place<'p>,
        policy: FaultPolicy,
    ) -> Answered {
        let program = self.alive(program)?;
        let thread = self.first_thread(program).ok_or(Refusal::Internal {})?;
        let all = Object::all_rights(Kind::Thread, MemoryOptions::empty());
        let rights = through.rights.get().intersection(all);
        if let Some(old) = thread.object.get().filter(|old| old.dying.get()) {
            // Nobody had a capability to it any more.
            self.dismantle(vmm, old);
        }
        let (object, is_new) = match thread.object.get() {
            // Its payer ends.
            Some(object) if object.dying.get() => return Err(Refusal::InUse { times: 1 }),
            Some(object) => (object, false),
            None => (self.charged_object(Kind::Thread, place.payer, FIRST)?, true),
        };
        if is_new {
            let started = program.priority.get().is_some();
            let state = if started { State::Running } else { State::Empty };
            object.what.set(What::Thread(program.number(), Report { state, ..Report::EMPTY }));
        }
        if let Err(refusal) = self.hand_out(vmm, object, rights, Some(through), place) {
            if is_new {
                self.dismantle(vmm, object);
            }
            return Err(refusal);
        }
        thread.object.set(Some(object));
        thread.policy.set(Some(policy));
        Ok(Answer::Done {})
    }

    /// The object of a thread, but of one that could run on, ends with the last capability to it:
    /// those to a first thread end with what they were derived from.
    pub(super) fn retire_unheld(&mut self, object: &'p Object<'p>) {
        let is_thread = matches!(object.what.get(), What::Thread(..));
        let unheld = is_thread && self.tables.next_of_object(object, 0).is_none();
        if unheld && self.thread_of(object).is_none_or(|thread| thread.is_first()) {
            self.retire(object);
        }
    }

    /// Serves [`vmm_client::objects::Request::EndThread`] of a program's first thread: its program
    /// ends.
    pub(super) fn end_first_thread<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        thread: &Thread<'p>,
        code: u32,
    ) -> Answered {
        let program = thread.program.get().ok_or(Refusal::Internal {})?;
        let object = thread.object.get();
        let report = object.and_then(|object| object.report()).filter(|it| !it.state.is_end());
        if let Some((object, report)) = object.zip(report) {
            object.set_report(Report { state: State::Exited, code, ..report });
        }
        self.end_and_stop(vmm, program, (State::Exited, code))
    }

    /// The object of a program's first thread is to be gone: the thread goes on, if it was
    /// suspended by that, and its faults are its program's.
    pub(super) fn let_go<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        thread: &'p Thread<'p>,
    ) -> vmm::Result {
        if let Some(state) = thread.state().filter(|_| !thread.is_ending()) {
            let suspended = state.is_suspended() || state == State::Suspending;
            if suspended && self.resume_alone(vmm, thread, state)? {
                self.goes_on(vmm, thread);
            }
        }
        thread.policy.set(None);
        thread.object.set(None);
        if let Some(program) = thread.program.get() {
            self.note_still(program);
        }
        Ok(())
    }
}
