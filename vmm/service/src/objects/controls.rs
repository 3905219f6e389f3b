// SPDX-License-Identifier: BSD-2-Clause
//! What who holds a thread does with it: a notification bound to it, its fault looked at, its
//! registers read and written, suspended, resumed.
//!
//! ```text
//!   Running ── Suspend ──► Suspending ── its next instruction ──► Suspended ──┐ registers
//!      │  ▲                     │                                             │
//!      │  └───── Resume ────────┴─────────────────────────────────────────────┤
//!      └─── a fault, if its policy is to suspend it ──────────────► Faulted ──┘ registers
//! ```
//!
//! The kernel would suspend a thread also between a system call and its next instruction; resumed,
//! it makes the call once more. So it is not asked to. The thread is given a space instead in which
//! nothing is mapped: the next instruction that it fetches is a fault, and there it stays. A call
//! that it is in goes to its end before that, and is made once.

use vmm::{CPtr, Kernel, Memory, SpaceId, ThreadCSpace, ThreadId, Vmm};
use vmm_client::objects::{Answer, Refusal, Registers, State};

use super::answers::{refuse, Answered, Refused};
use super::service::Objects;
use super::state::object::{Object, Report, What};
use super::state::program::Program;
use super::state::thread::{Stop, Thread};
use super::types::{Act, Stopped};

impl<'p> Objects<'p> {
    /// Serves [`vmm_client::objects::Request::Bind`].
    pub(super) fn bind_first(&mut self, sender: &Program<'p>, notification: CPtr) -> Answered {
        let thread = self.first_thread(sender).ok_or(Refusal::Internal {})?;
        self.bind(thread, (notification, 0))
    }

    /// Serves [`vmm_client::objects::Request::BindThread`].
    pub(super) fn bind_thread(&mut self, object: &Object<'p>, notification: CPtr) -> Answered {
        self.bind(self.living_thread(object)?, (notification, 1))
    }

    fn bind(&mut self, thread: &'p Thread<'p>, (notification, place): (CPtr, u32)) -> Answered {
        let tcb = thread.tcb().ok_or(Refusal::Internal {})?;
        self.last_acted = Some(thread);
        self.act = Some(Act::Bind { tcb, notification, place });
        Ok(Answer::Done {})
    }

    /// Notes whether the kernel has bound a notification, a capability to which came at a place, to
    /// the thread with this control block. Returns why not.
    pub fn note_bound(&self, tcb: CPtr, place: u32, bound: bool) -> Option<Refusal> {
        let thread = self.thread_with_tcb(tcb)?;
        match (bound, thread.bound.get()) {
            (false, true) => Some(Refusal::Bound {}),
            (false, false) => Some(Refusal::BadCapability { place }),
            (true, _) => {
                thread.bound.set(true);
                None
            }
        }
    }

    /// Serves [`vmm_client::objects::Request::Unbind`].
    pub(super) fn unbind_first(&mut self, sender: &Program<'p>) -> Answered {
        let thread = self.first_thread(sender).ok_or(Refusal::Internal {})?;
        self.unbind(thread)
    }

    /// Serves [`vmm_client::objects::Request::UnbindThread`].
    pub(super) fn unbind_thread(&mut self, object: &Object<'p>) -> Answered {
        self.unbind(self.living_thread(object)?)
    }

    fn unbind(&mut self, thread: &Thread<'p>) -> Answered {
        let tcb = thread.tcb().ok_or(Refusal::Internal {})?;
        match thread.bound.replace(false) {
            true => {
                self.act = Some(Act::Unbind { tcb });
                Ok(Answer::Done {})
            }
            false => Err(Refusal::NotBound {}),
        }
    }

    /// The thread of an object, for what takes one that has not ended.
    fn living_thread(&self, object: &Object<'p>) -> Result<&'p Thread<'p>, Refused> {
        let state = object.report().ok_or(Refusal::Internal {})?.state;
        let thread = self.thread_of(object);
        let thread = thread.filter(|thread| !thread.is_ending() && thread.tcb().is_some());
        thread.ok_or(Refusal::WrongState { state })
    }

