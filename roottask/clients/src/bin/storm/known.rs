// SPDX-License-Identifier: BSD-2-Clause
//! What the program has in its slots and mapped in its space, as far as it knows: others' ends it
//! learns of by refusals.

use sel4::{cap, AbsoluteCPtr, CapRights, Word};
use vmm_client::handles::{free_slot, take_slot, Account, Handle, Memory, Object, Program, Result};
use vmm_client::objects::{
    Amounts, Answer, Kind, MemoryOptions, Refusal, Request, Resource, Rights, CNODE_BITS,
    CNODE_SLOT, CONSOLE_SLOT, FIRST_FREE_SLOT, PAGE_BYTES, PROGRAM_SLOT, SPACE_SLOT,
};
use vmm_clients::Random;

use crate::message::Message;

/// The slots that it uses.
pub const SLOTS: usize = 40;
/// The first of them that it may empty, and fill.
const FIRST: u32 = CNODE_SLOT + 1;
/// The slot of the account that pays.
pub const PAYER_SLOT: u32 = FIRST;
const MAPPINGS: usize = 16;
/// What the account that pays has.
const AMOUNTS: Amounts = Amounts([120, 60, 200, 8, 6, 40, 90, 0]);
/// How often it looks whether what ended has been taken apart.
const PATIENCE: u32 = 1000;

/// What is in a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Held {
    Nothing,
    /// A capability to an object of the service.
    Own(Kind),
    /// The same, without some rights.
    Weak(Kind),
    /// One of the kernel's, or what it does not know.
    Foreign,
}

impl Held {
    fn weakened(self) -> Held {
        match self {
            Held::Own(kind) => Held::Weak(kind),
            other => other,
        }
    }
}

/// A mapping: the slot of its space, its address and its pages.
#[derive(Clone, Copy, Debug)]
pub struct Mapped {
    pub space: u32,
    pub address: usize,
    pub pages: u32,
}

pub struct Known {
    slots: [Held; SLOTS],
    mapped: [Option<Mapped>; MAPPINGS],
}

fn place(slot: u32) -> AbsoluteCPtr {
    let own: cap::CNode = cap::CNode::from_bits(CNODE_SLOT as Word);
    own.absolute_cptr_from_bits_with_depth(slot as Word, CNODE_BITS.into())
}

impl Known {
    /// Ends all that was made, and makes an account that pays for what is made next. Of the two
    /// capabilities to it no message names the one that is returned.
    pub fn anew(program: &Program, before: Option<Account>) -> Result<(Known, Account)> {
        let account = program.account();
        before.map_or(Ok(()), end)?;
        for slot in (FIRST..SLOTS as u32).filter(|&slot| slot != CONSOLE_SLOT) {
            // The kernel refuses nothing but what is being taken apart.
            let _ = place(slot).delete();
        }
        // What ended comes back between requests.
        let made = (0..PATIENCE).find_map(|_| split(&account).ok());
        let child = made.map_or_else(|| split(&account), Ok)?;
        let payer = child.restrict(Rights::USE | Rights::REVOKE | Rights::DESTROY, &child)?;
        let moved = place(PAYER_SLOT).move_(&place(payer.slot()));
        assert_eq!(moved, Ok(()), "the slot was emptied");
        free_slot(payer.slot());
        let mut slots = [Held::Nothing; SLOTS];
        slots[PROGRAM_SLOT as usize] = Held::Own(Kind::Program);
        slots[SPACE_SLOT as usize] = Held::Weak(Kind::Space);
        slots[CNODE_SLOT as usize] = Held::Foreign;
        slots[CONSOLE_SLOT as usize] = Held::Weak(Kind::Console);
        slots[PAYER_SLOT as usize] = Held::Weak(Kind::Account);
        Ok((Known { slots, mapped: [None; MAPPINGS] }, child))
    }

