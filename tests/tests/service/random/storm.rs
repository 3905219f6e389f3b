// SPDX-License-Identifier: BSD-2-Clause
//! The service in a storm of messages: who sends, what a server does for them, what must hold.

use std::collections::BTreeMap;

use vmm::{Quota, SpaceId};
use vmm_service::protocol::{Answer, Refusal, RegionHandle, Request};
use vmm_service::{ClientId, Deferred, Program};

use super::dice::Random;
use crate::support::Machine;
use crate::world::{AMPLE, PAGE, World};

/// Clients that send.
const SENDERS: usize = 4;

/// What a sender knows, and what others know of it.
pub struct Sender {
    pub client: ClientId,
    pub parent: Option<ClientId>,
    pub regions: Vec<(RegionHandle, usize, u32)>,
    /// Those of them that another pages.
    pub paged: Vec<(RegionHandle, usize, u32)>,
    pub buffers: Vec<usize>,
    /// The rest of what it asked for and got a piece of.
    pub rest: Vec<Request>,
}

/// The service, who sends to it, and what was counted.
pub struct Storm {
    pub world: World,
    pub random: Random,
    pub senders: Vec<Sender>,
    /// Who sends nothing, and whose memory must stay as it is.
    pub victim: ClientId,
    pub kept: BTreeMap<usize, u64>,
    /// What a sender may have.
    pub limits: Quota,
    /// The program that some of them run.
    pub file: Vec<u8>,
    pub most_calls: u64,
    /// Requests that were granted, by number.
    pub granted: BTreeMap<u32, usize>,
    /// Tickets of faults that pagers were told of, and which pager.
    pub faults: Vec<(ClientId, u64)>,
    /// Threads that waited for a pager and went on, and that did not.
    pub paged: [usize; 2],
    pub answered: usize,
    pub refused: usize,
    /// Refused because all memory was taken.
    pub short: usize,
}

impl Storm {
    pub fn new(machine: Machine, limits: Quota, seed: u64) -> Storm {
        let mut world = World::on(machine);
        let victim = world.client(AMPLE, None);
        let (_, start) = world.memory(victim, 20);
        for page in 0..20 {
            assert!(world.touch(victim, start + page * PAGE, page as u64 + 1));
        }
        let mut storm = Storm {
            world,
            random: Random(seed | 1),
            senders: Vec::new(),
            victim,
            kept: BTreeMap::new(),
            file: crate::programs::with_tls(),
            limits,
            most_calls: 0,
            granted: BTreeMap::new(),
            faults: Vec::new(),
            paged: [0; 2],
            answered: 0,
            refused: 0,
            short: 0,
        };
        storm.kept = storm.contents(victim.space());
        assert_eq!(storm.kept.len(), 20);
        storm.refill();
        storm
    }

    pub fn contents(&self, space: SpaceId) -> BTreeMap<usize, u64> {
        let fixture = &self.world.fixture;
        let pages = fixture.mappings(space).into_keys();
        pages.map(|page| (page, fixture.digest(space, page))).collect()
    }

    /// Brings the number of senders up, every third one a child of the one before.
    pub fn refill(&mut self) {
        while self.senders.len() < SENDERS {
            let parent = self.senders.last().filter(|_| self.random.one_in(3));
            let small = Quota { frames: 40, tables: 4, slots: 40, objects: 2 };
            let limits = if parent.is_some() { small } else { self.limits };
            let parent = parent.map(|parent| parent.client);
            let vmm = &mut self.world.fixture.vmm;
            let made = self.world.service.create_client(vmm, "sender", limits, parent);
            // A parent may be short of what its child would take.
            let made = match made {
                Err(_) if parent.is_some() => {
                    let made = self.world.service.create_client(vmm, "sender", limits, None);
                    made.map(|client| (client, None))
                }
                made => made.map(|client| (client, parent)),
            };
            // All memory may be taken.
            let Ok((client, parent)) = made else { return };
            self.world.fixture.spaces.push(client.space());
            if self.random.one_in(2) {
                let program = Program { file: &self.file, stack_pages: 1, writable_code: false };
                let vmm = &mut self.world.fixture.vmm;
                if self.world.service.load(vmm, client, &program).is_err() {
                    self.world.service.kill(client).unwrap();
                    return;
                }
            }
            let (regions, paged, buffers) = (Vec::new(), Vec::new(), Vec::new());
            let rest = Vec::new();
            self.senders.push(Sender { client, parent, regions, paged, buffers, rest });
        }
    }

    /// What a server does for others.
    pub fn do_deferred(&mut self) {
        loop {
            let has = self.world.service.has_deferred();
            let next = self.world.service.next_deferred(&mut self.world.fixture.vmm).unwrap();
            assert!(has || next.is_none(), "a server would not have asked: {next:?}");
            let Some(due) = next else { break };
            match due {
                Deferred::Answer { message: None, .. } => self.paged[0] += 1,
                Deferred::Answer { message: Some(message), .. } => {
                    let answer = Answer::parse(message.label(), message.words());
                    if let Ok(Ok(Answer::Fault(fault))) = answer {
                        // Whoever it was that waited knows the ticket now.
                        let clients = self.senders.iter().map(|sender| sender.client);
                        self.faults.extend(clients.map(|client| (client, fault.ticket)));
                    }
                }
                Deferred::Unresolved { thread, .. } => {
                    self.paged[1] += 1;
                    let space = self.world.fixture.vmm.space_of_thread(thread).unwrap();
                    if let Some(client) = self.world.service.client_in(space) {
                        self.world.service.kill(client).unwrap();
                        self.senders.retain(|sender| sender.client != client);
                    }
                }
            }
        }
        let known = self.faults.len().saturating_sub(16);
        self.faults.drain(..known);
    }

    pub fn ask(&mut self, client: ClientId, request: Request) -> Result<Answer, Refusal> {
        let message = request.encode();
        let outcome = self.world.send(client.badge(), message.label(), message.words(), 0);
        let answer = outcome.answer.expect("a client that lives is answered");
        Answer::parse(answer.label(), answer.words()).expect("a sound answer")
    }

    pub fn check(&mut self) {
        self.world.fixture.check();
        let kept = self.contents(self.victim.space());
        assert_eq!(kept, self.kept, "another client's memory has changed");
    }

    pub fn end(mut self, before: (usize, usize)) {
        let clients = self.senders.iter().map(|sender| sender.client);
        for client in clients.chain([self.victim]).collect::<Vec<_>>() {
            self.world.service.kill(client).unwrap();
        }
        while self.world.service.reap_step(&mut self.world.fixture.vmm).unwrap() {}
        self.world.work();
        assert_eq!(self.world.free_bytes().0, before.0, "memory is lost");
        // The service keeps its book-keeping; slots of it are all that may be missing.
        assert!(self.refused > 0 && self.answered > self.refused);
    }
}
