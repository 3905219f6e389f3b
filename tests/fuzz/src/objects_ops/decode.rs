// SPDX-License-Identifier: BSD-2-Clause
//! Bytes to requests and capabilities. What one names mostly exists, and is mostly of the right
//! kind.

use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, AccountOptions, Amounts, FIRST_FREE_SLOT, FOREVER, FaultPolicy, Kind, Line,
    MemoryOptions, Name, PROGRAM_SLOT, Piece, REGISTERS, RESOURCES, Registers, Request, Resource,
    Rights, SPACE_SLOT, Supply,
};
use vmm_tests::support::{PAGE, Target};

use super::world::{Known, OPTIONS, SLOTS, World};
use crate::bytes::Bytes;
use crate::machine::DEVICE;

const OVERCOMMIT: AccountOptions = AccountOptions::OVERCOMMIT;
/// How memory at a physical address is cached: in one way, or in two, which is none.
const CACHED: [MemoryOptions; 5] = [
    MemoryOptions::empty(),
    MemoryOptions::UNCACHED,
    MemoryOptions::WRITE_COMBINING,
    MemoryOptions::WRITE_THROUGH,
    MemoryOptions::CACHED,
];

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
fn large(unit: u32, bytes: &mut Bytes<'_>) -> u32 {
    bytes.pick(&[unit, unit, unit, 2 * unit])
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
        true => {
            let high = if bytes.one_in(2) { Rights::ADDRESS } else { Rights::empty() };
            Rights::from_bits_truncate(u32::from(bytes.byte())) | high
        }
        false => bytes.pick(&[Rights::READ, Rights::READ, Rights::READ_WRITE, Rights::empty()]),
    }
}

/// An address, mostly of a mapping or where one may be, or near the first of which a fault's
/// message does not tell all.
pub fn address(known: &Known, target: Target, bytes: &mut Bytes<'_>) -> usize {
    let mapped = known.mapped.get(bytes.below(known.mapped.len()));
    match (bytes.below(9), mapped) {
        (0..=4, Some(&(start, _))) => start,
        (5, Some(&(start, pages))) => start + bytes.below(pages as usize + 1) * PAGE,
        (6, _) => 0x10_0000 * (1 + bytes.below(4000)),
        (7, _) => target.fault_end() + PAGE * bytes.below(5) - 2 * PAGE,
        // A word of this machine.
        _ => match target {
            Target::Ia32 => bytes.wild() as u32 as usize,
            #[cfg(target_pointer_width = "64")]
            _ => bytes.wild(),
        },
    }
}

