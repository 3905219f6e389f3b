// SPDX-License-Identifier: BSD-2-Clause
//! A program's record.

use core::cell::Cell;

use intrusive_collections::{KeyAdapter, RBTreeLink};
use vmm::{Name, SpaceId};
use vmm_client::objects::{ProgramOptions, State, CNODE_BITS, FEW_CNODE_BITS};

use super::object::{Object, Report};
use super::turn::Turn;
use crate::image::TlsPlace;

/// A clone of a memory object that is being made, in pieces.
#[derive(Clone, Copy)]
pub(crate) struct Cloning<'p> {
    /// The clone, to which there is no capability yet.
    pub clone: &'p Object<'p>,
    /// What it is made of.
    pub source: &'p Object<'p>,
    /// The slot that was named for the capability.
    pub slot: u32,
    /// How many of its pages are done.
    pub done: u32,
    /// Whether pages are copied: what it is made of is mapped, located, or has other users.
    pub copies: bool,
}

/// The CNode of a program that ended, which is empty when its account has ended.
#[derive(Clone, Copy)]
pub(crate) struct Emptied {
    /// The number of the account.
    pub account: u32,
    pub cnode: vmm::Object,
}

/// A program's node.
#[derive(Default)]
pub(crate) struct Program<'p> {
    pub next_free: Cell<Option<&'p Program<'p>>>,
    by_object: RBTreeLink,
    by_space: RBTreeLink,
    by_account: RBTreeLink,
    by_priority: RBTreeLink,
    by_source: RBTreeLink,
    /// Its object, to which its own capability leads.
    pub object: Cell<Option<&'p Object<'p>>>,
    /// The account that all it has is charged to, and that ends with it.
    pub account: Cell<Option<&'p Object<'p>>>,
    /// The space that it runs in.
    pub space: Cell<Option<&'p Object<'p>>>,
    pub space_id: Cell<Option<SpaceId>>,
    /// The root of its CSpace, which it cannot name, and the CNode in there that is its own.
    pub root: Cell<Option<vmm::Object>>,
    pub cnode: Cell<Option<vmm::Object>>,
    /// Whether there may be capabilities in its CNode that do not end with its account, or others
    /// may have one to its CNode.
    pub shares: Cell<bool>,
    /// Whether another program asked for it: then its object and its account are that one's, and
    /// its end is told there.
    pub by_request: Cell<bool>,
    pub options: Cell<ProgramOptions>,
    /// The number of the memory object that its image comes from, and how many pages of it are
    /// done.
    pub image: Cell<u32>,
    pub loaded: Cell<u32>,
    /// Its first instruction, and what threads' local storage begins with.
    pub entry: Cell<usize>,
    pub tls: Cell<Option<TlsPlace>>,
    pub turn: Cell<Turn>,
    /// The priority of its first thread, once that was started: the highest of its threads.
    pub priority: Cell<Option<u8>>,
    /// The same as long as it is not being taken apart: what it is counted with.
    pub counted: Cell<Option<u8>>,
    /// How many are counted with its priority, if it is the first of them.
    pub alike: Cell<u32>,
    pub name: Cell<Name>,
    /// The clone that it is making; set by `Programs::set_cloning` alone.
    pub cloning: Cell<Option<Cloning<'p>>>,
    /// What it does again when it is resumed, while it is suspended by request; `None` while it is
    /// not.
    pub resumes_to: Cell<Option<State>>,
    /// How many milliseconds its threads wait for a page at the most; 0: for ever.
    pub patience: Cell<u32>,
    /// Whether it is being taken apart, and whether none of its threads runs any more.
    pub dying: Cell<bool>,
    pub stopped: Cell<bool>,
    pub next_dying: Cell<Option<&'p Program<'p>>>,
    pub last_dying: Cell<Option<&'p Program<'p>>>,
}

#[allow(unsafe_code)] // what the adapter macro expands to
mod adapters {
    use super::*;
    use intrusive_collections::intrusive_adapter;

