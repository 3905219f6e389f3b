// SPDX-License-Identifier: BSD-2-Clause
//! Starts programs that do what they should not, all of this one file, and ends them: a pager that
//! does not answer, one that answers what nobody asked, one that takes each page back at once, and
//! programs that start programs without end. Whoever waits for one of them can be ended at any
//! time, and all that they had is back.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use sel4::{cap, Word};
use vmm_client::handles::{
    empty_slot, free_slot, take_slot, Account, Child, Handle, Memory, Object, PagedMemory, Program,
    Result, Space,
};
use vmm_client::objects::first_page::Given;
use vmm_client::objects::{
    Amounts, ProgramOptions, Refusal, Resource, Rights, State, Supply, FIRST_FREE_SLOT,
};
use vmm_client::{program, tell};
use vmm_clients::{now, COUNTER_PRIORITY};

program!(main);

/// What a pager and a reader may have, and all programs that start others together.
const ONE: Amounts = Amounts([120, 120, 500, 20, 8, 60, 120, 0]);
const BREED: Amounts = Amounts([1000, 900, 4600, 180, 50, 700, 1400, 0]);
/// Pages of paged memory, and how many of them can be there.
const PAGES: u32 = 8;
const THERE: u32 = 2;
/// What the pages hold.
const VALUE: u32 = 0x7a6e_5243;
/// How often a pager has done what it does until it is looked at.
const ENOUGH: u32 = 200;
/// The most ticks until it is answered that a program has ended, and for each of its threads.
const MAX: u64 = 500_000;
const EACH: u64 = 2_000;

/// What a program does, by its arguments; what becomes of one that reads its pages.
const PAGERS: [(&str, State); 4] = [
    // It is told of a page and does not answer.
    ("silent", State::Waiting),
    // It does all that it may not, and then supplies the page.
    ("wrong", State::Exited),
    // It supplies the page and takes it back at once, without end.
    ("back", State::Waiting),
    // It says that the page cannot be had.
    ("refuses", State::Crashed),
];

type Running = (Child, Space, Account);

fn main(program: &Program, argument: usize) -> Result {
    match program.given(argument) {
        Some(given) => serve(program, &given),
        None => arbitrate(program, argument),
    }
}

/// What all of them see: how often the hostile one did what it does, and how often it was refused.
struct Figures {
    done: AtomicU32,
    refused: AtomicU32,
}

/// Who starts and ends the others, `rounds` times.
fn arbitrate(program: &Program, rounds: usize) -> Result {
    assert_eq!(take_slot()?, FIRST_FREE_SLOT);
    let file = Memory::from_slot(FIRST_FREE_SLOT);
    let (account, space) = (program.account(), program.space());
    let before = account.amounts()?.used;
    let page = account.create_memory(1)?;
    let shown = space.map(&page, Rights::READ_WRITE, &account)?;
    // SAFETY: the page is there when it is touched, and holds atomic words that all have.
    let figures = unsafe { &*(shown.address() as *const Figures) };
    let (notification, told) = account.create_notification()?;
    let arbiter = Arbiter { account, file, page, figures, told };
    for round in 0..rounds {
        for (what, expected) in PAGERS {
            arbiter.pager(what, expected, round)?;
        }
        arbiter.breeders(round)?;
    }
    let Arbiter { account, page, .. } = arbiter;
    empty_slot(told);
    notification.destroy()?;
    shown.unmap()?;
    page.destroy()?;
    assert_eq!(account.amounts()?.used, before);
    Ok(())
}

struct Arbiter<'f> {
    account: Account,
    file: Memory,
    page: Memory,
    figures: &'f Figures,
    told: u32,
}

