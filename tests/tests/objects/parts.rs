// SPDX-License-Identifier: BSD-2-Clause
//! Parts of mappings: other rights in place, unmapped, moved.
//!
//! Checks A221, A222 and A229 of `MODEL.md`.

use untyped_alloc::kernel::{CachePolicy, KernelError, Rights as CapRights};
use vmm::Access::{Read, Write};
use vmm_service::objects::NewProgram;
use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, AccountOptions, Amounts, Answer, Malformed, MemoryOptions, Refusal, Request,
    Resource, Rights, SPACE_SLOT,
};

use crate::world::{A, AMPLE, B, PAGE, Program, World, account, only};

const BOTH: Rights = Rights::READ_WRITE;
const SPACE: &[u32] = &[SPACE_SLOT];
const MAPPINGS: usize = 2;

fn protect(address: usize, pages: u32, rights: Rights) -> Request {
    Request::Protect { address, pages, rights }
}

fn unmap(address: usize, pages: u32) -> Request {
    Request::UnmapPart { address, pages }
}

/// A world whose program has memory of so many pages, mapped to be written, and all there: each
/// with its number in it.
fn mapped(pages: u32) -> (World, Program, usize) {
    let (mut world, program) = World::one();
    let start = fill(&mut world, program, pages);
    (world, program, start)
}

fn fill(world: &mut World, program: Program, pages: u32) -> usize {
    world.memory(program, pages, A);
    let start = world.map(program, A, pages, BOTH);
    for page in 0..pages as usize {
        assert!(world.touch(program, start + page * PAGE, Write));
        world.fixture.write(program.id.space(), start + page * PAGE, page as u64 + 1);
    }
    start
}

/// Which pages of a mapping can be read, and which can be written: each shows what it held.
fn reach(world: &mut World, program: Program, start: usize, pages: usize) -> (String, String) {
    let mut can = |access| {
        (0..pages)
            .map(|page| {
                let address = start + page * PAGE;
                let can = world.touch(program, address, access);
                if can {
                    let held = world.fixture.read(program.id.space(), address);
                    assert_eq!(held, page as u64 + 1, "page {page}");
                }
                if can { '+' } else { '-' }
            })
            .collect()
    };
    (can(Read), can(Write))
}

/// Asks until all pages are done; returns how often.
fn all_of(
    world: &mut World,
    program: Program,
    of: impl Fn(usize, u32) -> Request,
    pages: u32,
) -> u32 {
    let (mut done, mut times) = (0, 0);
    while done < pages {
        times += 1;
        match world.ask(program, of(done as usize * PAGE, pages - done), SPACE) {
            Ok(Answer::More {}) => {}
            Ok(Answer::Pages { pages }) => done += pages,
            other => panic!("{other:?}"),
        }
    }
    times
}

/// A221: in place, without a page going away, and back: what was cut is one again.
#[test]
fn pages_of_a_mapping_have_other_rights_where_they_are() {
    let (mut world, program, start) = mapped(6);
    let figures = (world.objects.counts(), world.used(program, ACCOUNT_SLOT));
    let there = |world: &World| {
        let vspace = world.fixture.vmm.vspace(program.id.space()).unwrap();
        (0..6)
            .filter(|page| world.fixture.kernel().mapping(vspace, start + page * PAGE).is_some())
            .count()
    };
    for (page, pages, writable) in
        [(2, 2, "++--++"), (0, 1, "-+--++"), (1, 1, "----++"), (4, 2, "------")]
    {
        let request = protect(start + page * PAGE, pages, Rights::READ);
        assert_eq!(world.ask(program, request, SPACE), Ok(Answer::Pages { pages }));
        assert_eq!(there(&world), 6, "none is absent");
        let expected = ("++++++".to_string(), writable.to_string());
        assert_eq!(reach(&mut world, program, start, 6), expected);
    }
    // All are alike: they are one mapping.
    assert_eq!((world.objects.counts(), world.used(program, ACCOUNT_SLOT)), figures);
    let back = protect(start + PAGE, 3, BOTH);
    assert_eq!(world.ask(program, back, SPACE), Ok(Answer::Pages { pages: 3 }));
    assert_eq!(reach(&mut world, program, start, 6).1, "-+++--");
    assert_eq!(world.objects.counts()[MAPPINGS], figures.0[MAPPINGS] + 2);
    // Several parts take a request each.
    assert_eq!(all_of(&mut world, program, |at, left| protect(start + at, left, BOTH), 6), 3);
    assert_eq!(reach(&mut world, program, start, 6).1, "++++++");
    assert_eq!((world.objects.counts(), world.used(program, ACCOUNT_SLOT)), figures);
    world.finish(program, Request::Unmap { address: start }, SPACE);
}

