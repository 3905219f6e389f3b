// SPDX-License-Identifier: BSD-2-Clause
//! Programs that programs ask for: made, loaded from memory objects, given capabilities, started,
//! ended, and told of.

use vmm::Access;
use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, Amounts, Answer, CNODE_BITS, CONSOLE_SLOT, Kind, MAX_PAGES, Name, PROGRAM_SLOT,
    ProgramOptions, Refusal, Request, Resource, Rights, SPACE_SLOT, State,
};
use vmm_service::objects::{Act, Arrived};
use vmm_tests::model::Cap;

use crate::elf::{Elf, Segment, small};
use crate::support::Target;
use crate::world::{A, AMPLE, B, C, D, PAGE, Program, World, account};

/// What a child may use, and the slots of its maker's for it: itself, its space, its file.
pub const CHILD: Amounts = Amounts([60, 30, 150, 8, 3, 20, 40, 0]);
pub const IT: u32 = A;
pub const ITS_SPACE: u32 = B;
pub const FILE: u32 = C;
pub const PAYER: &[u32] = &[ACCOUNT_SLOT];
const PRIORITY: u8 = 90;
/// Machines whose words a host's programs have.
const TARGETS: &[Target] = &[
    Target::Ia32,
    #[cfg(target_pointer_width = "64")]
    Target::X86_64,
];

pub fn create(amounts: Amounts) -> Request {
    let (options, name) = (ProgramOptions::empty(), Name::new("child"));
    Request::CreateProgram { amounts, options, name, slot: IT, space: ITS_SPACE, account: 0 }
}

pub fn start(priority: u8) -> Request {
    Request::Start { argument: 7, stack: 2, priority: priority.into() }
}

/// A world with a program that runs, and has memory with this file.
pub fn with_file(file: &[u8]) -> (World, Program) {
    let (mut world, maker) = World::one();
    world.objects.note_started(&maker.start, PRIORITY);
    world.store(maker, FILE, file);
    (world, maker)
}

impl World {
    /// Memory of a program's with these bytes, mapped nowhere.
    pub fn store(&mut self, program: Program, slot: u32, bytes: &[u8]) {
        let pages = bytes.len().div_ceil(PAGE) as u32;
        self.memory(program, pages, slot);
        let start = self.map(program, slot, pages, Rights::READ_WRITE);
        for page in 0..pages as usize {
            assert!(self.touch(program, start + page * PAGE, Access::Write));
        }
        self.fixture.vmm.write(program.id.space(), start, bytes).unwrap();
        self.finish(program, Request::Unmap { address: start }, &[SPACE_SLOT]);
    }

    /// What there is to say of a child.
    #[track_caller]
    pub fn state(&mut self, maker: Program) -> State {
        match self.ask(maker, Request::Info {}, &[IT]) {
            Ok(Answer::Program { state, .. }) => state,
            other => panic!("{other:?}"),
        }
    }

    /// Starts a child, as a server does; returns it as a program that asks.
    #[track_caller]
    pub fn start(&mut self, maker: Program) -> Program {
        assert_eq!(self.ask(maker, start(PRIORITY), &[IT]), Ok(Answer::Done {}));
        let Some(Act::Start { program: id, start, argument: 7, priority }) = self.act else {
            panic!("{:?}", self.act)
        };
        assert_eq!(priority, PRIORITY);
        self.objects.note_started(&start, priority);
        Program { id, cnode: self.cnode_of(start.tcb), cnode_bits: CNODE_BITS, start }
    }

    /// A child that runs.
    #[track_caller]
    pub fn child(&mut self, maker: Program) -> Program {
        assert_eq!(self.ask(maker, create(CHILD), PAYER), Ok(Answer::Done {}));
        self.finish(maker, Request::Load {}, &[IT, FILE]);
        assert_eq!(self.state(maker), State::Loaded);
        self.start(maker)
    }

