// SPDX-License-Identifier: BSD-2-Clause
//! Touches memory that another program pages, page after page, and a page that the pager refuses.
#![no_std]
#![no_main]

use vmm_client::protocol::{Refusal, Rights};
use vmm_client::{client_program, say, Error, Memory, Result, Service};
use vmm_clients::{written, Words, PAGE_WORDS, READ_PAGES, REFUSED_PAGE};

client_program!(main);

/// `pager` is the pager's number.
fn main(service: Service, pager: usize) -> Result {
    let memory = accept(service, pager as u32)?;
    // SAFETY: the pager supplies each page when it is touched.
    let words = unsafe { Words::new(memory.first, memory.pages) };
    let pages = memory.pages.min(REFUSED_PAGE);
    let right = (0..pages).filter(|&page| {
        let word = page as usize * PAGE_WORDS;
        let found = words.get(word);
        words.set(word + 1, found);
        found == written(page) && words.get(word + 1) == found
    });
    say!("touched {} pages, and found what the pager had written", right.count());
    // The pager refuses this page of its longer region, and never answers for its shorter one.
    if memory.pages == READ_PAGES {
        words.get(REFUSED_PAGE as usize * PAGE_WORDS);
    }
    service.exit(1)
}

/// Accepts the offer to page as soon as it is made.
fn accept(service: Service, pager: u32) -> Result<Memory> {
    loop {
        match service.accept_paging(pager, 0, Rights::READ_WRITE) {
            Err(Error::Refused(Refusal::NoSuchOffer)) => sel4::r#yield(),
            other => return other,
        }
    }
}
