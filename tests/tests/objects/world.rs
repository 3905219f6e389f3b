// SPDX-License-Identifier: BSD-2-Clause
//! A service with programs, and how tests ask things of it as those programs would: by the slots of
//! their CNodes.

use untyped_alloc::kernel::{CPtr, CapPath, Kernel, Rights as CapRights};
use vmm::{Access, Blueprint, PageFault, Resolution};
use vmm_service::Start;
use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, AccountOptions, Amounts, Answer, CNODE_BITS, FIRST_FREE_SLOT, MemoryOptions,
    Message, PROGRAM_SLOT, Refusal, Request, Resource, Rights, SPACE_SLOT, answer_or_refusal,
};
use vmm_service::objects::{
    Act, Arrived, Incoming, NewProgram, Objects, Outcome, ProgramId, Touched,
};
use vmm_tests::model::Cap;

use crate::objects_ops::{arrive, program};
use crate::support::{Fixture, Machine, Target};

pub const PAGE: usize = 4096;
/// Slots for what tests make.
pub const A: u32 = FIRST_FREE_SLOT;
pub const B: u32 = A + 1;
pub const C: u32 = A + 2;
pub const D: u32 = A + 3;

/// What a program has that nothing here reaches.
pub const AMPLE: Amounts = Amounts([400, 60, 1000, 20, 10, 100, 300, 0]);

/// A program, as a test sees it.
#[derive(Clone, Copy)]
pub struct Program {
    pub id: ProgramId,
    /// Its CNode, in the manager's CSpace.
    pub cnode: CPtr,
    /// The logarithm of the number of its slots.
    pub cnode_bits: u8,
    pub start: Start,
}

impl Program {
    /// A slot of its CNode.
    pub fn slot(&self, slot: u32) -> CapPath {
        CapPath { root: self.cnode, index: slot as usize, depth: self.cnode_bits }
    }
}

/// Steps after which notices are taken while the rest of what ended is done.
const MANY: usize = 1000;

pub struct World {
    pub fixture: Fixture<'static>,
    pub objects: Objects<'static>,
    pub endpoint: CPtr,
    /// Where a capability comes that is not the service's.
    pub foreign: CPtr,
    /// What the last request has the server do.
    pub act: Option<Act>,
    /// What was told while what is left of something was done.
    pub told: usize,
}

impl World {
    pub fn new() -> World {
        World::on(Target::Ia32)
    }

    pub fn on(target: Target) -> World {
        World::of(target, Amounts([5000, 1000, 20_000, 500, 200, 4000, 10_000, 0]))
    }

    /// A world whose programs may use so much together.
    pub fn of(target: Target, amounts: Amounts) -> World {
        World::booted(Machine::roomy(target), amounts)
    }

    /// The same, on a machine of another kind.
    pub fn booted(machine: Machine, amounts: Amounts) -> World {
        let mut fixture = Fixture::new(machine);
        let endpoint = fixture.vmm.allocate(Blueprint::Endpoint).unwrap().slot();
        let objects = Objects::new(&mut fixture.vmm, endpoint, amounts).unwrap();
        let foreign = fixture.vmm.alloc_slots(1).unwrap();
        World { fixture, objects, endpoint, foreign, act: None, told: 0 }
    }

    /// A world with one program.
    pub fn one() -> (World, Program) {
        let mut world = World::new();
        let program = world.program(AMPLE);
        (world, program)
    }

    pub fn program(&mut self, amounts: Amounts) -> Program {
        self.program_of(amounts, (true, false))
    }

    /// A program that may have memory at physical addresses, and be told those of pages.
    pub fn driver(&mut self, amounts: Amounts) -> Program {
        self.program_of(amounts, (true, true))
    }

    /// A program with a console, or without.
    pub fn program_with(&mut self, amounts: Amounts, console: bool) -> Program {
        self.program_of(amounts, (console, false))
    }

    fn program_of(&mut self, amounts: Amounts, (console, physical): (bool, bool)) -> Program {
        self.program_as(NewProgram { console, physical, ..NewProgram::new("test", &[], amounts) })
    }