    /// What the thread of a program reads at an address.
    #[track_caller]
    pub fn bytes_at<const COUNT: usize>(
        &mut self,
        program: Program,
        address: usize,
    ) -> [u8; COUNT] {
        assert!(self.touch(program, address, Access::Read), "{address:#x}");
        let vspace = self.fixture.vmm.vspace(program.id.space()).unwrap();
        let mut bytes = [0; COUNT];
        self.fixture.kernel().read(vspace, address, &mut bytes).unwrap();
        bytes
    }

    /// Sends a request that is not answered.
    pub fn tell(&mut self, program: Program, request: Request) {
        let [Arrived::Own(badge)] = self.arrive(program, &[PROGRAM_SLOT])[..] else { panic!() };
        let outcome = self.send(badge, &request.encode(), &[]);
        assert_eq!(outcome.answer, None);
    }

    /// All that is to be told: how many, after all that is left is done.
    pub fn notices(&mut self) -> usize {
        self.reap();
        std::mem::take(&mut self.told) + std::iter::from_fn(|| self.objects.next_notice()).count()
    }
}

/// A192
#[test]
fn a_program_is_made_of_a_memory_object_and_runs() {
    for &target in TARGETS {
        let image = Elf::of(target, 0x40_0100)
            .with(Segment::constants(0x40_0000, vec![3; 0x80]))
            .with(Segment::code(0x40_1000, vec![5; PAGE + 20]))
            .with(Segment::data(0x40_3ff0, vec![7; 40]).in_memory(3 * PAGE))
            .entry(0x40_1004);
        let mut world = World::on(target);
        let maker = world.program(AMPLE);
        world.objects.note_started(&maker.start, PRIORITY);
        world.store(maker, FILE, &image.bytes());
        let child = world.child(maker);
        assert_eq!(child.start.entry, 0x40_1004);
        assert_eq!(world.state(maker), State::Running);
        assert_eq!(world.bytes_at(child, 0x40_0000), [3; 4]);
        assert_eq!(world.bytes_at(child, 0x40_1000), [5; 4]);
        assert_eq!(world.bytes_at(child, 0x40_2010), [5; 4]);
        assert_eq!(world.bytes_at(child, 0x40_3fef), [0, 7, 7]);
        assert_eq!(world.bytes_at(child, 0x40_4017), [7, 0, 0]);
        assert_eq!(world.bytes_at(child, 0x40_5000), [0; 8]);
        // What is run is the file's own page; what is written is not.
        assert!(!world.touch(child, 0x40_1000, Access::Write));
        assert!(world.touch(child, 0x40_3ff0, Access::Write));
        world.fixture.vmm.write(child.id.space(), 0x40_3ff0, &[9; 8]).unwrap();
        let start = world.map(maker, FILE, 4, Rights::READ);
        for page in 0..4 {
            let [first] = world.bytes_at(maker, start + page * PAGE);
            assert_ne!(first, 9);
        }
        // It asks as itself, with its own account.
        world.memory(child, 3, A);
        assert_eq!(world.used(child, ACCOUNT_SLOT).of(Resource::Spaces), 1);
        assert!(matches!(
            world.ask(child, Request::Info {}, &[PROGRAM_SLOT]),
            Ok(Answer::Program { rights: Rights::ACT, state: State::Running, .. })
        ));
    }
}

/// A298: where there is room for it.
#[test]
fn a_small_program_lies_below_one_page_table() {
    for &target in TARGETS {
        let mut world = World::on(target);
        let maker = world.program(AMPLE);
        world.objects.note_started(&maker.start, PRIORITY);
        let image = Elf::of(target, 0x40_0100).with(Segment::code(0x40_1000, vec![5; 20]));
        world.store(maker, FILE, &image.entry(0x40_1004).bytes());
        let child = world.child(maker);
        let deepest = 1 << target.large_bits();
        let table = child.start.entry / deepest;
        assert_eq!((child.start.stack_top - 1) / deepest, table);
        assert_eq!(child.start.ipc_buffer / deepest, table);
        let levels = world.fixture.vmm.geometry().levels.len() - 1;
        assert_eq!(world.fixture.vmm.usage(child.id.space()).unwrap().tables, levels);
        // What it maps itself lies where it always did.
        world.memory(child, 1, A);
        assert_eq!(world.map(child, A, 1, Rights::READ), PAGE);
    }
}

