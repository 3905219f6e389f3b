// SPDX-License-Identifier: BSD-2-Clause
//! A thread's record: what it is made of, and what of its program's waits by its slot.

use core::cell::Cell;

use intrusive_collections::{KeyAdapter, RBTreeLink};
use vmm::{CPtr, ThreadParts};
use vmm_client::objects::{
    Amounts, Answer, FaultPolicy, Message, Refusal, Request, State, MAX_CAPABILITIES,
};

use super::object::Object;
use super::place::{Course, Noted, Place, Queue};
use super::program::Program;
use super::supplied::{Order, PageWait, Phase};
use crate::objects::types::Fault;

/// The slot in the root of a program's CSpace for the faults of its first thread.
pub(crate) const FIRST_FAULT_SLOT: usize = 1;

/// A request that waits for memory.
#[derive(Clone, Copy)]
pub(crate) struct Waiting {
    pub request: Request,
    /// The badges of the capabilities that came with it; `None` of those that have ended since.
    pub badges: [Option<usize>; MAX_CAPABILITIES],
    /// Those with lower numbers came before.
    pub turn: u64,
    /// The number of the guarantee that lacks it; 0: a capability has ended that it came with.
    pub lacks: u32,
}

/// When what a slot keeps is given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Due {
    /// When others had a turn, or its time has come. Whoever waits by the slot of a thread that ends
    /// waits on by another slot.
    Later,
    /// At the end of the thread whose slot it is, which is being taken apart.
    AtEnd,
    /// Now.
    Now,
}

/// What is kept until others had a turn.
#[derive(Clone, Copy)]
pub(crate) struct Held {
    /// The number of the program that the message was one of: it sent it itself, or whoever it
    /// passed its capability to. The right to answer is in the slot of the thread that has this.
    pub whose: u32,
    /// Whether it is answered with the thread's `message`; otherwise it is a thread that does not
    /// wait for answers, and is held itself.
    pub answers: bool,
    /// The number of what tells when the others had their turn.
    pub turnstile: u8,
    pub due: Due,
    /// When it is given, in milliseconds of the clock: the answer of one that sleeps.
    pub until: Option<u64>,
    /// What its answer is kept for, of one that waits to be told of a page.
    pub tells: Option<Tells>,
}

/// The number of no turnstile.
pub(crate) const NO_TURNSTILE: u8 = u8::MAX;

/// The pages of which a pager waits to be told.
#[derive(Clone, Copy)]
pub(crate) struct Tells {
    /// The number of the memory object, and the badge of the capability to it that came.
    pub memory: u32,
    pub badge: u32,
    /// How many pages its request has done, and whether it did anything but to ask.
    pub done: u32,
    pub acted: bool,
    /// Those with lower numbers came before.
    pub turn: u64,
}

impl Held {
    /// Whether its answer is kept for what the one who waits asked for, not for others' turns.
    pub fn is_asked_for(&self) -> bool {
        self.until.is_some() || self.tells.is_some()
    }

    /// What is answered to one that does not get what it waits for. Of a request that did something
    /// that is no refusal.
    pub fn in_vain(&self, why: Refusal) -> Message {
        match self.tells {
            Some(tells) if tells.acted => tells.of_none(),
            _ => why.encode(),
        }
    }
}

impl Tells {
    /// The answer that no page is waited for.
    pub fn of_none(&self) -> Message {
        Answer::Wanted { done: self.done, waits: false, page: 0, write: false }.encode()
    }
}

/// How far a thread is suspended by request: it has a space in which nothing is mapped, so that the
/// next instruction that it fetches is a fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Stop {
    /// It has its program's space.
    #[default]
    None,
    /// It has again. Its next fault may be one of the empty space still.
    Undone,
    /// It has the empty space, and no fault there yet.
    Wanted,
    /// It has faulted there.
    Done,
    /// It had, has its program's space again, and goes on now.
    GoesOn,
}

