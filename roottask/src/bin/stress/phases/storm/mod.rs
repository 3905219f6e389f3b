// SPDX-License-Identifier: BSD-2-Clause
//! Fault storms: several threads at once touch memory that comes when it is touched.
//!
//! ```text
//!   place 0: own space or another      place 1: its clone, copy-on-write
//!     area  on demand, 1 to 16 pages      the same areas at the same addresses
//!     area  there, then shared with
//!            the clone
//!     threads, each with its list         threads, each with its list
//!         └───────────── faults ──────┬──────┘
//!                                     ▼
//!                       our loop: ReplyRecv, one fault after another
//! ```
//!
//! When all have ended, every page is read through another mapping: it must hold what the threads
//! of its place wrote, as far as each got, and nothing of the other place's.

mod places;

use alloc::vec::Vec;

use roottask::{check, Failure, Outcome};
use sel4_root_task::debug_println;
use vmm::{CPtr, Quota, SpaceId};

use super::all_slots;
use crate::engine::Stress;
use crate::measure::Kind;
use crate::threads::touch_areas::{self, MAX_THREADS};
use crate::threads::{
    end_of, restore_own_priority, set_own_priority, Ended, FaultServer, Note, Program, Touch,
    Worker,
};
use places::Place;

/// A thread, and what it is to do.
struct Member {
    worker: Worker,
    place: usize,
    list: Vec<Touch>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// It runs, or its fault is not answered yet.
    Alive,
    /// It was stopped because something was short.
    Short,
    /// It has come to the end of its list.
    Done,
    /// It was stopped for no reason, in the midst of a fault.
    Killed,
}

/// What is made short while a storm goes on.
enum Shortage {
    None,
    Quota(SpaceId),
    Slots(Vec<(CPtr, usize)>),
}

/// A storm or two.
pub fn run(stress: &mut Stress) -> Outcome {
    stress.repeat(1, 3, storm)
}

fn storm(stress: &mut Stress) -> Outcome {
    let Some(mut fault_server) = FaultServer::open(stress)? else { return Ok(()) };
    let own = stress.expected.own();
    let space = stress.own_or_new_space()?;
    if let Some(space) = space {
        if let Some(program) = Program::load(stress, space)? {
            let mut places = places::make(stress, space, program.address())?;
            let mut members = muster(stress, &fault_server, &mut places)?;
            serve(stress, &mut fault_server, &places, &mut members)?;
            expect(&mut places, &members)?;
            places::check(stress, &places)?;
            for member in members {
                member.worker.release(stress)?;
            }
            places::give_back(stress, places)?;
            program.release(stress)?;
        }
        if space != own {
            stress.must(Kind::DestroySpace, |vmm| vmm.destroy_space(space))?;
        }
    }
    fault_server.close(stress)
}

/// Threads for the places, with their lists. None of them runs yet.
fn muster(
    stress: &mut Stress,
    fault_server: &FaultServer,
    places: &mut [Place],
) -> Outcome<Vec<Member>> {
    // One alone takes frame after frame of one batch, as a heap does that grows.
    let count = if stress.random.once_in(4) { 1 } else { stress.random.within(2, MAX_THREADS) };
    let mut members = Vec::new();
    for (number, priority) in stress.priorities(count).into_iter().enumerate() {
        let place = stress.random.below(places.len());
        let list = touch_areas::list(stress, &places[place].areas, number);
        let space = places[place].space;
        let made = Worker::make(stress, fault_server.endpoint(), space, 1, priority)?;
        let Some(worker) = made else { continue };
        match worker.take_list(stress, &list)? {
            true => members.push(Member { worker, place, list, state: State::Alive }),
            false => worker.release(stress)?,
        }
    }
    Ok(members)
}

