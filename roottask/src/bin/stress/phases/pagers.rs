//! Pagers outside: they supply pages, refuse some, never answer for others, answer nonsense, and die.
//!
//! ```text
//!   worker ──fault──► our loop ──signal──► pager, a thread of our own space
//!                        ◄── what is there to do? ──┤
//!                        ── ticket, page ──►        │  actions[page]
//!      goes on ◄──       ◄── ticket, a page ────────┘
//! ```
//!
//! We have the lowest priority. So when we run and there is no message, nobody can go on: who has not
//! ended then waits for a page that its pager does not answer for. Workers that need no pager, or none
//! of its bad pages, must have come to their ends.

use alloc::vec::Vec;
use core::arch::asm;

use roottask::{check, check_eq, Failure, Outcome};
use sel4::{cap, MessageInfoBuilder, Word};
use sel4_root_task::debug_println;
use vmm::sel4_faults::{PagerCall, ThreadFault, PAGER_BADGE};
use vmm::{
    Backing, Blueprint, Error, FaultClass, Object, RegionId, RegionOptions, SpaceId, Supply,
};

use crate::engine::contents::set_word;
use crate::engine::Stress;
use crate::measure::Kind;
use crate::model::PAGE;
use crate::threads::touch_areas::{self, TouchArea, MAX_THREADS};
use crate::threads::{
    end_of, restore_own_priority, set_own_priority, Ended, FaultServer, Note, Program, Touch,
    Worker,
};

/// What the pager that works knows its area by.
const TOKEN: u32 = 0x7061;
/// What one knows its area by that does not even listen.
const DEAF_TOKEN: u32 = 0xdeaf;
/// The most pages of an area that has a pager.
const MAX_PAGES: usize = 32;
/// Pages of the pager's stack.
const STACK_PAGES: usize = 4;

/// Where a pager has nothing.
const NOWHERE: usize = 0xd000_0000;

