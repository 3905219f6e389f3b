// SPDX-License-Identifier: BSD-2-Clause
//! Makes, maps, clones, resizes, restricts, revokes and destroys memory objects at random, some of
//! them paid by accounts of its own, and checks what they hold: for stress runs. What is refused
//! for want of something is tried no more. It may be ended in the midst of anything.
#![no_std]
#![no_main]

use vmm_client::handles::{free_slot, Account, Handle, Mapping, Memory, Object, Program, Result};
use vmm_client::objects::{Amounts, Refusal, Resource, Rights, MAX_PAGES, PAGE_BYTES};
use vmm_client::program;
use vmm_clients::Random;

program!(main);

/// The most objects at a time.
const MAX: usize = 6;
/// The most pages of one: two requests map them and give them back.
const TWO_REQUESTS: u32 = 2 * MAX_PAGES;
/// What an account below the program's has.
const CHILD: Amounts = Amounts([40, 30, 90, 0, 1, 6, 16, 0]);

/// A memory object, and what its first pages hold: each a number of its own, then zeros.
struct Held {
    memory: Memory,
    mapping: Option<Mapping>,
    pages: u32,
    written: u32,
    base: u32,
}

struct Life<'p> {
    program: &'p Program,
    account: Account,
    random: Random,
    held: [Option<Held>; MAX],
}

/// `argument` has the number of rounds in its lower 8 bits, and the seed above.
fn main(program: &Program, argument: usize) -> Result {
    let random = Random::new(argument as u32 >> 8 | 1);
    let held = [const { None }; MAX];
    let mut life = Life { program, account: program.account(), random, held };
    let before = life.account.amounts()?;
    for _ in 0..argument & 0xff {
        life.round()?;
    }
    (0..MAX).try_for_each(|place| life.destroy(place))?;
    assert_eq!(life.account.amounts()?, before);
    Ok(())
}

/// What was made, or nothing if something was short.
fn unless_short<T>(made: Result<T>) -> Result<Option<T>> {
    match made {
        Ok(made) => Ok(Some(made)),
        Err(error) => match error.refusal() {
            Some(
                Refusal::OutOfMemory {}
                | Refusal::OutOfAccount { .. }
                | Refusal::NoRoom {}
                | Refusal::Shared { .. },
            ) => Ok(None),
            _ => Err(error),
        },
    }
}