/// A299: all of a stack is charged, and the highest page is there, with which a thread begins.
#[test]
fn a_stack_is_there_where_it_is_touched() {
    let (mut world, maker) = with_file(&small());
    assert_eq!(world.ask(maker, create(CHILD), PAYER), Ok(Answer::Done {}));
    world.finish(maker, Request::Load {}, &[IT, FILE]);
    let used = |world: &World| world.objects.amounts().1.of(Resource::Pages);
    let (before, frames) = (used(&world), world.fixture.vmm.stats().free_bytes());
    let stack = 20;
    let request = Request::Start { argument: 7, stack, priority: PRIORITY.into() };
    assert_eq!(world.ask(maker, request, &[IT]), Ok(Answer::Done {}));
    let Some(Act::Start { program: id, start, priority, .. }) = world.act else { panic!() };
    world.objects.note_started(&start, priority);
    let child = Program { id, cnode: world.cnode_of(start.tcb), cnode_bits: CNODE_BITS, start };
    // Its account is charged, which has a part of its maker's from the start.
    assert_eq!(used(&world), before);
    let of_child = world.fixture.vmm.usage(id.space()).unwrap().frames;
    assert!(frames - world.fixture.vmm.stats().free_bytes() < 5 * PAGE);
    assert!(world.used(child, ACCOUNT_SLOT).of(Resource::Pages) > stack);
    let page = |number: usize| start.stack_top - number * PAGE;
    let is_there = |world: &World, number| {
        world.fixture.vmm.mapping_at(id.space(), page(number)).unwrap().is_some()
    };
    assert!(is_there(&world, 1) && !is_there(&world, 2));
    assert!(world.touch(child, page(20), Access::Write));
    assert!(world.touch(child, page(2), Access::Write));
    assert!((1..=20).all(|number| is_there(&world, number)));
    assert_eq!(world.fixture.vmm.usage(id.space()).unwrap().frames, of_child + 19);
    // Below it nothing is ever there.
    assert!(!world.touch(child, page(21), Access::Write));
    world.finish(maker, Request::Destroy {}, &[IT]);
    world.reap();
    assert_eq!(used(&world), before);
}

/// A192: the first pages that are mapped of the file are there before it begins, and no more than
/// 16 of them; what was mapped ahead is charged as what is touched.
#[test]
fn the_first_pages_of_the_file_are_mapped_when_it_is_loaded() {
    let image = Elf::of(Target::Ia32, 0x40_0000)
        .with(Segment::constants(0x40_0000, vec![3; 3 * PAGE]))
        .with(Segment::code(0x40_3000, vec![5; 20 * PAGE]))
        .entry(0x40_3004);
    let (mut world, maker) = with_file(&image.bytes());
    let child = world.child(maker);
    let vmm = &world.fixture.vmm;
    let there =
        |page: usize| vmm.mapping_at(child.id.space(), 0x40_0000 + page * PAGE).unwrap().is_some();
    assert!((0..23).all(|page| there(page) == (page < 16)));
    let before = world.used(child, ACCOUNT_SLOT);
    for page in 0..23 {
        let [first] = world.bytes_at(child, 0x40_0000 + page * PAGE);
        assert_eq!(first, if page < 3 { 3 } else { 5 });
    }
    assert_eq!(world.used(child, ACCOUNT_SLOT), before);
    world.finish(maker, Request::Destroy {}, &[IT]);
    world.reap();
}

