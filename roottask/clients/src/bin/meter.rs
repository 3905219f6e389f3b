// SPDX-License-Identifier: BSD-2-Clause
//! Measures the cost of requests, as the client that sends them sees it: for the benchmark.
#![no_std]
#![no_main]

use sel4::cap::Endpoint;
use sel4::MessageInfoBuilder;
use vmm_client::protocol::PAGE_BYTES;
use vmm_client::{client_program, Memory, Result, Service};
use vmm_clients::now;

client_program!(main);

/// How often each request is sent, and the number of pages that are mapped.
const TIMES: u32 = 256;
/// The endpoint at which somebody answers who is no service.
const BARE: Endpoint = Endpoint::from_bits(3);

/// Measures the request that `what` selects, and exits with the ticks of all of it: 0 nothing, 1 a
/// request that does nothing, 2 mapping pages one by one, 3 mapping them at once, 4 a call that
/// somebody answers at once, who is no service.
fn main(service: Service, what: usize) -> Result {
    if what == 4 {
        let call = || BARE.call(MessageInfoBuilder::default().build()).length();
        call();
        let start = now();
        for _ in 0..TIMES {
            call();
        }
        service.exit((now() - start) as u32);
    }
    let memory = match what {
        0 => service.exit(0),
        _ => service.allocate_on_demand(TIMES, 1, "measured")?,
    };
    // The first time fills the service's caches.
    measure(service, memory, 1)?;
    let ticks = measure(service, memory, what)?;
    service.exit(ticks)
}

fn measure(service: Service, memory: Memory, what: usize) -> Result<u32> {
    let start = now();
    match what {
        1 => (0..TIMES).try_for_each(|_| service.limits().map(|_| ()))?,
        2 => (0..TIMES as usize)
            .try_for_each(|page| service.map(memory.first + page * PAGE_BYTES, 1))?,
        _ => service.map(memory.first, TIMES)?,
    }
    Ok((now() - start) as u32)
}
