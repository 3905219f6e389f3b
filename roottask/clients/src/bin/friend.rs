// SPDX-License-Identifier: BSD-2-Clause
//! Is given capabilities to memory, and ends it a while later.
#![no_std]
#![no_main]

use sel4::{cap, MessageInfoBuilder, Word};
use vmm_client::handles::{take_slot, Handle, Memory, Object, Program, Result};
use vmm_client::objects::{CNODE_BITS, CNODE_SLOT};
use vmm_client::program;
use vmm_clients::meeting;

program!(main);

/// How often it lets others run, and asks something, before it ends what it was given.
const WHILE: usize = 50;

fn main(program: &Program, rounds: usize) -> Result {
    let own: cap::CNode = cap::CNode::from_bits(CNODE_SLOT as Word);
    for _ in 0..rounds {
        let slot = take_slot()?;
        let place = own.absolute_cptr_from_bits_with_depth(slot as Word, CNODE_BITS.into());
        sel4::with_ipc_buffer_mut(|buffer| buffer.set_recv_slot(&place));
        meeting().recv(());
        sel4::with_ipc_buffer_mut(|buffer| {
            sel4::reply(buffer, MessageInfoBuilder::default().build());
        });
        for _ in 0..WHILE {
            sel4::r#yield();
            program.account().amounts()?;
        }
        Memory::from_slot(slot).destroy()?;
    }
    Ok(())
}
