// SPDX-License-Identifier: BSD-2-Clause
//! What a server and the service tell each other. Nothing here knows the service.

use vmm::{CPtr, Name, SpaceId, ThreadId};
use vmm_client::objects::{Amounts, FaultKind, Line, Message, Registers};

use crate::types::program::Start;

/// The bit that is set in every badge of an object, and in no badge of a fault.
pub const OBJECT_BADGE: usize = 1 << 27;

/// How many badges the server's own threads may have: the last that are any's.
pub(super) const OWN_BADGES: u32 = 256;

/// A program. An id is never another program's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ProgramId(pub(crate) SpaceId);

impl ProgramId {
    /// The space that it runs in.
    pub fn space(self) -> SpaceId {
        self.0
    }
}

/// What tells when all others of a priority had their turn: one of the server's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Turnstile(pub u8);

impl Turnstile {
    /// The badge of the first: those of faults and of objects are lower.
    const FIRST_BADGE: usize = (OBJECT_BADGE << 1) - OWN_BADGES as usize;

    /// The one that sends its messages by this badge; `None` for those of objects and of faults.
    #[inline(always)]
    pub fn of_badge(badge: usize) -> Option<Turnstile> {
        let number = badge.checked_sub(Turnstile::FIRST_BADGE)?;
        u8::try_from(number).ok().map(Turnstile)
    }

    /// The badge that it sends its messages by.
    pub fn badge(self) -> usize {
        Turnstile::FIRST_BADGE + usize::from(self.0)
    }
}

/// A program that is to be made.
#[derive(Clone, Copy, Debug)]
pub struct NewProgram<'a> {
    /// Its name, for people: 15 bytes of it.
    pub name: &'a str,
    /// Its ELF file.
    pub file: &'a [u8],
    /// Pages of its stack.
    pub stack_pages: usize,
    /// What it may use: a guarantee.
    pub amounts: Amounts,
    /// Whether it may have memory at physical addresses, and be told those of pages.
    pub physical: bool,
    /// Whether it may say lines to people.
    pub console: bool,
}

impl<'a> NewProgram<'a> {
    /// A program with four pages of stack, a console, and no memory at physical addresses.
    pub const fn new(name: &'a str, file: &'a [u8], amounts: Amounts) -> NewProgram<'a> {
        NewProgram { name, file, stack_pages: 4, amounts, physical: false, console: true }
    }
}

/// A capability that came with a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arrived {
    /// One of the service's endpoint, which the kernel unwrapped: its badge.
    Own(usize),
    /// Any other. Whoever received it deletes it.
    Foreign,
}

/// A message, as the kernel delivered it.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    /// The badge of the capability that it was sent by.
    pub badge: usize,
    /// The label of its message info.
    pub label: u32,
    /// Its words.
    pub words: &'a [usize],
    /// The capabilities that came with it, in their order.
    pub capabilities: &'a [Arrived],
    /// Where the last of them was put that is not the service's, in the manager's CSpace.
    pub foreign: CPtr,
}

/// What a server does with a program's thread before it answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Act {
    /// It runs for the first time. If that is refused, [`Objects::start_refused`] follows.
    ///
    /// [`Objects::start_refused`]: super::Objects::start_refused
    Start {
        /// The program.
        program: ProgramId,
        /// Its registers.
        start: Start,
        /// What it is called with.
        argument: usize,
        /// Its priority.
        priority: u8,
    },
    /// What is signalled to a notification is received by it where it waits at an endpoint. If that
    /// is refused, so is the request: [`Objects::note_bound`] says with what.
    ///
    /// [`Objects::note_bound`]: super::Objects::note_bound
    Bind {
        /// Its thread control block.
        tcb: CPtr,
        /// A capability that somebody says is to a notification.
        notification: CPtr,
        /// The place at which it came.
        place: u32,
    },
    /// The same no more. It is no mistake if there is no such notification any longer.
    Unbind {
        /// Its thread control block.
        tcb: CPtr,
    },
    /// Its registers are the answer to the request.
    ReadRegisters {
        /// Its thread control block.
        tcb: CPtr,
    },
    /// It has these registers from now on.
    WriteRegisters {
        /// Its thread control block.
        tcb: CPtr,
        /// Its registers.
        registers: Registers,
    },
    /// It goes on where a fault suspended it.
    Resume {
        /// Its thread control block.
        tcb: CPtr,
        /// What the manager knows it by.
        thread: ThreadId,
    },
}

/// What became of the touch of a page of a memory object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Touched {
    /// The page is there: the thread is to be answered.
    Done,
    /// A pager is to supply it first, or there is no memory for it now: the thread with this
    /// control block is to be suspended, and not answered.
    /// [`Objects::next_thread`](super::Objects::next_thread) says when it goes on.
    Waits(CPtr),
    /// The thread waits for a page already, so this is a message that somebody made: it is not
    /// answered, unless its sender is held.
    Forged,
    /// It is a fault that cannot be resolved.
    Fault,
}

/// A fault that cannot be resolved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Its kind.
    pub kind: FaultKind,
    /// What it says beside: see [`FaultKind`].
    pub code: u32,
    /// The address that was touched, or of the instruction.
    pub address: usize,
    /// The address of the instruction.
    pub instruction: usize,
}

/// What a fault is to a thread that was to be suspended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stopped {
    /// A fault as any other: it was not.
    No,
    /// It stays where it is: it is not to be answered.
    Here,
    /// It has stopped before, so this is a message that somebody made.
    Forged,
    /// It was, and is not any more: it is to be answered, and repeats its instruction.
    Repeats,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    /// What to answer; without it, do not answer: the sender is gone, or was never there.
    pub answer: Option<Message>,
    /// The slot in which the right to answer is to be kept (`CNode_SaveCaller`), if the request
    /// waits: [`Objects::next_answer`](super::Objects::next_answer) answers it. Where the program
    /// had its turn by it, [`Objects::hold_kept`](super::Objects::hold_kept) is to follow.
    pub waits: Option<CPtr>,
    /// Whether the sender's thread is none any more: nobody is to be held for this message.
    pub ends: bool,
    /// What a server may want to know of.
    pub event: Option<Event>,
    /// What it does before it answers.
    pub act: Option<Act>,
    /// The service keeps the capability that came and is not its own, with the slot it came into:
    /// the next one is to come into this slot, which is empty.
    pub foreign: Option<CPtr>,
}

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A program has a line for people.
    Said(ProgramId, Line),
    /// A program of this name has ended itself, with this code.
    Exited(ProgramId, Name, u32),
    /// The same of a program that another one made: its holder is told.
    ChildExited(Name, u32),
}
