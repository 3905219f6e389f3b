// SPDX-License-Identifier: BSD-2-Clause
//! Starts and ends pagers and readers, and looks at what they have left.
//!
//! Its numbers: seed, rounds, priority.

use core::sync::atomic::Ordering::Relaxed;

use sel4::{cap, Word};
use vmm_client::handles::{
    empty_slot, free_slot, mint_bit, send_raw, Account, Child, Error, Handle, Memory, Object,
    PagedMemory, Program, Result, Space, Starting,
};
use vmm_client::objects::first_page::Given;
use vmm_client::objects::{
    answer_or_refusal, Amounts, Answer, ProgramOptions, Refusal, Request, Rights, State, Supply,
    MAX_SUPPLY,
};
use vmm_client::tell;
use vmm_clients::trials::{unless_short, Numbers, Shown, Words, SHORT};
use vmm_clients::Random;

use crate::pager::Supplier;
use crate::pages::{first_wrong, Figures, GONE, MAX_THERE, PAGER, PAGES, READER, READERS};

/// What a pager and a reader have.
const PAGER_AMOUNTS: Amounts = Amounts([100, 130, 500, 14, 5, 40, 90, 0]);
const READER_AMOUNTS: Amounts = Amounts([130, 130, 560, 14, 5, 40, 110, 0]);
/// The most steps of a reader.
const STEPS: u32 = 40;
/// How often a fault of one of them is looked at that memory may be short for.
const PATIENCE: u32 = 60;
/// The bits by which it is told: a reader's end by its place, the pager's, and where they are.
const PAGER_ENDS: Word = 1 << READERS;
const CAME: Word = 1 << (READERS + 1);
const BITS: usize = READERS + 2;

type Running = (Child, Space, Account);

/// A reader, and the capability by which it maps the memory.
struct Reader {
    running: Running,
    shown: Memory,
    /// Whether that was taken away.
    bereft: bool,
}

struct Init<'f> {
    account: Account,
    file: Memory,
    priority: u8,
    base: u32,
    store: Memory,
    figures_page: Memory,
    /// What it supplies itself while there is no pager, and the capability that a pager has.
    own: Supplier<'f>,
    lent: PagedMemory,
    told: u32,
    bits: [u32; BITS],
    seen: Word,
    pager: Option<Running>,
    readers: [Option<Reader>; READERS],
    round: u32,
    short: bool,
    started: u32,
    killed: u32,
}

pub fn run(program: &Program, given: &Given<'_>, numbers: Numbers<'_>) -> Result {
    let account = program.account();
    let before = account.amounts()?.used;
    let [seed, rounds, priority] = core::array::from_fn(|nth| numbers.at(nth + 1));
    let file = Memory::from_slot(given.slot("file").expect("its own file is among it"));
    let (notification, told) = account.create_notification()?;
    let mut bits = [0; BITS];
    for (nth, bit) in bits.iter_mut().enumerate() {
        *bit = mint_bit(told, 1 << nth)?;
    }
    let space = program.space();
    let (store, figures_page) = (account.create_memory(PAGES)?, account.create_memory(1)?);
    let shown_store = space.map(&store, Rights::READ_WRITE, &account)?;
    let shown_figures = space.map(&figures_page, Rights::READ_WRITE, &account)?;
    let paged = account.create_paged(PAGES, MAX_THERE)?;
    let lent = paged.restrict(Rights::PAGE, &account)?;
    let mut random = Random::new(seed | 1);
    let base = random.number();
    // SAFETY: the pages appear when they are touched; nobody has them yet.
    let words = unsafe { Shown::at(shown_store.address()) };
    (0..PAGES).for_each(|page| words.fill(base, page));
    // SAFETY: the page is there when it is touched, and holds atomic words that all have.
    let figures = unsafe { &*(shown_figures.address() as *const Figures) };
    let there = [false; PAGES as usize];
    let own_store = Memory::from_slot(store.slot());
    let own = Supplier { paged, store: own_store, there, random, figures };
    let mut init = Init {
        account,
        file,
        priority: priority as u8,
        base,
        store,
        figures_page,
        own,
        lent,
        told,
        bits,
        seen: 0,
        pager: None,
        readers: [const { None }; READERS],
        round: 0,
        short: false,
        started: 0,
        killed: 0,
    };
    for round in 1..=rounds {
        init.round = round;
        init.do_round()?;
    }
    (0..READERS).try_for_each(|place| init.end_reader(place))?;
    init.end_pager()?;
    init.own.take_all()?;
    let base = init.base;
    let wrong = (0..PAGES)
        .find_map(|page| first_wrong((words, base), page, READERS, None).map(|at| (page, at)));
    assert_eq!(wrong, None, "in the store, in the end");
    let [supplied, taken, written, refused] =
        [&figures.supplied, &figures.taken, &figures.written, &figures.refused]
            .map(|figure| figure.load(Relaxed));
    let Init { account, store, figures_page, own, lent, started, killed, short, .. } = init;
    shown_store.unmap()?;
    shown_figures.unmap()?;
    own.paged.destroy()?;
    free_slot(lent.slot());
    store.destroy()?;
    figures_page.destroy()?;
    bits.into_iter().for_each(empty_slot);
    empty_slot(told);
    notification.destroy()?;
    assert_eq!(account.amounts()?.used, before);
    tell!("counts {started} {killed} {supplied} {taken} {written} {refused}");
    program.exit(if short { SHORT } else { 0 })
}

