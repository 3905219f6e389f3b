// SPDX-License-Identifier: BSD-2-Clause
//! The page that tells a program what its starter gave it.

use untyped_alloc::kernel::CachePolicy;
use vmm::Access;
use vmm_client::objects::first_page::{Given, GivenObject, MAX_GIVEN, add, begin, set_arguments};
use vmm_service::objects::NewProgram;
use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, Answer, FIRST_FREE_SLOT, Kind, Malformed, MemoryOptions, PAGE_BYTES, Piece,
    Refusal, Request, Resource, Rights, SPACE_SLOT,
};

use crate::changing_failures::{shortages, uncleared};
use crate::support::Target;
use crate::world::{AMPLE, World};

/// What a page has room for.
const ARGUMENT_BYTES: usize = 2048;

const OBJECT: GivenObject<'_> =
    GivenObject { name: "file", kind: Some(Kind::Memory), rights: Rights::READ, slot: 9 };

/// A201
#[test]
fn what_is_given_is_read() {
    let mut page = [7; PAGE_BYTES];
    begin(&mut page);
    assert!(add(&mut page, &OBJECT));
    let kernels = GivenObject { name: "exactly_twenty_bytes", kind: None, slot: 511, ..OBJECT };
    assert!(add(&mut page, &kernels));
    assert!(set_arguments(&mut page, "one two"));
    let given = Given::new(&page).expect("a page");
    assert!(given.objects().eq([OBJECT, kernels]));
    assert_eq!((given.slot("file"), given.slot("fil")), (Some(9), None));
    assert_eq!(given.arguments(), "one two");
}

/// A201 A268: the longest name of a device's memory is whole.
#[test]
fn what_does_not_fit_is_refused() {
    let mut page = [0; PAGE_BYTES];
    begin(&mut page);
    let longest = format!("mem-{:x}", u64::MAX);
    assert!(add(&mut page, &GivenObject { name: &longest, slot: 33, ..OBJECT }));
    assert_eq!(Given::new(&page).expect("a page").slot(&longest), Some(33));
    begin(&mut page);
    assert!(!add(&mut page, &GivenObject { name: "twenty-one_bytes_of_a", ..OBJECT }));
    (0..MAX_GIVEN).for_each(|_| assert!(add(&mut page, &OBJECT)));
    assert!(!add(&mut page, &OBJECT));
    let longest = [b'a'; ARGUMENT_BYTES + 1];
    let longest = core::str::from_utf8(&longest).expect("text");
    assert!(!set_arguments(&mut page, longest));
    assert!(set_arguments(&mut page, &longest[1..]));
    let given = Given::new(&page).expect("a page");
    assert_eq!(given.objects().count(), MAX_GIVEN);
    assert_eq!(given.arguments().len(), longest.len() - 1);
}

/// A201
#[test]
fn a_page_that_is_none_is_told_apart() {
    let mut page = [0; PAGE_BYTES];
    assert!(Given::new(&page).is_none());
    begin(&mut page);
    let mark = u32::from_le_bytes(page[..4].try_into().unwrap());
    for (at, value) in [(4, MAX_GIVEN as u32 + 1), (8, 2049), (0, mark + (1 << 24))] {
        let mut other = page;
        other[at..at + 4].copy_from_slice(&value.to_le_bytes());
        assert!(Given::new(&other).is_none(), "{at}");
    }
    // A name that is no text, a kind that is none.
    assert!(add(&mut page, &OBJECT) && add(&mut page, &OBJECT) && add(&mut page, &OBJECT));
    page[16] = 0xff;
    page[16 + 32 + 20] = 99;
    assert_eq!(Given::new(&page).expect("a page").objects().count(), 1);
}

/// A201: so does one that a server has made, with files; what does not fit is refused, and costs
/// nothing.
#[test]
fn a_server_gives_a_first_page() {
    let (mut world, program) = World::one();
    let before = world.used(program, ACCOUNT_SLOT);
    let long = "x".repeat(2049);
    for (files, arguments) in [(&["a name of 22 bytes or"][..], ""), (&[][..], &long[..])] {
        let vmm = &mut world.fixture.vmm;
        let given = world.objects.give_first_page(vmm, program.id, files, arguments);
        let refusal = Refusal::BadLength { pages: 1 };
        assert_eq!(given, Err(vmm_service::Error::Refused(refusal)));
    }
    assert_eq!(world.used(program, ACCOUNT_SLOT), before);
    let vmm = &mut world.fixture.vmm;
    world.objects.give_file(vmm, program.id, (FIRST_FREE_SLOT, b"hello")).unwrap();
    let given = world.objects.give_first_page(vmm, program.id, &["greeting"], "one two");
    let address = given.unwrap();
    let mut page = [0; 4096];
    vmm.read(program.id.space(), address, &mut page).unwrap();
    let given = Given::new(&page).expect("a page that says so");
    assert_eq!(given.arguments(), "one two");
    let slot = given.slot("greeting").expect("it was given");
    assert_eq!(given.objects().count(), 1);
    assert_eq!(world.ask(program, Request::Read { offset: 0, bytes: 5 }, &[slot]), {
        Ok(Answer::Piece { piece: Piece::of(b"hello") })
    });
    let after = world.used(program, ACCOUNT_SLOT);
    assert_eq!(after.of(Resource::Pages), before.of(Resource::Pages) + 2, "the page and the file");
    assert!(!world.touch(program, address, Access::Write), "it is read only");
}

