// SPDX-License-Identifier: BSD-2-Clause
//! ELF files, the capabilities of a program, its end.

use untyped_alloc::kernel::{CPtr, CapPath, Rights as CapRights};
use vmm::{Blueprint, Quota};
use vmm_service::protocol::{
    Answer, CNODE_BITS, FAULT_SLOT, FIRST_FREE_SLOT, Refusal, Request, SERVICE_SLOT,
};
use vmm_service::{ClientId, Error, ImageError, Program, Start};
use vmm_tests::model::Cap;

use crate::support::ballast::Ballast;
use crate::world::{AMPLE, World};

/// An ELF file for IA32 with these segments: type, address, bytes of memory, flags (1 execute,
/// 2 write, 4 read), contents.
pub fn elf(segments: &[(u32, u32, u32, u32, &[u8])]) -> Vec<u8> {
    let mut file = b"\x7fELF\x01\x01\x01".to_vec();
    file.resize(16, 0);
    let half = |file: &mut Vec<u8>, value: u16| file.extend(value.to_le_bytes());
    let word = |file: &mut Vec<u8>, value: u32| file.extend(value.to_le_bytes());
    half(&mut file, 2);
    half(&mut file, 3);
    for value in [1, 0x40_0010, 52, 0, 0] {
        word(&mut file, value);
    }
    for value in [52, 32, segments.len() as u16, 0, 0, 0] {
        half(&mut file, value);
    }
    let mut offset = 52 + 32 * segments.len() as u32;
    for &(ty, address, size, flags, contents) in segments {
        let bytes = contents.len() as u32;
        for value in [ty, offset, address, address, bytes, size, flags, 0x1000] {
            word(&mut file, value);
        }
        offset += bytes;
    }
    segments.iter().for_each(|(.., contents)| file.extend(*contents));
    file
}

pub fn load(world: &mut World, client: ClientId, file: &[u8]) -> Result<Start, Error> {
    let program = Program { file, stack_pages: 2, writable_code: false };
    world.service.load(&mut world.fixture.vmm, client, &program)
}

/// A small program.
pub fn program() -> Vec<u8> {
    let code = vec![0x90; 5000];
    elf(&[(1, 0x40_0010, 5000, 5, &code), (1, 0x40_3000, 0x2000, 6, b"data")])
}

/// The same with thread-local storage.
pub fn with_tls() -> Vec<u8> {
    elf(&[(1, 0x40_0010, 5000, 5, &[0x90; 5000]), (7, 0x40_0010, 60, 4, b"variables")])
}

pub fn bytes(world: &World, client: ClientId, address: usize, count: usize) -> Vec<u8> {
    let vspace = world.fixture.vmm.vspace(client.space()).unwrap();
    let mut found = vec![0; count];
    world.fixture.kernel().read(vspace, address, &mut found).unwrap();
    found
}

#[test]
fn segments_are_mapped_by_their_flags_and_filled() {
    let mut world = World::new();
    let client = world.client(AMPLE, None);
    let start = load(&mut world, client, &program()).unwrap();
    world.fixture.check();
    assert_eq!(start.entry, 0x40_0010);
    assert_eq!(bytes(&world, client, 0x40_000f, 3), [0, 0x90, 0x90]);
    assert_eq!(bytes(&world, client, 0x40_0010 + 4999, 2), [0x90, 0]);
    assert_eq!(bytes(&world, client, 0x40_3000, 5), b"data\0");
    assert!(!world.touch(client, 0x40_0000, 1), "code can be written");
    assert!(world.touch(client, 0x40_4000, 1));
    assert!(world.touch(client, start.stack_top - 4, 1));
    assert!(!world.touch(client, start.stack_top, 1), "no guard");
    assert!(world.touch(client, start.ipc_buffer, 1));
    let protect = Request::Protect {
        start: 0x40_0000,
        pages: 1,
        rights: vmm_service::protocol::Rights::READ_WRITE,
    };
    assert_eq!(world.ask(client, protect), Err(Refusal::BeyondRights));
}