/// A221: pages that are not there yet come with the new rights.
#[test]
fn pages_that_come_later_have_the_rights_of_their_part() {
    let (mut world, program) = World::one();
    world.memory(program, 5, A);
    let start = world.map(program, A, 5, Rights::READ);
    let request = protect(start + PAGE, 2, BOTH);
    world.ask(program, request, SPACE).unwrap();
    for (page, may) in [false, true, true, false, false].into_iter().enumerate() {
        assert_eq!(world.touch(program, start + page * PAGE, Write), may, "page {page}");
        assert!(world.touch(program, start + page * PAGE, Read));
    }
    assert_eq!(
        all_of(
            &mut world,
            program,
            |at, left| Request::Populate { address: start + at, pages: left },
            5
        ),
        3
    );
}

/// A221: a request does 64 pages.
#[test]
fn many_pages_are_given_other_rights_in_pieces() {
    let (mut world, program, start) = mapped(150);
    let read = |at, left| protect(start + at, left, Rights::READ);
    assert_eq!(all_of(&mut world, program, read, 150), 3);
    let (readable, writable) = reach(&mut world, program, start, 150);
    assert_eq!((readable, writable), ("+".repeat(150), "-".repeat(150)));
    assert_eq!(world.objects.counts()[MAPPINGS], 1, "the pieces are one mapping");
}

/// A222
#[test]
fn a_part_of_a_mapping_is_unmapped_and_the_rest_stays() {
    let (mut world, program, start) = mapped(9);
    let one = |page: usize, pages| unmap(start + page * PAGE, pages);
    let before = world.used(program, ACCOUNT_SLOT);
    for (page, pages, left) in
        [(3, 2, "+++--++++"), (0, 1, "-++--++++"), (8, 1, "-++--+++-"), (6, 1, "-++--+-+-")]
    {
        assert_eq!(world.ask(program, one(page, pages), SPACE), Ok(Answer::Pages { pages }));
        assert_eq!(reach(&mut world, program, start, 9).0, left);
        world.refused(
            program,
            one(page, 1),
            SPACE,
            Refusal::NoMapping { address: start + page * PAGE },
        );
    }
    // A slot for each page is paid for, and none for those that are gone.
    let slots = |amounts: Amounts| amounts.of(Resource::Slots);
    assert_eq!(slots(before) - slots(world.used(program, ACCOUNT_SLOT)), 5);
    // Other memory goes where some was.
    let map = Request::Map { address: start + 3 * PAGE, first: 0, pages: 2, rights: Rights::READ };
    world.ask(program, map, &[SPACE_SLOT, A, ACCOUNT_SLOT]).unwrap();
    assert!(world.touch(program, start + 3 * PAGE, Read));
    assert_eq!(world.fixture.read(program.id.space(), start + 3 * PAGE), 1);
    for (page, pages) in [(1, 2), (3, 2), (5, 1), (7, 1)] {
        assert_eq!(world.ask(program, one(page, pages), SPACE), Ok(Answer::Pages { pages }));
    }
    world.finish(program, Request::Destroy {}, &[A]);
}

/// A222: at most 64 pages a request, and only the part.
#[test]
fn a_large_part_is_unmapped_in_pieces() {
    let (mut world, program, start) = mapped(200);
    let request = unmap(start + 20 * PAGE, 150);
    for _ in 0..2 {
        assert_eq!(world.ask(program, request, SPACE), Ok(Answer::More {}));
    }
    assert_eq!(world.ask(program, request, SPACE), Ok(Answer::Pages { pages: 150 }));
    let left = format!("{}{}{}", "+".repeat(20), "-".repeat(150), "+".repeat(30));
    assert_eq!(reach(&mut world, program, start, 200).0, left);
}

/// A222: a part is moved, and shows what it shows.
#[test]
fn a_part_of_a_mapping_is_moved() {
    let (mut world, program, start) = mapped(6);
    let there = 0x5000_0000;
    let (address, pages) = (start + 2 * PAGE, 3);
    let request = Request::Move { address, pages, to: there, rights: Rights::READ };
    assert_eq!(world.ask(program, request, SPACE), Ok(Answer::Mapped { address: there }));
    assert_eq!(reach(&mut world, program, start, 6).0, "++---+");
    for page in 0..3 {
        assert!(world.touch(program, there + page * PAGE, Read));
        assert!(!world.touch(program, there + page * PAGE, Write));
        assert_eq!(world.fixture.read(program.id.space(), there + page * PAGE), page as u64 + 3);
    }
    // The same place again for the rest, which is two mappings now.
    for (page, pages) in [(0, 2), (5, 1)] {
        let (address, to) = (start + page * PAGE, there + (3 + page) * PAGE);
        let request = Request::Move { address, pages, to, rights: BOTH };
        assert_eq!(world.ask(program, request, SPACE), Ok(Answer::Mapped { address: to }));
        assert!(world.touch(program, to, Write));
    }
    assert_eq!(reach(&mut world, program, start, 6).0, "------");
    // One that several mappings make up is moved by none.
    let request = Request::Move { address: there, pages: 5, to: start, rights: Rights::READ };
    world.refused(program, request, SPACE, Refusal::BeyondEnd { pages: 3 });
}

