// SPDX-License-Identifier: BSD-2-Clause
//! Requests of client programs, as the client sees them, and the life of a program.

use roottask::{Failure, Manager, Outcome};
use sel4::{cap, MessageInfoBuilder};
use sel4_root_task::debug_print;
use vmm::{Blueprint, Pages, Quota, RegionOptions, Result, Rights};
use vmm_service::server::{End, Notice, Options, Server};

use roottask::measure::{cost, Cost, Row};

/// The client program that measures.
static METER: &[u8] = include_bytes!(concat!(env!("VMM_CLIENTS"), "/meter"));
/// Requests, or pages, that the client measures.
const TIMES: usize = 256;
/// What the client is to measure of calls to nobody's service, and the slot of the endpoint.
const BARE: usize = 4;
const BARE_SLOT: u32 = 3;
/// Programs started and ended.
const LIVES: usize = 32;

const LIMITS: Quota = Quota { frames: 400, tables: 8, slots: 0, objects: 2 };

/// `service_map_1`, `service_map_256`, `process_start_end`. Returns what [`null`] prints.
///
/// The floor of the requests that map is the same in the library, in a space of its own. Their
/// kernel calls are those of the client's whole life, less those of a life without such requests:
/// taking the pages away again is counted.
pub fn run(vmm: &mut Manager) -> Result<Cost> {
    served(vmm, measure)
}

/// `service_null`: a request that does nothing. Its floor is the kernel's call and reply between
/// the same two threads.
pub fn null(vmm: &mut Manager, cost: Cost) -> Result {
    served(vmm, |vmm, server| {
        let floor = bare(vmm, server)?;
        Row::new("service_null", "call", TIMES).print(&cost, Some(floor), None);
        Ok(())
    })
}

/// Does something with a server, and gives back what that took.
fn served<T>(
    vmm: &mut Manager,
    work: impl FnOnce(&mut Manager, &mut Server) -> Outcome<T>,
) -> Result<T> {
    let endpoint = vmm.allocate(Blueprint::Endpoint)?;
    let options = Options { report, ..Options::default() };
    let server = Server::new(vmm, endpoint.slot(), options).map_err(Failure::from);
    let value =
        server.and_then(|mut server| work(vmm, &mut server)).map_err(|failure| match failure {
            Failure::Manager(error) => error,
            // Whatever else it is, it has been printed, and there are no figures.
            _ => vmm::Error::BadBootInfo(0),
        })?;
    vmm.free(endpoint)?;
    Ok(value)
}

fn measure(vmm: &mut Manager, server: &mut Server) -> Outcome<Cost> {
    // Once for all that is made at a first time.
    life(vmm, server, 3)?;
    let before = vmm.kernel_calls().total();
    life(vmm, server, 1)?;
    let idle = vmm.kernel_calls().total() - before;
    let floors = [0, in_library(vmm, (TIMES, 1))?, in_library(vmm, (TIMES, TIMES))?];
    let rows = [("service_null", "call"), ("service_map_1", "page"), ("service_map_256", "page")];
    let mut null = None;
    for (what, ((name, unit), floor)) in rows.into_iter().zip(floors).enumerate() {
        let before = vmm.kernel_calls();
        let instructions = u64::from(life(vmm, server, what as u32 + 1)?);
        let calls = vmm.kernel_calls().since(&before);
        let page_maps = calls.of(vmm::Invocation::PageMap);
        let calls = calls.total().saturating_sub(idle);
        let cost = Cost { instructions, calls, page_maps, bytes: 0 };
        match what {
            0 => null = Some(cost),
            _ => Row::new(name, unit, TIMES).print(&cost, Some(floor), None),
        }
    }
    let mut lived = Ok(());
    let (_, lives) = cost(vmm, |vmm| {
        lived = (0..LIVES).try_for_each(|_| life(vmm, server, 0).map(|_| ()));
        Ok(())
    })?;
    lived?;
    Row::new("process_start_end", "process", LIVES).print(&lives, None, None);
    null.ok_or(Failure::Manager(vmm::Error::BadBootInfo(0)))
}

/// Starts a client, serves it to its end, and returns its exit code.
fn life(vmm: &mut Manager, server: &mut Server, what: u32) -> Outcome<u32> {
    let client = server.create(vmm, "meter", LIMITS, None)?;
    server.load(vmm, client, METER)?;
    server.start(client, what as usize)?;
    server.run(vmm)?;
    match server.end_of(client) {
        Some(End::Exited(code)) => Ok(code),
        _ => Err(Failure::Manager(vmm::Error::NoSuchSpace(client.space()))),
    }
}

/// Instructions of as many calls of a client, and answers, at an endpoint with no service behind
/// it.
fn bare(vmm: &mut Manager, server: &mut Server) -> Outcome<u64> {
    let made = vmm.allocate(Blueprint::Endpoint)?;
    let endpoint: cap::Endpoint = made.slot().cap();
    let client = server.create(vmm, "meter", LIMITS, None)?;
    server.load(vmm, client, METER)?;
    server.give(vmm, client, BARE_SLOT, made.slot(), Rights::WRITE | Rights::GRANT)?;
    server.start(client, BARE)?;
    let answer = || MessageInfoBuilder::default().build();
    endpoint.recv(());
    for _ in 0..TIMES {
        endpoint.reply_recv(answer(), ());
    }
    sel4::with_ipc_buffer_mut(|buffer| sel4::reply(buffer, answer()));
    server.run(vmm)?;
    vmm.free(made)?;
    match server.end_of(client) {
        Some(End::Exited(code)) => Ok(code.into()),
        _ => Err(Failure::Manager(vmm::Error::NoSuchSpace(client.space()))),
    }
}

/// Instructions of mapping so many pages in the library, `step` of them at a time.
pub fn in_library(vmm: &mut Manager, (pages, step): (usize, usize)) -> Result<u64> {
    let space = vmm.create_space()?;
    let region = vmm.reserve(space, &RegionOptions::new(pages))?;
    let (_, mapped) = cost(vmm, |vmm| {
        (0..pages).step_by(step).try_for_each(|page| {
            vmm.populate(space, Pages::at(region.start().bits() + page * 4096).count(step))
        })
    })?;
    vmm.destroy_space(space)?;
    Ok(mapped.instructions)
}

/// Prints faults that end a client, and nothing else.
fn report(notice: &Notice<'_>) {
    if matches!(notice, Notice::Fault(_)) {
        debug_print!("{notice}");
    }
}