#[test]
fn a_program_has_the_capabilities_it_was_given_and_no_other() {
    let mut world = World::new();
    let client = world.client(AMPLE, None);
    let start = load(&mut world, client, &program()).unwrap();
    let bell = world.fixture.vmm.allocate(Blueprint::Notification).unwrap();
    let vmm = &mut world.fixture.vmm;
    let mut give = |slot| {
        world.service.give_capability(vmm, client, slot, bell.slot(), CapRights::WRITE, None)
    };
    give(FIRST_FREE_SLOT).unwrap();
    let occupied = Error::SlotOccupied { slot: FIRST_FREE_SLOT };
    assert_eq!(give(FIRST_FREE_SLOT), Err(occupied));
    for slot in [SERVICE_SLOT, FAULT_SLOT, 1 << CNODE_BITS] {
        assert_eq!(give(slot), Err(Error::BadSlot { slot }));
    }
    let buffer = |slot| Request::IpcBuffer { slot };
    assert_eq!(world.ask(client, buffer(FIRST_FREE_SLOT)), Err(Refusal::BadSlot));
    let Ok(Answer::Address(address)) = world.ask(client, buffer(5)) else { panic!("no buffer") };

    let view = world.fixture.kernel().tcb(start.tcb).unwrap();
    assert_eq!(view.fault_endpoint, FAULT_SLOT as usize);
    assert_eq!(view.ipc_buffer, start.ipc_buffer);
    let slot = |world: &World, slot: u32| {
        // The thread's own view of its CSpace, through the CNode that it was given.
        let Cap::CNode { base, .. } = view.cspace else { panic!("{view:?}") };
        let kernel = world.fixture.kernel();
        let root = (0..4096)
            .map(CPtr::new)
            .find(|&at| matches!(kernel.cap(at), Cap::CNode { base: found, .. } if found == base));
        let index = slot as usize;
        kernel.cap_at(CapPath { root: root.unwrap(), index, depth: CNODE_BITS }).unwrap()
    };
    let found = |world: &World| {
        (0..1u32 << CNODE_BITS).filter(|&at| !slot(world, at).is_null()).collect::<Vec<_>>()
    };
    assert_eq!(found(&world), [SERVICE_SLOT, FAULT_SLOT, FIRST_FREE_SLOT, 5]);
    let release = Request::ReleaseIpcBuffer { address };
    world.ask(client, release).unwrap();
    assert_eq!(found(&world), [SERVICE_SLOT, FAULT_SLOT, FIRST_FREE_SLOT]);
    let own = Request::ReleaseIpcBuffer { address: start.ipc_buffer };
    assert_eq!(world.ask(client, own), Err(Refusal::WrongKind));
}

#[test]
fn all_that_a_program_had_comes_back() {
    let mut world = World::new();
    let before = world.free_bytes();
    for _ in 0..3 {
        let client = world.client(AMPLE, None);
        load(&mut world, client, &program()).unwrap();
        world.ask(client, Request::IpcBuffer { slot: 7 }).unwrap();
        world.memory(client, 70);
        world.service.kill(client).unwrap();
        assert!(world.service.kill(client).is_err());
        world.work();
    }
    assert_eq!(world.free_bytes(), before);
}

