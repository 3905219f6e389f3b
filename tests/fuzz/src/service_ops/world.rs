//! The service, what its clients know, and the steps.

use vmm::{Access, CPtr, PageFault, Quota, RegionId, RegionOptions, Resolution, ThreadId};
use vmm_service::protocol::{Answer, Refusal, RegionHandle, Request};
use vmm_service::{ClientId, Deferred, Error, Event, Incoming, Program, Service};
use vmm_tests::support::Fixture;

use super::decode;
use super::queue::Sender;
use crate::bytes::Bytes;

/// Clients that live at the most.
const MOST: usize = 5;
/// The number of [`Request::Supply`], which charges who gets the page.
const SUPPLY: u32 = 22;
/// Bytes of a page.
pub const PAGE: usize = 4096;

/// What a client knows.
pub struct Known {
    pub id: ClientId,
    /// Handle, first page, pages.
    pub regions: Vec<(RegionHandle, usize, u32)>,
    /// Addresses of IPC buffers, of its threads' too.
    pub buffers: Vec<usize>,
    /// Tickets of faults that it was told of.
    pub faults: Vec<u64>,
    /// Where the right to answer its wait for a fault is kept, and after which.
    pub waits: Option<(CPtr, u64)>,
}

/// A service with clients, and the server that it has.
pub struct World<'a> {
    pub host: Fixture<'a>,
    pub service: Service<'a>,
    pub endpoint: CPtr,
    pub clients: Vec<Known>,
    /// Clients that were.
    pub former: Vec<ClientId>,
    /// Threads that wait for a page, and where the right to answer each is kept.
    pub asleep: Vec<(ThreadId, CPtr)>,
    /// Who sent what waits in the queue, or did.
    pub sent: Vec<Sender>,
    pub regions: Vec<RegionId>,
    pub slots: Vec<(CPtr, usize)>,
    pub steps: usize,
    pub trace: bool,
    /// Whether a kernel call was refused in this step.
    failing: bool,
}

