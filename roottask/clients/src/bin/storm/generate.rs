// SPDX-License-Identifier: BSD-2-Clause
//! Random messages: requests that are meant, about what the program has, and in most of them
//! something wrong.

use vmm_client::objects::{
    AccountOptions, Amounts, FaultPolicy, Kind, Line, MemoryOptions, Name, Piece, ProgramOptions,
    Registers, Request, Resource, Rights, Supply, MAX_CAPABILITIES, PAGE_BYTES, REGISTERS,
    RESOURCES, SPACE_SLOT,
};
use vmm_client::LARGE_PAGE_BYTES;
use vmm_clients::Random;

use crate::known::{Held, Known, Mapped, PAYER_SLOT, SLOTS};
use crate::message::{Message, WORDS};

/// Pages that a large one is as long as.
const LARGE: u32 = (LARGE_PAGE_BYTES / PAGE_BYTES) as u32;
/// The number of the request that ends its sender, which is sent when all others are.
const EXIT: u32 = 0x50;

pub struct Generator<'a> {
    pub known: &'a Known,
    pub random: &'a mut Random,
}

impl Generator<'_> {
    /// The next one: of five two are as they should be, as far as the program knows.
    pub fn message(&mut self) -> Message {
        let (request, space) = self.request();
        let encoded = request.encode();
        let mut message = Message {
            label: encoded.label(),
            words: [0; WORDS],
            length: encoded.words().len(),
            slots: [0; MAX_CAPABILITIES],
            came: request.due().len(),
        };
        message.words[..message.length].copy_from_slice(encoded.words());
        for (place, due) in message.slots.iter_mut().zip(request.due()) {
            *place = match (due.kind, space) {
                _ if due.foreign => self.known.slot(self.random, is_foreign).unwrap_or(0),
                (Some(Kind::Space), Some(space)) => space,
                (kind, _) => self.slot_of(kind),
            };
        }
        if self.one_in(5) {
            self.spoil(&mut message);
        }
        if self.one_in(5) {
            self.spoil(&mut message);
        }
        if message.label & 0xfff == EXIT {
            message.label ^= 1;
        }
        message
    }

    fn one_in(&mut self, n: u32) -> bool {
        self.random.below(n) == 0
    }

    fn pick<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.random.below(values.len() as u32) as usize]
    }

    /// Makes something of a message wrong, as a rule.
    fn spoil(&mut self, message: &mut Message) {
        let place = self.random.below(MAX_CAPABILITIES as u32) as usize;
        let word = self.random.below(message.length.max(1) as u32) as usize;
        match self.random.below(9) {
            // A wrong capability, a foreign one, none, an empty slot, a slot that is not there.
            0 => message.slots[place] = self.random.below(SLOTS as u32),
            1 => message.slots[place] = self.known.slot(self.random, is_foreign).unwrap_or(0),
            2 => message.came = message.came.saturating_sub(1),
            3 => message.slots[place] = self.known.slot(self.random, is_empty).unwrap_or(0),
            4 => message.came = MAX_CAPABILITIES,
            // Values that are too large, or have a bit that means nothing.
            5 => message.words[word] = usize::MAX >> self.random.below(usize::BITS - 1),
            6 => message.words[word] ^= 1 << self.random.below(usize::BITS),
            // Another length, another message.
            7 => message.length = self.random.below(WORDS as u32 + 1) as usize,
            _ => {
                message.label ^= 1 << self.random.below(20);
                message.words[word] = self.random.number() as usize;
            }
        }
    }

    /// A slot with a capability to such an object.
    fn slot_of(&mut self, kind: Option<Kind>) -> u32 {
        // What lives as a rule, and what has most.
        let begun = match kind {
            Some(Kind::Account) => Some(PAYER_SLOT),
            Some(Kind::Space) => Some(SPACE_SLOT),
            _ => None,
        };
        if let Some(begun) = begun.filter(|_| !self.one_in(3)) {
            return begun;
        }
        let is = |held| match (held, kind) {
            (Held::Own(found) | Held::Weak(found), Some(kind)) => found == kind,
            (Held::Own(found), None) => found != Kind::Program,
            _ => false,
        };
        self.known.slot(self.random, is).unwrap_or(0)
    }

    /// A slot for a new capability: an empty one, as a rule.
    fn new_slot(&mut self) -> u32 {
        let empty = self.known.slot(self.random, is_empty);
        empty.filter(|_| !self.one_in(16)).unwrap_or(600)
    }

    fn pages(&mut self) -> u32 {
        self.pick(&[1, 1, 2, 3, 4, 8, 8, 17, 65])
    }

    /// A byte of a memory object, or one behind its end.
    fn offset(&mut self) -> usize {
        self.pick(&[0, 1, 95, PAGE_BYTES - 3, 3 * PAGE_BYTES, !0])
    }

    fn rights(&mut self) -> Rights {
        match self.random.below(4) {
            0 | 1 => Rights::REVOKE | Rights::DESTROY,
            2 => Rights::READ | Rights::USE | Rights::REVOKE,
            _ => Rights::from_bits_truncate(self.random.number()),
        }
    }

    fn amounts(&mut self) -> Amounts {
        match self.one_in(8) {
            true => Amounts([self.random.number() >> self.random.below(32); RESOURCES]),
            false => Amounts([20, 10, 20, 2, 1, 8, 16, u32::from(self.one_in(4))]),
        }
    }

    /// A request that makes sense, or nearly, and the slot of the space that it is about, if it is
    /// about a mapping.
    fn request(&mut self) -> (Request, Option<u32>) {
        let mapped = self.known.mapping(self.random);
        let address = mapped.map_or(0x40_0000, |mapped| mapped.address);
        let request = match (self.random.below(8), mapped) {
            (0, Some(Mapped { pages, .. })) => Request::Populate { address, pages },
            (1, Some(_)) => Request::Unmap { address },
            (2, _) if self.one_in(8) => Request::Unmap { address },
            (3, Some(Mapped { pages, .. })) => self.request_of_part(address, pages),
            _ => return (self.other_request(address), None),
        };
        (request, mapped.map(|mapped| mapped.space))
    }

    /// A request about pages of a mapping: all, or some.
    fn request_of_part(&mut self, address: usize, pages: u32) -> Request {
        let (first, pages) = match pages == LARGE && self.one_in(2) {
            true => (0, pages),
            false => {
                let first = self.random.below(pages);
                (first, 1 + self.random.below(pages - first))
            }
        };
        let address = address + first as usize * PAGE_BYTES;
        let rights = self.pick(&[Rights::READ, Rights::READ_WRITE]);
        match self.random.below(4) {
            0 | 1 => Request::Protect { address, pages, rights },
            2 => Request::UnmapPart { address, pages },
            _ => {
                let to = if self.one_in(3) { address + 16 * PAGE_BYTES } else { 0 };
                Request::Move { address, pages, to, rights }
            }
        }
    }

    /// A request about a program that is never more than made: nothing that it holds is a program's
    /// file.
    fn request_of_program(&mut self) -> Request {
        match self.random.below(10) {
            0..=1 => Request::CreateProgram {
                amounts: match self.one_in(2) {
                    true => Amounts([14, 8, 20, 3, 1, 5, 8, 0]),
                    false => self.amounts(),
                },
                options: self.pick(&[
                    ProgramOptions::empty(),
                    ProgramOptions::SUSPEND_AT_FAULT,
                    ProgramOptions::FEW_SLOTS,
                ]),
                name: Name::new("of the storm"),
                slot: self.new_slot(),
                space: if self.one_in(2) { 0 } else { self.new_slot() },
                account: if self.one_in(4) { self.new_slot() } else { 0 },
            },
            2 => Request::Load {},
            3 => Request::Grant { rights: self.rights(), slot: 8 + self.random.below(600) },
            4 => Request::GrantKernel { slot: 8 + self.random.below(600) },
            5 => Request::Start {
                argument: self.random.number() as usize,
                stack: self.pages(),
                priority: self.random.below(300),
            },
            6 if self.one_in(3) => Request::SuspendProgram {},
            6 if self.one_in(2) => {
                Request::FirstThread { policy: self.pick(&FaultPolicy::ALL), slot: self.new_slot() }
            }
            6 => Request::Resume {},
            7 => Request::Kill {},
            8 if self.one_in(2) => Request::LimitWaits { ms: self.random.below(3) },
            8 => Request::Sleep { ms: self.random.below(3) },
            _ => Request::TellEnd {},
        }
    }

    /// A request about memory whose pages this program supplies, and that it does not touch.
    fn request_of_pager(&mut self) -> Request {
        let first = self.random.below(4);
        let (pages, other) = (self.pick(&[1, 1, 2, 4, 16, 17]), self.random.below(4));
        // Milliseconds: there is nobody who would touch a page.
        let wait = self.pick(&[0, 0, 0, 1, 2]);
        match self.random.below(10) {
            0..=2 => Request::CreatePaged {
                pages: self.pages(),
                most: self.pick(&[1, 1, 2, 4]),
                slot: self.new_slot(),
            },
            3..=5 => Request::Supply {
                first,
                pages,
                from: other,
                how: self.pick(&Supply::ALL),
                write: self.one_in(2),
                wait,
            },
            6 => Request::TakeBack { first, pages, into: other },
            7 if self.one_in(2) => Request::AllowWrite { first, pages, wait },
            7 => Request::Decommit { first, pages },
            8 if self.one_in(2) => Request::Refuse { page: first, wait },
            8 => Request::NextFault { wait },
            _ if self.one_in(3) => Request::Locate { page: first },
            _ if self.one_in(2) => Request::TellFaults {},
            _ => Request::Bind {},
        }
    }

    /// A request about a thread, which there never is: it would run what nobody wrote.
    fn request_of_thread(&mut self) -> Request {
        match self.random.below(4) {
            0 => Request::CreateThread {
                entry: self.random.number() as usize,
                argument: 0,
                stack: self.pick(&[0, 65]),
                guard: self.random.below(20),
                priority: self.random.below(300),
                policy: self.pick(&FaultPolicy::ALL),
                slot: self.new_slot(),
            },
            1 => Request::EndThread { code: 0, own: self.one_in(2) },
            _ => {
                let registers = Registers([self.random.number() as usize; REGISTERS]);
                self.pick(&[
                    Request::BindThread {},
                    Request::UnbindThread {},
                    Request::Unbind {},
                    Request::ReadRegisters {},
                    Request::WriteRegisters { registers },
                    Request::Suspend {},
                    Request::Resume {},
                ])
            }
        }
    }

    fn other_request(&mut self, mapped: usize) -> Request {
        let memory = self.pick(&[MemoryOptions::WRITABLE, MemoryOptions::empty()]);
        match self.random.below(44) {
            0..=3 => Request::Info {},
            4..=6 => Request::Restrict { rights: self.rights(), slot: self.new_slot() },
            // Nobody can name the object then, and it stays.
            7 if self.one_in(4) => Request::Revoke { slot: 0 },
            7..=8 => Request::Revoke { slot: self.new_slot() },
            9..=14 => Request::Destroy {},
            15 => {
                let options = self.pick(&[AccountOptions::empty(), AccountOptions::OVERCOMMIT]);
                Request::CreateAccount { amounts: self.amounts(), options, slot: self.new_slot() }
            }
            16 if self.one_in(3) => {
                let (resource, amount) = (self.pick(&Resource::ALL), self.random.below(99));
                Request::TellAccount { resource, amount }
            }
            16 => {
                let amounts = Amounts([self.random.below(3); RESOURCES]);
                let large = u32::from(self.one_in(4));
                let amounts = amounts.with(Resource::LargePages, large);
                Request::Give { amounts, back: self.one_in(2) }
            }
            17 if self.one_in(4) => {
                let pages = if self.one_in(8) { self.pages() } else { LARGE };
                let (options, slot) = (memory | MemoryOptions::LARGE, self.new_slot());
                Request::CreateMemory { pages, options, slot }
            }
            17..=19 => Request::CreateMemory {
                pages: self.pages(),
                options: memory,
                slot: self.new_slot(),
            },
            20 => {
                let address = self.pick(&[0xfee0_0000, 0, !0xfff, 7]);
                let slot = self.new_slot();
                Request::CreatePhysical { address, pages: self.pages(), options: memory, slot }
            }
            21 => Request::Clone { slot: self.new_slot() },
            22 if self.one_in(2) => Request::CreateSpace { slot: self.new_slot() },
            22 => Request::Reserve {
                address: 0,
                pages: self.pages(),
                ceiling: self.pick(&[Rights::READ, Rights::READ_WRITE]),
                slot: self.new_slot(),
            },
            23..=25 => {
                let address = match self.one_in(4) {
                    true => mapped + self.random.below(64) as usize * PAGE_BYTES,
                    false => 0,
                };
                let rights = self.pick(&[Rights::READ, Rights::READ_WRITE]);
                let (first, pages) = (0, self.pick(&[1, 1, 1, 2, 8, LARGE]));
                match self.one_in(6) {
                    true => Request::MapPrivate { address, first, pages, rights },
                    false => Request::Map { address, first, pages, rights },
                }
            }
            28 => Request::Resize { pages: self.pages() },
            31..=34 => self.request_of_program(),
            36..=40 => self.request_of_pager(),
            41..=43 => self.request_of_thread(),
            29 => Request::Read { offset: self.offset(), bytes: self.random.below(200) },
            30 => {
                let length = self.random.below(97) as usize;
                Request::Write { offset: self.offset(), piece: Piece::of(&[7; 96][..length]) }
            }
            26 => {
                let (object, slot) = (self.new_slot(), self.new_slot());
                match self.one_in(2) {
                    true => Request::CreateEndpoint { object, slot },
                    false => Request::CreateNotification { object, slot },
                }
            }
            _ if self.one_in(64) => Request::Say { line: Line::new("a random line") },
            _ => Request::Info {},
        }
    }
}

fn is_empty(held: Held) -> bool {
    held == Held::Nothing
}

fn is_foreign(held: Held) -> bool {
    held == Held::Foreign
}
