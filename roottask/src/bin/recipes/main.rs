// SPDX-License-Identifier: BSD-2-Clause
//! The recipes of `RECIPES.md`, each a file: what is shown there is booted here.
#![no_std]
#![no_main]

mod clearing;
mod device;
mod direct_map;
mod dma;
mod lazy_arena;
mod own_policy;
mod pager;
mod snapshot;
mod threads;

use roottask::{Failure, Outcome};
use sel4::init_thread::slot;
use sel4_root_task::{debug_println, exit, root_task, ExitCode, Never};
use vmm::sel4::faults::{start as start_handler, HandlerError, HandlerOptions, SharedManager};
use vmm::sel4::{start_with, BootPool, StartOptions};
use vmm::{CPtr, ThreadCSpace};

static POOL: BootPool<32> = BootPool::new();
static MANAGER: SharedManager = SharedManager::new();

#[root_task]
fn main(bootinfo: &sel4::BootInfoPtr) -> Outcome<Never> {
    let mut vmm = start_with(bootinfo, &POOL, &StartOptions::new().clear_at_boot(16 << 20))?;
    clearing::recipe(&mut vmm)?;
    direct_map::recipe(&mut vmm)?;
    dma::recipe(&mut vmm)?;
    device::recipe(&mut vmm)?;

    // From here on another thread answers faults, those of this thread too.
    MANAGER.share(vmm)?;
    let policy: own_policy::Policy = own_policy::policy;
    let handler = start_handler(&MANAGER, &HandlerOptions::default(), policy, pager::register)
        .map_err(refused)?;
    {
        let vmm = &mut *MANAGER.lock();
        let (own, this) = (vmm.own_space(), CPtr::new(slot::TCB.index()));
        let id = vmm.register_thread(own, this, handler.endpoint(), "main")?;
        let faults = vmm.thread(id)?.fault_endpoint;
        vmm.set_thread_space(this, own, ThreadCSpace::Manager, faults)?;
    }
    threads::recipe(&MANAGER)?;
    lazy_arena::recipe(&MANAGER)?;
    snapshot::recipe(&MANAGER)?;
    own_policy::recipe(&MANAGER, handler.endpoint())?;
    pager::recipe(&MANAGER)?;
    MANAGER.lock().validate()?;
    debug_println!("recipes: passed");
    exit(ExitCode::Success)
}

fn refused(error: HandlerError) -> Failure {
    match error {
        HandlerError::Manager(error) => Failure::Manager(error),
        HandlerError::Kernel(error) => Failure::Kernel(error),
    }
}