/// What a pager does when it is asked for a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
enum Action {
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
struct Pager {
    worker: Worker,
    news: Object,
    store: RegionId,
    brief: RegionId,
    actions: [Action; MAX_PAGES],
    /// Whether its thread has ended.
    dead: bool,
}

/// A thread that touches, and which of the areas it may.
struct Client {
    worker: Worker,
    list: Vec<Touch>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// It runs, or waits.
    Alive,
    /// It has done its list.
    Done,
    /// Its pager has refused.
    Refused,
    /// It was stopped for no reason.
    Killed,
}

/// The areas: one behind the pager, one without, one behind a pager that does not listen.
const PAGED: usize = 0;
const PLAIN: usize = 1;
const DEAF: usize = 2;

/// All of a session.
struct Session {
    fault_server: FaultServer,
    areas: [TouchArea; 3],
    pager: Pager,
    clients: Vec<Client>,
    code: usize,
    until_kill: Option<usize>,
}

/// A session or two.
pub fn run(stress: &mut Stress) -> Outcome {
    for _ in 0..stress.random.within(1, 3) {
        if stress.is_over() {
            break;
        }
        let own = stress.expected.own();
        let space = match stress.random.once_in(2) {
            true => Some(own),
            false => stress.attempt(Kind::CreateSpace, |vmm| vmm.create_space())?,
        };
        let Some(space) = space else { continue };
        if let Some(program) = Program::load(stress, space)? {
            if let Some(fault_server) = FaultServer::open(stress)? {
                in_space(stress, fault_server, space, program.address())?;
            }
            program.release(stress)?;
        }
        if space != own {
            stress.must(Kind::DestroySpace, |vmm| vmm.destroy_space(space))?;
        }
    }
    Ok(())
}

fn in_space(
    stress: &mut Stress,
    mut fault_server: FaultServer,
    space: SpaceId,
    code: usize,
) -> Outcome {
    let count = stress.random.within(1, MAX_THREADS);
    let mut priorities = stress.priorities(1 + count);
    let deaf = stress.attempt(Kind::Allocate, |vmm| vmm.allocate(Blueprint::Endpoint))?;
    let areas = areas(stress, space)?;
    let pager = match priorities.pop() {
        Some(priority) => pager(stress, &mut fault_server, priority)?,
        None => None,
    };
    let (Some(deaf), Some(mut areas), Some(pager)) = (deaf, areas, pager) else {
        // Nothing of this is much, on any machine.
        return Err(Failure::Manager(Error::NoSuchSpace(space)));
    };
    let own = stress.expected.own();
    stress.must(Kind::AddPager, |vmm| {
        fault_server.handler().add_pager(vmm, DEAF_TOKEN, deaf.slot(), own).map(|_| ())
    })?;
    stamp(stress, &pager, &mut areas[PAGED]);
    let until_kill = stress.random.once_in(3).then(|| stress.random.size(64));
    let mut session = Session { fault_server, areas, pager, clients: Vec::new(), code, until_kill };
    for (number, priority) in priorities.into_iter().enumerate() {
        session.add_client(stress, space, number, priority)?;
    }
    session.course(stress)?;
    session.give_back(stress)?;
    stress.must(Kind::Free, |vmm| vmm.free(deaf))
}

fn areas(stress: &mut Stress, space: SpaceId) -> Outcome<Option<[TouchArea; 3]>> {
    let around = 1 << stress.random.below(5);
    let backings = [
        Backing::Pager { token: TOKEN },
        Backing::OnDemand { around },
        Backing::Pager { token: DEAF_TOKEN },
    ];
    let mut areas = Vec::new();
    for backing in backings {
        let pages = stress.random.size(MAX_PAGES);
        areas.extend(TouchArea::reserve(stress, space, pages, backing)?);
    }
    Ok(areas.try_into().ok())
}

/// Makes the pager: its store, its brief, its thread, which does not run yet.
fn pager(
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
fn stamp(stress: &mut Stress, pager: &Pager, area: &mut TouchArea) {
    for (page, words) in area.pages.iter_mut().enumerate() {
        words[0] = stress.random.stamp();
        set_word(pager.store.start().bits() + page * PAGE, words[0]);
    }
}

impl Session {
    /// A thread that touches what its pager is good for, and what needs none; or, once in a while,
    /// what it will never get.
    fn add_client(
        &mut self,
        stress: &mut Stress,
        space: SpaceId,
        number: usize,
        priority: Word,
    ) -> Outcome {
        let which = match stress.random.below(8) {
            0 => DEAF..DEAF + 1,
            1..=2 => PLAIN..PLAIN + 1,
            _ => PAGED..PLAIN + 1,
        };
        let list = touch_areas::list(stress, &self.areas[which], number);
        let made = Worker::make(stress, self.fault_server.endpoint(), space, 1, priority)?;
        let Some(worker) = made else { return Ok(()) };
        match worker.take_list(stress, &list)? {
            true => self.clients.push(Client { worker, list, state: State::Alive }),
            false => worker.release(stress)?,
        }
        Ok(())
    }

    /// Lets all run, and does something about those who wait when nobody runs any more.
    fn course(&mut self, stress: &mut Stress) -> Outcome {
        set_own_priority(stress.lowest_priority())?;
        let brief = self.pager.brief.start().bits();
        self.pager.worker.start_at(serve, brief)?;
        for client in &self.clients {
            client.worker.start_touching(self.code)?;
        }
        self.serve(stress)?;
        self.check_who_waits(stress)?;
        for _ in 0..stress.random.below(8) {
            if !self.help(stress)? {
                break;
            }
            self.serve(stress)?;
            self.check_who_waits(stress)?;
        }
        restore_own_priority()?;
        self.check_contents(stress)
    }

    /// Answers messages until nobody can go on.
    fn serve(&mut self, stress: &mut Stress) -> Outcome {
        let mut answer = None;
        while let Some(message) = self.fault_server.poll(answer.take()) {
            self.until_kill = self.until_kill.and_then(|left| left.checked_sub(1));
            if self.until_kill == Some(0) {
                self.kill(message.badge)?;
                continue;
            }
            let handled = self.fault_server.handle(stress, &message)?;
            answer = handled.answer;
            if let Some(note) = handled.incident {
                self.take(&note)?;
            }
        }
        Ok(())
    }

    /// Stops the thread whose message is not answered yet: a worker, or the pager in its call.
    fn kill(&mut self, badge: usize) -> Outcome {
        if badge & PAGER_BADGE != 0 || badge == self.pager.worker.badge() {
            self.pager.dead = true;
            return self.pager.worker.stop();
        }
        let client = self.clients.iter_mut().find(|client| client.worker.badge() == badge);
        let Some(client) = client else { return Ok(()) };
        client.state = State::Killed;
        client.worker.stop()
    }

    /// Somebody was stopped: at the end of its list, refused by its pager, or the pager itself.
    fn take(&mut self, note: &Note) -> Outcome {
        if note.thread == self.pager.worker.id() {
            check!(matches!(note.fault, ThreadFault::Exception { .. }));
            check!(self.pager.actions.contains(&Action::Die));
            self.pager.dead = true;
            return Ok(());
        }
        let client = self.clients.iter_mut().find(|client| client.worker.id() == note.thread);
        let Some(client) = client else {
            return Err(Failure::Manager(Error::NoSuchThread(note.thread)));
        };
        let page = page_of(&self.areas[PAGED], &note.fault);
        let action = page.map(|page| self.pager.actions[page]);
        let done = end_of(self.code, &note.fault) == Some(Ended::Done)
            && client.worker.progress()? == client.list.len();
        let refused = note.refused_by_pager
            && note.class == Some(FaultClass::Pager { token: TOKEN })
            && action == Some(Action::Refuse);
        if !done && !refused {
            debug_println!("stress: {note:x?}, {action:?}");
        }
        check!(done || refused);
        client.state = if done { State::Done } else { State::Refused };
        Ok(())
    }

    /// Who has not ended waits for a page that nobody answers for, and nobody else does.
    fn check_who_waits(&self, stress: &Stress) -> Outcome {
        for client in &self.clients {
            let request = waiting(stress, client);
            match client.state {
                State::Alive => check!(request.is_some()),
                State::Done | State::Refused => check!(request.is_none()),
                State::Killed => {}
            }
            if let (State::Alive, Some((TOKEN, page))) = (client.state, request) {
                let ignored = self.pager.actions[page] == Action::Ignore;
                check!(ignored || self.pager.dead);
            }
        }
        // SAFETY: the brief is mapped; the pager does not run while we do.
        let surprises = unsafe { (*(self.pager.brief.start().bits() as *const Brief)).surprises };
        check_eq!(surprises, 0);
        Ok(())
    }

    /// Does for one of those who wait what its pager does not. Says whether there was one.
    fn help(&mut self, stress: &mut Stress) -> Outcome<bool> {
        let Some(request) = stress.vmm.next_request(TOKEN, 0) else { return Ok(false) };
        let (own, page) =
            (stress.expected.own(), self.pager.store.start().bits() + request.page * PAGE);
        let how = if stress.random.once_in(2) { Supply::Share } else { Supply::Transfer };
        let (handler, ticket) = (self.fault_server.handler(), request.ticket);
        stress.attempt(Kind::Supply, |vmm| handler.supply(vmm, TOKEN, ticket, own, page, how))?;
        stress.refused(
            Kind::Supply,
            |error| *error == Error::NoSuchRequest { ticket },
            |vmm| handler.supply(vmm, TOKEN, ticket, own, page, how),
        )?;
        Ok(true)
    }

    /// Every page must hold its stamp, and what the threads wrote as far as each got.
    fn check_contents(&mut self, stress: &mut Stress) -> Outcome {
        for client in &self.clients {
            let done = &client.list[..client.worker.progress()?];
            touch_areas::take_note(&mut self.areas, done);
        }
        self.areas.iter().try_for_each(|area| area.check_by_share(stress))
    }

    /// Gives all back, in one of the orders there are: with requests that wait still, as a rule.
    fn give_back(self, stress: &mut Stress) -> Outcome {
        let Session { mut fault_server, areas, pager, clients, .. } = self;
        let remove_first = stress.random.once_in(2);
        if remove_first {
            let handler = fault_server.handler();
            stress.must(Kind::RemovePager, |vmm| handler.remove_pager(vmm, TOKEN))?;
            check!(stress.vmm.next_request(TOKEN, 0).is_none());
        }
        let Pager { worker, news, store, brief, .. } = pager;
        let mut workers: Vec<Worker> = clients.into_iter().map(|client| client.worker).collect();
        workers.push(worker);
        while !workers.is_empty() {
            let index = stress.random.below(workers.len());
            workers.swap_remove(index).release(stress)?;
        }
        check!(stress.vmm.next_request(TOKEN, 0).is_none());
        check!(stress.vmm.next_request(DEAF_TOKEN, 0).is_none());
        let mut regions = [store, brief, areas[0].id, areas[1].id, areas[2].id].to_vec();
        while !regions.is_empty() {
            let index = stress.random.below(regions.len());
            let region = regions.swap_remove(index);
            stress.must(Kind::Release, |vmm| vmm.release(region))?;
        }
        fault_server.close(stress)?;
        stress.must(Kind::Free, |vmm| vmm.free(news))
    }
}

/// The pager's token and the page that a thread waits for, if it does.
fn waiting(stress: &Stress, client: &Client) -> Option<(u32, usize)> {
    for token in [TOKEN, DEAF_TOKEN] {
        let mut ticket = 0;
        while let Some(request) = stress.vmm.next_request(token, ticket) {
            if request.thread == client.worker.id() {
                return Some((token, request.page));
            }
            ticket = request.ticket;
        }
    }
    None
}

/// Which page of an area a fault is about.
fn page_of(area: &TouchArea, fault: &ThreadFault) -> Option<usize> {
    let ThreadFault::Page(fault) = fault else { return None };
    let page = fault.address.checked_sub(area.first)? / PAGE;
    (page < area.pages.len()).then_some(page)
}

/// The pager's thread: it does as its brief says.
extern "fastcall" fn serve(brief: usize, _: usize) -> ! {
    let brief = brief as *mut Brief;
    // SAFETY: `pager` wrote it there, and nobody else uses it while this thread runs.
    let brief = unsafe { &mut *brief };
    let news = cap::Notification::from_bits(brief.news);
    let mut last = 0;
    loop {
        news.wait();
        loop {
            let [_, ticket, page, _] = call(brief.calls, PagerCall::Next, &[last]);
            if ticket == 0 {
                break;
            }
            last = ticket;
            brief.surprises += u32::from(!answer(brief, ticket, page as usize));
        }
    }
}

/// Answers for one page; says whether all went as it should.
fn answer(brief: &Brief, ticket: Word, page: usize) -> bool {
    const SHARE: Word = 0;
    const GIVE: Word = 1;
    let supply_for = |ticket: Word, address: usize, how: Word| {
        call(brief.calls, PagerCall::Supply, &[ticket, address as Word, how])[0] == 0
    };
    let supply = |address, how| supply_for(ticket, address, how);
    let address = brief.store + page * PAGE;
    match brief.actions[page] {
        Action::Share => supply(address, SHARE),
        Action::Give => supply(address, GIVE),
        // Where another thread's request brought the page before, this one is answered by anything.
        Action::Nonsense => {
            !supply_for(!ticket, address, GIVE) && (supply(NOWHERE, GIVE) || supply(address, SHARE))
        }
        Action::Refuse => call(brief.calls, PagerCall::Refuse, &[ticket])[0] == 0,
        Action::Ignore => true,
        // SAFETY: it ends this thread, by an exception.
        Action::Die => unsafe { asm!("ud2", options(noreturn)) },
    }
}

fn call(calls: Word, call: PagerCall, words: &[Word]) -> [Word; 4] {
    let info = MessageInfoBuilder::default().label(call as Word).length(words.len()).build();
    cap::Endpoint::from_bits(calls).call_with_mrs(info, words).msg
}
