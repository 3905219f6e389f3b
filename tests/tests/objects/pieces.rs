// SPDX-License-Identifier: BSD-2-Clause
//! Bytes of memory objects, read and written by request.
//!
//! Checks A115 of `MODEL.md`.

use untyped_alloc::kernel::KernelError;
use vmm::Access;
use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, Answer, Kind, MemoryOptions, PIECE_BYTES, Piece, Refusal, Request, Rights,
    SPACE_SLOT,
};

use crate::failures::with_memory;
use crate::world::{A, AMPLE, B, C, PAGE, Program, World};

fn read(world: &mut World, program: Program, offset: usize, bytes: u32) -> Vec<u8> {
    match world.ask(program, Request::Read { offset, bytes }, &[A]) {
        Ok(Answer::Piece { piece }) => piece.bytes().to_vec(),
        other => panic!("{other:?}"),
    }
}

fn write(world: &mut World, program: Program, slot: u32, offset: usize, bytes: &[u8]) -> u32 {
    let piece = Piece::of(bytes);
    match world.ask(program, Request::Write { offset, piece }, &[slot]) {
        Ok(Answer::Bytes { bytes }) => bytes,
        other => panic!("{other:?}"),
    }
}

fn committed(world: &mut World, program: Program) -> u32 {
    match world.ask(program, Request::Info {}, &[A]) {
        Ok(Answer::Memory { committed, .. }) => committed,
        other => panic!("{other:?}"),
    }
}

/// What a thread of the space reads at an address.
fn first_word(world: &mut World, space: vmm::SpaceId, at: usize) -> u64 {
    let mut bytes = [0; 8];
    world.fixture.vmm.read(space, at, &mut bytes).unwrap();
    u64::from_le_bytes(bytes)
}

/// A115
#[test]
fn what_is_written_is_read_and_what_was_not_is_zero() {
    let (mut world, program) = World::one();
    world.memory(program, 3, A);
    assert_eq!(read(&mut world, program, 70, 5), [0; 5]);
    assert_eq!(committed(&mut world, program), 0, "reading takes no page");
    // As many as a piece has, and none of a further page.
    assert_eq!(write(&mut world, program, A, 2 * PAGE - 4, b"abcdefgh"), 4);
    assert_eq!(write(&mut world, program, A, 2 * PAGE, b"efgh"), 4);
    assert_eq!(committed(&mut world, program), 2);
    assert_eq!(read(&mut world, program, 2 * PAGE - 6, 100), b"\0\0abcd");
    assert_eq!(read(&mut world, program, 2 * PAGE + 1, 3), b"fgh");
    assert_eq!(read(&mut world, program, 0, 2 * PAGE as u32).len(), PIECE_BYTES);
    assert_eq!(read(&mut world, program, 3 * PAGE - 1, 1), [0]);
    world.check();
}

/// A115: it is the memory that mappings show, before they are touched and after.
#[test]
fn pieces_and_mappings_are_of_the_same_memory() {
    let (mut world, program) = World::one();
    let space = program.id.space();
    world.memory(program, 2, A);
    write(&mut world, program, A, PAGE, &7u64.to_le_bytes());
    let start = world.map(program, A, 2, Rights::READ_WRITE);
    for at in [start, start + PAGE] {
        assert!(world.touch(program, at, Access::Write));
    }
    assert_eq!(first_word(&mut world, space, start + PAGE), 7);
    write(&mut world, program, A, 0, &8u64.to_le_bytes());
    assert_eq!(first_word(&mut world, space, start), 8);
    world.fixture.write(space, start + PAGE, 9);
    assert_eq!(read(&mut world, program, PAGE, 8), 9u64.to_le_bytes());
    // A clone keeps to itself what is written to it.
    world.finish(program, Request::Unmap { address: start }, &[SPACE_SLOT]);
    world.ask(program, Request::Clone { slot: B }, &[A, ACCOUNT_SLOT]).unwrap();
    write(&mut world, program, B, PAGE, &10u64.to_le_bytes());
    assert_eq!(read(&mut world, program, PAGE, 8), 9u64.to_le_bytes());
    write(&mut world, program, A, 0, &11u64.to_le_bytes());
    let clone = world.map(program, B, 2, Rights::READ);
    for (at, value) in [(clone, 8), (clone + PAGE, 10)] {
        assert!(world.touch(program, at, Access::Read));
        assert_eq!(first_word(&mut world, space, at), value);
    }
    world.check();
}

