// SPDX-License-Identifier: BSD-2-Clause
//! A session: clients are started, served, killed, and started again.

use alloc::vec::Vec;

use roottask::{check, check_eq, Outcome};
use sel4::{cap_type, Word};
use vmm::Quota;
use vmm_service::{Deferred, Program, Start, CLIENT_BADGE};

use super::client::{check_end, let_run, plan, Client, End, Kill, OBJECTS, THREADS, WILD};
use super::service::beneath;
use crate::engine::{Host, Stress};
use crate::measure::Kind;
use crate::threads::{restore_own_priority, set_own_priority, Answer, Message};

/// The program.
static BUSY: &[u8] = include_bytes!(concat!(env!("VMM_CLIENTS"), "/busy"));
/// The most clients that are started in a session; as many live at a time.
const MAX_CLIENTS: usize = 4;
/// The most that are started in the place of others.
const MAX_AGAIN: usize = 4;

/// A session: the clients of it, and how many more may be started.
pub struct Session<'h> {
    /// The service.
    pub(super) host: &'h mut Host,
    /// Its clients, those that have ended included.
    pub(super) clients: Vec<Client>,
    /// Those that no thread has yet.
    priorities: Vec<Word>,
    /// How many more clients may be started.
    more: usize,
    /// Whether there is something left of those that ended.
    busy: bool,
}

/// Serves a few clients until nothing is left of them.
pub fn session(stress: &mut Stress, host: &mut Host) -> Outcome {
    let count = stress.random.within(1, MAX_CLIENTS);
    let more = count + MAX_AGAIN;
    let priorities = stress.priorities(THREADS * more);
    let spaces = stress.vmm.stats().spaces;
    let mut session = Session { host, clients: Vec::new(), priorities, more, busy: false };
    set_own_priority(stress.own_priority(THREADS * more))?;
    for _ in 0..count {
        session.start(stress)?;
    }
    session.serve(stress)?;
    restore_own_priority()?;
    session.clients.iter().try_for_each(check_end)?;
    check_eq!(stress.vmm.stats().spaces, spaces);
    Ok(())
}

impl Session<'_> {
    /// Starts a client, if memory and priorities allow one more.
    fn start(&mut self, stress: &mut Stress) -> Outcome {
        let Some(more) = self.more.checked_sub(1) else { return Ok(()) };
        self.more = more;
        let frames = stress.random.within(64, 512);
        let limits = Quota { frames, tables: 16, slots: 128, objects: OBJECTS };
        let service = &mut self.host.service;
        let made = stress.attempt(Kind::CreateClient, |vmm| {
            service.create_client(vmm, "busy", limits, None).map_err(beneath)
        })?;
        let Some(id) = made else { return Ok(()) };
        let loaded = stress.attempt(Kind::LoadClient, |vmm| {
            let program = Program { file: BUSY, stack_pages: 2, writable_code: false };
            service.load(vmm, id, &program).map_err(beneath)
        })?;
        let Some(start) = loaded else {
            self.busy = true;
            return Ok(self.host.service.kill(id)?);
        };
        let argument = self.argument(stress);
        let kill = stress.random.once_in(2).then(|| plan(stress));
        let (messages, spoke, short, end) = (0, false, false, None);
        self.clients.push(Client { id, argument, kill, messages, spoke, short, end });
        self.let_run(&start, argument as usize)
    }

    /// Lets a client's thread run, at a priority that no other has.
    pub(super) fn let_run(&mut self, start: &Start, argument: usize) -> Outcome {
        check!(!self.priorities.is_empty());
        let priority = self.priorities.pop().unwrap_or_default();
        let_run(start, argument, priority)
    }

    /// How much it does, by which numbers, and how it ends.
    fn argument(&self, stress: &mut Stress) -> u32 {
        let wild = if stress.random.once_in(8) { WILD } else { 0 };
        let rounds = stress.random.size(64) as u32;
        stress.random.stamp() << 9 | wild | rounds
    }

    /// Serves until all have ended and nothing is left of them.
    fn serve(&mut self, stress: &mut Stress) -> Outcome {
        let endpoint = self.host.endpoint.cap::<cap_type::Endpoint>();
        let mut answer: Option<Answer> = None;
        while self.busy || self.clients.iter().any(|client| client.end.is_none()) {
            let message = match self.busy {
                false => Some(Message::receive(endpoint, answer.take())),
                true => {
                    let message = Message::poll(endpoint, answer.take());
                    let service = &mut self.host.service;
                    self.busy = stress.must(Kind::ClientEnd, |vmm| service.reap_step(vmm))?;
                    message
                }
            };
            if let Some(message) = message {
                answer = self.take(stress, &message)?;
            }
            self.do_deferred(stress)?;
        }
        Ok(())
    }

    /// A message: whose it is, and whether that one is to be killed now.
    fn take(&mut self, stress: &mut Stress, message: &Message) -> Outcome<Option<Answer>> {
        let Some(index) = self.sender(stress, message.badge) else { return Ok(None) };
        let client = &mut self.clients[index];
        client.messages += 1;
        let kill = client.kill.filter(|&(at, _)| at == client.messages).map(|(_, kill)| kill);
        let answer = match kill {
            Some(Kill::Unheard) => None,
            _ => self.answer(stress, index, message)?,
        };
        if kill.is_some() && self.clients[index].end.is_none() {
            self.host.service.kill(self.clients[index].id)?;
            self.ends(stress, index, End::Killed)?;
        }
        Ok(answer.filter(|_| !matches!(kill, Some(Kill::Unheard | Kill::Unanswered))))
    }

    /// The client that a message is from, if it has not ended.
    fn sender(&self, stress: &Stress, badge: usize) -> Option<usize> {
        let id = match badge & CLIENT_BADGE != 0 {
            true => self.host.service.client_of_badge(badge),
            false => {
                let thread = stress.vmm.thread_with_badge(badge).ok()?;
                self.host.service.client_in(thread.space)
            }
        };
        self.clients.iter().position(|client| Some(client.id) == id)
    }

    /// Does what is due for others than whose message came: pages have come, or never will.
    fn do_deferred(&mut self, stress: &mut Stress) -> Outcome {
        while let Some(due) = self.host.service.next_deferred(&mut stress.vmm)? {
            match due {
                Deferred::Answer { slot, message } => {
                    let answer = message.map_or(Answer::empty(), |message| Answer::new(&message));
                    answer.send_kept(slot);
                }
                Deferred::Unresolved { thread, error, .. } => {
                    let end = if error.is_none() { End::Abandoned } else { End::Short };
                    let Some(index) = self.sender(stress, thread.badge()) else { continue };
                    self.host.service.kill(self.clients[index].id)?;
                    self.ends(stress, index, end)?;
                }
            }
        }
        Ok(())
    }

    /// A client has ended: what it had is taken back, and another may come.
    pub(super) fn ends(&mut self, stress: &mut Stress, index: usize, end: End) -> Outcome {
        self.clients[index].end = Some(end);
        self.busy = true;
        match stress.random.once_in(3) {
            true => Ok(()),
            false => self.start(stress),
        }
    }
}
