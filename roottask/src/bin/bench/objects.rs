// SPDX-License-Identifier: BSD-2-Clause
//! Requests about objects, as the program that sends them sees it.

use roottask::{Failure, Manager, Outcome};
use sel4_root_task::debug_print;
use vmm::{Blueprint, Result};
use vmm_service::objects::protocol::{Amounts, Resource, FIRST_FREE_SLOT};
use vmm_service::objects::{NewProgram, Options, Server};
use vmm_service::server::{End, Notice};

use roottask::measure::{Cost, Row};

use super::service::in_library;

/// The program that measures.
static GAUGE: &[u8] = include_bytes!(concat!(env!("VMM_CLIENTS"), "/gauge"));
/// One that ends at once.
static ENDING: &[u8] = include_bytes!(concat!(env!("VMM_CLIENTS"), "/brief"));
/// How often it does each.
const TIMES: usize = 100;
const PRIORITY: u8 = 100;
/// Pages, tables, slots, objects, spaces, badges, records.
const AMOUNTS: Amounts = Amounts([600, 400, 1200, 30, 20, 400, 600, 0]);

/// `object_info`, `object_create`, `object_map`, `object_revoke_100`, `program_start_end`,
/// `thread_start_join`, `pager_supply_1`, `pager_supply_16`, `take_back_1`, `program_few_slots`,
/// `pager_supply_1_notified`, `object_touch`, `object_populate`.
///
/// An object of a page is made; one of 16 is mapped, of which none is there; a capability is
/// revoked of which a hundred were derived, and the unit is one of those. A program is made, loaded
/// from memory, started, and waited for until all that it had is back, as any program or with few
/// slots; a thread is started, ends itself, and is waited for in the same way. A page of paged
/// memory is touched by a thread, and its pager, which waits for that, supplies it until that goes
/// on; sixteen are supplied by one request, and nobody waits; one is taken back that is mapped once.
/// Then a page that a pager supplies which is told by a notification, and asks. At last pages of a
/// memory object that are there for the first time: each touched, or all of them by requests for
/// it; their floor is the same in the library, in a space of its own.
pub fn run(vmm: &mut Manager) -> Result {
    let endpoint = vmm.allocate(Blueprint::Endpoint)?;
    measure(vmm, endpoint.slot()).map_err(|failure| match failure {
        Failure::Manager(error) => error,
        // Whatever else it is, it has been printed, and there are no figures.
        _ => vmm::Error::BadBootInfo(0),
    })?;
    vmm.free(endpoint)
}

fn measure(vmm: &mut Manager, endpoint: vmm::CPtr) -> Outcome {
    let amounts = Amounts::MAX.with(Resource::LargePages, 0);
    let mut server = Server::new(vmm, endpoint, amounts, Options { report, ..Options::default() })?;
    // Once for all that is made at a first time.
    for what in 0..=13 {
        life(vmm, &mut server, what)?;
    }
    let before = vmm.kernel_calls().total();
    life(vmm, &mut server, 0)?;
    let idle = vmm.kernel_calls().total() - before;
    let rows = [
        ("object_info", "call"),
        ("object_create", "object"),
        ("object_map", "mapping"),
        ("object_revoke_100", "capability"),
        ("program_start_end", "program"),
        ("thread_start_join", "thread"),
        ("pager_supply_1", "page"),
        ("pager_supply_16", "page"),
        ("take_back_1", "page"),
        ("program_few_slots", "program"),
        ("pager_supply_1_notified", "page"),
        ("object_touch", "page"),
        ("object_populate", "page"),
    ];
    let floors = [
        ("object_touch", in_library(vmm, (TIMES, 1))?),
        ("object_populate", in_library(vmm, (TIMES, TIMES))?),
    ];
    for (what, (name, unit)) in rows.into_iter().enumerate() {
        let before = vmm.kernel_calls().total();
        let instructions = u64::from(life(vmm, &mut server, what + 1)?);
        // Both times that it is done, and what comes before and after.
        let calls = (vmm.kernel_calls().total() - before).saturating_sub(idle) / 2;
        let cost = Cost { instructions, calls, page_maps: 0, bytes: 0 };
        let floor = floors.into_iter().find(|(of, _)| *of == name).map(|(_, floor)| floor);
        Row::new(name, unit, TIMES).print(&cost, floor, None);
    }
    Ok(server.close(vmm)?)
}

/// Starts the program, serves it to its end, and returns its exit code.
fn life(vmm: &mut Manager, server: &mut Server, what: usize) -> Outcome<u32> {
    let new = NewProgram {
        name: "gauge",
        file: GAUGE,
        stack_pages: 4,
        amounts: AMOUNTS,
        physical: false,
        console: false,
    };
    let (gauge, begin) = server.create(vmm, &new)?;
    server.give_file(vmm, gauge, (FIRST_FREE_SLOT, ENDING))?;
    server.start(vmm, &begin, (PRIORITY, what))?;
    let ended = server.run(vmm)?;
    // What it had is given back before the next begins.
    server.run(vmm)?;
    match ended {
        Some((_, End::Exited(code))) => Ok(code),
        _ => Err(Failure::Manager(vmm::Error::BadBootInfo(what))),
    }
}

/// Prints faults that end a program, and nothing else.
fn report(notice: &Notice<'_>) {
    if matches!(notice, Notice::Fault(_)) {
        debug_print!("{notice}");
    }
}