    /// A program as is said, with a file of its own.
    pub fn program_as(&mut self, new: NewProgram<'_>) -> Program {
        let new = NewProgram { file: program(self.fixture.target()), stack_pages: 2, ..new };
        let (id, start) = self.objects.create_program(&mut self.fixture.vmm, &new).unwrap();
        self.fixture.spaces.push(id.space());
        let cnode = self.cnode_of(start.tcb);
        self.check();
        Program { id, cnode, cnode_bits: CNODE_BITS, start }
    }

    /// The capability to the CNode that is mounted in a thread's CSpace: its own first level is
    /// found by following the thread's root.
    pub fn cnode_of(&self, tcb: CPtr) -> CPtr {
        let kernel = self.fixture.kernel();
        let Cap::CNode { base, .. } = kernel.tcb(tcb).unwrap().cspace else { panic!() };
        let find = |base: usize| {
            let is = |&at: &CPtr| matches!(kernel.cap(at), Cap::CNode { base: found, .. } if found == base);
            (0..65536).map(CPtr::new).find(is).unwrap()
        };
        let root = CapPath { root: find(base), index: 0, depth: 4 };
        let Some(Cap::CNode { base, guard_bits, guard: 0, radix }) = kernel.cap_at(root) else {
            panic!("no CNode is mounted")
        };
        let word_bits = 8 * self.fixture.target().word_bytes();
        assert_eq!(
            usize::from(guard_bits + radix),
            word_bits - 4,
            "it resolves the rest of a pointer"
        );
        find(base)
    }

    /// What arrives of capabilities in these slots of a program.
    pub fn arrive(&self, program: Program, slots: &[u32]) -> Vec<Arrived> {
        arrive(&self.fixture, self.endpoint, slots.iter().map(|&slot| program.slot(slot)))
    }

    pub fn send(&mut self, badge: usize, message: &Message, capabilities: &[Arrived]) -> Outcome {
        let (label, words) = (message.label(), message.words());
        let message = Incoming { badge, label, words, capabilities, foreign: self.foreign };
        let outcome = self.objects.handle(&mut self.fixture.vmm, &message);
        outcome.waits.into_iter().for_each(|slot| self.save_caller(slot));
        self.foreign = outcome.foreign.unwrap_or(self.foreign);
        outcome
    }

    /// What a server does with the right to answer who waits: there is something in the slot.
    pub fn save_caller(&mut self, slot: CPtr) {
        let allocator = self.fixture.vmm.allocator();
        let (to, from) = (allocator.path(slot), allocator.path(self.endpoint));
        self.fixture.kernel().transfer(to, Some(from)).expect("there is one slot for it");
    }

    /// The kernel takes the right away with the thread that was to be answered.
    pub fn caller_ends(&mut self, slot: CPtr) {
        let path = self.fixture.vmm.allocator().path(slot);
        self.fixture.kernel().transfer(path, None).expect("it is a slot");
    }

    /// Sends a message as a program, with the capabilities in these slots.
    #[track_caller]
    pub fn ask(
        &mut self,
        program: Program,
        request: Request,
        slots: &[u32],
    ) -> Result<Answer, Refusal> {
        let answer = self.ask_quickly(program, request, slots);
        self.check();
        answer
    }

    /// The same, where all is checked later.
    pub fn ask_quickly(
        &mut self,
        program: Program,
        request: Request,
        slots: &[u32],
    ) -> Result<Answer, Refusal> {
        let [Arrived::Own(badge)] = self.arrive(program, &[PROGRAM_SLOT])[..] else { panic!() };
        let arrived = self.arrive(program, slots);
        self.receive_foreign(program, &arrived, slots);
        let outcome = self.send(badge, &request.encode(), &arrived);
        self.act = outcome.act;
        let answer = outcome.answer.expect("a program that lives is answered");
        answer_or_refusal(answer.label(), answer.words()).expect("a sound answer")
    }

