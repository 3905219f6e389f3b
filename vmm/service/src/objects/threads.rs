// SPDX-License-Identifier: BSD-2-Clause
//! Threads: a program's first, and those that it asks for.
//!
//! ```text
//!   thread object: how it ended, whom to tell            stays until it is destroyed
//!        └── thread ── stack, IPC buffer, local storage, control block, slot   ends with the program
//! ```
//!
//! All threads of a program send by its capability, so a request does not say which of them sent
//! it. Their faults do.

use intrusive_collections::Bound;
use vmm::{Kernel, Memory, TlsImage, Violation, Vmm};
use vmm_client::objects::{
    Amounts, Answer, FaultPolicy, Kind, MemoryOptions, Refusal, Resource, State, MAX_PAGES,
};

use super::answers::{refuse, Answered, Refused, NODE};
use super::capabilities::Place;
use super::children::{charge_space, parts, refund_space, refused, thread_cost};
use super::programs::{NewThread, FAULT_SLOTS, MAX_TLS_INIT};
use super::service::{clearing, Objects};
use super::state::object::{Object, Report, What};
use super::state::place::Course;
use super::state::program::Program;
use super::state::thread::{Stop, Thread};
use super::types::{Act, ProgramId};

/// A thread's object: its record and the thread's, the slot for whom its end is told to.
const THREAD: Amounts = NODE.with(Resource::Nodes, 2).with(Resource::Slots, 1);
/// The most pages that are never there below a thread's stack.
const MAX_GUARD: u32 = 16;

/// A thread that is asked for.
#[derive(Clone, Copy)]
pub(super) struct Further {
    pub entry: usize,
    pub argument: usize,
    pub stack: u32,
    pub guard: u32,
    pub priority: u32,
    pub policy: FaultPolicy,
}