/// A115
#[test]
fn what_is_not_there_or_not_allowed_is_refused() {
    let (mut world, program) = World::one();
    world.memory(program, 2, A);
    let byte = Piece::of(b"x");
    let end = 2 * PAGE;
    for (offset, bytes) in [(end, 1), (end - 1, 2), (usize::MAX, 1), (usize::MAX, 2), (0, u32::MAX)]
    {
        let beyond = Refusal::BeyondEnd { pages: 2 };
        world.refused(program, Request::Read { offset, bytes }, &[A], beyond);
    }
    for offset in [end, usize::MAX] {
        let beyond = Refusal::BeyondEnd { pages: 2 };
        world.refused(program, Request::Write { offset, piece: byte }, &[A], beyond);
    }
    let nothing = Refusal::BadLength { pages: 0 };
    world.refused(program, Request::Read { offset: 0, bytes: 0 }, &[A], nothing);
    let empty = Piece::of(&[]);
    world.refused(program, Request::Write { offset: 0, piece: empty }, &[A], nothing);
    // Each of the two takes its own right.
    let rights = [Rights::READ | Rights::USE, Rights::WRITE | Rights::USE, Rights::READ_WRITE];
    let reading = Request::Read { offset: 0, bytes: 1 };
    let writing = Request::Write { offset: 0, piece: byte };
    for (rights, refused) in rights.into_iter().zip([
        [(writing, Rights::WRITE)].as_slice(),
        &[(reading, Rights::READ)],
        &[(reading, Rights::USE), (writing, Rights::USE)],
    ]) {
        let restrict = Request::Restrict { rights, slot: B };
        world.ask(program, restrict, &[A, ACCOUNT_SLOT]).unwrap();
        for &(request, missing) in refused {
            world.refused(program, request, &[B], Refusal::NoRight { place: 0, missing });
        }
        world.delete(program, B);
    }
    let options = MemoryOptions::empty();
    let constant = Request::CreateMemory { pages: 1, options, slot: C };
    world.ask(program, constant, &[ACCOUNT_SLOT]).unwrap();
    let missing = Rights::WRITE;
    world.refused(program, writing, &[C], Refusal::NoRight { place: 0, missing });
    let found = Kind::Space;
    world.refused(program, reading, &[SPACE_SLOT], Refusal::WrongKind { place: 0, found });
}

/// A115: bytes behind a piece's end, and more than one has, are written by nobody.
#[test]
fn a_piece_with_more_than_its_bytes_is_malformed() {
    let message = Request::Write { offset: 0, piece: Piece::of(b"abcde") }.encode();
    assert_eq!(message.words()[1..4], [5, 0x6463_6261, 0x65]);
    for (word, value) in [(1, 4), (1, 97), (1, 1 << 20), (3, 0x165), (25, 1)] {
        let mut words = message.words().to_vec();
        words[word] = value;
        assert!(Request::parse(message.label(), &words).is_err(), "{word}");
    }
    let parsed = Request::parse(message.label(), message.words());
    assert!(matches!(parsed, Ok(Request::Write { piece, .. }) if piece.bytes() == b"abcde"));
}

/// A115: whichever call of one fails, nothing is lost, and it is made again; to memory that was
/// never touched, and to a clone.
#[test]
fn what_a_call_failed_of_is_read_and_written_again() {
    let piece = Piece::of(b"later");
    for (slot, offset, request) in [
        (A, 7, Request::Write { offset: 7, piece }),
        (A, PAGE, Request::Read { offset: PAGE, bytes: 8 }),
        (B, PAGE, Request::Write { offset: PAGE, piece }),
    ] {
        let mut failures = 0;
        for nth in 1.. {
            let (mut world, program) = with_memory(AMPLE);
            world.ask(program, Request::Clone { slot: B }, &[A, ACCOUNT_SLOT]).unwrap();
            world.fixture.kernel().fail_nth(nth, KernelError::IllegalOperation);
            let asked = world.ask(program, request, &[slot]);
            let failed = !world.fixture.kernel().disarm();
            if let Err(refusal) = asked {
                let own = matches!(refusal, Refusal::OutOfMemory {} | Refusal::Internal {});
                assert!(own && failed, "{request:?}, call {nth}: {refusal:?}");
                failures += 1;
                world.ask(program, request, &[slot]).unwrap();
            }
            if slot == B {
                assert_eq!(read(&mut world, program, offset, 5), [0; 5], "the origin's");
            } else if matches!(request, Request::Write { .. }) {
                assert_eq!(read(&mut world, program, offset, 5), b"later");
            }
            world.fixture.vmm.trim().unwrap();
            world.check();
            if !failed {
                break;
            }
        }
        println!("{}: {failures} failures", request.name());
        assert!(failures > 1, "{request:?}");
    }
}

/// A356: a page that the kernel does not let go of where it was written is read all the same, and
/// given to whoever it is for.
#[test]
fn a_page_that_is_held_where_it_was_written_is_read() {
    for error in [KernelError::IllegalOperation, KernelError::NotEnoughMemory] {
        let mut held = 0;
        for nth in 1.. {
            let (mut world, program) = World::one();
            world.memory(program, 2, A);
            world.fixture.kernel().fail_nth(nth, error);
            let piece = Piece::of(b"abc");
            let written = world.ask(program, Request::Write { offset: 9, piece }, &[A]);
            if !world.fixture.kernel().disarm() {
                assert!(written.is_err(), "call {nth}: {written:?}");
            } else {
                assert!(held > 0, "no page was there after a write that was refused");
                break;
            }
            held += committed(&mut world, program);
            let found = read(&mut world, program, 9, 3);
            assert!(found == b"abc" || found == [0; 3], "call {nth}: {found:?}");
            let start = world.map(program, A, 2, Rights::READ_WRITE);
            assert!(world.touch(program, start, Access::Write), "call {nth}");
        }
    }
}
