// SPDX-License-Identifier: BSD-2-Clause
//! Two threads of one program, each with stack, IPC buffer and thread-local storage of its own.
#![no_std]
#![no_main]

use core::arch::global_asm;
use core::sync::atomic::{AtomicU32, Ordering};

use vmm_client::protocol::{Refusal, FIRST_FREE_SLOT};
use vmm_client::{client_program, client_thread, say, Error, Result, Service};
use vmm_clients::exchange_thread_local;

client_program!(main);
client_thread!(second_entry, second);

/// The first value of each thread's variable.
const INITIAL: u32 = 0x1122_3344;
/// The value that the second thread found in its own variable; 0 until it has.
static FOUND: AtomicU32 = AtomicU32::new(0);

// Stable Rust has no thread-local variables without std, but the linker has.
global_asm!(
    ".section .tdata,\"awT\",@progbits",
    ".p2align 2",
    "twins_variable: .long 0x11223344",
    ".section .tbss,\"awT\",@nobits",
    ".p2align 5",
    "twins_clear: .zero 5000",
    ".text",
);

/// Replaces the thread's own variable by `value`; returns the old value.
fn exchange(value: u32) -> u32 {
    exchange_thread_local!("twins_variable", value)
}

fn main(service: Service, _: usize) -> Result {
    assert_eq!(exchange(7), INITIAL);
    let before = (service.limits()?.used, service.statistics()?.regions);
    let memory = service.allocate_on_demand(4, 1, "both")?;
    // The thread ends by itself the first time, and is ended the second time.
    for ends in [1, 0] {
        let thread = service.spawn(second_entry, memory.first + ends, 2, FIRST_FREE_SLOT)?;
        while FOUND.load(Ordering::Acquire) == 0 {
            sel4::r#yield();
        }
        assert_eq!(FOUND.swap(0, Ordering::AcqRel), INITIAL);
        assert_eq!(exchange(7), 7);
        match ends {
            1 => while service.limits()?.used.objects > before.0.objects {},
            _ => service.end_thread(thread)?,
        }
        let again = service.end_thread(thread);
        assert_eq!(again, Err(Error::Refused(Refusal::NoSuchThread)));
    }
    service.release(memory.handle)?;
    let after = (service.limits()?.used, service.statistics()?.regions);
    assert_eq!(
        (after.0.frames, after.0.objects, after.1),
        (before.0.frames, before.0.objects, before.1)
    );
    say!("the second thread had a variable and an IPC buffer of its own, twice, and left nothing");
    Ok(())
}

/// The second thread. `memory` is the address of memory on demand; its lowest bit says whether to
/// end.
fn second(service: Service, memory: usize) -> Result {
    let (ends, first) = (memory & 1 != 0, (memory & !1) as *mut u32);
    // The thread has faults of its own, and messages of its own.
    // SAFETY: the service maps the page when it is touched, and the other thread does not touch it.
    unsafe { first.write_volatile(service.limits()?.own) };
    let found = exchange(9);
    assert_eq!(exchange(9), 9);
    FOUND.store(found, Ordering::Release);
    match ends {
        true => Ok(()),
        false => loop {
            sel4::r#yield();
        },
    }
}