/// A46: nothing in the file is trusted, and a load that fails leaves nothing that a kill does not
/// take.
#[test]
fn a_file_that_cannot_be_is_refused() {
    let mut world = World::new();
    let before = world.free_bytes();
    let good = program();
    let mut wrong_machine = good.clone();
    wrong_machine[18] = 62;
    let files = [
        vec![],
        b"\x7fELF".to_vec(),
        good[..80].to_vec(),
        good[..200].to_vec(),
        wrong_machine,
        elf(&[(1, 0, 4096, 4, &[])]),
        elf(&[(1, 0xffff_f000, 0x2000, 4, &[])]),
        elf(&[(1, 0xdfff_f000, 0x2000, 4, &[])]),
        elf(&[(1, 0x40_0000, 4, 4, b"more bytes than memory")]),
        elf(&[(1, 0x40_0000, 0x1000, 4, &[]), (1, 0x40_0800, 0x1000, 6, &[])]),
        elf(&[(1, 0x40_0000, 0x4000_0000, 6, &[])]),
        elf(&[(3, 0x40_0000, 4, 4, b"ld")]),
        elf(&[(7, 0x40_0000, 17 * 4096, 4, b"tls")]),
        elf(&[(7, 0x40_0000, 2, 4, b"tls")]),
        elf(&[(7, 0x40_0000, 4, 4, b"tls"), (7, 0x40_1000, 4, 4, b"tls")]),
    ];
    for (index, file) in files.iter().enumerate() {
        let client = world.client(AMPLE, None);
        assert!(load(&mut world, client, file).is_err(), "file {index}");
        world.fixture.check();
        world.service.kill(client).unwrap();
        world.work();
        assert_eq!(world.free_bytes(), before, "file {index}");
    }
}

#[test]
fn a_program_beyond_its_limits_is_not_loaded() {
    let mut world = World::new();
    for limits in [Quota { objects: 1, ..AMPLE }, Quota { frames: 5, ..AMPLE }] {
        let client = world.client(limits, None);
        let refused = load(&mut world, client, &program());
        assert!(matches!(refused, Err(Error::Manager(vmm::Error::OutOfQuota { .. }))));
        world.service.kill(client).unwrap();
        world.work();
    }
}

/// What is to be cleared is left to who loads it: such a program was promised nothing.
#[test]
fn a_program_is_not_loaded_where_one_call_may_not_clear_what_it_takes() {
    let mut world = World::new();
    let client = world.client(AMPLE, None);
    let vmm = &mut world.fixture.vmm;
    let piece = vmm.allocate(Blueprint::Untyped { size_bits: 19 }).unwrap();
    let ballast = Ballast::of_frames(&mut world.fixture, 0);
    world.fixture.vmm.limit_clearing(1 << 12);
    world.fixture.vmm.free(piece).unwrap();
    let refused = load(&mut world, client, &program());
    let allocator = match refused {
        Err(Error::Manager(vmm::Error::Allocator(error))) => error,
        other => panic!("{other:?}"),
    };
    assert!(matches!(allocator, vmm::AllocatorError::NeedsClearing { .. }), "{allocator:?}");
    world.service.kill(client).unwrap();
    world.work();
    world.fixture.vmm.limit_clearing(usize::MAX);
    ballast.drop(&mut world.fixture);
    let client = world.client(AMPLE, None);
    load(&mut world, client, &program()).unwrap();
}

/// Each refusal says what is wrong, and of which value.
#[test]
fn refusals_to_the_server_name_the_value() {
    let mut world = World::new();
    let client = world.client(AMPLE, None);
    let bell = world.fixture.vmm.allocate(Blueprint::Notification).unwrap().slot();
    let give = |world: &mut World| {
        let vmm = &mut world.fixture.vmm;
        world.service.give_capability(vmm, client, FIRST_FREE_SLOT, bell, CapRights::WRITE, None)
    };
    assert_eq!(give(&mut world), Err(Error::NoProgram(client)));
    let refused = |world: &mut World, file: &[u8]| match load(world, client, file) {
        Err(Error::Image(error)) => error,
        other => panic!("{other:?}"),
    };
    let magic = *b"\x7fELG";
    assert_eq!(refused(&mut world, &[&magic[..], &[1; 60]].concat()), ImageError::NotElf { magic });
    let cut = refused(&mut world, &program()[..200]);
    assert!(matches!(cut, ImageError::CutOff { end, .. } if end > 200), "{cut:?}");
    let segment = elf(&[(1, 0x40_0000, 4, 4, b"12345")]);
    let bad = ImageError::BadSegment { address: 0x40_0000, bytes: 4 };
    assert_eq!(refused(&mut world, &segment), bad);
    let tls = elf(&[(7, 0x40_0000, 17 * 4096, 4, b"tls")]);
    assert_eq!(refused(&mut world, &tls), ImageError::TooMuchTls { bytes: 17 * 4096 });

    load(&mut world, client, &program()).unwrap();
    assert_eq!(load(&mut world, client, &program()), Err(Error::HasProgram(client)));
    world.service.kill(client).unwrap();
    assert_eq!(world.service.kill(client), Err(Error::NoSuchClient(client)));
    assert_eq!(give(&mut world), Err(Error::NoSuchClient(client)));
    let vmm = &mut world.fixture.vmm;
    let orphan = world.service.create_client(vmm, "orphan", AMPLE, Some(client));
    assert_eq!(orphan, Err(Error::NoSuchClient(client)));
    world.work();
}

