//! Asks for memory in all the ways there are, and holds the service to what it gave: for stress runs.
//! A second thread pages for others. It may be ended in the midst of anything.
#![no_std]
#![no_main]

use vmm_client::protocol::{PagedFault, Refusal, Rights, FIRST_FREE_SLOT, MOST_PAGES};
use vmm_client::{client_program, client_thread, Error, Memory, Result, Service};
use vmm_clients::Words;

client_program!(main);
client_thread!(pager, page_for_others);

/// Of the argument: what decides, how much is done, and whether the end is a crime.
const ROUNDS: usize = 0xff;
const WILD: usize = 0x100;
/// The most regions held at a time.
const MOST_HELD: usize = 6;
/// The most offers made in a life: the service's memory for them is not ours to exhaust.
const MOST_OFFERS: usize = 6;
/// The most pages of a region: several requests' worth.
const LONGEST: u32 = 3 * MOST_PAGES;

/// The most pages of a region that is paged for another.
const MOST_PAGED: u32 = 8;
/// How far the numbers of those are who are asked for anything, and offered it.
const NEAR: u32 = 3;
/// Of so many pages that it is asked for, a pager refuses one.
const REFUSES: u32 = 32;

/// Memory with its pattern: `base` and the page's number in the first word, their complement in the
/// next.
struct Held {
    memory: Memory,
    base: u32,
    /// Whether another client may have it too, or it cannot be written: then nobody tries to.
    shared: bool,
}

/// A life.
struct Life {
    service: Service,
    own: u32,
    random: Random,
    held: [Option<Held>; MOST_HELD],
    offers: usize,
}

/// `argument` is what decides, with [`ROUNDS`] and [`WILD`].
fn main(service: Service, argument: usize) -> Result {
    let own = service.limits()?.own;
    let held = [const { None }; MOST_HELD];
    let random = Random(argument as u32 | 1);
    let mut life = Life { service, own, random, held, offers: 0 };
    if life.random.below(2) == 0 {
        life.start_pager()?;
    }
    for _ in 0..argument & ROUNDS {
        life.round()?;
    }
    if argument & WILD != 0 {
        let wild = 0xb000_0000 as *mut u32;
        // SAFETY: none: this is the crime. Nothing is mapped there, and the service ends the program.
        unsafe { wild.write_volatile(0xdead) };
    }
    (0..MOST_HELD).try_for_each(|place| life.give_back(place))
}

impl Life {
    fn round(&mut self) -> Result {
        let place = self.random.below(MOST_HELD as u32) as usize;
        match (self.random.below(8), &self.held[place]) {
            (0 | 1, Some(_)) => self.give_back(place),
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
            (_, None) => self.allocate(place),
        }
    }

    /// Fresh memory, by as many requests as it takes.
    fn allocate(&mut self, place: usize) -> Result {
        let pages = 1 + self.random.below(LONGEST);
        let Some(memory) = unless_short(self.service.allocate(pages, "busy"))? else {
            return Ok(());
        };
        self.hold(place, memory)
    }

    /// Memory that comes as it is touched.
    fn on_demand(&mut self, place: usize) -> Result {
        let (pages, around) = (1 + self.random.below(16), 1 << self.random.below(5));
        let made = self.service.allocate_on_demand(pages, around, "busy, lazy");
        let Some(memory) = unless_short(made)? else { return Ok(()) };
        self.hold(place, memory)
    }

    /// Fresh memory is clear; from now on it has its pattern.
    fn hold(&mut self, place: usize, memory: Memory) -> Result {
        let held = Held { memory, base: self.random.next(), shared: false };
        let words = held.words();
        for page in 0..memory.pages as usize {
            assert_eq!([words.get(page * 1024), words.get(page * 1024 + 1)], [0; 2]);
            held.write(words, page);
        }
        self.held[place] = Some(held);
        Ok(())
    }

    /// Writes to every other page of a clone: neither side sees the other's.
    fn clone_and_write(&mut self, place: usize) -> Result {
        let Some(held) = &self.held[place] else { return Ok(()) };
        if held.shared || held.memory.pages > MOST_PAGES {
            return Ok(());
        }
        let made = unless_short(self.service.clone_region(held.memory.handle))?;
        let Some(memory) = made else { return Ok(()) };
        let copy = Held { memory, base: held.base, shared: false };
        copy.check();
        let words = copy.words();
        for page in (0..memory.pages as usize).step_by(2) {
            words.set(page * 1024, 1);
        }
        held.check();
        for page in 0..memory.pages as usize {
            let expected = if page % 2 == 0 { 1 } else { held.base ^ page as u32 };
            assert_eq!(words.get(page * 1024), expected);
        }
        self.service.release(memory.handle)
    }

    /// Takes the right to write, and gives it back.
    fn protect(&mut self, place: usize) -> Result {
        let Some(held) = &mut self.held[place] else { return Ok(()) };
        if held.shared {
            return Ok(());
        }
        let Memory { first, pages, .. } = held.memory;
        for rights in [Rights::READ, Rights::READ_WRITE] {
            let done = unless_short(self.service.protect(first, pages, rights))?;
            // Where it was left without the right, nobody may write it.
            held.shared = done.is_none();
            held.check();
        }
        Ok(())
    }

