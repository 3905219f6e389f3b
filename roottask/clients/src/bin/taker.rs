// SPDX-License-Identifier: BSD-2-Clause
//! The giver's child: changes what it shares, and goes on using it when all others have ended.
#![no_std]
#![no_main]

use vmm_client::protocol::{Refusal, Rights};
use vmm_client::{client_program, say, Error, Result, Service};
use vmm_clients::{answer, incoming, outgoing, question, Words, PAGES, WORDS};

client_program!(main);

/// `rogue` is the rogue's number; the giver's is the parent's.
fn main(service: Service, rogue: usize) -> Result {
    let parent = service.limits()?.parent;
    incoming().wait();
    let memory = service.accept(parent, 0, Rights::READ_WRITE)?;
    // SAFETY: accept has mapped them, and nothing unmaps them before the end.
    let words = unsafe { Words::new(memory.first, PAGES) };
    let right = (0..WORDS).filter(|&index| words.get(index) == question(index)).count();
    say!("{right} words received, each as it was sent");
    assert_eq!(right, WORDS);
    (0..WORDS).for_each(|index| words.set(index, answer(question(index))));
    outgoing().signal();

    incoming().wait();
    let gone = Err(Error::Refused(Refusal::NoSuchClient));
    for other in [parent, rogue as u32] {
        while let Ok(ticket) = service.offer(other, memory.first, 1, Rights::READ) {
            // The rogue may have guessed the ticket by now; it can only read the page.
            let _ = service.withdraw(ticket);
            sel4::r#yield();
        }
        assert_eq!(service.offer(other, memory.first, 1, Rights::READ).map(|_| ()), gone);
    }
    // The new memory is written to, so a frame of it that were still shared would show below.
    let other = service.allocate(PAGES, "other")?;
    // SAFETY: allocate has mapped them.
    let others = unsafe { Words::new(other.first, PAGES) };
    let clear = (0..WORDS).filter(|&index| others.get(index) == 0).count();
    (0..WORDS).for_each(|index| others.set(index, !0));
    let right = (0..WORDS).filter(|&index| words.get(index) == answer(question(index))).count();
    say!("giver and rogue have ended, and {right} shared words are still there");
    assert_eq!((right, clear), (WORDS, WORDS));
    service.release(memory.handle)
}
