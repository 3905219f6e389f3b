// SPDX-License-Identifier: BSD-2-Clause
//! Files of which no program can be made, those for which there is no room, and those that change.

use vmm::Access;
use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, Amounts, Answer, ImageFault, Refusal, Request, Resource, Rights,
};

use crate::children::{CHILD, FILE, IT, ITS_SPACE, PAYER, create, with_file};
use crate::elf::{Elf, Segment, small};
use crate::support::Target;
use crate::world::{D, PAGE};

/// A195: a file that holds no program is refused, and nothing is left in the program's space: it
/// can be loaded from another.
#[test]
fn a_file_that_cannot_be_loaded_is_refused() {
    let target = Target::Ia32;
    let base = || Elf::of(target, 0x40_0000);
    let code = || Segment::code(0x40_0000, vec![5; 80]);
    const BAD: ImageFault = ImageFault::BadSegment;
    let tls = |at: usize, memory, align| Segment::tls(at, b"tls".to_vec(), align).in_memory(memory);
    let cases: Vec<(Vec<u8>, ImageFault, usize)> = vec![
        (b"\x7fELG".to_vec(), ImageFault::NotElf, 0),
        (base().bytes(), ImageFault::Unsupported, 0),
        #[cfg(target_pointer_width = "64")]
        (Elf::of(Target::X86_64, 0x40_0000).with(code()).bytes(), ImageFault::Unsupported, 0),
        (base().with(code()).entry(0x50_0000).bytes(), ImageFault::BadEntry, 0x50_0000),
        (
            base().with(code()).with(Segment::code(0x40_0010, vec![1])).bytes(),
            ImageFault::Overlap,
            0x40_0010,
        ),
        (base().with(Segment { flags: 7, ..code() }).bytes(), ImageFault::WritableCode, 0x40_0000),
        (base().with(Segment { flags: 0, ..code() }).bytes(), ImageFault::NoRights, 0x40_0000),
        (
            base().with(code()).with(Segment::data(0xf000_0000, vec![1])).bytes(),
            ImageFault::BadSegment,
            0xf000_0000,
        ),
        (base().with(code().at_offset(0x10_0000)).bytes(), ImageFault::CutOff, 0x10_0000),
        (
            base().with(code()).with(tls(usize::MAX - 7, 16, 4)).bytes(),
            BAD,
            (usize::MAX - 7) as u32 as usize,
        ),
        (base().with(code()).with(tls(0x40_0000, 2, 4)).bytes(), BAD, 0x40_0000),
        (base().with(code()).with(tls(0x40_0000, 16, 3)).bytes(), BAD, 0x40_0000),
        (base().with(code()).with(tls(0x40_0000, 16, 8192)).bytes(), BAD, 0x40_0000),
        (
            base().with(code()).with(tls(0x40_0000, 17 * PAGE, 4)).bytes(),
            ImageFault::TooMuchTls,
            17 * PAGE,
        ),
    ];
    // The table of segments lies where the file is looked at no more, or where it has ended.
    let far = |at: usize, bytes: usize| {
        let mut file = base().with(code()).bytes();
        file[28..32].copy_from_slice(&(at as u32).to_le_bytes());
        file.resize(bytes, 0);
        file
    };
    let cases = [
        cases,
        vec![
            (far(2 * PAGE, 3 * PAGE), ImageFault::Unsupported, 2 * PAGE),
            (far(3 * PAGE, 3 * PAGE), ImageFault::CutOff, 3 * PAGE),
        ],
    ]
    .concat();
    for (file, what, at) in cases {
        let (mut world, maker) = with_file(&file);
        world.ask(maker, create(CHILD), PAYER).unwrap();
        world.refused(maker, Request::Load {}, &[IT, FILE], Refusal::BadImage { what, at });
        world.store(maker, D, &small());
        world.finish(maker, Request::Load {}, &[IT, D]);
        world.start(maker);
    }
}

