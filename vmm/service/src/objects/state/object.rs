// SPDX-License-Identifier: BSD-2-Clause
//! An object's record.

use core::cell::Cell;

use intrusive_collections::{KeyAdapter, RBTreeLink};
use vmm::{CPtr, RegionId, SpaceId};
use vmm_client::objects::{Amounts, FaultKind, Kind, MemoryOptions, Rights, State};

use super::account::{Account, Threshold};
use super::supplied::Paged;

/// What a program or a thread does or how it ended, for whoever asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Report {
    pub state: State,
    /// Whether all is given back that it had.
    pub gone: bool,
    /// Its exit code, or its fault's.
    pub code: u32,
    /// The kind of its last fault.
    pub fault: FaultKind,
    /// The addresses of its fault and of the instruction that faulted.
    pub address: usize,
    pub instruction: usize,
    /// The slot of the capability that is signalled at its end; the null slot before there is one.
    pub notify: CPtr,
    /// Whether it is to be signalled now.
    pub due: bool,
}

impl Report {
    /// Of a program that was just made.
    pub const EMPTY: Report = Report {
        state: State::Empty,
        gone: false,
        code: 0,
        fault: FaultKind::None,
        address: 0,
        instruction: 0,
        notify: CPtr::NULL,
        due: false,
    };

    /// Whether there is something to tell.
    pub fn is_told(&self) -> bool {
        self.gone || self.state.is_suspended()
    }
}

/// What an object is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum What {
    /// Nothing yet, or nothing any more: only its record is left.
    #[default]
    Nothing,
    /// What may be used.
    Account(Account),
    /// Pages, in a region of the store of the account that pays.
    Memory {
        /// The region.
        region: RegionId,
        /// How many.
        pages: u32,
        /// What its maker said.
        options: MemoryOptions,
    },
    /// Pages that are large ones of those that were reserved.
    Large {
        /// How many of the smallest.
        pages: u32,
        /// What its maker said.
        options: MemoryOptions,
    },
    /// Pages at a physical address, in such a region from their first mapping on.
    Physical {
        /// The region.
        region: RegionId,
        /// The address of the first.
        address: usize,
        /// How many.
        pages: u32,
        /// What its maker said.
        options: MemoryOptions,
    },
    /// A space.
    Space(SpaceId),
    /// A part of a space, in which nothing is mapped but by a capability to it, or to one around
    /// it.
    Reservation {
        /// Its region.
        region: RegionId,
        /// How many pages.
        pages: u32,
        /// The most rights of what is mapped in it.
        ceiling: Rights,
    },
    /// A kernel object, the original of which stays with the manager.
    Endpoint(vmm::Object),
    /// A kernel object, the original of which stays with the manager.
    Notification(vmm::Object),
    /// A program: it has a record of its own until it ends.
    Program(Report),
    /// A thread of the program with this number: it has a record of its own until it ends.
    Thread(u32, Report),
    /// The console, of which there is one.
    Console,
}

/// An object's node.
#[derive(Default)]
pub(crate) struct Object<'p> {
    pub next_free: Cell<Option<&'p Object<'p>>>,
    by_number: RBTreeLink,
    by_payer: RBTreeLink,
    by_outer: RBTreeLink,
    /// No other object has it. It is in no message.
    pub number: Cell<u32>,
    /// What kind it was made as.
    pub kind: Cell<Option<Kind>>,
    pub what: Cell<What>,
    /// The account that it is charged to; none for the root of all.
    pub payer: Cell<Option<&'p Object<'p>>>,
    /// What is charged.
    pub charge: Cell<Amounts>,
    /// How many of its pages are there.
    pub committed: Cell<u32>,
    /// How often it is mapped, or how many mappings are in it.
    pub mappings: Cell<u32>,
    /// How many programs run in it, or are charged to it.
    pub programs: Cell<u32>,
    /// How many capabilities there are to it.
    pub capabilities: Cell<u32>,
    /// Of memory whose pages come from a pager.
    pub paged: Cell<Option<Paged>>,
    /// Whether the physical address of one of its pages was told: they stay where they are.
    pub located: Cell<bool>,
    /// Of a program that another asked for: its account, until that is gone. Of such an account:
    /// the program.
    pub partner: Cell<Option<&'p Object<'p>>>,
    /// Of a memory object: how many clones of it are being made.
    pub clones: Cell<u32>,
    /// Of a clone that is being made: the program whose it is.
    pub cloner: Cell<Option<&'p Object<'p>>>,
    /// Of a reservation: the space or the reservation that it lies in.
    pub outer: Cell<Option<&'p Object<'p>>>,
    /// How many reservations lie in it, those in them not counted.
    pub inside: Cell<u32>,
    /// Whether it is being taken apart: capabilities to it name nothing any more.
    pub dying: Cell<bool>,
    /// Of a guarantee: how many requests wait for what it lacks, and whether some of that has come
    /// back. The next of those of which that is so; and the first of them, with the root.
    pub waiters: Cell<u32>,
    pub relieved: Cell<bool>,
    pub next_relieved: Cell<Option<&'p Object<'p>>>,
    pub first_relieved: Cell<Option<&'p Object<'p>>>,
    /// Of an account: what is told of it, and whether that may be due. The next of those of which
    /// that is so; and the first of them, with the root.
    pub threshold: Cell<Option<Threshold>>,
    pub low: Cell<bool>,
    pub next_low: Cell<Option<&'p Object<'p>>>,
    pub first_low: Cell<Option<&'p Object<'p>>>,
    /// The next of those of which something is to be told now, and the one before it.
    pub next_told: Cell<Option<&'p Object<'p>>>,
    pub last_told: Cell<Option<&'p Object<'p>>>,
    /// The next of those that are being taken apart, the one before it, and whether it is one.
    pub next_dying: Cell<Option<&'p Object<'p>>>,
    pub last_dying: Cell<Option<&'p Object<'p>>>,
    pub listed: Cell<bool>,
}

