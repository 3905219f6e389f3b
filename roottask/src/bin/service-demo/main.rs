// SPDX-License-Identifier: BSD-2-Clause
//! Programs that do not trust each other, and the service they have their memory from.
//!
//! ```text
//!   main.rs     the course of it, from all memory free to all memory free
//!   images.rs   the client programs' files, which travel in this image
//! ```
//! The server's loop is [`vmm_service::server::Server`].
//!
//! The giver shares memory with its child, the taker, and ends first; the rogue breaks every rule
//! there is and is ended while the others go on. Then the pager supplies the reader's pages. What
//! it takes to pass is counted by the server and does not rest on what the clients say of
//! themselves.
#![no_std]
#![no_main]

mod images;

use roottask::{check, check_eq, Failure, Manager, Outcome};
use sel4_root_task::{debug_print, debug_println, exit, root_task, ExitCode, Never};
use vmm::sel4::{start_with, BootPool, StartOptions};
use vmm::{Blueprint, Quota, Rights};
use vmm_service::server::{End, Options, Server};
use vmm_service::ClientId;

static POOL: BootPool<32> = BootPool::new();

/// What giver and taker may have together, and the rogue.
const FAMILY: Quota = Quota { frames: 300, tables: 16, slots: 128, objects: 4 };
const CHILD: Quota = Quota { frames: 64, tables: 8, slots: 32, objects: 2 };
const ROGUE: Quota = Quota { frames: 160, tables: 8, slots: 16, objects: 2 };
const PAGED: Quota = Quota { frames: 32, tables: 8, slots: 8, objects: 2 };

/// What a client exits with that panics.
const PANICKED: u32 = 101;

/// What was free at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Free {
    bytes: usize,
    slots: usize,
}

fn free(vmm: &Manager) -> Free {
    let stats = vmm.stats();
    Free { bytes: stats.free_bytes(), slots: stats.allocator.free_slots }
}

#[root_task(stack_size = 128 * 1024)]
fn main(bootinfo: &sel4::BootInfoPtr) -> Outcome<Never> {
    let mut vmm = start_with(bootinfo, &POOL, &StartOptions::new().clear_when_needed())?;
    let endpoint = vmm.allocate(Blueprint::Endpoint)?;
    let bells = vmm.allocate_many(Blueprint::Notification, 2)?;
    let mut server = Server::new(
        &mut vmm,
        endpoint.slot(),
        Options { report: |notice| debug_print!("{notice}"), ..Options::default() },
    )?;
    vmm.trim()?;
    debug_println!("service-demo: three programs that do not trust each other");
    let before = free(&vmm);
    debug_println!("before: {} bytes free, {} slots free", before.bytes, before.slots);

    let giver = server.create(&mut vmm, "giver", FAMILY, None)?;
    let taker = server.create(&mut vmm, "taker", CHILD, Some(giver))?;
    let rogue = server.create(&mut vmm, "rogue", ROGUE, None)?;
    for (client, file) in [(giver, images::GIVER), (taker, images::TAKER), (rogue, images::ROGUE)] {
        server.load(&mut vmm, client, file)?;
    }
    let bell = |index| bells.get(index).map(|bell| bell.slot());
    let bells_of = |client: ClientId| if client == giver { [0, 1] } else { [1, 0] };
    for client in [giver, taker] {
        let [tell, told] = bells_of(client);
        for (slot, index, rights) in [(3, tell, Rights::WRITE), (4, told, Rights::READ)] {
            let bell = bell(index).ok_or(Failure::Manager(vmm::Error::BadBootInfo(index)))?;
            server.give(&mut vmm, client, slot, bell, rights)?;
        }
    }
    vmm.validate()?;
    server.start(giver, taker.number() as usize)?;
    server.start(taker, rogue.number() as usize)?;
    server.start(rogue, taker.number() as usize)?;

    server.run(&mut vmm)?;

    check_eq!(server.end_of(giver), Some(End::Exited(0)));
    check_eq!(server.end_of(taker), Some(End::Exited(0)));
    check_eq!(server.end_of(rogue), Some(End::Fault));
    let counts = server.counts();
    debug_println!(
        "{} requests, {} of them refused; {} faults resolved, {} not",
        counts.requests,
        counts.refused,
        counts.resolved,
        counts.unresolved
    );
    check!(counts.requests > 10_000);
    check!(counts.refused > 1_000);
    check!(counts.resolved >= 6);
    check_eq!(counts.unresolved, 1);

    paging(&mut vmm, &mut server)?;
    threads(&mut vmm, &mut server)?;
    falling(&mut vmm, &mut server)?;
    refused(&mut vmm, &mut server)?;

    vmm.trim()?;
    vmm.validate()?;
    let after = free(&vmm);
    debug_println!("after:  {} bytes free, {} slots free", after.bytes, after.slots);
    check_eq!(after, before);
    debug_println!("service-demo: passed");
    exit(ExitCode::Success)
}