    /// Takes the slots that messages name from those that handles have.
    pub fn take_slots() -> Result {
        (FIRST_FREE_SLOT..SLOTS as u32).try_for_each(|_| take_slot().map(|_| ()))
    }

    /// One of the slots of which something holds, if there is one.
    pub fn slot(&self, random: &mut Random, is: impl Fn(Held) -> bool) -> Option<u32> {
        let found = || (1..SLOTS).filter(|&slot| is(self.slots[slot]));
        let nth = random.below(found().count().max(1) as u32);
        found().nth(nth as usize).map(|slot| slot as u32)
    }

    /// One of its mappings.
    pub fn mapping(&self, random: &mut Random) -> Option<Mapped> {
        let found = || self.mapped.iter().flatten();
        let nth = random.below(found().count().max(1) as u32);
        found().nth(nth as usize).copied()
    }

    fn set(&mut self, slot: u32, held: Held) {
        if let Some(place) = self.slots.get_mut(slot as usize) {
            *place = held;
        }
    }

    fn weaken(&mut self, slot: u32) {
        if let Some(place) = self.slots.get_mut(slot as usize) {
            *place = place.weakened();
        }
    }

    fn remove_mapping(&mut self, address: usize) {
        let is = |found: &mut Mapped| found.address == address;
        for place in &mut self.mapped {
            let _ = place.take_if(is);
        }
    }

    /// Does to its own CNode what a program can do: copies, moves and deletions, of all but what it
    /// sends by and the CNode.
    pub fn tamper(&mut self, random: &mut Random) {
        let any = |random: &mut Random| FIRST + random.below(SLOTS as u32 - FIRST);
        let (from, to) = (any(random), any(random));
        let held = self.slots[from as usize];
        // What takes room only, or may not do much; and now and then what can end an object.
        let spared = matches!(held, Held::Own(_)) && random.below(32) != 0;
        match random.below(4) {
            // An occupied slot is refused by the kernel.
            0 if place(to).copy(&place(from), CapRights::all()).is_ok() => self.set(to, held),
            1 if place(to).move_(&place(from)).is_ok() => {
                self.set(to, held);
                self.set(from, Held::Nothing);
            }
            2 | 3 if !spared && place(from).delete().is_ok() => self.set(from, Held::Nothing),
            _ => {}
        }
    }

    /// Remembers what a request has done. Returns whether it touched what was mapped.
    pub fn learn(&mut self, message: &Message, answer: Answer) -> bool {
        // What was answered is what was sent, not what was meant.
        let Ok(request) = Request::parse(message.label, message.words()) else { return false };
        let first = message.slots().first().copied().unwrap_or(0);
        let held = self.slots.get(first as usize).copied().unwrap_or(Held::Foreign);
        match request {
            Request::Restrict { slot, rights } => {
                let all = Rights::REVOKE | Rights::DESTROY;
                self.set(slot, if rights.contains(all) { held } else { held.weakened() });
            }
            Request::Revoke { slot } if answer == (Answer::Done {}) => {
                self.set(first, Held::Nothing);
                if slot != 0 {
                    self.set(slot, held);
                }
            }
            Request::Destroy {} => self.set(first, Held::Nothing),
            Request::CreateAccount { slot, .. } => self.set(slot, Held::Own(Kind::Account)),
            Request::CreateMemory { slot, .. }
            | Request::CreatePaged { slot, .. }
            | Request::CreatePhysical { slot, .. } => self.set(slot, Held::Own(Kind::Memory)),
            Request::Clone { slot } if answer == (Answer::Done {}) => {
                self.set(slot, Held::Own(Kind::Memory));
            }
            Request::CreateSpace { slot } | Request::Reserve { slot, .. } => {
                self.set(slot, Held::Own(Kind::Space));
            }
            Request::CreateProgram { slot, space, account, .. } => {
                self.set(slot, Held::Own(Kind::Program));
                for (slot, kind) in [(space, Kind::Space), (account, Kind::Account)] {
                    if slot != 0 {
                        self.set(slot, Held::Weak(kind));
                    }
                }
            }
            // It ends with what it was derived from.
            Request::FirstThread { slot, .. } => self.set(slot, Held::Weak(Kind::Thread)),
            Request::CreateEndpoint { object, slot } => {
                self.set(object, Held::Own(Kind::Endpoint));
                self.set(slot, Held::Foreign);
            }
            Request::CreateNotification { object, slot } => {
                self.set(object, Held::Own(Kind::Notification));
                self.set(slot, Held::Foreign);
            }
            Request::Map { rights, pages, .. } | Request::MapPrivate { rights, pages, .. } => {
                let address = match answer {
                    Answer::Mapped { address } => address,
                    // Memory of a device is taken in pieces.
                    Answer::More {} => return false,
                    _ => panic!("{answer:?}"),
                };
                let mapped = Mapped { space: first, address, pages };
                let free = self.mapped.iter_mut().find(|place| place.is_none());
                if let Some(place) = free {
                    *place = Some(mapped);
                }
                let memory = message.slots().get(1).copied().unwrap_or(0);
                return first == SPACE_SLOT && is_plain(memory) && touch(address, pages, rights);
            }
            Request::Unmap { address }
            | Request::UnmapPart { address, .. }
            | Request::Move { address, .. } => self.remove_mapping(address),
            _ => {}
        }
        false
    }