#[allow(unsafe_code)] // what the adapter macro expands to
mod adapters {
    use super::*;
    use intrusive_collections::intrusive_adapter;

    intrusive_adapter!(
        pub(crate) ByNumber<'p> = &'p Object<'p>: Object<'p> { by_number => RBTreeLink }
    );
    intrusive_adapter!(
        pub(crate) ByPayer<'p> = &'p Object<'p>: Object<'p> { by_payer => RBTreeLink }
    );
    intrusive_adapter!(
        pub(crate) ByOuter<'p> = &'p Object<'p>: Object<'p> { by_outer => RBTreeLink }
    );
}

pub(crate) use adapters::{ByNumber, ByOuter, ByPayer};

impl<'a> KeyAdapter<'a> for ByNumber<'_> {
    type Key = u32;

    fn get_key(&self, object: &'a Object<'_>) -> u32 {
        object.number.get()
    }
}

impl<'a> KeyAdapter<'a> for ByPayer<'_> {
    /// The account, and the object. 0 is no object's number.
    type Key = (u32, u32);

    fn get_key(&self, object: &'a Object<'_>) -> (u32, u32) {
        (object.payer_number(), object.number.get())
    }
}

impl<'a> KeyAdapter<'a> for ByOuter<'_> {
    /// What it lies in, and the reservation.
    type Key = (u32, u32);

    fn get_key(&self, object: &'a Object<'_>) -> (u32, u32) {
        (object.outer.get().map_or(0, |outer| outer.number.get()), object.number.get())
    }
}

impl<'p> Object<'p> {
    /// The space that a reservation lies in, or the space itself; and how many reservations there
    /// are on the way, with itself.
    pub fn space(&'p self) -> (&'p Object<'p>, u32) {
        let (mut space, mut depth) = (self, 0);
        while let Some(outer) = space.outer.get() {
            (space, depth) = (outer, depth + 1);
        }
        (space, depth)
    }
}

impl Object<'_> {
    /// The number of the account that pays.
    pub fn payer_number(&self) -> u32 {
        self.payer.get().map_or(0, |payer| payer.number.get())
    }

    /// Its figures, if it is an account.
    pub fn account(&self) -> Option<Account> {
        match self.what.get() {
            What::Account(account) => Some(account),
            _ => None,
        }
    }

    /// Nothing is told of it as an account, and nothing of its last user is left.
    pub fn begin_threshold(&self) {
        self.threshold.set(None);
        self.low.set(false);
        self.next_low.set(None);
        self.first_low.set(None);
    }

    /// Its pages, of the smallest size, if they are large ones.
    pub fn large_pages(&self) -> u32 {
        match self.what.get() {
            What::Large { pages, .. } => pages,
            _ => 0,
        }
    }

    /// Whether it is a memory object of large pages.
    pub fn is_large(&self) -> bool {
        self.large_pages() != 0
    }

    /// What there is to say of it, if it is a program or a thread.
    pub fn report(&self) -> Option<Report> {
        match self.what.get() {
            What::Program(report) | What::Thread(_, report) => Some(report),
            _ => None,
        }
    }

    /// Changes what is remembered of it, if it is paged memory.
    pub fn set_paged(&self, change: impl FnOnce(Paged) -> Paged) {
        self.paged.set(self.paged.get().map(change));
    }

    /// Notes what a program or a thread does from now on.
    pub fn set_state(&self, state: State) {
        if let Some(report) = self.report() {
            self.set_report(Report { state, ..report });
        }
    }

    /// Changes what there is to say of it, if it is a program or a thread.
    pub fn set_report(&self, report: Report) {
        match self.what.get() {
            What::Program(_) => self.what.set(What::Program(report)),
            What::Thread(program, _) => self.what.set(What::Thread(program, report)),
            _ => {}
        }
    }

    /// All rights that mean something for it.
    pub fn all_rights(kind: Kind, options: MemoryOptions) -> Rights {
        let own = match kind {
            Kind::Account | Kind::Space => Rights::USE,
            Kind::Memory if options.contains(MemoryOptions::PAGED) => {
                Rights::READ_WRITE | Rights::PAGE
            }
            Kind::Memory if options.contains(MemoryOptions::WRITABLE) => {
                Rights::READ_WRITE | Rights::USE
            }
            Kind::Memory => Rights::READ | Rights::USE,
            Kind::Endpoint | Kind::Notification => Rights::READ_WRITE,
            Kind::Program | Kind::Thread => Rights::USE,
            Kind::Console => Rights::WRITE,
        };
        own | Rights::REVOKE | Rights::DESTROY
    }

    pub fn is(&self, other: &Object<'_>) -> bool {
        self.number.get() == other.number.get()
    }
}
