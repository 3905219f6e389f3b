// SPDX-License-Identifier: BSD-2-Clause
//! Gives parts of mappings other rights, unmaps and moves some; reserves addresses; clones much.
#![no_std]
#![no_main]

use vmm_client::handles::{Account, Mapping, Object, Program, Result, Space};
use vmm_client::objects::{Refusal, Rights, PAGE_BYTES};
use vmm_client::{program, tell};

program!(main);

/// Pages of what is given other rights, and of what is cloned: more than one request does.
const PAGES: u32 = 100;
const MANY: u32 = 170;
const BOTH: Rights = Rights::READ_WRITE;

/// The word at the beginning of a page of a mapping.
fn word(mapping: &Mapping, page: u32) -> *mut u32 {
    (mapping.address() + page as usize * PAGE_BYTES) as *mut u32
}

/// Writes its number and `more` to each page.
fn fill(mapping: &Mapping, more: u32) {
    for page in 0..mapping.pages() {
        // SAFETY: the pages appear when they are touched, may be written, and are nobody else's.
        unsafe { word(mapping, page).write_volatile(page + more) };
    }
}

/// That each page has its number and `more`.
fn check(mapping: &Mapping, more: u32) {
    for page in 0..mapping.pages() {
        // SAFETY: the pages appear when they are touched, and may be read.
        let found = unsafe { word(mapping, page).read_volatile() };
        assert_eq!(found, page + more, "page {page}");
    }
}

fn main(program: &Program, rounds: usize) -> Result {
    let (account, space) = (program.account(), program.space());
    let before = account.amounts()?;
    for _ in 0..rounds {
        parts(&account, &space)?;
        reserved(&account, &space)?;
        cloned(&account, &space)?;
    }
    assert_eq!(account.amounts()?, before);
    tell!("parts, reservations and clones, {rounds} times, and nothing is left of them");
    Ok(())
}

/// Pages in the midst of a mapping are read only for a while; then they go, then the others.
fn parts(account: &Account, space: &Space) -> Result {
    let memory = account.create_memory(PAGES)?;
    let mapping = space.map(&memory, BOTH, account)?;
    fill(&mapping, 1);
    let address = mapping.address();
    let (lower, rest) = mapping.split(10);
    let (middle, upper) = rest.map_or((None, None), |rest| rest.split(PAGES - 20));
    let all = [lower, middle, upper].map(|part| part.expect("it has pages"));
    let [lower, middle, upper] = &all;
    middle.protect(Rights::READ)?;
    check(middle, 11);
    fill(lower, 2);
    fill(upper, PAGES - 8);
    middle.protect(BOTH)?;
    fill(middle, 12);
    // All of it is one again, and in order.
    let [lower, mut middle, upper] = all;
    assert_eq!((lower.address(), memory.pages()?.mappings), (address, 1));
    check(&lower, 2);
    middle.move_to(0, Rights::READ)?;
    check(&middle, 12);
    lower.unmap()?;
    check(&upper, PAGES - 8);
    upper.unmap()?;
    middle.unmap()?;
    memory.destroy()
}

/// What is mapped by a capability to a reservation lies in it, under its ceiling.
fn reserved(account: &Account, space: &Space) -> Result {
    let (memory, outer) = (account.create_memory(4)?, space.reserve((0, 64), BOTH, account)?);
    let (start, pages) = outer.reserved()?;
    let inner = outer.reserve((start + 8 * PAGE_BYTES, 8), Rights::READ, account)?;
    let within = |address: usize| (start..start + pages as usize * PAGE_BYTES).contains(&address);
    let first = outer.map(&memory, BOTH, account)?;
    assert!(within(first.address()));
    fill(&first, 5);
    let second = inner.map(&memory, Rights::READ, account)?;
    check(&second, 5);
    let refused = inner.map(&memory, BOTH, account).map_err(|error| error.refusal());
    assert_eq!(refused, Err(Some(Refusal::BeyondRights { asked: Rights::WRITE })));
    // Behind it: before it there may be the page of the null pointer, whose address says anywhere.
    let outside = start + pages as usize * PAGE_BYTES;
    let refused = outer.map_part(&memory, (0, 1), (outside, Rights::READ), account);
    assert!(refused.is_err_and(|error| error.refusal().is_some()));
    first.unmap()?;
    second.unmap()?;
    inner.destroy()?;
    outer.destroy()?;
    memory.destroy()
}

/// A clone of more pages than one request does shows what there was.
fn cloned(account: &Account, space: &Space) -> Result {
    let memory = account.create_memory(MANY)?;
    let mapping = space.map(&memory, BOTH, account)?;
    fill(&mapping, 1);
    mapping.unmap()?;
    let clone = memory.copy_on_write(account)?;
    assert_eq!(clone.pages()?.committed, MANY);
    let (origin, shown) = (space.map(&memory, BOTH, account)?, space.map(&clone, BOTH, account)?);
    check(&shown, 1);
    fill(&origin, 1000);
    check(&shown, 1);
    shown.unmap()?;
    origin.unmap()?;
    clone.destroy()?;
    memory.destroy()
}
