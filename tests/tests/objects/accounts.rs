// SPDX-License-Identifier: BSD-2-Clause
//! Guarantees, overcommit, and the end of an account with all that is charged to it.

use vmm::Access;
use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, AccountOptions, Amounts, Answer, MemoryOptions, Refusal, Request, Resource,
    Rights, SPACE_SLOT,
};

use crate::world::{A, AMPLE, B, C, D, PAGE, Program, World, account, only};

const SMALL: Amounts = Amounts([40, 10, 60, 2, 2, 10, 30, 0]);
const GUARANTEE: AccountOptions = AccountOptions::empty();

/// What is left of one resource in an account.
fn left(world: &mut World, program: Program, slot: u32, resource: Resource) -> u32 {
    match world.ask(program, Request::Info {}, &[slot]) {
        Ok(Answer::Account { limits, used, .. }) => limits.of(resource) - used.of(resource),
        other => panic!("{other:?}"),
    }
}

/// A147
#[test]
fn a_guarantee_is_taken_from_the_parent_at_once_and_comes_back() {
    let (mut world, program) = World::one();
    let pages = Resource::Pages;
    let before = left(&mut world, program, ACCOUNT_SLOT, pages);
    world.ask(program, account(SMALL, GUARANTEE, A), &[ACCOUNT_SLOT]).unwrap();
    // One for the root table of its store.
    assert_eq!(left(&mut world, program, ACCOUNT_SLOT, pages), before - 41);
    let give = |amount, back| Request::Give { amounts: only(pages, amount), back };
    world.ask(program, give(5, false), &[ACCOUNT_SLOT, A]).unwrap();
    assert_eq!(left(&mut world, program, A, pages), 45);
    assert_eq!(left(&mut world, program, ACCOUNT_SLOT, pages), before - 46);
    let request = Request::CreateMemory { pages: 40, options: MemoryOptions::empty(), slot: B };
    world.ask(program, request, &[A]).unwrap();
    let short = Refusal::OutOfAccount { resource: pages, wanted: 6, left: 5 };
    world.refused(program, give(6, true), &[ACCOUNT_SLOT, A], short);
    world.refused(program, give(0, true), &[A, ACCOUNT_SLOT], Refusal::NotRelated {});
    world.ask(program, give(5, true), &[ACCOUNT_SLOT, A]).unwrap();
    world.finish(program, Request::Destroy {}, &[A]);
    world.reap();
    assert!(world.is_empty(program, A) && world.is_empty(program, B));
    assert_eq!(left(&mut world, program, ACCOUNT_SLOT, pages), before);
}

/// A147
#[test]
fn what_one_account_takes_no_other_lacks() {
    let (mut world, greedy) = World::one();
    let neighbour = world.program(AMPLE);
    for slot in A..A + 200 {
        let request = Request::CreateMemory { pages: 7, options: MemoryOptions::empty(), slot };
        if world.ask(greedy, request, &[ACCOUNT_SLOT]).is_err() {
            break;
        }
    }
    let rest = left(&mut world, neighbour, ACCOUNT_SLOT, Resource::Pages);
    world.memory(neighbour, rest, A);
    let start = world.map(neighbour, A, rest, Rights::READ_WRITE);
    for page in 0..rest as usize {
        assert!(world.touch(neighbour, start + page * PAGE, Access::Write));
    }
}

/// A148
#[test]
fn overcommit_is_charged_when_it_is_used_to_all_above() {
    let (mut world, program) = World::one();
    let pages = Resource::Pages;
    let before = left(&mut world, program, ACCOUNT_SLOT, pages);
    for slot in [A, B] {
        let request = account(AMPLE, AccountOptions::OVERCOMMIT, slot);
        world.ask(program, request, &[ACCOUNT_SLOT]).unwrap();
    }
    assert_eq!(left(&mut world, program, ACCOUNT_SLOT, pages), before - 2);
    let most = before - 2;
    let memory =
        |pages, slot| Request::CreateMemory { pages, options: MemoryOptions::empty(), slot };
    world.ask(program, memory(most - 10, C), &[A]).unwrap();
    assert_eq!(left(&mut world, program, ACCOUNT_SLOT, pages), 10);
    let short = Refusal::Overcommitted { resource: pages };
    world.refused(program, memory(11, D), &[B], short);
    world.ask(program, memory(10, D), &[B]).unwrap();
    world.finish(program, Request::Destroy {}, &[A]);
    world.reap();
    assert!(world.is_empty(program, C));
    assert_eq!(left(&mut world, program, ACCOUNT_SLOT, pages), most + 1 - 10);
}

/// A149
#[test]
fn an_account_ends_with_all_below_it_wherever_it_is_mapped() {
    let (mut world, program) = World::one();
    let other = world.program(AMPLE);
    let before = (world.used(program, ACCOUNT_SLOT), world.objects.counts());
    world.ask(program, account(SMALL, GUARANTEE, A), &[ACCOUNT_SLOT]).unwrap();
    let inner = Amounts([10, 4, 20, 1, 1, 4, 10, 0]);
    world.ask(program, account(inner, GUARANTEE, B), &[A]).unwrap();
    let request = Request::CreateMemory { pages: 5, options: MemoryOptions::empty(), slot: C };
    world.ask(program, request, &[B]).unwrap();
    world.copy((program, C), (other, C));
    let start = world.map(other, C, 5, Rights::READ);
    assert!(world.touch(other, start, Access::Read));
    // A mapping that the account pays for, of memory that it does not.
    world.memory(program, 3, D);
    let map = Request::Map { address: 0, first: 0, pages: 3, rights: Rights::READ };
    let Ok(Answer::Mapped { address }) = world.ask(program, map, &[SPACE_SLOT, D, A]) else {
        panic!()
    };
    assert!(world.touch(program, address, Access::Read));
    world.finish(program, Request::Destroy {}, &[A]);
    world.reap();
    assert!(!world.touch(other, start, Access::Read));
    assert!(!world.touch(program, address, Access::Read));
    for slot in [A, B, C] {
        assert!(world.is_empty(program, slot), "{slot}");
    }
    world.finish(program, Request::Destroy {}, &[D]);
    assert_eq!((world.used(program, ACCOUNT_SLOT), world.objects.counts()), before);
}
