// SPDX-License-Identifier: BSD-2-Clause
//! A pager: a thread of our own space that does as its brief says.

use core::arch::asm;

use roottask::Outcome;
use sel4::{cap, MessageInfoBuilder, Word};
use vmm::sel4::faults::PagerCall;
use vmm::{Blueprint, Object, RegionId, RegionOptions};

use crate::engine::contents::set_word;
use crate::engine::Stress;
use crate::measure::Kind;
use crate::model::PAGE;
use crate::threads::touch_areas::TouchArea;
use crate::threads::{FaultServer, Worker};

/// What the pager that works knows its area by.
pub const TOKEN: u32 = 0x7061;
/// The most pages of an area that has a pager.
pub const MAX_PAGES: usize = 32;
/// Pages of the pager's stack.
const STACK_PAGES: usize = 4;

/// Where a pager has nothing.
const NOWHERE: usize = 0xd000_0000;

/// What a pager does when it is asked for a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Action {
    /// It shares a page of its store.
    Share,
    /// It gives that page away.
    Give,
    /// It answers what nobody asked and offers what it does not have, is refused, and then shares.
    Nonsense,
    /// It refuses.
    Refuse,
    /// It goes on to the next request.
    Ignore,
    /// It ends, by an instruction that does not exist.
    Die,
}

/// What a pager's thread needs to know, and what it has to say.
#[repr(C)]
struct Brief {
    news: Word,
    calls: Word,
    store: usize,
    actions: [Action; MAX_PAGES],
    /// Answers that it did not expect.
    surprises: u32,
}

/// A pager and what it has.
pub struct Pager {
    /// Its thread.
    pub worker: Worker,
    /// The notification that a page is wanted.
    pub news: Object,
    /// The pages that it has.
    pub store: RegionId,
    /// Where its [`Brief`] lies.
    pub brief: RegionId,
    /// What it does for each page.
    pub actions: [Action; MAX_PAGES],
    /// Whether its thread has ended.
    pub dead: bool,
}

impl Pager {
    /// Lets its thread run.
    pub fn start(&self) -> Outcome {
        self.worker.start_at(serve, self.brief.start().bits())
    }

    /// Answers that it did not expect. It must not be running.
    pub fn surprises(&self) -> u32 {
        // SAFETY: the brief is mapped; the pager does not run while we do.
        unsafe { (*(self.brief.start().bits() as *const Brief)).surprises }
    }
}

/// Makes the pager: its store, its brief, its thread, which does not run yet.
pub fn make(
    stress: &mut Stress,
    fault_server: &mut FaultServer,
    priority: Word,
) -> Outcome<Option<Pager>> {
    let own = stress.expected.own();
    let news = stress.attempt(Kind::Allocate, |vmm| vmm.allocate(Blueprint::Notification))?;
    let (store, brief) = (RegionOptions::new(MAX_PAGES), RegionOptions::new(1));
    let store = stress.attempt(Kind::Map, |vmm| vmm.map(own, &store.named("store")))?;
    let brief = stress.attempt(Kind::Map, |vmm| vmm.map(own, &brief.named("brief")))?;
    let worker = Worker::make(stress, fault_server.endpoint(), own, STACK_PAGES, priority)?;
    let (Some(news), Some(store), Some(brief), Some(worker)) = (news, store, brief, worker) else {
        return Ok(None);
    };
    let calls = stress.must(Kind::AddPager, |vmm| {
        fault_server.handler().add_pager(vmm, TOKEN, news.slot(), own)
    })?;
    let actions = core::array::from_fn(|_| action(stress));
    let written = Brief {
        news: news.slot().bits() as Word,
        calls: calls.bits() as Word,
        store: store.start().bits(),
        actions,
        surprises: 0,
    };
    // SAFETY: the region is ours and mapped, and its only other user does not run yet.
    unsafe { (brief.start().bits() as *mut Brief).write(written) };
    Ok(Some(Pager { worker, news, store, brief, actions, dead: false }))
}

/// As a rule a page is supplied.
fn action(stress: &mut Stress) -> Action {
    match stress.random.below(64) {
        0 => Action::Die,
        1..=2 => Action::Refuse,
        3..=4 => Action::Ignore,
        5..=8 => Action::Nonsense,
        9..=32 => Action::Give,
        _ => Action::Share,
    }
}

/// Puts stamps into the pager's store.
pub fn stamp(stress: &mut Stress, pager: &Pager, area: &mut TouchArea) {
    for (page, words) in area.pages.iter_mut().enumerate() {
        words[0] = stress.random.stamp();
        set_word(pager.store.start().bits() + page * PAGE, words[0]);
    }
}

sel4::thread_entry! {
    /// The pager's thread: it does as its brief says.
    fn serve(brief: usize, _: usize) -> ! {
        let brief = brief as *mut Brief;
        // SAFETY: `pager` wrote it there, and nobody else uses it while this thread runs.
        let brief = unsafe { &mut *brief };
        let news = cap::Notification::from_bits(brief.news);
        let mut last = [0; 2];
        loop {
            news.wait();
            loop {
                let [_, low, high, page] = call(brief.calls, PagerCall::Next, &last);
                if [low, high] == [0; 2] {
                    break;
                }
                last = [low, high];
                // The lowest bit says whether it is a write.
                brief.surprises += u32::from(!answer(brief, last, page as usize >> 1));
            }
        }
    }
}

/// Answers for one page; says whether all went as it should.
fn answer(brief: &Brief, ticket: [Word; 2], page: usize) -> bool {
    const SHARE: Word = 0;
    const GIVE: Word = 1;
    let supply_for = |[low, high]: [Word; 2], address: usize, how: Word| {
        call(brief.calls, PagerCall::Supply, &[low, high, address as Word, how])[0] == 0
    };
    let supply = |address, how| supply_for(ticket, address, how);
    let address = brief.store + page * PAGE;
    match brief.actions[page] {
        Action::Share => supply(address, SHARE),
        Action::Give => supply(address, GIVE),
        // Where another thread's request brought the page before, this one is answered by anything.
        Action::Nonsense => {
            let wrong = ticket.map(|word| !word);
            !supply_for(wrong, address, GIVE) && (supply(NOWHERE, GIVE) || supply(address, SHARE))
        }
        Action::Refuse => call(brief.calls, PagerCall::Refuse, &ticket)[0] == 0,
        Action::Ignore => true,
        // SAFETY: it ends this thread, by an exception.
        Action::Die => unsafe { asm!("ud2", options(noreturn)) },
    }
}

fn call(calls: Word, call: PagerCall, words: &[Word]) -> [Word; 4] {
    let info = MessageInfoBuilder::default().label(call as Word).length(words.len()).build();
    cap::Endpoint::from_bits(calls).call_with_mrs(info, words).msg
}
