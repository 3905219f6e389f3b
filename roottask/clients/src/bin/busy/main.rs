// SPDX-License-Identifier: BSD-2-Clause
//! Asks for memory in all the ways there are, and checks that it keeps its contents: for stress
//! runs. A second thread pages for other clients. The program may be ended in the middle of
//! anything.
//!
//! ```text
//!   refusals.rs  which refusals are expected
//!   held.rs      memory with a pattern
//!   heap.rs      a heap across the line between two page tables
//!   paging.rs    the second thread; which clients are asked
//! ```
#![no_std]
#![no_main]

mod heap;
mod held;
mod paging;
mod refusals;

use vmm_client::protocol::{Rights, FIRST_FREE_SLOT, MAX_PAGES};
use vmm_client::{client_program, client_thread, Memory, Result, Service};
use vmm_clients::{Random, PAGE_WORDS};

use heap::heap;
use held::Held;
use paging::{neighbour, page_for_others, paged_base, NEAR};
use refusals::unless_short;

client_program!(main);
client_thread!(pager, page_for_others);

/// Bits of the argument: how many rounds, and whether to end by a wild write.
const ROUNDS: usize = 0xff;
const WILD: usize = 0x100;
/// The most regions held at a time.
const MAX_HELD: usize = 6;
/// The most offers that the program makes: more would use up the service's memory for them.
const MAX_OFFERS: usize = 6;
/// The most pages of a region: several requests map them.
const MAX_REGION_PAGES: u32 = 3 * MAX_PAGES;

/// The state of the program.
struct Life {
    service: Service,
    own: u32,
    random: Random,
    held: [Option<Held>; MAX_HELD],
    offers: usize,
}

/// `argument` is the seed of all decisions, with [`ROUNDS`] and [`WILD`] in its lower bits.
fn main(service: Service, argument: usize) -> Result {
    let own = service.limits()?.own;
    let held = [const { None }; MAX_HELD];
    let random = Random::new(argument as u32 | 1);
    let mut life = Life { service, own, random, held, offers: 0 };
    if life.random.below(2) == 0 {
        life.start_pager()?;
    }
    for _ in 0..argument & ROUNDS {
        life.round()?;
    }
    if argument & WILD != 0 {
        let wild = 0xb000_0000 as *mut u32;
        // SAFETY: none: this is the offence. Nothing is mapped there, and the service ends the
        // program.
        unsafe { wild.write_volatile(0xdead) };
    }
    (0..MAX_HELD).try_for_each(|place| life.release(place))
}

impl Life {
    fn round(&mut self) -> Result {
        let place = self.random.below(MAX_HELD as u32) as usize;
        match (self.random.below(8), &self.held[place]) {
            (0 | 1, Some(_)) => self.release(place),
            (2, Some(_)) => self.clone_and_write(place),
            (3, Some(_)) => self.protect(place),
            (4, Some(_)) => self.offer(place),
            (_, Some(held)) => {
                held.check();
                Ok(())
            }
            (0..=1, None) => self.on_demand(place),
            (2, None) => self.accept_paging(place),
            (3, None) => self.accept(place),
            (4, None) => heap(&self.service, &mut self.random),
            (_, None) => self.allocate(place),
        }
    }

    /// Allocates fresh memory, by as many requests as it takes.
    fn allocate(&mut self, place: usize) -> Result {
        let pages = 1 + self.random.below(MAX_REGION_PAGES);
        let Some(memory) = unless_short(self.service.allocate(pages, "busy"))? else {
            return Ok(());
        };
        self.hold(place, memory)
    }

    /// Allocates memory that is mapped when it is touched.
    fn on_demand(&mut self, place: usize) -> Result {
        let (pages, around) = (1 + self.random.below(16), 1 << self.random.below(5));
        let made = self.service.allocate_on_demand(pages, around, "busy, lazy");
        let Some(memory) = unless_short(made)? else { return Ok(()) };
        self.hold(place, memory)
    }

