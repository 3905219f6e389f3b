// SPDX-License-Identifier: BSD-2-Clause
//! The service with its programs, and what of them their senders know.

use std::collections::{BTreeMap, BTreeSet};

use vmm::{CPtr, CapPath, RegionId};
use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, Amounts, CONSOLE_SLOT, Kind, PROGRAM_SLOT, ProgramOptions, Resource, SPACE_SLOT,
};
use vmm_service::objects::{Arrived, NewProgram, Objects, ProgramId};
use vmm_tests::model::Cap;
use vmm_tests::support::{Fixture, Target};

use super::image;
use super::tally::Tally;

/// What all accounts together may use: on the ample machine there is as much.
const ALL: Amounts = Amounts([1200, 120, 5000, 60, 24, 500, 1000, 0]);
/// Large pages that are set aside there.
pub const LARGE: u32 = 2;
/// A time slice, and the priority of all programs.
pub const SLICE: u64 = 1000;
pub const PRIORITY: u8 = 100;
/// What the program has that sends nothing.
const VICTIM: Amounts = Amounts([100, 10, 200, 8, 3, 20, 40, 0]);
/// Slots that the senders use.
pub const SLOTS: u32 = 32;
/// The slots of what steps of several messages make, and look for when they come again: a program
/// that is made and the file of it, paged memory and what its pages come from, a further thread,
/// another program's first thread, memory of large pages, a notification and a capability to it.
pub const CHILD: u32 = SLOTS - 1;
pub const FILE: u32 = SLOTS - 2;
pub const PAGED: u32 = SLOTS - 3;
pub const SOURCE: u32 = SLOTS - 4;
pub const THREAD: u32 = SLOTS - 5;
pub const FIRST: u32 = SLOTS - 6;
pub const BULK: u32 = SLOTS - 7;
pub const NOTICE: u32 = SLOTS - 8;
pub const SIGNAL: u32 = SLOTS - 9;
/// What a program can be.
pub const OPTIONS: [ProgramOptions; 3] =
    [ProgramOptions::empty(), ProgramOptions::SUSPEND_AT_FAULT, ProgramOptions::FEW_SLOTS];

/// A program that sends.
pub struct Known {
    pub id: ProgramId,
    /// Its CNode, in the manager's CSpace.
    pub cnode: CPtr,
    /// The logarithm of the number of its slots.
    pub cnode_bits: u8,
    /// Where something is or was mapped, and how many pages.
    pub mapped: Vec<(usize, u32)>,
}

impl Known {
    /// A slot of its CNode.
    pub fn slot(&self, slot: u32) -> CapPath {
        CapPath { root: self.cnode, index: slot as usize, depth: self.cnode_bits }
    }
}

/// The service, its programs, and what was counted.
pub struct World<'a> {
    pub host: Fixture<'a>,
    pub objects: Objects<'a>,
    pub endpoint: CPtr,
    /// Where a capability comes that is not the service's.
    pub foreign: CPtr,
    pub programs: Vec<Known>,
    /// Who sends nothing.
    pub victim: Known,
    /// What its pages hold.
    pub kept: BTreeMap<usize, u64>,
    /// A mapping that the last step made.
    pub learnt: Option<(usize, u32)>,
    /// What each badge led to last.
    pub kinds: BTreeMap<usize, Kind>,
    pub regions: Vec<RegionId>,
    pub slots: Vec<(CPtr, usize)>,
    /// Slots that keep rights to answer: each is used once.
    pub open: BTreeSet<CPtr>,
    pub ample: bool,
    pub trace: bool,
    /// Whether a kernel call may be refused in this step.
    pub failing: bool,
    pub steps: usize,
    /// The time that was told last.
    pub now: u64,
    pub tally: Tally,
}

