// SPDX-License-Identifier: BSD-2-Clause
//! Clients made and forgotten, and their accounts.
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

use vmm::{Kernel, Memory, Name, Numbers, Quota, Vmm};
use vmm_client::protocol::{self, Amounts, Answer};

use crate::answers::{narrow, refuse, Answered};
use crate::service::Service;
use crate::state::client::{Client, State};
use crate::types::error::{Error, Result};
use crate::types::ids::ClientId;

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

impl<'p> Service<'p> {
    /// Makes a client with an empty space. Its limits are taken off its parent's, if it has one.
    ///
    /// # Errors
    /// Those of [`Vmm::create_space`]; [`Error::NoSuchClient`] without such a parent;
    /// [`vmm::Error::OutOfQuota`] when the parent has not as much to give;
    /// [`Error::OutOfNodes`].
    pub fn create_client<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        name: &str,
        limits: Quota,
        parent: Option<ClientId>,
    ) -> Result<ClientId> {
        self.refill(vmm)?;
        let parent = parent.map(|id| self.client(id)).transpose()?;
        let rest = parent.map(|parent| self.without(vmm, parent, limits)).transpose()?;
        let space = vmm.create_space()?;
        // From here on it has the number: by now no message can arrive of who had it before.
        let badged = vmm.mint_badge(self.endpoint, ClientId(space).badge());
        let made = badged.map_err(Error::from).and_then(|badged| match self.alloc_client() {
            Ok(node) => Ok((node, badged)),
            Err(error) => vmm.end_badge(badged).map_err(Error::from).and(Err(error)),
        });
        let (node, badged) = match made {
            Ok(made) => made,
            Err(error) => {
                vmm.destroy_space(space)?;
                return Err(error);
            }
        };
        vmm.set_quota(space, limits)?;
        node.begin(space, Name::new(name), limits, parent.map(Client::id));
        node.badged.set(Some(badged));
        node.tickets.set(Numbers::up_to(self.most_numbers));
        self.clients.insert(node);
        if let (Some(parent), Some(rest)) = (parent, rest) {
            parent.children.set(parent.children.get() + 1);
            self.set_limits(vmm, parent, rest);
        }
        Ok(node.id())
    }

    /// What a client may have and has.
    ///
    /// # Errors
    /// [`Error::NoSuchClient`].
    pub fn account<K: Kernel + Memory<'p>>(
        &self,
        vmm: &Vmm<'p, K>,
        client: ClientId,
    ) -> Result<(Quota, Quota)> {
        let node = self.client(client)?;
        Ok((node.limits.get(), vmm.usage(node.space())?))
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
            let (space, wanted) = (node.space(), less.of(resource));
            vmm::Error::OutOfQuota { space, resource, limit, used, wanted }.into()
        })
    }

    pub(crate) fn set_limits<K: Kernel + Memory<'p>>(
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
    pub(crate) fn limits_of<K: Kernel + Memory<'p>>(
        &self,
        vmm: &Vmm<'p, K>,
        node: &Client<'p>,
    ) -> Answered {
        let used = vmm.usage(node.space()).map_err(refuse)?;
        Ok(Answer::Limits(protocol::Limits {
            own: node.number(),
            parent: node.parent.get().map_or(0, ClientId::number),
            limits: amounts(node.limits.get()),
            used: amounts(used),
        }))
    }

    /// [`protocol::Request::Split`].
    pub(crate) fn split<K: Kernel + Memory<'p>>(
        &self,
        vmm: &mut Vmm<'p, K>,
        node: &'p Client<'p>,
        child: u32,
        back: bool,
        amounts: Amounts,
    ) -> Answered {
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
    pub(crate) fn remove_account<K: Kernel + Memory<'p>>(
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
            next = node.parent.get().and_then(|parent| self.find(parent));
            if let Some(parent) = next {
                parent.children.set(parent.children.get() - 1);
                self.set_limits(vmm, parent, parent.limits.get().plus(node.limits.get()));
            }
            self.clients.find_mut(&node.id()).remove();
            self.unmark_ready(node);
            self.free_client(node);
        }
    }
}
