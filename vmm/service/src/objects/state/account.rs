// SPDX-License-Identifier: BSD-2-Clause
//! What an account may use, and what it uses of that.

use vmm::{CPtr, SpaceId};
use vmm_client::objects::{Amounts, Resource};

/// The most accounts that one can be below: what is used may be charged to all of them.
pub(crate) const MAX_DEPTH: u32 = 16;

/// An account's figures. What is used is never above the limits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Account {
    /// What may be used.
    pub limits: Amounts,
    /// What is used by objects that are charged to it, or was given to its children.
    pub used: Amounts,
    /// Whether the limits are no guarantee: then what is used is charged to the parent too.
    pub overcommit: bool,
    /// Whether a request that it cannot pay now waits, if those above lack what its limits allow.
    pub waits: bool,
    /// How many accounts are above it.
    pub depth: u32,
    /// The space in which its memory objects have their pages, once there was one. Nobody runs in
    /// it.
    pub store: Option<SpaceId>,
}

/// What an account does not have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Short {
    /// The first resource that is short.
    pub resource: Resource,
    /// How much was wanted.
    pub wanted: u32,
    /// How much is left.
    pub left: u32,
}

/// What is told of an account, and by what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Threshold {
    pub resource: Resource,
    /// It is told when less than this is left.
    pub below: u32,
    /// Whether that is still to be told.
    pub armed: bool,
    /// The slot of the capability that is signalled.
    pub notify: CPtr,
    /// Whether it is to be signalled now.
    pub due: bool,
}

impl Threshold {
    /// Whether it is to be told of an account with these figures.
    pub fn is_crossed(&self, account: &Account) -> bool {
        self.armed && account.left(self.resource) < self.below
    }
}

impl Account {
    /// How much of a resource is not used.
    pub fn left(&self, resource: Resource) -> u32 {
        self.limits.of(resource).saturating_sub(self.used.of(resource))
    }

    /// The account with more used.
    pub fn take(mut self, amounts: Amounts) -> Result<Account, Short> {
        let within = |used: Amounts| self.limits.minus(used).map(|_| used);
        match self.used.plus(amounts).and_then(within) {
            Ok(used) => {
                self.used = used;
                Ok(self)
            }
            Err(resource) => Err(self.short(resource, amounts)),
        }
    }

    /// The account with less used. What was not taken is not given back.
    #[must_use]
    pub fn give_back(mut self, amounts: Amounts) -> Account {
        debug_assert!(self.used.minus(amounts).is_ok(), "more comes back than was taken");
        self.used = self.used.minus(amounts).unwrap_or(Amounts::NONE);
        self
    }

    /// The account with higher limits.
    pub fn raise(mut self, amounts: Amounts) -> Result<Account, Short> {
        let raised = self.limits.plus(amounts);
        self.limits = raised.map_err(|resource| Short {
            resource,
            wanted: amounts.of(resource),
            left: u32::MAX - self.limits.of(resource),
        })?;
        Ok(self)
    }

    /// The account with lower limits, which what is used stays below.
    pub fn lower(mut self, amounts: Amounts) -> Result<Account, Short> {
        let lowered = self.limits.minus(amounts);
        let within = |limits: Amounts| limits.minus(self.used).map(|_| limits);
        let lowered = lowered.and_then(within);
        self.limits = lowered.map_err(|resource| self.short(resource, amounts))?;
        Ok(self)
    }

    fn short(&self, resource: Resource, wanted: Amounts) -> Short {
        Short { resource, wanted: wanted.of(resource), left: self.left(resource) }
    }
}