/// A221 A222
#[test]
fn parts_that_cannot_be_are_refused_with_nothing_changed() {
    let (mut world, program, start) = mapped(6);
    let restrict = Request::Restrict { rights: Rights::READ, slot: B };
    world.ask(program, restrict, &[A, ACCOUNT_SLOT]).unwrap();
    let weak = world.map(program, B, 2, Rights::READ);
    let (nowhere, end) = (0x5000_0000, Refusal::BeyondEnd { pages: 2 });
    let cases = [
        (start, 0, Refusal::BadLength { pages: 0 }),
        (start + 1, 1, Refusal::BadAddress { address: start + 1 }),
        (nowhere, 1, Refusal::NoMapping { address: nowhere }),
        (0, 1, Refusal::NoMapping { address: 0 }),
        (start + 4 * PAGE, 3, end),
        (start + 4 * PAGE, u32::MAX, end),
    ];
    for (address, pages, why) in cases {
        world.refused(program, protect(address, pages, Rights::READ), SPACE, why);
        world.refused(program, unmap(address, pages), SPACE, why);
        let request = Request::Move { address, pages, to: 0, rights: Rights::READ };
        world.refused(program, request, SPACE, why);
    }
    for (address, rights, asked) in [
        (weak, BOTH, Rights::WRITE),
        (start, BOTH | Rights::USE, Rights::USE),
        (start, Rights::WRITE, Rights::empty()),
        (start, Rights::empty(), Rights::empty()),
    ] {
        let why = match asked.is_empty() {
            true => Refusal::NotReadable {},
            false => Refusal::BeyondRights { asked },
        };
        world.refused(program, protect(address, 2, rights), SPACE, why);
    }
    // Where parts have different rights, the end of all of them counts.
    world.ask(program, protect(start + 2 * PAGE, 1, Rights::READ), SPACE).unwrap();
    let beyond = Refusal::BeyondEnd { pages: 5 };
    world.refused(program, protect(start + PAGE, 6, BOTH), SPACE, beyond);
    assert_eq!(reach(&mut world, program, start, 6).1, "++-+++");
}

/// A222: a cut is its payer's, who needs nothing for giving back a whole mapping.
#[test]
fn a_cut_is_paid_for() {
    let mut world = World::new();
    let program = world.program(AMPLE);
    let start = fill(&mut world, program, 6);
    let Ok(Answer::Account { limits, used, .. }) =
        world.ask(program, Request::Info {}, &[ACCOUNT_SLOT])
    else {
        panic!()
    };
    // All other records are an account's, which is two itself.
    let left = limits.of(Resource::Nodes) - used.of(Resource::Nodes);
    let all = account(only(Resource::Nodes, left - 2), AccountOptions::empty(), B);
    world.ask(program, all, &[ACCOUNT_SLOT]).unwrap();
    let why = Refusal::OutOfAccount { resource: Resource::Nodes, wanted: 1, left: 0 };
    world.refused(program, unmap(start + 2 * PAGE, 2), SPACE, why);
    world.refused(program, protect(start, 2, Rights::READ), SPACE, why);
    assert_eq!(reach(&mut world, program, start, 6).0, "++++++");
    world.ask(program, unmap(start, 6), SPACE).unwrap();
}

