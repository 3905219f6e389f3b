// SPDX-License-Identifier: BSD-2-Clause
//! Shares memory with its child, and ends first.
#![no_std]
#![no_main]

use vmm_client::protocol::{Amounts, Rights, MAX_PAGES};
use vmm_client::{client_program, say, Result, Service};
use vmm_clients::{answer, incoming, outgoing, question, Words, GIFT, PAGES, PAGE_WORDS, WORDS};

client_program!(main);

/// Pages to clone: more than one request clones.
const LONG: u32 = MAX_PAGES + 16;
/// The first word of the last of these pages.
const LAST: usize = (LONG as usize - 1) * PAGE_WORDS;

/// `child` is the taker's number.
fn main(service: Service, child: usize) -> Result {
    let child = child as u32;
    let gift = Amounts { frames: GIFT, ..Amounts::default() };
    let before = service.limits()?.limits.frames;
    service.give_quota(child, gift)?;
    assert_eq!(service.limits()?.limits.frames, before - GIFT);
    say!("gave my child {GIFT} pages of my quota");

    let memory = service.allocate(PAGES, "exchange")?;
    // SAFETY: allocate has mapped them, and nothing unmaps them before the end.
    let words = unsafe { Words::new(memory.first, PAGES) };
    (0..WORDS).for_each(|index| words.set(index, question(index)));
    service.offer(child, memory.first, PAGES, Rights::READ_WRITE)?;
    outgoing().signal();
    incoming().wait();
    let right = (0..WORDS).filter(|&index| words.get(index) == answer(question(index))).count();
    say!("{right} words came back as they should");
    assert_eq!(right, WORDS);

    copy_on_write(service)?;
    on_demand(service)?;
    outgoing().signal();
    Ok(())
}

/// Writes to a region and its clone: neither shows what is written to the other.
fn copy_on_write(service: Service) -> Result {
    let memory = service.allocate(LONG, "original")?;
    // SAFETY: allocate has mapped them, and they are released at the end of this function.
    let original = unsafe { Words::new(memory.first, LONG) };
    original.set(0, 1);
    original.set(LAST, 2);
    let clone = service.clone_region(memory.handle)?;
    // SAFETY: as above.
    let copy = unsafe { Words::new(clone.first, LONG) };
    copy.set(0, 3);
    original.set(LAST, 4);
    let found = [original.get(0), copy.get(0), original.get(LAST), copy.get(LAST)];
    assert_eq!(found, [1, 3, 4, 2]);
    say!("a copy-on-write clone was written to, on either side, unseen by the other");
    service.release(clone.handle)?;
    service.release(memory.handle)
}

/// Touches memory that is mapped when it is touched.
fn on_demand(service: Service) -> Result {
    let before = service.statistics()?.mapped_pages;
    let memory = service.allocate_on_demand(64, 4, "on demand")?;
    assert_eq!(service.statistics()?.mapped_pages, before);
    // SAFETY: the service maps each page when it is touched.
    let words = unsafe { Words::new(memory.first, 64) };
    (0..64).step_by(16).for_each(|page| words.set(page * PAGE_WORDS, 1));
    let mapped = service.statistics()?.mapped_pages - before;
    say!("4 touches of memory on demand mapped {mapped} pages");
    // Four each, less where a block of four begins before the region.
    assert!((13..=16).contains(&mapped));
    service.release(memory.handle)
}