/// The same file with another word at this place of it.
fn with_word(mut file: Vec<u8>, at: usize, word: u32) -> Vec<u8> {
    file[at..at + 4].copy_from_slice(&word.to_le_bytes());
    file
}

/// The code that the entry is in.
const CODE: (u32, u32, u32, u32, &[u8]) = (1, 0x40_0010, 0x100, 5, &[0x90; 0x100]);

/// A45.
#[test]
fn a_segment_that_may_be_written_can_be_read_too() {
    let mut world = World::new();
    let client = world.client(AMPLE, None);
    load(&mut world, client, &elf(&[CODE, (1, 0x40_3000, 0x1000, 2, b"data")])).unwrap();
    assert!(world.touch(client, 0x40_3000, 1));
    assert!(world.touch(client, 0x40_3000, 2));
    let client = world.client(AMPLE, None);
    let refused = load(&mut world, client, &elf(&[CODE, (1, 0x40_3000, 0x1000, 0, b"data")]));
    assert_eq!(refused, Err(ImageError::NoRights { address: 0x40_3000 }.into()));
}

/// A44: a page has the rights of all segments in it, other pages those of their own.
#[test]
fn segments_that_share_a_page_are_loaded() {
    let mut world = World::new();
    let client = world.client(AMPLE, None);
    let file = elf(&[
        (1, 0x40_0010, 0x2000, 5, &[0x90; 0x2000]),
        (1, 0x40_2100, 0x1f00, 6, b"data"),
        // Three in a page, and on into the next.
        (1, 0x40_4000, 0x10, 4, b"constants"),
        (1, 0x40_4010, 0x10, 4, b"more"),
        (1, 0x40_4ffe, 0x1002, 6, &[7; 6]),
        (1, 0x40_6000, 8, 4, b"the last"),
    ]);
    // Code and data in a page are not for everybody.
    let refused = Err(ImageError::WritableCode { address: 0x40_2000 }.into());
    assert_eq!(load(&mut world, client, &file), refused);
    let program = Program { file: &file, stack_pages: 2, writable_code: true };
    world.service.load(&mut world.fixture.vmm, client, &program).unwrap();
    world.fixture.check();
    let rights = [0x40_1000, 0x40_2000, 0x40_3000, 0x40_4000].map(|page| {
        let mapping = world.fixture.vmm.mapping_at(client.space(), page).unwrap();
        mapping.expect("mapped").rights
    });
    let expected = [
        CapRights::READ_EXECUTE,
        CapRights::READ_WRITE_EXECUTE,
        CapRights::READ_WRITE,
        CapRights::READ_WRITE,
    ];
    assert_eq!(rights, expected);
    let writable = [0x40_0000, 0x40_1000, 0x40_2000, 0x40_3000, 0x40_4000, 0x40_5000, 0x40_6000]
        .map(|page| {
            let vspace = world.fixture.vmm.vspace(client.space()).unwrap();
            let mapping = world.fixture.kernel().mapping(vspace, page).expect("mapped");
            assert!(mapping.rights.contains(CapRights::READ), "{page:#x}");
            mapping.rights.contains(CapRights::WRITE)
        });
    assert_eq!(writable, [false, false, true, true, true, true, false]);
    for (at, found) in [
        (0x40_0010, &[0x90; 3][..]),
        (0x40_200e, &[0x90, 0x90, 0][..]),
        (0x40_2100, b"data\0"),
        (0x40_4000, b"constants\0"),
        (0x40_4010, b"more\0"),
        (0x40_4ffd, &[0, 7, 7, 7, 7, 7, 7, 0]),
        (0x40_6000, b"the last\0"),
    ] {
        assert_eq!(bytes(&world, client, at, found.len()), found, "{at:#x}");
    }
}

