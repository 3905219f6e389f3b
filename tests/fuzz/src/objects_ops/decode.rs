// SPDX-License-Identifier: BSD-2-Clause
//! Bytes to requests and capabilities. What one names mostly exists, and is mostly of the right
//! kind.

use vmm_service::objects::protocol::{
    AccountOptions, Amounts, FIRST_FREE_SLOT, FOREVER, FaultPolicy, Kind, Line, MemoryOptions,
    Name, Piece, REGISTERS, RESOURCES, Registers, Request, Resource, Rights, Supply,
};
use vmm_tests::support::PAGE;

use super::world::{Known, OPTIONS, SLOTS, World};
use crate::bytes::Bytes;
use crate::machine::DEVICE;

const OVERCOMMIT: AccountOptions = AccountOptions::OVERCOMMIT;

/// Amounts of an account: small ones, as a rule.
pub fn amounts(bytes: &mut Bytes<'_>) -> Amounts {
    bytes.pick(&[
        Amounts([20, 4, 60, 2, 2, 10, 20, 0]),
        Amounts([200, 30, 600, 10, 4, 60, 150, 0]),
        Amounts([60, 12, 150, 4, 3, 30, 60, 0]),
        Amounts([2, 0, 0, 0, 1, 4, 4, 0]),
        Amounts::NONE,
        Amounts([1000, 100, 4000, 50, 20, 400, 900, 0]),
        Amounts::MAX,
    ])
}

/// What a program begins with: mostly enough for it to be made.
pub fn first_amounts(bytes: &mut Bytes<'_>) -> Amounts {
    match bytes.one_in(8) {
        true => amounts(bytes),
        false => bytes.pick(&[
            Amounts([201, 30, 600, 10, 4, 60, 150, 0]),
            Amounts([400, 40, 900, 20, 8, 120, 300, 0]),
        ]),
    }
}

/// A slot, mostly one that senders use.
fn slot(bytes: &mut Bytes<'_>) -> u32 {
    match bytes.one_in(12) {
        true => bytes.pick(&[0, 1, 2, 3, 4, 511, 512, 1 << 16, u32::MAX]),
        false => FIRST_FREE_SLOT + bytes.below((SLOTS - FIRST_FREE_SLOT) as usize) as u32,
    }
}

/// Pages that a pager supplies or takes back.
fn supplied(bytes: &mut Bytes<'_>) -> u32 {
    bytes.pick(&[1, 1, 1, 2, 3, 16, 0, 17])
}

/// Pages of a large one, or of two.
fn large(bytes: &mut Bytes<'_>) -> u32 {
    bytes.pick(&[1024, 1024, 1024, 2048])
}

fn pages(bytes: &mut Bytes<'_>) -> u32 {
    bytes.pick(&[1, 1, 1, 2, 2, 3, 5, 9, 16, 64, 65, 130, 0, 1025, u32::MAX])
}

/// A byte of a memory object: mostly near the line between two pages, or the end.
fn offset(bytes: &mut Bytes<'_>) -> usize {
    let near = bytes.below(3 * PAGE);
    bytes.pick(&[near, near, PAGE - 5, 2 * PAGE - 1, 3 * PAGE, usize::MAX])
}

fn rights(bytes: &mut Bytes<'_>) -> Rights {
    match bytes.one_in(3) {
        true => Rights::from_bits_truncate(u32::from(bytes.byte())),
        false => bytes.pick(&[Rights::READ, Rights::READ, Rights::READ_WRITE, Rights::empty()]),
    }
}

/// An address, mostly of a mapping or where one may be.
pub fn address(known: &Known, bytes: &mut Bytes<'_>) -> usize {
    let mapped = known.mapped.get(bytes.below(known.mapped.len()));
    match (bytes.below(8), mapped) {
        (0..=4, Some(&(start, _))) => start,
        (5, Some(&(start, pages))) => start + bytes.below(pages as usize + 1) * PAGE,
        (6, _) => 0x10_0000 * (1 + bytes.below(4000)),
        // A word of this machine.
        _ => bytes.wild() as u32 as usize,
    }
}

/// Pages of a mapping: mostly some of it.
fn part(known: &Known, bytes: &mut Bytes<'_>) -> (usize, u32) {
    let mapped = known.mapped.get(bytes.below(known.mapped.len())).copied();
    match mapped.filter(|_| !bytes.one_in(6)) {
        Some((start, count)) => {
            let page = bytes.below(count as usize);
            let left = count - page as u32;
            // Large pages are cut by nothing.
            let (page, left) = match count % 1024 == 0 && bytes.one_in(2) {
                true => (page & !1023, count - (page as u32 & !1023)),
                false => (page, left),
            };
            let some = bytes.pick(&[left, 1, 1, 2, left / 2, 64, 1024]);
            (start + page * PAGE, if bytes.one_in(12) { some } else { some.clamp(1, left) })
        }
        None => (address(known, bytes), pages(bytes)),
    }
}

