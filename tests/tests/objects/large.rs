// SPDX-License-Identifier: BSD-2-Clause
//! Memory objects of large pages, of those that were set aside when the service started.

use untyped_alloc::kernel::CPtr;
use vmm::Access;
use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, AccountOptions, Amounts, Answer, MAX_PAGES, Malformed, MemoryOptions, Piece,
    Refusal, Request, Resource, Rights, SPACE_SLOT, Supply,
};

use crate::support::Target;
use crate::support::ballast::Ballast;
use crate::world::{A, AMPLE, B, C, D, PAGE, Program, World, account, only};

/// Large pages that are set aside in a world of these tests.
const SET_ASIDE: u32 = 3;
const LARGE: MemoryOptions = MemoryOptions::LARGE.union(MemoryOptions::WRITABLE);
pub const TARGETS: &[Target] = &[
    Target::Ia32,
    #[cfg(target_pointer_width = "64")]
    Target::X86_64,
];

pub fn world(target: Target) -> World {
    let all = Amounts([3000, 1000, 20_000, 500, 200, 4000, 10_000, SET_ASIDE]);
    World::of(target, all)
}

/// Small pages that a large one is as long as: 4 MiB, 2 MiB.
pub fn unit(world: &World) -> u32 {
    1 << (world.fixture.target().large_bits() - 12)
}

pub fn with_large(amount: u32) -> Amounts {
    AMPLE.with(Resource::LargePages, amount)
}

/// An object of so many large pages.
#[track_caller]
pub fn create(world: &mut World, program: Program, large: u32, slot: u32) {
    let pages = large * unit(world);
    let request = Request::CreateMemory { pages, options: LARGE, slot };
    assert_eq!(world.ask(program, request, &[ACCOUNT_SLOT]), Ok(Answer::Done {}));
}

/// How the kernel has a page mapped: its physical address, and the bits of its size.
pub fn frame(world: &World, program: Program, address: usize) -> (usize, u8) {
    let vspace = world.fixture.vmm.vspace(program.id.space()).unwrap();
    let found = world.fixture.kernel().mapping(vspace, address).expect("it is mapped");
    (found.paddr, found.size_bits)
}

fn vspace(world: &World, program: Program) -> CPtr {
    world.fixture.vmm.vspace(program.id.space()).unwrap()
}

/// What a thread writes.
pub fn write(world: &mut World, program: Program, address: usize, bytes: &[u8]) {
    assert!(world.touch(program, address, Access::Write));
    let vspace = vspace(world, program);
    world.fixture.kernel().write(vspace, address, bytes).unwrap();
}

/// What a thread reads.
pub fn read(world: &mut World, program: Program, address: usize) -> [u8; 8] {
    assert!(world.touch(program, address, Access::Read));
    let (vspace, mut bytes) = (vspace(world, program), [1; 8]);
    world.fixture.kernel().read(vspace, address, &mut bytes).unwrap();
    bytes
}

pub fn large_of(world: &mut World, program: Program) -> u32 {
    world.used(program, ACCOUNT_SLOT).of(Resource::LargePages)
}

