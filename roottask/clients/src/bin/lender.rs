// SPDX-License-Identifier: BSD-2-Clause
//! Makes memory, writes to it, lends it to another program, and takes it back.
#![no_std]
#![no_main]

use sel4::MessageInfoBuilder;
use vmm_client::handles::{Handle, Object, Program, Result};
use vmm_client::objects::{Refusal, Rights, PAGE_BYTES};
use vmm_client::{program, tell};
use vmm_clients::{meeting, LENT_PAGES};

program!(main);

fn main(program: &Program, _argument: usize) -> Result {
    let (account, space) = (program.account(), program.space());
    let before = account.amounts()?;
    let memory = account.create_memory(LENT_PAGES)?;
    let mut mapping = space.map(&memory, Rights::READ_WRITE, &account)?;
    for page in 0..LENT_PAGES as usize {
        let word = (mapping.address() + page * PAGE_BYTES) as *mut u32;
        // SAFETY: all pages of the mapping appear when they are touched, and nobody else has them.
        unsafe {
            assert_eq!(word.read_volatile(), 0);
            word.write_volatile(page as u32 + 1);
        }
    }
    let pages = memory.pages()?;
    assert_eq!((pages.committed, pages.mappings), (LENT_PAGES, 1));
    tell!("{LENT_PAGES} pages of memory were zero, and hold what was written");

    // The same memory, by messages and without a mapping.
    let (mut bytes, line) = ([0; 200], 2 * PAGE_BYTES - 100);
    memory.write(line, &[0x5a; 200])?;
    memory.read(line, &mut bytes)?;
    assert_eq!(bytes, [0x5a; 200]);
    // SAFETY: as above.
    let word = unsafe { ((mapping.address() + 2 * PAGE_BYTES) as *const u32).read_volatile() };
    assert_eq!(word, 0x5a5a_5a5a);
    memory.write(2 * PAGE_BYTES, &3u32.to_le_bytes())?;
    tell!("200 bytes across a page's end were written and read by messages");

    let before_moved = mapping.address();
    mapping.move_to(0, Rights::READ)?;
    assert_ne!(mapping.address(), before_moved);
    // SAFETY: as above.
    let word = unsafe { ((mapping.address() + PAGE_BYTES) as *const u32).read_volatile() };
    assert_eq!(word, 2);

    let lent = memory.restrict(Rights::READ, &account)?;
    // What is passed on is a copy of the capability that may only read.
    sel4::with_ipc_buffer_mut(|buffer| {
        buffer.caps_or_badges_mut()[0] = lent.slot() as sel4::Word;
    });
    meeting().call(MessageInfoBuilder::default().extra_caps(1).build());
    assert_eq!(memory.pages()?.mappings, 2);
    let memory = memory.revoke()?;
    assert_eq!(memory.pages()?.mappings, 0);
    // Its own mapping was made by the capability that is gone: so it is mapped anew.
    let again = space.map(&memory, Rights::READ, &account)?;
    // SAFETY: as above.
    let word = unsafe { (again.address() as *const u32).read_volatile() };
    assert_eq!(word, 1);
    let used = memory.restrict(Rights::DESTROY, &account)?;
    let refused = used.destroy().map_err(|error| error.refusal());
    assert_eq!(refused, Err(Some(Refusal::InUse { times: 1 })));
    again.unmap()?;
    memory.destroy()?;
    // It looks again, and finds nothing.
    meeting().send(MessageInfoBuilder::default().build());
    assert_eq!(account.amounts()?, before);
    tell!("the memory was taken back, and nothing of it is charged any more");
    Ok(())
}