    /// Sends a request whose answer may be kept. Returns the slot that keeps the right to give it, or
    /// the answer.
    pub fn ask_to_wait(
        &mut self,
        program: Program,
        request: Request,
        slots: &[u32],
    ) -> Result<CPtr, Box<Result<Answer, Refusal>>> {
        let [Arrived::Own(badge)] = self.arrive(program, &[PROGRAM_SLOT])[..] else { panic!() };
        let arrived = self.arrive(program, slots);
        let outcome = self.send(badge, &request.encode(), &arrived);
        self.check();
        match (outcome.waits, outcome.answer) {
            (Some(slot), None) => Ok(slot),
            (None, Some(answer)) => {
                Err(Box::new(answer_or_refusal(answer.label(), answer.words()).unwrap()))
            }
            other => panic!("{other:?}"),
        }
    }

    /// What the kernel does with a capability that is not the service's, and a server with the one
    /// before.
    fn receive_foreign(&mut self, program: Program, arrived: &[Arrived], slots: &[u32]) {
        let into = self.fixture.vmm.allocator().path(self.foreign);
        let place = arrived.iter().position(|one| *one == Arrived::Foreign);
        let from = place.map(|place| program.slot(slots[place]));
        self.fixture.kernel().transfer(into, from).expect("there is one slot for it");
    }

    /// Asks until all is done.
    #[track_caller]
    pub fn finish(&mut self, program: Program, request: Request, slots: &[u32]) {
        while self.ask(program, request, slots) == Ok(Answer::More {}) {
            self.told += std::iter::from_fn(|| self.objects.next_notice()).count();
        }
    }

    /// A request that is refused, with everything as it was.
    #[track_caller]
    pub fn refused(&mut self, program: Program, request: Request, slots: &[u32], why: Refusal) {
        let before = self.figures();
        assert_eq!(self.ask(program, request, slots), Err(why), "{request:?}");
        assert_eq!(self.figures(), before, "{request:?} changed something");
    }

    /// What a refused request must leave as it is: records, amounts, memory, slots.
    pub fn figures(&mut self) -> impl PartialEq + Clone + core::fmt::Debug + use<> {
        self.fixture.vmm.trim().unwrap();
        let stats = self.fixture.vmm.stats();
        let amounts = self.objects.amounts();
        // A small kernel object that ends may leave its place to the next of its batch.
        let pages = stats.free_bytes().div_ceil(PAGE);
        (self.objects.counts(), amounts, pages, stats.allocator.free_slots)
    }

    /// I24 I26 I27 I28 I30 I32 I36 I37 I38 I39 I40 I42 I43 I44 I45 I51 I52 I65 I75 I76, beside all that
    /// must hold of manager and kernel.
    #[track_caller]
    pub fn check(&self) {
        self.fixture.check();
        if let Err(violation) = self.objects.validate(&self.fixture.vmm) {
            panic!("{violation:?}");
        }
    }

    /// Does all that is left of what ended.
    #[track_caller]
    pub fn reap(&mut self) {
        let mut steps = 0;
        while self.objects.reap_step(&mut self.fixture.vmm).unwrap() {
            steps += 1;
            if steps % MANY == 0 {
                // What is due is told before its record goes.
                self.told += std::iter::from_fn(|| self.objects.next_notice()).count();
            }
            self.objects.validate(&self.fixture.vmm).unwrap();
            while self.objects.next_answer(&mut self.fixture.vmm).is_some() {}
        }
        let gone = |space: &vmm::SpaceId| self.fixture.vmm.vspace(*space).is_ok();
        self.fixture.spaces.retain(gone);
        self.check();
    }

    /// A memory object of a program, with the capability in `slot`.
    #[track_caller]
    pub fn memory(&mut self, program: Program, pages: u32, slot: u32) {
        let request = Request::CreateMemory { pages, options: MemoryOptions::WRITABLE, slot };
        assert_eq!(self.ask(program, request, &[ACCOUNT_SLOT]), Ok(Answer::Done {}));
    }