/// Pages of a mapping: mostly some of it.
fn part(known: &Known, (unit, target): (u32, Target), bytes: &mut Bytes<'_>) -> (usize, u32) {
    let mapped = known.mapped.get(bytes.below(known.mapped.len())).copied();
    match mapped.filter(|_| !bytes.one_in(6)) {
        Some((start, count)) => {
            let page = bytes.below(count as usize);
            let left = count - page as u32;
            // Large pages are cut by nothing.
            let (page, left) = match count.is_multiple_of(unit) && bytes.one_in(2) {
                true => {
                    let whole = page as u32 / unit * unit;
                    (whole as usize, count - whole)
                }
                false => (page, left),
            };
            let some = bytes.pick(&[left, 1, 1, 2, left / 2, 64, unit]);
            (start + page * PAGE, if bytes.one_in(12) { some } else { some.clamp(1, left) })
        }
        None => (address(known, target, bytes), pages(bytes)),
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
        let (unit, target) = (self.unit(), self.host.target());
        let address = |bytes: &mut Bytes<'_>| address(known, target, bytes);
        let part = |bytes: &mut Bytes<'_>| part(known, (unit, target), bytes);
        match bytes.below(57) {
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
                    AccountOptions::WAIT,
                ]);
                Request::CreateAccount { amounts: amounts(bytes), options, slot: slot(bytes) }
            }
            8 => {
                let amounts = match bytes.below(4) {
                    0 => amounts(bytes),
                    1 | 2 => {
                        let (resource, amount) = (bytes.pick(&Resource::ALL), bytes.below(3));
                        Amounts::NONE.with(resource, amount as u32)
                    }
                    _ => {
                        let amounts = Amounts([bytes.below(9) as u32; RESOURCES]);
                        amounts.with(Resource::LargePages, bytes.below(2) as u32)
                    }
                };
                Request::Give { amounts, back: bytes.one_in(2) }
            }
            9..=10 if bytes.one_in(2) => {
                let options = memory | MemoryOptions::LARGE;
                let pages = if bytes.one_in(8) { pages(bytes) } else { large(unit, bytes) };
                Request::CreateMemory { pages, options, slot: slot(bytes) }
            }
            9..=11 => {
                Request::CreateMemory { pages: pages(bytes), options: memory, slot: slot(bytes) }
            }
            12 => {
                let address = bytes.pick(&[DEVICE, DEVICE + PAGE, DEVICE + 7, 0, !0xfff]);
                let (pages, slot) = (pages(bytes), slot(bytes));
                let cached = bytes.pick(&CACHED);
                Request::CreatePhysical { address, pages, options: memory | cached, slot }
            }
            13 => Request::Clone { slot: slot(bytes) },
            14 => Request::CreateSpace { slot: slot(bytes) },
            15..=18 => {
                let address = if bytes.one_in(3) { address(bytes) } else { 0 };
                let first = bytes.pick(&[0, 0, 0, 1, 4, u32::MAX]);
                let pages = if bytes.one_in(3) { large(unit, bytes) } else { pages(bytes) };
                let rights = rights(bytes);
                match bytes.one_in(5) {
                    true => Request::MapPrivate { address, first, pages, rights },
                    false => Request::Map { address, first, pages, rights },
                }
            }
            19 => Request::Populate { address: address(bytes), pages: pages(bytes) },
            20 => Request::Unmap { address: address(bytes) },
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
                let to = if bytes.one_in(2) { address(bytes) } else { 0 };
                let (address, pages) = part(bytes);
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
            49 => {
                let ms = bytes.pick(&[0, 1, 5, u32::MAX]);
                bytes.pick(&[Request::LimitWaits { ms }, Request::Sleep { ms }])
            }
            51 => Request::Locate { page: bytes.below(3) as u32 },
            52 => Request::FirstThread { policy: bytes.pick(&FaultPolicy::ALL), slot: slot(bytes) },
            43 => Request::EndThread { code: 1, own: bytes.one_in(3) },
            44 | 45 => {
                let (address, pages) = part(bytes);
                Request::Protect { address, pages, rights: rights(bytes) }
            }
            46 | 47 => {
                let (address, pages) = part(bytes);
                Request::UnmapPart { address, pages }
            }
            48 => {
                let address = if bytes.one_in(2) { address(bytes) } else { 0 };
                let ceiling = bytes.pick(&[Rights::READ_WRITE, Rights::READ, Rights::WRITE]);
                Request::Reserve { address, pages: pages(bytes), ceiling, slot: slot(bytes) }
            }
            53 => {
                let resource = bytes.pick(&Resource::ALL);
                let amount = bytes.pick(&[1, 20, 200, u32::MAX, 0]);
                Request::TellAccount { resource, amount }
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

    /// Slots of capabilities for a request: in most places one of the right kind, and a program
    /// that is not the sender itself.
    pub fn slots_for(&self, known: &Known, request: &Request, bytes: &mut Bytes<'_>) -> Vec<u32> {
        let mut slots = Vec::new();
        for due in request.due() {
            let kind = match request {
                Request::TellEnd {}
                | Request::Resume {}
                | Request::ReadRegisters {}
                | Request::WriteRegisters { .. }
                    if due.kind.is_none() =>
                {
                    Some(bytes.pick(&[Kind::Program, Kind::Thread, Kind::Thread]))
                }
                _ => due.kind,
            };
            let mut right = match due.foreign {
                true => self.slots_of_others(known),
                false => self.slots_of(known, kind),
            };
            if kind == Some(Kind::Program) && !bytes.one_in(8) {
                right.retain(|&slot| slot != PROGRAM_SLOT);
            }
            let begin = match kind {
                Some(Kind::Account) => Some(ACCOUNT_SLOT),
                Some(Kind::Space) => Some(SPACE_SLOT),
                _ => None,
            };
            // Of two accounts one is to be another's; and now and then who pays is.
            let other = match request {
                Request::Give { .. } => slots.len() == 1,
                Request::Resize { .. } => slots.len() == 1 && bytes.one_in(2),
                _ => false,
            };
            let begin = begin.filter(|_| !other);
            if other {
                right.retain(|slot| *slot != ACCOUNT_SLOT);
            }
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
        let seldom = if request.due().is_empty() { 4 } else { 16 };
        while bytes.one_in(seldom) && slots.len() < 3 {
            slots.push(bytes.below(SLOTS as usize) as u32);
        }
        slots
    }
}
