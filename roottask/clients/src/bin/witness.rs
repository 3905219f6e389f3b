// SPDX-License-Identifier: BSD-2-Clause
//! Makes requests inside its guarantee while others do what they can: it is never refused, and its
//! memory holds what it wrote.
#![no_std]
#![no_main]

use vmm_client::handles::{empty_slot, Endpoint, Memory, Object, Program, Result, Space};
use vmm_client::objects::{Refusal, Resource, Rights, PAGE_BYTES};
use vmm_client::{program, tell};

program!(main);

/// Pages that it keeps.
const KEPT: u32 = 8;
/// Pages that it makes and gives back each time.
const EACH: u32 = 4;
/// The most objects of a kind that it makes at a time.
const MAX_MADE: usize = 40;

/// The word that is in a page, other in each round.
fn word(address: usize, page: u32) -> *mut u32 {
    (address + page as usize * PAGE_BYTES) as *mut u32
}

/// Makes as many as its account has amounts for, and no more than there are places; ends them, and
/// returns how many that were. Nothing else refuses one.
fn all_there_are<T>(make: impl Fn() -> Result<T>, end: impl Fn(T) -> Result) -> Result<usize> {
    let mut made = [const { None }; MAX_MADE];
    let mut count = 0;
    for place in &mut made {
        match make() {
            Ok(one) => *place = Some(one),
            Err(error) if matches!(error.refusal(), Some(Refusal::OutOfAccount { .. })) => break,
            Err(error) => return Err(error),
        }
        count += 1;
    }
    made.into_iter().flatten().try_for_each(end)?;
    Ok(count)
}

fn main(program: &Program, rounds: usize) -> Result {
    let (account, space) = (program.account(), program.space());
    let kept = account.create_memory(KEPT)?;
    let mapping = space.map(&kept, Rights::READ_WRITE, &account)?;
    let before = account.amounts()?;
    let mut first = None;
    for round in 0..rounds as u32 {
        for page in 0..KEPT {
            let word = word(mapping.address(), page);
            // SAFETY: the pages are mapped as long as the mapping lasts, and nobody else has them.
            unsafe {
                assert_eq!(word.read_volatile(), if round == 0 { 0 } else { round - 1 + page });
                word.write_volatile(round + page);
            }
        }
        let memory = account.create_memory(EACH)?;
        let piece = space.map(&memory, Rights::READ_WRITE, &account)?;
        for page in 0..EACH {
            // SAFETY: as above.
            assert_eq!(unsafe { word(piece.address(), page).read_volatile() }, 0);
        }
        // All that is left of its pages is used, and given back.
        let left = before.limits.of(Resource::Pages) - before.used.of(Resource::Pages);
        let rest = account.create_memory(left - EACH)?;
        let all = space.map(&rest, Rights::READ_WRITE, &account)?;
        all.populate()?;
        all.unmap()?;
        rest.destroy()?;
        piece.unmap()?;
        memory.destroy()?;
        let endpoint = |(made, slot): (Endpoint, u32)| made.destroy().map(|()| empty_slot(slot));
        let made = [
            all_there_are(|| account.create_endpoint(), endpoint)?,
            all_there_are(|| account.create_space(), Space::destroy)?,
            all_there_are(|| account.create_memory(1), Memory::destroy)?,
        ];
        assert_eq!(made, *first.get_or_insert(made), "others have taken some of them");
        assert_eq!(account.amounts()?, before);
        sel4::r#yield();
    }
    let [endpoints, spaces, memories] = first.unwrap_or_default();
    tell!("{endpoints} endpoints, {spaces} spaces, {memories} memory objects, each time");
    tell!("{rounds} times all of its guarantee was used, and nothing was refused");
    mapping.unmap()?;
    kept.destroy()
}
