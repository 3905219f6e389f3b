// SPDX-License-Identifier: BSD-2-Clause
//! What the generator believes to be in the window. It is told results only, so it may be wrong:
//! wrong guesses make illegal calls, which are wanted as well.

use untyped_alloc::kernel::Blueprint;

use crate::call::{Call, SlotPath, Target};
use crate::config::WINDOW;

/// What kind of capability a slot may hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Empty,
    /// Something.
    Unknown,
    Untyped {
        size_bits: u8,
    },
    Frame {
        mapped: bool,
    },
    /// Of level 0, `mapped` is to have an ASID.
    Table {
        level: u8,
        mapped: bool,
    },
    Tcb,
    CNode {
        radix: u8,
        guard: u32,
        guard_bits: u8,
    },
    /// An endpoint or notification.
    Passive,
    Pool,
}

/// No slot of the window is this one's parent.
const ORPHAN: u8 = u8::MAX;

/// A belief about each slot, and about what each was derived from.
#[derive(Clone, Debug)]
pub(crate) struct Guesses {
    kinds: [Kind; WINDOW as usize],
    parents: [u8; WINDOW as usize],
    /// Where tables were mapped last: VSpace and number of the address.
    tables: [(Target, u8); TABLES],
    next_table: usize,
}

/// How many mapped tables are remembered.
const TABLES: usize = 8;

impl Guesses {
    pub(crate) fn new() -> Guesses {
        Guesses {
            kinds: [Kind::Empty; WINDOW as usize],
            parents: [ORPHAN; WINDOW as usize],
            tables: [(Target::VSpace, 0); TABLES],
            next_table: 0,
        }
    }

    /// Where a table may be mapped: VSpace and number of the address.
    pub(crate) fn table(&self, number: u32) -> (Target, u8) {
        self.tables[number as usize % TABLES]
    }

    pub(crate) fn kind(&self, slot: u8) -> Kind {
        self.kinds[usize::from(slot)]
    }

    /// Learns that `call` succeeded.
    pub(crate) fn succeeded(&mut self, call: &Call) {
        match *call {
            Call::Retype { untyped, blueprint, offset, count } => {
                let kind = made(blueprint);
                for slot in offset..offset.saturating_add(count.min(255) as u8).min(WINDOW) {
                    self.set(slot, kind, untyped);
                }
            }
            Call::Copy { dst, src, .. } | Call::MintBadge { dst, src, .. } => {
                self.copied(dst, src, |kind| kind);
            }
            Call::MintGuard { dst, src, guard, guard_bits } => {
                self.copied(dst, src, |kind| match kind {
                    Kind::CNode { radix, .. } => Kind::CNode { radix, guard, guard_bits },
                    other => other,
                });
            }
            Call::Delete { slot: SlotPath::Direct { target: Target::Window(slot), .. } } => {
                self.kinds[usize::from(slot)] = Kind::Empty;
            }
            Call::PageMap { frame: Target::Window(slot), .. } => self.set_mapped(slot, true),
            Call::PageUnmap { frame: Target::Window(slot) } => self.set_mapped(slot, false),
            Call::TableMap { table: Target::Window(slot), vspace, vaddr, .. } => {
                self.set_mapped(slot, true);
                self.tables[self.next_table] = (vspace, vaddr);
                self.next_table = (self.next_table + 1) % TABLES;
            }
            Call::TableUnmap { table: Target::Window(slot), .. } => self.set_mapped(slot, false),
            Call::Assign { vspace: Target::Window(slot), .. } => self.set_mapped(slot, true),
            Call::Revoke { slot: SlotPath::Direct { target, .. } } => self.revoked(target),
            Call::MakePool {
                untyped,
                dst: SlotPath::Direct { target: Target::Window(slot), .. },
            } => self.set(slot, Kind::Pool, untyped),
            _ => {}
        }
    }