impl<'p> Objects<'p> {
    /// Serves [`vmm_client::objects::Request::CreateThread`]: makes the thread, which the server
    /// lets run.
    pub(super) fn create_thread<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        place: Place<'p>,
        new: Further,
    ) -> Answered {
        let program = place.program;
        if new.stack == 0 || new.stack > MAX_PAGES {
            return Err(Refusal::BadLength { pages: new.stack });
        }
        if new.guard > MAX_GUARD {
            return Err(Refusal::BadLength { pages: new.guard });
        }
        let most = program.priority.get().unwrap_or(0);
        let priority = u8::try_from(new.priority).ok().filter(|&wanted| wanted <= most);
        let priority = priority.ok_or(Refusal::PriorityTooHigh { most: most.into() })?;
        let fault_slot = self.free_fault_slot(program)?;
        let rights = Object::all_rights(Kind::Thread, MemoryOptions::empty());
        self.create(vmm, place, (Kind::Thread, rights, THREAD), |this, vmm, object| {
            this.make_further(vmm, (program, object), new, (fault_slot, priority))?;
            Ok(object.what.get())
        })?;
        Ok(Answer::Done {})
    }

    /// A slot in the root of a program's CSpace for the faults of one more thread.
    fn free_fault_slot(&self, program: &Program<'p>) -> Result<usize, Refused> {
        let taken = |slot: usize| {
            let mut all = self.threads_of(program);
            all.any(|thread| thread.fault_slot.get() == slot)
        };
        let most = FAULT_SLOTS.len() as u32;
        FAULT_SLOTS.into_iter().find(|&slot| !taken(slot)).ok_or(Refusal::TooManyThreads { most })
    }

    /// What a thread object stands for. After a refusal it is taken apart, with as much as there is
    /// of it.
    fn make_further<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        (program, object): (&'p Program<'p>, &'p Object<'p>),
        new: Further,
        (fault_slot, priority): (usize, u8),
    ) -> Result<(), Refused> {
        let (space, id) = parts(program)?;
        let node = self.free_threads.alloc().ok_or(Refusal::OutOfMemory {})?;
        object.what.set(What::Thread(program.number(), Report::EMPTY));
        self.insert_thread(node, program, Some(object), fault_slot);
        node.policy.set(Some(new.policy));
        let slots = Amounts::NONE.with(Resource::Slots, 1);
        let cost = thread_cost(vmm, new.stack, program.tls.get()).plus(slots);
        let cost = cost.map_err(|_| Refusal::Internal {})?;
        charge_space(space, cost)?;
        node.charge.set(cost);
        node.reply.set(clearing(vmm, |vmm| vmm.alloc_slots(1)).map_err(refuse)?);
        self.queues.update(node);
        let mut init = None;
        let tls = self.first_tls(vmm, program, &mut init)?;
        let (entry, stack_pages) = (new.entry, new.stack as usize);
        let guard_pages = new.guard as u16;
        let thread = NewThread { entry, stack_pages, whole_stack: false, guard_pages, tls };
        let start = self.make_thread(vmm, (program, node), thread).map_err(refused)?;
        self.begin_suspended(vmm, (program, node)).map_err(refuse)?;
        let argument = new.argument;
        self.last_acted = Some(node);
        self.act = Some(Act::Start { program: ProgramId(id), start, argument, priority });
        Ok(())
    }

    /// What a thread's local storage begins with, read from the program's memory.
    pub(super) fn first_tls<'i, K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        program: &Program<'p>,
        init: &'i mut Option<[u8; MAX_TLS_INIT]>,
    ) -> Result<Option<TlsImage<'i>>, Refused> {
        let Some(tls) = program.tls.get() else { return Ok(None) };
        let (space, id) = parts(program)?;
        // A page of zeros is made for those alone that have some.
        let init = init.insert([0; MAX_TLS_INIT]);
        let init = &mut init[..(tls.bytes as usize).min(MAX_TLS_INIT)];
        self.read_first(vmm, space, id, tls.address, init).map_err(refuse)?;
        Ok(Some(tls.image(init)))
    }

    /// Records a thread that has nothing yet.
    pub(super) fn insert_thread(
        &mut self,
        node: &'p Thread<'p>,
        program: &'p Program<'p>,
        object: Option<&'p Object<'p>>,
        fault_slot: usize,
    ) {
        node.begin();
        node.program.set(Some(program));
        node.object.set(object);
        node.fault_slot.set(fault_slot);
        self.threads.insert(node);
    }

    /// Takes the record of a thread out of what leads to it.
    pub(super) fn remove_thread(&mut self, thread: &'p Thread<'p>) {
        self.queues.remove(thread);
        self.waits.remove(thread);
        for last in [&mut self.last_held, &mut self.last_kept, &mut self.last_acted] {
            if last.is_some_and(|last| core::ptr::eq(last, thread)) {
                *last = None;
            }
        }
        self.threads.find_mut(&thread.key()).remove();
    }

    /// The record of a thread that has not ended.
    pub(super) fn thread_of(&self, object: &Object<'p>) -> Option<&'p Thread<'p>> {
        let What::Thread(program, _) = object.what.get() else { return None };
        let further = self.threads.find(&(program, object.number.get())).clone_pointer();
        further.or_else(|| {
            let first = self.threads.find(&(program, 0)).clone_pointer();
            first.filter(|first| first.object.get().is_some_and(|own| own.is(object)))
        })
    }

    /// Serves [`vmm_client::objects::Request::EndThread`]: of one that has ended there is nothing
    /// to do.
    pub(super) fn end_thread<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        object: &'p Object<'p>,
        code: u32,
    ) -> Answered {
        if let Some(thread) = self.thread_of(object) {
            if thread.is_first() {
                return self.end_first_thread(vmm, thread, code);
            }
            if let Some(report) = object.report().filter(|report| !report.state.is_end()) {
                object.set_report(Report { state: State::Exited, code, ..report });
            }
            // It runs no more; the rest of it may be left.
            self.end_thread_step(vmm, thread).map_err(refuse)?;
        }
        Ok(Answer::Done {})
    }

    /// Begins the end of a thread that has an object. The rest is work that is left.
    pub(super) fn begin_end_thread(&mut self, thread: &'p Thread<'p>) {
        if !thread.ends.replace(true) {
            self.ending += 1;
            self.stays(thread);
            thread.stop.set(Stop::None);
            self.end_wait_of(thread);
            self.keep_till_end(thread, thread.program_number(), Refusal::OutOfMemory {});
            let Some(program) = thread.program.get() else { return };
            let first = self.first_faulted(program);
            if thread.faulted.take().is_some() && first.is_some_and(|it| core::ptr::eq(it, thread))
            {
                self.tell_fault(program);
            }
            self.note_still(program);
        }
    }

    /// Takes a thread apart that has an object, by one step; returns whether only its report is
    /// left.
    pub(super) fn end_thread_step<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        thread: &'p Thread<'p>,
    ) -> vmm::Result<bool> {
        self.begin_end_thread(thread);
        self.release_thread_of(vmm, thread)?;
        if let Some(program) = thread.program.get() {
            // Its right to be answered may be in another's slot.
            self.drop_gone(vmm, program);
        }
        if self.give_last_held(thread) {
            return Ok(false);
        }
        if let Some(space) = thread.program.get().and_then(|program| program.space.get()) {
            refund_space(space, thread.charge.take());
        }
        self.free_reply(vmm, thread)?;
        self.ending -= 1;
        self.remove_thread(thread);
        let object = thread.object.take();
        self.free_threads.free(thread);
        if let Some(object) = object {
            self.note_thread_gone(object);
        }
        Ok(true)
    }

    /// All is given back that a thread had.
    pub(super) fn note_thread_gone(&mut self, object: &'p Object<'p>) {
        if object.report().is_some_and(|report| !report.state.is_end()) {
            object.set_state(State::Killed);
        }
        self.note_gone(object);
    }

    /// Goes on with a thread that is being taken apart alone.
    pub(super) fn end_threads_step<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
    ) -> vmm::Result {
        match self.queues.in_course(Course::Ends) {
            Some(thread) => self.end_thread_step(vmm, thread).map(|_| ()),
            None => Ok(()),
        }
    }

    /// Gives back the slot for a right to answer, which went with the thread or was used.
    pub(super) fn free_reply<K: Kernel + Memory<'p>>(
        &self,
        vmm: &mut Vmm<'p, K>,
        thread: &Thread<'p>,
    ) -> vmm::Result {
        let reply = thread.reply.get();
        if reply != vmm::CPtr::NULL {
            vmm.free_slots(reply, 1)?;
            thread.reply.set(vmm::CPtr::NULL);
        }
        Ok(())
    }

    /// Takes apart a thread, and then what is left of its object, by one step; returns whether
    /// nothing is.
    pub(super) fn end_thread_object_step<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        object: &'p Object<'p>,
        report: Report,
    ) -> vmm::Result<bool> {
        match self.thread_of(object) {
            Some(thread) if thread.is_first() => self.let_go(vmm, thread)?,
            Some(thread) => {
                self.end_thread_step(vmm, thread)?;
                return Ok(false);
            }
            None => {}
        }
        if !self.end_notice(vmm, report)? {
            return Ok(false);
        }
        object.what.set(What::Nothing);
        Ok(true)
    }

    /// I38: a program has the thread that it begins with, and a thread its program; its object says
    /// whose it is; as many are taken apart alone as is counted.
    pub(super) fn validate_threads(&self) -> Result<(), Violation> {
        let hold = |rule, at: u32, holds: bool| {
            holds.then_some(()).ok_or(Violation { rule, at: at as usize })
        };
        for program in self.programs.iter() {
            let first = self.first_thread(program).is_some();
            hold("a program has its first thread", program.number(), first)?;
        }
        for thread in self.all_threads() {
            let number = thread.program_number();
            let lives = !self.programs.find(&number).is_null();
            hold("a thread's program lives", number, lives)?;
            let Some(object) = thread.object.get() else { continue };
            let own = matches!(object.what.get(), What::Thread(whose, _) if whose == number);
            hold("a thread's object says whose it is", object.number.get(), own)?;
        }
        let ending = self.all_threads().filter(|thread| thread.ends.get()).count();
        hold("threads that end alone are counted", self.ending, ending == self.ending as usize)
    }

    /// All threads, program by program.
    pub(super) fn all_threads(&self) -> impl Iterator<Item = &'p Thread<'p>> + use<'_, 'p> {
        let mut at = self.threads.front();
        core::iter::from_fn(move || {
            let thread = at.clone_pointer();
            at.move_next();
            self.steps.set(self.steps.get() + 1);
            thread
        })
    }

    /// The first of all threads that is so.
    pub(super) fn find_thread(&self, is: impl Fn(&Thread<'p>) -> bool) -> Option<&'p Thread<'p>> {
        self.all_threads().find(|thread| is(thread))
    }

    /// The threads of a program, its first one first.
    pub(super) fn threads_of(
        &self,
        program: &Program<'p>,
    ) -> impl Iterator<Item = &'p Thread<'p>> + use<'_, 'p> {
        let number = program.number();
        let mut at = self.threads.lower_bound(Bound::Included(&(number, 0)));
        core::iter::from_fn(move || {
            let thread = at.clone_pointer().filter(|it| it.program_number() == number);
            at.move_next();
            thread
        })
    }

    /// The thread behind another of the same program.
    pub(super) fn thread_behind(&self, thread: &Thread<'p>) -> Option<&'p Thread<'p>> {
        let key = (thread.program_number(), thread.number());
        let next = self.threads.lower_bound(Bound::Excluded(&key)).clone_pointer();
        next.filter(|next| next.program_number() == key.0)
    }

    /// The thread that a program begins with.
    pub(super) fn first_thread(&self, program: &Program<'p>) -> Option<&'p Thread<'p>> {
        self.threads.find(&(program.number(), 0)).clone_pointer()
    }
}