/// A230
#[test]
fn a_program_never_writes_to_the_file_that_it_is_of() {
    let (mut world, maker) = with_file(&small());
    let child = world.child(maker);
    let address = child.start.entry & !(PAGE - 1);
    assert!(world.touch(child, address, Access::Read));
    let (rights, beyond) = (Rights::READ_WRITE, Refusal::BeyondRights { asked: Rights::WRITE });
    let space = [SPACE_SLOT];
    world.refused(child, Request::Protect { address, pages: 1, rights }, &space, beyond);
    world.refused(child, Request::Move { address, pages: 1, to: 0, rights }, &space, beyond);
}

/// A192: its thread has local storage, which begins as the file says: where that is copied, and
/// where it is mapped.
#[test]
fn threads_of_a_loaded_program_have_local_storage() {
    for writable in [false, true] {
        let at = 0x40_2ff8;
        let holder = match writable {
            true => Segment::data(0x40_2000, [vec![0; 0xff8], b"variables".to_vec()].concat()),
            false => {
                Segment::constants(0x40_2000, [vec![0; 0xff8], b"variables".to_vec()].concat())
            }
        };
        let image = Elf::of(Target::Ia32, 0x40_0000)
            .with(Segment::code(0x40_0000, vec![5; 16]))
            .with(holder)
            .with(Segment::tls(at, b"variables".to_vec(), 8).in_memory(40));
        let (mut world, maker) = with_file(&image.bytes());
        let child = world.child(maker);
        let pointer = child.start.thread_pointer;
        // The variables lie below the thread pointer, the first aligned as it is in the program.
        let first = pointer - 40;
        assert_eq!(first % 8, at % 8);
        assert_eq!(&world.bytes_at::<12>(child, first), b"variables\0\0\0");
        assert_eq!(world.bytes_at::<4>(child, pointer), (pointer as u32).to_le_bytes());
    }
}

/// A193: it is told when all that it had is its maker's again.
#[test]
fn what_a_program_had_is_its_makers_again_when_its_end_is_told() {
    let (mut world, maker) = with_file(&small());
    let notification = Request::CreateNotification { object: D, slot: D + 1 };
    world.ask(maker, notification, PAYER).unwrap();
    let before = world.used(maker, ACCOUNT_SLOT);
    let child = world.child(maker);
    assert_eq!(world.ask(maker, Request::TellEnd {}, &[IT, D + 1]), Ok(Answer::Done {}));
    world.memory(child, 9, A);
    let start = world.map(child, A, 9, Rights::READ_WRITE);
    assert!(world.touch(child, start + 5 * PAGE, Access::Write));
    assert_eq!(world.notices(), 0);
    world.tell(child, Request::Exit { code: 42 });
    assert_eq!(world.state(maker), State::Exited);
    assert_eq!(world.objects.next_notice(), None, "it is not all given back");
    while world.objects.reap_step(&mut world.fixture.vmm).unwrap() {
        let gone = world.objects.next_notice().is_some();
        assert!(!gone || !world.objects.is_busy());
    }
    let notice = world.objects.next_notice();
    world.reap();
    let info = world.ask(maker, Request::Info {}, &[IT]);
    let Ok(Answer::Program { state: State::Exited, gone: true, code: 42, .. }) = info else {
        panic!("{info:?}")
    };
    // What is signalled is a copy of the capability that was given.
    let told = notice.expect("its end is told");
    let kernel = world.fixture.kernel();
    assert!(matches!(kernel.cap(told), Cap::Notification { .. }), "{:?}", kernel.cap(told));
    assert_eq!(kernel.cap_at(maker.slot(D + 1)), Some(kernel.cap(told)));
    drop(kernel);
    assert_eq!(world.notices(), 0, "it is told once");
    // Its object is left, and the capability to it.
    world.finish(maker, Request::Destroy {}, &[IT]);
    assert_eq!(world.used(maker, ACCOUNT_SLOT), before);
    // Who asks later is told at once.
    let child = world.child(maker);
    world.tell(child, Request::Exit { code: 0 });
    world.reap();
    assert_eq!(world.ask(maker, Request::TellEnd {}, &[IT, D + 1]), Ok(Answer::Done {}));
    assert_eq!(world.notices(), 1);
}