impl Life<'_> {
    fn round(&mut self) -> Result {
        let place = self.random.below(MAX as u32) as usize;
        match (self.random.below(8), &self.held[place]) {
            (0..=1, Some(_)) => self.destroy(place),
            (2, Some(_)) => self.map(place),
            (3, Some(_)) => self.clone(place),
            (4, Some(_)) => self.resize(place),
            (5, Some(_)) => self.revoke(place),
            (_, Some(held)) => {
                held.check();
                Ok(())
            }
            (0, None) => self.child(),
            (_, None) => self.create(place),
        }
    }

    fn create(&mut self, place: usize) -> Result {
        let pages = 1 + self.random.below(TWO_REQUESTS);
        let Some(memory) = unless_short(self.account.create_memory(pages))? else { return Ok(()) };
        let base = self.random.number();
        self.held[place] = Some(Held { memory, mapping: None, pages, written: 0, base });
        self.map(place)
    }

    /// Maps an object, or unmaps it; a new one is written to.
    fn map(&mut self, place: usize) -> Result {
        let Some(held) = &mut self.held[place] else { return Ok(()) };
        if let Some(mapping) = held.mapping.take() {
            return mapping.unmap();
        }
        let space = self.program.space();
        let mapped = space.map(&held.memory, Rights::READ_WRITE, &self.account);
        held.mapping = unless_short(mapped)?;
        let Some(mapping) = &held.mapping else { return Ok(()) };
        if self.random.below(2) == 0 {
            unless_short(mapping.populate())?;
        }
        held.check();
        if held.written == 0 {
            held.written = self.random.below(held.pages + 1);
            held.write();
        }
        Ok(())
    }

    /// Another object that shows the same. What is written to the one the other does not see.
    fn clone(&mut self, place: usize) -> Result {
        let Some(free) = self.held.iter().position(Option::is_none) else { return Ok(()) };
        let small = self.held[place].take_if(|held| held.pages <= MAX_PAGES);
        let Some(mut held) = small else { return Ok(()) };
        if let Some(mapping) = held.mapping.take() {
            mapping.unmap()?;
        }
        let cloned = unless_short(held.memory.copy_on_write(&self.account))?;
        let (pages, written, base) = (held.pages, held.written, held.base);
        self.held[place] = Some(held);
        let Some(memory) = cloned else { return Ok(()) };
        self.held[free] = Some(Held { memory, mapping: None, pages, written, base });
        self.map(free)?;
        if let Some(held) = &mut self.held[free] {
            held.base = self.random.number();
            match held.mapping {
                Some(_) => held.write(),
                None => held.base = base,
            }
        }
        self.map(place)
    }

    fn resize(&mut self, place: usize) -> Result {
        let pages = 1 + self.random.below(TWO_REQUESTS);
        let Some(held) = &mut self.held[place] else { return Ok(()) };
        if let Some(mapping) = held.mapping.take() {
            mapping.unmap()?;
        }
        if unless_short(held.memory.resize(pages, &self.account))?.is_some() {
            (held.pages, held.written) = (pages, held.written.min(pages));
        }
        self.map(place)
    }

    /// Lends it to itself, and takes it back: what was mapped by that is gone, as the capability.
    fn revoke(&mut self, place: usize) -> Result {
        let Some(held) = self.held[place].take() else { return Ok(()) };
        let (space, account) = (self.program.space(), &self.account);
        let Some(lent) = unless_short(held.memory.restrict(Rights::READ, account))? else {
            self.held[place] = Some(held);
            return Ok(());
        };
        let mapped = unless_short(space.map(&lent, Rights::READ, account))?;
        if let Some(mapping) = &mapped {
            held.check_at(mapping.address());
        }
        if let Some(mapping) = held.mapping {
            mapping.unmap()?;
        }
        let slot = held.memory.slot();
        let memory = match unless_short(held.memory.revoke())? {
            Some(memory) => {
                free_slot(lent.slot());
                memory
            }
            None => {
                if let Some(mapping) = mapped {
                    mapping.unmap()?;
                }
                // The other capability stays in its slot until the object ends.
                Memory::from_slot(slot)
            }
        };
        self.held[place] = Some(Held { memory, mapping: None, ..held });
        self.map(place)
    }

    /// An account with an object, ended with it.
    fn child(&mut self) -> Result {
        let Some(child) = unless_short(self.account.split(CHILD))? else { return Ok(()) };
        let made = unless_short(child.create_memory(CHILD.of(Resource::Pages) / 2))?;
        if let Some(memory) = made {
            let space = self.program.space();
            let mapped = unless_short(space.map(&memory, Rights::READ_WRITE, &child))?;
            if let Some(mapping) = mapped {
                unless_short(mapping.populate())?;
            }
            free_slot(memory.slot());
        }
        child.destroy()
    }

    fn destroy(&mut self, place: usize) -> Result {
        let Some(held) = self.held[place].take() else { return Ok(()) };
        held.check();
        if let Some(mapping) = held.mapping {
            mapping.unmap()?;
        }
        held.memory.destroy()
    }
}

impl Held {
    fn check(&self) {
        if let Some(mapping) = &self.mapping {
            self.check_at(mapping.address());
        }
    }

    fn check_at(&self, address: usize) {
        check(address, self.base, self.written, self.pages);
    }

    fn write(&self) {
        let Some(mapping) = &self.mapping else { return };
        for page in 0..self.written {
            let word = (mapping.address() + page as usize * PAGE_BYTES) as *mut u32;
            // SAFETY: it is mapped, for writing, and nobody else's.
            unsafe { word.write_volatile(self.base.wrapping_add(page)) };
        }
    }
}

fn check(address: usize, base: u32, written: u32, pages: u32) {
    for page in 0..pages {
        let word = (address + page as usize * PAGE_BYTES) as *const u32;
        // SAFETY: it is mapped, and nobody writes it.
        let found = unsafe { word.read_volatile() };
        let expected = if page < written { base.wrapping_add(page) } else { 0 };
        assert_eq!(found, expected, "page {page} of {pages}");
    }
}
