// SPDX-License-Identifier: BSD-2-Clause
//! Stacks that threads grow by recursing, page by page, down to their guards.
//!
//! A thread's end is that it hits its guard, and is reported for that and for nothing else. Then
//! all of the stack is mapped, the guard is not, and every word that was pushed is there.

use alloc::vec::Vec;

use roottask::{check, check_eq, Failure, Outcome};
use sel4_root_task::debug_println;
use vmm::sel4::faults::ThreadFault;
use vmm::{Error, FaultClass, Pages, Rights, ShareOptions, SpaceId, Stack};

use crate::engine::contents::word;
use crate::engine::Stress;
use crate::measure::Kind;
use crate::model::PAGE;
use crate::threads::{restore_own_priority, set_own_priority, FaultServer, Note, Program, Worker};

/// The most threads at a time.
const MAX_THREADS: usize = 4;
/// The most pages of a stack.
const MAX_PAGES: usize = 48;
/// The most bytes of a level: with the two words that are pushed, no guard is passed over.
const MAX_STEP: usize = PAGE - 2 * WORD;
/// Bytes of a word that is pushed.
const WORD: usize = size_of::<usize>();

/// A thread and the stack that it grows, beside the one it was made with.
struct Digger {
    worker: Worker,
    stack: Stack,
    pages: usize,
    step: usize,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Alive,
    /// At its guard.
    Down,
    /// Stopped because something was short.
    Short,
}

/// A few threads dig, in our own space or another.
pub fn run(stress: &mut Stress) -> Outcome {
    stress.repeat(1, 4, dig)
}

fn dig(stress: &mut Stress) -> Outcome {
    let Some(mut fault_server) = FaultServer::open(stress)? else { return Ok(()) };
    let own = stress.expected.own();
    let space = stress.own_or_new_space()?;
    if let Some(space) = space {
        if let Some(program) = Program::load(stress, space)? {
            let mut diggers = diggers(stress, &fault_server, space)?;
            serve(stress, &mut fault_server, &program, &mut diggers)?;
            for digger in diggers {
                check_stack(stress, &digger, &program)?;
                digger.worker.release(stress)?;
                stress.must(Kind::Release, |vmm| vmm.release(digger.stack.region()))?;
            }
            program.release(stress)?;
        }
        if space != own {
            stress.must(Kind::DestroySpace, |vmm| vmm.destroy_space(space))?;
        }
    }
    fault_server.close(stress)
}

fn diggers(
    stress: &mut Stress,
    fault_server: &FaultServer,
    space: SpaceId,
) -> Outcome<Vec<Digger>> {
    let count = stress.random.within(1, MAX_THREADS);
    let mut diggers = Vec::new();
    for priority in stress.priorities(count) {
        let (pages, around) = (stress.random.size(MAX_PAGES), 1 << stress.random.below(5));
        let step = stress.random.size(MAX_STEP) & !3;
        let fence = match stress.random.once_in(2) {
            true => stress.fence(space, pages)?,
            false => [None; 2],
        };
        let made = stress.attempt(Kind::Stack, |vmm| {
            vmm.allocate_growing_stack(space, pages, around, "digger")
        })?;
        stress.take_down(fence)?;
        let Some(stack) = made else { continue };
        match Worker::make(stress, fault_server.endpoint(), space, 1, priority)? {
            Some(worker) => {
                diggers.push(Digger { worker, stack, pages, step, state: State::Alive })
            }
            None => stress.must(Kind::Release, |vmm| vmm.release(stack.region()))?,
        }
    }
    Ok(diggers)
}

/// Answers faults until every thread has come to its guard.
fn serve(
    stress: &mut Stress,
    fault_server: &mut FaultServer,
    program: &Program,
    diggers: &mut [Digger],
) -> Outcome {
    set_own_priority(stress.own_priority(MAX_THREADS))?;
    for digger in diggers.iter() {
        digger.worker.start_digging(program.address(), digger.stack, digger.step)?;
    }
    let mut answer = None;
    while diggers.iter().any(|digger| digger.state == State::Alive) {
        let message = fault_server.receive(answer.take());
        let handled = fault_server.handle(stress, &message)?;
        answer = handled.answer;
        if let Some(note) = handled.incident {
            let digger = diggers.iter_mut().find(|it| it.worker.id() == note.thread);
            let Some(digger) = digger else {
                return Err(Failure::Manager(Error::NoSuchThread(note.thread)));
            };
            digger.state = check_incident(&note, digger)?;
        }
    }
    restore_own_priority()
}

/// A thread is stopped at its guard, unless something is short.
fn check_incident(note: &Note, digger: &Digger) -> Outcome<State> {
    let guard = digger.stack.bottom() - PAGE..digger.stack.bottom();
    let at_guard = match note.fault {
        ThreadFault::Page(fault) => guard.contains(&fault.address),
        _ => false,
    };
    let down = at_guard && note.class == Some(FaultClass::Guard) && note.error.is_none();
    let grows = matches!(note.class, Some(FaultClass::StackGrowth { .. }));
    let short = grows && note.error.is_some();
    if !down && !short {
        debug_println!("stress: {note:x?}, guard {guard:x?}");
    }
    check!(down || short);
    Ok(if down { State::Down } else { State::Short })
}

fn check_stack(stress: &mut Stress, digger: &Digger, program: &Program) -> Outcome {
    let (space, bottom) = (digger.stack.region().space(), digger.stack.bottom());
    check!(stress.vmm.mapping_at(space, bottom - PAGE)?.is_none());
    if digger.state != State::Down {
        return Ok(());
    }
    for page in 0..digger.pages {
        check!(stress.vmm.mapping_at(space, bottom + page * PAGE)?.is_some());
    }
    let (own, pages) = (stress.expected.own(), digger.pages);
    let options = ShareOptions::new().named("look").rights(Rights::READ);
    let shared = stress.attempt(Kind::Share, |vmm| {
        vmm.share(space, Pages::at(bottom).count(pages), own, &options)
    })?;
    let Some(shared) = shared else { return Ok(()) };
    check_words(digger, shared.start().bits(), program.return_address())?;
    stress.must(Kind::Release, |vmm| vmm.release(shared))
}

/// Goes through what was pushed, level by level: where the stack pointer was, and where the call
/// returns to. `view` is where the stack's bottom is seen.
fn check_words(digger: &Digger, view: usize, return_address: usize) -> Outcome {
    let (bottom, mut at) = (digger.stack.bottom(), digger.stack.top());
    let pushed = |at: &mut usize, value: usize| -> Outcome<bool> {
        *at -= WORD;
        if *at < bottom {
            return Ok(false);
        }
        let seen = view + (*at - bottom);
        let halves = (0..WORD / 4).map(|half| (word(seen + 4 * half) as usize) << (32 * half));
        check_eq!(halves.sum::<usize>(), value);
        Ok(true)
    };
    loop {
        at -= digger.step;
        let pointer = at;
        if !pushed(&mut at, pointer)? || !pushed(&mut at, return_address)? {
            return Ok(());
        }
    }
}
