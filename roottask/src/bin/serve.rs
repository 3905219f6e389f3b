// SPDX-License-Identifier: BSD-2-Clause
//! Serves a program that has its objects by capabilities, and a clock, until it has ended.
#![no_std]
#![no_main]

use sel4_root_task::{exit, root_task, ExitCode, Never};
use vmm::sel4::{pacer::PacerParts, start_with, BootPool, StartOptions};
use vmm_service::objects::{protocol::Amounts, NewProgram, Options, Server};
use vmm_service::server::ServerError;

static POOL: BootPool<32> = BootPool::new();
static TIMER: PacerParts = PacerParts::new();
static INIT: &[u8] = include_bytes!(concat!(env!("VMM_CLIENTS"), "/hoarder"));
/// Of all, and of the first: pages, tables, slots, objects, spaces, badges, records, large pages.
const ALL: Amounts = Amounts([4000, 400, 4000, 50, 50, 500, 1000, 0]);
const FIRST: Amounts = Amounts([3000, 200, 3000, 10, 5, 200, 400, 0]);

#[root_task]
fn main(bootinfo: &sel4::BootInfoPtr) -> Result<Never, ServerError> {
    let mut vmm = start_with(bootinfo, &POOL, &StartOptions::new().clear_when_needed())?;
    let endpoint = vmm.allocate(vmm::Blueprint::Endpoint)?.slot();
    let mut server = Server::new(&mut vmm, endpoint, ALL, Options::printing())?;
    server.start_clock(&mut vmm, &TIMER)?;
    let (_, init) = server.create(&mut vmm, &NewProgram::new("init", INIT, FIRST))?;
    server.start(&mut vmm, &init, (100, 5))?;
    while server.run(&mut vmm)?.is_some() {}
    exit(ExitCode::Success)
}
