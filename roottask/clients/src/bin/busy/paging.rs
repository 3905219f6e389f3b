// SPDX-License-Identifier: BSD-2-Clause
//! The second thread, which pages for other clients.

use vmm_client::protocol::{PagedFault, Rights};
use vmm_client::{Result, Service};
use vmm_clients::Random;

use crate::held::Held;
use crate::refusals::{unless_gone, unless_short};

/// The most pages of a region that is paged for another client.
const MAX_PAGED: u32 = 8;
/// How far the numbers of other clients are from this one's: those clients are asked for memory,
/// and offered it.
pub const NEAR: u32 = 3;
/// Of so many pages that a pager is asked for, it refuses one.
const REFUSES: u32 = 32;
/// The exit code of a program that cannot wait for faults because memory or slots are short: those
/// who wait for its pages would wait for ever.
const SHORT: u32 = 2;

/// The number of a client that was started at about the same time as this one, if there is one.
pub fn neighbour(random: &mut Random, own: u32) -> u32 {
    let away = 1 + random.below(NEAR);
    match random.below(2) {
        0 => own + away,
        _ => own.saturating_sub(away),
    }
}

/// The base of the pattern of memory that a client pages.
pub fn paged_base(pager: u32) -> u32 {
    pager.wrapping_mul(0x9e37_79b9)
}

/// The main of the second thread: it offers to page regions of other clients, and pages them until
/// there is nothing more to page.
pub fn page_for_others(service: Service, seed: usize) -> Result {
    let own = service.limits()?.own;
    let mut random = Random::new(seed as u32 | 1);
    for key in 0..1 + random.below(3) {
        let (other, pages) = (neighbour(&mut random, own), 1 + random.below(MAX_PAGED));
        unless_short(service.offer_paging(other, key, pages, Rights::READ_WRITE))?;
    }
    loop {
        match unless_short(service.next_fault(0))? {
            Some(Some(fault)) => supply(service, own, &fault, &mut random)?,
            Some(None) => return Ok(()),
            // The service keeps the right to answer who waits in a slot, and there is none.
            None => service.exit(SHORT),
        }
    }
}

/// Transfers or shares a page with the pattern, or refuses it.
fn supply(service: Service, own: u32, fault: &PagedFault, random: &mut Random) -> Result {
    let memory = match random.below(REFUSES) {
        0 => None,
        _ => unless_short(service.allocate(1, "supplied"))?,
    };
    let Some(memory) = memory else {
        return unless_gone(service.refuse_page(fault.ticket)).map(|_| ());
    };
    let page = Held { memory, base: paged_base(own) ^ fault.page, shared: true };
    page.write(page.words(), 0);
    let taken = match random.below(2) {
        0 => unless_gone(service.transfer_page(fault.ticket, memory.first))?,
        _ => unless_gone(service.share_page(fault.ticket, memory.first))?,
    };
    match taken {
        true => Ok(()),
        false => service.release(memory.handle),
    }
}
