// SPDX-License-Identifier: BSD-2-Clause
//! Takes all pages of its account, and scatters them: of what it made it ends pieces at random, and
//! makes smaller and larger ones, each of whose pages it touches. It is refused nothing but what
//! its account does not have.
#![no_std]
#![no_main]

use vmm_client::handles::{Account, Mapping, Memory, Object, Program, Result};
use vmm_client::objects::{Refusal, Resource, Rights, PAGE_BYTES};
use vmm_client::{program, tell};
use vmm_clients::Random;

program!(main);

/// The most objects, for each of which it has a slot.
const MAX: usize = 100;

/// An object, mapped.
type Piece = (Memory, Mapping);

fn main(program: &Program, rounds: usize) -> Result {
    let account = program.account();
    let before = account.amounts()?;
    let mut random = Random::new(0x5ca7);
    let mut pieces: [Option<Piece>; MAX] = [const { None }; MAX];
    let each = left(&account)? / (MAX as u32 * 3 / 4);
    let (mut made, mut most) = (0, 0);
    for _ in 0..rounds {
        for place in pieces.iter_mut().filter(|place| place.is_none()) {
            // From one page to twice as many as are due to each.
            let pages = (1 + random.below(2 * each)).min(left(&account)?);
            if pages == 0 {
                break;
            }
            match piece(program, pages) {
                Ok(made) => *place = Some(made),
                Err(error) => match error.refusal() {
                    Some(Refusal::OutOfAccount { .. }) => break,
                    _ => return Err(error),
                },
            }
            made += 1;
        }
        most = most.max(account.amounts()?.used.of(Resource::Pages));
        sel4::r#yield();
        for place in &mut pieces {
            if random.below(4) != 0 {
                place.take().map_or(Ok(()), end)?;
            }
        }
    }
    pieces.into_iter().flatten().try_for_each(end)?;
    assert_eq!(account.amounts()?, before);
    let limit = before.limits.of(Resource::Pages);
    tell!("{made} objects made, with {most} of {limit} pages at a time");
    // Less than one object is left over, as a rule.
    assert!(limit - most <= 2 * each);
    Ok(())
}

/// The pages that an account has left.
fn left(account: &Account) -> Result<u32> {
    let amounts = account.amounts()?;
    Ok(amounts.limits.of(Resource::Pages) - amounts.used.of(Resource::Pages))
}

/// An object of so many pages, all of which are touched.
fn piece(program: &Program, pages: u32) -> Result<Piece> {
    let account = program.account();
    let memory = account.create_memory(pages)?;
    let mapping = match program.space().map(&memory, Rights::READ_WRITE, &account) {
        Ok(mapping) => mapping,
        Err(error) => {
            memory.destroy()?;
            return Err(error);
        }
    };
    for page in 0..pages as usize {
        let word = (mapping.address() + page * PAGE_BYTES) as *mut u32;
        // SAFETY: all pages of the mapping appear when they are touched, and nobody else has them.
        unsafe {
            assert_eq!(word.read_volatile(), 0);
            word.write_volatile(page as u32 + 1);
        }
    }
    Ok((memory, mapping))
}

fn end((memory, mapping): Piece) -> Result {
    mapping.unmap()?;
    memory.destroy()
}
