// SPDX-License-Identifier: BSD-2-Clause
//! A service with clients, and how tests ask things of it.

use untyped_alloc::kernel::Rights as PageRights;
use vmm::{Access, Blueprint, CPtr, PageFault, Quota, Resolution, ThreadId};
use vmm_service::protocol::{
    Answer, Name, Options, Refusal, RegionHandle, Request, Reserve, Rights,
};
use vmm_service::{ClientId, Deferred, Incoming, Outcome, Service};

use crate::support::{Fixture, Machine, Target};

pub const PAGE: usize = 4096;

/// Limits that nothing here reaches.
pub const AMPLE: Quota = Quota { frames: 1000, tables: 100, slots: 1000, objects: 10 };

pub struct World {
    pub fixture: Fixture<'static>,
    pub service: Service<'static>,
}

impl World {
    pub fn new() -> World {
        World::on(Machine::roomy(Target::Ia32))
    }

    pub fn on(machine: Machine) -> World {
        let mut fixture = Fixture::new(machine);
        let endpoint = fixture.vmm.allocate(Blueprint::Endpoint).unwrap();
        let service = Service::new(&mut fixture.vmm, endpoint.slot()).unwrap();
        World { fixture, service }
    }

    pub fn client(&mut self, limits: Quota, parent: Option<ClientId>) -> ClientId {
        let client = self.service.create_client(&mut self.fixture.vmm, "test", limits, parent);
        let client = client.unwrap();
        self.fixture.spaces.push(client.space());
        client
    }

    /// Two clients with ample limits.
    pub fn two() -> (World, ClientId, ClientId) {
        let mut world = World::new();
        let (one, other) = (world.client(AMPLE, None), world.client(AMPLE, None));
        (world, one, other)
    }

    pub fn send(
        &mut self,
        badge: usize,
        label: u32,
        words: &[usize],
        capabilities: usize,
    ) -> Outcome {
        let message = Incoming { badge, label, words, capabilities };
        self.service.handle(&mut self.fixture.vmm, &message)
    }

    /// Asks for something as a client.
    #[track_caller]
    pub fn ask(&mut self, client: ClientId, request: Request) -> Result<Answer, Refusal> {
        let message = request.encode();
        let outcome = self.send(client.badge(), message.label(), message.words(), 0);
        let answer = outcome.answer.expect("a client that lives is answered");
        let answer = Answer::parse(answer.label(), answer.words()).expect("a sound answer");
        self.fixture.check();
        answer
    }

    /// Asks for a region; returns its handle and its first page.
    #[track_caller]
    pub fn region(&mut self, client: ClientId, request: Request) -> (RegionHandle, usize) {
        match self.ask(client, request).unwrap() {
            Answer::Region { handle, first, .. } => (handle, first),
            Answer::Part { handle, first, pages, done } if done == pages => (handle, first),
            other => panic!("{other:?} is no region"),
        }
    }

    /// A region of a client's with all its pages mapped.
    #[track_caller]
    pub fn memory(&mut self, client: ClientId, pages: u32) -> (RegionHandle, usize) {
        let (handle, first) = self.region(client, plain(pages));
        let mut done = 0;
        while done < pages {
            let request = Request::Map { start: first + done as usize * PAGE, pages: pages - done };
            let Ok(Answer::Pages(some)) = self.ask(client, request) else { panic!("not mapped") };
            done += some;
        }
        (handle, first)
    }

    /// Takes apart what is left of clients that ended; returns in how many pieces.
    pub fn work(&mut self) -> usize {
        let mut pieces = 1;
        while self.service.reap_step(&mut self.fixture.vmm).unwrap() {
            pieces += 1;
        }
        assert!(self.dues().is_empty());
        let gone = |space: &vmm::SpaceId| self.fixture.vmm.vspace(*space).is_ok();
        self.fixture.spaces.retain(gone);
        self.fixture.check();
        pieces
    }

    /// A write of a client's thread: what the processor, and then the fault handler, make of it.
    pub fn touch(&mut self, client: ClientId, address: usize, tag: u64) -> bool {
        let may = |world: &World| {
            let vspace = world.fixture.vmm.vspace(client.space()).unwrap();
            let mapping = world.fixture.kernel().mapping(vspace, address);
            mapping.map(|mapping| mapping.rights.contains(PageRights::WRITE))
        };
        for _ in 0..2 {
            let found = may(self);
            if found == Some(true) {
                self.fixture.write(client.space(), address & !0xfff, tag);
                return true;
            }
            let present = found.is_some();
            let fault = PageFault { address, access: Access::Write, present, ip: 0 };
            match self.fixture.vmm.resolve_fault(client.space(), &fault) {
                Ok(Resolution::Resolved(_)) => {}
                _ => return false,
            }
        }
        panic!("a fault at {address:#x} was resolved and comes again");
    }

    /// What a server is to do for others than the one it answers.
    pub fn dues(&mut self) -> Vec<Deferred> {
        let next = || self.service.next_deferred(&mut self.fixture.vmm).unwrap();
        std::iter::from_fn(next).collect()
    }

    /// The thread of a client that has a program.
    pub fn thread(&self, client: ClientId) -> Option<ThreadId> {
        let vmm = &self.fixture.vmm;
        let mut at = 0;
        while let Some(thread) = vmm.next_thread(at) {
            if vmm.space_of_thread(thread) == Ok(client.space()) {
                return Some(thread);
            }
            at = thread.badge();
        }
        None
    }

    /// A client's thread touches a page that a pager is to supply; returns the slot in which the
    /// right to answer it is kept, if it waits now.
    pub fn wait_for_page(
        &mut self,
        thread: ThreadId,
        address: usize,
        access: Access,
    ) -> Option<CPtr> {
        let fault = PageFault { address, access, present: false, ip: 0 };
        let vmm = &mut self.fixture.vmm;
        let space = vmm.space_of_thread(thread).unwrap();
        match vmm.resolve_fault(space, &fault).unwrap() {
            Resolution::AskPager { token, page } => {
                let asked = self.service.ask_pager(vmm, thread, fault, token, page);
                asked.unwrap()
            }
            other => panic!("{other:?}"),
        }
    }

    pub fn free_bytes(&mut self) -> (usize, usize) {
        self.fixture.vmm.trim().unwrap();
        let stats = self.fixture.vmm.stats();
        (stats.free_bytes(), stats.allocator.free_slots)
    }
}

/// A request for a region of plain memory anywhere.
pub fn plain(pages: u32) -> Request {
    Request::Reserve(plain_reserve(pages))
}

pub fn plain_reserve(pages: u32) -> Reserve {
    Reserve {
        pages,
        address: 0,
        rights: Rights::READ_WRITE,
        ceiling: Rights::READ_WRITE,
        around: 0,
        guards: (0, 0),
        options: Options::empty(),
        name: Name::new("test"),
    }
}