/// Lets all threads run, and answers their faults until none is left that goes on.
fn serve(
    stress: &mut Stress,
    fault_server: &mut FaultServer,
    places: &[Place],
    members: &mut [Member],
) -> Outcome {
    let mut shortage = shortage(stress, places)?;
    // The message at which its sender is killed.
    let mut until_kill = stress.random.once_in(3).then(|| stress.random.size(64));
    set_own_priority(stress.own_priority(MAX_THREADS))?;
    for member in members.iter() {
        member.worker.start_touching(places[member.place].code)?;
    }
    let mut answer = None;
    loop {
        let over = members.iter().all(|member| member.state != State::Alive);
        if over && !relieve(stress, &mut shortage, members)? {
            break;
        }
        let message = fault_server.receive(answer.take());
        until_kill = until_kill.and_then(|left| left.checked_sub(1));
        if until_kill == Some(0) {
            let victim = find(members, message.badge)?;
            victim.worker.stop()?;
            victim.state = State::Killed;
            continue;
        }
        if stress.random.once_in(64) {
            stress.must(Kind::Trim, |vmm| vmm.trim())?;
        }
        let handled = fault_server.handle(stress, &message)?;
        answer = handled.answer;
        if let Some(note) = handled.incident {
            let member = find(members, note.thread.badge())?;
            member.state = check_incident(&note, places[member.place].code, member)?;
        }
    }
    restore_own_priority()
}

fn find(members: &mut [Member], badge: usize) -> Outcome<&mut Member> {
    let found = members.iter_mut().find(|member| member.worker.badge() == badge);
    found.ok_or(Failure::Manager(vmm::Error::NoSuchThread(vmm::ThreadId::from_parts(badge, 0))))
}

/// What a thread that was stopped has come to. Nothing is as it should be but the end of its list,
/// and a lack.
fn check_incident(note: &Note, code: usize, member: &Member) -> Outcome<State> {
    let (end, at) = (end_of(code, &note.fault), member.worker.progress()?);
    let done = end == Some(Ended::Done) && at == member.list.len();
    let short = end.is_none() && note.error.is_some();
    if !done && !short {
        debug_println!("stress: {note:x?}, in touch {at}: {:x?}", member.list.get(at));
    }
    check!(done || short);
    Ok(if done { State::Done } else { State::Short })
}

/// Makes something short, as a rule nothing.
fn shortage(stress: &mut Stress, places: &[Place]) -> Outcome<Shortage> {
    let own = stress.expected.own();
    match stress.random.below(128) {
        0 => Ok(Shortage::Slots(all_slots::take(stress)?)),
        1..=32 => {
            let space = places[stress.random.below(places.len())].space;
            let room = stress.random.size(64);
            if space == own {
                return Ok(Shortage::None);
            }
            let frames = stress.vmm.usage(space)?.frames + room - 1;
            let quota = Quota { frames, ..Quota::UNLIMITED };
            stress.must(Kind::Quota, |vmm| vmm.set_quota(space, quota))?;
            Ok(Shortage::Quota(space))
        }
        _ => Ok(Shortage::None),
    }
}

/// Ends a shortage, and lets those go on that were stopped by it. Says whether anybody does.
fn relieve(stress: &mut Stress, shortage: &mut Shortage, members: &mut [Member]) -> Outcome<bool> {
    match core::mem::replace(shortage, Shortage::None) {
        Shortage::None => return Ok(false),
        Shortage::Quota(space) => {
            stress.must(Kind::Quota, |vmm| vmm.set_quota(space, Quota::UNLIMITED))?
        }
        Shortage::Slots(runs) => all_slots::give_back(stress, runs)?,
    }
    let mut any = false;
    for member in members.iter_mut().filter(|member| member.state == State::Short) {
        member.state = State::Alive;
        member.worker.resume()?;
        any = true;
    }
    Ok(any)
}

/// Takes note of what the threads have written, as far as each got.
fn expect(places: &mut [Place], members: &[Member]) -> Outcome {
    for member in members {
        let done = &member.list[..member.worker.progress()?];
        touch_areas::take_note(&mut places[member.place].areas, done);
    }
    Ok(())
}