    /// Checks that fresh memory is zero, and writes its pattern.
    fn hold(&mut self, place: usize, memory: Memory) -> Result {
        let held = Held { memory, base: self.random.number(), shared: false };
        let words = held.words();
        for page in 0..memory.pages as usize {
            let word = page * PAGE_WORDS;
            assert_eq!([words.get(word), words.get(word + 1)], [0; 2]);
            held.write(words, page);
        }
        self.held[place] = Some(held);
        Ok(())
    }

    /// Writes to every other page of a clone: neither shows what is written to the other.
    fn clone_and_write(&mut self, place: usize) -> Result {
        let Some(held) = &self.held[place] else { return Ok(()) };
        if held.shared || held.memory.pages > MAX_PAGES {
            return Ok(());
        }
        let made = unless_short(self.service.clone_region(held.memory.handle))?;
        let Some(memory) = made else { return Ok(()) };
        let copy = Held { memory, base: held.base, shared: false };
        copy.check();
        let words = copy.words();
        for page in (0..memory.pages as usize).step_by(2) {
            words.set(page * PAGE_WORDS, 1);
        }
        held.check();
        for page in 0..memory.pages as usize {
            let expected = if page % 2 == 0 { 1 } else { held.base ^ page as u32 };
            assert_eq!(words.get(page * PAGE_WORDS), expected);
        }
        self.service.release(memory.handle)
    }

    /// Takes the right to write away, and gives it back.
    fn protect(&mut self, place: usize) -> Result {
        let Some(held) = &mut self.held[place] else { return Ok(()) };
        if held.shared {
            return Ok(());
        }
        let Memory { first, pages, .. } = held.memory;
        for rights in [Rights::READ, Rights::READ_WRITE] {
            let done = unless_short(self.service.protect(first, pages, rights))?;
            // Memory that was left without the right must not be written to any more.
            held.shared = done.is_none();
            held.check();
        }
        Ok(())
    }

    /// Offers the first pages to another client, which may accept them at any time.
    fn offer(&mut self, place: usize) -> Result {
        let other = neighbour(&mut self.random, self.own);
        let Some(held) = &mut self.held[place] else { return Ok(()) };
        if self.offers == MAX_OFFERS {
            return Ok(());
        }
        let pages = held.memory.pages.min(MAX_PAGES);
        // Pages that a pager supplies must be mapped before they are offered: reading maps them.
        held.check();
        let offered = self.service.offer(other, held.memory.first, pages, Rights::READ);
        if unless_short(offered)?.is_some() {
            held.shared = true;
            self.offers += 1;
        }
        Ok(())
    }

    /// Starts the second thread, which pages for other clients.
    fn start_pager(&mut self) -> Result {
        let seed = self.random.number() as usize;
        let started = self.service.spawn(pager, seed, 2, FIRST_FREE_SLOT);
        unless_short(started).map(|_| ())
    }

    /// Accepts memory that another client pages, if one has offered it. Each page is supplied when
    /// it is read, unless its pager refuses it or ends: then this program is ended.
    fn accept_paging(&mut self, place: usize) -> Result {
        for other in self.own.saturating_sub(NEAR)..=self.own + NEAR {
            let accepted = unless_short(self.service.accept_paging(other, 0, Rights::READ_WRITE))?;
            if let Some(memory) = accepted {
                self.held[place] = Some(Held { memory, base: paged_base(other), shared: true });
                break;
            }
        }
        Ok(())
    }

    /// Accepts pages that another client has offered: they have a pattern.
    fn accept(&mut self, place: usize) -> Result {
        let other = neighbour(&mut self.random, self.own);
        let accepted = unless_short(self.service.accept(other, 0, Rights::READ))?;
        let Some(memory) = accepted else { return Ok(()) };
        let mut held = Held { memory, base: 0, shared: true };
        held.base = held.words().get(0);
        held.check();
        self.held[place] = Some(held);
        Ok(())
    }

    fn release(&mut self, place: usize) -> Result {
        let Some(held) = self.held[place].take() else { return Ok(()) };
        held.check();
        self.service.release(held.memory.handle)
    }
}
