// SPDX-License-Identifier: BSD-2-Clause
//! Accounts, memory objects, capabilities and mappings as the protocol describes them: plain records,
//! and nothing of how the service does it.

use std::collections::{BTreeMap, BTreeSet};

use vmm_service::objects::protocol::{
    AccountOptions, Amounts, Kind, MemoryOptions, PAGE_BYTES, Request, Rights,
};

use super::amounts::{
    Many, NONE, account_cost, capability, many, mapping_cost, memory_cost, minus, physical_cost,
    plus,
};

pub type Id = usize;
/// A program, and a slot of its.
pub type Slot = (usize, u32);

const MAX_DEPTH: u32 = 16;
/// A program's slots.
const SLOTS: u32 = 512;

#[derive(Clone, Debug)]
pub struct Account {
    pub limits: Many,
    pub used: Many,
    pub options: AccountOptions,
    depth: u32,
}

#[derive(Clone, Debug)]
pub struct Memory {
    pub pages: u32,
    pub writable: bool,
    /// What the first word of each page is that is there, unless it is a device's.
    pub there: BTreeMap<u32, u64>,
    pub device: Option<Device>,
}

/// Where memory of a device is, and whether that is the object's: it was mapped once.
#[derive(Clone, Copy, Debug)]
pub struct Device {
    pub address: usize,
    pub taken: bool,
}

impl Memory {
    /// How many pages are there.
    pub fn committed(&self) -> u32 {
        match self.device {
            Some(device) => self.pages * u32::from(device.taken),
            None => self.there.len() as u32,
        }
    }

    /// Whether it has memory that another object would have.
    fn has_of(&self, other: &Memory) -> bool {
        let (Some(own), Some(other_device)) = (self.device, other.device) else { return false };
        let all = |device: Device, pages: u32| {
            device.address..device.address + pages as usize * PAGE_BYTES
        };
        let (own_all, others) = (all(own, self.pages), all(other_device, other.pages));
        own.taken && own_all.start < others.end && others.start < own_all.end
    }
}

#[derive(Clone, Debug)]
pub enum What {
    Account(Account),
    Memory(Memory),
    Space,
}

#[derive(Clone, Debug)]
pub struct Object {
    pub what: What,
    payer: Option<Id>,
    charge: Many,
}

#[derive(Clone, Debug)]
pub struct Capability {
    pub object: Id,
    pub rights: Rights,
    payer: Option<Id>,
    parent: Option<Id>,
}

#[derive(Clone, Debug)]
pub struct Mapping {
    pub program: usize,
    pub address: usize,
    pub memory: Id,
    pub first: u32,
    pub pages: u32,
    pub rights: Rights,
    payer: Id,
    through: Id,
}

/// All that there is.
#[derive(Default)]
pub struct Model {
    next: Id,
    pub objects: BTreeMap<Id, Object>,
    pub capabilities: BTreeMap<Id, Capability>,
    pub mappings: BTreeMap<Id, Mapping>,
    pub slots: BTreeMap<Slot, Id>,
    /// The first words of a device's pages, by address: nobody clears them.
    device: BTreeMap<usize, u64>,
}

/// The names of refusals, each of which would be right; none: it is granted.
pub type Reasons = BTreeSet<&'static str>;

impl Model {
    fn number(&mut self) -> Id {
        self.next += 1;
        self.next
    }

    /// What a program has from the start.
    pub fn begin(&mut self, slot: Slot, what: What, rights: Rights) {
        let (object, capability) = (self.number(), self.number());
        self.objects.insert(object, Object { what, payer: None, charge: NONE });
        let made = Capability { object, rights, payer: None, parent: None };
        self.capabilities.insert(capability, made);
        self.slots.insert(slot, capability);
    }

    pub fn account(limits: Amounts, used: Amounts) -> What {
        let options = AccountOptions::empty();
        What::Account(Account { limits: many(limits), used: many(used), options, depth: 0 })
    }

    fn account_of(&self, id: Id) -> &Account {
        match &self.objects[&id].what {
            What::Account(account) => account,
            other => panic!("{other:?}"),
        }
    }

    fn account_mut(&mut self, id: Id) -> &mut Account {
        match &mut self.objects.get_mut(&id).expect("it is there").what {
            What::Account(account) => account,
            other => panic!("{other:?}"),
        }
    }

    pub fn memory(&self, id: Id) -> &Memory {
        match &self.objects[&id].what {
            What::Memory(memory) => memory,
            other => panic!("{other:?}"),
        }
    }

    pub fn memory_mut(&mut self, id: Id) -> &mut Memory {
        match &mut self.objects.get_mut(&id).expect("it is there").what {
            What::Memory(memory) => memory,
            other => panic!("{other:?}"),
        }
    }