/// A301
#[test]
fn what_somebody_is_told_by_stays_where_it_came() {
    let (mut world, maker) = with_file(&small());
    let notification = Request::CreateNotification { object: D, slot: D + 1 };
    world.ask(maker, notification, PAYER).unwrap();
    world.child(maker);
    let first = world.foreign;
    for (calls, next) in [(0, None), (1, Some(first))] {
        let came = world.foreign;
        let before = world.fixture.vmm.kernel_calls().total();
        assert_eq!(world.ask(maker, Request::TellEnd {}, &[IT, D + 1]), Ok(Answer::Done {}));
        assert_eq!(world.fixture.vmm.kernel_calls().total() - before, calls);
        assert!(next.is_none_or(|next| next == world.foreign));
        let kernel = world.fixture.kernel();
        assert!(matches!(kernel.cap(came), Cap::Notification { .. }));
        assert_eq!(kernel.cap(world.foreign), Cap::Null);
    }
    world.finish(maker, Request::Destroy {}, &[IT]);
    world.reap();
    // What waits for one is told by it, of paged memory as well.
    let paged = Request::CreatePaged { pages: 1, most: 1, slot: IT };
    world.ask(maker, paged, PAYER).unwrap();
    let came = world.foreign;
    assert_eq!(world.ask(maker, Request::TellFaults {}, &[IT, D + 1]), Ok(Answer::Done {}));
    assert_ne!(world.foreign, came);
    assert!(matches!(world.fixture.kernel().cap(came), Cap::Notification { .. }));
    world.finish(maker, Request::Destroy {}, &[IT]);
    world.reap();
    assert_eq!(world.fixture.kernel().cap(came), Cap::Null, "its slot is empty again");
}

/// A194: what it takes of a program's state is there, or nothing changes.
#[test]
fn a_program_in_another_state_is_refused() {
    let (mut world, maker) = with_file(&small());
    world.ask(maker, create(CHILD), PAYER).unwrap();
    let wrong = |state| Refusal::WrongState { state };
    world.refused(maker, start(PRIORITY), &[IT], wrong(State::Empty));
    world.refused(maker, Request::Resume {}, &[IT], wrong(State::Empty));
    world.finish(maker, Request::Load {}, &[IT, FILE]);
    world.refused(maker, Request::Load {}, &[IT, FILE], wrong(State::Loaded));
    let too_high = Refusal::PriorityTooHigh { most: PRIORITY.into() };
    world.refused(maker, start(PRIORITY + 1), &[IT], too_high);
    let priority = 1 << 8 | u32::from(PRIORITY);
    let wide = Request::Start { argument: 0, stack: 1, priority };
    world.refused(maker, wide, &[IT], too_high);
    for stack in [0, MAX_PAGES + 1, u32::MAX] {
        let start = Request::Start { argument: 0, stack, priority: 1 };
        world.refused(maker, start, &[IT], Refusal::BadLength { pages: stack });
    }
    world.start(maker);
    world.refused(maker, start(PRIORITY), &[IT], wrong(State::Running));
    world.refused(maker, Request::Load {}, &[IT, FILE], wrong(State::Running));
    world.refused(maker, Request::Resume {}, &[IT], wrong(State::Running));
    world.finish(maker, Request::Kill {}, &[IT]);
    world.reap();
    for request in [start(PRIORITY), Request::Resume {}] {
        world.refused(maker, request, &[IT], wrong(State::Killed));
    }
    world.refused(maker, Request::Load {}, &[IT, FILE], wrong(State::Killed));
    let grant = Request::Grant { rights: Rights::READ, slot: A };
    world.refused(maker, grant, &[IT, FILE], wrong(State::Killed));
    // To end it once more is nothing.
    assert_eq!(world.ask(maker, Request::Kill {}, &[IT]), Ok(Answer::Done {}));
}

