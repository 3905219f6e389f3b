// SPDX-License-Identifier: BSD-2-Clause
//! Is lent memory that it may read, and touches it when it was taken back.
#![no_std]
#![no_main]

use sel4::{cap, MessageInfoBuilder, Word};
use vmm_client::handles::{take_slot, Handle, Memory, Object, Program, Result};
use vmm_client::objects::{Refusal, Rights, CNODE_BITS, CNODE_SLOT, PAGE_BYTES};
use vmm_client::{program, tell};
use vmm_clients::{meeting, LENT_PAGES};

program!(main);

fn main(program: &Program, _argument: usize) -> Result {
    let (account, space) = (program.account(), program.space());
    let slot = take_slot()?;
    let own: cap::CNode = cap::CNode::from_bits(CNODE_SLOT as Word);
    let place = own.absolute_cptr_from_bits_with_depth(slot as Word, CNODE_BITS.into());
    sel4::with_ipc_buffer_mut(|buffer| buffer.set_recv_slot(&place));
    let (info, _) = meeting().recv(());
    assert_eq!((info.extra_caps(), info.caps_unwrapped()), (1, 0));
    let memory = Memory::from_slot(slot);

    let written = space.map(&memory, Rights::READ_WRITE, &account);
    let beyond = Refusal::BeyondRights { asked: Rights::WRITE };
    assert_eq!(written.map_err(|error| error.refusal()).map(|_| ()), Err(Some(beyond)));
    let mapping = space.map(&memory, Rights::READ, &account)?;
    for page in 0..LENT_PAGES as usize {
        let word = (mapping.address() + page * PAGE_BYTES) as *const u32;
        // SAFETY: all pages of the mapping appear when they are touched.
        assert_eq!(unsafe { word.read_volatile() }, page as u32 + 1);
    }
    tell!("read {LENT_PAGES} pages that were lent, which it may not write");
    sel4::with_ipc_buffer_mut(|buffer| {
        sel4::reply(buffer, MessageInfoBuilder::default().build());
    });

    meeting().recv(());
    let gone = memory.info().map_err(|error| error.refusal());
    assert_eq!(gone.map(|_| ()), Err(Some(Refusal::NoCapability { place: 0 })));
    tell!("the capability is gone; touching what was mapped by it");
    // SAFETY: the page is not mapped, so the program ends here.
    let word = unsafe { (mapping.address() as *const u32).read_volatile() };
    tell!("read {word} of memory that was taken back");
    Ok(())
}