/// A261: who may have no memory at a physical address is given some by its server: that, and no
/// other.
#[test]
fn a_server_gives_memory_of_a_device() {
    let (mut world, program) = World::one();
    let before = world.used(program, ACCOUNT_SLOT);
    let (device, slot) = (world.fixture.machine.device(), FIRST_FREE_SLOT);
    let options = MemoryOptions::WRITABLE | MemoryOptions::UNCACHED;
    let none = |address| Refusal::NoSuchPhysical { address };
    let mut give = |range, options| {
        world.objects.give_physical(&mut world.fixture.vmm, program.id, slot, range, options)
    };
    for (range, options, refusal) in [
        ((device, 0), options, Refusal::BadLength { pages: 0 }),
        ((PAGE_BYTES.wrapping_neg(), 2), options, none(PAGE_BYTES.wrapping_neg())),
        ((device + 1, 1), options, Refusal::BadAddress { address: device + 1 }),
        ((device, 1), MemoryOptions::PAGED, Refusal::Malformed { what: Malformed::Bits }),
    ] {
        assert_eq!(give(range, options), Err(vmm_service::Error::Refused(refusal)));
    }
    assert_eq!(give((device, 2), options), Ok(()));
    let refusal = Refusal::SlotOccupied { slot };
    assert_eq!(give((device, 2), options), Err(vmm_service::Error::Refused(refusal)));
    let start = world.map(program, slot, 2, Rights::READ_WRITE);
    let vspace = world.fixture.vmm.vspace(program.id.space()).unwrap();
    for page in 0..2 {
        assert!(world.touch(program, start + page * PAGE_BYTES, Access::Write));
        let mapped = world.fixture.kernel().mapping(vspace, start + page * PAGE_BYTES);
        assert_eq!(mapped.map(|page| page.cache), Some(CachePolicy::Uncached));
    }
    // It has no right to make such memory itself.
    let options = MemoryOptions::empty();
    let own = Request::CreatePhysical { address: device, pages: 1, options, slot: slot + 1 };
    let missing = Rights::PHYSICAL;
    world.refused(program, own, &[ACCOUNT_SLOT], Refusal::NoRight { place: 0, missing });
    let unmap = Request::UnmapPart { address: start, pages: 2 };
    assert_eq!(world.ask(program, unmap, &[SPACE_SLOT]), Ok(Answer::Pages { pages: 2 }));
    world.finish(program, Request::Destroy {}, &[slot]);
    assert_eq!(world.used(program, ACCOUNT_SLOT), before);
}

/// A352: programs, files and first pages take memory that is free and not cleared, too.
#[test]
fn what_a_server_gives_takes_memory_that_is_not_cleared() {
    for short in shortages() {
        for what in 0..3 {
            let (mut world, program) = World::one();
            world.objects.stretch(&mut world.fixture.vmm, 40).unwrap();
            let uncleared = uncleared(&mut world.fixture, short);
            let (vmm, slot) = (&mut world.fixture.vmm, FIRST_FREE_SLOT);
            let given = match what {
                0 => world.objects.give_file(vmm, program.id, (slot, b"hello")),
                1 => world.objects.give_first_page(vmm, program.id, &[], "one two").map(drop),
                _ => {
                    let file = crate::objects_ops::program(Target::Ia32);
                    let new = NewProgram { stack_pages: 2, ..NewProgram::new("new", file, AMPLE) };
                    world.objects.create_program(vmm, &new).map(|(id, _)| {
                        world.fixture.spaces.push(id.space());
                    })
                }
            };
            assert_eq!(given, Ok(()), "{what}, {} left of what is short", short.left);
            world.fixture.vmm.limit_clearing(usize::MAX);
            uncleared.drop(&mut world.fixture);
            world.check();
        }
    }
}