/// A196: a capability to a program lets its holder do what its rights say, and not ask as it.
#[test]
fn who_holds_a_program_does_not_act_as_it() {
    let (mut world, maker) = with_file(&small());
    let child = world.child(maker);
    let restrict = Request::Restrict { rights: Rights::empty(), slot: D };
    world.ask(maker, restrict, &[IT, ACCOUNT_SLOT]).unwrap();
    for slot in [IT, D] {
        let [Arrived::Own(badge)] = world.arrive(maker, &[slot])[..] else { panic!() };
        let outcome = world.send(badge, &Request::Exit { code: 1 }.encode(), &[]);
        assert_eq!((outcome.answer, outcome.event), (None, None));
        assert_eq!(world.state(maker), State::Running);
    }
    let act = Request::Restrict { rights: Rights::ACT, slot: D + 1 };
    let beyond = Refusal::BeyondRights { asked: Rights::ACT };
    world.refused(maker, act, &[IT, ACCOUNT_SLOT], beyond);
    let missing = |missing| Refusal::NoRight { place: 0, missing };
    world.refused(maker, Request::Kill {}, &[D], missing(Rights::DESTROY));
    world.refused(maker, start(1), &[D], missing(Rights::USE));
    // Nor can the child do anything with itself but ask.
    world.refused(child, Request::Kill {}, &[PROGRAM_SLOT], missing(Rights::DESTROY));
    world.refused(child, Request::Load {}, &[PROGRAM_SLOT, PROGRAM_SLOT], missing(Rights::USE));
}

/// A197: what a program is given it has with these rights, until the giver takes it back.
#[test]
fn capabilities_are_given_and_taken_back() {
    let (mut world, maker) = with_file(&small());
    let child = world.child(maker);
    world.memory(maker, 2, D);
    let rights = Rights::READ;
    let grant = |rights, slot| Request::Grant { rights, slot };
    world.ask(maker, grant(rights, A), &[IT, D]).unwrap();
    world.refused(maker, grant(rights, A), &[IT, D], Refusal::SlotOccupied { slot: A });
    world.refused(maker, grant(rights, 512), &[IT, D], Refusal::BadSlot { slot: 512 });
    let physical = Refusal::BeyondRights { asked: Rights::PHYSICAL };
    world.refused(maker, grant(Rights::PHYSICAL, B), &[IT, D], physical);
    let start = world.map(child, A, 2, Rights::READ);
    assert!(world.touch(child, start, Access::Read));
    // The console, if the maker has one.
    world.ask(maker, grant(Rights::WRITE, CONSOLE_SLOT), &[IT, CONSOLE_SLOT]).unwrap();
    // One that is not the service's, and not the other way round.
    let endpoint = Request::CreateEndpoint { object: D + 1, slot: D + 2 };
    world.ask(maker, endpoint, PAYER).unwrap();
    world.ask(maker, Request::GrantKernel { slot: B }, &[IT, D + 2]).unwrap();
    let has = |world: &World, at| world.fixture.kernel().cap_at(at);
    assert_eq!(has(&world, child.slot(B)), has(&world, maker.slot(D + 2)));
    let kernel = Request::GrantKernel { slot: C };
    world.refused(maker, kernel, &[IT, D], Refusal::OwnCapability { place: 1 });
    world.refused(maker, kernel, &[IT], Refusal::NoCapability { place: 1 });
    world.refused(maker, grant(rights, C), &[IT, D + 2], Refusal::ForeignCapability { place: 1 });
    let occupied = Refusal::SlotOccupied { slot: B };
    world.refused(maker, Request::GrantKernel { slot: B }, &[IT, D + 2], occupied);
    world.finish(maker, Request::Revoke { slot: 0 }, &[D]);
    assert!(world.is_empty(child, A));
    assert!(!world.touch(child, start, Access::Read));
}

