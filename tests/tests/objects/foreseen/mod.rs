// SPDX-License-Identifier: BSD-2-Clause
//! Random histories of accounts, memory objects, capabilities and mappings, each answer foreseen by a
//! reference model. `VMM_HISTORIES` says how many, `VMM_SEED` which.
//!
//! ```text
//!   a request ──► the service ──► its answer ────────────────┐
//!             └─► model.rs: the reasons against it, if any ──┴─► one of them, or granted
//!   then: slots, amounts, pages, words ──► the same in both
//! ```

mod amounts;
mod model;

use std::collections::BTreeMap;

use amounts::many;
use model::{Model, What};
use vmm::Access;
use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, AccountOptions, Amounts, Answer, FIRST_FREE_SLOT, MemoryOptions, PAGE_BYTES,
    Piece, Refusal, Request, Resource, Rights, SPACE_SLOT,
};
use vmm_tests::support::random::{Random, setting};

use crate::world::{AMPLE, PAGE, Program, World};

/// Slots of each program that are used here, from the first free one on.
const SLOTS: u32 = 10;
const STEPS: usize = 200;

struct History {
    world: World,
    programs: [Program; 2],
    model: Model,
    random: Random,
    /// By the names of requests: granted, refused.
    counts: BTreeMap<&'static str, [usize; 2]>,
    /// The names of the refusals, and how many words were compared.
    refusals: BTreeMap<&'static str, usize>,
    words: usize,
}

impl History {
    fn new(seed: u64) -> History {
        let mut world = World::new();
        // One may have memory of the device.
        let programs = [world.driver(AMPLE), world.program(AMPLE)];
        let mut model = Model::default();
        for (number, &program) in programs.iter().enumerate() {
            let asked = world.ask(program, Request::Info {}, &[ACCOUNT_SLOT]);
            let Ok(Answer::Account { rights, limits, used, .. }) = asked else {
                panic!("{asked:?}")
            };
            model.begin((number, ACCOUNT_SLOT), Model::account(limits, used), rights);
            model.begin((number, SPACE_SLOT), What::Space, Rights::USE);
        }
        let random = Random::seeded(seed);
        let (counts, refusals) = (BTreeMap::new(), BTreeMap::new());
        History { world, programs, model, random, counts, refusals, words: 0 }
    }

    /// Any slot; an empty one of a program's for what is made, as a rule.
    fn slot(&mut self, empty: Option<usize>) -> u32 {
        let all = FIRST_FREE_SLOT..FIRST_FREE_SLOT + SLOTS;
        let is_empty = |slot: &u32| {
            empty.is_some_and(|program| !self.model.slots.contains_key(&(program, *slot)))
        };
        let free: Vec<_> = all.clone().filter(is_empty).collect();
        match self.random.below(40) {
            0 => 512,
            1..=35 if !free.is_empty() => self.random.pick(&free),
            _ => FIRST_FREE_SLOT + self.random.below(SLOTS as usize) as u32,
        }
    }

    /// A slot with a capability to an object of a kind, as a rule.
    fn held(&mut self, program: usize, is: fn(&What) -> bool) -> u32 {
        let model = &self.model;
        let right = |slot: &(usize, u32)| {
            let object = model.capabilities[&model.slots[slot]].object;
            slot.0 == program && slot.1 >= FIRST_FREE_SLOT && is(&model.objects[&object].what)
        };
        let all: Vec<_> =
            model.slots.keys().filter(|slot| right(slot)).map(|slot| slot.1).collect();
        match all.is_empty() || self.random.one_in(12) {
            true => self.slot(None),
            false => self.random.pick(&all),
        }
    }

    fn account(&mut self, program: usize) -> u32 {
        match self.random.one_in(2) {
            true => ACCOUNT_SLOT,
            false => self.held(program, |what| matches!(what, What::Account(_))),
        }
    }

    fn memory(&mut self, program: usize) -> u32 {
        self.held(program, |what| matches!(what, What::Memory(_)))
    }

    fn rights(&mut self) -> Rights {
        let all = Rights::READ_WRITE | Rights::USE | Rights::REVOKE | Rights::DESTROY;
        self.random.pick(&[
            all,
            all,
            all.difference(Rights::WRITE),
            Rights::USE | Rights::REVOKE,
            Rights::READ,
            Rights::READ_WRITE,
            Rights::READ_WRITE | Rights::USE,
            Rights::USE,
            Rights::READ | Rights::USE | Rights::DESTROY,
            Rights::WRITE,
        ])
    }

