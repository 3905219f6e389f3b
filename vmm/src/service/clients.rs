//! Who the clients are, and their accounts.
//!
//! A client's number is its space's, which is never used again; its badge is that with the bit
//! [`CLIENT_BADGE`] set, which tells requests from faults on one endpoint.
//!
//! ```text
//!   limits of a parent ──split──► limits of its child ──split──► …
//!          ▲                          │
//!          └──── when it is gone ─────┘
//! ```
//!
//! What a child may have is taken off what its parent may have, so all of a family together never
//! have more than its head was given. The account of a client that ended stays while it has
//! children, to take back what they were given.

use core::cell::Cell;

use intrusive_collections::{KeyAdapter, RBTreeLink};
use untyped_alloc::{CPtr, Kernel, Memory, Object};
use vmm_client::protocol::{self, Amounts, Answer, Refusal};

use crate::Name;
use crate::Quota;
use crate::Result;
use crate::SpaceId;
use crate::Tls;
use crate::Vmm;

use super::refusal::{narrow, refuse};
use super::workers::Worker;
use super::{no_node, Service};

/// Set in the badge of every client's capability to the service, and in no badge of a fault: those
/// count up from 1.
pub const CLIENT_BADGE: usize = 1 << 27;

/// A client. Never used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ClientId(pub(super) u32);

impl ClientId {
    /// Its number: what other clients know it by.
    pub fn number(self) -> u32 {
        self.0
    }

    /// The badge of its capability to the service.
    pub fn badge(self) -> usize {
        CLIENT_BADGE | self.0 as usize
    }

    /// Its space.
    pub fn space(self) -> SpaceId {
        SpaceId(self.0)
    }
}

/// Limits as a message tells them.
fn amounts(quota: Quota) -> Amounts {
    let Quota { frames, tables, slots, objects } = quota;
    let [frames, tables, slots, objects] = [frames, tables, slots, objects].map(narrow);
    Amounts { frames, tables, slots, objects }
}

fn quota_of(amounts: Amounts) -> Quota {
    let Amounts { frames, tables, slots, objects } = amounts;
    let [frames, tables, slots, objects] =
        [frames, tables, slots, objects].map(|word| word as usize);
    Quota { frames, tables, slots, objects }
}

/// Where a client is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum State {
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
pub(super) enum Held {
    /// Nothing.
    #[default]
    Nothing,
    /// What it was given at its start.
    Given,
    /// The frame of the IPC buffer at this address.
    IpcBuffer(usize),
    /// The endpoint that a further thread's faults go to.
    Faults,
}

/// A client's node.
#[derive(Default)]
pub(crate) struct Client<'p> {
    pub next_free: Cell<Option<&'p Client<'p>>>,
    by_number: RBTreeLink,
    pub(super) number: Cell<u32>,
    pub(super) state: Cell<State>,
    /// 0 for none.
    pub(super) parent: Cell<u32>,
    pub(super) children: Cell<u32>,
    pub(super) limits: Cell<Quota>,
    pub(super) open_offers: Cell<u32>,
    /// Regions of others whose pages it supplies.
    pub(super) paged: Cell<u32>,
    /// While a thread of its waits for the next fault: where the right to answer it is kept, and
    /// the ticket after which.
    pub(super) waits: Cell<Option<(CPtr, u32)>>,
    /// In the list of pagers for which there may be something.
    pub(super) poked: Cell<bool>,
    pub(super) next_poked: Cell<Option<&'p Client<'p>>>,
    pub(super) last_ticket: Cell<u32>,
    pub(super) name: Cell<Name>,
    pub(super) cnode: Cell<Option<Object>>,
    /// Its threads, the first one first.
    pub(super) threads: [Cell<Option<Worker>>; protocol::MOST_THREADS as usize],
    /// What new threads' local storage begins with, if its program has any.
    pub(super) tls: Cell<Option<Tls>>,
    /// What is in the slots of its CNode.
    pub(super) slots: [Cell<Held>; 1 << protocol::CNODE_BITS],
    pub(super) next_dying: Cell<Option<&'p Client<'p>>>,
}

