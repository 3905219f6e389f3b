// SPDX-License-Identifier: BSD-2-Clause
//! What the programs with memory on a disk and who starts them agree on.

use vmm_client::handles::{Handle, Mapping, Memory, Program, Result};
use vmm_client::objects::first_page::Given;
use vmm_client::objects::{Rights, PAGE_BYTES};

/// The words of a page.
pub const PAGE_WORDS: u32 = PAGE_BYTES as u32 / 4;
/// Where such memory is mapped: who faults in it tells by the address which page it was. Below it
/// lies the program, and what it has elsewhere lies there, too.
pub const SWAPPED_AT: usize = 0x4000_0000;

/// Maps the memory that a program was given as `swapped`, all of it at [`SWAPPED_AT`].
///
/// # Errors
/// What the service refuses.
///
/// # Panics
/// If it was not given.
pub fn map_swapped(program: &Program, given: &Given<'_>) -> Result<Mapping> {
    let memory = Memory::from_slot(given.slot("swapped").expect("init gives it memory"));
    let (pages, account) = (memory.pages()?.pages, program.account());
    program.space().map_part(&memory, (0, pages), (SWAPPED_AT, Rights::READ_WRITE), &account)
}

/// A number that looks random, of which there is one for each number: the end of MurmurHash3.
pub const fn scattered(number: u32) -> u32 {
    let number = (number ^ number >> 16).wrapping_mul(0x85eb_ca6b);
    let number = (number ^ number >> 13).wrapping_mul(0xc2b2_ae35);
    number ^ number >> 16
}

/// What a keeper writes at a place of a page.
pub const fn kept(page: u32, at: u32) -> u32 {
    scattered(page * PAGE_WORDS + at) ^ 0x5a5a_5a5a
}
