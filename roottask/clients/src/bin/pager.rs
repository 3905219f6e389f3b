// SPDX-License-Identifier: BSD-2-Clause
//! Supplies pages of another program's memory when that program touches them, and ends while a
//! third program waits.
#![no_std]
#![no_main]

use vmm_client::protocol::Rights;
use vmm_client::{client_program, say, Result, Service};
use vmm_clients::{written, Words, READ_PAGES, REFUSED_PAGE};

client_program!(main);

/// The keys of the two regions: the one that is read, and the one that is never paged.
const READ: u32 = 7;
const NEVER: u32 = 8;

/// The reader's number is `clients` in its lower half, that of the program that waits in the upper.
fn main(service: Service, clients: usize) -> Result {
    let (reader, waiter) = (clients as u32 & 0xffff, clients as u32 >> 16);
    service.offer_paging(waiter, NEVER, 1, Rights::READ_WRITE)?;
    service.offer_paging(reader, READ, READ_PAGES, Rights::READ_WRITE)?;
    let (mut supplied, mut refused, mut unanswered) = (0, false, 0);
    while !refused || unanswered == 0 {
        let Some(fault) = service.next_fault(unanswered)? else { break };
        if fault.key == NEVER {
            unanswered = fault.ticket;
            continue;
        }
        assert_eq!((fault.key, fault.client), (READ, reader));
        if fault.page == REFUSED_PAGE {
            service.refuse_page(fault.ticket)?;
            refused = true;
            continue;
        }
        let memory = service.allocate(1, "page")?;
        // SAFETY: allocate has mapped it, and it is written before it is given away.
        let words = unsafe { Words::new(memory.first, 1) };
        words.set(0, written(fault.page));
        // Both ways must give the reader its page.
        match fault.page % 2 {
            0 => service.transfer_page(fault.ticket, memory.first)?,
            _ => service.share_page(fault.ticket, memory.first)?,
        }
        supplied += 1;
    }
    say!("supplied {supplied} pages, refused one, and end while somebody waits for another");
    Ok(())
}
