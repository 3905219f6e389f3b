// SPDX-License-Identifier: BSD-2-Clause
//! Keeps pages of memory that lies on a disk: `from=` and `pages=` say which. It writes them,
//! unless `written=1` says that another has, and looks at all of them `rounds=` times; but not at
//! page `without=`. It ends with how many it found right each time.
#![no_std]
#![no_main]

use vmm_client::handles::{Program, Result};
use vmm_client::objects::PAGE_BYTES;
use vmm_client::program;
use vmm_clients::disk::number_of;
use vmm_clients::swap::{kept, map_swapped, PAGE_WORDS};

program!(main);

fn main(program: &Program, argument: usize) -> Result {
    let given = program.given(argument).expect("init gives it something");
    let number = |name| number_of(given.arguments(), name);
    let (from, pages) = (number("from").unwrap_or(0), number("pages").expect("how many pages"));
    let without = number("without");
    let mapping = map_swapped(program, &given)?;
    assert!(from + pages <= mapping.pages());
    let word = |page: u32, at: u32| {
        (mapping.address() + page as usize * PAGE_BYTES + 4 * at as usize) as *mut u32
    };
    let all = || (from..from + pages).filter(|&page| Some(page) != without);
    if number("written").is_none() {
        for page in all() {
            for at in 0..PAGE_WORDS {
                // SAFETY: the page is mapped, and no other program writes to it.
                unsafe { word(page, at).write_volatile(kept(page, at)) };
            }
        }
    }
    let mut least = pages;
    for _ in 0..number("rounds").unwrap_or(1) {
        // SAFETY: as above.
        let is_right = |page, at| unsafe { word(page, at).read_volatile() } == kept(page, at);
        let right = all().filter(|&page| (0..PAGE_WORDS).all(|at| is_right(page, at)));
        least = least.min(right.count() as u32);
    }
    program.exit(least)
}