/// A44.
#[test]
fn only_segments_matter() {
    let mut world = World::new();
    // The offset of the table of sections, and its entries' size and number: none of it is true.
    for offset in [0, 1, 60, 0x7fff_ffff, u32::MAX] {
        let file = with_word(program(), 32, offset);
        for sections in [0x0028_0020, 0x0001_0020, 0xffff_0020] {
            let client = world.client(AMPLE, None);
            // Behind the number of segments, which is 2.
            let file = with_word(with_word(file.clone(), 46, sections), 44, 2 | 40 << 16);
            let start = load(&mut world, client, &file).unwrap();
            assert_eq!(start.entry, 0x40_0010);
        }
    }
}

/// A44: each refusal names what is wrong, and comes before anything is mapped.
#[test]
fn segments_and_entries_that_cannot_be_are_refused_by_name() {
    let mut world = World::new();
    let two =
        |first, second| elf(&[CODE, (1, first, 0x1000, 6, b"a"), (1, second, 0x800, 4, b"b")]);
    let entry = |address| with_word(program(), 24, address);
    let bad_entry = |address| ImageError::BadEntry { address };
    let order = ImageError::Malformed("segments that are not in the order of their addresses");
    let files = [
        (two(0x40_3000, 0x40_3800), ImageError::Overlap { address: 0x40_3800 }),
        (two(0x40_3000, 0x40_3fff), ImageError::Overlap { address: 0x40_3fff }),
        (two(0x40_3000, 0x40_3000), ImageError::Overlap { address: 0x40_3000 }),
        (two(0x40_3000, 0x40_2000), order),
        (
            elf(&[CODE, (1, 0x40_3000, 0x1000, 7, b"both")]),
            ImageError::WritableCode { address: 0x40_3000 },
        ),
        (entry(0), bad_entry(0)),
        (entry(0x40_000f), bad_entry(0x40_000f)),
        (entry(0x40_0010 + 5000), bad_entry(0x40_0010 + 5000)),
        (entry(0x40_3000), bad_entry(0x40_3000)),
        (entry(u32::MAX), bad_entry(u64::from(u32::MAX))),
        (
            elf(&[CODE, (1, 0xdfff_f000, 0x1001, 4, &[])]),
            ImageError::BadSegment { address: 0xdfff_f000, bytes: 0x1001 },
        ),
        (with_word(program(), 44, 0xffff), ImageError::Unsupported("too many segments")),
        (with_word(program(), 44, 0), ImageError::Unsupported("no segments")),
    ];
    for (index, (file, error)) in files.iter().enumerate() {
        let client = world.client(AMPLE, None);
        let had = world.fixture.vmm.usage(client.space()).unwrap();
        assert_eq!(load(&mut world, client, file), Err((*error).into()), "file {index}");
        assert_eq!(world.fixture.vmm.usage(client.space()).unwrap(), had, "file {index}");
    }
    // The last byte is good enough.
    let client = world.client(AMPLE, None);
    load(&mut world, client, &entry(0x40_0010 + 4999)).unwrap();
}
