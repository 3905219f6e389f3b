// SPDX-License-Identifier: BSD-2-Clause
//! Programs that have their objects by capabilities: memory objects, accounts below their own,
//! capabilities restricted and revoked, at random; some killed meanwhile, and others in their
//! place.
//!
//! Who is not killed must come to its end and find all as it was, unless memory was short when a
//! page was touched. When none is left, nothing is left of them.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use roottask::{check, check_eq, Failure, Manager, Outcome};
use sel4_root_task::debug_print;
use vmm::{Blame, Blueprint};
use vmm_service::objects::protocol::{Amounts, Refusal, Resource};
use vmm_service::objects::{NewProgram, Options, ProgramId, Server};
use vmm_service::server::{End, Notice, ServerError};
use vmm_service::Error;

use super::trees::counts;
use crate::engine::Stress;
use crate::measure::Kind;

/// The program.
static HOLDER: &[u8] = include_bytes!(concat!(env!("VMM_CLIENTS"), "/holder"));
/// The most programs at a time, each with a priority of its own.
const PRIORITIES: [u8; 3] = [100, 102, 104];
/// The most that are started in the place of others.
const MAX_AGAIN: usize = 3;
/// What a program has: more than the machine at times.
const AMOUNTS: Amounts = Amounts([700, 200, 1500, 10, 6, 60, 80, 0]);
/// More records of a kind than there ever are.
const RECORDS: usize = 600;

/// Whether a page could not be had that a program touched.
static SHORT: AtomicBool = AtomicBool::new(false);

/// A session or two.
pub fn run(stress: &mut Stress) -> Outcome {
    let mut server = take(stress)?;
    for _ in 0..stress.random.within(1, 2) {
        if stress.is_over() {
            break;
        }
        session(stress, &mut server)?;
    }
    stress.server = Some(server);
    Ok(())
}

/// Has the server take what it ever takes for itself.
pub fn stretch(stress: &mut Stress) -> Outcome {
    let server = take(stress)?;
    stress.server = Some(server);
    Ok(())
}

/// Takes the server out of the run; makes it at the first time, in the warm-up. The caller puts it
/// back.
pub fn take(stress: &mut Stress) -> Outcome<Box<Server>> {
    if let Some(server) = stress.server.take() {
        return Ok(server);
    }
    let endpoints = stress.must(Kind::Allocate, |vmm| vmm.allocate_many(Blueprint::Endpoint, 1))?;
    let endpoint = endpoints.first_slot();
    // By a counter of instructions turns are always the same; by one of time they never are.
    let ticks_per_us = if stress.settings.icount { 1000 } else { 0 };
    let options = Options { report: tell, ticks_per_us };
    let amounts = Amounts::MAX.with(Resource::LargePages, 0);
    let mut server = Box::new(Server::new(&mut stress.vmm, endpoint, amounts, options)?);
    for priority in PRIORITIES {
        server.prepare(&mut stress.vmm, priority, 1)?;
    }
    // One of each, and more as long as there can be any: then it takes no more for itself.
    for programs in 0..2 {
        for lower in 0..counts::PRIORITIES {
            server.prepare(&mut stress.vmm, counts::PRIORITY - lower, programs)?;
        }
    }
    server.stretch(&mut stress.vmm, RECORDS)?;
    Ok(server)
}

/// Serves a few programs until nothing is left of them.
fn session(stress: &mut Stress, server: &mut Server) -> Outcome {
    SHORT.store(false, Relaxed);
    let count = stress.random.within(1, PRIORITIES.len());
    let mut running: Vec<(ProgramId, u8)> = Vec::new();
    for priority in &PRIORITIES[..count] {
        running.extend(start(stress, server, *priority)?);
    }
    let mut more = MAX_AGAIN;
    while let Some((ended, end)) = serve(stress, server)? {
        let index = running.iter().position(|(program, _)| *program == ended);
        check!(index.is_some());
        let Some(index) = index else { break };
        let (_, priority) = running.swap_remove(index);
        match end {
            End::Fault => check!(SHORT.load(Relaxed)),
            end => check_eq!(end, End::Exited(0)),
        }
        if stress.random.once_in(3) && !running.is_empty() {
            let (program, _) = running.swap_remove(stress.random.below(running.len()));
            server.kill(&mut stress.vmm, program)?;
        }
        if stress.random.once_in(2) && more != 0 {
            more -= 1;
            running.extend(start(stress, server, priority)?);
        }
    }
    check!(running.is_empty());
    // The account of all there is, and the console.
    check_eq!(server.objects().counts(), [2, 0, 0, 0]);
    check_eq!(server.objects().amounts().1, Amounts::NONE);
    server.objects().validate(&stress.vmm)?;
    Ok(())
}

/// Starts a program, if there is memory for one.
fn start(
    stress: &mut Stress,
    server: &mut Server,
    priority: u8,
) -> Outcome<Option<(ProgramId, u8)>> {
    let new = NewProgram::new("holder", HOLDER, AMOUNTS);
    let made = attempt(stress, |vmm| server.create(vmm, &new))?;
    let Some((program, start)) = made else { return Ok(None) };
    let argument = (stress.random.stamp() as usize) << 8 | stress.random.size(200);
    server.start(&mut stress.vmm, &start, (priority, argument))?;
    Ok(Some((program, priority)))
}

/// Does what makes a program, unless memory is short.
pub fn attempt<T>(
    stress: &mut Stress,
    request: impl FnOnce(&mut Manager) -> Result<T, ServerError>,
) -> Outcome<Option<T>> {
    let mut failed = None;
    let made = stress.attempt(Kind::CreateProgram, |vmm| {
        request(vmm).map_err(|error| match error {
            ServerError::Service(Error::Manager(error)) => error,
            // What the service is short of, the manager is.
            ServerError::Service(Error::Refused(Refusal::OutOfMemory {})) => {
                vmm::Error::OutOfBadges
            }
            other => {
                failed = Some(other);
                vmm::Error::OutOfBadges
            }
        })
    })?;
    failed.map_or(Ok(made), |error| Err(Failure::Server(error)))
}

/// Serves until one ends.
fn serve(stress: &mut Stress, server: &mut Server) -> Outcome<Option<(ProgramId, End)>> {
    let mut failed = None;
    let ended = stress.must(Kind::Serve, |vmm| {
        Ok(server.run(vmm).unwrap_or_else(|error| {
            failed = Some(error);
            None
        }))
    })?;
    match failed {
        Some(error) => Err(Failure::Server(error)),
        None => Ok(ended),
    }
}

/// Prints what a program says: what is not as it must be; and a fault that is not for want of
/// memory.
fn tell(notice: &Notice<'_>) {
    if counts::tell(notice) {
        return;
    }
    match notice {
        Notice::Fault(fault) if fault.error.is_some_and(|it| it.blame() == Blame::Resource) => {
            SHORT.store(true, Relaxed);
        }
        Notice::Ended { .. } => {}
        _ => debug_print!("stress: {notice}"),
    }
}
