// SPDX-License-Identifier: BSD-2-Clause
//! Ends that are told although what is told of goes with them, in the same request.

use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, AccountOptions, Amounts, Answer, Request, Resource,
};

use crate::children::{CHILD, FILE, IT, PAYER, create, with_file};
use crate::elf::small;
use crate::threads::thread;
use crate::world::D;

const TOLD: u32 = D + 1;
const ACCOUNT: u32 = D + 2;
const THREAD: u32 = D + 3;

/// A310: the end of a program is told to who asked for that, whether the program is destroyed or
/// the account that pays for it, and once; nothing is left.
#[test]
fn a_programs_end_is_told_with_the_end_of_its_record() {
    for ends in [IT, ACCOUNT] {
        let (mut world, maker) = with_file(&small());
        let notification = Request::CreateNotification { object: D, slot: TOLD };
        world.ask(maker, notification, PAYER).unwrap();
        let before = world.used(maker, ACCOUNT_SLOT);
        let amounts = Amounts(CHILD.0.map(|amount| amount + 4)).with(Resource::LargePages, 0);
        let options = AccountOptions::empty();
        let account = Request::CreateAccount { amounts, options, slot: ACCOUNT };
        world.ask(maker, account, PAYER).unwrap();
        world.ask(maker, create(CHILD), &[ACCOUNT]).unwrap();
        world.finish(maker, Request::Load {}, &[IT, FILE]);
        world.start(maker);
        assert_eq!(world.ask(maker, Request::TellEnd {}, &[IT, TOLD]), Ok(Answer::Done {}));
        assert_eq!(world.notices(), 0);
        world.finish(maker, Request::Destroy {}, &[ends]);
        assert_eq!(world.notices(), 1, "slot {ends}");
        if ends == IT {
            world.finish(maker, Request::Destroy {}, &[ACCOUNT]);
        }
        assert_eq!(world.notices(), 0, "it is told once");
        assert_eq!(world.used(maker, ACCOUNT_SLOT), before);
    }
}

/// A310: so is a thread's, by whatever it ends.
#[test]
fn a_threads_end_is_told_with_the_end_of_its_record() {
    let (mut world, program) = with_file(&small());
    let notification = Request::CreateNotification { object: D, slot: TOLD };
    world.ask(program, notification, PAYER).unwrap();
    world.ask(program, thread(THREAD), PAYER).unwrap();
    assert_eq!(world.ask(program, Request::TellEnd {}, &[THREAD, TOLD]), Ok(Answer::Done {}));
    world.finish(program, Request::Destroy {}, &[THREAD]);
    assert_eq!(world.notices(), 1);
    assert_eq!(world.notices(), 0, "it is told once");
}
