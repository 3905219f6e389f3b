// SPDX-License-Identifier: BSD-2-Clause
//! Serves the programs that `run.sh --client FILE...` names: the first is started as `init`, and
//! finds the others' files, what `--device` says of the machine, and what stands behind `--`, on
//! its first page. Its account has the large pages that `--large-pages` has set aside.
#![no_std]
#![no_main]

use roottask::{client, keep_time, Arguments, Devices, Outcome, MAX_CLIENTS};
use sel4_root_task::{debug_println, exit, root_task, ExitCode, Never};
use vmm::sel4::{start_with, BootPool, StartOptions};
use vmm::Blueprint;
use vmm_service::objects::protocol::first_page::GivenObject;
use vmm_service::objects::protocol::{Amounts, Kind, Rights, FIRST_FREE_SLOT};
use vmm_service::objects::{NewProgram, Options, Server};
use vmm_service::server::End;

static POOL: BootPool<32> = BootPool::new();

/// Bytes that stay free for the server, beside what programs may have.
const SPARE: usize = 4 << 20;
const PRIORITY: u8 = 100;

#[root_task]
fn main(bootinfo: &sel4::BootInfoPtr) -> Outcome<Never> {
    let mut vmm = start_with(bootinfo, &POOL, &StartOptions::new().clear_when_needed())?;
    let arguments = Arguments::read()?;
    let devices = Arguments::devices()?;
    let physical = Devices::want_physical(devices.words())?;
    let Some(init) = client(&mut vmm, 0)? else {
        debug_println!("serve-files: no program: say run.sh --client FILE [-- ARGUMENTS]");
        exit(ExitCode::Failure);
    };
    let endpoint = vmm.allocate(Blueprint::Endpoint)?.slot();
    // Pages, tables, slots, objects, spaces, badges, records: as much as there is memory for. And
    // large pages.
    let large = Arguments::large_pages()?;
    let bits = vmm.geometry().larger_frame(vmm.geometry().page_bits).unwrap_or_default();
    let spare = SPARE.saturating_add((large as usize) << bits);
    let pages = vmm.stats().free_bytes().saturating_sub(spare) >> 12;
    let pages = u32::try_from(pages).unwrap_or(u32::MAX);
    let all = Amounts([pages, 4000, 40_000, 400, 200, 4000, 10_000, large]);
    // What the server takes for an account is not the first program's.
    let most = pages.saturating_sub(pages / 8 + 1);
    let first = Amounts([most, 3000, 30_000, 300, 150, 3000, 8000, large]);
    let mut server = Server::new(&mut vmm, endpoint, all, Options::printing())?;
    let new = NewProgram { physical, ..NewProgram::new(init.name(), init.bytes, first) };
    let (id, begin) = server.create(&mut vmm, &new)?;
    let mut names = [""; MAX_CLIENTS];
    let mut files = [None; MAX_CLIENTS];
    for (number, place) in files.iter_mut().enumerate().skip(1) {
        *place = client(&mut vmm, number)?;
    }
    let mut slot = FIRST_FREE_SLOT;
    for (name, file) in names.iter_mut().zip(files.iter().flatten()) {
        server.give_file(&mut vmm, id, (slot, file.bytes))?;
        *name = file.name();
        slot += 1;
    }
    let names = &names[..(slot - FIRST_FREE_SLOT) as usize];
    let devices = Devices::give(&mut vmm, (&mut server, id), devices.words(), slot)?;
    let files = (FIRST_FREE_SLOT..).zip(names).map(|(slot, &name)| GivenObject {
        name,
        kind: Some(Kind::Memory),
        rights: Rights::READ,
        slot,
    });
    let given = files.chain(devices.objects());
    let page = server.give_page_of(&mut vmm, id, given, arguments.text())?;
    // What init was given of the timer the clock has not.
    let _clock = keep_time(&mut vmm, &mut server)?;
    server.start(&mut vmm, &begin, (PRIORITY, page))?;
    let ended = server.run(&mut vmm)?;
    while server.run(&mut vmm)?.is_some() {}
    match ended {
        Some((_, End::Exited(0))) => exit(ExitCode::Success),
        // It was printed how it ended.
        _ => exit(ExitCode::Failure),
    }
}
