// SPDX-License-Identifier: BSD-2-Clause
//! Fills the CNodes of three programs with copies of one capability, and revokes it.
#![no_std]
#![no_main]

use sel4::{cap, CapRights, MessageInfoBuilder, Word};
use vmm_client::handles::{free_slot, take_slot, Handle, Object, Program, Result};
use vmm_client::objects::{Rights, CNODE_BITS, CNODE_SLOT};
use vmm_client::{program, tell};
use vmm_clients::{now, MEETING_SLOT};

program!(main);

/// The most instructions of a revoke, and for each copy that ends by it.
const MAX: u64 = 100_000;
const MAX_EACH: u64 = 500;

fn main(program: &Program, collectors: usize) -> Result {
    let account = program.account();
    let before = account.amounts()?;
    let memory = account.create_memory(1)?;
    let lent = memory.restrict(Rights::READ, &account)?;
    // Where what is asked by goes when it is revoked.
    let empty = take_slot()?;
    let own: cap::CNode = cap::CNode::from_bits(CNODE_SLOT as Word);
    let place = |slot: u32| own.absolute_cptr_from_bits_with_depth(slot as Word, CNODE_BITS.into());
    let mut copies = 0;
    for slot in (0..1 << CNODE_BITS).filter(|&slot| slot != empty) {
        copies += place(slot).copy(&place(lent.slot()), CapRights::all()).is_ok() as usize;
    }
    let meeting = |nth: usize| cap::Endpoint::from_bits((MEETING_SLOT as usize + nth) as Word);
    for nth in 0..collectors {
        sel4::with_ipc_buffer_mut(|buffer| {
            buffer.caps_or_badges_mut()[0] = lent.slot() as Word;
        });
        meeting(nth).call(MessageInfoBuilder::default().extra_caps(1).build());
        copies += sel4::with_ipc_buffer(|buffer| buffer.msg_regs()[0]) as usize;
    }
    free_slot(empty);
    let start = now();
    let memory = memory.revoke()?;
    let took = now() - start;
    tell!("{copies} copies of a capability ended by one request of {took} instructions");
    assert!(copies > collectors * 400);
    // The kernel's call takes as long as there are copies, and no longer.
    assert!(took <= MAX + MAX_EACH * copies as u64);
    for nth in 0..collectors {
        meeting(nth).call(MessageInfoBuilder::default().build());
    }
    memory.destroy()?;
    assert_eq!(account.amounts()?, before);
    Ok(())
}