impl<'a> World<'a> {
    /// A service without clients, with numbers up to `numbers`; `None` where memory is too short.
    pub fn new(mut host: Fixture<'a>, numbers: u32, trace: bool) -> Option<World<'a>> {
        host.vmm.narrow_numbers(numbers);
        let endpoint = host.vmm.allocate(vmm::Blueprint::Endpoint).ok()?.slot();
        let mut service = Service::new(&mut host.vmm, endpoint).ok()?;
        service.narrow_numbers(numbers);
        Some(World {
            host,
            service,
            endpoint,
            clients: Vec::new(),
            former: Vec::new(),
            asleep: Vec::new(),
            sent: Vec::new(),
            regions: Vec::new(),
            slots: Vec::new(),
            steps: 0,
            trace,
            failing: false,
        })
    }

    /// One step.
    pub fn step(&mut self, bytes: &mut Bytes<'_>) {
        let kind = bytes.below(24);
        self.failing = decode::arm(bytes, &mut self.host.kernel());
        if self.trace {
            eprintln!("step {}: kind {kind}, failing: {}", self.steps, self.failing);
        }
        match kind {
            0..=1 => self.make_client(bytes),
            2..=11 => self.request(bytes),
            12 => self.noise(bytes),
            13..=16 => self.touch(bytes),
            17..=18 => self.reap(),
            19 => {
                if let Some(client) = self.some_client(bytes) {
                    self.kill(client);
                }
            }
            20 => self.queue_message(bytes),
            21 => self.receive_message(),
            22 => self.squeeze_memory(bytes),
            _ => self.squeeze_slots(bytes),
        }
        self.host.kernel().disarm();
        self.settle();
    }

    pub fn some_client(&self, bytes: &mut Bytes<'_>) -> Option<ClientId> {
        let place = bytes.below(self.clients.len());
        self.clients.get(place).map(|client| client.id)
    }

    /// One of a client's threads.
    pub fn some_thread(&self, client: ClientId, bytes: &mut Bytes<'_>) -> Option<ThreadId> {
        let vmm = &self.host.vmm;
        let (mut at, mut threads) = (0, Vec::new());
        while let Some(thread) = vmm.next_thread(at) {
            at = thread.badge();
            if vmm.space_of_thread(thread) == Ok(client.space()) {
                threads.push(thread);
            }
        }
        threads.get(bytes.below(threads.len())).copied()
    }

    fn make_client(&mut self, bytes: &mut Bytes<'_>) {
        if self.clients.len() >= MOST {
            return;
        }
        let parent = if bytes.one_in(3) { self.some_client(bytes) } else { None };
        let limits = bytes.pick(&[
            Quota { frames: 60, tables: 5, slots: 60, objects: 4 },
            Quota { frames: 20, tables: 4, slots: 10, objects: 3 },
            Quota { frames: 400, tables: 8, slots: 300, objects: 12 },
            Quota { frames: 6, tables: 2, slots: 3, objects: 1 },
            Quota { frames: 0, tables: 0, slots: 0, objects: 0 },
        ]);
        let vmm = &mut self.host.vmm;
        let made = self.service.create_client(vmm, "client", limits, parent);
        let Ok(id) = made else { return };
        let known =
            Known { id, regions: Vec::new(), buffers: Vec::new(), faults: Vec::new(), waits: None };
        self.clients.push(known);
        assert!(!self.former.contains(&id), "{id:?} has come again");
        if bytes.one_in(4) {
            return;
        }
        let (file, stack_pages) = (decode::program(bytes), 1 + bytes.below(2));
        let program = Program { file, stack_pages };
        if self.service.load(&mut self.host.vmm, id, &program).is_err() {
            self.kill(id);
        }
    }

    /// The server ends a client.
    pub fn kill(&mut self, client: ClientId) {
        self.service.kill(client).expect("it lives");
        self.forget(client);
        let again = self.service.kill(client);
        assert_eq!(again, Err(Error::NoSuchClient(client)), "it has ended");
    }

    /// A client has ended.
    fn forget(&mut self, client: ClientId) {
        self.clients.retain(|known| known.id != client);
        assert_ne!(self.service.client_of_badge(client.badge()), Some(client));
        self.former.push(client);
    }

    /// A message that is meant, or nearly.
    fn request(&mut self, bytes: &mut Bytes<'_>) {
        let Some(client) = self.some_client(bytes) else { return };
        let request = decode::request(self, client, bytes);
        let message = request.encode();
        let (label, mut words) = (message.label(), message.words().to_vec());
        if self.trace {
            eprintln!("  {client:?}: {request:x?}");
        }
        if bytes.one_in(16) && !words.is_empty() {
            let place = bytes.below(words.len());
            words[place] ^= 1 << bytes.below(32);
        }
        self.message(client.badge(), label, &words, usize::from(bytes.one_in(64)));
    }

    /// A message that nobody means, with any badge.
    fn noise(&mut self, bytes: &mut Bytes<'_>) {
        let badge = match bytes.below(4) {
            0 => bytes.wild(),
            1 => bytes.below(32),
            2 => self.former.get(bytes.below(self.former.len())).map_or(1, |client| client.badge()),
            _ => self.some_client(bytes).map_or(0, ClientId::badge),
        };
        let words: Vec<usize> = (0..bytes.below(40)).map(|_| bytes.wild()).collect();
        let label = match bytes.below(2) {
            0 => bytes.wild() as u32 & 0xf_ffff,
            _ => Request::Statistics.encode().label() & !0xfff | bytes.below(32) as u32,
        };
        self.message(badge, label, &words, bytes.below(4) / 3);
    }

    /// A message with this badge is received and answered.
    pub fn message(&mut self, badge: usize, label: u32, words: &[usize], capabilities: usize) {
        let sender = self.service.client_of_badge(badge);
        let before = self.usages();
        let message = Incoming { badge, label, words, capabilities };
        let outcome = self.service.handle(&mut self.host.vmm, &message);
        let mut charged: Vec<_> = sender.into_iter().map(ClientId::space).collect();
        if label & 0xfff == SUPPLY {
            charged.extend(self.clients.iter().map(|client| client.id.space()));
        }
        self.nobody_else_pays(&before, &charged);
        let Some(sender) = sender else {
            let nothing = outcome.answer.is_none() && outcome.event.is_none();
            assert!(nothing && outcome.keep.is_none(), "nobody's message is answered");
            return;
        };
        let silent = matches!(outcome.event, Some(Event::Exited(..) | Event::ThreadEnded(_)));
        let answered = outcome.answer.is_some();
        let answers = [answered, silent, outcome.keep.is_some()].map(usize::from);
        assert_eq!(answers.iter().sum::<usize>(), 1, "{outcome:?}");
        if let Some(Event::Exited(gone, _) | Event::Killed(gone)) = outcome.event {
            self.forget(gone);
        }
        let Some(known) = self.clients.iter_mut().find(|known| known.id == sender) else { return };
        if let Some(slot) = outcome.keep {
            let [low, high] = words else { panic!("{words:?} waits") };
            known.waits = Some((slot, *low as u64 | (*high as u64) << 32));
        }
        let Some(answer) = outcome.answer else { return };
        let answer = Answer::parse(answer.label(), answer.words()).expect("a sound answer");
        if self.trace {
            eprintln!("    => {answer:x?}");
        }
        match answer {
            Ok(answer) => known.learn(answer),
            Err(Refusal::Internal) => assert!(self.failing, "{label:#x} {words:x?}: internal"),
            Err(_) => {}
        }
    }

    /// A thread of a client's touches a page, mostly of a region of its client's.
    fn touch(&mut self, bytes: &mut Bytes<'_>) {
        let Some(client) = self.some_client(bytes) else { return };
        let Some(thread) = self.some_thread(client, bytes) else { return };
        let known = self.clients.iter().find(|known| known.id == client).expect("it lives");
        let region = known.regions.get(bytes.below(known.regions.len()));
        let address = match region {
            Some(&(_, first, pages)) if !bytes.one_in(16) => {
                first.wrapping_add(bytes.below(pages as usize + 1) * PAGE)
            }
            _ => bytes.wild(),
        };
        let access = bytes.pick(&[Access::Write, Access::Read, Access::Execute]);
        let vspace = self.host.vmm.vspace(client.space()).expect("it lives");
        let mapped = self.host.kernel().mapping(vspace, address as usize & !0xfff);
        if mapped.is_some_and(|page| page.rights.bits() & 2 != 0) {
            return;
        }
        let present = mapped.is_some();
        let fault = PageFault { address: address as usize, access, present, ip: 0 };
        if self.trace {
            eprintln!("  {thread:?} of {client:?}: {fault:x?}");
        }
        let before = self.usages();
        let handled = self.host.vmm.handle_fault(thread.badge(), &fault);
        self.nobody_else_pays(&before, &[client.space()]);
        let asked = match handled.map(|handled| (handled.thread.id, handled.resolution)) {
            Ok((found, Resolution::Resolved(_))) => return assert_eq!(found, thread),
            Ok((_, Resolution::AskPager { token, page })) => {
                let vmm = &mut self.host.vmm;
                self.service.ask_pager(vmm, thread, fault, token, page).ok().flatten()
            }
            _ => None,
        };
        // Whoever waited before has been set going by others; a refused call leaves it.
        if self.host.vmm.request_of(thread) != Ok(None) && asked.is_none() {
            self.asleep.retain(|(other, _)| *other != thread);
        }
        match asked {
            Some(slot) => {
                self.asleep.retain(|(other, _)| *other != thread);
                self.asleep.push((thread, slot));
            }
            None => {
                self.asleep.retain(|(other, _)| *other != thread);
                self.kill(client);
            }
        }
    }

    fn reap(&mut self) {
        let before = self.usages();
        // Refused for a kernel call that failed: it is made again later.
        match self.service.reap_step(&mut self.host.vmm) {
            Ok(_) => {}
            Err(error) => assert!(self.failing, "{error:?}"),
        }
        self.nobody_else_pays(&before, &[]);
        // Some may have ended by it: those that waited for a page of who ended.
        let service = &self.service;
        self.clients.retain(|known| service.client_in(known.id.space()).is_some());
    }

    /// Others take memory, or give it back.
    fn squeeze_memory(&mut self, bytes: &mut Bytes<'_>) {
        if bytes.one_in(2) {
            if let Some(region) = self.regions.pop() {
                if self.host.vmm.release(region).is_err() {
                    self.regions.push(region);
                }
            }
            return;
        }
        let (own, pages) = (self.host.own(), bytes.pick(&[1, 60, 300, 1000]));
        if let Ok(region) = self.host.vmm.map(own, &RegionOptions::new(pages)) {
            self.regions.push(region);
        }
    }

    /// Others take slots, or give them back.
    fn squeeze_slots(&mut self, bytes: &mut Bytes<'_>) {
        if bytes.one_in(2) {
            if let Some((first, count)) = self.slots.pop() {
                self.host.vmm.free_slots(first, count).expect("they are ours");
            }
            return;
        }
        let count = bytes.pick(&[1, 30, 500]);
        if let Ok(first) = self.host.vmm.alloc_slots(count) {
            self.slots.push((first, count));
        }
    }

    /// Does what is due for others, as a server does.
    pub fn settle(&mut self) {
        for _ in 0..500 {
            match self.service.next_deferred(&mut self.host.vmm) {
                Ok(None) => return,
                Ok(Some(due)) => self.deferred(due),
                Err(error) => panic!("no call is refused: {error:?}"),
            }
        }
        panic!("there is no end to what is due");
    }

    fn deferred(&mut self, due: Deferred) {
        match due {
            Deferred::Answer { slot, message: Some(message) } => {
                let answer = Answer::parse(message.label(), message.words());
                let answer = answer.expect("a sound answer").expect("no refusal");
                let is_it = |known: &&mut Known| known.waits.is_some_and(|(at, _)| at == slot);
                let known = self.clients.iter_mut().find(is_it).expect("somebody waits by it");
                known.waits = None;
                known.learn(answer);
            }
            Deferred::Answer { slot, message: None } => {
                let place = self.asleep.iter().position(|&(_, at)| at == slot);
                self.asleep.remove(place.expect("a thread waits by it"));
            }
            Deferred::Unresolved { thread, .. } => {
                self.asleep.retain(|(other, _)| *other != thread);
                let space = self.host.vmm.space_of_thread(thread);
                if let Some(client) = space.ok().and_then(|space| self.service.client_in(space)) {
                    self.kill(client);
                }
            }
        }
    }
}

impl Known {
    fn learn(&mut self, answer: Answer) {
        match answer {
            Answer::Region { handle, first, pages } | Answer::Part { handle, first, pages, .. } => {
                self.regions.push((handle, first, pages));
            }
            Answer::Address(address) => self.buffers.push(address),
            Answer::Fault(fault) => self.faults.push(fault.ticket),
            _ => {}
        }
    }
}