    /// Learns that `call` found a slot empty, or else of the wrong kind.
    pub(crate) fn refused(&mut self, call: &Call, empty: bool) {
        let (Call::Retype { untyped: Target::Window(slot), .. }
        | Call::RetypeInto { untyped: Target::Window(slot), .. }
        | Call::PageRemap { frame: Target::Window(slot), .. }
        | Call::PageUnmap { frame: Target::Window(slot) }
        | Call::PageGetAddress { frame: Target::Window(slot) }
        | Call::PageMap { frame: Target::Window(slot), .. }
        | Call::TableMap { table: Target::Window(slot), .. }
        | Call::TableUnmap { table: Target::Window(slot), .. }
        | Call::MakePool { untyped: Target::Window(slot), .. }
        | Call::Assign { vspace: Target::Window(slot), .. }
        | Call::SetIpcBuffer { tcb: Target::Window(slot), .. }
        | Call::SetSpace { tcb: Target::Window(slot), .. }) = *call
        else {
            return;
        };
        match call {
            // A capability that is mapped already is refused like one that is not there.
            Call::PageMap { .. } | Call::TableMap { .. } | Call::Assign { .. } if empty => {
                self.set_mapped(slot, true);
            }
            _ => self.kinds[usize::from(slot)] = if empty { Kind::Empty } else { Kind::Unknown },
        }
    }

    /// Learns that a copy's source is empty.
    pub(crate) fn missing(&mut self, src: SlotPath) {
        if let SlotPath::Direct { target: Target::Window(slot), .. } = src {
            self.kinds[usize::from(slot)] = Kind::Empty;
        }
    }

    /// Learns that the window's slot `slot` was not empty though it was believed to be.
    pub(crate) fn occupied(&mut self, slot: u8) {
        if self.kind(slot) == Kind::Empty {
            self.kinds[usize::from(slot)] = Kind::Unknown;
        }
    }

    fn set_mapped(&mut self, slot: u8, now: bool) {
        if let Kind::Frame { mapped } | Kind::Table { mapped, .. } =
            &mut self.kinds[usize::from(slot)]
        {
            *mapped = now;
        }
    }

    fn set(&mut self, slot: u8, kind: Kind, parent: Target) {
        self.kinds[usize::from(slot)] = kind;
        self.parents[usize::from(slot)] = match parent {
            Target::Window(parent) => parent,
            Target::Source(number) => WINDOW + number,
            _ => ORPHAN,
        };
    }

    fn copied(&mut self, dst: SlotPath, src: SlotPath, change: impl Fn(Kind) -> Kind) {
        let SlotPath::Direct { target: Target::Window(slot), .. } = dst else { return };
        let kind = match src {
            SlotPath::Direct { target: Target::Window(source), .. } => match self.kind(source) {
                Kind::Frame { .. } => Kind::Frame { mapped: false },
                other => other,
            },
            SlotPath::Direct { target: Target::Source(_), .. } => Kind::Untyped { size_bits: 16 },
            _ => Kind::Passive,
        };
        let parent = match src {
            SlotPath::Direct { target, .. } => target,
            SlotPath::Inside { .. } => Target::Null,
        };
        self.set(slot, change(kind), parent);
    }

    /// Empties what is believed to descend from `target`.
    fn revoked(&mut self, target: Target) {
        let root = match target {
            Target::Window(slot) => slot,
            Target::Source(number) => WINDOW + number,
            _ => return,
        };
        // A parent's number says nothing of when it was made, so look until nothing changes.
        let mut gone = [false; 256];
        gone[usize::from(root)] = true;
        for _ in 0..WINDOW {
            for slot in 0..WINDOW {
                let parent = self.parents[usize::from(slot)];
                if self.kind(slot) != Kind::Empty && gone[usize::from(parent)] && slot != root {
                    gone[usize::from(slot)] = true;
                    self.kinds[usize::from(slot)] = Kind::Empty;
                }
            }
        }
    }
}

fn made(blueprint: Blueprint) -> Kind {
    match blueprint {
        Blueprint::Untyped { size_bits } => Kind::Untyped { size_bits },
        Blueprint::Tcb => Kind::Tcb,
        Blueprint::Endpoint | Blueprint::Notification => Kind::Passive,
        Blueprint::CNode { radix_bits } => {
            Kind::CNode { radix: radix_bits, guard: 0, guard_bits: 0 }
        }
        Blueprint::Frame { .. } => Kind::Frame { mapped: false },
        Blueprint::Table { level } => Kind::Table { level, mapped: false },
    }
}