impl Arbiter<'_> {
    fn start(
        &self,
        (payer, amounts): (&Account, Amounts),
        what: &str,
        paged: Option<(&Memory, Rights)>,
    ) -> Result<Running> {
        let options = ProgramOptions::empty();
        let mut starting = payer.begin_program(what, &self.file, amounts, options)?;
        starting.give("file", &self.file, Rights::READ)?;
        starting.give("figures", &self.page, Rights::READ_WRITE)?;
        if let Some((paged, rights)) = paged {
            starting.give("paged", paged, rights)?;
        }
        starting.start(what, COUNTER_PRIORITY)
    }

    /// Has a program read pages of a hostile pager, and ends it where it waits still.
    fn pager(&self, what: &str, expected: State, round: usize) -> Result {
        let Arbiter { account, figures, .. } = self;
        let used = account.amounts()?.used;
        let figures = [&figures.done, &figures.refused];
        figures.iter().for_each(|figure| figure.store(0, Relaxed));
        let paged = account.create_paged(PAGES, THERE)?;
        let to_map = paged.to_map(Rights::READ, account)?;
        let as_pager = paged.restrict(Rights::PAGE, account)?;
        let lent = Memory::from_slot(as_pager.slot());
        let reader = self.start((account, ONE), "read", Some((&to_map, Rights::READ)))?;
        while reader.0.status()?.state != State::Waiting {
            sel4::r#yield();
        }
        let pager = self.start((account, ONE), what, Some((&lent, Rights::PAGE)))?;
        while figures[0].load(Relaxed) < ENOUGH && !reader.0.status()?.state.is_end() {
            sel4::r#yield();
        }
        let state = reader.0.status()?.state;
        let [done, refused] = figures.map(|figure| figure.load(Relaxed));
        // Between two of its touches it runs, and it may have read the page then.
        let may = what == "back" && matches!(state, State::Running | State::Exited);
        assert!(state == expected || may, "{what}: {state:?}");
        let mut longest = 0;
        for (child, its_space, its_account) in [reader, pager] {
            sel4::r#yield();
            let begun = now();
            if !child.status()?.state.is_end() {
                child.kill()?;
            }
            longest = longest.max(now() - begun);
            let status = child.wait(self.told)?;
            assert!(status.gone, "{what}");
            if status.state == State::Exited {
                assert_eq!(status.code, VALUE & 0xffff, "{what}");
            }
            child.remove(its_space, its_account)?;
        }
        assert!(longest <= MAX + EACH, "{what}: {longest}");
        paged.destroy()?;
        [to_map.slot(), as_pager.slot()].into_iter().for_each(free_slot);
        assert_eq!(account.amounts()?.used, used, "{what}");
        if round == 0 {
            tell!("pager, {what}: {done} times, {refused} refused; ended within {longest}");
        }
        Ok(())
    }

    /// Programs start programs until their accounts have no more; then the account ends that pays
    /// for the first.
    fn breeders(&self, round: usize) -> Result {
        let used = self.account.amounts()?.used;
        let figures = [&self.figures.done, &self.figures.refused];
        figures.iter().for_each(|figure| figure.store(0, Relaxed));
        let all = Amounts(BREED.0.map(|amount| amount + 16)).with(Resource::LargePages, 0);
        let payer = self.account.split(all)?;
        let (child, its_space, its_account) = self.start((&payer, BREED), "breed", None)?;
        child.tell_end(self.told)?;
        // Each of them comes to where it is refused.
        let count = || figures.map(|figure| figure.load(Relaxed));
        while count()[1] == 0 || count()[1] < count()[0] {
            sel4::r#yield();
        }
        let [started, _] = count();
        sel4::r#yield();
        let begun = now();
        child.kill()?;
        let took = now() - begun;
        assert!(took <= MAX + EACH * u64::from(started), "{took} for {started}");
        cap::Notification::from_bits(self.told as Word).wait();
        assert!(child.status()?.gone);
        assert_eq!(figures[0].load(Relaxed), started, "some run on");
        child.remove(its_space, its_account)?;
        payer.destroy()?;
        assert_eq!(self.account.amounts()?.used, used);
        assert!(started > 3, "{started} are no breed");
        if round == 0 {
            tell!("{started} programs, started by each other, ended within {took}");
        }
        Ok(())
    }
}