    fn amounts(&mut self) -> Amounts {
        let mut amounts = Amounts([30, 8, 40, 0, 1, 8, 20, 0]);
        for _ in 0..3 {
            let at = self.random.below(7);
            amounts.0[at] = self.random.pick(&[0, 2, 60, 5000]).min(amounts.0[at] * 3);
        }
        amounts
    }

    fn random_request(&mut self, program: usize) -> (Request, Vec<u32>) {
        let pages = self.random.pick(&[0, 1, 2, 5, 20, 200]);
        let slot = self.slot(Some(program));
        match self.random.below(36) {
            0 | 1 | 26 => {
                let options = self.random.pick(&[
                    AccountOptions::empty(),
                    AccountOptions::empty(),
                    AccountOptions::OVERCOMMIT,
                ]);
                let amounts = match options.is_empty() {
                    true => self.amounts(),
                    // More than there is above it.
                    false => Amounts([3000, 3000, 9000, 0, 100, 1000, 1000, 0]),
                };
                (Request::CreateAccount { amounts, options, slot }, vec![self.account(program)])
            }
            2 | 27 => {
                let what = self.random.pick(&[Resource::Pages, Resource::Nodes, Resource::Slots]);
                let amounts = Amounts::NONE.with(what, self.random.pick(&[1, 5, 50]));
                let back = self.random.one_in(2);
                let child = self.held(program, |what| matches!(what, What::Account(_)));
                let parties = vec![self.account(program), child];
                (Request::Give { amounts, back }, parties)
            }
            3..=5 => {
                let options = self.random.pick(&[MemoryOptions::WRITABLE, MemoryOptions::empty()]);
                (Request::CreateMemory { pages, options, slot }, vec![self.account(program)])
            }
            6 | 7 | 30..=31 => {
                let (rights, of) = (self.rights(), self.held(program, |_| true));
                (Request::Restrict { rights, slot }, vec![of, self.account(program)])
            }
            8 | 28..=29 => {
                let slot = if self.random.one_in(2) { 0 } else { slot };
                (Request::Revoke { slot }, vec![self.held(program, |_| true)])
            }
            9 => (Request::Destroy {}, vec![self.held(program, |_| true)]),
            10..=13 => {
                let (first, rights) = (self.random.pick(&[0, 0, 1, 3]), self.rights());
                let rights =
                    if self.random.one_in(4) { rights } else { rights & Rights::READ_WRITE };
                let slots = vec![SPACE_SLOT, self.memory(program), self.account(program)];
                (Request::Map { address: 0, first, pages, rights }, slots)
            }
            14 => {
                let mappings = self.model.mappings.values();
                let all: Vec<_> = mappings.map(|mapping| mapping.address).collect();
                let address = if all.is_empty() { 0x5000_0000 } else { self.random.pick(&all) };
                (Request::Unmap { address }, vec![SPACE_SLOT])
            }
            15 | 16 => {
                let slots = vec![self.memory(program), self.account(program)];
                (Request::Resize { pages }, slots)
            }
            32..=34 => {
                let at = self.random.below(24) * PAGE;
                let off = if self.random.one_in(12) { 8 } else { 0 };
                let address = self.world.fixture.machine.device() + at + off;
                let pages = pages.min(20);
                let options = self.random.pick(&[
                    MemoryOptions::WRITABLE,
                    MemoryOptions::WRITABLE | MemoryOptions::UNCACHED,
                    MemoryOptions::WRITE_THROUGH,
                ]);
                let request = Request::CreatePhysical { address, pages, options, slot };
                (request, vec![self.account(program)])
            }
            17 | 18 => (Request::Clone { slot }, vec![self.memory(program), self.account(program)]),
            19 => (Request::Info {}, vec![self.held(program, |_| true)]),
            20..=23 => {
                let options = MemoryOptions::WRITABLE;
                (Request::CreateMemory { pages: 5, options, slot }, vec![self.account(program)])
            }
            _ => {
                let slots = vec![SPACE_SLOT, self.memory(program), self.account(program)];
                let (first, pages) = (self.random.pick(&[0, 1]), self.random.pick(&[1, 3]));
                (Request::Map { address: 0, first, pages, rights: Rights::READ_WRITE }, slots)
            }
        }
    }

