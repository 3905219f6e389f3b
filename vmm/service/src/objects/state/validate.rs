// SPDX-License-Identifier: BSD-2-Clause
//! The check of what must always hold of the records (I26 to I28).

use vmm::Violation;
use vmm_client::objects::{Amounts, Resource, Rights};

use super::capability::Capability;
use super::mapping::Mapping;
use super::object::{Object, What};
use super::tables::Tables;

/// What a capability costs the account that pays for it.
pub(crate) const CAPABILITY: Amounts =
    Amounts::NONE.with(Resource::Badges, 1).with(Resource::Slots, 1).with(Resource::Nodes, 1);

fn hold(rule: &'static str, at: u32, holds: bool) -> Result<(), Violation> {
    holds.then_some(()).ok_or(Violation { rule, at: at as usize })
}

impl<'p> Tables<'p> {
    /// Checks all that must hold of the records by themselves. O(n²) in their number.
    ///
    /// # Errors
    /// The first rule found broken, with the number of the record.
    pub fn validate(&self) -> Result<(), Violation> {
        self.objects.iter().try_for_each(|object| self.validate_object(object))?;
        self.capabilities.iter().try_for_each(|node| self.validate_capability(node))?;
        self.mappings.iter().try_for_each(|node| self.validate_mapping(node))
    }

    fn lives(&self, object: Option<&Object<'p>>) -> bool {
        let found = object.and_then(|object| self.objects.find(&object.number.get()).get());
        found.zip(object).is_some_and(|(found, object)| core::ptr::eq(found, object))
    }

    fn validate_object(&self, object: &Object<'p>) -> Result<(), Violation> {
        let number = object.number.get();
        let payer = object.payer.get();
        hold("an object's payer is an account that lives", number, {
            payer.is_none_or(|payer| self.lives(Some(payer)) && payer.account().is_some())
        })?;
        let leads = |node: &&Capability<'p>| node.object.get().is_some_and(|to| to.is(object));
        let capabilities = self.capabilities.iter().filter(leads).count();
        hold("an object counts its capabilities", number, {
            capabilities == object.capabilities.get() as usize
        })?;
        let is = |other: Option<&Object<'p>>| other.is_some_and(|other| other.is(object));
        let mapped = |node: &&Mapping<'p>| is(node.space.get()) || is(node.memory.get());
        let mappings = self.mappings.iter().filter(mapped).count();
        hold("an object counts its mappings", number, {
            mappings == object.mappings.get() as usize
        })?;
        let What::Account(account) = object.what.get() else { return Ok(()) };
        hold("an account uses no more than it has", number, {
            account.limits.minus(account.used).is_ok()
        })?;
        hold("what an account uses is what is charged to it", number, {
            self.charged_to(object) == Ok(account.used)
        })
    }

    /// What is charged to an account: by its objects, capabilities and mappings, by its children
    /// that are guarantees, and by what those use that are none.
    fn charged_to(&self, account: &Object<'p>) -> Result<Amounts, Resource> {
        let is = |payer: Option<&Object<'p>>| payer.is_some_and(|payer| payer.is(account));
        let mut sum = Amounts::NONE;
        for object in self.objects.iter().filter(|object| is(object.payer.get())) {
            sum = sum.plus(object.charge.get())?;
            if let What::Account(child) = object.what.get() {
                sum = sum.plus(if child.overcommit { child.used } else { child.limits })?;
            }
        }
        for _ in self.capabilities.iter().filter(|node| is(node.payer.get())) {
            sum = sum.plus(CAPABILITY)?;
        }
        for mapping in self.mappings.iter().filter(|node| is(node.payer.get())) {
            sum = sum.plus(mapping.charge.get())?;
        }
        Ok(sum)
    }

    fn validate_capability(&self, node: &Capability<'p>) -> Result<(), Violation> {
        let badge = node.badge.get();
        hold("a badge is no 0", badge, badge != 0)?;
        hold("a capability leads to an object that lives", badge, self.lives(node.object.get()))?;
        hold("a capability's payer lives", badge, self.lives(node.payer.get()))?;
        let Some(parent) = node.parent.get() else { return Ok(()) };
        let found = self.capability(parent.badge.get());
        hold("a capability's parent lives", badge, {
            found.is_some_and(|found| core::ptr::eq(found, parent))
        })?;
        let number = |node: &Capability<'p>| node.object.get().map(|object| object.number.get());
        hold("a capability is to its parent's object", badge, number(node) == number(parent))?;
        hold("a capability has no right that its parent lacks", badge, {
            parent.rights.get().contains(node.rights.get())
        })
    }

    fn validate_mapping(&self, node: &Mapping<'p>) -> Result<(), Violation> {
        let token = node.token.get();
        let (space, memory) = (node.space.get(), node.memory.get());
        hold("a mapping's objects live", token, self.lives(space) && self.lives(memory))?;
        hold("a mapping's payer lives", token, self.lives(node.payer.get()))?;
        let pages = match memory.map(|memory| memory.what.get()) {
            Some(What::Memory { pages, .. } | What::Physical { pages, .. }) => u64::from(pages),
            _ => 0,
        };
        let end = u64::from(node.first.get()) + u64::from(node.pages.get());
        hold("a mapping lies inside its memory object", token, end <= pages)?;
        let through = self.capability(node.through.get());
        let leads = |node: &Capability<'p>| node.object.get().zip(memory);
        hold("a mapping was made through a capability to its memory object", token, {
            through.and_then(leads).is_some_and(|(object, memory)| object.is(memory))
        })?;
        let readable = through.is_some_and(|node| node.rights.get().contains(Rights::READ));
        hold("a mapping was made through a capability that may read", token, readable)
    }
}