impl Stop {
    /// Whether it has the empty space.
    pub fn is_wanted(self) -> bool {
        matches!(self, Stop::Wanted | Stop::Done)
    }
}

/// A fault by which a thread's program is suspended.
#[derive(Clone, Copy)]
pub(crate) struct Faulted {
    /// What its program does then.
    pub state: State,
    pub fault: Fault,
    /// Those with lower numbers came before.
    pub turn: u64,
}

/// A thread's node. A program has one from the start, and one for each thread object.
#[derive(Default)]
pub(crate) struct Thread<'p> {
    pub next_free: Cell<Option<&'p Thread<'p>>>,
    by_program: RBTreeLink,
    by_place: RBTreeLink,
    by_whose: RBTreeLink,
    by_course: RBTreeLink,
    by_page: RBTreeLink,
    by_mapping: RBTreeLink,
    by_deadline: RBTreeLink,
    by_order: RBTreeLink,
    by_told: RBTreeLink,
    /// Where it is in the queues.
    pub noted: Noted,
    /// Whose it is.
    pub program: Cell<Option<&'p Program<'p>>>,
    /// Its object; a program's first thread has one if somebody asked for it.
    pub object: Cell<Option<&'p Object<'p>>>,
    /// What it is made of, and what of that is charged to who pays for the program's space.
    pub parts: Cell<Option<ThreadParts>>,
    pub charge: Cell<Amounts>,
    /// The slot in the root of its program's CSpace by which it tells its faults.
    pub fault_slot: Cell<usize>,
    /// The slot that keeps a right to answer: one at a time, for `waiting` or `held`. It is any
    /// thread's of the program that the request is one of, or another program's.
    pub reply: Cell<CPtr>,
    pub waiting: Cell<Option<Waiting>>,
    pub held: Cell<Option<Held>>,
    /// What is answered by the slot, of what `held` says that it answers.
    pub message: Cell<Message>,
    /// The page that it waits for; set by `Waits::set` alone.
    pub paging: Cell<Option<PageWait>>,
    /// Its fault, until its program is let go on from that.
    pub faulted: Cell<Option<Faulted>>,
    /// What becomes of it when it has a fault.
    pub policy: Cell<Option<FaultPolicy>>,
    /// Whether a notification was bound to it, and not unbound.
    pub bound: Cell<bool>,
    pub stop: Cell<Stop>,
    /// Whether it is being taken apart alone.
    pub ends: Cell<bool>,
}

#[allow(unsafe_code)] // what the adapter macro expands to
mod adapters {
    use super::*;
    use intrusive_collections::intrusive_adapter;

    intrusive_adapter!(
        pub(crate) ByProgram<'p> = &'p Thread<'p>: Thread<'p> { by_program => RBTreeLink }
    );
    intrusive_adapter!(
        pub(crate) ByPlace<'p> = &'p Thread<'p>: Thread<'p> { by_place => RBTreeLink }
    );
    intrusive_adapter!(
        pub(crate) ByWhose<'p> = &'p Thread<'p>: Thread<'p> { by_whose => RBTreeLink }
    );
    intrusive_adapter!(
        pub(crate) ByCourse<'p> = &'p Thread<'p>: Thread<'p> { by_course => RBTreeLink }
    );
    intrusive_adapter!(
        pub(crate) ByPage<'p> = &'p Thread<'p>: Thread<'p> { by_page => RBTreeLink }
    );
    intrusive_adapter!(
        pub(crate) ByMapping<'p> = &'p Thread<'p>: Thread<'p> { by_mapping => RBTreeLink }
    );
    intrusive_adapter!(
        pub(crate) ByDeadline<'p> = &'p Thread<'p>: Thread<'p> { by_deadline => RBTreeLink }
    );
    intrusive_adapter!(
        pub(crate) ByOrder<'p> = &'p Thread<'p>: Thread<'p> { by_order => RBTreeLink }
    );
    intrusive_adapter!(
        pub(crate) ByTold<'p> = &'p Thread<'p>: Thread<'p> { by_told => RBTreeLink }
    );
}