/// A283: one entry maps a large page, at an aligned address, and no page table below; two programs
/// see what the other writes, and reading alone stays so.
#[test]
fn a_large_page_is_mapped_by_one_entry_wherever_it_is_mapped() {
    for &target in TARGETS {
        let mut world = world(target);
        let (one, two) = (world.program(with_large(2)), world.program(AMPLE));
        create(&mut world, one, 2, A);
        let unit = unit(&world);
        let restrict = Request::Restrict { rights: Rights::READ | Rights::REVOKE, slot: B };
        world.ask(one, restrict, &[A, ACCOUNT_SLOT]).unwrap();
        world.copy((one, B), (two, B));
        let before = world.used(one, ACCOUNT_SLOT);
        let start = world.map(one, A, 2 * unit, Rights::READ_WRITE);
        assert_eq!(start % (unit as usize * PAGE), 0);
        // A slot each, and of tables only those above the one that it does without.
        let cost = world.used(one, ACCOUNT_SLOT).minus(before).unwrap();
        assert_eq!((cost.of(Resource::Slots), cost.of(Resource::Pages)), (2, 0));
        let tables = if target == Target::Ia32 { 0 } else { 4 };
        assert_eq!(cost.of(Resource::Tables), tables);
        let seen = world.map(two, B, 2 * unit, Rights::READ);
        let last = (2 * unit as usize - 1) * PAGE;
        write(&mut world, one, start + last, b"from one");
        assert_eq!(&read(&mut world, two, seen + last), b"from one");
        assert_eq!(read(&mut world, two, seen), [0; 8]);
        assert!(!world.touch(two, seen, Access::Write), "it may read alone");
        for at in [0, last] {
            assert!(world.touch(one, start + at, Access::Read));
            let (paddr, size_bits) = frame(&world, one, start + at);
            assert_eq!(1usize << size_bits, unit as usize * PAGE);
            assert_eq!(frame(&world, two, seen + at), (paddr, size_bits));
        }
        // The one's end takes it from the other.
        world.finish(one, Request::Revoke { slot: 0 }, &[B]);
        assert!(!world.touch(two, seen, Access::Read));
        world.finish(one, Request::Unmap { address: start }, &[SPACE_SLOT]);
        world.finish(one, Request::Destroy {}, &[A]);
        assert_eq!(large_of(&mut world, one), 0);
    }
}

/// A284: whoever has a large page next finds it zero; clearing it is done in pieces.
#[test]
fn a_large_page_is_zero_for_whoever_has_it_next() {
    for &target in TARGETS {
        let mut world = world(target);
        let program = world.program(with_large(SET_ASIDE));
        let unit = unit(&world);
        let mut seen = Vec::new();
        for _ in 0..2 {
            create(&mut world, program, SET_ASIDE, A);
            let start = world.map(program, A, SET_ASIDE * unit, Rights::READ_WRITE);
            let pages = (0..SET_ASIDE * unit).step_by(37).map(|page| page as usize * PAGE);
            for at in pages.chain([(SET_ASIDE * unit) as usize * PAGE - 8]) {
                assert_eq!(read(&mut world, program, start + at), [0; 8], "{at:#x}");
                write(&mut world, program, start + at, &[0xa5; 8]);
            }
            let frames = (0..SET_ASIDE)
                .map(|nth| frame(&world, program, start + (nth * unit) as usize * PAGE).0);
            seen.extend(frames.collect::<Vec<_>>());
            world.finish(program, Request::Unmap { address: start }, &[SPACE_SLOT]);
            let mut pieces = 0;
            while world.ask(program, Request::Destroy {}, &[A]) == Ok(Answer::More {}) {
                pieces += 1;
            }
            // Three times 64 pages at the most, and one is counted out.
            let pages = SET_ASIDE * unit;
            assert!(pieces >= pages / (3 * MAX_PAGES) - 1, "{pieces} pieces");
        }
        // They were the same ones.
        let mut frames = seen.split_off(SET_ASIDE as usize);
        frames.sort_unstable();
        seen.sort_unstable();
        assert_eq!(frames, seen);
    }
}

/// A282: all other memory is gone, in pieces of a page, and what an account was guaranteed of large
/// pages is there still; no more than that is.
#[test]
fn a_guarantee_of_large_pages_holds_however_scattered_memory_is() {
    for &target in TARGETS {
        let mut world = world(target);
        let (one, two) = (world.program(with_large(1)), world.program(with_large(2)));
        let unit = unit(&world);
        // What is made is recorded; memory for that is there.
        world.objects.stretch(&mut world.fixture.vmm, 40).unwrap();
        let ballast = Ballast::of_memory(&mut world.fixture, 12);
        create(&mut world, two, 2, A);
        create(&mut world, one, 1, A);
        let start = world.map(one, A, unit, Rights::READ_WRITE);
        let other = world.map(two, A, 2 * unit, Rights::READ_WRITE);
        for (program, at) in [(one, start), (two, other), (two, other + unit as usize * PAGE)] {
            write(&mut world, program, at + 8, b"is there");
            assert_eq!(&read(&mut world, program, at + 8), b"is there");
        }
        let more = Request::CreateMemory { pages: unit, options: LARGE, slot: B };
        let short = Refusal::OutOfAccount { resource: Resource::LargePages, wanted: 1, left: 0 };
        assert_eq!(world.ask(one, more, &[ACCOUNT_SLOT]), Err(short));
        ballast.drop(&mut world.fixture);
    }
}