    /// Maps all of a memory object in a program's own space; returns where.
    #[track_caller]
    pub fn map(&mut self, program: Program, memory: u32, pages: u32, rights: Rights) -> usize {
        let request = Request::Map { address: 0, first: 0, pages, rights };
        match self.ask(program, request, &[SPACE_SLOT, memory, ACCOUNT_SLOT]) {
            Ok(Answer::Mapped { address }) => address,
            other => panic!("{other:?}"),
        }
    }

    /// What of an account is used.
    #[track_caller]
    pub fn used(&mut self, program: Program, slot: u32) -> Amounts {
        match self.ask(program, Request::Info {}, &[slot]) {
            Ok(Answer::Account { used, .. }) => used,
            other => panic!("{other:?}"),
        }
    }

    /// A touch of a page by a program's thread: what the processor, the manager and then the
    /// service make of it. Returns whether the thread goes on.
    pub fn touch(&mut self, program: Program, address: usize, access: Access) -> bool {
        match self.touch_or_wait(program, address, access) {
            Touched::Done => true,
            Touched::Fault | Touched::Forged => false,
            Touched::Waits(_) => panic!("nobody supplies the page at {address:#x}"),
        }
    }

    /// The same, of what may be paged memory.
    pub fn touch_or_wait(&mut self, program: Program, address: usize, access: Access) -> Touched {
        let space = program.id.space();
        let wanted = if access == Access::Write { CapRights::WRITE } else { CapRights::READ };
        for _ in 0..2 {
            let vspace = self.fixture.vmm.vspace(space).unwrap();
            let found = self.fixture.kernel().mapping(vspace, address);
            if found.as_ref().is_some_and(|found| found.rights.contains(wanted)) {
                return Touched::Done;
            }
            let fault = PageFault { address, access, present: found.is_some(), ip: 0 };
            self.objects.note_fault(Some(space), None);
            let vmm = &mut self.fixture.vmm;
            let (touched, write) = match (vmm.resolve_fault(space, &fault), access) {
                (Ok(Resolution::Resolved(_)), _) => continue,
                (Ok(Resolution::AskPager { token, page }), _) => {
                    let write = access == Access::Write;
                    let touched = self.objects.touch(vmm, (token, page), write);
                    (touched.unwrap_or(Touched::Fault), false)
                }
                (Ok(Resolution::Unresolved(_)), Access::Write) => {
                    (self.objects.touch_to_write(vmm, address).unwrap(), true)
                }
                _ => return Touched::Fault,
            };
            self.check();
            if touched != Touched::Done {
                return touched;
            }
            assert!(!write || self.fixture.vmm.mapping_at(space, address).unwrap().is_some());
        }
        panic!("a fault at {address:#x} was resolved and comes again");
    }

    /// Whether a slot of a program's is empty.
    pub fn is_empty(&self, program: Program, slot: u32) -> bool {
        self.fixture.kernel().cap_at(program.slot(slot)) == Some(Cap::Null)
    }

    /// What a program does to its own CNode: a copy from one slot to another, of any program.
    #[track_caller]
    pub fn copy(&mut self, (from, at): (Program, u32), (to, slot): (Program, u32)) {
        if from.id != to.id {
            // Between programs capabilities go by an endpoint that both were given.
            for program in [from, to] {
                let place = ((1 << program.cnode_bits) - 1, self.endpoint);
                let vmm = &mut self.fixture.vmm;
                // One may have it already.
                let _ = self.objects.give_capability(vmm, program.id, place, CapRights::WRITE);
            }
        }
        let kernel = self.fixture.vmm.kernel_mut();
        kernel.cnode_copy(to.slot(slot), from.slot(at), CapRights::all()).unwrap();
    }

    /// The same: it empties a slot.
    #[track_caller]
    pub fn delete(&mut self, program: Program, slot: u32) {
        self.fixture.vmm.kernel_mut().cnode_delete(program.slot(slot)).unwrap();
    }
}

/// A request for an account.
pub fn account(amounts: Amounts, options: AccountOptions, slot: u32) -> Request {
    Request::CreateAccount { amounts, options, slot }
}

/// An amount of one resource.
pub fn only(resource: Resource, amount: u32) -> Amounts {
    Amounts::NONE.with(resource, amount)
}
