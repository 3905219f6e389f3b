// SPDX-License-Identifier: BSD-2-Clause
//! A session: a pager, threads that want its pages, and what becomes of them.

use alloc::vec::Vec;

use roottask::{check, check_eq, Failure, Outcome};
use sel4::Word;
use sel4_root_task::debug_println;
use vmm::sel4::faults::{ThreadFault, PAGER_BADGE};
use vmm::{Backing, Blueprint, Error, FaultClass, SpaceId, Supply};

use super::pager::{self, Action, Pager, MAX_PAGES, TOKEN};
use crate::engine::Stress;
use crate::measure::Kind;
use crate::model::PAGE;
use crate::threads::touch_areas::{self, TouchArea, MAX_THREADS};
use crate::threads::{
    end_of, restore_own_priority, set_own_priority, Ended, FaultServer, Note, Touch, Worker,
};

/// What one knows its area by that does not even listen.
const DEAF_TOKEN: u32 = 0xdeaf;
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

/// Has threads in a space whose pages come from a pager, or do not.
pub fn in_space(
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
        Some(priority) => pager::make(stress, &mut fault_server, priority)?,
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
    pager::stamp(stress, &pager, &mut areas[PAGED]);
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
        let area = TouchArea::reserve(stress, space, pages, backing)?;
        if let (Some(area), false) = (&area, stress.random.once_in(3)) {
            area.leave_empty_table(stress)?;
        }
        areas.extend(area);
    }
    Ok(areas.try_into().ok())
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
        self.pager.start()?;
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
        check_eq!(self.pager.surprises(), 0);
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