/// A222: whichever call fails, the request is made again, and nothing is lost.
#[test]
fn a_part_of_which_a_call_fails_is_done_later() {
    let read = |start: usize| protect(start + PAGE, 3, Rights::READ);
    let write = |start: usize| protect(start + PAGE, 3, BOTH);
    let gone = |start: usize| unmap(start + PAGE, 3);
    let first: [fn(usize) -> Request; 3] = [read, write, gone];
    let mut failures = 0;
    for (kind, request) in first.into_iter().enumerate() {
        for error in [KernelError::IllegalOperation, KernelError::NotEnoughMemory] {
            for nth in 1.. {
                let (mut world, program, start) = mapped(5);
                if kind == 1 {
                    world.ask(program, read(start), SPACE).unwrap();
                }
                let before = reach(&mut world, program, start, 5);
                let figures = (world.objects.counts(), world.used(program, ACCOUNT_SLOT));
                world.fixture.kernel().fail_nth(nth, error);
                let asked = world.ask(program, request(start), SPACE);
                let failed = !world.fixture.kernel().disarm();
                if let Err(refusal) = asked {
                    let own = matches!(refusal, Refusal::OutOfMemory {} | Refusal::Internal {});
                    assert!(own && failed, "call {nth}: {refusal:?}");
                    failures += 1;
                    let after = (world.objects.counts(), world.used(program, ACCOUNT_SLOT));
                    assert_eq!(after, figures, "{kind}, call {nth}");
                    assert_eq!(reach(&mut world, program, start, 5), before, "{kind}, call {nth}");
                    assert_eq!(
                        world.ask(program, request(start), SPACE),
                        Ok(Answer::Pages { pages: 3 })
                    );
                }
                let writable = ["+---+", "+++++", "+---+"][kind];
                assert_eq!(reach(&mut world, program, start, 5).1, writable);
                world.fixture.vmm.trim().unwrap();
                if !failed {
                    break;
                }
            }
        }
    }
    assert!(failures > 12, "{failures}");
}

/// A229: and pages at a physical address have other rights in place, and end in parts, too.
#[test]
fn memory_of_a_device_is_cached_as_was_said() {
    use MemoryOptions as Options;
    let policies = [
        (Options::empty(), CachePolicy::WriteBack),
        (Options::UNCACHED, CachePolicy::Uncached),
        (Options::WRITE_COMBINING, CachePolicy::WriteCombining),
        (Options::WRITE_THROUGH, CachePolicy::WriteThrough),
    ];
    let mut world = World::new();
    let program =
        world.program_as(NewProgram { physical: true, ..NewProgram::new("driver", &[], AMPLE) });
    let device = world.fixture.machine.device();
    let physical =
        |options, slot| Request::CreatePhysical { address: device, pages: 3, options, slot };
    for (options, policy) in policies {
        let request = physical(options | Options::WRITABLE, A);
        assert_eq!(world.ask(program, request, &[ACCOUNT_SLOT]), Ok(Answer::Done {}));
        let start = world.map(program, A, 3, BOTH);
        let seen = |world: &World, page: usize| {
            let vspace = world.fixture.vmm.vspace(program.id.space()).unwrap();
            let page = world.fixture.kernel().mapping(vspace, start + page * PAGE);
            page.map(|page| (page.cache, page.rights.contains(CapRights::WRITE)))
        };
        assert!(seen(&world, 0).is_none(), "its pages come with touches, or by request");
        assert!(world.touch(program, start + PAGE, Write));
        let populate = Request::Populate { address: start, pages: 3 };
        assert_eq!(world.ask(program, populate, SPACE), Ok(Answer::Pages { pages: 3 }));
        assert!((0..3).all(|page| seen(&world, page) == Some((policy, true))), "{options:?}");
        let read = protect(start + PAGE, 1, Rights::READ);
        assert_eq!(world.ask(program, read, SPACE), Ok(Answer::Pages { pages: 1 }));
        let found = [0, 1, 2].map(|page| seen(&world, page));
        assert_eq!(found, [true, false, true].map(|write| Some((policy, write))));
        assert_eq!(world.ask(program, unmap(start, 1), SPACE), Ok(Answer::Pages { pages: 1 }));
        assert!(seen(&world, 0).is_none() && seen(&world, 2).is_some());
        all_of(&mut world, program, |at, left| unmap(start + PAGE + at, left), 2);
        world.finish(program, Request::Destroy {}, &[A]);
    }
    let pages = 0;
    let none =
        Request::CreatePhysical { address: device, pages, options: Options::WRITABLE, slot: A };
    world.refused(program, none, &[ACCOUNT_SLOT], Refusal::BadLength { pages });
    let bits = Refusal::Malformed { what: Malformed::Bits };
    let both = Options::UNCACHED | Options::WRITE_THROUGH;
    for options in [both, Options::CACHED, Options::PAGED] {
        world.refused(program, physical(options, A), &[ACCOUNT_SLOT], bits);
    }
    for options in [Options::UNCACHED, Options::WRITE_COMBINING, Options::WRITE_THROUGH] {
        let request = Request::CreateMemory { pages: 1, options, slot: A };
        world.refused(program, request, &[ACCOUNT_SLOT], bits);
    }
}
