// SPDX-License-Identifier: BSD-2-Clause
//! A client's record.

use core::cell::Cell;

use intrusive_collections::{KeyAdapter, RBTreeLink};
use vmm::{CPtr, Name, Numbers, Object, Quota, SpaceId, ThreadParts, Tls};
use vmm_client::protocol::{CNODE_BITS, MAX_THREADS};

use crate::types::ids::ClientId;

/// Where a client is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum State {
    /// Its messages are answered.
    #[default]
    Alive,
    /// It is being taken apart.
    Dying,
    /// It is gone, and its account waits for its children's.
    Account,
}

/// What is in a slot of a client's CNode. It cannot change that itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Held {
    /// Nothing.
    #[default]
    Nothing,
    /// What it was given at its start.
    Given,
    /// The frame of the IPC buffer at this address.
    IpcBuffer(usize),
    /// The endpoint that a thread's faults go to.
    Faults,
}

/// A thread of a client's, as far as it is made, or not yet taken apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientThread {
    pub parts: ThreadParts,
    /// The slot of the client's CNode for its faults.
    pub slot: u32,
}

impl ClientThread {
    /// The address of its IPC buffer: what its client knows it by.
    pub fn buffer(&self) -> Option<usize> {
        self.parts.memory().map(|memory| memory.ipc_buffer.address())
    }
}

/// A client's node.
#[derive(Default)]
pub(crate) struct Client<'p> {
    pub next_free: Cell<Option<&'p Client<'p>>>,
    by_id: RBTreeLink,
    space: Cell<Option<SpaceId>>,
    pub state: Cell<State>,
    pub parent: Cell<Option<ClientId>>,
    pub children: Cell<u32>,
    pub limits: Cell<Quota>,
    pub open_offers: Cell<u32>,
    /// Regions of others whose pages it supplies.
    pub paged: Cell<u32>,
    /// While a thread of its waits for the next fault: where the right to answer it is kept, and
    /// the ticket after which.
    pub waits: Cell<Option<(CPtr, u64)>>,
    /// In the list of pagers for which there may be something.
    pub ready: Cell<bool>,
    pub next_ready: Cell<Option<&'p Client<'p>>>,
    /// The tickets of its offers.
    pub tickets: Cell<Numbers>,
    pub name: Cell<Name>,
    /// The capability to the service that the one in its CNode is a copy of.
    pub badged: Cell<Option<CPtr>>,
    pub cnode: Cell<Option<Object>>,
    /// Its threads, the first one first.
    pub threads: [Cell<Option<ClientThread>>; MAX_THREADS as usize],
    /// What new threads' local storage begins with, if its program has any.
    pub tls: Cell<Option<Tls>>,
    /// What is in the slots of its CNode.
    pub slots: [Cell<Held>; 1 << CNODE_BITS],
    pub next_dying: Cell<Option<&'p Client<'p>>>,
}

#[allow(unsafe_code)] // what the adapter macro expands to
mod adapters {
    use super::*;
    use intrusive_collections::intrusive_adapter;
    intrusive_adapter!(
        pub(crate) ById<'p> = &'p Client<'p>: Client<'p> { by_id => RBTreeLink }
    );
}
pub(crate) use adapters::ById;

impl<'a> KeyAdapter<'a> for ById<'_> {
    /// Sorted by number. Of several with one number the last is the one that may live; the others
    /// are accounts that wait for their children's.
    type Key = ClientId;
    fn get_key(&self, client: &'a Client<'_>) -> ClientId {
        client.id()
    }
}

impl Client<'_> {
    /// Makes the node a new client's, which has nothing but its limits.
    pub fn begin(&self, space: SpaceId, name: Name, limits: Quota, parent: Option<ClientId>) {
        self.space.set(Some(space));
        self.state.set(State::Alive);
        self.parent.set(parent);
        self.children.set(0);
        self.limits.set(limits);
        self.open_offers.set(0);
        self.paged.set(0);
        self.waits.set(None);
        self.name.set(name);
        self.badged.set(None);
        self.cnode.set(None);
        self.threads.iter().for_each(|thread| thread.set(None));
        self.tls.set(None);
        self.slots.iter().for_each(|slot| slot.set(Held::Nothing));
    }

    pub fn id(&self) -> ClientId {
        ClientId(self.space())
    }

    pub fn number(&self) -> u32 {
        self.space().number()
    }

    pub fn space(&self) -> SpaceId {
        self.space.get().unwrap_or(SpaceId::from_parts(0, 0))
    }

    pub fn is_alive(&self) -> bool {
        self.state.get() == State::Alive
    }

    /// What is in a slot of its CNode; `None` when there is no such slot.
    pub fn held(&self, slot: u32) -> Option<&Cell<Held>> {
        self.slots.get(slot as usize)
    }

    /// Whether a thread of its has this IPC buffer.
    pub fn is_threads_buffer(&self, address: usize) -> bool {
        let mut threads = self.threads.iter().filter_map(|thread| thread.get());
        threads.any(|thread| thread.buffer() == Some(address))
    }
}