/// What one does that was started.
fn serve(program: &Program, given: &Given<'_>) -> Result {
    let account = program.account();
    let memory = |name| Memory::from_slot(given.slot(name).expect("it is given"));
    let shown = program.space().map(&memory("figures"), Rights::READ_WRITE, &account)?;
    // SAFETY: the page is there when it is touched, and holds atomic words that all have.
    let figures = unsafe { &*(shown.address() as *const Figures) };
    let what = given.arguments();
    match what {
        "breed" => breed(program, given, figures),
        "read" => {
            let pages = program.space().map(&memory("paged"), Rights::READ, &account)?;
            // SAFETY: the page is supplied when it is touched, or this program ends.
            let value = unsafe { (pages.address() as *const u32).read_volatile() };
            program.exit(value & 0xffff)
        }
        _ => page(program, what, &PagedMemory::from_slot(memory("paged").slot()), figures),
    }
}

/// A pager that does not do what it should.
fn page(program: &Program, what: &str, paged: &PagedMemory, figures: &Figures) -> Result {
    let account = program.account();
    let store = account.create_memory(PAGES)?;
    (0..PAGES).try_for_each(|page| store.write(page as usize * 4096, &VALUE.to_le_bytes()))?;
    let (_notification, told) = account.create_notification()?;
    paged.tell_faults(told)?;
    let refused = |done: Result| {
        assert!(done.is_err());
        figures.refused.fetch_add(1, Relaxed);
    };
    let supply = |page, pages, how| {
        let supplied = paged.supply((page, pages), (&store, page), how, false);
        supplied.map(|_| ())
    };
    while paged.next_fault()?.is_none() {
        sel4::r#yield();
    }
    // The last time it supplies the page after that.
    let times = if what == "wrong" { ENOUGH - 1 } else { ENOUGH };
    for _ in 0..times {
        match what {
            "wrong" => {
                // To who is not there, twice, beyond the end, more than there can be, from what it
                // has no right to, what it is not.
                supply(3, 1, Supply::Copy)?;
                refused(supply(3, 1, Supply::Give));
                refused(supply(PAGES, 1, Supply::Copy));
                refused(supply(1, THERE + 1, Supply::Share));
                refused(supply(0, 0x1000_0000, Supply::Copy));
                refused(paged.allow_write(5, 1).map(|_| ()));
                let own = Memory::from_slot(paged.slot());
                refused(paged.supply((0, 1), (&own, 0), Supply::Give, true).map(|_| ()));
                refused(paged.take_back((3, 1), (&own, 0)).map(|_| ()));
                refused(program.space().map(&own, Rights::READ, &account).map(|_| ()));
                paged.refuse(5)?;
                paged.decommit(0, PAGES)?;
            }
            "back" => {
                supply(0, 1, Supply::Give)?;
                paged.take_back((0, 1), (&store, 0))?;
            }
            "refuses" => drop(paged.refuse(0)?),
            // It does something else.
            _ => drop(paged.next_fault()?),
        }
        figures.done.fetch_add(1, Relaxed);
    }
    if what == "wrong" {
        supply(0, 1, Supply::Give)?;
    }
    loop {
        if what == "back" {
            supply(0, 1, Supply::Share)?;
            paged.take_back((0, 1), (&store, 0))?;
        }
        sel4::r#yield();
    }
}

/// Starts others of its kind, each with most of what it has left, which do the same.
fn breed(program: &Program, given: &Given<'_>, figures: &Figures) -> Result {
    figures.done.fetch_add(1, Relaxed);
    let account = program.account();
    let memory = |name| Memory::from_slot(given.slot(name).expect("it is given"));
    let start = || -> Result {
        let info = account.amounts()?;
        let most = |nth: usize| (info.limits.0[nth] - info.used.0[nth]) * 7 / 8;
        let amounts = Amounts(core::array::from_fn(most));
        let (file, options) = (memory("file"), ProgramOptions::FEW_SLOTS);
        let mut starting = account.begin_program("breed", &file, amounts, options)?;
        let mut give = || {
            starting.give("file", &file, Rights::READ)?;
            starting.give("figures", &memory("figures"), Rights::READ_WRITE)
        };
        give()?;
        starting.start("breed", COUNTER_PRIORITY).map(|_| ())
    };
    let error = loop {
        if let Err(error) = start() {
            break error.refusal();
        }
    };
    let is_short = matches!(error, Some(Refusal::OutOfAccount { .. } | Refusal::TooDeep { .. }));
    assert!(is_short, "{error:?}");
    figures.refused.fetch_add(1, Relaxed);
    loop {
        sel4::r#yield();
    }
}
