// SPDX-License-Identifier: BSD-2-Clause
//! Programs that are suspended by request, with all their threads, and resumed.
//!
//! ```text
//!   Running, Faulted ── SuspendProgram ──► Suspending ── all have stopped ──► Suspended ──► told
//!        ▲                                     │                                 │
//!        └──────────────── Resume ─────────────┴─────────────────────────────────┘
//! ```
//!
//! A thread has the empty space (`controls`) while it is to be suspended, or its program is. Its
//! own state says nothing of the program's. There are at most 15 threads, and each takes one kernel
//! call: a request suspends or resumes all of them. Where the kernel refuses one of several, the
//! request is answered that there is more to do, so that either request goes on from there.

use vmm::{CPtr, Kernel, Memory, Violation, Vmm};
use vmm_client::objects::{Answer, Refusal, State};

use super::answers::{refuse, Answered, Refused};
use super::service::Objects;
use super::state::object::Object;
use super::state::place::Course;
use super::state::program::Program;
use super::state::thread::{Stop, Thread};

impl<'p> Objects<'p> {
    /// Serves [`vmm_client::objects::Request::SuspendProgram`].
    pub(super) fn suspend_program<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        object: &'p Object<'p>,
    ) -> Answered {
        let program = self.alive(object)?;
        let state = object.report().ok_or(Refusal::Internal {})?.state;
        let runs = |thread: &Thread<'p>| can_stop(thread) && !thread.stop.get().is_wanted();
        match state {
            State::Running | State::Faulted | State::TimedOut => {}
            // A part of it was refused before.
            State::Suspending if self.threads_of(program).any(runs) => {}
            _ => return Err(Refusal::WrongState { state }),
        }
        let resumes_to = program.resumes_to.get().or(Some(state));
        let whole = self.each_thread(program, |this, thread| match runs(thread) {
            true => this.move_to_empty(vmm, thread).map(|()| true),
            false => Ok(false),
        })?;
        if !whole {
            self.set_suspended(object, program, resumes_to);
            return Ok(Answer::More {});
        }
        self.set_suspended(object, program, resumes_to);
        self.note_still(program);
        Ok(Answer::Done {})
    }

    fn set_suspended(
        &mut self,
        object: &'p Object<'p>,
        program: &Program<'p>,
        resumes_to: Option<State>,
    ) {
        program.resumes_to.set(resumes_to);
        object.set_state(State::Suspending);
        self.set_due(object, false);
    }

    /// Serves [`vmm_client::objects::Request::Resume`] of a program that was suspended by request,
    /// and does what its state is then again.
    pub(super) fn resume_program<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        object: &'p Object<'p>,
        resumes_to: State,
    ) -> Answered {
        let program = self.alive(object)?;
        let space = program.space_id.get().ok_or(Refusal::Internal {})?;
        let whole = self.each_thread(program, |this, thread| {
            let stop = thread.stop.get();
            if !stop.is_wanted() || !can_stop(thread) || is_suspended_alone(thread) {
                return Ok(false);
            }
            this.move_thread(vmm, thread, space)?;
            if stop == Stop::Done {
                this.goes_on(vmm, thread);
            } else {
                // What the empty space does to it may be told already.
                thread.stop.set(Stop::Undone);
            }
            Ok(true)
        })?;
        if !whole {
            // Some of them run.
            self.set_suspended(object, program, Some(resumes_to));
            return Ok(Answer::More {});
        }
        program.resumes_to.set(None);
        object.set_state(resumes_to);
        self.set_due(object, false);
        Ok(Answer::Done {})
    }

    /// Does something with one thread of a program after another; `does` says whether it was one for
    /// it. Returns whether that was done with all: where the kernel refuses one behind others it is
    /// done with those.
    ///
    /// # Errors
    /// What it refuses of the first.
    fn each_thread(
        &mut self,
        program: &Program<'p>,
        mut does: impl FnMut(&mut Self, &'p Thread<'p>) -> vmm::Result<bool>,
    ) -> Result<bool, Refused> {
        let (mut next, mut done) = (self.first_thread(program), 0);
        while let Some(thread) = next {
            next = self.thread_behind(thread);
            match does(self, thread) {
                Ok(was_one) => done += u32::from(was_one),
                Err(_) if done != 0 => return Ok(false),
                Err(error) => return Err(refuse(error)),
            }
        }
        Ok(true)
    }

    /// Has a thread go on that has its program's space again, and waits for the answer to a fault.
    pub(super) fn goes_on<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        thread: &'p Thread<'p>,
    ) {
        if let Some(id) = thread.parts.get().and_then(|parts| parts.id()) {
            // The same fault is one more, if it comes again.
            vmm.expect_fault_again(id);
        }
        self.resumed += u32::from(thread.stop.replace(Stop::GoesOn) != Stop::GoesOn);
        self.queues.update(thread);
    }

    /// Gives a thread the space in which nothing is mapped.
    pub(super) fn move_to_empty<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        thread: &'p Thread<'p>,
    ) -> vmm::Result {
        self.move_thread(vmm, thread, self.empty)?;
        let stays = thread.stop.get() == Stop::GoesOn;
        self.stays(thread);
        thread.stop.set(if stays { Stop::Done } else { Stop::Wanted });
        Ok(())
    }

    /// A thread was made. In a program that is suspended it has no instruction to fetch before that
    /// is resumed.
    pub(super) fn begin_suspended<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        (program, thread): (&Program<'p>, &'p Thread<'p>),
    ) -> vmm::Result {
        match program.resumes_to.get() {
            Some(_) => self.move_to_empty(vmm, thread),
            None => Ok(()),
        }
    }

    /// Notes that a program is suspended, if it is to be and each thread of it has stopped: at an
    /// instruction, for a page, or for a fault; and that this is told.
    pub(super) fn note_still(&mut self, program: &Program<'p>) {
        let Some((object, report)) = program.report() else { return };
        let all = || self.threads_of(program).filter(|thread| can_stop(thread));
        if report.state == State::Suspending && all().all(is_still) {
            object.set_state(State::Suspended);
            self.set_due(object, true);
        }
    }

    /// The thread control block of the next thread that goes on, of those whose programs were
    /// suspended.
    pub(super) fn next_resumed(&mut self) -> Option<CPtr> {
        let thread = self.queues.in_course(Course::GoesOn)?;
        self.stays(thread);
        thread.tcb()
    }

    /// A thread is not to go on any more, or does so.
    pub(super) fn stays(&mut self, thread: &'p Thread<'p>) {
        if thread.stop.get() == Stop::GoesOn {
            thread.stop.set(Stop::None);
            self.queues.update(thread);
            self.resumed -= 1;
        }
    }

    /// I45: a program that is suspended by request says so, as does a thread. Who has the empty
    /// space is one or of one of those, who is one has it, and of a program that has stopped all
    /// have. As many go on as is counted.
    pub(super) fn validate_suspension(&self) -> Result<(), Violation> {
        let hold = |rule, at: u32, holds: bool| {
            holds.then_some(()).ok_or(Violation { rule, at: at as usize })
        };
        for program in self.programs.iter().filter(|program| !program.dying.get()) {
            let state = program.report().map(|(_, report)| report.state);
            let says = matches!(state, Some(State::Suspending | State::Suspended));
            let suspended = program.resumes_to.get().is_some();
            hold("a program says whether it is suspended", program.number(), says == suspended)?;
        }
        for thread in self.all_threads().filter(|thread| can_stop(thread)) {
            let number = thread.number();
            let Some(program) = thread.program.get() else { continue };
            let (stop, alone) = (thread.stop.get(), is_suspended_alone(thread));
            let state = thread.state();
            let says = match stop {
                Stop::Wanted => state != Some(State::Suspended),
                Stop::Done => state != Some(State::Suspending),
                _ => !alone,
            };
            hold("a thread's object says whether it is suspended", number, says)?;
            let why = alone || program.resumes_to.get().is_some();
            hold("who has the empty space is suspended", number, why || !stop.is_wanted())?;
            let still = program.report().is_some_and(|(_, it)| it.state == State::Suspended);
            hold("a program that has stopped has no space", number, stop.is_wanted() || !still)?;
        }
        let resumed = self.all_threads().filter(|thread| thread.stop.get() == Stop::GoesOn);
        hold("those who are resumed are counted", self.resumed, {
            resumed.count() == self.resumed as usize
        })
    }
}

/// Whether a thread is there that can be suspended.
fn can_stop(thread: &Thread<'_>) -> bool {
    thread.tcb().is_some() && !thread.is_ending()
}

/// Whether a thread is suspended by request, whatever is so of its program.
fn is_suspended_alone(thread: &Thread<'_>) -> bool {
    matches!(thread.state(), Some(State::Suspending | State::Suspended))
}

/// Whether a thread of a program that is to be suspended executes nothing whatever happens but its
/// resumption: what lets it go on has it come to its next instruction, where nothing is.
fn is_still(thread: &Thread<'_>) -> bool {
    thread.stop.get().is_wanted() && thread.is_blocked()
}