    /// The first word of a page of a memory object, which is touched.
    pub fn word(&mut self, id: Id, page: u32) -> &mut u64 {
        match self.memory(id).device {
            Some(device) => {
                self.device.entry(device.address + page as usize * PAGE_BYTES).or_default()
            }
            None => self.memory_mut(id).there.entry(page).or_default(),
        }
    }

    /// Those that bear what an account uses: itself, and those above it up to the first that is a
    /// guarantee.
    fn bearers(&self, account: Id) -> Vec<Id> {
        let mut all = vec![account];
        let mut at = account;
        while self.account_of(at).options.contains(AccountOptions::OVERCOMMIT) {
            at = self.objects[&at].payer.expect("an account of a program's is a guarantee");
            all.push(at);
        }
        all
    }

    /// Why an account cannot be charged.
    fn cannot_pay(&self, account: Id, amounts: Many, why: &mut Reasons) {
        for bears in self.bearers(account) {
            let figures = self.account_of(bears);
            let left = minus(figures.limits, figures.used);
            if amounts.iter().zip(left).any(|(wanted, left)| *wanted > left) {
                why.insert(if bears == account { "OutOfAccount" } else { "Overcommitted" });
            }
        }
    }

    fn charge(&mut self, account: Id, amounts: Many) {
        for bears in self.bearers(account) {
            let figures = self.account_mut(bears);
            figures.used = plus(figures.used, amounts);
        }
    }

    fn refund(&mut self, account: Option<Id>, amounts: Many) {
        if let Some(account) = account.filter(|account| self.objects.contains_key(account)) {
            self.charge(account, minus(NONE, amounts));
        }
    }

    /// The capabilities that a request came with, and why one is not what is due.
    fn given(
        &self,
        program: usize,
        request: &Request,
        slots: &[u32],
        why: &mut Reasons,
    ) -> Vec<Id> {
        let due = request.due();
        let mut given = Vec::new();
        for (place, due) in due.iter().enumerate() {
            let slot = slots.get(place).map(|&slot| (program, slot));
            let Some(&id) = slot.and_then(|slot| self.slots.get(&slot)) else {
                why.insert("NoCapability");
                return given;
            };
            let capability = &self.capabilities[&id];
            let kind = match self.objects[&capability.object].what {
                What::Account(_) => Kind::Account,
                What::Memory(_) => Kind::Memory,
                What::Space => Kind::Space,
            };
            if due.kind.is_some_and(|wanted| wanted != kind) {
                why.insert("WrongKind");
            } else if !capability.rights.contains(due.rights) {
                why.insert("NoRight");
            }
            given.push(id);
        }
        let more = slots.get(due.len()).map(|&slot| (program, slot));
        if more.is_some_and(|slot| self.slots.contains_key(&slot)) {
            why.insert("TooManyCapabilities");
        }
        given
    }

    fn check_slot(&self, slot: Slot, why: &mut Reasons) {
        if slot.1 >= SLOTS {
            why.insert("BadSlot");
        } else if self.slots.contains_key(&slot) {
            why.insert("SlotOccupied");
        }
    }

    /// Makes an object that an account pays for, with a capability.
    fn make(&mut self, what: What, (payer, charge): (Id, Many), rights: Rights, slot: Slot) -> Id {
        let object = self.number();
        self.charge(payer, charge);
        self.objects.insert(object, Object { what, payer: Some(payer), charge });
        self.hand_out(object, rights, (payer, None), slot);
        object
    }

    fn hand_out(
        &mut self,
        object: Id,
        rights: Rights,
        (payer, parent): (Id, Option<Id>),
        slot: Slot,
    ) {
        self.charge(payer, capability());
        let id = self.number();
        let made = Capability { object, rights, payer: Some(payer), parent };
        self.capabilities.insert(id, made);
        self.slots.insert(slot, id);
    }