    /// Serves [`vmm_client::objects::Request::Resume`].
    pub(super) fn resume<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        object: &'p Object<'p>,
    ) -> Answered {
        match object.what.get() {
            What::Program(_) => match self.alive(object)?.resumes_to.get() {
                Some(state) => self.resume_program(vmm, object, state),
                None => self.resume_child(vmm, object),
            },
            What::Thread(_, report) => self.resume_thread(vmm, object, report),
            _ => Err(wrong_kind(object)),
        }
    }

    fn resume_thread<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        object: &'p Object<'p>,
        Report { state, .. }: Report,
    ) -> Answered {
        let thread = self.living_thread(object)?;
        let parts = thread.parts.get().and_then(|parts| parts.tcb().zip(parts.id()));
        let (tcb, id) = parts.ok_or(Refusal::Internal {})?;
        if !state.is_suspended() && state != State::Suspending {
            return Err(Refusal::WrongState { state });
        }
        if self.resume_alone(vmm, thread, state).map_err(refuse)? {
            self.act = Some(Act::Resume { tcb: tcb.slot(), thread: id });
        }
        self.note_resumed(vmm, object, id);
        Ok(Answer::Done {})
    }

    /// Lets a thread go on that is suspended by itself, as its state says, unless its program is
    /// suspended too. Returns whether it waits for the answer to a fault still.
    pub(super) fn resume_alone<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        thread: &'p Thread<'p>,
        state: State,
    ) -> vmm::Result<bool> {
        let Some(program) = thread.program.get() else { return Ok(false) };
        if thread.stop.get().is_wanted() {
            if program.resumes_to.get().is_some() {
                if matches!(state, State::Faulted | State::TimedOut) {
                    // It waits for the answer to its fault, as one that has faulted there.
                    thread.stop.set(Stop::Done);
                }
                return Ok(false);
            }
            if let Some(space) = program.space_id.get() {
                self.move_thread(vmm, thread, space)?;
            }
        }
        self.stays(thread);
        // What the empty space does to it may be told already.
        let stopped = state != State::Suspending;
        thread.stop.set(if stopped { Stop::None } else { Stop::Undone });
        Ok(stopped)
    }

    /// Notes that what was suspended runs again, by this thread of its.
    pub(super) fn note_resumed<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        object: &'p Object<'p>,
        thread: ThreadId,
    ) {
        // The same fault is one more, if it comes again.
        vmm.expect_fault_again(thread);
        object.set_state(State::Running);
        self.set_due(object, false);
    }

    /// Serves [`vmm_client::objects::Request::Suspend`].
    pub(super) fn suspend_thread<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        object: &'p Object<'p>,
    ) -> Answered {
        let thread = self.living_thread(object)?;
        let state = object.report().ok_or(Refusal::Internal {})?.state;
        if state != State::Running {
            return Err(Refusal::WrongState { state });
        }
        // Its program may be suspended, and it with that.
        if !thread.stop.get().is_wanted() {
            self.move_to_empty(vmm, thread).map_err(refuse)?;
        }
        let stopped = thread.stop.get() == Stop::Done;
        object.set_state(if stopped { State::Suspended } else { State::Suspending });
        self.set_due(object, stopped);
        Ok(Answer::Done {})
    }

    /// Has a thread fetch its instructions from another space.
    pub(super) fn move_thread<K: Kernel + Memory<'p>>(
        &self,
        vmm: &mut Vmm<'p, K>,
        thread: &Thread<'p>,
        space: SpaceId,
    ) -> vmm::Result {
        let root = thread.program.get().and_then(|program| program.root.get());
        let Some((tcb, root)) = thread.tcb().zip(root) else { return Ok(()) };
        let cspace = ThreadCSpace::Tree { root: root.slot() };
        let faults = super::programs::fault_pointer(vmm, thread);
        vmm.set_thread_space(tcb, space, cspace, faults)
    }

    /// Says what the fault that is served is, after [`Objects::note_fault`], to a thread that was
    /// to be suspended.
    pub fn note_stopped(&mut self) -> Stopped {
        let Some(thread) = self.current_thread.filter(|thread| !thread.is_ending()) else {
            return Stopped::No;
        };
        match thread.stop.get() {
            Stop::None => return Stopped::No,
            Stop::Undone => {
                thread.stop.set(Stop::None);
                return Stopped::Repeats;
            }
            Stop::Done | Stop::GoesOn => return Stopped::Forged,
            Stop::Wanted => thread.stop.set(Stop::Done),
        }
        let state = |object: &Object<'p>| object.report().map(|report| report.state);
        let alone = thread.object.get().filter(|it| state(it) == Some(State::Suspending));
        if let Some(object) = alone {
            object.set_state(State::Suspended);
            self.set_due(object, true);
        }
        if let Some(program) = thread.program.get() {
            self.note_still(program);
        }
        Stopped::Here
    }

    /// Serves [`vmm_client::objects::Request::ReadRegisters`].
    pub(super) fn read_registers(&mut self, object: &Object<'p>) -> Answered {
        self.act = Some(Act::ReadRegisters { tcb: self.suspended(object)? });
        Ok(Answer::Done {})
    }

    /// Serves [`vmm_client::objects::Request::WriteRegisters`].
    pub(super) fn write_registers(
        &mut self,
        object: &Object<'p>,
        registers: Registers,
    ) -> Answered {
        self.act = Some(Act::WriteRegisters { tcb: self.suspended(object)?, registers });
        Ok(Answer::Done {})
    }

    /// The thread control block of a thread that is suspended, or of the one by whose fault a
    /// program is.
    fn suspended(&self, object: &Object<'p>) -> Result<CPtr, Refused> {
        let state = object.report().ok_or(wrong_kind(object))?.state;
        let tcb = match object.what.get() {
            What::Program(_) => {
                let program = self.living(object).filter(|program| program.is_faulted());
                program.and_then(|program| self.first_faulted(program)?.tcb())
            }
            What::Thread(..) => {
                let thread = self.living_thread(object)?;
                // With its program, or by itself.
                let stopped = thread.stop.get() == Stop::Done || state.is_suspended();
                thread.tcb().filter(|_| stopped)
            }
            _ => None,
        };
        tcb.ok_or(Refusal::WrongState { state })
    }
}

/// What is told whose first capability is to no program and no thread.
fn wrong_kind(object: &Object<'_>) -> Refused {
    match object.kind.get() {
        Some(found) => Refusal::WrongKind { place: 0, found },
        None => Refusal::Internal {},
    }
}