    /// Asks for something, and compares the answer with what is foreseen.
    fn ask(&mut self, program: usize, request: Request, slots: &[u32]) {
        let asks = self.programs[program];
        let mut answer = self.world.ask_quickly(asks, request, slots);
        while answer == Ok(Answer::More {}) {
            self.world.reap();
            // What has ended meanwhile has left its slot.
            answer = match self.world.is_empty(asks, slots[0]) {
                true => Ok(Answer::Done {}),
                false => self.world.ask_quickly(asks, request, slots),
            };
        }
        self.world.reap();
        let address = match answer {
            Ok(Answer::Mapped { address }) => address,
            _ => 0,
        };
        let why = self.model.request(program, &request, slots, address);
        let right = match &answer {
            Ok(_) => why.is_empty(),
            Err(refusal) => why.contains(refusal.name()),
        };
        assert!(right, "{request:?} of {slots:?}: {answer:?}, foreseen {why:?}");
        let count = self.counts.entry(request.name()).or_default();
        count[usize::from(answer.is_err())] += 1;
        if let Err(refusal) = answer {
            *self.refusals.entry(refusal.name()).or_default() += 1;
        }
    }

    /// A program copies a capability, to itself or to the other, or deletes one.
    fn pass_on(&mut self) {
        let (from, to) = (self.random.below(2), self.random.below(2));
        let (old, new) = (self.held(from, |_| true), self.slot(Some(to)));
        let (programs, source) = (self.programs, self.model.slots.get(&(from, old)).copied());
        let Some(capability) = source else { return };
        if self.random.one_in(6) {
            self.world.delete(programs[from], old);
            self.model.slots.remove(&(from, old));
        } else if new < 512 && !self.model.slots.contains_key(&(to, new)) {
            self.world.copy((programs[from], old), (programs[to], new));
            self.model.slots.insert((to, new), capability);
        }
    }

    /// A thread touches a page of a mapping; or a program reads or writes a word by request.
    fn use_memory(&mut self) {
        let value = self.random.below(1 << 30) as u64;
        let program = self.random.below(2);
        if self.random.one_in(3) {
            let slot = self.memory(program);
            let Some(id) = self.model.slots.get(&(program, slot)).copied() else { return };
            let capability = self.model.capabilities[&id].clone();
            if !matches!(self.model.objects[&capability.object].what, What::Memory(_)) {
                return;
            }
            let pages = self.model.memory(capability.object).pages;
            let page = self.random.below(pages as usize) as u32;
            let (offset, asks) = (page as usize * PAGE_BYTES, self.programs[program]);
            let write = self.random.one_in(2);
            let wanted = if write { Rights::WRITE } else { Rights::READ } | Rights::USE;
            let request = match write {
                true => Request::Write { offset, piece: Piece::of(&value.to_le_bytes()) },
                false => Request::Read { offset, bytes: 8 },
            };
            let answer = self.world.ask_quickly(asks, request, &[slot]);
            if !capability.rights.contains(wanted) {
                assert!(matches!(answer, Err(Refusal::NoRight { place: 0, .. })), "{answer:?}");
            } else if write {
                assert_eq!(answer, Ok(Answer::Bytes { bytes: 8 }));
                self.model.memory_mut(capability.object).there.insert(page, value);
            } else {
                let there = self.model.memory(capability.object).there.get(&page);
                let seen = Piece::of(&there.copied().unwrap_or(0).to_le_bytes());
                assert_eq!(answer, Ok(Answer::Piece { piece: seen }), "page {page}");
                self.words += 1;
            }
            return;
        }
        let all: Vec<_> = self.model.mappings.keys().copied().collect();
        if all.is_empty() {
            return;
        }
        let mapping = self.model.mappings[&self.random.pick(&all)].clone();
        let page = self.random.below(mapping.pages as usize);
        let (at, number) = (mapping.address + page * PAGE, mapping.first + page as u32);
        let access = if self.random.one_in(2) { Access::Write } else { Access::Read };
        let program = self.programs[mapping.program];
        let may = access == Access::Read || mapping.rights.contains(Rights::WRITE);
        assert_eq!(self.world.touch(program, at, access), may, "{mapping:?}, page {page}");
        if may {
            let word = self.model.word(mapping.memory, number);
            let vspace = self.world.fixture.vmm.vspace(program.id.space()).unwrap();
            let mut kernel = self.world.fixture.kernel();
            let mut seen = [0; 8];
            kernel.read(vspace, at, &mut seen).unwrap();
            assert_eq!(u64::from_le_bytes(seen), *word, "{mapping:?}, page {page}");
            self.words += 1;
            if access == Access::Write {
                kernel.write(vspace, at, &value.to_le_bytes()).unwrap();
                *word = value;
            }
        }
    }