pub(crate) use adapters::{
    ByCourse, ByDeadline, ByMapping, ByOrder, ByPage, ByPlace, ByProgram, ByTold, ByWhose,
};

impl<'a> KeyAdapter<'a> for ByProgram<'_> {
    /// The program's number, and that of its own object; 0 of the first.
    type Key = (u32, u32);

    fn get_key(&self, thread: &'a Thread<'_>) -> (u32, u32) {
        thread.key()
    }
}

impl<'a> KeyAdapter<'a> for ByPlace<'_> {
    /// The queue, the order in it, and who it is.
    type Key = (Place, (u32, u32));

    fn get_key(&self, thread: &'a Thread<'_>) -> (Place, (u32, u32)) {
        (thread.noted.place.get(), thread.key())
    }
}

impl<'a> KeyAdapter<'a> for ByWhose<'_> {
    /// The number of the program of which its slot keeps something, and who it is.
    type Key = (u32, (u32, u32));

    fn get_key(&self, thread: &'a Thread<'_>) -> (u32, (u32, u32)) {
        (thread.noted.whose.get(), thread.key())
    }
}

impl<'a> KeyAdapter<'a> for ByCourse<'_> {
    /// What it is in the course of, and who it is.
    type Key = (Course, (u32, u32));

    fn get_key(&self, thread: &'a Thread<'_>) -> (Course, (u32, u32)) {
        (thread.noted.course.get(), thread.key())
    }
}

impl<'a> KeyAdapter<'a> for ByPage<'_> {
    /// The memory object and the page that it waits for, and its turn.
    type Key = (u32, u32, u64);

    fn get_key(&self, thread: &'a Thread<'_>) -> (u32, u32, u64) {
        thread.paging.get().map_or((0, 0, 0), |wait| wait.by_page())
    }
}

impl<'a> KeyAdapter<'a> for ByMapping<'_> {
    /// The token of the mapping and the number of the page, and its turn.
    type Key = (u32, u32, u64);

    fn get_key(&self, thread: &'a Thread<'_>) -> (u32, u32, u64) {
        thread.paging.get().map_or((0, 0, 0), |wait| wait.by_mapping())
    }
}

impl<'a> KeyAdapter<'a> for ByDeadline<'_> {
    /// When it has waited for too long, and its turn.
    type Key = (u64, u64);

    fn get_key(&self, thread: &'a Thread<'_>) -> (u64, u64) {
        let wait = thread.paging.get();
        wait.map_or((0, 0), |wait| (wait.until.unwrap_or(u64::MAX), wait.turn))
    }
}

impl<'a> KeyAdapter<'a> for ByOrder<'_> {
    /// What it is looked for as, and its turn.
    type Key = (Order, u64);

    fn get_key(&self, thread: &'a Thread<'_>) -> (Order, u64) {
        let wait = thread.paging.get().and_then(|wait| Some((wait.order()?, wait.turn)));
        wait.unwrap_or((Order::GoesOn, 0))
    }
}

impl<'a> KeyAdapter<'a> for ByTold<'_> {
    /// The memory object of whose pages is to be told by its slot, and the turn.
    type Key = (u32, u64);

    fn get_key(&self, thread: &'a Thread<'_>) -> (u32, u64) {
        thread.noted.tells.get()
    }
}

