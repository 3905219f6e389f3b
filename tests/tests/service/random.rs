//! Random and mutated messages: no panic, nothing broken, nobody else's memory touched.
//!
//! `VMM_MESSAGES` says how many (200000 without it), `VMM_SEED` which.

use std::collections::BTreeMap;

use vmm::{Access, FaultClass, PageFault, Quota, SpaceId};
use vmm_service::protocol::{
    Amounts, Answer, MAX_PAGES, MAX_WORDS, Name, NewThread, Options, Refusal, RegionHandle,
    Request, Reserve, Rights, Text,
};
use vmm_service::{ClientId, Deferred, Event, Program};

use crate::support::{Machine, Target};
use crate::world::{AMPLE, PAGE, World};

/// Clients that send.
const SENDERS: usize = 4;
const LIMITS: Quota = Quota { frames: 400, tables: 8, slots: 300, objects: 4 };

/// Kernel calls that one message causes at the most: each of 64 pages may be broken out of
/// copy-on-write (seven calls), copied and mapped, and memory be made for it. Where there is none, as
/// many pages are moved (six calls), their memory is given back, and all is tried once more.
const MAX_CALLS: u64 = 2 * (64 * 9 + 30) + 64 * 6 + 16;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as u32
    }

    /// A word of a message: now and then with more bits than numbers have.
    fn word(&mut self) -> usize {
        let number = self.next() as usize;
        if self.one_in(16) { number | (self.0 >> 8 << 32) as usize } else { number }
    }

    fn below(&mut self, end: u32) -> u32 {
        self.next() % end
    }

    fn one_in(&mut self, times: u32) -> bool {
        self.below(times) == 0
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        (!of.is_empty()).then(|| of[self.below(of.len() as u32) as usize])
    }

    fn rights(&mut self) -> Rights {
        Rights::from_bits_truncate(self.below(16) | 1)
    }
}

/// Bytes that one page table covers.
const TABLE: usize = 1 << 22;

/// Where a region can begin so that it lies across the line between two page tables.
fn across_a_line(random: &mut Random) -> usize {
    let line = 0x9000_0000 + random.below(4) as usize * TABLE;
    line - (1 + random.below(8) as usize) * PAGE
}

/// What a sender knows, and what others know of it.
struct Sender {
    client: ClientId,
    parent: Option<ClientId>,
    regions: Vec<(RegionHandle, usize, u32)>,
    /// Those of them that another pages.
    paged: Vec<(RegionHandle, usize, u32)>,
    buffers: Vec<usize>,
    /// The rest of what it asked for and got a piece of.
    rest: Vec<Request>,
}

struct Storm {
    world: World,
    random: Random,
    senders: Vec<Sender>,
    /// Who sends nothing, and whose memory must stay as it is.
    victim: ClientId,
    kept: BTreeMap<usize, u64>,
    /// What a sender may have.
    limits: Quota,
    /// The program that some of them run.
    file: Vec<u8>,
    most_calls: u64,
    /// Requests that were granted, by number.
    granted: BTreeMap<u32, usize>,
    /// Tickets of faults that pagers were told of, and which pager.
    faults: Vec<(ClientId, u64)>,
    /// Threads that waited for a pager and went on, and that did not.
    paged: [usize; 2],
    answered: usize,
    refused: usize,
    /// Refused because all memory was taken.
    short: usize,
}

/// What is left to be asked for after a piece.
fn rest_of(label: u32, words: &[usize], answer: Result<Answer, Refusal>) -> Option<Request> {
    let rest = |start, pages, some| (start + some as usize * PAGE, pages - some);
    match (Request::parse(label, words).ok()?, answer.ok()?) {
        (Request::Map { start, pages }, Answer::Pages(some)) if some < pages => {
            let (start, pages) = rest(start, pages, some);
            Some(Request::Map { start, pages })
        }
        (Request::Clone { region, .. }, Answer::Part { handle: into, pages, done, .. }) => {
            (done < pages).then_some(Request::CloneMore { region, into, page: done })
        }
        (Request::Accept { from, .. }, Answer::Part { handle: region, pages, done, .. }) => {
            (done < pages).then_some(Request::AcceptMore { from, region })
        }
        _ => None,
    }
}