/// How long a pager waits to be told of a page.
pub fn wait(bytes: &mut Bytes<'_>) -> u32 {
    bytes.pick(&[0, 0, FOREVER, 1, 5])
}

impl World<'_> {
    /// A request of a sender's.
    pub fn request_of(&self, known: &Known, bytes: &mut Bytes<'_>) -> Request {
        let memory = bytes.pick(&[MemoryOptions::WRITABLE, MemoryOptions::empty()]);
        match bytes.below(52) {
            0 => Request::Info {},
            1..=2 => Request::Restrict { rights: rights(bytes), slot: slot(bytes) },
            3..=4 => {
                let slot = if bytes.one_in(2) { 0 } else { slot(bytes) };
                Request::Revoke { slot }
            }
            5..=6 => Request::Destroy {},
            7 => {
                let options = bytes.pick(&[
                    AccountOptions::empty(),
                    OVERCOMMIT,
                    OVERCOMMIT | AccountOptions::WAIT,
                ]);
                Request::CreateAccount { amounts: amounts(bytes), options, slot: slot(bytes) }
            }
            8 => {
                let amounts = match bytes.one_in(3) {
                    true => amounts(bytes),
                    false => {
                        let amounts = Amounts([bytes.below(9) as u32; RESOURCES]);
                        amounts.with(Resource::LargePages, bytes.below(2) as u32)
                    }
                };
                Request::Give { amounts, back: bytes.one_in(2) }
            }
            9..=10 if bytes.one_in(2) => {
                let options = memory | MemoryOptions::LARGE;
                let pages = if bytes.one_in(8) { pages(bytes) } else { large(bytes) };
                Request::CreateMemory { pages, options, slot: slot(bytes) }
            }
            9..=11 => {
                Request::CreateMemory { pages: pages(bytes), options: memory, slot: slot(bytes) }
            }
            12 => {
                let address = bytes.pick(&[DEVICE, DEVICE + PAGE, DEVICE + 7, 0, !0xfff]);
                let (pages, slot) = (pages(bytes), slot(bytes));
                Request::CreatePhysical { address, pages, options: memory, slot }
            }
            13 => Request::Clone { slot: slot(bytes) },
            14 => Request::CreateSpace { slot: slot(bytes) },
            15..=18 => {
                let address = if bytes.one_in(3) { address(known, bytes) } else { 0 };
                let first = bytes.pick(&[0, 0, 0, 1, 4, u32::MAX]);
                let pages = if bytes.one_in(3) { large(bytes) } else { pages(bytes) };
                let rights = rights(bytes);
                match bytes.one_in(5) {
                    true => Request::MapPrivate { address, first, pages, rights },
                    false => Request::Map { address, first, pages, rights },
                }
            }
            19 => Request::Populate { address: address(known, bytes), pages: pages(bytes) },
            20 => Request::Unmap { address: address(known, bytes) },
            21 => Request::CreateEndpoint { object: slot(bytes), slot: slot(bytes) },
            22 => Request::CreateNotification { object: slot(bytes), slot: slot(bytes) },
            23 => Request::Resize { pages: pages(bytes) },
            24 => Request::CreateProgram {
                amounts: amounts(bytes),
                options: bytes.pick(&OPTIONS),
                name: Name::new("child"),
                slot: slot(bytes),
                space: if bytes.one_in(2) { 0 } else { slot(bytes) },
                account: if bytes.one_in(2) { 0 } else { slot(bytes) },
            },
            25..=26 => Request::Load {},
            27 => Request::Grant { rights: rights(bytes), slot: slot(bytes) },
            28 => Request::GrantKernel { slot: slot(bytes) },
            29 => {
                let stack = bytes.pick(&[1, 2, 64, 65, 0]);
                let priority = bytes.pick(&[100, 1, 101, 1 << 9]);
                Request::Start { argument: bytes.wild(), stack, priority }
            }
            30 => bytes.pick(&[
                Request::SuspendProgram {},
                Request::SuspendProgram {},
                Request::Resume {},
                Request::Kill {},
                Request::TellEnd {},
            ]),
            31 => Request::Read { offset: offset(bytes), bytes: pages(bytes).wrapping_mul(31) },
            32 | 33 => {
                let piece = Piece::of(&[bytes.below(256) as u8; 80][bytes.below(81)..]);
                Request::Write { offset: offset(bytes), piece }
            }
            34 | 35 => {
                let to = if bytes.one_in(2) { address(known, bytes) } else { 0 };
                let (address, pages) = part(known, bytes);
                Request::Move { address, pages, to, rights: rights(bytes) }
            }
            36 => {
                let (pages, most) = (pages(bytes), bytes.pick(&[1, 1, 2, 5, 16, 0, u32::MAX]));
                Request::CreatePaged { pages, most, slot: slot(bytes) }
            }
            37 => {
                let next = Request::NextFault { wait: wait(bytes) };
                bytes.pick(&[next, Request::TellFaults {}, Request::Bind {}])
            }
            38 => Request::Supply {
                first: bytes.below(3) as u32,
                pages: supplied(bytes),
                from: bytes.below(3) as u32,
                how: bytes.pick(&Supply::ALL),
                write: bytes.one_in(2),
                wait: wait(bytes),
            },
            39 => {
                let (first, pages) = (bytes.below(3) as u32, supplied(bytes));
                Request::AllowWrite { first, pages, wait: wait(bytes) }
            }
            40 => {
                let (first, into) = (bytes.below(3) as u32, bytes.below(3) as u32);
                Request::TakeBack { first, pages: supplied(bytes), into }
            }
            41 => {
                let (first, pages) = (bytes.below(3) as u32, supplied(bytes));
                let refuse = Request::Refuse { page: first, wait: wait(bytes) };
                bytes.pick(&[Request::Decommit { first, pages }, refuse])
            }
            42 => Request::CreateThread {
                entry: bytes.wild(),
                argument: bytes.wild(),
                stack: bytes.pick(&[1, 1, 2, 64, 65, 0]),
                guard: bytes.pick(&[0, 1, 16, 17]),
                priority: bytes.pick(&[100, 1, 101, 1 << 9]),
                policy: bytes.pick(&FaultPolicy::ALL),
                slot: slot(bytes),
            },
            43 if bytes.one_in(4) => {
                let ms = bytes.pick(&[0, 1, 5, u32::MAX]);
                bytes.pick(&[Request::LimitWaits { ms }, Request::Sleep { ms }])
            }
            43 if bytes.one_in(3) => Request::Locate { page: bytes.below(3) as u32 },
            43 if bytes.one_in(2) => {
                Request::FirstThread { policy: bytes.pick(&FaultPolicy::ALL), slot: slot(bytes) }
            }
            43 => Request::EndThread { code: 1, own: bytes.one_in(3) },
            44 | 45 => {
                let (address, pages) = part(known, bytes);
                Request::Protect { address, pages, rights: rights(bytes) }
            }
            46 | 47 => {
                let (address, pages) = part(known, bytes);
                Request::UnmapPart { address, pages }
            }
            48 => {
                let address = if bytes.one_in(2) { address(known, bytes) } else { 0 };
                let ceiling = bytes.pick(&[Rights::READ_WRITE, Rights::READ, Rights::WRITE]);
                Request::Reserve { address, pages: pages(bytes), ceiling, slot: slot(bytes) }
            }
            50 => {
                let registers = Registers([bytes.wild(); REGISTERS]);
                bytes.pick(&[
                    Request::BindThread {},
                    Request::UnbindThread {},
                    Request::Unbind {},
                    Request::ReadRegisters {},
                    Request::WriteRegisters { registers },
                    Request::Suspend {},
                    Request::Suspend {},
                    Request::Resume {},
                ])
            }
            _ if bytes.one_in(6) => Request::Exit { code: 3 },
            _ => Request::Say { line: Line::new("a line") },
        }
    }

    /// Slots of capabilities for a request: in most places one of the right kind.
    pub fn slots_for(&self, known: &Known, request: &Request, bytes: &mut Bytes<'_>) -> Vec<u32> {
        let mut slots = Vec::new();
        for due in request.due() {
            let right = self.slots_of(known, due.kind);
            let begin = match due.kind {
                Some(Kind::Account) => Some(2),
                Some(Kind::Space) => Some(3),
                _ => None,
            };
            let choice = bytes.below(16);
            slots.push(match (choice, begin) {
                (0, _) => bytes.below(SLOTS as usize) as u32,
                (1..=8, Some(begin)) => begin,
                _ => right.get(bytes.below(right.len())).copied().unwrap_or(slot(bytes)),
            });
        }
        if bytes.one_in(16) {
            slots.truncate(bytes.below(3));
        }
        while bytes.one_in(16) && slots.len() < 3 {
            slots.push(bytes.below(SLOTS as usize) as u32);
        }
        slots
    }
}
