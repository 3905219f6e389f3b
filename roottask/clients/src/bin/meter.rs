//! What requests cost, as the client that makes them sees it: for the benchmark.
#![no_std]
#![no_main]

use core::arch::x86::_rdtsc;

use vmm_client::{client_program, Memory, Result, Service};

client_program!(main);

/// How often each request is made, and how many pages are mapped.
const TIMES: u32 = 256;

/// Measures what `what` says, and exits with the ticks of all of it: 0 nothing, 1 a request that
/// does nothing, 2 mapping pages one by one, 3 mapping them at once.
fn main(service: Service, what: usize) -> Result {
    let memory = match what {
        0 => service.exit(0),
        _ => service.allocate_on_demand(TIMES, 1, "measured")?,
    };
    // The first time brings caches of the service up.
    measure(service, memory, 1)?;
    let ticks = measure(service, memory, what)?;
    service.exit(ticks)
}

fn measure(service: Service, memory: Memory, what: usize) -> Result<u32> {
    let start = now();
    match what {
        1 => (0..TIMES).try_for_each(|_| service.limits().map(|_| ()))?,
        2 => (0..TIMES).try_for_each(|page| service.map(memory.first + page as usize * 4096, 1))?,
        _ => service.map(memory.first, TIMES)?,
    }
    Ok((now() - start) as u32)
}

fn now() -> u64 {
    // SAFETY: the kernel lets user code read the counter; reading it changes nothing.
    unsafe { _rdtsc() }
}