    /// Forgets what it seems to have and has not.
    pub fn learn_of_refusal(&mut self, message: &Message, refusal: Refusal) {
        let at = |place: u32| message.slots().get(place as usize).copied().unwrap_or(0);
        match refusal {
            Refusal::NoCapability { place } | Refusal::Gone { place } => {
                // The kernel delivers none behind one that is no capability: that may be this one.
                for slot in (0..=place).map(at).filter(|&slot| slot >= FIRST) {
                    self.set(slot, Held::Nothing);
                }
            }
            Refusal::ForeignCapability { place } => self.set(at(place), Held::Foreign),
            Refusal::NoRight { place, .. } => self.weaken(at(place)),
            Refusal::BeyondRights { .. } => self.weaken(at(0)),
            Refusal::WrongKind { place, found } => self.set(at(place), Held::Own(found)),
            Refusal::SlotOccupied { slot } => self.set(slot, Held::Foreign),
            Refusal::NoMapping { address } => self.remove_mapping(address),
            _ => {}
        }
    }
}

/// An account for what is made next, with the large page of the program's own if that has it still:
/// a message may have had it pay for memory, which it has lost the capability to since.
fn split(account: &Account) -> Result<Account> {
    let info = account.amounts()?;
    let [all, used] = [info.limits, info.used].map(|amounts| amounts.of(Resource::LargePages));
    account.split(AMOUNTS.with(Resource::LargePages, (all - used).min(1)))
}

/// Ends an account, if no message has ended it.
pub fn end(account: Account) -> Result {
    let slot = account.slot();
    account.destroy().or_else(|error| match error.refusal() {
        Some(Refusal::NoCapability { .. }) => {
            free_slot(slot);
            Ok(())
        }
        _ => Err(error),
    })
}

/// Whether a memory object's pages are there when they are touched. Nobody else would supply them.
fn is_plain(slot: u32) -> bool {
    match Memory::from_slot(slot).info() {
        Ok(Answer::Memory { options, .. }) => !options.contains(MemoryOptions::PAGED),
        _ => false,
    }
}

/// Touches the first page and the last of what was just mapped in the program's own space.
fn touch(address: usize, pages: u32, rights: Rights) -> bool {
    for page in [0, pages as usize - 1] {
        let word = (address + page * PAGE_BYTES) as *mut u32;
        // SAFETY: the pages appear when they are touched, and nothing else lies there.
        unsafe {
            match rights.contains(Rights::WRITE) {
                true => word.write_volatile(page as u32),
                false => drop(word.read_volatile()),
            }
        }
    }
    true
}
