// SPDX-License-Identifier: BSD-2-Clause
//! CNodes of programs that ended, which the next have.

use vmm::{Invocation, Kernel, Rights as CapRights};
use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, Amounts, Answer, CNODE_SLOT, MemoryOptions, Name, ProgramOptions, Request, Rights,
};
use vmm_tests::model::Cap;

use crate::children::{CHILD, FILE, IT, PAYER, create, with_file};
use crate::elf::small;
use crate::world::{Program, World};

/// Where the maker has another child, an endpoint, and the kernel's capability to it.
const OTHER: u32 = 40;
const OBJECT: u32 = 41;
const ENDPOINT: u32 = 42;
/// Slots of the child's.
const GIVEN: u32 = 20;
const MADE: u32 = 23;
const PUT: u32 = 21;
/// A program has so many slots, of which the first four are filled when it begins.
const SLOTS: u32 = 512;

/// By which way a program may have a capability that does not end with its account.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Way {
    /// By none: all that it has is its account's.
    None,
    /// Its maker gives it an endpoint.
    Granted,
    /// It gives another program its CNode, which fills a slot.
    Gives,
    /// It has something that another account pays for.
    Another,
    /// Its server gives it an endpoint.
    Server,
}

/// A child with all that it can make and copy by itself, in each of its slots.
fn filled(world: &mut World, maker: Program, way: Way) -> Program {
    assert_eq!(world.ask(maker, create(CHILD), PAYER), Ok(Answer::Done {}));
    world.finish(maker, Request::Load {}, &[IT, FILE]);
    let child = world.start(maker);
    let copy = |world: &mut World, to, from| {
        world.fixture.vmm.kernel_mut().cnode_copy(to, from, CapRights::all()).is_ok()
    };
    match way {
        Way::None => {}
        Way::Granted => {
            let grant = Request::GrantKernel { slot: GIVEN };
            assert_eq!(world.ask(maker, grant, &[IT, ENDPOINT]), Ok(Answer::Done {}));
        }
        Way::Gives => {
            let grant = Request::Grant { rights: Rights::USE, slot: GIVEN };
            assert_eq!(world.ask(maker, grant, &[IT, OTHER]), Ok(Answer::Done {}));
            let grant = Request::GrantKernel { slot: GIVEN };
            assert_eq!(world.ask(child, grant, &[GIVEN, CNODE_SLOT]), Ok(Answer::Done {}));
            assert!(copy(world, child.slot(PUT), maker.slot(ENDPOINT)));
        }
        Way::Another => {
            let grant = Request::Grant { rights: Rights::USE, slot: GIVEN };
            assert_eq!(world.ask(maker, grant, &[IT, ACCOUNT_SLOT]), Ok(Answer::Done {}));
            let options = MemoryOptions::WRITABLE;
            let make = Request::CreateMemory { pages: 1, options, slot: PUT };
            assert_eq!(world.ask(child, make, &[GIVEN]), Ok(Answer::Done {}));
        }
        Way::Server => {
            let (vmm, kernel) = (&mut world.fixture.vmm, ENDPOINT);
            let spare = vmm.alloc_slots(1).unwrap();
            let path = vmm.allocator().path(spare);
            vmm.kernel_mut().cnode_copy(path, maker.slot(kernel), CapRights::all()).unwrap();
            let to = (PUT, spare);
            world.objects.give_capability(vmm, child.id, to, CapRights::all()).unwrap();
            vmm.kernel_mut().cnode_delete(path).unwrap();
            vmm.free_slots(spare, 1).unwrap();
        }
    }
    for (object, slot) in [(MADE, MADE + 10), (MADE + 1, MADE + 11)] {
        let endpoint = Request::CreateEndpoint { object, slot };
        assert_eq!(world.ask(child, endpoint, PAYER), Ok(Answer::Done {}));
    }
    world.memory(child, 1, MADE + 2);
    let badged = child.slot(MADE + 12);
    let kernel = world.fixture.vmm.kernel_mut();
    kernel.cnode_mint_badge(badged, child.slot(MADE + 11), CapRights::all(), 7).unwrap();
    let mut copies = 0;
    for slot in 1..SLOTS {
        let from = [1, 2, 3, CNODE_SLOT, PUT, MADE, MADE + 10, MADE + 12][slot as usize % 8];
        copies += u32::from(copy(world, child.slot(slot), child.slot(from)));
    }
    assert!(copies > SLOTS / 2, "{copies}");
    child
}

/// A209, I33: whatever was in the slots of programs that ended, the next ones find nothing in theirs;
/// and where all that one had was its account's, no CNode is made for the next.
#[test]
fn slots_are_empty_whoever_had_them() {
    for way in [Way::None, Way::Granted, Way::Gives, Way::Another, Way::Server] {
        let (mut world, maker) = with_file(&small());
        let endpoint = Request::CreateEndpoint { object: OBJECT, slot: ENDPOINT };
        assert_eq!(world.ask(maker, endpoint, PAYER), Ok(Answer::Done {}));
        let (options, name) = (ProgramOptions::empty(), Name::new("other"));
        let amounts = Amounts([20, 4, 40, 4, 2, 10, 20, 0]);
        let other =
            Request::CreateProgram { amounts, options, name, slot: OTHER, space: 0, account: 0 };
        assert_eq!(world.ask(maker, other, PAYER), Ok(Answer::Done {}));
        let child = filled(&mut world, maker, way);
        world.tell(child, Request::Exit { code: 0 });
        world.reap();
        world.finish(maker, Request::Destroy {}, &[IT]);

        let retypes =
            |world: &World| world.fixture.vmm.kernel_calls().of(Invocation::UntypedRetype);
        let before = retypes(&world);
        assert_eq!(world.ask(maker, create(CHILD), PAYER), Ok(Answer::Done {}));
        let made = retypes(&world) - before;
        // Its own and its root, or its root alone; and the root of its space.
        assert_eq!(made, if way == Way::None { 1 } else { 2 }, "{way:?}");
        world.finish(maker, Request::Load {}, &[IT, FILE]);
        let next = world.start(maker);
        for slot in CNODE_SLOT + 1..SLOTS {
            let found = world.fixture.kernel().cap_at(next.slot(slot));
            assert_eq!(found, Some(Cap::Null), "{way:?}: slot {slot}");
        }
        world.tell(next, Request::Exit { code: 0 });
        world.reap();
    }
}