/// A195: neither an image that its account cannot pay, nor one that lies where something is, leaves
/// anything in its space.
#[test]
fn an_image_for_which_there_is_no_room_is_refused() {
    let image = Elf::of(Target::Ia32, 0x40_0000)
        .with(Segment::code(0x40_0000, vec![5; 80]))
        .with(Segment::data(0x50_0000, vec![7; 40]))
        .with(Segment::data(0x60_0000, vec![7; 40]).in_memory(40 * PAGE));
    let (mut world, maker) = with_file(&image.bytes());
    let few = Amounts([20, 20, 150, 8, 3, 20, 40, 0]);
    world.ask(maker, create(few), PAYER).unwrap();
    let refusal = world.ask(maker, Request::Load {}, &[IT, FILE]).unwrap_err();
    let Refusal::OutOfAccount { resource: Resource::Pages, wanted: 40, .. } = refusal else {
        panic!("{refusal:?}")
    };
    world.refused(maker, Request::Load {}, &[IT, FILE], refusal);
    world.finish(maker, Request::Destroy {}, &[IT]);
    world.ask(maker, create(CHILD), PAYER).unwrap();
    let map = Request::Map { address: 0x60_1000, first: 0, pages: 1, rights: Rights::READ };
    world.memory(maker, 1, D);
    world.ask(maker, map, &[ITS_SPACE, D, ACCOUNT_SLOT]).unwrap();
    let refusal = Refusal::Overlap { address: 0x60_1000 };
    world.refused(maker, Request::Load {}, &[IT, FILE], refusal);
    let unmap = Request::Unmap { address: 0x60_1000 };
    world.finish(maker, unmap, &[ITS_SPACE]);
    world.finish(maker, Request::Load {}, &[IT, FILE]);
}

/// A215: where one call may clear but little, a program is made, loaded and started all the same.
#[test]
fn a_program_that_is_promised_is_made_where_much_must_be_cleared() {
    let data = vec![7; 30 * PAGE + 40];
    let image = Elf::of(Target::Ia32, 0x40_0000)
        .with(Segment::code(0x40_0000, vec![5; 80]))
        .with(Segment::data(0x50_0ff0, data).in_memory(70 * PAGE));
    let (mut world, maker) = with_file(&image.bytes());
    let many = Amounts([160, 30, 400, 8, 3, 20, 40, 0]);
    // No page is ready, and none is clear.
    let own = world.fixture.own();
    world.fixture.vmm.trim().unwrap();
    world.fixture.vmm.limit_clearing(PAGE);
    while world.fixture.vmm.map(own, &vmm::RegionOptions::new(1)).is_ok() {}
    world.ask(maker, create(many), PAYER).unwrap();
    world.finish(maker, Request::Load {}, &[IT, FILE]);
    let child = world.start(maker);
    assert_eq!(world.bytes_at(child, 0x50_0fef), [0, 7, 7]);
    assert_eq!(world.bytes_at(child, 0x50_0ff0 + 30 * PAGE + 39), [7, 0, 0]);
    assert!(world.touch(child, 0x50_0000, Access::Write));
    world.check();
}

/// A195: who changes the file between two requests harms the program that it loads, and nobody
/// else.
#[test]
fn a_file_that_changes_while_it_is_read_costs_nobody_anything() {
    let image = |start: usize| {
        Elf::of(Target::Ia32, 0x40_0000)
            .with(Segment::code(0x40_0000, vec![5; 80]))
            .with(Segment::data(start, vec![7; 40]).in_memory(100 * PAGE))
    };
    for moved in [0x50_1000, 0x60_0000, 0x4f_0000] {
        let (mut world, maker) = with_file(&image(0x50_0000).bytes());
        let many = Amounts([160, 30, 400, 8, 3, 20, 40, 0]);
        world.ask(maker, create(many), PAYER).unwrap();
        world.memory(maker, 4, D);
        let map = Request::Map { address: 0x60_0000, first: 0, pages: 4, rights: Rights::READ };
        world.ask(maker, map, &[ITS_SPACE, D, ACCOUNT_SLOT]).unwrap();
        assert_eq!(world.ask(maker, Request::Load {}, &[IT, FILE]), Ok(Answer::More {}));
        let pages = image(moved).bytes().len().div_ceil(PAGE) as u32;
        let start = world.map(maker, FILE, pages, Rights::READ_WRITE);
        assert!(world.touch(maker, start, Access::Write));
        let bytes = image(moved).bytes();
        world.fixture.vmm.write(maker.id.space(), start, &bytes[..PAGE.min(bytes.len())]).unwrap();
        for _ in 0..4 {
            let _ = world.ask(maker, Request::Load {}, &[IT, FILE]);
        }
        // The pages of the mapping come from its memory object alone.
        let Ok(Answer::Memory { committed: 0, .. }) = world.ask(maker, Request::Info {}, &[D])
        else {
            panic!("it was touched")
        };
        let summary = world.ask(maker, Request::Info {}, &[ITS_SPACE]).unwrap();
        let Answer::Space { mapped, .. } = summary else { panic!("{summary:?}") };
        assert!(mapped <= 102, "{mapped} pages, of which 101 are paid");
        world.finish(maker, Request::Destroy {}, &[IT]);
        world.reap();
    }
}