/// A285: what would cut a large page is refused, and what cannot be done with one.
#[test]
fn nothing_cuts_a_large_page() {
    for &target in TARGETS {
        let mut world = world(target);
        let program = world.program(with_large(2));
        let unit = unit(&world);
        let payer = &[ACCOUNT_SLOT][..];
        let new = |pages, options| Request::CreateMemory { pages, options, slot: A };
        for pages in [0, 1, unit - 1, unit + 1] {
            let refusal = Refusal::BadLength { pages };
            world.refused(program, new(pages, LARGE), payer, refusal);
        }
        let bits = Refusal::Malformed { what: Malformed::Bits };
        world.refused(program, new(unit, LARGE | MemoryOptions::UNCACHED), payer, bits);
        world.refused(program, new(unit, LARGE | MemoryOptions::PAGED), payer, bits);
        let short = Refusal::OutOfAccount { resource: Resource::LargePages, wanted: 3, left: 2 };
        world.refused(program, new(3 * unit, LARGE), payer, short);

        create(&mut world, program, 2, A);
        let bytes = unit as usize * PAGE;
        let map = |address, first, pages| Request::Map {
            address,
            first,
            pages,
            rights: Rights::READ_WRITE,
        };
        let all = &[SPACE_SLOT, A, ACCOUNT_SLOT][..];
        let length = |pages| Refusal::BadLength { pages };
        world.refused(program, map(0, 0, 1), all, length(1));
        world.refused(program, map(0, 1, unit), all, length(1));
        world.refused(program, map(0, 0, unit + 1), all, length(unit + 1));
        world.refused(program, map(0, 0, 3 * unit), all, Refusal::BeyondEnd { pages: 2 * unit });
        let address = 40 * bytes + PAGE;
        world.refused(program, map(address, 0, unit), all, Refusal::BadAddress { address });
        let start = 40 * bytes;
        assert_eq!(
            world.ask(program, map(start, 0, 2 * unit), all),
            Ok(Answer::Mapped { address: start })
        );
        write(&mut world, program, start, &[1; 8]);
        write(&mut world, program, start + bytes, &[2; 8]);
        let rights = Rights::READ;
        let space = &[SPACE_SLOT][..];
        let (inside, misaligned) = (start + PAGE, Refusal::BadAddress { address: start + PAGE });
        let protect = |address, pages| Request::Protect { address, pages, rights };
        let part = |address, pages| Request::UnmapPart { address, pages };
        let moved = |address, pages, to| Request::Move { address, pages, to, rights };
        for cut in [protect(inside, unit), part(inside, unit), moved(inside, unit, 0)] {
            world.refused(program, cut, space, misaligned);
        }
        for cut in [protect(start, 7), part(start, 7), moved(start, 7, 0)] {
            world.refused(program, cut, space, length(7));
        }
        let (to, address) = (80 * bytes + PAGE, 80 * bytes + PAGE);
        world.refused(program, moved(start, unit, to), space, Refusal::BadAddress { address });
        let large = |place| Refusal::Large { place };
        let pages = 2 * unit + 7;
        let cut = Request::Resize { pages };
        world.refused(program, cut, &[A, ACCOUNT_SLOT], length(pages));
        let private = Request::MapPrivate { address: 0, first: 0, pages: unit, rights };
        world.refused(program, private, all, Refusal::Paged { place: 1 });
        let paged = Request::CreatePaged { pages: 4, most: 4, slot: B };
        world.ask(program, paged, payer).unwrap();
        for how in Supply::ALL {
            let supply = Request::Supply { first: 0, pages: 1, from: 0, how, write: true, wait: 0 };
            world.refused(program, supply, &[B, A], large(1));
        }
        let back = Request::TakeBack { first: 0, pages: 1, into: 0 };
        world.refused(program, back, &[B, A], large(1));
        // All of it is as it was.
        assert_eq!(read(&mut world, program, start), [1; 8]);
        assert_eq!(read(&mut world, program, start + bytes), [2; 8]);
    }
}

