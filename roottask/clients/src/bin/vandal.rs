// SPDX-License-Identifier: BSD-2-Clause
//! Does to its own CNode all that it can, and then touches what is not there: its end is told.
#![no_std]
#![no_main]

use sel4::{cap, AbsoluteCPtr, CapRights, Word};
use vmm_client::handles::{Program, Result};
use vmm_client::objects::{ACCOUNT_SLOT, CNODE_BITS, CNODE_SLOT, PROGRAM_SLOT, SPACE_SLOT};
use vmm_client::{program, tell};

program!(main);

fn slot(slot: u32) -> AbsoluteCPtr {
    let own: cap::CNode = cap::CNode::from_bits(CNODE_SLOT as Word);
    own.absolute_cptr_from_bits_with_depth(slot as Word, CNODE_BITS.into())
}

fn main(program: &Program, _argument: usize) -> Result {
    let last = (1 << CNODE_BITS) - 1;
    let mut copies = 0;
    for at in SPACE_SLOT + 1..=last {
        // Every other slot a copy of its CNode, or of the program itself.
        let from = if at % 2 == 0 { CNODE_SLOT } else { PROGRAM_SLOT };
        copies += u32::from(slot(at).copy(&slot(from), CapRights::all()).is_ok());
    }
    tell!("{copies} copies in all slots that were empty");
    assert!(program.account().create_memory(1).is_err());
    // What is occupied is not overwritten.
    assert!(slot(last).move_(&slot(SPACE_SLOT)).is_err());
    assert!(slot(last).rotate(0, &slot(PROGRAM_SLOT), 0, &slot(CNODE_SLOT)).is_err());
    // What the kernel grants. Were it refused, this would end otherwise than by a fault.
    assert!(copies > 1 << (CNODE_BITS - 1), "few slots were empty");
    slot(ACCOUNT_SLOT).delete().expect("it is its own slot");
    slot(ACCOUNT_SLOT).move_(&slot(SPACE_SLOT)).expect("the one is empty, the other is not");
    slot(SPACE_SLOT)
        .rotate(0, &slot(last - 3), 0, &slot(last - 1))
        .expect("copies of its CNode, and a slot that is empty now");
    slot(CNODE_SLOT).revoke().expect("it has the capability");
    let kept = [CNODE_SLOT, PROGRAM_SLOT];
    for at in (0..=last).filter(|at| !kept.contains(at)) {
        slot(at).delete().expect("its own slot, or an empty one");
    }
    assert!(slot(ACCOUNT_SLOT).copy(&slot(SPACE_SLOT), CapRights::all()).is_err(), "all are gone");
    for at in [PROGRAM_SLOT, CNODE_SLOT] {
        // By now nobody would hear that it was refused; what follows shows it.
        let _ = slot(at).delete();
    }
    // Nobody answers this any more.
    tell!("never said");
    // SAFETY: nothing is mapped there, so the program ends here.
    unsafe { (0x1000 as *const u32).read_volatile() };
    Ok(())
}