    /// What becomes of a request; `address`: where the service says that it has mapped something.
    /// If there is no reason against it, it is done.
    pub fn request(
        &mut self,
        program: usize,
        request: &Request,
        slots: &[u32],
        address: usize,
    ) -> Reasons {
        let mut why = Reasons::new();
        let given = self.given(program, request, slots, &mut why);
        if !why.is_empty() {
            return why;
        }
        let object = |model: &Model, place: usize| model.capabilities[&given[place]].object;
        let rights_of = |memory: &Memory| {
            let own = if memory.writable { Rights::READ_WRITE } else { Rights::READ };
            let used = if memory.device.is_some() { Rights::empty() } else { Rights::USE };
            own | used | Rights::REVOKE | Rights::DESTROY
        };
        match *request {
            Request::Info {} => {}
            Request::Restrict { rights, slot } => {
                if !self.capabilities[&given[0]].rights.contains(rights) {
                    why.insert("BeyondRights");
                }
                let payer = object(self, 1);
                self.check_slot((program, slot), &mut why);
                self.cannot_pay(payer, capability(), &mut why);
                if why.is_empty() {
                    let of = object(self, 0);
                    self.hand_out(of, rights, (payer, Some(given[0])), (program, slot));
                }
            }
            Request::Revoke { slot } => {
                let old = self.capabilities[&given[0]].clone();
                let payer = old.payer.expect("a capability that somebody asked for");
                if slot != 0 {
                    self.check_slot((program, slot), &mut why);
                    self.cannot_pay(payer, capability(), &mut why);
                }
                if why.is_empty() {
                    if slot != 0 {
                        let above = (payer, old.parent);
                        self.hand_out(old.object, old.rights, above, (program, slot));
                    }
                    self.end_capability(given[0]);
                }
            }
            Request::Destroy {} => {
                let id = object(self, 0);
                let mapped = self.mappings.values().any(|mapping| mapping.memory == id);
                if mapped && matches!(self.objects[&id].what, What::Memory(_)) {
                    why.insert("InUse");
                } else {
                    self.end_object(id);
                }
            }
            Request::CreateAccount { amounts, options, slot } => {
                let payer = object(self, 0);
                let overcommit = options.contains(AccountOptions::OVERCOMMIT);
                let depth = self.account_of(payer).depth + 1;
                if depth > MAX_DEPTH {
                    why.insert("TooDeep");
                }
                let limits = if overcommit { NONE } else { many(amounts) };
                let charge = plus(account_cost(), limits);
                self.check_slot((program, slot), &mut why);
                self.cannot_pay(payer, plus(charge, capability()), &mut why);
                if why.is_empty() {
                    let limits = many(amounts);
                    let what = What::Account(Account { limits, used: NONE, options, depth });
                    let rights = Rights::USE | Rights::REVOKE | Rights::DESTROY;
                    self.make(what, (payer, charge), rights, (program, slot));
                }
            }
            Request::Give { amounts, back } => {
                let (parent, child) = (object(self, 0), object(self, 1));
                if self.objects[&child].payer != Some(parent) {
                    why.insert("NotRelated");
                    return why;
                }
                let amounts = many(amounts);
                let figures = self.account_of(child).clone();
                let guarantee = !figures.options.contains(AccountOptions::OVERCOMMIT);
                let left = minus(figures.limits, figures.used);
                if back && amounts.iter().zip(left).any(|(wanted, left)| *wanted > left) {
                    why.insert("OutOfAccount");
                } else if !back && guarantee {
                    self.cannot_pay(parent, amounts, &mut why);
                }
                if why.is_empty() {
                    let signed = if back { minus(NONE, amounts) } else { amounts };
                    let account = self.account_mut(child);
                    account.limits = plus(account.limits, signed);
                    if guarantee {
                        self.charge(parent, signed);
                        let charge = &mut self.objects.get_mut(&child).expect("it lives").charge;
                        *charge = plus(*charge, signed);
                    }
                }
            }
            Request::CreateMemory { pages, options, slot } => {
                let payer = object(self, 0);
                if pages == 0 {
                    why.insert("BadLength");
                }
                let charge = memory_cost(pages);
                self.check_slot((program, slot), &mut why);
                self.cannot_pay(payer, plus(charge, capability()), &mut why);
                if why.is_empty() {
                    let writable = !options.is_empty();
                    let memory = Memory { pages, writable, there: BTreeMap::new(), device: None };
                    let rights = rights_of(&memory);
                    let what = What::Memory(memory);
                    self.make(what, (payer, charge), rights, (program, slot));
                }
            }
            Request::CreatePhysical { address, pages, options, slot } => {
                let payer = object(self, 0);
                if pages == 0 {
                    why.insert("BadLength");
                }
                if address % PAGE_BYTES != 0 {
                    why.insert("BadAddress");
                }
                let charge = physical_cost(pages.max(1));
                self.check_slot((program, slot), &mut why);
                self.cannot_pay(payer, plus(charge, capability()), &mut why);
                if why.is_empty() {
                    let writable = options.contains(MemoryOptions::WRITABLE);
                    let device = Some(Device { address, taken: false });
                    let memory = Memory { pages, writable, there: BTreeMap::new(), device };
                    let rights = rights_of(&memory);
                    self.make(What::Memory(memory), (payer, charge), rights, (program, slot));
                }
            }
            Request::Clone { slot } => {
                let (memory, payer) = (self.memory(object(self, 0)).clone(), object(self, 1));
                let charge = memory_cost(memory.pages);
                self.check_slot((program, slot), &mut why);
                self.cannot_pay(payer, plus(charge, capability()), &mut why);
                if why.is_empty() {
                    let rights = rights_of(&memory);
                    self.make(What::Memory(memory), (payer, charge), rights, (program, slot));
                }
            }
            Request::Resize { pages } => {
                let (id, payer) = (object(self, 0), object(self, 1));
                let mapped = self.mappings.values().filter(|mapping| mapping.memory == id);
                let mapped = mapped.map(|mapping| mapping.first + mapping.pages).max().unwrap_or(0);
                if pages == 0 {
                    why.insert("BadLength");
                }
                if self.objects[&id].payer != Some(payer) {
                    why.insert("NotPayer");
                }
                if pages < mapped {
                    why.insert("StillMapped");
                }
                let before = self.objects[&id].charge;
                let more = minus(memory_cost(pages.max(1)), before);
                if why.is_empty() {
                    self.cannot_pay(payer, more, &mut why);
                }
                if why.is_empty() {
                    self.charge(payer, more);
                    self.objects.get_mut(&id).expect("it lives").charge = plus(before, more);
                    let memory = self.memory_mut(id);
                    memory.pages = pages;
                    memory.there.retain(|page, _| *page < pages);
                }
            }
            Request::Map { first, pages, rights, .. } => {
                let (memory, payer) = (object(self, 1), object(self, 2));
                let allowed = self.capabilities[&given[1]].rights & Rights::READ_WRITE;
                if !allowed.contains(rights) {
                    why.insert("BeyondRights");
                } else if !rights.contains(Rights::READ) {
                    why.insert("NotReadable");
                }
                if pages == 0 {
                    why.insert("BadLength");
                }
                if u64::from(first) + u64::from(pages) > self.memory(memory).pages.into() {
                    why.insert("BeyondEnd");
                }
                let charge = mapping_cost(pages.max(1));
                self.cannot_pay(payer, charge, &mut why);
                let mapped = self.memory(memory);
                let others = self.objects.iter().filter(|(id, _)| **id != memory);
                let taken = others.filter_map(|(_, object)| match &object.what {
                    What::Memory(other) => Some(other.has_of(mapped)),
                    _ => None,
                });
                if taken.into_iter().any(|taken| taken) {
                    why.insert("NoSuchPhysical");
                }
                if why.is_empty() {
                    let mapped = self.memory_mut(memory);
                    mapped.device = mapped.device.map(|device| Device { taken: true, ..device });
                    self.charge(payer, charge);
                    let (id, through) = (self.number(), given[1]);
                    let mapping =
                        Mapping { program, address, memory, first, pages, rights, payer, through };
                    self.mappings.insert(id, mapping);
                }
            }
            Request::Unmap { address } => {
                let is = |it: &Mapping| (it.program, it.address) == (program, address);
                let found = self.mappings.iter().find(|(_, mapping)| is(mapping));
                match found.map(|(id, _)| *id) {
                    Some(id) => self.end_mapping(id),
                    None => drop(why.insert("NoMapping")),
                }
            }
            ref other => panic!("{other:?} is not foreseen"),
        }
        why
    }