    intrusive_adapter!(
        pub(crate) ByObject<'p> = &'p Program<'p>: Program<'p> { by_object => RBTreeLink }
    );
    intrusive_adapter!(
        pub(crate) BySpace<'p> = &'p Program<'p>: Program<'p> { by_space => RBTreeLink }
    );
    intrusive_adapter!(
        pub(crate) ByAccount<'p> = &'p Program<'p>: Program<'p> { by_account => RBTreeLink }
    );
    intrusive_adapter!(
        pub(crate) ByPriority<'p> = &'p Program<'p>: Program<'p> { by_priority => RBTreeLink }
    );
    intrusive_adapter!(
        pub(crate) BySource<'p> = &'p Program<'p>: Program<'p> { by_source => RBTreeLink }
    );
}

pub(crate) use adapters::{ByAccount, ByObject, ByPriority, BySource, BySpace};

impl<'a> KeyAdapter<'a> for ByObject<'_> {
    /// The number of its object.
    type Key = u32;

    fn get_key(&self, program: &'a Program<'_>) -> u32 {
        program.object.get().map_or(0, |object| object.number.get())
    }
}

impl<'a> KeyAdapter<'a> for BySpace<'_> {
    /// The space that it runs in.
    type Key = Option<SpaceId>;

    fn get_key(&self, program: &'a Program<'_>) -> Option<SpaceId> {
        program.space_id.get()
    }
}

impl<'a> KeyAdapter<'a> for ByAccount<'_> {
    /// The number of its account, and its own.
    type Key = (u32, u32);

    fn get_key(&self, program: &'a Program<'_>) -> (u32, u32) {
        (program.account_number(), program.number())
    }
}

impl<'a> KeyAdapter<'a> for ByPriority<'_> {
    /// Its priority, and its number.
    type Key = (u8, u32);

    fn get_key(&self, program: &'a Program<'_>) -> (u8, u32) {
        (program.counted.get().unwrap_or(0), program.number())
    }
}

impl<'a> KeyAdapter<'a> for BySource<'_> {
    /// The number of what it clones, and its own.
    type Key = (u32, u32);

    fn get_key(&self, program: &'a Program<'_>) -> (u32, u32) {
        (program.source(), program.number())
    }
}

impl<'p> Program<'p> {
    /// The number of its account.
    pub fn account_number(&self) -> u32 {
        self.account.get().map_or(0, |account| account.number.get())
    }

    /// The number of the memory object that it is making a clone of; 0: of none.
    pub fn source(&self) -> u32 {
        self.cloning.get().map_or(0, |cloning| cloning.source.number.get())
    }

    /// Its object, with what there is to say of it.
    pub fn report(&self) -> Option<(&'p Object<'p>, Report)> {
        let object = self.object.get()?;
        object.report().map(|report| (object, report))
    }

    /// Whether a fault has suspended it, whether or not it is suspended by request too.
    pub fn is_faulted(&self) -> bool {
        let state = self.report().map(|(_, report)| report.state);
        let state = self.resumes_to.get().or(state);
        matches!(state, Some(State::Faulted | State::TimedOut))
    }

    /// The logarithm of the number of slots in its CNode.
    pub fn cnode_bits(&self) -> u8 {
        match self.options.get().contains(ProgramOptions::FEW_SLOTS) {
            true => FEW_CNODE_BITS,
            false => CNODE_BITS,
        }
    }

    /// The number of its object.
    pub fn number(&self) -> u32 {
        self.object.get().map_or(0, |object| object.number.get())
    }

    /// A node with nothing of what its last user had.
    pub fn begin(&self, name: Name) {
        self.object.set(None);
        self.account.set(None);
        self.space.set(None);
        self.space_id.set(None);
        self.root.set(None);
        self.cnode.set(None);
        self.shares.set(false);
        self.by_request.set(false);
        self.options.set(ProgramOptions::empty());
        self.image.set(0);
        self.loaded.set(0);
        self.entry.set(0);
        self.tls.set(None);
        self.turn.set(Turn::default());
        self.priority.set(None);
        self.counted.set(None);
        self.alike.set(0);
        self.name.set(name);
        self.cloning.set(None);
        self.resumes_to.set(None);
        self.patience.set(0);
        self.dying.set(false);
        self.stopped.set(false);
        self.next_dying.set(None);
        self.last_dying.set(None);
    }
}
