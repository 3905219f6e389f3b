// SPDX-License-Identifier: BSD-2-Clause
//! Programs that have their objects by capabilities: memory is made, mapped, lent and taken back.
//!
//! The lender makes memory, writes to it, and passes a capability that may only read to the
//! borrower by an endpoint of theirs, which the service has no part in. It revokes that, and the
//! borrower, which touches the memory again, ends for it. The vandal fills and empties its own
//! CNode before it faults. The hoarder's heap grows and shrinks. The overseer looks at threads of
//! its own that fault, suspends and resumes others, and a program with all its threads. When all
//! have ended, all memory and all slots are free as before.
#![no_std]
#![no_main]

mod images;

use roottask::{check, check_eq, Manager, Outcome};
use sel4_root_task::{debug_print, debug_println, exit, root_task, ExitCode, Never};
use vmm::sel4::{start_with, BootPool, StartOptions};
use vmm::{Blueprint, Rights};
use vmm_service::objects::protocol::{Amounts, FIRST_FREE_SLOT};
use vmm_service::objects::{NewProgram, Options, Server};
use vmm_service::server::End;

static POOL: BootPool<32> = BootPool::new();

/// What all programs together may have, and each: pages, tables, slots, objects, spaces, badges,
/// records, large pages.
const ALL: Amounts = Amounts([5000, 1000, 10000, 150, 50, 1000, 3000, 0]);
const EACH: Amounts = Amounts([200, 40, 400, 10, 5, 50, 200, 0]);
/// What the one with the heap may have.
const MANY: Amounts = Amounts([3000, 200, 3000, 10, 5, 200, 400, 0]);
/// What the one with threads may have.
const THREADS: Amounts = Amounts([600, 500, 1400, 80, 20, 200, 500, 0]);
/// The slot in which lender and borrower find the endpoint at which they meet.
const MEETING_SLOT: u32 = 5;
const PRIORITY: u8 = 100;
const PAGE: usize = 4096;

fn new(name: &'static str, file: &'static [u8]) -> NewProgram<'static> {
    NewProgram { name, file, stack_pages: 4, amounts: EACH, physical: false, console: true }
}

/// Slots of the frames that the manager takes at once for its book-keeping, which may have grown.
const BATCH: usize = 8;

/// What is free: bytes, and slots.
fn free(vmm: &Manager) -> (usize, usize) {
    let stats = vmm.stats();
    (stats.free_bytes(), stats.allocator.free_slots)
}

/// A158: runs a program whose heap grows and shrinks; returns what is free then.
fn hoard(vmm: &mut Manager, server: &mut Server) -> Outcome<(usize, usize)> {
    let new = NewProgram { amounts: MANY, ..new("hoarder", images::HOARDER) };
    let (hoarder, begin) = server.create(vmm, &new)?;
    server.start(vmm, &begin, (PRIORITY, 0))?;
    check_eq!(server.run(vmm)?, Some((hoarder, End::Exited(0))));
    check_eq!(server.run(vmm)?, None);
    vmm.trim()?;
    Ok(free(vmm))
}

/// A217 A218 A219 A220 A250 A252 A253 A254: runs a program that looks after threads of its own, and
/// suspends two of them so often, and a program that it starts; returns what is free then.
fn oversee(vmm: &mut Manager, server: &mut Server, rounds: usize) -> Outcome<(usize, usize)> {
    let new = NewProgram { amounts: THREADS, ..new("overseer", images::OVERSEER) };
    let (overseer, begin) = server.create(vmm, &new)?;
    server.give_file(vmm, overseer, (FIRST_FREE_SLOT, images::RUNNER))?;
    server.start(vmm, &begin, (PRIORITY, rounds))?;
    check_eq!(server.run(vmm)?, Some((overseer, End::Exited(0))));
    check_eq!(server.run(vmm)?, None);
    server.objects().validate(vmm)?;
    vmm.trim()?;
    Ok(free(vmm))
}

#[root_task]
fn main(bootinfo: &sel4::BootInfoPtr) -> Outcome<Never> {
    let mut vmm = start_with(bootinfo, &POOL, &StartOptions::new().clear_when_needed())?;
    let endpoints = vmm.allocate_many(Blueprint::Endpoint, 2)?;
    let [Some(endpoint), Some(meeting)] = [endpoints.get(0), endpoints.get(1)] else {
        return Err(vmm::Error::BadBootInfo(0).into());
    };
    let options = Options { report: |notice| debug_print!("{notice}"), ..Options::default() };
    let mut server = Server::new(&mut vmm, endpoint.slot(), ALL, options)?;
    // Once for all that three programs at a time take.
    server.prepare(&mut vmm, PRIORITY, 3)?;
    vmm.trim()?;
    debug_println!("objects-demo: programs that have their objects by capabilities");
    let begun = free(&vmm);
    let before = hoard(&mut vmm, &mut server)?;
    // Memory that was cut to pieces has slots for them: no more of either at the second time.
    check_eq!(before.0, begun.0);
    check_eq!(hoard(&mut vmm, &mut server)?, before);

    let after = oversee(&mut vmm, &mut server, 300)?;
    // A notification of its has left its place to the next of its batch.
    check_eq!(after.0.div_ceil(PAGE), before.0.div_ceil(PAGE));
    // So often each thread was suspended that a slot lost each time would be seen.
    check!(after.1 + BATCH >= before.1 && after.1 <= before.1);
    let before = after;

    let (lender, lends) = server.create(&mut vmm, &new("lender", images::LENDER))?;
    let (borrower, borrows) = server.create(&mut vmm, &new("borrower", images::BORROWER))?;
    let (vandal, breaks) = server.create(&mut vmm, &new("vandal", images::VANDAL))?;
    for (program, rights) in
        [(lender, Rights::WRITE | Rights::GRANT), (borrower, Rights::READ | Rights::GRANT)]
    {
        server.give(&mut vmm, program, (MEETING_SLOT, meeting.slot()), rights)?;
    }
    vmm.validate()?;
    server.objects().validate(&vmm)?;
    for begin in [lends, borrows, breaks] {
        server.start(&mut vmm, &begin, (PRIORITY, 0))?;
    }
    let mut ends = 0;
    while let Some((program, end)) = server.run(&mut vmm)? {
        check_eq!(end, if program == lender { End::Exited(0) } else { End::Fault });
        check!(program == lender || program == borrower || program == vandal);
        server.objects().validate(&vmm)?;
        ends += 1;
    }
    check_eq!(ends, 3);
    let counts = server.counts();
    debug_println!("{} requests, {} of them refused", counts.requests, counts.refused);
    // The borrower's and the vandal's, and thirteen of threads that were looked after.
    check_eq!(counts.unresolved, 15);

    vmm.trim()?;
    vmm.validate()?;
    check_eq!(server.objects().counts(), [2, 0, 0, 0]);
    check_eq!(free(&vmm), before);
    debug_println!("objects-demo: passed");
    exit(ExitCode::Success)
}