/// A285: whole large pages get other rights, another place, and are unmapped, each by itself.
#[test]
fn whole_large_pages_are_protected_moved_and_unmapped() {
    for &target in TARGETS {
        let mut world = world(target);
        let program = world.program(with_large(SET_ASIDE));
        let unit = unit(&world);
        let bytes = unit as usize * PAGE;
        create(&mut world, program, SET_ASIDE, A);
        let start = world.map(program, A, SET_ASIDE * unit, Rights::READ_WRITE);
        let at = |nth: usize| start + nth * bytes;
        (0..3).for_each(|nth| write(&mut world, program, at(nth), &[nth as u8; 8]));
        let charged = world.used(program, ACCOUNT_SLOT);
        let (pages, rights) = (unit, Rights::READ);
        let protect = Request::Protect { address: at(1), pages, rights };
        assert_eq!(world.ask(program, protect, &[SPACE_SLOT]), Ok(Answer::Pages { pages }));
        assert!(!world.touch(program, at(1) + PAGE, Access::Write));
        assert!(world.touch(program, at(0), Access::Write));
        assert!(world.touch(program, at(2), Access::Write));
        let rights = Rights::READ_WRITE;
        let protect = Request::Protect { address: at(1), pages, rights };
        world.ask(program, protect, &[SPACE_SLOT]).unwrap();
        assert_eq!(world.used(program, ACCOUNT_SLOT), charged, "it is one mapping again");
        // Moved, it is there when it is touched.
        let moved = Request::Move { address: at(2), pages, to: 0, rights };
        let answer = loop {
            match world.ask(program, moved, &[SPACE_SLOT]) {
                Ok(Answer::More {}) => {}
                other => break other,
            }
        };
        let Ok(Answer::Mapped { address: to }) = answer else { panic!("{answer:?}") };
        assert_eq!(to % bytes, 0);
        assert_eq!(read(&mut world, program, to), [2; 8]);
        assert!(!world.touch(program, at(2), Access::Read));
        let part = Request::UnmapPart { address: at(0), pages };
        while world.ask(program, part, &[SPACE_SLOT]) == Ok(Answer::More {}) {}
        assert!(!world.touch(program, at(0), Access::Read));
        assert_eq!(read(&mut world, program, at(1)), [1; 8]);
        // Again, and before it is touched.
        let start = world.map(program, A, SET_ASIDE * unit, Rights::READ);
        let populate = Request::Populate { address: start, pages: SET_ASIDE * unit };
        let all = Answer::Pages { pages: SET_ASIDE * unit };
        assert_eq!(world.ask(program, populate, &[SPACE_SLOT]), Ok(all));
        assert_eq!(frame(&world, program, start + bytes), frame(&world, program, at(1)));
    }
}

/// A287: bytes are read and written without a mapping, and pages have addresses that stay.
#[test]
fn bytes_of_large_pages_are_read_written_and_located() {
    for &target in TARGETS {
        let mut world = world(target);
        let program = world.driver(with_large(2));
        let unit = unit(&world);
        create(&mut world, program, 2, A);
        let offset = 2 * unit as usize * PAGE - 3;
        let get = |offset| Request::Read { offset, bytes: 8 };
        let last = Request::Read { offset, bytes: 3 };
        let zeros = Answer::Piece { piece: Piece::of(&[0; 3]) };
        assert_eq!(world.ask(program, last, &[A]), Ok(zeros));
        let info = world.ask(program, Request::Info {}, &[A]);
        let Ok(Answer::Memory { committed: 0, options, .. }) = info else { panic!("{info:?}") };
        assert_eq!(options, LARGE);
        let put = Request::Write { offset, piece: Piece::of(b"end") };
        assert_eq!(world.ask(program, put, &[A]), Ok(Answer::Bytes { bytes: 3 }));
        let end = Answer::Piece { piece: Piece::of(b"end") };
        assert_eq!(world.ask(program, last, &[A]), Ok(end));
        let beyond = Refusal::BeyondEnd { pages: 2 * unit };
        world.refused(program, get(offset), &[A], beyond);
        let page = unit + 7;
        let locate = Request::Locate { page };
        let both = [A, ACCOUNT_SLOT];
        let Ok(Answer::Located { address }) = world.ask(program, locate, &both) else { panic!() };
        let start = world.map(program, A, 2 * unit, Rights::READ_WRITE);
        let there = start + page as usize * PAGE;
        write(&mut world, program, there, b"the page");
        let (paddr, size_bits) = frame(&world, program, there);
        assert_eq!(address, (paddr & !((1 << size_bits) - 1)) + 7 * PAGE);
        let offset = page as usize * PAGE;
        let piece = Answer::Piece { piece: Piece::of(b"the page") };
        assert_eq!(world.ask(program, get(offset), &[A]), Ok(piece));
    }
}