/// A program that has its pages from another: as it touches them, until one is refused. A third
/// waits for a page that never comes, until its pager ends.
fn paging(vmm: &mut Manager, server: &mut Server) -> Outcome {
    debug_println!("service-demo: a program that supplies the pages of others");
    let pager = server.create(vmm, "pager", PAGED, None)?;
    let reader = server.create(vmm, "reader", PAGED, None)?;
    let waiter = server.create(vmm, "waiter", PAGED, None)?;
    for (client, file) in
        [(pager, images::PAGER), (reader, images::READER), (waiter, images::READER)]
    {
        server.load(vmm, client, file)?;
    }
    let before = server.counts();
    server.start(pager, (reader.number() | waiter.number() << 16) as usize)?;
    server.start(reader, pager.number() as usize)?;
    server.start(waiter, pager.number() as usize)?;
    server.run(vmm)?;
    check_eq!(server.end_of(pager), Some(End::Exited(0)));
    check_eq!(server.end_of(reader), Some(End::Fault));
    check_eq!(server.end_of(waiter), Some(End::Fault));
    let counts = server.counts();
    // Seven pages; one that was refused, one whose pager ended.
    check_eq!(counts.resolved - before.resolved, 7);
    check_eq!(counts.unresolved - before.unresolved, 2);
    Ok(())
}

/// A program with two threads.
fn threads(vmm: &mut Manager, server: &mut Server) -> Outcome {
    debug_println!("service-demo: a program with two threads");
    let twins = server.create(vmm, "twins", Quota { objects: 3, ..PAGED }, None)?;
    server.load(vmm, twins, images::TWINS)?;
    server.start(twins, 0)?;
    server.run(vmm)?;
    check_eq!(server.end_of(twins), Some(End::Exited(0)));
    Ok(())
}

/// A111: programs that fault and that panic, four calls deep. Who had called whom is printed, and
/// `run.sh` puts the names to it.
fn falling(vmm: &mut Manager, server: &mut Server) -> Outcome {
    debug_println!("service-demo: programs that fall");
    // The second has another name than its file.
    let ends = [("faller", End::Fault), ("leaper", End::Exited(PANICKED))];
    for (argument, (name, end)) in ends.into_iter().enumerate() {
        let client = server.create(vmm, name, PAGED, None)?;
        server.load(vmm, client, images::FALLER)?;
        server.start(client, argument)?;
        server.run(vmm)?;
        check_eq!(server.end_of(client), Some(end));
    }
    Ok(())
}

/// A46: clients whose programs are refused, one with half of it mapped, and one that is never
/// started. The server does not wait for them.
fn refused(vmm: &mut Manager, server: &mut Server) -> Outcome {
    debug_println!("service-demo: programs that are refused");
    let few = Quota { frames: 5, ..PAGED };
    for (file, limits) in [(&b"no ELF file"[..], PAGED), (images::TWINS, few)] {
        let client = server.create(vmm, "refused", limits, None)?;
        check!(server.load(vmm, client, file).is_err());
        check_eq!(server.end_of(client), Some(End::NotLoaded));
        check!(server.start(client, 0).is_err());
        server.run(vmm)?;
    }
    let idle = server.create(vmm, "idle", PAGED, None)?;
    server.load(vmm, idle, images::TWINS)?;
    check!(server.load(vmm, idle, b"no ELF file").is_err());
    check_eq!(server.end_of(idle), None);
    server.run(vmm)?;
    check_eq!(server.end_of(idle), None);
    server.kill(idle)?;
    check!(server.kill(idle).is_err());
    check_eq!(server.end_of(idle), Some(End::Killed));
    Ok(server.run(vmm)?)
}
