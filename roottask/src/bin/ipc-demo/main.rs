// SPDX-License-Identifier: BSD-2-Clause
//! Two threads exchange messages through IPC buffers that share nothing.
//!
//! ```text
//!   main.rs            the course of it, from all memory free to all memory free
//!   buffers.rs         where the two buffers lie, and what lies around the new one
//!   conversation.rs    what the two threads say to each other
//!   account.rs         what was handed out, and that it came back
//! ```
//!
//! The five lines of the conversation are those of a Genode article that put the second thread's
//! IPC buffer into the page of the first one's. Here each thread has a frame of its own.
#![no_std]
#![no_main]

mod account;
mod buffers;
mod conversation;

use roottask::{check_eq, Outcome, Thread, ThreadOptions};
use sel4_root_task::{debug_println, exit, root_task, ExitCode, Never};
use vmm::sel4::{start, BootPool};

use account::Account;
use conversation::Conversation;

static POOL: BootPool = BootPool::new();

#[root_task]
fn main(bootinfo: &sel4::BootInfoPtr) -> Outcome<Never> {
    let mut vmm = start(bootinfo, &POOL)?;
    debug_println!("ipc-demo: two threads, each with an IPC buffer of its own");
    let before = Account::open(&vmm);
    debug_println!("before: {}", before.free());

    let thread = Thread::new(&mut vmm, &ThreadOptions::new("second thread"))?;
    let conversation = Conversation::prepare(&mut vmm)?;
    debug_println!("handed out: {}", before.handed_out(&vmm));
    vmm.validate()?;

    buffers::show(&mut vmm, bootinfo.ipc_buffer() as usize, thread.buffer())?;
    conversation.hold(&thread)?;

    thread.release(&mut vmm)?;
    conversation.release(&mut vmm)?;
    vmm.trim()?;
    vmm.validate()?;
    let after = Account::open(&vmm);
    debug_println!("after:  {}", after.free());
    check_eq!(after.free(), before.free());
    debug_println!("all memory and slots are free again");
    debug_println!("ipc-demo: passed");
    exit(ExitCode::Success)
}
