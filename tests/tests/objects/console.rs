// SPDX-License-Identifier: BSD-2-Clause
//! Lines for people, said by a capability to a console.

use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, AccountOptions, Amounts, Answer, CONSOLE_SLOT, Kind, Line, Message, PROGRAM_SLOT,
    Refusal, Request, Rights, SPACE_SLOT, answer_or_refusal,
};
use vmm_service::objects::{Arrived, Event};

use crate::world::{A, AMPLE, B, C, D, Program, World, account};

fn line() -> Request {
    Request::Say { line: Line::new("a line") }
}

/// What comes of a line that is said by the capabilities in these slots.
fn say(world: &mut World, program: Program, slots: &[u32]) -> (Result<Answer, Refusal>, bool) {
    let [Arrived::Own(badge)] = world.arrive(program, &[PROGRAM_SLOT])[..] else { panic!() };
    let arrived = world.arrive(program, slots);
    let outcome = world.send(badge, &line().encode(), &arrived);
    world.check();
    let told = outcome.event == Some(Event::Said(program.id, Line::new("a line")));
    assert!(told || outcome.event.is_none());
    let answer = outcome.answer.expect("an answer");
    (answer_or_refusal(answer.label(), answer.words()).unwrap(), told)
}

/// A191
#[test]
fn a_line_is_said_by_a_console() {
    let (mut world, program) = World::one();
    let info = world.ask(program, Request::Info {}, &[CONSOLE_SLOT]);
    assert_eq!(info, Ok(Answer::Object { kind: Kind::Console, rights: Rights::WRITE }));
    assert_eq!(say(&mut world, program, &[CONSOLE_SLOT]), (Ok(Answer::Done {}), true));
}

/// A191: refused, a line is told to nobody.
#[test]
fn a_line_by_anything_else_is_refused() {
    let mut world = World::new();
    let (program, mute) = (world.program(AMPLE), world.program_with(AMPLE, false));
    assert!(world.is_empty(mute, CONSOLE_SLOT));
    let weak = Request::Restrict { rights: Rights::empty(), slot: A };
    world.ask(program, weak, &[CONSOLE_SLOT, ACCOUNT_SLOT]).unwrap();
    world.ask(program, Request::CreateEndpoint { object: B, slot: C }, &[ACCOUNT_SLOT]).unwrap();
    let place = 0;
    let wrong: [(&[u32], Refusal); 7] = [
        (&[], Refusal::NoCapability { place }),
        (&[D], Refusal::NoCapability { place }),
        (&[SPACE_SLOT], Refusal::WrongKind { place, found: Kind::Space }),
        (&[B], Refusal::WrongKind { place, found: Kind::Endpoint }),
        (&[C], Refusal::ForeignCapability { place }),
        (&[A], Refusal::NoRight { place, missing: Rights::WRITE }),
        (&[CONSOLE_SLOT, CONSOLE_SLOT], Refusal::TooManyCapabilities { wanted: 1 }),
    ];
    for (slots, refusal) in wrong {
        assert_eq!(say(&mut world, program, slots), (Err(refusal), false), "{slots:?}");
    }
    let none = Refusal::NoCapability { place };
    assert_eq!(say(&mut world, mute, &[CONSOLE_SLOT]), (Err(none), false));
    // A line that is cut short, or too long.
    let said = line().encode();
    let [Arrived::Own(badge)] = world.arrive(program, &[PROGRAM_SLOT])[..] else { panic!() };
    let console = world.arrive(program, &[CONSOLE_SLOT]);
    let longer = [said.words(), &[0][..]].concat();
    for words in [&said.words()[1..], &longer[..]] {
        let outcome = world.send(badge, &Message::new(said.label(), words), &console);
        assert_eq!(outcome.event, None);
    }
}

/// A191: nobody ends the console, or has more of it than it was given.
#[test]
fn a_console_is_only_said_lines_at() {
    let (mut world, program) = World::one();
    let (place, console) = (0, [CONSOLE_SLOT]);
    let missing = Rights::DESTROY;
    world.refused(program, Request::Destroy {}, &console, Refusal::NoRight { place, missing });
    let missing = Rights::REVOKE;
    let revoke = Request::Revoke { slot: A };
    world.refused(program, revoke, &console, Refusal::NoRight { place, missing });
    let more = Request::Restrict { rights: Rights::READ_WRITE, slot: A };
    let beyond = Refusal::BeyondRights { asked: Rights::READ };
    world.refused(program, more, &[CONSOLE_SLOT, ACCOUNT_SLOT], beyond);
    let map = Request::Map { address: 0, first: 0, pages: 1, rights: Rights::READ };
    let wrong = Refusal::WrongKind { place: 1, found: Kind::Console };
    world.refused(program, map, &[SPACE_SLOT, CONSOLE_SLOT, ACCOUNT_SLOT], wrong);
}

/// A191 A149: passed on, it is told whose line it is; and it ends with the account that pays for
/// it.
#[test]
fn a_console_is_lent_and_taken_back() {
    let mut world = World::new();
    let (lends, mute) = (world.program(AMPLE), world.program_with(AMPLE, false));
    let amounts = Amounts([1, 1, 10, 0, 1, 5, 5, 0]);
    world.ask(lends, account(amounts, AccountOptions::empty(), A), &[ACCOUNT_SLOT]).unwrap();
    let lent = Request::Restrict { rights: Rights::WRITE, slot: B };
    world.ask(lends, lent, &[CONSOLE_SLOT, A]).unwrap();
    world.copy((lends, B), (mute, C));
    assert_eq!(say(&mut world, mute, &[C]), (Ok(Answer::Done {}), true));
    world.finish(lends, Request::Destroy {}, &[A]);
    assert!(world.is_empty(mute, C) && world.is_empty(lends, B));
    let none = Refusal::NoCapability { place: 0 };
    assert_eq!(say(&mut world, mute, &[C]), (Err(none), false));
    assert_eq!(say(&mut world, lends, &[CONSOLE_SLOT]), (Ok(Answer::Done {}), true));
    // It ends with no program.
    world.objects.kill(lends.id).unwrap();
    world.reap();
    assert_eq!(world.objects.counts()[0], 2 + 3);
}
