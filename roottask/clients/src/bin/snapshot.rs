// SPDX-License-Identifier: BSD-2-Clause
//! Keeps what its memory held: the clone of it is copy-on-write, and its own.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;

use vmm_client::handles::{Object, Program, Result};
use vmm_client::objects::{Resource, Rights, PAGE_BYTES};
use vmm_client::{heap, program, tell};

program!(main);
heap!(HEAP);

fn main(program: &Program, _argument: usize) -> Result {
    let (account, space) = (program.account(), program.space());
    let pages = || account.amounts().map(|info| info.used.of(Resource::Pages));
    let before = pages()?;
    let memory = account.create_memory(100)?;
    let mapping = space.map(&memory, Rights::READ_WRITE, &account)?;
    let words = |mapping: &vmm_client::handles::Mapping| {
        let at = mapping.address();
        // SAFETY: nobody else uses what is mapped there while it is used here.
        (0..100).map(move |page| unsafe { &mut *((at + page * PAGE_BYTES) as *mut usize) })
    };
    words(&mapping).enumerate().for_each(|(page, word)| *word = page);
    let kept = memory.copy_on_write(&account)?;
    words(&mapping).for_each(|word| *word = 0);
    let shown = space.map(&kept, Rights::READ, &account)?;
    let seen: Vec<usize> = words(&shown).map(|word| *word).collect();
    assert!(seen.iter().copied().eq(0..100));
    tell!("{} words are kept that were overwritten", seen.len());
    drop(seen);
    for mapping in [mapping, shown] {
        mapping.unmap()?;
    }
    memory.destroy()?;
    kept.destroy()?;
    HEAP.trim();
    assert_eq!(pages()?, before);
    Ok(())
}