impl<'a> World<'a> {
    /// The service with one program; `None` where memory is too short for them.
    pub fn new(
        mut host: Fixture<'a>,
        ample: bool,
        numbers: Option<u32>,
        trace: bool,
    ) -> Option<World<'a>> {
        let endpoint = host.vmm.allocate(vmm::Blueprint::Endpoint).ok()?.slot();
        let target = host.target();
        let all = levels(target, ALL).with(Resource::LargePages, if ample { LARGE } else { 0 });
        // There may be less, which is not promised then.
        let all = if ample { all } else { all.with(Resource::Pages, u32::MAX) };
        let mut objects = Objects::new(&mut host.vmm, endpoint, all).ok()?;
        objects.set_slice(SLICE);
        let foreign = host.vmm.alloc_slots(1).ok()?;
        let victim = program(&mut host, &mut objects, levels(target, VICTIM))?;
        if let Some(most) = numbers {
            objects.narrow_numbers(most);
        }
        let mut world = World {
            host,
            objects,
            endpoint,
            foreign,
            programs: Vec::new(),
            victim,
            kept: BTreeMap::new(),
            learnt: None,
            kinds: BTreeMap::new(),
            regions: Vec::new(),
            slots: Vec::new(),
            open: BTreeSet::new(),
            ample,
            trace,
            failing: false,
            steps: 0,
            now: 0,
            tally: Tally::default(),
        };
        world.fill_victim();
        Some(world)
    }

    /// Makes a program that sends; returns whether there is one more.
    pub fn make(&mut self, amounts: Amounts) -> bool {
        let amounts = levels(self.host.target(), amounts);
        let Some(made) = program(&mut self.host, &mut self.objects, amounts) else { return false };
        let begin = [
            (PROGRAM_SLOT, Kind::Program),
            (ACCOUNT_SLOT, Kind::Account),
            (SPACE_SLOT, Kind::Space),
        ];
        for (slot, kind) in begin {
            let badge = self.badge(&made, slot).expect("a program begins with it");
            self.kinds.insert(badge, kind);
        }
        if let Some(badge) = self.badge(&made, CONSOLE_SLOT) {
            self.kinds.insert(badge, Kind::Console);
        }
        self.programs.push(made);
        true
    }

    /// A program that was started by another.
    pub fn known(&self, id: ProgramId, tcb: CPtr) -> Option<Known> {
        let (cnode, cnode_bits) = cnode_of(&self.host, tcb)?;
        Some(Known { id, cnode, cnode_bits, mapped: Vec::new() })
    }

    /// Pages that a large one of this machine is as long as.
    pub fn unit(&self) -> u32 {
        1 << (self.host.target().large_bits() - 12)
    }

    /// Remembers what kind of object the capability in a slot is to, if one is there.
    pub fn note_kind(&mut self, known: &Known, slot: u32, kind: Kind) {
        if let Some(badge) = self.badge(known, slot) {
            self.kinds.insert(badge, kind);
        }
    }

    /// What the kernel does with a capability that is not the service's.
    pub fn receive_foreign(&mut self, program: &Known, arrived: &[Arrived], slots: &[u32]) {
        let into = self.host.vmm.allocator().path(self.foreign);
        let place = arrived.iter().position(|one| *one == Arrived::Foreign);
        let from = place.map(|place| program.slot(slots[place]));
        self.host.kernel().transfer(into, from).expect("there is one slot for it");
    }

    /// The badge of one of the service's capabilities in a slot.
    pub fn badge(&self, program: &Known, slot: u32) -> Option<usize> {
        match self.arrive(program, &[slot])[..] {
            [Arrived::Own(badge)] => Some(badge),
            _ => None,
        }
    }

    /// What arrives of capabilities in these slots of a program.
    pub fn arrive(&self, program: &Known, slots: &[u32]) -> Vec<Arrived> {
        arrive(&self.host, self.endpoint, slots.iter().map(|&slot| program.slot(slot)))
    }

    /// The slots of a program's in which endpoints and notifications are that it made, or others.
    pub fn slots_of_others(&self, program: &Known) -> Vec<u32> {
        let kernel = self.host.kernel();
        let Cap::Endpoint { base: own, .. } = kernel.cap(self.endpoint) else {
            panic!("the service's endpoint is gone")
        };
        let of = |slot: &u32| match kernel.cap_at(program.slot(*slot)) {
            Some(Cap::Endpoint { base, .. }) => base != own,
            Some(Cap::Notification { .. }) => true,
            _ => false,
        };
        (PROGRAM_SLOT..SLOTS).filter(of).collect()
    }

    /// The slots of a program's in which the service's capabilities to such objects are.
    pub fn slots_of(&self, program: &Known, kind: Option<Kind>) -> Vec<u32> {
        let of = |slot: &u32| {
            let found = self.badge(program, *slot).and_then(|badge| self.kinds.get(&badge));
            found.is_some() && kind.is_none_or(|kind| found == Some(&kind))
        };
        (PROGRAM_SLOT..SLOTS).filter(of).collect()
    }
}

