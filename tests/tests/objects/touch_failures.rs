// SPDX-License-Identifier: BSD-2-Clause
//! Touches of pages, as the server hands them on: each kernel call fails, and each of frames, slots
//! and nodes is short. Copies of private mappings are in `private_failures`.

use vmm::{Access, KernelError, PageFault, Resolution};
use vmm_service::objects::Touched;
use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, Answer, MemoryOptions, Request, Rights, SPACE_SLOT, Supply,
};

use crate::changing_failures::{shortages, uncleared};
use crate::large::{create as create_large, unit, with_large, world as large_world};
use crate::paging::{BOTH, scene, supply, waits, write_own};
use crate::private::{get, private_scene, put};
use crate::support::ballast::{Ballast, ENOUGH};
use crate::support::{Fixture, Target};
use crate::world::{A, AMPLE, B, PAGE, Program, World};

/// A page that a program is about to touch, and what it reads there afterwards.
struct Touch {
    world: World,
    program: Program,
    at: usize,
    access: Access,
    holds: u64,
}

type Make = fn() -> Touch;
type Load = fn(&mut Fixture<'static>, usize) -> Ballast;

const ALL: [Make; 14] = [
    first_touch,
    second_mapping,
    page_of_an_origin,
    page_of_a_clone,
    write_to_an_origin,
    write_to_a_clone,
    page_that_was_supplied,
    first_write_to_a_page_that_was_supplied,
    first_write_amid_others,
    page_that_is_private,
    write_to_a_page_that_is_private,
    write_to_a_private_page_that_was_read,
    page_of_a_device,
    large_page,
];

fn first_touch() -> Touch {
    let (mut world, program) = World::one();
    world.memory(program, 4, A);
    let at = world.map(program, A, 4, Rights::READ_WRITE) + PAGE;
    Touch { world, program, at, access: Access::Write, holds: 0 }
}

fn second_mapping() -> Touch {
    let Touch { mut world, program, at, access, .. } = first_touch();
    put(&mut world, program, at, 7);
    let again = world.map(program, A, 4, Rights::READ_WRITE) + PAGE;
    Touch { world, program, at: again, access, holds: 7 }
}

/// Of two pages at a physical address, the second.
fn page_of_a_device() -> Touch {
    let mut world = World::new();
    let program = world.driver(AMPLE);
    let (address, options) = (world.fixture.machine.device(), MemoryOptions::WRITABLE);
    let create = Request::CreatePhysical { address, pages: 2, options, slot: A };
    world.ask(program, create, &[ACCOUNT_SLOT]).unwrap();
    let at = world.map(program, A, 2, Rights::READ_WRITE) + PAGE;
    Touch { world, program, at, access: Access::Write, holds: 0 }
}

/// Of two large pages, the second.
fn large_page() -> Touch {
    let mut world = large_world(Target::Ia32);
    let program = world.program(with_large(2));
    create_large(&mut world, program, 2, A);
    let unit = unit(&world);
    let at = world.map(program, A, 2 * unit, Rights::READ_WRITE) + unit as usize * PAGE;
    Touch { world, program, at, access: Access::Write, holds: 0 }
}

/// Of memory with a clone, the page is in both; one of the two is touched.
fn cloned(slot: u32, access: Access) -> Touch {
    let Touch { mut world, program, at, .. } = first_touch();
    put(&mut world, program, at, 7);
    let address = at - PAGE;
    world.finish(program, Request::Unmap { address }, &[SPACE_SLOT]);
    let clone = Request::Clone { slot: B };
    assert_eq!(world.ask(program, clone, &[A, ACCOUNT_SLOT]), Ok(Answer::Done {}));
    let at = world.map(program, slot, 4, Rights::READ_WRITE) + PAGE;
    Touch { world, program, at, access, holds: 7 }
}

fn page_of_an_origin() -> Touch {
    cloned(A, Access::Read)
}

fn page_of_a_clone() -> Touch {
    cloned(B, Access::Read)
}

fn write_to_an_origin() -> Touch {
    cloned(A, Access::Write)
}

fn write_to_a_clone() -> Touch {
    cloned(B, Access::Write)
}

fn page_that_was_supplied() -> Touch {
    let (mut world, pager, program, start) = scene(4, 4);
    write_own(&mut world, pager, 1, 7);
    world.ask(pager, supply(1, 1, 1, Supply::Give, true), BOTH).unwrap();
    Touch { world, program, at: start + PAGE, access: Access::Read, holds: 7 }
}

fn first_write_to_a_page_that_was_supplied() -> Touch {
    let mut touch = page_that_was_supplied();
    get(&mut touch.world, touch.program, touch.at);
    Touch { access: Access::Write, ..touch }
}

fn first_write_amid_others() -> Touch {
    let (mut world, pager, program, start) = scene(4, 4);
    (0..4).for_each(|page| write_own(&mut world, pager, page, 7));
    world.ask(pager, supply(0, 4, 0, Supply::Give, true), BOTH).unwrap();
    for page in 0..4 {
        get(&mut world, program, start + page * PAGE);
    }
    Touch { world, program, at: start + PAGE, access: Access::Write, holds: 7 }
}

/// Of a private mapping of two pages that were supplied.
fn private(access: Access) -> Touch {
    let (mut world, pager, program, at) = private_scene(4, 4);
    world.ask(pager, supply(0, 2, 0, Supply::Give, true), BOTH).unwrap();
    Touch { world, program, at, access, holds: 0x100 }
}

fn page_that_is_private() -> Touch {
    private(Access::Read)
}

fn write_to_a_page_that_is_private() -> Touch {
    private(Access::Write)
}

fn write_to_a_private_page_that_was_read() -> Touch {
    let mut touch = private(Access::Write);
    get(&mut touch.world, touch.program, touch.at);
    touch
}

impl Touch {
    /// What processor, manager and service make of it once; whether it was refused.
    fn fails(&mut self) -> bool {
        let (space, access, address) = (self.program.id.space(), self.access, self.at);
        let world = &mut self.world;
        let vspace = world.fixture.vmm.vspace(space).unwrap();
        let present = world.fixture.kernel().mapping(vspace, address).is_some();
        let fault = PageFault { address, access, present, ip: 0 };
        world.objects.note_fault(Some(space), None);
        let vmm = &mut world.fixture.vmm;
        let touched = match vmm.resolve_fault(space, &fault) {
            Ok(Resolution::AskPager { token, page }) => {
                world.objects.touch(vmm, (token, page), access == Access::Write)
            }
            Ok(Resolution::Unresolved(_)) => world.objects.touch_to_write(vmm, address),
            Ok(Resolution::Resolved(_)) => Ok(Touched::Done),
            Err(error) => Err(error),
        };
        world.check();
        assert!(touched.is_err() || touched == Ok(Touched::Done), "{touched:?}");
        touched.is_err()
    }

    /// Touched again, it is there and holds what it should; and nobody else's is written by it.
    fn comes(mut self) {
        assert_eq!(get(&mut self.world, self.program, self.at), self.holds);
        put(&mut self.world, self.program, self.at, 0x42);
        assert_eq!(get(&mut self.world, self.program, self.at), 0x42);
        if let Ok(Answer::Memory { .. }) = self.world.ask(self.program, Request::Info {}, &[B]) {
            let both = [A, B].map(|slot| first_byte(&mut self.world, self.program, slot));
            assert!(both.contains(&7) && both.contains(&0x42), "{both:?}");
        }
    }
}

/// The first byte of the second page of a program's memory.
fn first_byte(world: &mut World, program: Program, slot: u32) -> u8 {
    match world.ask(program, Request::Read { offset: PAGE, bytes: 1 }, &[slot]) {
        Ok(Answer::Piece { piece }) => piece.bytes()[0],
        other => panic!("{other:?}"),
    }
}

/// A357: whichever call fails of a touch, it is refused with all as it was or made up for, and the
/// page comes when it is touched again.
#[test]
fn a_touch_that_fails_is_made_again() {
    let mut failures = 0;
    for make in ALL {
        for error in [KernelError::IllegalOperation, KernelError::NotEnoughMemory] {
            for nth in 1.. {
                let mut touch = make();
                let used = touch.world.used(touch.program, ACCOUNT_SLOT);
                touch.world.fixture.kernel().fail_nth(nth, error);
                let refused = touch.fails();
                let failed = !touch.world.fixture.kernel().disarm();
                assert!(!refused || failed, "call {nth}");
                assert_eq!(touch.world.used(touch.program, ACCOUNT_SLOT), used, "it costs nothing");
                touch.comes();
                if !failed {
                    assert!(nth > 1, "no call was made to fail");
                    break;
                }
                failures += usize::from(refused);
            }
        }
    }
    assert!(failures > 20, "{failures} touches were refused");
}

/// A357: with n frames, slots or nodes left the page comes, or all is as it was and it comes when
/// there is enough.
#[test]
fn want_of_anything_leaves_a_page_to_be_touched() {
    let loads: [(&str, Load); 3] = [
        ("frames", |fixture, left| Ballast::of_frames(fixture, left)),
        ("slots", |fixture, left| Ballast::of_slots(fixture, left)),
        ("nodes", |fixture, left| Ballast::of_nodes(fixture, left)),
    ];
    let mut refused = [0; 3];
    for make in ALL {
        for (kind, (what, load)) in loads.into_iter().enumerate() {
            let mut touch = make();
            // Without memory it can fail however many nodes there are.
            let most = if what == "nodes" { 8 } else { ENOUGH };
            for left in 0..=most {
                let ballast = load(&mut touch.world.fixture, left);
                let fails = touch.fails();
                ballast.drop(&mut touch.world.fixture);
                refused[kind] += usize::from(fails);
                assert!(!fails || left < most || what == "nodes", "{left} {what} are not enough");
                if !fails {
                    break;
                }
            }
            touch.comes();
        }
    }
    assert!(refused.iter().all(|&often| often > 2), "{refused:?}");
}

/// A352: free memory that is not cleared serves a touch, too, where one call may clear but little.
#[test]
fn memory_that_is_not_cleared_serves_a_touch() {
    for (number, make) in ALL.into_iter().enumerate() {
        for short in shortages() {
            let mut touch = make();
            touch.world.objects.stretch(&mut touch.world.fixture.vmm, 40).unwrap();
            let ballast = uncleared(&mut touch.world.fixture, short);
            assert!(!touch.fails(), "touch {number} with {} left of what is short", short.left);
            touch.world.fixture.vmm.limit_clearing(usize::MAX);
            ballast.drop(&mut touch.world.fixture);
            touch.comes();
        }
    }
}

/// A357: a touch of what a device has, of what nobody maps, and beyond the end of a mapping's
/// memory brings nothing, and a page that a pager refuses is a fault.
#[test]
fn a_touch_that_cannot_be_served_changes_nothing() {
    let mut world = World::new();
    let program = world.driver(AMPLE);
    let (address, options) = (world.fixture.machine.device(), MemoryOptions::empty());
    let create = Request::CreatePhysical { address, pages: 2, options, slot: A };
    world.ask(program, create, &[ACCOUNT_SLOT]).unwrap();
    let start = world.map(program, A, 2, Rights::READ);
    assert!(world.touch(program, start + PAGE, Access::Read));
    let before = world.figures();
    for (at, access) in
        [(start, Access::Write), (start + 2 * PAGE, Access::Read), (0x2000_0000, Access::Read)]
    {
        assert!(!world.touch(program, at, access), "{at:#x}, {access:?}");
    }
    assert_eq!(world.figures(), before);
    let (mut world, pager, reader, start) = scene(4, 4);
    assert!(waits(&mut world, reader, start, Access::Read));
    world.ask(pager, Request::Refuse { page: 0, wait: 0 }, &[A]).unwrap();
    assert_eq!(world.objects.next_thread(), Some(reader.start.tcb));
    assert!(!world.touch(reader, start, Access::Read), "the thread has a fault there");
}
