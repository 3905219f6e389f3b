// SPDX-License-Identifier: BSD-2-Clause
//! Programs whose CNodes have few slots.

use vmm::{CPtr, CapPath, Kernel, Rights as CapRights};
use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, AccountOptions, Answer, CNODE_BITS, CNODE_SLOT, FEW_CNODE_BITS, Name,
    ProgramOptions, Refusal, Request, Resource, Rights,
};
use vmm_tests::model::Cap;

use crate::children::{CHILD, FILE, IT, ITS_SPACE, PAYER, with_file};
use crate::elf::small;
use crate::world::{Program, World, account};

/// Where the maker has its child's account.
const ITS_ACCOUNT: u32 = 40;

fn create(options: ProgramOptions) -> Request {
    let name = Name::new("child");
    let (amounts, slot, space) = (CHILD, IT, ITS_SPACE);
    Request::CreateProgram { amounts, options, name, slot, space, account: ITS_ACCOUNT }
}

impl World {
    /// What is in a slot of a program's CNode, of so many slots.
    fn in_slot(&self, cnode: CPtr, slot: u32, depth: u8) -> Option<Cap> {
        self.fixture.kernel().cap_at(CapPath { root: cnode, index: slot as usize, depth })
    }

    /// What a pointer of a program's leads to; its CSpace has a first level of 16 slots.
    fn at_pointer(&self, program: Program, pointer: usize) -> Option<Cap> {
        let kernel = self.fixture.kernel();
        let Cap::CNode { base, .. } = kernel.tcb(program.start.tcb).unwrap().cspace else {
            panic!()
        };
        let is = |&at: &CPtr| matches!(kernel.cap(at), Cap::CNode { base: own, .. } if own == base);
        let root = (0..65536).map(CPtr::new).find(is).unwrap();
        kernel.cap_at(CapPath { root, index: pointer, depth: 32 })
    }

    /// The pages that a child's account has used.
    fn pages_used(&mut self, maker: Program) -> u32 {
        match self.ask(maker, Request::Info {}, &[ITS_ACCOUNT]) {
            Ok(Answer::Account { used, .. }) => used.of(Resource::Pages),
            other => panic!("{other:?}"),
        }
    }
}

/// A237: a program with few slots has those below and no other: for what it is given, in the
/// pointers of its threads, and in invocations of its CNode, where a slot's index has as many bits
/// as any program's.
#[test]
fn a_program_has_as_many_slots_as_its_maker_said() {
    let (few, many) = (1 << FEW_CNODE_BITS, 1 << CNODE_BITS);
    for (options, slots, bits) in [
        (ProgramOptions::empty(), many, CNODE_BITS),
        (ProgramOptions::FEW_SLOTS, few, FEW_CNODE_BITS),
        (ProgramOptions::FEW_SLOTS | ProgramOptions::SUSPEND_AT_FAULT, few, FEW_CNODE_BITS),
    ] {
        let (mut world, maker) = with_file(&small());
        let before = world.figures();
        assert_eq!(world.ask(maker, create(options), PAYER), Ok(Answer::Done {}));
        world.finish(maker, Request::Load {}, &[IT, FILE]);
        let grant = |slot| Request::Grant { rights: Rights::READ, slot };
        for slot in [0, slots, slots + 1, many, u32::MAX] {
            world.refused(maker, grant(slot), &[IT, FILE], Refusal::BadSlot { slot });
        }
        let last = slots - 1;
        assert_eq!(world.ask(maker, grant(last), &[IT, FILE]), Ok(Answer::Done {}));
        let child = world.start(maker);
        let given = world.in_slot(child.cnode, last, bits).unwrap();
        assert!(!given.is_null());
        assert_eq!(world.at_pointer(child, last as usize), Some(given));
        assert_eq!(world.at_pointer(child, slots as usize), None);
        // By the capability that the program has to its CNode.
        let own = CapPath { root: child.cnode, index: CNODE_SLOT as usize, depth: bits };
        let to = world.fixture.vmm.alloc_slots(1).unwrap();
        let path = world.fixture.vmm.allocator().path(to);
        world.fixture.vmm.kernel_mut().cnode_copy(path, own, CapRights::all()).unwrap();
        assert_eq!(world.in_slot(to, last, CNODE_BITS), Some(given));
        for slot in few..many {
            assert_eq!(world.in_slot(to, slot, CNODE_BITS).is_some(), slot < slots, "{slot}");
        }
        world.fixture.vmm.kernel_mut().cnode_delete(path).unwrap();
        world.fixture.vmm.free_slots(to, 1).unwrap();
        world.finish(maker, Request::Destroy {}, &[IT]);
        world.reap();
        assert_eq!(world.figures(), before);
    }
}

/// A237: it asks by its own slots as other programs do, and is refused another's numbers.
#[test]
fn a_program_with_few_slots_asks_as_others_do() {
    let (mut world, maker) = with_file(&small());
    world.ask(maker, create(ProgramOptions::FEW_SLOTS), PAYER).unwrap();
    world.finish(maker, Request::Load {}, &[IT, FILE]);
    let child = Program { cnode_bits: FEW_CNODE_BITS, ..world.start(maker) };
    let amounts = CHILD.with(Resource::Pages, 1).with(Resource::Spaces, 0);
    let own = |slot| account(amounts, AccountOptions::OVERCOMMIT, slot);
    let last = (1 << FEW_CNODE_BITS) - 1;
    world.refused(child, own(last + 1), &[ACCOUNT_SLOT], Refusal::BadSlot { slot: last + 1 });
    assert_eq!(world.ask(child, own(last), &[ACCOUNT_SLOT]), Ok(Answer::Done {}));
    world.refused(child, own(last), &[ACCOUNT_SLOT], Refusal::SlotOccupied { slot: last });
    world.finish(child, Request::Destroy {}, &[last]);
    assert!(world.is_empty(child, last));
}

/// A237: its account is charged for the slots that it has: with 512 of 16 bytes that are two pages.
#[test]
fn few_slots_cost_a_page() {
    let mut used = [ProgramOptions::empty(), ProgramOptions::FEW_SLOTS].map(|options| {
        let (mut world, maker) = with_file(&small());
        world.ask(maker, create(options), PAYER).unwrap();
        world.pages_used(maker)
    });
    used[0] -= 1;
    assert_eq!(used[0], used[1]);
}