/// As many tables more as this machine has levels of them.
pub fn levels(target: Target, amounts: Amounts) -> Amounts {
    let tables = amounts.of(Resource::Tables).saturating_mul(target.levels_below_root() as u32);
    amounts.with(Resource::Tables, tables)
}

/// A program that has not sent anything.
fn program<'a>(
    host: &mut Fixture<'a>,
    objects: &mut Objects<'a>,
    amounts: Amounts,
) -> Option<Known> {
    let new = NewProgram {
        name: "sender",
        file: image::program(host.target()),
        stack_pages: 1,
        amounts,
        physical: amounts.0[0].is_multiple_of(3),
        console: !amounts.0[0].is_multiple_of(5),
    };
    let (id, start) = objects.create_program(&mut host.vmm, &new).ok()?;
    objects.note_started(&start, PRIORITY);
    let Some((cnode, cnode_bits)) = cnode_of(host, start.tcb) else {
        objects.kill(id).expect("it lives");
        return None;
    };
    Some(Known { id, cnode, cnode_bits, mapped: Vec::new() })
}

/// The capability to the CNode that is mounted in a thread's CSpace, in the manager's; and
/// the logarithm of the number of its slots.
fn cnode_of(host: &Fixture<'_>, tcb: CPtr) -> Option<(CPtr, u8)> {
    let kernel = host.kernel();
    let Cap::CNode { base, .. } = kernel.tcb(tcb)?.cspace else { return None };
    let slots = 1usize << host.machine.config.cnode_radix;
    let find = |base: usize| {
        let is =
            |&at: &CPtr| matches!(kernel.cap(at), Cap::CNode { base: found, .. } if found == base);
        (0..slots).map(CPtr::new).find(is)
    };
    let root = CapPath { root: find(base)?, index: 0, depth: 4 };
    match kernel.cap_at(root) {
        Some(Cap::CNode { base, radix, .. }) => Some((find(base)?, radix)),
        _ => None,
    }
}

/// What arrives at the service's endpoint of the capabilities in these slots, as the kernel
/// transfers them.
pub fn arrive(
    host: &Fixture<'_>,
    endpoint: CPtr,
    slots: impl Iterator<Item = CapPath>,
) -> Vec<Arrived> {
    let kernel = host.kernel();
    let Cap::Endpoint { base: own, .. } = kernel.cap(endpoint) else {
        panic!("the service's endpoint is gone")
    };
    let mut arrived = Vec::new();
    for slot in slots {
        match kernel.cap_at(slot) {
            Some(Cap::Null) | None => break,
            Some(Cap::Endpoint { base, badge, .. }) if base == own => {
                arrived.push(Arrived::Own(badge));
            }
            // It takes the one slot there is for it.
            Some(_) => {
                arrived.push(Arrived::Foreign);
                break;
            }
        }
    }
    arrived
}
