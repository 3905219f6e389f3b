// SPDX-License-Identifier: BSD-2-Clause
//! Fills its CNode with copies of a capability that it is given, and finds all of them gone.
#![no_std]
#![no_main]

use sel4::{cap, AbsoluteCPtr, CapRights, MessageInfoBuilder, Word};
use vmm_client::handles::{take_slot, Program, Result};
use vmm_client::objects::{CNODE_BITS, CNODE_SLOT};
use vmm_client::program;
use vmm_clients::meeting;

program!(main);

const SLOTS: u32 = 1 << CNODE_BITS;

fn place(slot: u32) -> AbsoluteCPtr {
    let own: cap::CNode = cap::CNode::from_bits(CNODE_SLOT as Word);
    own.absolute_cptr_from_bits_with_depth(slot as Word, CNODE_BITS.into())
}

fn main(_: &Program, _argument: usize) -> Result {
    let (given, spare) = (take_slot()?, take_slot()?);
    sel4::with_ipc_buffer_mut(|buffer| buffer.set_recv_slot(&place(given)));
    let (info, _) = meeting().recv(());
    assert_eq!((info.extra_caps(), info.caps_unwrapped()), (1, 0));
    let mut filled = [false; SLOTS as usize];
    for slot in (0..SLOTS).filter(|&slot| slot != spare) {
        filled[slot as usize] = place(slot).copy(&place(given), CapRights::all()).is_ok();
    }
    filled[given as usize] = true;
    let copies = filled.iter().filter(|filled| **filled).count();
    sel4::with_ipc_buffer_mut(|buffer| {
        buffer.msg_regs_mut()[0] = copies as Word;
        sel4::reply(buffer, MessageInfoBuilder::default().length(1).build());
    });
    meeting().recv(());
    for slot in (0..SLOTS).filter(|&slot| filled[slot as usize]) {
        // What is empty can be copied nowhere.
        let copied = place(spare).copy(&place(slot), CapRights::all());
        assert_eq!(copied, Err(sel4::Error::FailedLookup), "slot {slot} is not empty");
    }
    sel4::with_ipc_buffer_mut(|buffer| {
        sel4::reply(buffer, MessageInfoBuilder::default().build());
    });
    Ok(())
}
