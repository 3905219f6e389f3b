// SPDX-License-Identifier: BSD-2-Clause
//! Reads a file that a server has, by mapping it, and looks at every byte. Its arguments say what
//! else it does: `collect`, `dive`, `edit` a private mapping, or `bad` for the page that cannot be
//! had.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::collections::BTreeMap;

use sel4::{cap, MessageInfoBuilder, Word};
use vmm_client::handles::{take_slot, Handle, Memory, Program, Result};
use vmm_client::objects::{Rights, CNODE_BITS, CNODE_SLOT, PAGE_BYTES};
use vmm_client::program;
use vmm_clients::files::{
    edited, marked, word, BAD_PAGE, EDITED_PAGES, FILE_PAGES, MARKED_PAGES, OPEN, WORDS,
};

program!(main);
vmm_client::heap!(HEAP);

/// The exit code of one that read something wrong.
const WRONG: u32 = 66;

/// Asks for the file, by its server's endpoint.
fn open(endpoint: u32) -> Result<Memory> {
    let slot = take_slot()?;
    let own = cap::CNode::from_bits(CNODE_SLOT as Word);
    let path = own.absolute_cptr_from_bits_with_depth(slot as Word, CNODE_BITS.into());
    sel4::with_ipc_buffer_mut(|buffer| buffer.set_recv_slot(&path));
    let info = MessageInfoBuilder::default().label(OPEN).build();
    let answer = cap::Endpoint::from_bits(endpoint as Word).call(info);
    assert_eq!((answer.label(), answer.extra_caps()), (0, 1));
    Ok(Memory::from_slot(slot))
}

fn main(program: &Program, argument: usize) -> Result {
    let given = program.given(argument).expect("init gives it something");
    let file = open(given.slot("files").expect("an endpoint is among it"))?;
    let account = program.account();
    let mapping = program.space().map(&file, Rights::READ_WRITE, &account)?;
    let at = |page: u32, at: usize| {
        (mapping.address() + page as usize * PAGE_BYTES + 4 * at) as *mut u32
    };
    // SAFETY: the pages of the mapping are supplied when they are touched.
    let read = |page: u32, place: usize| unsafe { at(page, place).read_volatile() };
    let is_right = |page: u32, place: usize| {
        let found = read(page, place);
        found == word(page, place) || found == marked(page, place)
    };
    let code = match given.arguments() {
        "collect" => {
            let mut sums = BTreeMap::new();
            for page in 0..FILE_PAGES {
                let sum = (0..WORDS).fold(0u32, |sum, place| {
                    if read(page, place) != word(page, place) {
                        program.exit(WRONG);
                    }
                    sum.wrapping_add(read(page, place))
                });
                sums.insert(page, sum);
                if page == BAD_PAGE - 1 {
                    break;
                }
            }
            for number in 0..MARKED_PAGES {
                let page = number * (BAD_PAGE / MARKED_PAGES);
                for place in 0..WORDS {
                    // SAFETY: as above; words of other readers are only read.
                    unsafe { at(page, place).write_volatile(marked(page, place)) };
                }
            }
            // Again, in another order: what it has written is there, and all else as it was.
            let mut right = 0;
            for number in 0..BAD_PAGE {
                let page = number * 7 % BAD_PAGE;
                let own = page % (BAD_PAGE / MARKED_PAGES) == 0;
                let wanted = if own { marked } else { word };
                let all = (0..WORDS).all(|place| read(page, place) == wanted(page, place));
                let sum = (0..WORDS).fold(0u32, |sum, place| sum.wrapping_add(word(page, place)));
                right += u32::from(all && sums.get(&page) == Some(&sum));
            }
            right
        }
        "dive" => dive(&is_right, 1),
        "edit" => edit(program, &file, &is_right)?,
        "bad" => read(BAD_PAGE, 0),
        _ => {
            // It reads what another may write meanwhile.
            let right = (0..BAD_PAGE).filter(|&page| (0..WORDS).all(|it| is_right(page, it)));
            right.count() as u32
        }
    };
    program.exit(code)
}

/// Changes every third page of a private mapping of the file. Returns how many pages are right
/// then: those as it wrote them and the others as they were, and all of them as they were in the
/// file. Its server keeps fewer, so each was taken back and supplied again meanwhile, but for the
/// copies.
fn edit(program: &Program, file: &Memory, is_right: &dyn Fn(u32, usize) -> bool) -> Result<u32> {
    let (account, rights) = (program.account(), Rights::READ_WRITE);
    let own = program.space().map_privately(file, (0, EDITED_PAGES), (0, rights), &account)?;
    let at = |page: u32, place: usize| {
        (own.address() + page as usize * PAGE_BYTES + 4 * place) as *mut u32
    };
    for page in (0..EDITED_PAGES).step_by(3) {
        for place in 0..WORDS {
            // SAFETY: the pages of the mapping are nobody else's, and come when they are touched.
            unsafe { at(page, place).write_volatile(edited(page, place)) };
        }
    }
    let is_own = |page: u32, place: usize| {
        // SAFETY: as above.
        let found = unsafe { at(page, place).read_volatile() };
        match page % 3 {
            0 => found == edited(page, place),
            _ => found == word(page, place) || found == marked(page, place),
        }
    };
    let both = |page: u32| (0..WORDS).all(|place| is_own(page, place) && is_right(page, place));
    let right = (0..EDITED_PAGES).filter(|&page| both(page)).count();
    own.unmap()?;
    Ok(right as u32)
}

/// Reads a page at each level of a recursion that does not end.
#[allow(unconditional_recursion)]
fn dive(is_right: &dyn Fn(u32, usize) -> bool, depth: u32) -> u32 {
    let frame = core::hint::black_box([depth; 64]);
    let right = is_right(depth % BAD_PAGE, 0);
    dive(is_right, depth + 1) + frame[depth as usize % 64] + u32::from(right)
}