impl Thread<'_> {
    /// Whether it is the one that its program begins with.
    pub fn is_first(&self) -> bool {
        self.fault_slot.get() == FIRST_FAULT_SLOT
    }

    /// The number of its object; 0 of a program's first.
    pub fn number(&self) -> u32 {
        self.object.get().filter(|_| !self.is_first()).map_or(0, |object| object.number.get())
    }

    /// What no other thread has: its program's number and its own.
    pub fn key(&self) -> (u32, u32) {
        (self.program_number(), self.number())
    }

    /// Where its slot is in the queues.
    pub fn place(&self) -> Place {
        match (self.held.get(), self.waiting.get()) {
            (Some(Held { due: Due::Now, answers: true, .. }), _) => (Queue::Answers, 0),
            (Some(Held { due: Due::Now, .. }), _) => (Queue::Threads, 0),
            _ if self.is_ending() => (Queue::None, 0),
            (Some(Held { turnstile: NO_TURNSTILE, until: Some(until), .. }), _) => {
                (Queue::Asleep, until)
            }
            (Some(Held { turnstile: NO_TURNSTILE, tells: Some(_), .. }), _) => (Queue::None, 0),
            (Some(Held { turnstile, .. }), _) => (Queue::Turnstile(turnstile), 0),
            (None, Some(Waiting { turn, lacks, .. })) => (Queue::Waiting(lacks), turn),
            (None, None) if self.has_slot() => (Queue::Free, 0),
            (None, None) => (Queue::None, 0),
        }
    }

    /// The memory object of whose pages is to be told by its slot, and the turn; 0: of none.
    pub fn tells(&self) -> (u32, u64) {
        let held = self.held.get().filter(|held| held.due == Due::Later);
        held.and_then(|held| held.tells).map_or((0, 0), |tells| (tells.memory, tells.turn))
    }

    /// Whether it has a slot for a right to answer, and is not being taken apart.
    pub fn has_place(&self) -> bool {
        self.reply.get() != CPtr::NULL && !self.is_ending()
    }

    /// What it is in the course of.
    pub fn course(&self) -> Course {
        match (self.ends.get(), self.stop.get()) {
            (true, _) => Course::Ends,
            (false, Stop::GoesOn) => Course::GoesOn,
            _ => Course::None,
        }
    }

    /// What there is to say of it, if it has an object.
    pub fn state(&self) -> Option<State> {
        self.object.get()?.report().map(|report| report.state)
    }

    /// The number of its program.
    pub fn program_number(&self) -> u32 {
        self.program.get().map_or(0, |program| program.number())
    }

    /// Its thread control block, while it has one.
    pub fn tcb(&self) -> Option<CPtr> {
        self.parts.get()?.tcb().map(|tcb| tcb.slot())
    }

    /// Whether it is being taken apart, alone or with its program.
    pub fn is_ending(&self) -> bool {
        self.ends.get() || self.program.get().is_none_or(|program| program.dying.get())
    }

    /// Whether the page was refused that it waited for last, and it has not touched that since.
    pub fn was_refused(&self) -> bool {
        let phase = self.paging.get().map(|wait| wait.phase);
        matches!(phase, Some(Phase::WasRefused { .. }))
    }

    /// Whether it executes nothing before it is let go on: it waits for a page, or for the answer
    /// to a fault.
    pub fn is_blocked(&self) -> bool {
        let waits = self.paging.get().is_some_and(|wait| wait.waits());
        let alone = matches!(self.state(), Some(State::Faulted | State::TimedOut));
        self.stop.get() == Stop::Done || waits || self.faulted.get().is_some() || alone
    }

    /// Whether its slot can keep a right to answer.
    pub fn has_slot(&self) -> bool {
        let empty = self.waiting.get().is_none() && self.held.get().is_none();
        empty && self.has_place()
    }

    /// A node with nothing of what its last user had.
    pub fn begin(&self) {
        self.program.set(None);
        self.object.set(None);
        self.parts.set(None);
        self.charge.set(Amounts::NONE);
        self.fault_slot.set(0);
        self.reply.set(CPtr::NULL);
        self.waiting.set(None);
        self.held.set(None);
        self.paging.set(None);
        self.faulted.set(None);
        self.policy.set(None);
        self.bound.set(false);
        self.stop.set(Stop::None);
        self.ends.set(false);
    }
}