    fn end_mapping(&mut self, id: Id) {
        if let Some(mapping) = self.mappings.remove(&id) {
            self.refund(Some(mapping.payer), mapping_cost(mapping.pages));
        }
    }

    /// A capability ends, with its copies, what was derived from it and what is mapped by it.
    fn end_capability(&mut self, id: Id) {
        let Some(ended) = self.capabilities.remove(&id) else { return };
        self.slots.retain(|_, held| *held != id);
        let derived = self.capabilities.iter().filter(|(_, it)| it.parent == Some(id));
        for derived in derived.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.end_capability(derived);
        }
        let through = self.mappings.iter().filter(|(_, it)| it.through == id);
        for mapping in through.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.end_mapping(mapping);
        }
        self.refund(ended.payer, capability());
    }

    /// An object ends, with all that leads to it; an account with all that it pays for.
    fn end_object(&mut self, id: Id) {
        let ids = |found: Vec<&Id>| found.into_iter().copied().collect::<Vec<_>>();
        let mapped = self.mappings.iter().filter(|(_, it)| it.memory == id || it.payer == id);
        for mapping in ids(mapped.map(|(id, _)| id).collect()) {
            self.end_mapping(mapping);
        }
        let paid = self.objects.iter().filter(|(_, it)| it.payer == Some(id));
        for inner in ids(paid.map(|(id, _)| id).collect()) {
            self.end_object(inner);
        }
        let held = self.capabilities.iter();
        let held = held.filter(|(_, it)| it.object == id || it.payer == Some(id));
        for capability in ids(held.map(|(id, _)| id).collect()) {
            self.end_capability(capability);
        }
        let Some(ended) = self.objects.remove(&id) else { return };
        self.refund(ended.payer, ended.charge);
    }
}