impl Storm {
    fn new(machine: Machine, limits: Quota, seed: u64) -> Storm {
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

    fn contents(&self, space: SpaceId) -> BTreeMap<usize, u64> {
        let fixture = &self.world.fixture;
        let pages = fixture.mappings(space).into_keys();
        pages.map(|page| (page, fixture.digest(space, page))).collect()
    }

    /// Brings the number of senders up, every third one a child of the one before.
    fn refill(&mut self) {
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
                let program = Program { file: &self.file, stack_pages: 1 };
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

    /// A request that could be meant.
    fn request(&mut self, sender: usize) -> Request {
        if let Some(rest) = self.senders[sender].rest.pop() {
            return rest;
        }
        let whose = if self.random.one_in(8) {
            self.random.below(self.senders.len() as u32) as usize
        } else {
            sender
        };
        let random = &mut self.random;
        let known = random.pick(&self.senders[whose].regions);
        // Rather one that was made just now.
        let other = self.senders[whose].regions.last().copied();
        let other = if random.one_in(4) { known } else { other };
        let guess = (RegionHandle { start: PAGE, serial: 1 }, PAGE, 1);
        let (region, first, pages) = known.unwrap_or(guess);
        let own = self.senders[sender].client;
        let children = self.senders.iter().filter(|other| other.parent == Some(own));
        let child = children.map(|child| child.client.number()).next();
        let buffer = random.pick(&self.senders[whose].buffers).unwrap_or(first);
        let client = |random: &mut Random| match random.below(6) {
            0 => self.victim.number(),
            1 => random.below(20),
            _ => self.senders[random.below(self.senders.len() as u32) as usize].client.number(),
        };
        let skipped = random.below(pages.max(1));
        let beyond = u32::from(random.one_in(20));
        let start = first + skipped as usize * PAGE;
        let some = 1 + random.below((pages - skipped + beyond).max(1));
        let rights = random.rights();
        let size = if random.one_in(20) { 200 } else { 20 };
        let told =
            self.faults.iter().copied().filter(|&(pager, _)| pager == own || random.one_in(9));
        let told = told.last().map_or(0, |(_, ticket)| ticket);
        let fault = told.wrapping_add(u64::from(random.below(8) / 7));
        match random.below(61) {
            57..=58 => Request::CloneMore {
                region,
                into: other.map_or(region, |(other, ..)| other),
                page: if random.one_in(3) { random.below(200) } else { MAX_PAGES },
            },
            59..=60 => Request::AcceptMore {
                from: client(random),
                region: other.map_or(region, |(other, ..)| other),
            },
            54..=55 => Request::Thread(NewThread {
                entry: random.word(),
                argument: random.word(),
                stack_pages: if random.one_in(6) { MAX_PAGES } else { 1 + random.below(3) },
                slot: random.below(18),
            }),
            56 => Request::EndThread { thread: buffer, own: random.one_in(4) },
            40..=41 => Request::OfferPaging {
                to: client(random),
                key: random.next(),
                pages: 1 + random.below(12),
                rights,
            },
            42..=44 => Request::AcceptPaging {
                from: client(random),
                ticket: if random.one_in(3) { random.below(9) } else { 0 },
                address: 0,
                rights,
            },
            45..=47 => Request::NextFault { after: if random.one_in(4) { fault } else { 0 } },
            48..=52 => Request::Supply { ticket: fault, page: start, give: random.one_in(2) },
            53 => Request::Refuse { ticket: fault },
            0..=5 => Request::Reserve(Reserve {
                pages: 1 + random.below(size),
                address: match random.below(4) {
                    0 => random.below(0xe_0000) as usize * PAGE,
                    1 => across_a_line(random),
                    _ => 0,
                },
                rights,
                ceiling: if random.one_in(4) { random.rights() } else { Rights::READ_WRITE },
                around: [0, 0, 1, 4, 16][random.below(5) as usize],
                guards: (random.below(3), random.below(3)),
                options: Options::from_bits_truncate(random.below(2)),
                name: Name::from_words([random.next(); 4]),
            }),
            6..=12 => Request::Map { start: first, pages },
            13..=15 => Request::Map { start, pages: some },
            16..=17 => Request::Unmap { start, pages: some },
            18..=19 => Request::Protect { start, pages: some, rights },
            20..=21 => Request::Release(region),
            22 if pages > MAX_PAGES => Request::Release(region),
            22 => Request::Unmap { start: first, pages },
            23 => Request::Query { address: start, next: random.one_in(2) },
            24 => Request::Offer { to: client(random), start: first, pages, rights },
            25..=26 => Request::Offer { to: client(random), start, pages: 1, rights },
            27 if random.one_in(4) => Request::Withdraw { ticket: random.below(20) },
            27..=30 => Request::Accept {
                from: client(random),
                ticket: if random.one_in(3) { random.below(9) } else { 0 },
                address: 0,
                rights,
            },
            31..=32 => Request::Clone { region, address: 0 },
            33 => Request::IpcBuffer { slot: random.below(18) },
            34 => Request::ReleaseIpcBuffer { address: buffer },
            35 => Request::Statistics,
            36 => Request::Limits,
            37 => Request::Split {
                child: child.unwrap_or(client(random)),
                back: random.one_in(2),
                amounts: Amounts {
                    frames: random.below(9),
                    tables: random.below(2),
                    slots: random.below(9),
                    objects: random.below(2),
                },
            },
            38 => Request::Say(Text::from_words([random.next(); 24])),
            _ if random.one_in(5) => Request::Exit { code: random.next() },
            _ => Request::Kill { child: child.unwrap_or(client(random)) },
        }
    }

    /// A message: meant, meant and then mutated, or of random words.
    fn message(&mut self, sender: usize) -> (u32, Vec<usize>, usize) {
        if self.random.one_in(10) {
            let length = self.random.below(MAX_WORDS as u32 + 8);
            let words = (0..length).map(|_| self.random.word()).collect();
            return (self.random.next() & 0xf_ffff, words, self.random.below(4) as usize);
        }
        let message = self.request(sender).encode();
        let (mut label, mut words) = (message.label(), message.words().to_vec());
        while self.random.one_in(3) {
            match self.random.below(5) {
                0 => label ^= 1 << self.random.below(20),
                1 => words.push(self.random.word()),
                2 => drop(words.pop()),
                3 if !words.is_empty() => {
                    let place = self.random.below(words.len() as u32) as usize;
                    words[place] ^= 1 << self.random.below(32);
                }
                _ if !words.is_empty() => {
                    let place = self.random.below(words.len() as u32) as usize;
                    words[place] = self.random.word();
                }
                _ => {}
            }
        }
        (label, words, 0)
    }

    fn step(&mut self) {
        if self.random.one_in(4) {
            let _ = self.world.service.reap_step(&mut self.world.fixture.vmm).unwrap();
            self.settle_dues();
        }
        if self.senders.is_empty() {
            self.refill();
            return;
        }
        let sender = self.random.below(self.senders.len() as u32) as usize;
        let client = self.senders[sender].client;
        if self.random.one_in(5) {
            self.touch(sender);
        }
        if self.random.one_in(16) {
            self.heap(sender);
        }
        let (label, words, capabilities) = self.message(sender);
        let before = self.world.fixture.vmm.kernel_calls();
        let outcome = self.world.send(client.badge(), label, &words, capabilities);
        let calls = self.world.fixture.vmm.kernel_calls().since(&before).total();
        assert!(calls <= MAX_CALLS, "{calls} kernel calls for {label:#x} {words:x?}");
        self.most_calls = self.most_calls.max(calls);
        if let Some(Event::Exited(gone, _) | Event::Killed(gone)) = outcome.event {
            self.senders.retain(|sender| sender.client != gone);
            self.refill();
        }
        self.settle_dues();
        let Some(answer) = outcome.answer else {
            let said = outcome.event.is_some() || outcome.keep.is_some();
            assert!(said, "{label:#x} {words:x?} no answer");
            return;
        };
        self.answered += 1;
        let answer = Answer::parse(answer.label(), answer.words()).expect("a sound answer");
        if answer.is_ok() {
            *self.granted.entry(label & 0xfff).or_default() += 1;
        }
        let Some(sender) = self.senders.iter_mut().find(|sender| sender.client == client) else {
            return;
        };
        sender.rest.extend(rest_of(label, &words, answer));
        match answer {
            Ok(
                Answer::Region { handle, first, pages } | Answer::Part { handle, first, pages, .. },
            ) => {
                sender.regions.push((handle, first, pages));
                if label & 0xfff == 20 {
                    sender.paged.push((handle, first, pages));
                }
            }
            Ok(Answer::Address(address)) => sender.buffers.push(address),
            Ok(Answer::Fault(fault)) => self.faults.push((client, fault.ticket)),
            Ok(Answer::Done) if words.len() == 1 => {
                sender.buffers.retain(|&known| known != words[0]);
            }
            Ok(Answer::Done) if words.len() == 3 => {
                let released = (words[0], words[1] as u64 | (words[2] as u64) << 32);
                sender.regions.retain(|(known, ..)| (known.start, known.serial) != released);
            }
            Ok(_) => {}
            Err(refusal) => {
                assert_ne!(refusal, Refusal::Internal, "{label:#x} {words:x?}");
                self.refused += 1;
                self.short += usize::from(refusal == Refusal::OutOfMemory);
            }
        }
    }

    /// What a server does for others.
    fn settle_dues(&mut self) {
        loop {
            let next = self.world.service.next_deferred(&mut self.world.fixture.vmm).unwrap();
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

    /// The sender's thread writes somewhere.
    fn touch(&mut self, sender: usize) {
        let paged = self.senders[sender].paged.last().copied().filter(|_| self.random.one_in(2));
        let known = paged.or_else(|| self.random.pick(&self.senders[sender].regions));
        let Some((_, first, pages)) = known else { return };
        let address = first.wrapping_add(self.random.below(pages.max(1)) as usize * PAGE);
        let tag = u64::from(self.random.next());
        let client = self.senders[sender].client;
        let fault =
            PageFault { address: address as usize, access: Access::Write, present: false, ip: 0 };
        let class = self.world.fixture.vmm.classify_fault(client.space(), &fault).unwrap();
        match (class, self.world.thread(client)) {
            (FaultClass::Pager { .. }, Some(thread)) => {
                self.world.wait_for_page(thread, address, Access::Write);
                self.settle_dues();
            }
            _ => drop(self.world.touch(client, address, tag)),
        }
    }

    /// The sender's heap grows over the line between two page tables, by touches in order, shrinks
    /// to the line or to nothing, and grows again.
    fn heap(&mut self, sender: usize) {
        let client = self.senders[sender].client;
        let start = across_a_line(&mut self.random);
        let pages = 4 + self.random.below(12);
        let reserve = Request::Reserve(Reserve {
            pages,
            address: start,
            rights: Rights::READ_WRITE,
            ceiling: Rights::READ_WRITE,
            around: 1,
            guards: (0, 0),
            options: Options::empty(),
            name: Name::new("heap"),
        });
        let reserved = self.ask(client, reserve);
        let Ok(Answer::Region { handle, first, .. }) = reserved else { return };
        let line = (first | (TABLE - 1)) + 1;
        let end = first + pages as usize * PAGE;
        for _ in 0..2 + self.random.below(3) {
            for page in 0..pages {
                if !self.world.touch(client, first + page as usize * PAGE, u64::from(page)) {
                    break;
                }
            }
            let (from, to) = match self.random.below(3) {
                0 => (first, end),
                1 => (first, line.min(end)),
                _ => (line.min(end - PAGE), end),
            };
            // Page by page from the top, as a heap shrinks; some pages may not be there.
            for address in (from..to).step_by(PAGE as usize).rev() {
                let _ = self.ask(client, Request::Unmap { start: address, pages: 1 });
            }
        }
        self.senders[sender].regions.push((handle, first, pages));
    }

    fn ask(&mut self, client: ClientId, request: Request) -> Result<Answer, Refusal> {
        let message = request.encode();
        let outcome = self.world.send(client.badge(), message.label(), message.words(), 0);
        let answer = outcome.answer.expect("a client that lives is answered");
        Answer::parse(answer.label(), answer.words()).expect("a sound answer")
    }

    fn check(&mut self) {
        self.world.fixture.check();
        let kept = self.contents(self.victim.space());
        assert_eq!(kept, self.kept, "another client's memory has changed");
    }

    fn end(mut self, before: (usize, usize)) {
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

/// Returns how often memory was short, and threads that got a page of a pager's, and that did not.
fn storm(machine: Machine, limits: Quota, messages: u64) -> (usize, [usize; 2]) {
    let before = World::on(machine.clone()).free_bytes();
    let mut storm = Storm::new(machine, limits, setting("VMM_SEED", 0x5ea1_4500));
    for message in 0..messages {
        storm.step();
        if message % 2000 == 1999 {
            storm.check();
        }
    }
    storm.check();
    let Storm { answered, refused, short, most_calls, paged, .. } = storm;
    println!("{messages} messages: {answered} answered, {refused} refused");
    println!("{} threads got a page of a pager's, {} did not", paged[0], paged[1]);
    println!("granted, by number: {:?}", storm.granted);
    println!("{most_calls} kernel calls for one of them at the most");
    storm.end(before);
    (short, paged)
}

#[test]
fn no_message_breaks_anything_or_anybody() {
    let messages = setting("VMM_MESSAGES", 200_000);
    let (_, paged) = storm(Machine::roomy(Target::Ia32), LIMITS, messages);
    assert!(paged.iter().all(|&often| often > 0), "no pages from pagers: {paged:?}");
}

/// 1 MiB for all, and each may have all of it.
#[test]
fn no_message_breaks_anything_when_memory_is_short() {
    let messages = setting("VMM_MESSAGES", 200_000) / 4;
    let (short, _) = storm(Machine::small(Target::Ia32), AMPLE, messages);
    assert!(short > 0, "memory was never short");
}
