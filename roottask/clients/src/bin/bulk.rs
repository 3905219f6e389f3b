// SPDX-License-Identifier: BSD-2-Clause
//! Has memory of large pages together with another program, again and again. Its argument says how
//! often, in its upper bits, and how many large pages it has, in its lower eight: 0 for the one
//! that is lent them.
#![no_std]
#![no_main]

use sel4::{cap, MessageInfoBuilder, Word};
use vmm_client::handles::{take_slot, Handle, Mapping, Memory, Object, Program, Result};
use vmm_client::objects::{Refusal, Resource, Rights, CNODE_BITS, CNODE_SLOT, PAGE_BYTES};
use vmm_client::{program, tell, LARGE_PAGE_BYTES};
use vmm_clients::meeting;

program!(main);

/// Bytes between two words that are looked at: no multiple of a page.
const STEP: usize = 5 * PAGE_BYTES - 64;

fn main(program: &Program, argument: usize) -> Result {
    let (large, rounds) = (argument as u32 & 0xff, argument as u32 >> 8);
    match large {
        0 => is_lent(program),
        _ => lends(program, large, rounds),
    }
}

/// The words of a mapping that are looked at.
fn words(mapping: &Mapping) -> impl Iterator<Item = *mut u32> {
    let (start, bytes) = (mapping.address(), mapping.pages() as usize * PAGE_BYTES);
    (start..start + bytes).step_by(STEP).map(|address| address as *mut u32)
}

/// Checks that each word is `from`, and each further one `by` more, and makes it what `to` says.
fn go_over(mapping: &Mapping, (from, by): (u32, u32), to: Option<u32>) {
    for (nth, word) in words(mapping).enumerate() {
        let nth = nth as u32;
        // SAFETY: the pages are there when they are touched, and the other program, which has them
        // too, waits meanwhile.
        unsafe {
            assert_eq!(word.read_volatile(), from + by * nth);
            to.into_iter().for_each(|to| word.write_volatile(to + nth));
        }
    }
}

fn lends(program: &Program, large: u32, rounds: u32) -> Result {
    let (account, space) = (program.account(), program.space());
    let before = account.amounts()?;
    for round in 0..rounds {
        let memory = account.create_large_memory(large)?;
        assert_eq!(account.amounts()?.used.of(Resource::LargePages), large);
        // Whoever had it before, it is zero.
        let mapping = space.map(&memory, Rights::READ_WRITE, &account)?;
        assert_eq!(mapping.address() % LARGE_PAGE_BYTES, 0);
        go_over(&mapping, (0, 0), Some(round));
        let lent = memory.restrict(Rights::READ_WRITE, &account)?;
        sel4::with_ipc_buffer_mut(|buffer| {
            buffer.caps_or_badges_mut()[0] = lent.slot() as Word;
        });
        meeting().call(MessageInfoBuilder::default().extra_caps(1).build());
        // What the other has written.
        go_over(&mapping, (round + 1000, 1), None);
        let last = large as usize * LARGE_PAGE_BYTES - 1;
        let mut byte = [0];
        memory.write(last, &[0x5a])?;
        memory.read(last, &mut byte)?;
        assert_eq!(byte, [0x5a]);
        let cut = memory.resize(1, &account).map_err(|error| error.refusal());
        assert_eq!(cut, Err(Some(Refusal::StillMapped { pages: memory.pages()?.pages })));
        let more = account.create_large_memory(1).map_err(|error| error.refusal());
        let resource = Resource::LargePages;
        let short = Refusal::OutOfAccount { resource, wanted: 1, left: 0 };
        assert_eq!(more.map(|_| ()), Err(Some(short)));
        mapping.unmap()?;
        if large > 1 {
            // Half of it, and a clone of that, in the other half.
            let small = large / 2 * (LARGE_PAGE_BYTES / PAGE_BYTES) as u32;
            memory.resize(small, &account)?;
            let (clone, mut word) = (memory.copy_on_write(&account)?, [0; 4]);
            clone.write(0, &[7; 4])?;
            memory.read(0, &mut word)?;
            assert_eq!(word, (round + 1000).to_le_bytes());
            clone.read(STEP, &mut word)?;
            assert_eq!(word, (round + 1001).to_le_bytes());
            clone.destroy()?;
        }
        // With all capabilities to it.
        memory.destroy()?;
        vmm_client::handles::free_slot(lent.slot());
        assert_eq!(account.amounts()?, before);
        sel4::r#yield();
    }
    meeting().call(MessageInfoBuilder::default().build());
    tell!("{rounds} times {large} large pages were zero, had by two programs, and given back");
    Ok(())
}

fn is_lent(program: &Program) -> Result {
    let (account, space) = (program.account(), program.space());
    let slot = take_slot()?;
    let own: cap::CNode = cap::CNode::from_bits(CNODE_SLOT as Word);
    let place = own.absolute_cptr_from_bits_with_depth(slot as Word, CNODE_BITS.into());
    for round in 0.. {
        sel4::with_ipc_buffer_mut(|buffer| buffer.set_recv_slot(&place));
        let (info, _) = meeting().recv(());
        if info.extra_caps() == 0 {
            break;
        }
        let memory = Memory::from_slot(slot);
        let mapping = space.map(&memory, Rights::READ_WRITE, &account)?;
        mapping.populate()?;
        go_over(&mapping, (round, 1), Some(round + 1000));
        mapping.unmap()?;
        sel4::with_ipc_buffer_mut(|buffer| {
            sel4::reply(buffer, MessageInfoBuilder::default().build());
        });
    }
    sel4::with_ipc_buffer_mut(|buffer| {
        sel4::reply(buffer, MessageInfoBuilder::default().build());
    });
    Ok(())
}