#[allow(unsafe_code)] // what the adapter macro expands to
mod adapters {
    use super::*;
    use intrusive_collections::intrusive_adapter;
    intrusive_adapter!(
        pub(crate) ByNumber<'p> = &'p Client<'p>: Client<'p> { by_number => RBTreeLink }
    );
}
pub(crate) use adapters::ByNumber;

impl<'a> KeyAdapter<'a> for ByNumber<'_> {
    type Key = u32;
    fn get_key(&self, client: &'a Client<'_>) -> u32 {
        client.number.get()
    }
}

impl Client<'_> {
    pub(super) fn id(&self) -> ClientId {
        ClientId(self.number.get())
    }

    pub(super) fn space(&self) -> SpaceId {
        self.id().space()
    }
}

impl<'p> Service<'p> {
    /// Makes a client with an empty space. Its limits are taken off its parent's, if it has one.
    ///
    /// # Errors
    /// Those of [`Vmm::create_space`]; [`crate::Error::NoSuchSpace`] without such a parent;
    /// [`crate::Error::OutOfQuota`] when the parent has not as much to give.
    pub fn create_client<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        name: &str,
        limits: Quota,
        parent: Option<ClientId>,
    ) -> Result<ClientId> {
        self.refill(vmm)?;
        let parent = match parent {
            Some(id) => Some(self.alive(id.0).ok_or(crate::Error::NoSuchSpace(id.space()))?),
            None => None,
        };
        let rest = match parent {
            Some(parent) => Some(self.without(vmm, parent, limits)?),
            None => None,
        };
        let space = vmm.create_space()?;
        let node = match (space.0 as usize) < CLIENT_BADGE {
            true => self.free_clients.take(),
            false => None,
        };
        let Some(node) = node else {
            vmm.destroy_space(space)?;
            return Err(no_node());
        };
        vmm.set_quota(space, limits)?;
        node.number.set(space.0);
        node.state.set(State::Alive);
        node.parent.set(parent.map_or(0, |parent| parent.number.get()));
        node.children.set(0);
        node.limits.set(limits);
        node.open_offers.set(0);
        node.paged.set(0);
        node.waits.set(None);
        node.last_ticket.set(0);
        node.name.set(Name::new(name));
        node.cnode.set(None);
        node.threads.iter().for_each(|thread| thread.set(None));
        node.tls.set(None);
        node.slots.iter().for_each(|slot| slot.set(Held::Nothing));
        self.clients.insert(node);
        if let (Some(parent), Some(rest)) = (parent, rest) {
            parent.children.set(parent.children.get() + 1);
            self.set_limits(vmm, parent, rest);
        }
        Ok(node.id())
    }

    /// The client that a message with this badge is from, while it lives.
    pub fn client_of_badge(&self, badge: usize) -> Option<ClientId> {
        self.alive_by_badge(badge).map(Client::id)
    }

    /// The client that runs in a space, while it lives.
    pub fn client_in(&self, space: SpaceId) -> Option<ClientId> {
        self.alive(space.0).map(Client::id)
    }

    /// A client's name, for people.
    pub fn name(&self, client: ClientId) -> Option<Name> {
        self.clients.find(&client.0).get().map(|node| node.name.get())
    }

    /// What a client may have and has.
    ///
    /// # Errors
    /// [`crate::Error::NoSuchSpace`].
    pub fn account<K: Kernel + Memory<'p>>(
        &self,
        vmm: &Vmm<'p, K>,
        client: ClientId,
    ) -> Result<(Quota, Quota)> {
        let node = self.alive(client.0).ok_or(crate::Error::NoSuchSpace(client.space()))?;
        Ok((node.limits.get(), vmm.usage(node.space())?))
    }

    pub(super) fn alive_by_badge(&self, badge: usize) -> Option<&'p Client<'p>> {
        let number = u32::try_from(badge ^ CLIENT_BADGE).ok()?;
        (badge & CLIENT_BADGE != 0).then(|| self.alive(number)).flatten()
    }

    pub(super) fn alive(&self, number: u32) -> Option<&'p Client<'p>> {
        let client = self.clients.find(&number).clone_pointer()?;
        (client.state.get() == State::Alive).then_some(client)
    }

    pub(super) fn child_of(
        &self,
        parent: &Client<'p>,
        number: u32,
    ) -> Result<&'p Client<'p>, Refusal> {
        let child = self.alive(number).ok_or(Refusal::NoSuchClient)?;
        (child.parent.get() == parent.number.get()).then_some(child).ok_or(Refusal::NoSuchClient)
    }

    /// What a client may have when it gives `less` of it away, which it must not use itself.
    fn without<K: Kernel + Memory<'p>>(
        &self,
        vmm: &Vmm<'p, K>,
        node: &Client<'p>,
        less: Quota,
    ) -> Result<Quota> {
        let (limits, used) = (node.limits.get(), vmm.usage(node.space())?);
        let rest = limits.minus(less).and_then(|rest| rest.minus(used).map(|_| rest));
        rest.map_err(|resource| {
            let (limit, used) = (limits.of(resource), used.of(resource));
            crate::Error::OutOfQuota { space: node.space(), resource, limit, used }
        })
    }

    pub(super) fn set_limits<K: Kernel + Memory<'p>>(
        &self,
        vmm: &mut Vmm<'p, K>,
        node: &Client<'p>,
        limits: Quota,
    ) {
        node.limits.set(limits);
        // An account without a client has no space any more.
        let _ = vmm.set_quota(node.space(), limits);
    }

    /// [`protocol::Request::Limits`].
    pub(super) fn limits_of<K: Kernel + Memory<'p>>(
        &self,
        vmm: &Vmm<'p, K>,
        node: &Client<'p>,
    ) -> Result<Answer, Refusal> {
        let used = vmm.usage(node.space()).map_err(refuse)?;
        Ok(Answer::Limits(protocol::Limits {
            own: node.number.get(),
            parent: node.parent.get(),
            limits: amounts(node.limits.get()),
            used: amounts(used),
        }))
    }

    /// [`protocol::Request::Split`].
    pub(super) fn split<K: Kernel + Memory<'p>>(
        &self,
        vmm: &mut Vmm<'p, K>,
        node: &'p Client<'p>,
        child: u32,
        back: bool,
        amounts: Amounts,
    ) -> Result<Answer, Refusal> {
        let child = self.child_of(node, child)?;
        let (giver, taker) = if back { (child, node) } else { (node, child) };
        let amounts = quota_of(amounts);
        let rest = self.without(vmm, giver, amounts).map_err(refuse)?;
        self.set_limits(vmm, giver, rest);
        self.set_limits(vmm, taker, taker.limits.get().plus(amounts));
        Ok(Answer::Done)
    }

    /// Forgets a client that has nothing any more: its limits go back to its parent. The account
    /// stays while there are children, and goes with the last of them.
    pub(super) fn forget<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        node: &'p Client<'p>,
    ) {
        node.state.set(State::Account);
        let mut next = Some(node);
        while let Some(node) = next {
            if node.state.get() != State::Account || node.children.get() != 0 {
                return;
            }
            next = self.clients.find(&node.parent.get()).clone_pointer();
            if let Some(parent) = next {
                parent.children.set(parent.children.get() - 1);
                self.set_limits(vmm, parent, parent.limits.get().plus(node.limits.get()));
            }
            self.clients.find_mut(&node.number.get()).remove();
            self.unpoke(node);
            self.free_clients.give(node);
        }
    }
}