/// A198: who destroys a program, or an account that pays for some, ends all of them, with what they
/// made; and all is there again.
#[test]
fn programs_end_with_what_pays_for_them() {
    for destroys_account in [false, true] {
        let (mut world, maker) = World::one();
        world.objects.note_started(&maker.start, PRIORITY);
        let before = (world.used(maker, ACCOUNT_SLOT), world.objects.counts());
        world.store(maker, FILE, &small());
        let amounts = Amounts([200, 54, 600, 16, 8, 60, 150, 0]);
        world.ask(maker, account(amounts, Default::default(), D), PAYER).unwrap();
        let large = Amounts([150, 44, 450, 14, 6, 45, 100, 0]);
        world.ask(maker, create(large), &[D]).unwrap();
        world.finish(maker, Request::Load {}, &[IT, FILE]);
        let child = world.start(maker);
        // A grandchild, of a copy of the file.
        world.ask(maker, Request::Grant { rights: Rights::READ, slot: FILE }, &[IT, FILE]).unwrap();
        let grandchild = world.child(child);
        world.memory(grandchild, 3, A);
        let start = world.map(grandchild, A, 3, Rights::READ_WRITE);
        assert!(world.touch(grandchild, start, Access::Write));
        match destroys_account {
            true => world.finish(maker, Request::Destroy {}, &[D]),
            false => {
                world.finish(maker, Request::Destroy {}, &[IT]);
                assert!(world.is_empty(maker, ITS_SPACE));
                world.finish(maker, Request::Destroy {}, &[D]);
            }
        }
        for program in [child, grandchild] {
            assert_eq!(world.objects.program_in(program.id.space()), None);
        }
        world.finish(maker, Request::Destroy {}, &[FILE]);
        world.reap();
        let after = (world.used(maker, ACCOUNT_SLOT), world.objects.counts());
        assert_eq!(after, before);
    }
}

/// A198: a program that destroys what pays for itself has no answer, and ends.
#[test]
fn a_program_can_end_itself_by_its_account() {
    let (mut world, maker) = with_file(&small());
    let amounts = Amounts([200, 54, 600, 16, 8, 60, 150, 0]);
    world.ask(maker, account(amounts, Default::default(), D), PAYER).unwrap();
    world.ask(maker, create(CHILD), &[D]).unwrap();
    world.finish(maker, Request::Load {}, &[IT, FILE]);
    let child = world.start(maker);
    world.ask(maker, Request::Grant { rights: Rights::DESTROY, slot: A }, &[IT, D]).unwrap();
    let [Arrived::Own(badge)] = world.arrive(child, &[PROGRAM_SLOT])[..] else { panic!() };
    let arrived = world.arrive(child, &[A]);
    let outcome = world.send(badge, &Request::Destroy {}.encode(), &arrived);
    assert_eq!(outcome.answer, None);
    world.reap();
    assert!(world.is_empty(maker, IT) && world.is_empty(maker, D));
}

/// A192: what the child's own account does not have is refused when it is made, and leaves nothing.
#[test]
fn a_program_that_its_amounts_do_not_pay_is_refused() {
    let (mut world, maker) = with_file(&small());
    for resource in Resource::ALL {
        // Page tables are charged as it is loaded, and of large pages it wants none.
        if matches!(resource, Resource::Tables | Resource::LargePages) {
            continue;
        }
        let request = create(CHILD.with(resource, 0));
        let before = world.figures();
        let refusal = world.ask(maker, request, PAYER).unwrap_err();
        let Refusal::OutOfAccount { resource: short, .. } = refusal else { panic!("{refusal:?}") };
        assert_eq!(short, resource);
        world.reap();
        assert_eq!(world.figures(), before);
        assert!(world.is_empty(maker, IT) && world.is_empty(maker, ITS_SPACE));
    }
    let same = Request::CreateProgram {
        amounts: CHILD,
        options: ProgramOptions::empty(),
        name: Name::new("child"),
        slot: IT,
        space: 0,
        account: IT,
    };
    world.refused(maker, same, PAYER, Refusal::SlotOccupied { slot: IT });
    let found = Kind::Account;
    let kind = Refusal::WrongKind { place: 0, found };
    world.refused(maker, Request::Load {}, &[ACCOUNT_SLOT, FILE], kind);
}
