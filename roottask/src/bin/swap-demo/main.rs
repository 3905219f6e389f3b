// SPDX-License-Identifier: BSD-2-Clause
//! Memory larger than the machine's, on a disk: the root task starts `init` with the disk's ports
//! and interrupt, and serves. `init` starts a driver, a pager, and programs that use such memory;
//! what they are to do stands behind `--` (`roottask/clients/src/bin/swap-init/`). `swap-demo.sh`
//! makes the disk, boots this, and looks at the disk afterwards.
#![no_std]
#![no_main]

mod images;

use roottask::{keep_time, Arguments, Devices, Outcome};
use sel4_root_task::{exit, root_task, ExitCode, Never};
use vmm::sel4::{start_with, BootPool, StartOptions};
use vmm::Blueprint;
use vmm_service::objects::protocol::first_page::GivenObject;
use vmm_service::objects::protocol::{Amounts, Kind, Rights, FIRST_FREE_SLOT};
use vmm_service::objects::{NewProgram, Options, Server};
use vmm_service::server::End;

static POOL: BootPool<32> = BootPool::new();

/// Bytes that stay free for the server, beside what programs may have.
const SPARE: usize = 6 << 20;
const PRIORITY: u8 = 100;

#[root_task]
fn main(bootinfo: &sel4::BootInfoPtr) -> Outcome<Never> {
    let mut vmm = start_with(bootinfo, &POOL, &StartOptions::new().clear_when_needed())?;
    let (arguments, devices) = (Arguments::read()?, Arguments::devices()?);
    let physical = Devices::want_physical(devices.words())?;
    let endpoint = vmm.allocate(Blueprint::Endpoint)?.slot();
    // Pages, tables, slots, objects, spaces, badges, records: as much as there is memory for.
    let pages = vmm.stats().free_bytes().saturating_sub(SPARE) >> 12;
    let pages = u32::try_from(pages).unwrap_or(u32::MAX);
    let all = Amounts([pages, 4000, 80_000, 400, 100, 2000, 60_000, 0]);
    // What the server takes for an account is not the first program's.
    let most = pages.saturating_sub(pages / 8 + 1);
    let first = Amounts([most, 3500, 70_000, 300, 80, 1500, 50_000, 0]);
    let mut server = Server::new(&mut vmm, endpoint, all, Options::printing())?;
    let new = NewProgram { physical, ..NewProgram::new("init", images::INIT, first) };
    let (init, begin) = server.create(&mut vmm, &new)?;
    let slots = FIRST_FREE_SLOT..;
    for (slot, (_, file)) in slots.clone().zip(images::OTHERS) {
        server.give_file(&mut vmm, init, (slot, file))?;
    }
    let files = slots.zip(images::OTHERS).map(|(slot, (name, _))| GivenObject {
        name,
        kind: Some(Kind::Memory),
        rights: Rights::READ,
        slot,
    });
    let first = FIRST_FREE_SLOT + images::OTHERS.len() as u32;
    let devices = Devices::give(&mut vmm, (&mut server, init), devices.words(), first)?;
    let given = files.chain(devices.objects());
    let page = server.give_page_of(&mut vmm, init, given, arguments.text())?;
    // What init was given of the timer the clock has not.
    let _clock = keep_time(&mut vmm, &mut server)?;
    server.start(&mut vmm, &begin, (PRIORITY, page))?;
    let ended = server.run(&mut vmm)?;
    while server.run(&mut vmm)?.is_some() {}
    vmm.validate()?;
    server.objects().validate(&vmm)?;
    match ended {
        Some((_, End::Exited(0))) => exit(ExitCode::Success),
        // It was printed how it ended.
        _ => exit(ExitCode::Failure),
    }
}