/// A286: amounts go from account to account as others do, and come back with what was made.
#[test]
fn large_pages_come_back_with_the_account() {
    let mut world = world(Target::Ia32);
    let program = world.program(with_large(SET_ASIDE));
    let before = (world.used(program, ACCOUNT_SLOT), world.objects.counts());
    let unit = unit(&world);
    let child = Amounts([40, 20, 60, 2, 2, 20, 40, 2]);
    world.ask(program, account(child, AccountOptions::empty(), A), &[ACCOUNT_SLOT]).unwrap();
    assert_eq!(large_of(&mut world, program), 2);
    let one = only(Resource::LargePages, 1);
    let both = [ACCOUNT_SLOT, A];
    world.ask(program, Request::Give { amounts: one, back: true }, &both).unwrap();
    assert_eq!(large_of(&mut world, program), 1);
    let make =
        |large: u32, slot| Request::CreateMemory { pages: large * unit, options: LARGE, slot };
    let short = Refusal::OutOfAccount { resource: Resource::LargePages, wanted: 2, left: 1 };
    world.refused(program, make(2, B), &[A], short);
    world.ask(program, Request::Give { amounts: one, back: false }, &both).unwrap();
    world.ask(program, make(2, B), &[A]).unwrap();
    // A limit that is no guarantee is paid from above, when it is used.
    let over = Amounts([40, 20, 60, 2, 2, 20, 40, 3]);
    world.ask(program, account(over, AccountOptions::OVERCOMMIT, C), &[ACCOUNT_SLOT]).unwrap();
    let above = Refusal::Overcommitted { resource: Resource::LargePages };
    world.refused(program, make(2, D), &[C], above);
    world.ask(program, make(1, D), &[C]).unwrap();
    for slot in [B, D] {
        let request =
            Request::Map { address: 0, first: 0, pages: unit, rights: Rights::READ_WRITE };
        let mapped = world.ask(program, request, &[SPACE_SLOT, slot, ACCOUNT_SLOT]);
        let Ok(Answer::Mapped { address }) = mapped else { panic!("{mapped:?}") };
        write(&mut world, program, address, &[9; 8]);
    }
    for slot in [A, C] {
        world.finish(program, Request::Destroy {}, &[slot]);
    }
    world.reap();
    assert_eq!((world.used(program, ACCOUNT_SLOT), world.objects.counts()), before);
    // Killed in the midst of it, a program loses nothing either.
    create(&mut world, program, SET_ASIDE, A);
    let start = world.map(program, A, SET_ASIDE * unit, Rights::READ_WRITE);
    write(&mut world, program, start, &[9; 8]);
    world.objects.kill(program.id).unwrap();
    world.reap();
    let next = world.program(with_large(SET_ASIDE));
    create(&mut world, next, SET_ASIDE, A);
    let start = world.map(next, A, SET_ASIDE * unit, Rights::READ_WRITE);
    for nth in 0..SET_ASIDE {
        assert_eq!(read(&mut world, next, start + (nth * unit) as usize * PAGE), [0; 8]);
    }
}