impl Init<'_> {
    fn do_round(&mut self) -> Result {
        match self.own.random.below(12) {
            0 => self.end_pager(),
            1 => self.page_itself(),
            2 => self.wrong_requests(),
            3 => self.account_with_all(),
            _ => {
                let place = self.own.random.below(READERS as u32) as usize;
                match self.readers[place] {
                    Some(_) => self.end_reader(place),
                    None => {
                        let reader = self.start_reader(place)?;
                        self.readers[place] = reader;
                        Ok(())
                    }
                }
            }
        }
    }

    /// Waits until one of these bits is set; they stay set.
    fn wait_for(&mut self, bits: Word) {
        while self.seen & bits == 0 {
            self.seen |= cap::Notification::from_bits(self.told as Word).wait().1;
        }
    }

    /// Lets one run that was given all but its numbers.
    fn start(
        &mut self,
        made: Result<Starting>,
        numbers: &[u32],
        priority: u8,
    ) -> Result<Option<Running>> {
        let started = made.and_then(|starting| starting.start(Words::of(numbers).text(), priority));
        let running = unless_short(started)?;
        self.started += u32::from(running.is_some());
        Ok(running)
    }

    /// One that is put together, and given what they all have.
    fn begin(
        &self,
        payer: &Account,
        name: &str,
        amounts: Amounts,
        give: Give<'_>,
    ) -> Result<Starting> {
        let options = ProgramOptions::SUSPEND_AT_FAULT;
        let mut starting = payer.begin_program(name, &self.file, amounts, options)?;
        let mut all = || {
            give(&mut starting)?;
            starting.give_kernel("came", self.bits[READERS + 1])?;
            starting.give_console()
        };
        match all() {
            Ok(()) => Ok(starting),
            Err(error) => {
                end_before_start(starting);
                Err(error)
            }
        }
    }

    /// There is a pager from now on, if memory allows one.
    fn start_pager(&mut self) -> Result {
        if self.pager.is_some() {
            return Ok(());
        }
        let rights = Rights::READ_WRITE | Rights::USE;
        let (lent, store, figures) = (&self.lent, &self.store, &self.figures_page);
        let made = self.begin(&self.account, "pager", PAGER_AMOUNTS, &|starting| {
            starting.give("paged", lent, Rights::PAGE)?;
            starting.give("store", store, rights)?;
            starting.give("figures", figures, Rights::READ_WRITE)
        });
        let numbers = [PAGER, self.own.random.number()];
        let running = self.start(made, &numbers, self.priority - 1)?;
        if let Some((child, ..)) = &running {
            self.seen &= !PAGER_ENDS;
            child.tell_end(self.bits[READERS])?;
        }
        self.pager = running;
        Ok(())
    }

    /// Ends the pager, whatever it does. It never ends itself, unless memory is short.
    fn end_pager(&mut self) -> Result {
        let Some((child, space, account)) = self.pager.take() else { return Ok(()) };
        let status = child.status()?;
        match status.state {
            State::Exited if status.code == SHORT => self.short = true,
            State::Exited => panic!("a pager exits with {}", status.code),
            State::Crashed | State::Faulted => self.short = true,
            _ => {}
        }
        self.killed += 1;
        child.remove(space, account)
    }

    /// Whether there is a pager that runs; one that has ended makes room for another.
    fn has_pager(&mut self) -> Result<bool> {
        if let Some((child, ..)) = &self.pager {
            let state = child.status()?.state;
            if state.is_end() || state.is_suspended() {
                self.end_pager()?;
            }
        }
        self.start_pager()?;
        Ok(self.pager.is_some())
    }

    fn start_reader(&mut self, place: usize) -> Result<Option<Reader>> {
        let how = self.own.random.below(3);
        let rights = if how == 1 { Rights::READ_WRITE } else { Rights::READ };
        let all = rights | Rights::REVOKE;
        let lent = unless_short(self.own.paged.restrict(all, &self.account))?;
        let Some(lent) = lent else { return Ok(None) };
        let shown = Memory::from_slot(lent.slot());
        let steps = 1 + self.own.random.below(STEPS);
        let tells = 1 + self.own.random.below(steps);
        let seed = self.own.random.number();
        let numbers = [READER, seed, steps, place as u32, self.base, tells, how];
        let made = self.begin(&self.account, "reader", READER_AMOUNTS, &|starting| {
            starting.give("shown", &shown, rights)
        });
        let Some(running) = self.start(made, &numbers, self.priority - 2 - place as u8)? else {
            return end_lent(shown).map(|()| None);
        };
        self.seen &= !(1 << place);
        running.0.tell_end(self.bits[place])?;
        Ok(Some(Reader { running, shown, bereft: false }))
    }

    /// Ends a reader, if there is one: now, waiting for a page maybe, or as it ends itself.
    fn end_reader(&mut self, place: usize) -> Result {
        let Some(mut reader) = self.readers[place].take() else { return Ok(()) };
        match self.own.random.below(5) {
            0..=1 => self.wait_for_end(&mut reader, place)?,
            2 if self.has_pager()? => {
                self.wait_for(CAME | PAGER_ENDS | 1 << place);
                self.seen &= !CAME;
            }
            3 => {
                // What it maps is taken away: of what it waits for, too.
                let slot = reader.shown.slot();
                let again = unless_short(reader.shown.revoke())?;
                reader.bereft = again.is_some();
                reader.shown = again.unwrap_or(Memory::from_slot(slot));
                self.wait_for_end(&mut reader, place)?;
            }
            _ => {}
        }
        let Reader { running: (child, space, account), shown, .. } = reader;
        self.killed += u32::from(!child.status()?.gone);
        child.remove(space, account)?;
        end_lent(shown)
    }

    /// Waits until a reader has ended, and sees that it did as it should. It goes on where a page
    /// was refused.
    fn wait_for_end(&mut self, reader: &mut Reader, place: usize) -> Result {
        let child = &reader.running.0;
        for _ in 0..PATIENCE {
            // Without a pager it may wait for ever.
            if !self.has_pager()? {
                break;
            }
            self.wait_for(PAGER_ENDS | 1 << place);
            if self.seen & PAGER_ENDS != 0 {
                self.seen &= !PAGER_ENDS;
                continue;
            }
            self.seen &= !(1 << place);
            let status = child.status()?;
            if status.gone {
                let round = self.round;
                match status.state {
                    State::Exited if status.code == SHORT => self.short = true,
                    State::Exited if status.code == GONE => assert!(reader.bereft, "{round}"),
                    State::Exited => assert_eq!(status.code, 0, "in round {round}"),
                    state => assert_eq!(state, State::Crashed, "in round {round}"),
                }
                return Ok(());
            }
            if status.state.is_suspended() {
                if reader.bereft {
                    return Ok(());
                }
                child.resume()?;
            }
        }
        // Memory is so short that nobody supplies the page.
        self.short = true;
        Ok(())
    }

    /// Supplies pages itself and takes them back, while there is no pager.
    fn page_itself(&mut self) -> Result {
        self.end_pager()?;
        self.own.take_all()?;
        let first = self.own.random.below(PAGES - MAX_THERE);
        let pages = 1 + self.own.random.below(MAX_THERE);
        let ways = [Supply::Give, Supply::Copy, Supply::Share];
        let how = ways[self.own.random.below(3) as usize];
        let write = self.own.random.below(2) == 0;
        let own = &mut self.own;
        let supplied = own.paged.supply((first, pages), (&own.store, first), how, write);
        match unless_short(supplied)? {
            Some(_) => own.there[first as usize..][..pages as usize].fill(true),
            // Some may be there.
            None => return own.take_all(),
        }
        Figures::add(&own.figures.supplied, pages);
        if own.random.below(2) == 0 {
            own.paged.allow_write(first, pages)?;
        }
        match own.random.below(2) {
            0 => own.take_some(),
            _ => Ok(()),
        }
    }

    /// What a pager may not do is refused, and changes nothing.
    fn wrong_requests(&mut self) -> Result {
        self.end_pager()?;
        self.own.take_all()?;
        let own = &self.own;
        let supply = |at, pages, from| {
            own.paged.supply((at, pages), (&own.store, from), Supply::Copy, false).map(|_| ())
        };
        let beyond = Some(Refusal::BeyondEnd { pages: PAGES });
        assert_eq!(refusal(supply(PAGES, 1, 0)), beyond);
        assert_eq!(refusal(supply(0, 1, PAGES)), beyond);
        assert_eq!(refusal(supply(0, MAX_THERE + 1, 0)), Some(Refusal::Full { most: MAX_THERE }));
        let allowed = own.paged.allow_write(1, 1).map(|_| ());
        assert_eq!(refusal(allowed), Some(Refusal::NotThere { page: 1 }));
        if unless_short(supply(3, 1, 3))?.is_some() {
            assert_eq!(refusal(supply(3, 1, 3)), Some(Refusal::IsThere { page: 3 }));
            let more = self.lent.to_map(Rights::READ, &self.account).map(|_| ());
            assert_eq!(refusal(more), Some(Refusal::BeyondRights { asked: Rights::READ }));
        }
        let own = &mut self.own;
        own.there[3] = true;
        own.paged.refuse(5)?;
        own.take_all()
    }

    /// An account that pays for paged memory and for one that waits for a page of it: with the
    /// account both end.
    fn account_with_all(&mut self) -> Result {
        let all = core::array::from_fn(|nth| READER_AMOUNTS.0[nth] * 2);
        let Some(account) = unless_short(self.account.split(Amounts(all)))? else { return Ok(()) };
        let mut slots = [0; 5];
        if let Some(paged) = unless_short(account.create_paged(PAGES, 1))? {
            slots[0] = paged.slot();
            if let Some(shown) = unless_short(paged.to_map(Rights::READ, &account))? {
                slots[1] = shown.slot();
                let place = self.readers.iter().position(Option::is_none);
                // By the same bit as where others are.
                let told = unless_short(paged.tell_faults(self.bits[READERS + 1]))?;
                if let (Some(place), Some(())) = (place, told) {
                    slots[2..].copy_from_slice(&self.one_that_waits(&account, &shown, place)?);
                }
            }
            // It waits by now, unless it was somebody else who told where he is.
            if slots[2] != 0 && self.own.random.below(2) == 0 {
                let write = paged.next_fault()?.map(|wanted| wanted.write);
                assert!(matches!(write, None | Some(false)), "in round {}", self.round);
            }
        }
        account.destroy()?;
        slots.into_iter().filter(|&slot| slot != 0).for_each(free_slot);
        Ok(())
    }

    /// A reader that comes to wait for a page. Returns its slots.
    fn one_that_waits(
        &mut self,
        payer: &Account,
        shown: &Memory,
        place: usize,
    ) -> Result<[u32; 3]> {
        let made = self.begin(payer, "waiter", READER_AMOUNTS, &|starting| {
            starting.give("shown", shown, Rights::READ)
        });
        let numbers = [READER, self.own.random.number(), 1, place as u32, self.base, 0, 0];
        let running = self.start(made, &numbers, self.priority - 2 - place as u8)?;
        let Some((child, space, account)) = running else { return Ok([0; 3]) };
        self.seen &= !(1 << place);
        child.tell_end(self.bits[place])?;
        // It runs now, and touches a page.
        self.wait_for(CAME | 1 << place);
        self.seen &= !CAME;
        Ok([child.slot(), space.slot(), account.slot()])
    }
}

/// What is given to one that is put together.
type Give<'a> = &'a dyn Fn(&mut Starting) -> Result;

/// Ends one that is not to be started: with more arguments than fit it is not.
fn end_before_start(starting: Starting) {
    let too_long = core::str::from_utf8(&[b'0'; 2049]).unwrap_or("");
    let _ = starting.start(too_long, 0);
}

/// Ends a capability by which a reader has mapped the memory, with all that was derived from it.
fn end_lent(shown: Memory) -> Result {
    let message = Request::Revoke { slot: 0 }.encode();
    loop {
        let (label, _, words) = send_raw(message.label(), message.words(), &[shown.slot()]);
        match answer_or_refusal(label as u32, words.get(..0).unwrap_or(&[])) {
            Ok(Ok(Answer::More {})) => {}
            _ => break,
        }
    }
    free_slot(shown.slot());
    Ok(())
}

fn refusal(result: Result) -> Option<Refusal> {
    result.err().and_then(|error: Error| error.refusal())
}

const _: () = assert!(PAGES > MAX_SUPPLY && MAX_THERE < PAGES);