    /// What the service says of all that there is, against the model.
    fn compare(&mut self) {
        for (number, program) in self.programs.into_iter().enumerate() {
            for slot in FIRST_FREE_SLOT..FIRST_FREE_SLOT + SLOTS {
                let held = self.model.slots.contains_key(&(number, slot));
                assert_eq!(self.world.is_empty(program, slot), !held, "slot {slot} of {number}");
            }
        }
        for (&(number, slot), id) in &self.model.slots {
            let capability = &self.model.capabilities[id];
            let said = self.world.ask_quickly(self.programs[number], Request::Info {}, &[slot]);
            match (&self.model.objects[&capability.object].what, said) {
                (What::Account(account), Ok(Answer::Account { rights, options, limits, used })) => {
                    assert_eq!((rights, options), (capability.rights, account.options));
                    let said = (many(limits), many(used));
                    assert_eq!(said, (account.limits, account.used), "account in slot {slot}");
                }
                (
                    What::Memory(memory),
                    Ok(Answer::Memory { rights, pages, committed, mappings, .. }),
                ) => {
                    let id = capability.object;
                    let mapped = self.model.mappings.values().filter(|it| it.memory == id).count();
                    let there = memory.committed();
                    let known = (capability.rights, memory.pages, there, mapped as u32);
                    assert_eq!((rights, pages, committed, mappings), known, "slot {slot}");
                }
                (What::Space, Ok(Answer::Space { .. })) => {}
                (what, said) => panic!("slot {slot} of {number}: {said:?}, and not {what:?}"),
            }
        }
    }

    fn run(&mut self) {
        for step in 0..STEPS {
            match self.random.below(10) {
                0 => self.pass_on(),
                1..=3 => self.use_memory(),
                _ => {
                    let program = self.random.below(2);
                    let (request, slots) = self.random_request(program);
                    self.ask(program, request, &slots);
                }
            }
            if step % 4 == 0 {
                self.compare();
            }
        }
        self.world.check();
    }
}

/// A359: whatever programs do with accounts, memory and capabilities, each answer is the one that is
/// foreseen; and so are amounts, slots, pages and what is in them, afterwards.
#[test]
fn answers_are_as_foreseen() {
    let first = setting("VMM_SEED", 77);
    let (mut counts, mut refusals, mut words) = (BTreeMap::new(), BTreeMap::new(), 0);
    for seed in first..first + setting("VMM_HISTORIES", 40) {
        let mut history = History::new(seed);
        let run = std::panic::AssertUnwindSafe(|| history.run());
        if let Err(panic) = std::panic::catch_unwind(run) {
            println!("the history with VMM_SEED={seed} VMM_HISTORIES=1");
            std::panic::resume_unwind(panic);
        }
        words += history.words;
        for (name, [granted, refused]) in history.counts {
            let sum: &mut [usize; 2] = counts.entry(name).or_default();
            *sum = [sum[0] + granted, sum[1] + refused];
        }
        for (name, times) in history.refusals {
            *refusals.entry(name).or_default() += times;
        }
    }
    println!("{counts:?}\n{refusals:?}\n{words} words");
    // What was never granted, or never refused, says nothing.
    assert!(counts.len() == 12 && words > 200, "{counts:?}, {words} words");
    for (name, [granted, refused]) in &counts {
        assert!(*granted > 10 && *refused > 2, "{name}: {granted} granted, {refused} refused");
    }
    let refusals: BTreeMap<&str, usize> = refusals;
    for name in [
        "BadAddress",
        "BadLength",
        "BadSlot",
        "BeyondEnd",
        "BeyondRights",
        "InUse",
        "NoCapability",
        "NoMapping",
        "NoRight",
        "NoSuchPhysical",
        "NotPayer",
        "NotReadable",
        "NotRelated",
        "OutOfAccount",
        "Overcommitted",
        "SlotOccupied",
        "StillMapped",
        "WrongKind",
    ] {
        assert!(refusals.contains_key(name), "nothing was refused with {name}: {refusals:?}");
    }
}
