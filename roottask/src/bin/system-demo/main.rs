// SPDX-License-Identifier: BSD-2-Clause
//! A system whose programs start programs: the root task starts `init`, with the files of other
//! programs as memory, and serves.
//!
//! `init` starts workers from that file, each with an account, arguments and what it is given; one
//! of them starts a worker itself; one overflows its stack, is looked at, ended and started again.
//! Then it starts a file server, which is the pager of a file larger than all the pages that it may
//! have, and readers that map the file: what each reads is right. The server has a clock: workers
//! sleep, and one waits for a page that comes too late. When they have ended, `init` has what it
//! had before, and when that has ended, so has the root task.
#![no_std]
#![no_main]

mod images;

use roottask::{check_eq, Manager, Outcome};
use sel4_root_task::{debug_print, debug_println, exit, root_task, ExitCode, Never};
use vmm::sel4::pacer::{Pacer, PacerOptions, PacerParts};
use vmm::sel4::{start_with, BootPool, StartOptions};
use vmm::Blueprint;
use vmm_service::objects::protocol::{Amounts, FIRST_FREE_SLOT, PAGE_BYTES};
use vmm_service::objects::{NewProgram, Options, Server};
use vmm_service::server::End;

static POOL: BootPool<32> = BootPool::new();
static PARTS: PacerParts = PacerParts::new();

/// What all programs together may have: pages, tables, slots, objects, spaces, badges, records.
const ALL: Amounts = Amounts([4000, 800, 12000, 200, 60, 800, 2000, 0]);
/// What `init` may have, and give to others.
const INIT: Amounts = Amounts([3000, 600, 9000, 150, 40, 500, 1500, 0]);
/// What a worker may have.
const SLEEPER: Amounts = Amounts([200, 90, 500, 20, 6, 60, 120, 0]);
/// The first slot in which `init` finds a file.
const FIRST_FILE_SLOT: u32 = FIRST_FREE_SLOT;
const PRIORITY: u8 = 100;

/// What is free: pages, and slots. The place of an endpoint among the server's own is not used
/// again before all of those are gone: 16 bytes.
fn free(vmm: &Manager) -> (usize, usize) {
    let stats = vmm.stats();
    (stats.free_bytes().div_ceil(PAGE_BYTES), stats.allocator.free_slots)
}

/// Runs `init` until all have ended; returns what is free then.
fn boot(vmm: &mut Manager, server: &mut Server) -> Outcome<(usize, usize)> {
    let (init, begin) = server.create(vmm, &NewProgram::new("init", images::INIT, INIT))?;
    let files = [images::WORKER, images::FILE_SERVER, images::FILE_READER];
    for (slot, file) in (FIRST_FILE_SLOT..).zip(files) {
        server.give_file(vmm, init, (slot, file))?;
    }
    server.start(vmm, &begin, (PRIORITY, PRIORITY.into()))?;
    check_eq!(server.run(vmm)?, Some((init, End::Exited(0))));
    check_eq!(server.run(vmm)?, None);
    vmm.trim()?;
    vmm.validate()?;
    server.objects().validate(vmm)?;
    check_eq!(server.objects().counts(), [2, 0, 0, 0]);
    Ok(free(vmm))
}

/// Runs a worker that would sleep, where no tick comes any more: it is told so, and ends for that.
fn serve_sleeper(vmm: &mut Manager, server: &mut Server) -> Outcome<()> {
    let (worker, begin) =
        server.create(vmm, &NewProgram::new("sleeper", images::WORKER, SLEEPER))?;
    let page = server.give_first_page(vmm, worker, &[], "sleep 1000")?;
    server.start(vmm, &begin, (PRIORITY, page))?;
    check_eq!(server.run(vmm)?, Some((worker, End::Exited(1))));
    check_eq!(server.run(vmm)?, None);
    Ok(())
}

#[root_task]
fn main(bootinfo: &sel4::BootInfoPtr) -> Outcome<Never> {
    let mut vmm = start_with(bootinfo, &POOL, &StartOptions::new().clear_when_needed())?;
    let endpoint = vmm.allocate(Blueprint::Endpoint)?;
    let options = Options { report: |notice| debug_print!("{notice}"), ..Options::default() };
    let mut server = Server::new(&mut vmm, endpoint.slot(), ALL, options)?;
    server.prepare(&mut vmm, PRIORITY, 6)?;
    let pacer = Pacer::start(&mut vmm, &PARTS, PacerOptions::new())?;
    server.keep_time(&mut vmm, &pacer, sel4::init_thread::slot::TCB.cap())?;
    vmm.trim()?;
    debug_println!("system-demo: a program that starts programs");
    // What became records of the manager's and the service's are that still: no more of them the
    // second time.
    let before = boot(&mut vmm, &mut server)?;
    check_eq!(boot(&mut vmm, &mut server)?, before);
    pacer.stop(&mut vmm)?;
    serve_sleeper(&mut vmm, &mut server)?;
    server.close(&mut vmm)?;
    debug_println!("system-demo: passed");
    exit(ExitCode::Success)
}