    /// Offers the first pages to another client, which may accept it whenever it likes.
    fn offer(&mut self, place: usize) -> Result {
        let other = neighbour(&mut self.random, self.own);
        let Some(held) = &mut self.held[place] else { return Ok(()) };
        if self.offers == MOST_OFFERS {
            return Ok(());
        }
        let pages = held.memory.pages.min(MOST_PAGES);
        // What has a pager is there when it was looked at.
        held.check();
        let offered = self.service.offer(other, held.memory.first, pages, Rights::READ);
        if unless_short(offered)?.is_some() {
            held.shared = true;
            self.offers += 1;
        }
        Ok(())
    }

    /// A second thread that pages for others.
    fn start_pager(&mut self) -> Result {
        let numbers = self.random.next() as usize;
        let started = self.service.spawn(pager, numbers, 2, FIRST_FREE_SLOT);
        unless_short(started).map(|_| ())
    }

    /// Memory that another client pages, if one has offered it. Each page comes as it is looked at,
    /// unless its pager refuses it or ends: then this program is ended.
    fn accept_paging(&mut self, place: usize) -> Result {
        for other in self.own.saturating_sub(NEAR)..=self.own + NEAR {
            let taken = unless_short(self.service.accept_paging(other, 0, Rights::READ_WRITE))?;
            if let Some(memory) = taken {
                self.held[place] = Some(Held { memory, base: paged_base(other), shared: true });
                break;
            }
        }
        Ok(())
    }

    /// Takes what another client has offered: it has a pattern.
    fn accept(&mut self, place: usize) -> Result {
        let other = neighbour(&mut self.random, self.own);
        let taken = unless_short(self.service.accept(other, 0, Rights::READ))?;
        let Some(memory) = taken else { return Ok(()) };
        let mut held = Held { memory, base: 0, shared: true };
        held.base = held.words().get(0);
        held.check();
        self.held[place] = Some(held);
        Ok(())
    }

    fn give_back(&mut self, place: usize) -> Result {
        let Some(held) = self.held[place].take() else { return Ok(()) };
        held.check();
        self.service.release(held.memory.handle)
    }
}

/// A client that was started about when this one was, if there is one of that number.
fn neighbour(random: &mut Random, own: u32) -> u32 {
    let away = 1 + random.below(NEAR);
    match random.below(2) {
        0 => own + away,
        _ => own.saturating_sub(away),
    }
}

/// The pattern of memory that a client pages.
fn paged_base(pager: u32) -> u32 {
    pager.wrapping_mul(0x9e37_79b9)
}

/// What the second thread does: it offers to page, and does, until there is nothing more to page.
fn page_for_others(service: Service, numbers: usize) -> Result {
    let own = service.limits()?.own;
    let mut random = Random(numbers as u32 | 1);
    for key in 0..1 + random.below(3) {
        let (other, pages) = (neighbour(&mut random, own), 1 + random.below(MOST_PAGED));
        unless_short(service.offer_paging(other, key, pages, Rights::READ_WRITE))?;
    }
    while let Some(fault) = service.next_fault(0)? {
        supply(service, own, &fault, &mut random)?;
    }
    Ok(())
}

/// Gives or shares a page with the pattern, or refuses it.
fn supply(service: Service, own: u32, fault: &PagedFault, random: &mut Random) -> Result {
    let memory = match random.below(REFUSES) {
        0 => None,
        _ => unless_short(service.allocate(1, "supplied"))?,
    };
    let Some(memory) = memory else {
        return gone_or(service.refuse_page(fault.ticket)).map(|_| ());
    };
    let page = Held { memory, base: paged_base(own) ^ fault.page, shared: true };
    page.write(page.words(), 0);
    let taken = match random.below(2) {
        0 => gone_or(service.give_page(fault.ticket, memory.first))?,
        _ => gone_or(service.share_page(fault.ticket, memory.first))?,
    };
    match taken {
        true => Ok(()),
        false => service.release(memory.handle),
    }
}

/// Whether a page was taken, or refused: whoever asked for it may be gone, or have it from an answer
/// before, or have no room for it.
fn gone_or(result: Result) -> Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(Error::Refused(Refusal::NoSuchFault | Refusal::NotTaken | Refusal::OutOfMemory)) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

impl Held {
    fn words(&self) -> Words {
        // SAFETY: the service has mapped them, or does when they are touched, until they are released.
        unsafe { Words::new(self.memory.first, self.memory.pages) }
    }

    fn write(&self, words: Words, page: usize) {
        words.set(page * 1024, self.base ^ page as u32);
        words.set(page * 1024 + 1, !(self.base ^ page as u32));
    }

    /// Looks at every page.
    fn check(&self) {
        let words = self.words();
        for page in 0..self.memory.pages as usize {
            let expected = self.base ^ page as u32;
            let found = [words.get(page * 1024), words.get(page * 1024 + 1)];
            assert_eq!(found, [expected, !expected]);
        }
    }
}

/// What was refused because there is not enough, or nobody there, is left.
fn unless_short<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Error::Refused(
            Refusal::OutOfQuota { .. }
            | Refusal::OutOfMemory
            | Refusal::NoRoom
            | Refusal::NoSuchClient
            | Refusal::NoSuchOffer,
        )) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Marsaglia's xorshift.
struct Random(u32);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }

    fn below(&mut self, end: u32) -> u32 {
        self.next() % end
    }
}
